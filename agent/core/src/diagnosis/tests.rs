//! Scenarios: what goes wrong in a made-up shop, and what is then said. One for each row of the table.

pub(super) mod shop;

use std::collections::BTreeMap;

use super::*;
use crate::phase::Phase;
use crate::snapshot::SignalKind;
use crate::traces::{Capture, Traces};
use shop::{Shop, report, report_with};

/// Asserts which tier and class come first, and that the class is of the table.
fn assert_named(report: &Report, tier: &str, class: &str) {
    let first = report.verdicts.first().unwrap_or_else(|| panic!("no verdict: {report:#?}"));
    assert_eq!((first.tier.id.as_str(), first.class.as_deref()), (tier, Some(class)), "{report:#?}");
    assert!(first.confidence > 0.4 && !first.evidence.is_empty(), "{first:#?}");
}

#[test]
fn a_healthy_shop_has_no_verdict() {
    let report = report(&Shop::default(), 250);
    assert_eq!((report.summary.as_str(), report.verdicts.len()), ("healthy: no verdict", 0), "{report:#?}");
    assert_eq!(report.traces.orphans, 0);
}

#[test]
fn too_few_requests_are_no_verdict() {
    let report = report(&Shop { app_ms: [500.0, 500.0], ..Shop::default() }, 12);
    assert_eq!(report.summary, "too few traces: 12, 30 are needed");
    assert!(report.verdicts.is_empty());
}

#[test]
fn app_cpu_its_own_work_takes_longer_on_all_routes() {
    let report = report(&Shop { app_ms: [60.0, 60.0], ..Shop::default() }, 120);
    assert_named(&report, "app/shop", "app-cpu");
    assert_eq!(report.verdicts[0].phase, Some(Phase::Spikes));
    assert!(report.verdicts[0].explained_share.unwrap() > 0.9);
}

#[test]
fn app_cpu_busy_processors_keep_requests_waiting_before_they_are_taken() {
    let mut signals = Signals::default();
    signals.put(SignalKind::CpuRatio, "app/shop", 0.9);
    let report = report_with(&Shop { gap_ms: 40.0, ..Shop::default() }, 120, &signals);
    assert_named(&report, "app/shop", "app-cpu");
}

#[test]
fn connections_are_short_because_the_database_is_slow() {
    let mut signals = Signals::default();
    signals.put(SignalKind::PoolPending, "app/shop", 12.0);
    let slow =
        Shop { app_ms: [60.0, 60.0], primary_read_ms: 30.0, insert_ms: 45.0, update_ms: 45.0, ..Shop::default() };
    let report = report_with(&slow, 200, &signals);
    assert_named(&report, "db-primary/orders@db1", "primary-cpu");
}

#[test]
fn network_delay_is_the_callees() {
    let report = report(&Shop { gap_ms: 40.0, ..Shop::default() }, 120);
    assert_named(&report, "app/shop", "network-delay");
    assert_eq!(report.verdicts[0].phase, Some(Phase::WebTier));
}

#[test]
fn deploy_regression_is_of_the_new_version_alone() {
    let report = report(&Shop { app_ms: [5.0, 80.0], version: "2", ..Shop::default() }, 200);
    assert_named(&report, "app/shop", "deploy-regression");
}

#[test]
fn gc_stalls_are_of_one_instance_now_and_then() {
    let report = report(&Shop { stall_one_in: 5, ..Shop::default() }, 300);
    assert_named(&report, "app/shop", "gc-stalls");
}

#[test]
fn uneven_balance_is_one_instance_that_carries_all() {
    let report = report(&Shop { app_ms: [5.0, 60.0], second_share: 0.95, ..Shop::default() }, 250);
    assert_named(&report, "app/shop", "uneven-balance");
}

#[test]
fn zone_loss_is_a_zone_without_requests() {
    let report = report(&Shop { app_ms: [60.0, 60.0], second_share: 0.0, ..Shop::default() }, 200);
    assert_named(&report, "app/shop", "zone-loss");
}

#[test]
fn traffic_spike_is_the_cause_where_more_comes_in() {
    let report = report(&Shop { app_ms: [60.0, 60.0], between_ms: 10, ..Shop::default() }, 300);
    assert_named(&report, "app/shop", "traffic-spike");
    assert_eq!(report.verdicts[0].phase, Some(Phase::Spikes));
}

#[test]
fn cache_flush_is_the_caches_though_the_replica_takes_the_time() {
    let report = report(&Shop { miss_share: 0.95, replica_ms: 30.0, ..Shop::default() }, 250);
    assert_named(&report, "cache/redis@cache", "cache-flush");
}

#[test]
fn cache_hot_key_is_a_slow_cache() {
    assert_named(&report(&Shop { cache_ms: 60.0, ..Shop::default() }, 150), "cache/redis@cache", "cache-hot-key");
}

#[test]
fn slow_query_is_one_statement_of_several() {
    let report = report(&Shop { primary_read_ms: 200.0, ..Shop::default() }, 150);
    assert_named(&report, "db-primary/orders@db1", "slow-query");
}

#[test]
fn slow_query_is_what_holds_a_replica_of_which_all_is_slower() {
    assert_named(&report(&Shop { replica_ms: 90.0, ..Shop::default() }, 250), "db-replica/orders", "slow-query");
}

#[test]
fn primary_cpu_is_every_statement() {
    let slow = Shop { primary_read_ms: 80.0, insert_ms: 90.0, update_ms: 90.0, ..Shop::default() };
    assert_named(&report(&slow, 150), "db-primary/orders@db1", "primary-cpu");
}

#[test]
fn lock_contention_is_writes_that_wait() {
    let slow = Shop { insert_ms: 150.0, update_ms: 150.0, ..Shop::default() };
    assert_named(&report(&slow, 150), "db-primary/orders@db1", "lock-contention");
}

#[test]
fn primary_cpu_is_busy_processors_also_where_writes_wait_longest() {
    let mut signals = Signals::default();
    signals.put(SignalKind::CpuRatio, "db-primary/orders@db1", 0.95);
    let slow = Shop { insert_ms: 150.0, update_ms: 150.0, ..Shop::default() };
    assert_named(&report_with(&slow, 150, &signals), "db-primary/orders@db1", "primary-cpu");
}

#[test]
fn lock_contention_is_writes_that_wait_most_while_the_processors_are_free() {
    let mut signals = Signals::default();
    signals.put(SignalKind::CpuRatio, "db-primary/orders@db1", 0.1);
    let slow = Shop { primary_read_ms: 20.0, insert_ms: 300.0, update_ms: 300.0, ..Shop::default() };
    assert_named(&report_with(&slow, 150, &signals), "db-primary/orders@db1", "lock-contention");
}

#[test]
fn disk_full_is_writes_that_fail() {
    let full = Shop { failing: Some((TierKind::DbPrimary, 0.9)), reads_fail: false, ..Shop::default() };
    assert_named(&report(&full, 150), "db-primary/orders@db1", "disk-full");
}

#[test]
fn primary_failover_is_a_primary_that_refuses_all() {
    let gone = Shop { failing: Some((TierKind::DbPrimary, 0.9)), ..Shop::default() };
    assert_named(&report(&gone, 150), "db-primary/orders@db1", "primary-failover");
}

#[test]
fn replica_loss_is_a_replica_that_refuses() {
    let gone = Shop { failing: Some((TierKind::DbReplica, 1.0)), ..Shop::default() };
    assert_named(&report(&gone, 300), "db-replica/orders", "replica-loss");
}

#[test]
fn object_store_slow_is_of_the_object_store() {
    assert_named(
        &report(&Shop { object_ms: 150.0, ..Shop::default() }, 150),
        "object-store/pictures",
        "object-store-slow",
    );
}

#[test]
fn nosql_throttle_is_a_store_that_refuses() {
    let refusing = Shop { failing: Some((TierKind::Nosql, 0.6)), ..Shop::default() };
    let report = report(&refusing, 150);
    assert_named(&report, "nosql/orders", "nosql-throttle");
}

#[test]
fn external_slow_is_not_ours() {
    assert_named(
        &report(&Shop { payment_ms: 300.0, ..Shop::default() }, 150),
        "external/payments.example",
        "external-slow",
    );
}

#[test]
fn poison_message_is_work_that_fails_behind_the_front() {
    let poisoned = Shop { failing: Some((TierKind::Worker, 0.6)), ..Shop::default() };
    assert_named(&report(&poisoned, 250), "worker/mailer", "poison-message");
}

#[test]
fn pool_exhaustion_is_the_applications_where_requests_wait_for_a_connection() {
    let mut signals = Signals::default();
    signals.put(SignalKind::PoolPending, "app/shop", 12.0);
    let waiting = Shop { app_ms: [60.0, 60.0], ..Shop::default() };
    assert_named(&report_with(&waiting, 150, &signals), "app/shop", "pool-exhaustion");
}

#[test]
fn replica_lag_is_told_while_requests_are_well() {
    let mut signals = Signals::default();
    signals.put(SignalKind::ReplicaLagSeconds, "db-replica/orders", 9.0);
    assert_named(&report_with(&Shop::default(), 150, &signals), "db-replica/orders", "replica-lag");
}

#[test]
fn worker_loss_is_a_queue_that_grows() {
    let mut signals = Signals::default();
    for depth in [2.0, 40.0, 90.0] {
        signals.put(SignalKind::QueueDepth, "queue/jobs", depth);
    }
    let report = report_with(&Shop::default(), 150, &signals);
    assert_named(&report, "worker/mailer", "worker-loss");
}

#[test]
fn a_slowdown_of_no_class_names_the_tier_alone() {
    let report = report(&Shop { nosql_ms: 100.0, ..Shop::default() }, 150);
    let first = &report.verdicts[0];
    assert_eq!(
        (first.tier.id.as_str(), first.class.as_deref(), first.phase),
        ("nosql/orders", None, None),
        "{report:#?}"
    );
}

#[test]
fn the_onset_is_where_the_slow_run_begins() {
    let mut traces = Traces::new(16 << 20);
    let slow = Shop { app_ms: [60.0, 60.0], ..Shop::default() };
    traces.take(&Shop::default().requests(240, 1_000), Capture::Subject);
    traces.take(&slow.requests(120, 1_100), Capture::Subject);
    traces.take(&Shop::default().requests(120, 1_200), Capture::Subject);
    let subject = traces.requests(Capture::Subject);
    let (names, none) = (BTreeMap::new(), Signals::default());
    let report = diagnose(Question {
        traces: &traces,
        baseline: None,
        subject: &subject,
        names: &names,
        signals: (&none, &none),
        incidents: &[],
    });
    assert_named(&report, "app/shop", "app-cpu");
    assert_eq!(report.verdicts[0].onset, Some(1_100_000));
    assert!((110..=130).contains(&report.window.requests), "{:?}", report.window);
}
