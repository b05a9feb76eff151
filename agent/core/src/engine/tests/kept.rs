//! Scenarios of the traces that are kept.

use super::scenario::{Sent, System, call, db};
use crate::observation::{SpanKind, SpanShape, SpanStatus};
use crate::snapshot::{KeptFor, Snapshot, TraceView};

fn serve(path: &str, failed: bool) -> SpanShape {
    SpanShape {
        kind: SpanKind::Server,
        http_method: Some("GET".into()),
        http_route: Some(path.into()),
        status: if failed { SpanStatus::Error } else { SpanStatus::Unset },
        http_status: if failed { 500 } else { 200 },
        ..SpanShape::default()
    }
}

/// A request of lb, app and database that takes `ms`, and 15 ms on the way to the application and back.
fn request(system: &mut System, path: &str, ms: u64, failed: bool) -> Vec<Sent> {
    let lb = system.span("entry", None, serve(path, failed), 100, 100 + ms);
    let out = system.span("entry", Some(&lb), call("app1", 80), 105, 95 + ms);
    let app = system.span("shop", Some(&out), serve(path, failed), 110, 85 + ms);
    let insert = system.span("shop", Some(&app), db("db1", "INSERT"), 115, 80 + ms);
    vec![insert, app, out, lb]
}

fn second(system: &mut System, requests: &[(&str, u64, bool)]) {
    let all = requests.iter().flat_map(|&(path, ms, failed)| request(system, path, ms, failed)).collect();
    system.send(all);
    system.pass_second();
}

fn of<'a>(snapshot: &'a Snapshot, operation: &str) -> Vec<&'a TraceView> {
    snapshot.traces.iter().map(|trace| &**trace).filter(|trace| trace.operation == operation).collect()
}

fn kept(traces: &[&TraceView], why: KeptFor) -> Vec<u64> {
    let kept = traces.iter().filter(|trace| trace.kept_for == why);
    let mut kept: Vec<u64> = kept.map(|trace| trace.duration_ms.round() as u64).collect();
    kept.sort_unstable();
    kept
}

#[test]
fn of_each_operation_the_slowest_the_failed_and_a_sample_are_kept() {
    let mut system = System::new();
    for round in 0..40 {
        let slow = if [7, 19, 23].contains(&round) { 500 + round } else { 60 };
        let mut requests = vec![("/often", 60, false); 20];
        requests.extend([("/often", slow, false), ("/rare", 200, false)]);
        if round == 11 {
            requests.push(("/often", 70, true));
        }
        second(&mut system, &requests);
    }
    let snapshot = system.snapshot();
    let often = of(&snapshot, "GET /often");
    assert_eq!(kept(&often, KeptFor::Slowest), [507, 519, 523]);
    assert_eq!(kept(&often, KeptFor::Failed), [70]);
    assert_eq!(kept(&often, KeptFor::Sample).len(), 2);
    let rare = of(&snapshot, "GET /rare");
    assert!(!rare.is_empty(), "what is asked for rarely has its traces too");
    let ids: Vec<&str> = snapshot.tiers.iter().map(|tier| tier.id.as_str()).collect();
    for trace in often.iter().chain(&rare) {
        assert_eq!((trace.tier.as_str(), trace.spans.len(), trace.incomplete), ("lb/entry", 4, false));
        assert!(trace.spans.iter().all(|span| ids.contains(&span.tier.as_str())), "{trace:?}");
    }
}

#[test]
fn the_critical_path_of_a_trace_is_charged_to_tiers_and_to_the_way_between() {
    let mut system = System::new();
    for _ in 0..20 {
        second(&mut system, &[("/", 100, false)]);
    }
    let snapshot = system.snapshot();
    let trace = &snapshot.traces[0];
    let charges: Vec<(&str, bool, u64)> = trace
        .charges
        .iter()
        .map(|charge| (charge.tier.as_str(), charge.gap, charge.charged_ms.round() as u64))
        .collect();
    let expected = [
        ("db-primary/orders@db1:5432", false, 65),
        ("app/shop", true, 15),
        ("app/shop", false, 10),
        ("lb/entry", false, 10),
    ];
    assert_eq!(charges, expected);
    let path = trace.spans.iter().flat_map(|span| &span.critical).map(|(from, to)| to - from).sum::<f64>();
    assert!((path - trace.duration_ms).abs() < 1e-6, "the path is as long as the request: {path}");
    let depths: Vec<u16> = trace.spans.iter().map(|span| span.depth).collect();
    assert_eq!(depths, [0, 1, 2, 3]);
}

#[test]
fn a_span_of_another_clock_is_drawn_within_its_caller_and_says_by_how_much_it_was_moved() {
    let mut system = System::new();
    for _ in 0..20 {
        let mut all = request(&mut system, "/", 100, false);
        for sent in &mut all[..2] {
            sent.span.start = sent.span.start.minus_nanos(5_000_000_000);
            sent.span.end = sent.span.end.minus_nanos(5_000_000_000);
        }
        system.send(all);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let [lb, out, app, insert] = &snapshot.traces[0].spans[..] else { panic!("{:?}", snapshot.traces[0]) };
    assert_eq!((lb.moved_ms, out.moved_ms, insert.moved_ms), (None, None, None), "the statement moves along");
    assert_eq!(app.moved_ms, Some(5002.5), "into the middle of the call");
    assert!(out.start_ms < app.start_ms && app.start_ms < insert.start_ms);
    assert!(app.start_ms + app.duration_ms < out.start_ms + out.duration_ms);
}

#[test]
fn a_trace_that_is_found_slow_late_is_kept_whole() {
    let mut system = System::new();
    for _ in 0..15 {
        second(&mut system, &[("/", 50, false)]);
    }
    let mut spans = request(&mut system, "/", 900, false);
    let root = spans.pop().expect("the root comes last");
    system.send(spans);
    for _ in 0..5 {
        second(&mut system, &[("/", 50, false)]);
    }
    system.send_alone(root);
    for _ in 0..12 {
        second(&mut system, &[("/", 50, false)]);
    }
    let snapshot = system.snapshot();
    let slowest = snapshot.traces.iter().find(|trace| trace.duration_ms > 800.0).expect("it is kept");
    assert_eq!((slowest.kept_for, slowest.spans.len()), (KeptFor::Slowest, 4));
}

#[test]
fn kept_traces_stay_within_their_budget_and_give_way_when_they_are_old() {
    let mut system = System::new();
    let paths: Vec<String> = (0..40).map(|path| format!("/path-{path}")).collect();
    for round in 0..30 {
        let requests: Vec<(&str, u64, bool)> = paths.iter().map(|path| (path.as_str(), 50 + round, false)).collect();
        second(&mut system, &requests);
    }
    let snapshot = system.snapshot();
    assert_eq!(snapshot.traces.len(), 48);
    let operations: std::collections::BTreeSet<&str> =
        snapshot.traces.iter().map(|trace| trace.operation.as_str()).collect();
    assert!(operations.len() >= 36, "{operations:?}");
    system.pass_quietly(700);
    assert_eq!(system.snapshot().traces, []);
}
