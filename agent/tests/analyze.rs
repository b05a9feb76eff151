//! Captured files through `analyze`, from bytes to verdict: a made-up shop behind a gateway whose spans stand
//! beside those of what it calls, in every form that files come in; and the captures of real clients.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tempfile::TempDir;
use tiertop_agent::analyze::{AnalyzeOptions, analyze};
use tiertop_agent::capture::CaptureError;
use tiertop_core::config::{Config, TierPattern};
use tiertop_core::diagnosis::Report;
use tiertop_core::diagnosis::rules::{Basis, Bound, Condition, Figure, Level, UserRule};

/// Services of the shop, in the order of a request: the gateway asks the next three one after the other,
/// and the last of these asks the fifth.
const SERVICES: [&str; 5] = ["frontdoor", "catalogue", "basket", "orders", "stock"];

/// By how much their clocks are ahead.
const AHEAD_MS: [u64; 5] = [0, 40, 40, 40, 100];

/// When second 0 is.
const BEGIN: u64 = 1_795_456_800_000_000_000;

/// What is wrong with the shop.
#[derive(Clone, Copy)]
enum Wrong {
    Nothing,
    /// A service takes so many milliseconds longer.
    Work(usize, u64),
    /// So many milliseconds are lost on the way to a service.
    Way(usize, u64),
    /// A service stands still, from one time to another.
    Stands(usize, [u64; 2]),
}

/// Requests of the shop, each a trace, as OTLP.
struct Shop {
    wrong: Wrong,
    next: u64,
    spans: Vec<Vec<Span>>,
}

fn shop(wrong: Wrong, requests: u64, second: u64) -> ExportTraceServiceRequest {
    shop_asked(wrong, requests, second, 400)
}

/// The same, asked every so many milliseconds.
fn shop_asked(wrong: Wrong, requests: u64, second: u64, every_ms: u64) -> ExportTraceServiceRequest {
    let mut shop = Shop { wrong, next: second << 20, spans: vec![Vec::new(); SERVICES.len()] };
    for request in 0..requests {
        shop.request(BEGIN + second * 1_000_000_000 + request * every_ms * 1_000_000);
    }
    let text = |value: &str| Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    let pair = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: text(value), ..KeyValue::default() };
    let resource_spans = shop.spans.into_iter().zip(SERVICES).map(|(spans, service)| ResourceSpans {
        resource: Some(Resource { attributes: vec![pair("service.name", service)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

impl Shop {
    fn request(&mut self, start: u64) {
        self.next += 16;
        let trace = self.next;
        let root = self.id();
        let mut at = start + 1_000_000;
        for callee in 1..=3 {
            at = self.call(trace, root, 0, callee, at);
        }
        self.put(0, trace, (root, 0), 2, "GET /", start, at + 1_000_000);
    }

    /// A call whose two halves stand beside each other, as of a gateway that passes its own context on,
    /// or, from elsewhere, one below the other. Returns when it ended.
    fn call(&mut self, trace: u64, parent: u64, from: usize, callee: usize, at: u64) -> u64 {
        let (client, server) = (self.id(), self.id());
        let way = 500_000
            + match self.wrong {
                Wrong::Way(to, ms) if to == callee => ms * 1_000_000,
                _ => self.next % 7 * 20_000,
            };
        let work = (5 + callee as u64) * 1_000_000
            + self.next % 11 * 100_000
            + match self.wrong {
                Wrong::Work(of, ms) if of == callee => ms * 1_000_000,
                _ => 0,
            };
        let begin = at + way / 2;
        let mut end = begin + work;
        if let Wrong::Stands(of, [from, to]) = self.wrong
            && of == callee
            && begin < to
            && end > from
        {
            end = to + work;
        }
        if callee == 3 {
            end = self.call(trace, server, 3, 4, end) + 300_000;
        }
        let above = if from == 0 { parent } else { client };
        self.put(callee, trace, (server, above), 2, SERVICES[callee], begin, end);
        let upto = end + way / 2;
        self.put(from, trace, (client, parent), 3, SERVICES[callee], at, upto);
        upto
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    #[expect(clippy::too_many_arguments, reason = "a span has as many parts")]
    fn put(&mut self, service: usize, trace: u64, ids: (u64, u64), kind: i32, name: &str, start: u64, end: u64) {
        let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
        let ahead = AHEAD_MS[service] * 1_000_000;
        self.spans[service].push(Span {
            trace_id: u128::from(trace).to_be_bytes().to_vec(),
            span_id: bytes(ids.0),
            parent_span_id: bytes(ids.1),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: start + ahead,
            end_time_unix_nano: end + ahead,
            ..Span::default()
        });
    }
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn report(files: Vec<PathBuf>, baseline: Vec<PathBuf>) -> Result<Report, CaptureError> {
    analyze(&AnalyzeOptions { files, baseline, config: Config::default(), trace_bytes: 64 << 20 })
}

/// What is said of a wrong shop against a healthy one, of so many requests each.
fn judged(wrong: Wrong, requests: u64) -> Report {
    let folder = TempDir::new().unwrap();
    let baseline = write(&folder, "a", &shop(Wrong::Nothing, 100, 0).encode_to_vec());
    let file = write(&folder, "b", &shop(wrong, requests, 600).encode_to_vec());
    report(vec![file], vec![baseline]).unwrap()
}

fn first(report: &Report) -> (&str, Option<&str>) {
    let first = report.verdicts.first().unwrap_or_else(|| panic!("no verdict: {report:#?}"));
    (&first.tier.member, first.class.as_deref())
}

#[test]
fn the_service_that_takes_longer_is_first_whichever_it_is() {
    for requests in [50, 150] {
        for (place, service) in SERVICES.iter().enumerate().skip(1) {
            let report = judged(Wrong::Work(place, 60), requests);
            assert_eq!(first(&report), (*service, Some("app-cpu")), "{report:#?}");
        }
    }
}

#[test]
fn a_service_that_stood_still_for_a_moment_is_told_with_its_traces() {
    let folder = TempDir::new().unwrap();
    let stood = Wrong::Stands(4, [BEGIN + 40_300_000_000, BEGIN + 40_800_000_000]);
    let file = write(&folder, "a", &shop_asked(stood, 3_000, 0, 20).encode_to_vec());
    let report = report(vec![file], Vec::new()).unwrap();
    let [stall] = &report.stalls[..] else { panic!("not one stall: {:#?}", report.stalls) };
    assert_eq!(stall.tier.as_deref(), Some("app/stock"));
    assert!((450..=550).contains(&stall.length_ms), "{stall:?}");
    assert!(stall.start_unix_ms.abs_diff(BEGIN / 1_000_000 + 40_300) < 100, "{stall:?}");
    assert_eq!((stall.first_moved.as_deref(), stall.traces.len()), (Some("app/stock: stock"), 5));
    let healthy = write(&folder, "b", &shop_asked(Wrong::Nothing, 3_000, 0, 20).encode_to_vec());
    assert_eq!(self::report(vec![healthy], Vec::new()).unwrap().stalls, []);
}

#[test]
fn incidents_of_a_long_file_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let (mut bytes, mut second) = (Vec::new(), 0);
    let course = [
        (Wrong::Nothing, 200),
        (Wrong::Work(4, 60), 40),
        (Wrong::Nothing, 90),
        (Wrong::Way(2, 60), 40),
        (Wrong::Nothing, 60),
    ];
    for (wrong, seconds) in course {
        // Messages one after the other are one with all that is in them.
        bytes.extend(shop_asked(wrong, seconds * 10, second, 100).encode_to_vec());
        second += seconds;
    }
    let file = write(&folder, "a", &bytes);
    let report = report(vec![file], Vec::new()).unwrap();
    let [stock, basket] = &report.incidents[..] else { panic!("not two incidents: {report:#?}") };
    for (incident, member, [from, to]) in [(stock, "stock", [200, 240]), (basket, "basket", [330, 370])] {
        assert_eq!(incident.verdict.as_ref().unwrap().tier.member, member, "{incident:#?}");
        let at = |second: u64| BEGIN / 1_000_000 + second * 1_000;
        assert!(incident.onset_unix_ms.abs_diff(at(from)) < 5_000, "{incident:#?}");
        assert!((at(from)..=at(to)).contains(&incident.peak_unix_ms), "{incident:#?}");
        assert!(incident.ended_unix_ms.unwrap().abs_diff(at(to)) < 20_000, "{incident:#?}");
    }
    let named: Vec<&str> = report.verdicts.iter().map(|verdict| verdict.tier.member.as_str()).collect();
    assert!(named.len() == 2 && named.contains(&"stock") && named.contains(&"basket"), "{named:?}");
    assert!(report.summary.starts_with("2 incidents; "), "{}", report.summary);
}

#[test]
fn a_short_file_has_no_incidents_of_its_own() {
    assert_eq!(judged(Wrong::Work(4, 60), 150).incidents, []);
}

#[test]
fn time_lost_on_the_way_is_the_callees() {
    for (place, service) in SERVICES.iter().enumerate().skip(1) {
        let report = judged(Wrong::Way(place, 60), 80);
        assert_eq!(first(&report), (*service, Some("network-delay")), "{report:#?}");
    }
}

#[test]
fn rules_of_the_users_are_told_in_their_words() {
    let rule = |name: &str, basis| UserRule {
        name: name.to_owned(),
        title: "the basket of old".to_owned(),
        tier: TierPattern { kind: None, member: "basket".to_owned() },
        basis,
        phase: None,
        say: None,
        now: Some("runbook 3".to_owned()),
        for_good: None,
    };
    let slow = Condition {
        tier: None,
        level: Level::Figure(Figure::P99Ms),
        name: "p99_ms".to_owned(),
        bound: Bound::Above(50.0),
    };
    let folder = TempDir::new().unwrap();
    let healthy = write(&folder, "a", &shop(Wrong::Nothing, 100, 0).encode_to_vec());
    let wrong = write(&folder, "b", &shop(Wrong::Work(2, 60), 100, 600).encode_to_vec());
    for basis in [Basis::Replaces("app-cpu".to_owned()), Basis::When { all: vec![slow], lasting_ms: 5_000 }] {
        let judge = |file: &PathBuf| {
            let config = Config { rules: [rule("basket-old", basis.clone())].into(), ..Config::default() };
            let (files, baseline) = (vec![file.clone()], vec![healthy.clone()]);
            analyze(&AnalyzeOptions { files, baseline, config, trace_bytes: 64 << 20 }).unwrap()
        };
        let report = judge(&wrong);
        assert_eq!(first(&report), ("basket", Some("basket-old")), "{report:#?}");
        assert_eq!(report.summary, "app/basket: the basket of old");
        assert_eq!(report.verdicts[0].remedy_now.as_deref(), Some("runbook 3"));
        assert_eq!(judge(&healthy).verdicts, []);
    }
}

#[test]
fn a_shop_as_ever_has_no_verdict() {
    let report = judged(Wrong::Nothing, 150);
    assert_eq!((report.summary.as_str(), report.verdicts.len()), ("healthy: no verdict", 0));
    assert_eq!((report.traces.traces, report.traces.orphans, report.read.refused), (150, 0, 0));
}

#[test]
fn few_traces_are_no_verdict() {
    let report = judged(Wrong::Work(2, 600), 12);
    assert_eq!((report.summary.as_str(), report.verdicts.len()), ("too few traces: 12, 30 are needed", 0));
}

#[test]
fn the_first_part_of_a_file_serves_where_there_is_no_baseline() {
    let folder = TempDir::new().unwrap();
    let healthy = write(&folder, "a", &shop(Wrong::Nothing, 100, 0).encode_to_vec());
    let wrong = write(&folder, "b", &shop(Wrong::Work(4, 80), 100, 60).encode_to_vec());
    // The order of the files is not that of time.
    let report = report(vec![wrong, healthy], Vec::new()).unwrap();
    assert_eq!(first(&report), ("stock", Some("app-cpu")));
    assert_eq!(report.verdicts[0].onset, Some(1_795_456_860_000));
}

#[test]
fn every_form_of_a_file_says_the_same() {
    let request = shop(Wrong::Work(2, 60), 60, 600);
    let message = request.encode_to_vec();
    let lines: Vec<String> = request
        .resource_spans
        .iter()
        .map(|one| ExportTraceServiceRequest { resource_spans: vec![one.clone()] })
        .map(|one| serde_json::to_string(&one).unwrap() + "\n")
        .collect();
    let frame = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |body: &[u8]| zstd::stream::encode_all(body, 1).unwrap();
    let json = lines.concat();
    let forms = [
        ("lines", json.clone().into_bytes()),
        ("one object", serde_json::to_vec(&request).unwrap()),
        ("object over lines", serde_json::to_vec_pretty(&request).unwrap()),
        ("message", message.clone()),
        ("frames", frame(&message)),
        ("zstd in frames", frame(&zstd(&message))),
        ("json in frames", lines.iter().flat_map(|line| frame(line.as_bytes())).collect()),
        ("gzip", gzip(json.as_bytes())),
        ("zstd", zstd(&message)),
    ];
    let folder = TempDir::new().unwrap();
    let baseline = write(&folder, "baseline", &shop(Wrong::Nothing, 100, 0).encode_to_vec());
    for (name, bytes) in forms {
        let file = write(&folder, name, &bytes);
        let report = report(vec![file], vec![baseline.clone()]).unwrap();
        assert_eq!((first(&report), report.read.spans), (("basket", Some("app-cpu")), 160 * 9), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_place() {
    let folder = TempDir::new().unwrap();
    let message = shop(Wrong::Nothing, 2, 0).encode_to_vec();
    let cut = [&u32::try_from(message.len() + 9).unwrap().to_be_bytes(), &message[..]].concat();
    let good = serde_json::to_string(&shop(Wrong::Nothing, 1, 0)).unwrap();
    let cases = [
        (Vec::new(), "there is no telemetry in it"),
        (b"\n\n".to_vec(), "there is no telemetry in it"),
        (format!("{good}\n{{\"a\": 1}}\n").into_bytes(), "line 2: neither resourceSpans"),
        (format!("{good}\n{{\"resourceSpans\": 7}}\n").into_bytes(), "line 2: malformed JSON"),
        (format!("{good}\n{}", &good[..50]).into_bytes(), "line 2; wait for its writer"),
        (cut, "byte 0; wait for its writer"),
    ];
    for (bytes, words) in cases {
        let file = write(&folder, "file", &bytes);
        let said = report(vec![file.clone()], Vec::new()).unwrap_err().to_string();
        assert!(said.contains(words) && said.contains(&*file.to_string_lossy()), "{said}");
    }
    let said = report(vec![folder.path().join("nowhere")], Vec::new()).unwrap_err().to_string();
    assert!(said.contains("is the name right"), "{said}");
}

#[test]
fn the_captures_of_real_clients_are_healthy() {
    for name in ["node-http-json", "python-grpc-old-names", "python-http-new-names"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name);
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let report = report(files, Vec::new()).unwrap();
        assert_eq!((report.summary.as_str(), report.read.refused), ("healthy: no verdict", 0), "{name}: {report:#?}");
        let kinds: Vec<&str> = report.tiers.iter().map(|charge| charge.tier.kind.name()).collect();
        for kind in ["lb", "app", "cache", "db-primary", "db-replica", "queue"] {
            assert!(kinds.contains(&kind), "{name}: no {kind} in {kinds:?}");
        }
    }
}
