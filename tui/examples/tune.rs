//! Plays scenarios in virtual time and prints incidents (for tuning).
use clap::ValueEnum;
use opentelemetry_proto as _;
use prost::Message as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tiertop_agent::decode::{Limits, Signal, protobuf};
use tiertop_core::{
    config::Config,
    engine::Engine,
    snapshot::{IngestCounts, Snapshot},
    time::UnixNanos,
};
use tiertop_demo::{
    fault::{Fault, Intensity},
    scenario::Scenario,
    sim::{Export, Simulation},
};

fn play(scenario: &Scenario, mut each: impl FnMut(&Snapshot)) -> Vec<tiertop_demo::scenario::TruthLine> {
    let start = UNIX_EPOCH + Duration::from_secs(1_795_456_800);
    let mut simulation = Simulation::new(scenario, start).unwrap();
    let begin = UnixNanos(1_795_456_800_000_000_000);
    let mut engine = Engine::new(Config::default(), begin);
    let mut next = engine.next_tick(begin);
    for export in &mut simulation {
        let at = UnixNanos(export.sent_unix_nanos() + 2_000_000);
        while next <= at {
            let snapshot = engine.tick(next, &IngestCounts::default());
            each(&snapshot);
            next = engine.next_tick(next);
        }
        let (signal, bytes) = match &export {
            Export::Traces { request, .. } => (Signal::Traces, request.encode_to_vec()),
            Export::Metrics { request, .. } => (Signal::Metrics, request.encode_to_vec()),
        };
        let decoded = protobuf(signal, &bytes, &Limits::default()).unwrap();
        engine.handle(&decoded.batch, at);
    }
    simulation.truth()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed: u64 = args[0].parse().unwrap();
    let rate: f64 = args[1].parse().unwrap();
    let verbose = std::env::var("V").is_ok();
    let mut jobs = Vec::new();
    for spec in &args[2..] {
        let (name, level) = spec.split_once(':').unwrap_or((spec, "medium"));
        let names: Vec<String> =
            if name == "all" { Fault::all().map(Fault::name).collect() } else { vec![name.to_owned()] };
        let levels: Vec<&str> = if level == "all" { vec!["low", "medium", "high"] } else { vec![level] };
        for name in &names {
            for level in &levels {
                jobs.push((name.clone(), level.to_string()));
            }
        }
    }
    let run = |name: &str, level: &str| -> String {
        let fault = Fault::from_str(name, true).unwrap();
        let intensity = Intensity::from_str(level, true).unwrap();
        let phase = fault.usual_phase().number();
        let healthy = name == "healthy-noise";
        let text = format!(
            "name = \"{name}\"\nphase = {phase}\nseed = {seed}\nduration = \"{}s\"\n[load]\nrate = {rate:.1}\n[[fault]]\nfault = \"{name}\"\nintensity = \"{}\"\nat = \"120s\"\nfor = \"{}s\"\n",
            if healthy { 1800 } else { 420 },
            level,
            if healthy { 1600 } else { 180 }
        );
        let scenario: Scenario = Scenario::parse(&text).unwrap();
        let began = Instant::now();
        let _ = intensity;
        let _ = SystemTime::now();
        let t0 = 1_795_456_800_000u64;
        let mut out = String::new();
        let mut last = String::new();
        let mut lastw = String::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut ended = Vec::new();
        let truth = play(&scenario, |snapshot| {
            let at = (snapshot.at_unix_ms - t0) / 1000;
            let line = snapshot
                .diagnosis
                .open()
                .map(|i| {
                    let v = i.verdict.as_ref().unwrap();
                    format!(
                        "#{} {} {} {:.2}{}",
                        i.id,
                        v.tier.id,
                        v.class.as_deref().unwrap_or("-"),
                        v.confidence,
                        if i.unexplained.is_empty() { "" } else { " unexplained" }
                    )
                })
                .collect::<Vec<_>>();
            let key = snapshot
                .diagnosis
                .open()
                .map(|i| {
                    let v = i.verdict.as_ref().unwrap();
                    format!("{}{}{:?}", i.id, v.tier.id, v.class)
                })
                .collect::<Vec<_>>()
                .join("|");
            if key != last {
                out += &format!(
                    "   {at:>4}s {}\n",
                    if line.is_empty() { snapshot.diagnosis.summary.clone() } else { line.join("  |  ") }
                );
                if verbose {
                    for i in snapshot.diagnosis.open() {
                        let v = i.verdict.as_ref().unwrap();
                        for e in &v.evidence {
                            out += &format!("            {e}\n");
                        }
                        for a in &v.alternatives {
                            out += &format!("            alt {} {:.2}\n", a.tier.id, a.explained_share);
                        }
                    }
                }
                last = key;
            }
            if verbose {
                let w = snapshot
                    .warnings
                    .iter()
                    .filter(|w| w.ended_unix_ms.is_none())
                    .map(|w| format!("{} {} {:?}", w.rule, w.tier, w.evidence.first()))
                    .collect::<Vec<_>>();
                let k = snapshot
                    .warnings
                    .iter()
                    .filter(|w| w.ended_unix_ms.is_none())
                    .map(|w| format!("{} {}", w.rule, w.tier))
                    .collect::<Vec<_>>()
                    .join("|");
                if k != lastw {
                    out += &format!("   {at:>4}s WARN {}\n", w.join("; "));
                    lastw = k;
                }
                if at % 30 == 15 && std::env::var("VV").is_ok() {
                    out += &format!("   {at:>4}s ");
                    for t in &snapshot.tiers {
                        out += &format!(
                            "[{} {:.1}/s e{:.3} p50 {:.1} p95 {:.1} n{}] ",
                            t.id,
                            t.requests_per_second.unwrap_or(-1.0),
                            t.error_ratio.unwrap_or(-1.0),
                            t.p50_ms.unwrap_or(-1.0),
                            t.p95_ms.unwrap_or(-1.0),
                            t.instances.len()
                        );
                    }
                    out += "\n          ";
                    for x in &snapshot.signals {
                        if let Some(v) = x.value {
                            out += &format!("{:?} {} {} {:.2}; ", x.kind, x.tier, x.part, v);
                        }
                    }
                    out += "\n";
                }
            }
            if verbose {
                for st in &snapshot.stalls {
                    let k = format!("{} {:?} {:?}", st.start_unix_ms, st.instance, st.tier);
                    if !st.ongoing && seen.insert(k) {
                        out += &format!(
                            "   {at:>4}s STALL {} {}ms tier {:?} inst {:?} edge {:?} req {}\n",
                            (st.start_unix_ms as i64 - t0 as i64),
                            st.length_ms,
                            st.tier,
                            st.instance,
                            st.edge,
                            st.requests
                        );
                    }
                }
            }
            ended = snapshot.diagnosis.incidents.clone();
        });
        let what = truth.first().map_or(String::new(), |t| format!("{:?} {:?}", t.tier, t.class));
        let first = ended.iter().min_by_key(|i| i.id);
        let verdict = first.and_then(|i| i.verdict.as_ref());
        let hit = truth.first().is_some_and(|t| verdict.is_some_and(|v| Some(v.tier.kind.name().to_owned()) == t.tier));
        let class = truth.first().is_some_and(|t| verdict.is_some_and(|v| v.class == t.class));
        format!(
            "{} {} {name}:{level} want {what} ({} incidents, {:.1} s)\n{out}",
            if hit { "TIER" } else { "    " },
            if class { "CLASS" } else { "     " },
            ended.len(),
            began.elapsed().as_secs_f64()
        )
    };
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some((name, level)) = jobs.get(place) else { break };
                    println!("{}", run(name, level));
                }
            });
        }
    });
}
