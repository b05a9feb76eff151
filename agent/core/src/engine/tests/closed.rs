//! Seconds that close: each is handed on once, and nothing changes it afterwards.

use std::collections::BTreeMap;

use super::scenario::{System, call, db};
use crate::snapshot::{ClosedSecondView, Snapshot};

/// Requests of a tier by the second; each may be told once only.
fn requests(seconds: &[ClosedSecondView], tier: &str) -> BTreeMap<u64, u64> {
    let of = |second: &ClosedSecondView| {
        let tier = second.tiers.iter().find(|one| one.id == tier)?;
        Some((second.unix_s, tier.requests?))
    };
    let mut all = BTreeMap::new();
    for (second, count) in seconds.iter().filter_map(of) {
        assert_eq!(all.insert(second, count), None, "{second} of {tier} is told twice");
    }
    all
}

/// Thirty seconds of ten reads and one write each, all snapshots kept.
fn half_a_minute() -> (System, Vec<Snapshot>) {
    let mut system = System::new();
    let mut snapshots = Vec::new();
    for _ in 0..30 {
        for _ in 0..10 {
            system.read_request(true);
        }
        system.write_request();
        snapshots.push(system.pass_second());
    }
    (system, snapshots)
}

#[test]
fn every_second_is_handed_on_once() {
    let (mut system, mut snapshots) = half_a_minute();
    snapshots.push(system.finish());
    let closed: Vec<ClosedSecondView> = snapshots.into_iter().flat_map(|shown| shown.closed_seconds).collect();
    let app = requests(&closed, "app/shop");
    let counted: Vec<u64> = app.values().copied().filter(|count| *count > 0).collect();
    assert_eq!(counted, [11; 30], "the last seconds close when the agent stops");
}

#[test]
fn a_closed_second_says_how_long_requests_took_and_what_stood() {
    let (_, snapshots) = half_a_minute();
    let last = snapshots.last().unwrap();
    let [closed] = &last.closed_seconds[..] else { panic!("{} seconds closed", last.closed_seconds.len()) };
    assert_eq!(closed.incidents_open, Some(0));
    let app = closed.tiers.iter().find(|tier| tier.id == "app/shop").unwrap();
    let latency = app.latency.as_ref().unwrap();
    assert_eq!((app.requests, app.errors, app.is_bottleneck), (Some(11), Some(0), Some(false)));
    assert_eq!(latency.buckets.iter().map(|bucket| bucket.count).sum::<u64>(), latency.count);
    assert!(latency.min_ms <= latency.max_ms && latency.sum_ms >= latency.min_ms * latency.count as f64);
    let hits = closed.tiers.iter().find(|tier| tier.id.starts_with("cache/")).unwrap();
    assert!(hits.signals.iter().any(|signal| signal.value > 0.99), "{:?}", hits.signals);
}

#[test]
fn what_comes_after_its_second_closed_is_late_and_in_no_closed_second() {
    let (mut system, _) = half_a_minute();
    let late = system.span("shop", None, db("db1", "SELECT"), 0, 5);
    for _ in 0..15 {
        system.pass_second();
    }
    let before = system.snapshot().pipeline.spans_late;
    system.send_alone(late);
    let last = system.finish();
    assert_eq!(last.pipeline.spans_late, before + 1);
    assert!(requests(&last.closed_seconds, "db-primary/orders@db1:5432").values().all(|count| *count == 0));
}

#[test]
fn a_tier_that_is_learned_late_has_its_first_seconds_handed_on_then() {
    let mut system = System::with_time(|time| time.lateness_s = 1);
    let mut snapshots = Vec::new();
    for _ in 0..30 {
        let call = system.span("shop", None, call("api.example.com", 443), 0, 5);
        system.send_alone(call);
        snapshots.push(system.pass_second());
    }
    snapshots.push(system.finish());
    let first = snapshots.iter().position(|shown| shown.tiers.iter().any(|tier| tier.id == "external/api.example.com"));
    assert!(first.is_some_and(|first| first > 2), "it is not known at once: {first:?}");
    let closed: Vec<ClosedSecondView> = snapshots.into_iter().flat_map(|shown| shown.closed_seconds).collect();
    assert_eq!(requests(&closed, "external/api.example.com").values().sum::<u64>(), 30);
}
