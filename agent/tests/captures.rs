//! Small systems as their real clients showed them: captured request bodies, replayed in the time that
//! they carry, and what the screen then has to say of each system.
//!
//! A folder of `captures/` holds the bodies in the order in which they came, compressed, and beside
//! it `NAME.json` says what is expected. `TIERTOP_ACCEPT=1` writes what came out instead; read the
//! difference as somebody who knows the system (`captures/README.md` tells what it is) before keeping it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tiertop_agent::decode::{self, Decoded, Limits, Signal};
use tiertop_core::config::Config;
use tiertop_core::engine::Engine;
use tiertop_core::snapshot::{EdgeView, IngestCounts, SignalKind, SignalView, Snapshot, TierView};
use tiertop_core::time::{NANOS_PER_SECOND, UnixNanos};

/// How long after the last thing that a body tells of the body arrives.
const DELAY_NANOS: u64 = 300_000_000;

#[test]
fn python_over_grpc_with_the_old_names() {
    assert_as_expected("python-grpc-old-names");
}

#[test]
fn python_over_http_with_the_new_names() {
    assert_as_expected("python-http-new-names");
}

#[test]
fn node_over_http_as_json() {
    assert_as_expected("node-http-json");
}

fn assert_as_expected(name: &str) {
    let essence = essence(&replay(&bodies(name)));
    let path = folder().join(format!("{name}.json"));
    if std::env::var_os("TIERTOP_ACCEPT").is_some_and(|accept| accept == "1") {
        std::fs::write(&path, serde_json::to_string_pretty(&essence).unwrap() + "\n").unwrap();
        return;
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let difference = difference(&expected, &essence);
    assert!(
        difference.is_empty(),
        "{name} is shown otherwise than expected (TIERTOP_ACCEPT=1 keeps it):\n{difference}"
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// The decoded bodies of a capture, in the order of their names.
fn bodies(name: &str) -> Vec<Decoded> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| decoded(path)).collect()
}

fn decoded(path: &Path) -> Decoded {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut body).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let signal = if name.contains("metrics") { Signal::Metrics } else { Signal::Traces };
    let decode = if name.contains(".json") { decode::json } else { decode::protobuf };
    decode(signal, &body, &Limits::default()).unwrap()
}

/// Gives each body to an engine just after the last thing it tells of, with a tick each second.
fn replay(bodies: &[Decoded]) -> Snapshot {
    let arrivals = bodies.iter().scan(UnixNanos(0), |now, body| {
        *now = (*now).max(last_time(body).plus_nanos(DELAY_NANOS));
        Some(*now)
    });
    let arrivals: Vec<UnixNanos> = arrivals.collect();
    let mut now = arrivals[0];
    let mut engine = Engine::new(Config::default(), now);
    let mut refused = IngestCounts::default();
    for (body, arrival) in bodies.iter().zip(&arrivals) {
        while now.plus_nanos(NANOS_PER_SECOND) <= *arrival {
            now = now.plus_nanos(NANOS_PER_SECOND);
            engine.tick(now, &refused);
        }
        refused.spans_refused += body.refused.spans;
        refused.points_refused += body.refused.points;
        engine.handle(&body.batch, *arrival);
    }
    engine.tick(*arrivals.last().unwrap(), &refused)
}

fn last_time(body: &Decoded) -> UnixNanos {
    let spans = body.batch.spans.iter().map(|span| span.end);
    let points = body.batch.metrics.iter().flat_map(|metric| &metric.points).map(|point| point.time);
    spans.chain(points).max().unwrap_or_default()
}

/// What a person would check of a snapshot, rounded so far that only a change of meaning shows.
fn essence(snapshot: &Snapshot) -> Value {
    let tiers: BTreeMap<&str, Value> =
        snapshot.tiers.iter().map(|tier| (tier.id.as_str(), tier_essence(tier))).collect();
    let edges: BTreeMap<String, Value> =
        snapshot.edges.iter().map(|edge| (format!("{} -> {}", edge.from, edge.to), edge_essence(edge))).collect();
    // Levels of processes are the machine's affair; that they arrive is enough.
    let (processes, others): (Vec<_>, Vec<_>) = snapshot
        .signals
        .iter()
        .partition(|signal| matches!(signal.kind, SignalKind::CpuRatio | SignalKind::MemoryBytes));
    let mut of_processes: BTreeMap<String, usize> = BTreeMap::new();
    for signal in processes {
        *of_processes.entry(named(signal)).or_default() += 1;
    }
    let signals: BTreeMap<String, Value> =
        others.into_iter().map(|signal| (named(signal), signal_essence(signal))).collect();
    let pipeline = &snapshot.pipeline;
    json!({
        "tiers": tiers,
        "edges": edges,
        "signals": signals,
        "signals of processes": of_processes,
        "spans": {
            "accepted": pipeline.spans_accepted,
            "detail": pipeline.spans_detail,
            "late": pipeline.spans_late,
            "refused": pipeline.spans_refused,
        },
        "points": { "accepted": pipeline.points_accepted, "refused": pipeline.points_refused },
    })
}

fn tier_essence(tier: &TierView) -> Value {
    let operations: BTreeMap<&str, f64> =
        tier.operations.iter().map(|one| (one.name.as_str(), tenths(one.requests_per_second))).collect();
    json!({
        "kind": tier.kind,
        "member": tier.member,
        "reason": tier.kind_reason,
        "figures from": tier.figures_from,
        "instances": tier.instances.len(),
        "zones": tier.zones,
        "requests per second": tier.requests_per_second.map(tenths),
        "error ratio": tier.error_ratio.map(hundredths),
        "p50 ms": tier.p50_ms.map(tenths),
        "operations": operations,
    })
}

fn edge_essence(edge: &EdgeView) -> Value {
    json!({
        "requests per second": tenths(edge.requests_per_second),
        "error ratio": hundredths(edge.error_ratio),
        "has gap": edge.gap_mean_ms.is_some(),
    })
}

fn named(signal: &SignalView) -> String {
    format!(
        "{} of {}",
        json!(signal.kind).as_str().unwrap(),
        if signal.tier.is_empty() { "nobody" } else { &signal.tier }
    )
}

fn signal_essence(signal: &SignalView) -> Value {
    json!({ "value": signal.value.map(hundredths), "inferred": signal.inferred, "source": signal.source })
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// One line for each place where two values differ.
fn difference(expected: &Value, found: &Value) -> String {
    let mut lines = String::new();
    differ("", expected, found, &mut lines);
    lines
}

fn differ(place: &str, expected: &Value, found: &Value, lines: &mut String) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                differ(&format!("{place} / {key}"), value, found.get(key).unwrap_or(&Value::Null), lines);
            }
            for (key, value) in found.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                differ(&format!("{place} / {key}"), &Value::Null, value, lines);
            }
        }
        _ if expected == found => {}
        _ => writeln!(lines, "{}: expected {expected}, found {found}", place.trim_start_matches(" / ")).unwrap(),
    }
}
