//! Scenarios: a second at a time, what the snapshot says and which warnings are open.

use super::*;
use crate::config::TierPattern;
use crate::snapshot::{EdgeView, InstanceView, SignalKind, SignalView, TierView};
use crate::thresholds::{Bounds, ReplicaLag};
use crate::tier::TierKind;

/// A system of plain figures, whose seconds are played one by one.
struct Play {
    warnings: Warnings,
    snapshot: Snapshot,
}

impl Play {
    fn new() -> Self {
        let snapshot = Snapshot { at_unix_ms: 1_800_000_000_000, ..Snapshot::default() };
        let mut play = Self { warnings: Warnings::default(), snapshot };
        for kind in TierKind::ALL {
            play.snapshot.tiers.push(tier(kind));
        }
        for (from, to) in [("lb/x", "web/x"), ("web/x", "app/x"), ("app/x", "db-primary/x"), ("app/x", "cache/x")] {
            play.snapshot.edges.push(EdgeView { from: from.into(), to: to.into(), ..EdgeView::default() });
        }
        play
    }

    fn tier(&mut self, kind: TierKind) -> &mut TierView {
        self.snapshot.tiers.iter_mut().find(|tier| tier.kind == kind).unwrap()
    }

    fn signal(&mut self, kind: SignalKind, tier: &str, value: f64, slope: f64) {
        self.snapshot.signals.retain(|signal| signal.kind != kind);
        self.snapshot.signals.push(SignalView {
            kind,
            tier: tier.into(),
            part: String::new(),
            value: Some(value),
            inferred: false,
            source: String::new(),
            slope_per_second: Some(slope),
            age_s: Some(0.0),
            trend: Vec::new(),
            hint: None,
        });
    }

    /// Plays so many seconds; the rules that were open in the last one, with their tiers.
    fn seconds(&mut self, count: u64) -> Vec<String> {
        for _ in 0..count {
            self.snapshot.at_unix_ms += 1000;
            self.warnings.judge(&mut self.snapshot);
        }
        let open = self.snapshot.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none());
        open.map(|warning| format!("{} {}", warning.rule, warning.tier)).collect()
    }

    fn warning(&self, rule: &str) -> &WarningView {
        self.snapshot.warnings.iter().find(|warning| warning.rule == rule).expect("a warning of this rule")
    }
}

fn tier(kind: TierKind) -> TierView {
    let instance = |name: &str, zone: &str| InstanceView {
        name: name.into(),
        zone: Some(zone.into()),
        requests_per_second: Some(25.0),
        ..InstanceView::default()
    };
    TierView {
        requests_per_second: Some(50.0),
        error_ratio: Some(0.0),
        p50_ms: Some(5.0),
        p90_ms: Some(10.0),
        p95_ms: Some(20.0),
        p99_ms: Some(30.0),
        max_ms: Some(40.0),
        instances: vec![instance("one", "a"), instance("two", "b")],
        zones: vec!["a".into(), "b".into()],
        ..TierView::named(kind, "x")
    }
}

#[test]
fn a_healthy_system_stays_silent() {
    let mut play = Play::new();
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.95, 0.0);
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 0.2, 0.0);
    play.signal(SignalKind::QueueDepth, "queue/x", 3.0, 0.0);
    play.signal(SignalKind::QueueOldestAgeSeconds, "queue/x", 0.5, 0.0);
    assert_eq!(play.seconds(600), Vec::<String>::new());
}

#[test]
fn replica_lag_over_its_bound() {
    let mut play = Play::new();
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 6.0, 0.0);
    assert_eq!(play.seconds(3), Vec::<String>::new(), "four seconds of six make a warning");
    assert_eq!(play.seconds(1), ["replica-lag db-replica/x"]);
    let warning = play.warning("replica-lag");
    assert_eq!(warning.phase.map(crate::phase::Phase::number), Some(3));
    assert_eq!(warning.evidence[0], "lag 6.0 s, steady");
    assert_eq!(warning.since_unix_ms, play.snapshot.at_unix_ms - 3000, "since its first bad second");
}

#[test]
fn replica_lag_that_grows_is_seen_before_its_bound() {
    let mut play = Play::new();
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 2.0, 0.9);
    assert_eq!(play.seconds(4), ["replica-lag db-replica/x"]);
    assert_eq!(play.warning("replica-lag").evidence[0], "lag 2.0 s, growing 0.9 s/s");
}

#[test]
fn a_bound_of_the_users_is_the_one_that_counts_and_for_its_tiers_alone() {
    let patient = Bounds { replica_lag: ReplicaLag { above_s: 60.0, ..ReplicaLag::default() }, ..Bounds::default() };
    let only = |member: &str| (TierPattern { kind: Some(TierKind::DbReplica), member: member.into() }, patient);
    for (member, expected) in [("x", None), ("y", Some("replica-lag db-replica/x"))] {
        let mut play = Play::new();
        let thresholds = Thresholds { only: vec![only(member)], ..Thresholds::default() };
        play.warnings = Warnings::new(thresholds.into(), TimeRules::default());
        play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 6.0, 0.0);
        assert_eq!(play.seconds(6).first().map(String::as_str), expected, "{member}");
    }
}

#[test]
fn a_bound_under_the_one_for_growing_still_holds_its_warning_open() {
    let mut play = Play::new();
    let strict = Bounds { replica_lag: ReplicaLag { above_s: 0.5, ..ReplicaLag::default() }, ..Bounds::default() };
    play.warnings = Warnings::new(Thresholds { all: strict, only: Vec::new() }.into(), TimeRules::default());
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 0.7, 0.0);
    assert_eq!(play.seconds(60), ["replica-lag db-replica/x"]);
}

#[test]
fn a_warning_ends_when_it_was_fine_for_a_while_and_is_remembered() {
    let mut play = Play::new();
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 6.0, 0.0);
    play.seconds(10);
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 0.1, 0.0);
    assert_eq!(play.seconds(9).len(), 1, "not at once");
    assert_eq!(play.seconds(2), Vec::<String>::new());
    assert!(play.warning("replica-lag").ended_unix_ms.is_some());
    play.seconds(301);
    assert!(play.snapshot.warnings.is_empty());
}

#[test]
fn what_goes_up_and_down_around_its_bound_is_one_warning() {
    let mut play = Play::new();
    let mut onsets = 0;
    let mut was_open = false;
    for second in 0..120 {
        let lag = if second % 2 == 0 { 5.5 } else { 4.5 };
        play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", lag, 0.0);
        let open = !play.seconds(1).is_empty();
        onsets += u32::from(open && !was_open);
        was_open = open;
    }
    assert!(onsets <= 1, "{onsets} onsets");
}

#[test]
fn a_flushed_cache() {
    let mut play = Play::new();
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.95, 0.0);
    play.seconds(90);
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.4, -0.05);
    assert_eq!(play.seconds(6), ["cache-hit-rate-falling cache/x"]);
    let warning = play.warning("cache-hit-rate-falling");
    assert_eq!(
        (warning.severity, warning.evidence[0].as_str()),
        (Severity::Critical, "40 % of reads are hits, usually 95 %")
    );
}

#[test]
fn a_cache_that_warms_up_is_not_low() {
    let mut play = Play::new();
    for second in 0..60 {
        play.signal(SignalKind::CacheHitRatio, "cache/x", 0.01 * f64::from(second), 0.01);
        assert_eq!(play.seconds(1), Vec::<String>::new());
    }
}

#[test]
fn a_hit_rate_that_stays_low() {
    let mut play = Play::new();
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.3, 0.0);
    assert_eq!(play.seconds(30), ["cache-hit-rate-low cache/x"]);
}

#[test]
fn a_queue_without_workers() {
    let mut play = Play::new();
    play.signal(SignalKind::QueueOldestAgeSeconds, "queue/x", 12.0, 1.0);
    assert_eq!(play.seconds(5), ["queue-backlog queue/x"]);
    assert_eq!(play.warning("queue-backlog").phase.map(crate::phase::Phase::number), Some(5));
}

#[test]
fn a_queue_that_grows_though_its_messages_are_young() {
    let mut play = Play::new();
    play.signal(SignalKind::QueueDepth, "queue/x", 300.0, 5.0);
    assert_eq!(play.seconds(15), ["queue-growth queue/x"]);
}

#[test]
fn growth_is_not_told_twice_when_age_says_it_already() {
    let mut play = Play::new();
    play.signal(SignalKind::QueueDepth, "queue/x", 300.0, 5.0);
    play.signal(SignalKind::QueueOldestAgeSeconds, "queue/x", 70.0, 1.0);
    assert_eq!(play.seconds(30), ["queue-backlog queue/x"]);
}

#[test]
fn each_kind_of_tier_can_be_slower_than_usual() {
    for kind in TierKind::ALL {
        let mut play = Play::new();
        play.seconds(120);
        play.tier(kind).p90_ms = Some(30.0);
        play.tier(kind).p95_ms = Some(50.0);
        assert_eq!(play.seconds(12), [format!("latency-above-usual {kind}/x")]);
        assert_eq!(play.warning("latency-above-usual").evidence[0], "p95 50 ms, usually 20 ms");
    }
}

#[test]
fn each_kind_of_tier_can_fail_more_than_usual() {
    for kind in TierKind::ALL {
        let mut play = Play::new();
        play.seconds(120);
        play.tier(kind).error_ratio = Some(0.05);
        assert_eq!(play.seconds(8), [format!("errors-above-usual {kind}/x")]);
    }
}

#[test]
fn the_deepest_slow_tier_is_named_and_its_callers_are_its_evidence() {
    let mut play = Play::new();
    play.seconds(120);
    for kind in [TierKind::Lb, TierKind::Web, TierKind::App, TierKind::DbPrimary] {
        play.tier(kind).p90_ms = Some(80.0);
        play.tier(kind).p95_ms = Some(100.0);
    }
    assert_eq!(play.seconds(12), ["latency-above-usual db-primary/x"]);
    let evidence = &play.warning("latency-above-usual").evidence;
    assert_eq!(evidence.last().unwrap(), "slow with it: app/x, lb/x, web/x");
    for kind in [TierKind::Lb, TierKind::Web, TierKind::App, TierKind::DbPrimary] {
        play.tier(kind).p90_ms = Some(10.0);
        play.tier(kind).p95_ms = Some(20.0);
    }
    for _ in 0..60 {
        let open = play.seconds(1);
        assert!(open.is_empty() || open == ["latency-above-usual db-primary/x"], "callers show up late: {open:?}");
    }
}

#[test]
fn a_flushed_cache_accounts_for_its_slow_callers_and_the_database_they_turn_to() {
    let mut play = Play::new();
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.95, 0.0);
    play.seconds(120);
    play.signal(SignalKind::CacheHitRatio, "cache/x", 0.4, -0.05);
    for kind in [TierKind::Lb, TierKind::Web, TierKind::App, TierKind::DbPrimary, TierKind::External] {
        play.tier(kind).p90_ms = Some(80.0);
        play.tier(kind).p95_ms = Some(100.0);
    }
    let open = play.seconds(15);
    assert_eq!(open, ["cache-hit-rate-falling cache/x", "latency-above-usual external/x"], "nobody calls both");
    let evidence = &play.warning("cache-hit-rate-falling").evidence;
    assert_eq!(evidence.last().unwrap(), "slow with it: app/x, lb/x, web/x, db-primary/x");
}

#[test]
fn few_requests_say_nothing_of_latency() {
    let mut play = Play::new();
    play.tier(TierKind::App).requests_per_second = Some(5.0);
    play.seconds(120);
    play.tier(TierKind::App).p90_ms = Some(300.0);
    play.tier(TierKind::App).p95_ms = Some(500.0);
    assert_eq!(play.seconds(20), Vec::<String>::new());
}

#[test]
fn what_was_usual_before_an_incident_stays_the_measure() {
    let mut play = Play::new();
    play.seconds(120);
    play.tier(TierKind::App).p90_ms = Some(30.0);
    play.tier(TierKind::App).p95_ms = Some(50.0);
    assert_eq!(play.seconds(900), ["latency-above-usual app/x"]);
}

#[test]
fn one_of_two_instances_takes_all() {
    let mut play = Play::new();
    play.tier(TierKind::App).instances[0].zone = Some("b".into());
    play.tier(TierKind::App).instances[0].requests_per_second = Some(0.2);
    assert_eq!(play.seconds(10), ["one-instance-carries-all app/x"]);
    assert_eq!(play.warning("one-instance-carries-all").phase.map(crate::phase::Phase::number), Some(2));
}

#[test]
fn one_of_two_zones_takes_all() {
    let mut play = Play::new();
    play.tier(TierKind::App).instances[0].requests_per_second = Some(0.0);
    assert_eq!(play.seconds(10), ["one-zone-carries-all app/x"]);
}

#[test]
fn a_single_instance_is_no_skew() {
    let mut play = Play::new();
    play.tier(TierKind::Lb).instances.truncate(1);
    assert_eq!(play.seconds(60), Vec::<String>::new());
}

#[test]
fn a_tier_that_is_gone_takes_its_warning_with_it() {
    let mut play = Play::new();
    play.signal(SignalKind::ReplicaLagSeconds, "db-replica/x", 6.0, 0.0);
    play.seconds(10);
    play.snapshot.signals.clear();
    assert_eq!(play.seconds(30).len(), 1, "that nothing is heard of it is no recovery");
    assert_eq!(play.warning("replica-lag").evidence[0], "no data to judge by for 30 s");
    assert_eq!(play.seconds(91), Vec::<String>::new());
}

#[test]
fn every_rule_says_what_to_do() {
    for rule in RULES {
        for remedy in [rule.now, rule.for_good] {
            // The banner of an 80-column screen has so much room beside "for good".
            assert!((10..=66).contains(&remedy.chars().count()), "{}: {remedy}", rule.name);
        }
        assert!(rule.raise.0 <= rule.raise.1 && rule.raise.1 < 64, "{}", rule.name);
        let is_known = |other| RULES.iter().any(|rule| rule.name == other);
        assert!(rule.unless.is_none_or(is_known), "{}", rule.name);
    }
}
