//! Seconds that close: each is handed on once, and nothing changes it afterwards.

use std::collections::BTreeMap;

use super::scenario::{System, db};
use crate::snapshot::{ClosedSecondView, Snapshot};

fn requests(seconds: &[ClosedSecondView], tier: &str) -> BTreeMap<u64, u64> {
    let of = |second: &ClosedSecondView| {
        let tier = second.tiers.iter().find(|one| one.id == tier)?;
        Some((second.unix_s, tier.requests?))
    };
    seconds.iter().filter_map(of).collect()
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
fn every_second_is_handed_on_once_and_in_order() {
    let (mut system, mut snapshots) = half_a_minute();
    snapshots.push(system.finish());
    let closed: Vec<ClosedSecondView> = snapshots.into_iter().flat_map(|shown| shown.closed_seconds).collect();
    assert!(closed.windows(2).all(|pair| pair[1].unix_s == pair[0].unix_s + 1));
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
