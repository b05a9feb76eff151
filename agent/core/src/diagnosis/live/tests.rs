//! Incidents of a made-up shop, second by second.

use super::*;
use crate::config::TierPattern;
use crate::diagnosis::rules::{Basis, Bound, Condition, Figure as RuleFigure, Level, UserRule};
use crate::diagnosis::tests::shop::Shop;
use crate::snapshot::{IncidentView, InstanceView, Severity, SignalKind, SignalView, StallView, TierView, WarningView};
use crate::thresholds::{Bounds, Effect, Thresholds};
use crate::tier::TierKind;
use crate::verdict::TierRef;

/// A diagnosis that hears of a shop each second.
struct Watched {
    live: Live,
    second: u64,
    snapshot: Snapshot,
}

impl Watched {
    fn new() -> Self {
        let mut snapshot = Snapshot::default();
        snapshot.tiers.push(TierView::named(TierKind::DbReplica, "orders"));
        Self { live: Live::new(8 << 20, 1_000), second: 10_000, snapshot }
    }

    /// Lets seconds pass in which the shop takes 20 requests each; returns what is then said.
    fn pass(&mut self, shop: &Shop, seconds: u64) -> &DiagnosisView {
        for _ in 0..seconds {
            let each = 1_000_u64.checked_div(shop.between_ms).unwrap_or_default();
            self.live.take(&shop.requests(each, self.second));
            self.second += 1;
            // Seen a second later, so that what began at its end is there as well.
            let settled = UnixSecond(self.second).start();
            self.snapshot.at_unix_ms = settled.as_millis() + 1_000;
            self.live.judge(&mut self.snapshot, settled, BTreeMap::new);
        }
        &self.snapshot.diagnosis
    }
}

fn named(incident: &IncidentView) -> (&str, Option<&str>) {
    let verdict = incident.verdict.as_ref().unwrap_or_else(|| panic!("no verdict: {incident:#?}"));
    (verdict.tier.id.as_str(), verdict.class.as_deref())
}

#[test]
fn a_healthy_shop_is_learned_and_then_healthy() {
    let mut watched = Watched::new();
    let early = watched.pass(&Shop::default(), 20).clone();
    assert_eq!(early.state, DiagnosisState::Learning, "{}", early.summary);
    let later = watched.pass(&Shop::default(), 280);
    assert_eq!((later.state, later.summary.as_str()), (DiagnosisState::Healthy, "healthy: no verdict"));
    assert_eq!(later.incidents, []);
}

#[test]
fn a_slow_tier_opens_one_incident_and_its_recovery_ends_it() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    let onset_ms = watched.second * 1_000;
    let slow = Shop { payment_ms: 200.0, ..Shop::default() };
    let after = watched.pass(&slow, 12).clone();
    assert_eq!(after.state, DiagnosisState::Named, "{}", after.summary);
    let incident = &after.incidents[0];
    assert_eq!(named(incident), ("external/payments.example", Some("external-slow")), "{incident:#?}");
    assert!(incident.onset_unix_ms.abs_diff(onset_ms) <= 2_000, "{} against {onset_ms}", incident.onset_unix_ms);
    assert!(incident.excess_ms.unwrap() > 100.0 && incident.usual_ms.unwrap() < 100.0, "{incident:#?}");

    // What is usual stands still, however long it lasts.
    let long = watched.pass(&slow, 400);
    assert_eq!((long.open().count(), long.incidents[0].changes), (1, 0));

    let well = watched.pass(&Shop::default(), 20);
    assert_eq!((well.state, well.incidents.len()), (DiagnosisState::Healthy, 1), "{}", well.summary);
    assert!(well.incidents[0].ended_unix_ms.is_some());
}

/// A rule on replicas.
fn busy_replica(basis: Basis) -> UserRule {
    UserRule {
        name: "reports-run".to_owned(),
        title: "the nightly reports run".to_owned(),
        tier: TierPattern { kind: Some(TierKind::DbReplica), member: "ord*".to_owned() },
        basis,
        phase: None,
        say: None,
        now: Some("let them end".to_owned()),
        for_good: None,
    }
}

/// More than 30 requests a second for so long.
fn busy(lasting_ms: u64) -> Basis {
    let condition = Condition {
        tier: None,
        level: Level::Figure(RuleFigure::RequestsPerSecond),
        name: "requests_per_second".to_owned(),
        bound: Bound::Above(30.0),
    };
    Basis::When { all: vec![condition], lasting_ms }
}

fn told(rule: UserRule) -> Told {
    Told { rules: [rule].into(), ..Told::default() }
}

#[test]
fn a_rule_of_the_users_is_an_incident_with_its_words_while_it_holds() {
    let rule = busy_replica(busy(3_000));
    let mut watched = Watched::new();
    watched.live = watched.live.told(told(rule));
    watched.snapshot.tiers[0].requests_per_second = Some(20.0);
    assert_eq!(watched.pass(&Shop::default(), 60).incidents, []);
    watched.snapshot.tiers[0].requests_per_second = Some(40.0);
    let after = watched.pass(&Shop::default(), 5).clone();
    assert_eq!(named(&after.incidents[0]), ("db-replica/orders", Some("reports-run")));
    assert_eq!(after.summary, "db-replica/orders: the nightly reports run");
    let verdict = after.verdict().unwrap();
    assert_eq!(verdict.evidence, ["requests_per_second 40.0, above 30"]);
    assert_eq!(verdict.remedy_now.as_deref(), Some("let them end"));
    watched.snapshot.tiers[0].requests_per_second = Some(20.0);
    let later = watched.pass(&Shop::default(), 12);
    assert_eq!(later.open().count(), 0, "{later:#?}");
}

#[test]
fn a_rule_of_the_users_leads_over_what_a_signal_says_of_the_same_tier() {
    let mut watched = Watched::new();
    watched.live = watched.live.told(told(busy_replica(busy(0))));
    watched.snapshot.tiers[0].requests_per_second = Some(20.0);
    watched.pass(&Shop::default(), 120);
    watched.snapshot.warnings = vec![lag(&watched)];
    watched.pass(&Shop::default(), 3);
    watched.snapshot.tiers[0].requests_per_second = Some(40.0);
    let after = watched.pass(&Shop::default(), 3);
    let open: Vec<_> = after.open().map(|incident| named(incident).1).collect();
    assert_eq!(open, [Some("reports-run"), Some("replica-lag")]);
}

#[test]
fn what_is_usual_is_learned_while_a_rule_of_the_users_holds() {
    let mut watched = Watched::new();
    watched.live = watched.live.told(told(busy_replica(busy(0))));
    watched.snapshot.tiers[0].requests_per_second = Some(40.0);
    watched.pass(&Shop::default(), 120);
    let slow = Shop { payment_ms: 200.0, ..Shop::default() };
    let open: Vec<_> = watched.pass(&slow, 15).open().map(|incident| named(incident).1).collect();
    assert_eq!(open, [Some("reports-run"), Some("external-slow")]);
}

#[test]
fn a_class_of_the_table_is_told_in_the_users_words() {
    let mut watched = Watched::new();
    watched.live = watched.live.told(told(busy_replica(Basis::Replaces("replica-lag".to_owned()))));
    watched.pass(&Shop::default(), 120);
    watched.snapshot.warnings = vec![lag(&watched)];
    let after = watched.pass(&Shop::default(), 2);
    assert_eq!(named(&after.incidents[0]), ("db-replica/orders", Some("reports-run")));
    assert_eq!(after.summary, "db-replica/orders: the nightly reports run");
}

#[test]
fn what_takes_too_little_longer_for_the_user_is_no_incident() {
    let bounds = Bounds { verdict: Effect { least_ms: 1_000.0, ..Effect::default() }, ..Bounds::default() };
    let slow = Shop { payment_ms: 200.0, ..Shop::default() };
    for (bounds, incidents) in [(bounds, 0), (Bounds::default(), 1)] {
        let mut watched = Watched::new();
        let thresholds = Thresholds { all: bounds, only: Vec::new() };
        watched.live = watched.live.told(Told { thresholds: thresholds.into(), ..Told::default() });
        watched.pass(&Shop::default(), 120);
        assert_eq!(watched.pass(&slow, 15).incidents.len(), incidents);
    }
}

#[test]
fn a_second_that_is_slow_is_no_incident() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    for _ in 0..5 {
        watched.pass(&Shop { app_ms: [400.0, 400.0], ..Shop::default() }, 1);
        let after = watched.pass(&Shop::default(), 20);
        assert_eq!(after.incidents, [], "{}", after.summary);
    }
}

#[test]
fn failures_are_an_incident_of_the_tier_in_which_they_begin() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    let failing = Shop { failing: Some((TierKind::ObjectStore, 0.8)), ..Shop::default() };
    let after = watched.pass(&failing, 15);
    assert_eq!(named(&after.incidents[0]).0, "object-store/pictures", "{:#?}", after.incidents[0]);
    assert!(after.incidents[0].failed_ratio.unwrap() > 0.1);
}

#[test]
fn what_is_slow_in_a_rare_route_alone_is_found() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 300);
    let slow = Shop { insert_ms: 160.0, update_ms: 160.0, ..Shop::default() };
    let after = watched.pass(&slow, 40);
    let (tier, class) = named(after.incidents.first().expect("an incident"));
    assert_eq!((tier, class), ("db-primary/orders@db1", Some("lock-contention")));
}

/// A warning of lag that is four seconds old.
fn lag(watched: &Watched) -> WarningView {
    WarningView {
        rule: "replica-lag".to_owned(),
        tier: "db-replica/orders".to_owned(),
        severity: Severity::Warning,
        evidence: vec!["8.4 s behind".to_owned()],
        since_unix_ms: watched.second * 1_000 - 4_000,
        ..WarningView::default()
    }
}

#[test]
fn a_signal_is_an_incident_though_requests_are_well() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    watched.snapshot.warnings.push(lag(&watched));
    let after = watched.pass(&Shop::default(), 2).clone();
    assert_eq!(named(&after.incidents[0]), ("db-replica/orders", Some("replica-lag")));
    assert_eq!(after.incidents[0].verdict.as_ref().unwrap().evidence, ["8.4 s behind"]);
    assert_eq!(after.incidents[0].excess_ms, None);
    watched.snapshot.warnings.clear();
    assert_eq!(watched.pass(&Shop::default(), 14).state, DiagnosisState::Healthy);
}

#[test]
fn a_growing_queue_is_the_workers_unless_what_they_call_is_slow() {
    let growing = |watched: &mut Watched| {
        watched.snapshot.warnings = vec![WarningView {
            rule: "queue-growth".to_owned(),
            tier: "queue/mail".to_owned(),
            since_unix_ms: watched.second * 1_000 - 20_000,
            ..WarningView::default()
        }];
    };
    let tiers = [TierView::named(TierKind::Queue, "mail"), TierView::named(TierKind::Worker, "mailer")];
    let mut watched = Watched::new();
    watched.snapshot.tiers.extend(tiers.clone());
    watched.pass(&Shop::default(), 120);
    growing(&mut watched);
    let after = watched.pass(&Shop::default(), 3);
    assert_eq!(named(&after.incidents[0]), ("worker/mailer", Some("worker-loss")));

    let mut watched = Watched::new();
    watched.snapshot.tiers.extend(tiers);
    watched.pass(&Shop::default(), 120);
    let slow = Shop { object_ms: 900.0, ..Shop::default() };
    watched.pass(&slow, 15);
    growing(&mut watched);
    let after = watched.pass(&slow, 10);
    let open: Vec<_> = after.open().map(|incident| named(incident).0.to_owned()).collect();
    assert_eq!(open, ["object-store/pictures"]);
}

#[test]
fn without_requests_it_says_so() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    let silent = watched.pass(&Shop { between_ms: 0, ..Shop::default() }, 40);
    assert_eq!(silent.state, DiagnosisState::TooFew);
    assert_eq!(silent.summary, "too few traces: 0 in 30 s, 30 are needed");
}

#[test]
fn tiers_that_wait_for_the_culprit_are_its_victims() {
    let mut watched = Watched::new();
    for (kind, member) in [(TierKind::Lb, "gate"), (TierKind::App, "shop"), (TierKind::External, "payments.example")] {
        watched.snapshot.tiers.push(TierView::named(kind, member));
    }
    let edge = |from: &str, to: &str| crate::snapshot::EdgeView {
        from: from.to_owned(),
        to: to.to_owned(),
        ..crate::snapshot::EdgeView::default()
    };
    watched.snapshot.edges = vec![edge("lb/gate", "app/shop"), edge("app/shop", "external/payments.example")];
    watched.pass(&Shop::default(), 120);
    let after = watched.pass(&Shop { payment_ms: 200.0, ..Shop::default() }, 12);
    assert_eq!(after.incidents[0].victims, ["lb/gate", "app/shop"]);
    let tier = &after.incidents[0].verdict.as_ref().unwrap().tier;
    assert_eq!(
        *tier,
        TierRef { id: "external/payments.example".into(), kind: TierKind::External, member: "payments.example".into() }
    );
}

/// Lets seconds pass in which a figure of the snapshot changes.
fn pass_with(watched: &mut Watched, seconds: u64, mut change: impl FnMut(&mut Snapshot, u64)) -> DiagnosisView {
    for second in 0..seconds {
        change(&mut watched.snapshot, second);
        watched.pass(&Shop::default(), 1);
    }
    watched.snapshot.diagnosis.clone()
}

fn signal(kind: SignalKind, tier: &str, part: &str, value: f64) -> SignalView {
    SignalView {
        kind,
        tier: tier.to_owned(),
        part: part.to_owned(),
        value: Some(value),
        inferred: false,
        source: String::new(),
        slope_per_second: None,
        age_s: None,
        trend: Vec::new(),
        hint: None,
    }
}

fn service(kind: TierKind, instances: usize, requests_per_second: f64) -> TierView {
    let instance = |place| InstanceView { name: format!("one-{place}"), ..InstanceView::default() };
    TierView {
        requests_per_second: Some(requests_per_second),
        instances: (0..instances).map(instance).collect(),
        ..TierView::named(kind, "shop")
    }
}

#[test]
fn traffic_spike_is_seen_before_anything_is_slow() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0)];
    watched.pass(&Shop::default(), 120);
    let after = pass_with(&mut watched, 12, |snapshot, _| snapshot.tiers[0].requests_per_second = Some(70.0));
    assert_eq!(named(&after.incidents[0]), ("app/shop", Some("traffic-spike")));
}

#[test]
fn the_first_traffic_of_an_idle_system_is_no_spike() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 0.0)];
    watched.pass(&Shop::default(), 120);
    let after = pass_with(&mut watched, 12, |snapshot, _| snapshot.tiers[0].requests_per_second = Some(20.0));
    assert_eq!(after.incidents, [], "it begins to be used");
}

#[test]
fn a_front_that_is_found_late_is_no_spike() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::Worker, 1, 2.0)];
    watched.pass(&Shop::default(), 90);
    watched.snapshot.tiers.insert(0, service(TierKind::App, 2, 20.0));
    let after = watched.pass(&Shop::default(), 120);
    assert_eq!(after.incidents, [], "rates of two tiers are not compared");
}

#[test]
fn over_provisioned_is_a_fleet_that_grew_without_load() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0)];
    watched.pass(&Shop::default(), 120);
    let after = pass_with(&mut watched, 40, |snapshot, _| snapshot.tiers[0] = service(TierKind::App, 6, 20.0));
    assert_eq!(named(&after.incidents[0]), ("app/shop", Some("over-provisioned")));

    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0)];
    watched.pass(&Shop::default(), 120);
    let scaled = pass_with(&mut watched, 40, |snapshot, _| snapshot.tiers[0] = service(TierKind::App, 6, 40.0));
    assert_eq!(scaled.incidents, [], "it grew with its load");
}

#[test]
fn uneven_balance_is_one_instance_that_takes_nearly_all_while_others_are_there() {
    let tiers = |shares: [f64; 2]| {
        let mut tier = service(TierKind::App, 2, 20.0);
        for (instance, share) in tier.instances.iter_mut().zip(shares) {
            instance.requests_per_second = Some(20.0 * share);
        }
        vec![TierView::named(TierKind::Lb, "gate"), tier]
    };
    let mut watched = Watched::new();
    watched.snapshot.tiers = tiers([0.5, 0.5]);
    watched.pass(&Shop::default(), 120);
    let after = pass_with(&mut watched, 20, |snapshot, _| snapshot.tiers = tiers([0.1, 0.9]));
    assert_eq!(named(&after.incidents[0]), ("lb/gate", Some("uneven-balance")));

    let mut watched = Watched::new();
    watched.snapshot.tiers = tiers([0.1, 0.9]);
    watched.pass(&Shop::default(), 120);
    assert_eq!(watched.pass(&Shop::default(), 20).incidents, [], "it always was so");
}

#[test]
fn an_incident_is_shown_for_long_enough_to_be_read() {
    let mut watched = Watched::new();
    watched.pass(&Shop::default(), 120);
    let failing = Shop { failing: Some((TierKind::ObjectStore, 1.0)), ..Shop::default() };
    while watched.pass(&failing, 1).open().next().is_none() {}
    let open = watched.pass(&Shop::default(), 10).open().count();
    assert_eq!((open, watched.pass(&Shop::default(), 20).open().count()), (1, 0));
}

#[test]
fn what_shows_just_after_an_incident_is_of_it_until_it_stays() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::Cache, 1, 20.0)];
    watched.pass(&Shop::default(), 120);
    watched.pass(&Shop { payment_ms: 200.0, ..Shop::default() }, 30);
    let well = watched.pass(&Shop::default(), 20).clone();
    assert_eq!((well.open().count(), well.incidents.len()), (0, 1));

    watched.snapshot.warnings = vec![WarningView {
        rule: "latency-above-usual".to_owned(),
        tier: "cache/shop".to_owned(),
        since_unix_ms: watched.second * 1_000 - 10_000,
        ..WarningView::default()
    }];
    let soon = watched.pass(&Shop::default(), 10).clone();
    assert_eq!((soon.open().count(), soon.incidents.len()), (1, 1));
    assert_eq!(named(&soon.incidents[0]).0, "external/payments.example");
    let later = watched.pass(&Shop::default(), 60);
    assert_eq!(named(&later.incidents[0]), ("cache/shop", Some("cache-hot-key")));
}

#[test]
fn memory_leak_is_a_steady_rise() {
    let memory = |bytes: f64| signal(SignalKind::MemoryBytes, "app/shop", "one", bytes);
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 1, 20.0)];
    watched.snapshot.signals = vec![memory(200e6)];
    watched.pass(&Shop::default(), 120);
    let once = pass_with(&mut watched, 70, |snapshot, _| snapshot.signals = vec![memory(270e6)]);
    assert_eq!(once.incidents, [], "a step is no leak");
    let after = pass_with(&mut watched, 70, |snapshot, second| {
        snapshot.signals = vec![memory(270e6 + 3e6 * second as f64)];
    });
    assert_eq!(named(&after.incidents[0]), ("app/shop", Some("memory-leak")));
}

#[test]
fn a_replica_that_nobody_asks_any_more_is_lost() {
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0), service(TierKind::DbReplica, 1, 8.0)];
    watched.pass(&Shop::default(), 120);
    let primary = service(TierKind::DbPrimary, 1, 8.0);
    let after = pass_with(&mut watched, 20, |snapshot, _| {
        snapshot.tiers[1].requests_per_second = Some(0.0);
        snapshot.tiers.truncate(2);
        snapshot.tiers.push(primary.clone());
    });
    assert_eq!(named(&after.incidents[0]), ("db-replica/shop", Some("replica-loss")));

    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0), service(TierKind::DbReplica, 1, 8.0)];
    watched.pass(&Shop::default(), 120);
    let lull = pass_with(&mut watched, 20, |snapshot, _| {
        snapshot.tiers.iter_mut().for_each(|tier| tier.requests_per_second = Some(0.0));
    });
    assert_eq!(lull.incidents, [], "nobody asks anybody");
}

#[test]
fn when_all_replicas_fall_behind_alike_the_primary_writes_nothing() {
    let lag = |part, seconds| signal(SignalKind::ReplicaLagSeconds, "db-replica/orders", part, seconds);
    let warning =
        WarningView { rule: "replica-lag".to_owned(), tier: "db-replica/orders".to_owned(), ..WarningView::default() };
    for (last, tier) in [(9.0, "db-primary/orders"), (0.1, "db-replica/orders")] {
        let mut watched = Watched::new();
        watched.snapshot.tiers.push(TierView::named(TierKind::DbPrimary, "orders"));
        watched.pass(&Shop::default(), 120);
        watched.snapshot.signals = vec![lag("a", 9.0), lag("b", 9.2), lag("standby", last)];
        watched.snapshot.warnings = vec![warning.clone()];
        let after = watched.pass(&Shop::default(), 3);
        assert_eq!(named(&after.incidents[0]).0, tier);
    }
}

#[test]
fn gc_stalls_are_one_instance_that_stands_still_again_and_again() {
    let stall = |start_unix_ms: u64| StallView {
        start_unix_ms,
        length_ms: 600,
        tier: Some("app/shop".to_owned()),
        instance: Some("shop-b".to_owned()),
        ..StallView::default()
    };
    let mut watched = Watched::new();
    watched.snapshot.tiers = vec![service(TierKind::App, 2, 20.0)];
    watched.pass(&Shop::default(), 120);
    let began = watched.second * 1_000;
    watched.snapshot.stalls = vec![stall(began), stall(began + 40_000)];
    assert_eq!(watched.pass(&Shop::default(), 50).incidents, [], "now and then is nothing");
    watched.snapshot.stalls = vec![stall(began + 40_000), stall(began + 44_000), stall(began + 48_000)];
    let after = watched.pass(&Shop::default(), 2);
    assert_eq!(named(&after.incidents[0]), ("app/shop", Some("gc-stalls")));
}

fn call(from: &str, to: &str) -> crate::snapshot::EdgeView {
    crate::snapshot::EdgeView { from: from.to_owned(), to: to.to_owned(), ..crate::snapshot::EdgeView::default() }
}

#[test]
fn the_worker_that_is_lost_is_the_one_that_takes_from_the_queue() {
    let mut watched = Watched::new();
    let worker = |name| TierView::named(TierKind::Worker, name);
    let queue = |name| TierView::named(TierKind::Queue, name);
    watched.snapshot.tiers.extend([queue("mails"), queue("pictures"), worker("mailer"), worker("painter")]);
    watched.snapshot.edges = vec![call("queue/mails", "worker/mailer"), call("queue/pictures", "worker/painter")];
    watched.pass(&Shop::default(), 120);
    watched.snapshot.edges.pop();
    watched.snapshot.warnings.push(WarningView {
        rule: "queue-backlog".to_owned(),
        tier: "queue/pictures".to_owned(),
        since_unix_ms: watched.second * 1_000,
        ..WarningView::default()
    });
    let after = watched.pass(&Shop::default(), 3);
    assert_eq!(named(&after.incidents[0]), ("worker/painter", Some("worker-loss")));
}

#[test]
fn work_for_which_nobody_waits_may_take_some_milliseconds_more() {
    let usual = Shop { worker_ms: 5.0, ..Shop::default() };
    let mut watched = Watched::new();
    watched.pass(&usual, 120);
    let after = watched.pass(&Shop { worker_ms: 13.0, ..usual.clone() }, 30);
    assert_eq!(after.incidents, [], "nobody feels it");
    let after = watched.pass(&Shop { worker_ms: 90.0, ..usual }, 30);
    assert_eq!(named(&after.incidents[0]).0, "worker/mailer");
}

/// A shop whose primary and queue are asked by the application.
fn with_stores() -> Watched {
    let mut watched = Watched::new();
    let in_flight = crate::snapshot::Inferable { value: 1.0, inferred: false };
    let app = TierView { in_flight: Some(in_flight), ..service(TierKind::App, 2, 20.0) };
    watched.snapshot.tiers = vec![
        app,
        service(TierKind::Cache, 1, 15.0),
        service(TierKind::DbPrimary, 1, 4.0),
        service(TierKind::Queue, 1, 3.0),
    ];
    let stores = ["cache/shop", "db-primary/shop", "queue/shop"];
    watched.snapshot.edges = stores.iter().map(|store| call("app/shop", store)).collect();
    let span = |(place, tier): (usize, &&str)| crate::snapshot::TraceSpanView {
        parent: None,
        depth: 1,
        name: "call".to_owned(),
        tier: (*tier).to_owned(),
        instance: String::new(),
        start_ms: place as f64,
        duration_ms: 1.0,
        failed: false,
        call: true,
        moved_ms: None,
        critical: Vec::new(),
    };
    let trace = crate::snapshot::TraceView {
        id: String::new(),
        tier: "app/shop".to_owned(),
        operation: "POST /orders".to_owned(),
        start_unix_ms: 0,
        duration_ms: 5.0,
        failed: false,
        kept_for: crate::snapshot::KeptFor::Sample,
        incomplete: false,
        spans: stores.iter().enumerate().map(span).collect(),
        spans_left_out: 0,
        charges: Vec::new(),
    };
    watched.snapshot.traces = vec![std::sync::Arc::new(trace)];
    watched.pass(&Shop::default(), 120);
    watched
}

/// Lets the primary and the queue behind it answer nothing.
fn stand(watched: &mut Watched, waiting: f64) -> DiagnosisView {
    pass_with(watched, 12, |snapshot, _| {
        snapshot.tiers[0].in_flight = Some(crate::snapshot::Inferable { value: waiting, inferred: false });
        snapshot.tiers[2..].iter_mut().for_each(|tier| tier.requests_per_second = Some(0.0));
    })
}

#[test]
fn a_store_that_answers_nothing_is_the_first_silent_one_that_waiting_requests_ask() {
    let after = stand(&mut with_stores(), 30.0);
    let incident = after.incidents.first().expect("an incident");
    assert_eq!(named(incident), ("db-primary/shop", None));
    let evidence = &incident.verdict.as_ref().unwrap().evidence;
    assert!(evidence[0].ends_with("30 requests wait at the front, usually 1"), "{evidence:?}");
    assert_eq!(evidence[1], "asked before queue/shop, which are silent as well");
}

#[test]
fn a_store_of_which_calls_only_fail_answers_nothing() {
    let mut watched = with_stores();
    watched.snapshot.tiers[1].error_ratio = Some(1.0);
    let after = stand(&mut watched, 30.0);
    assert_eq!(named(after.incidents.first().expect("an incident")), ("cache/shop", None));
}

#[test]
fn stores_that_nobody_asks_are_no_incident() {
    assert_eq!(stand(&mut with_stores(), 1.0).incidents, [], "nobody waits");
}

#[test]
fn stores_behind_an_instance_that_stands_are_not_named() {
    let mut watched = with_stores();
    watched.snapshot.tiers[0].instances[0].silent_for_s = Some(12);
    assert_eq!(stand(&mut watched, 30.0).incidents, [], "who asks may be what stands");
}

#[test]
fn an_instance_that_takes_and_sends_nothing_is_lost() {
    let mut watched = with_stores();
    watched.snapshot.tiers[0].instances[0].silent_for_s = Some(12);
    watched.snapshot.warnings.push(WarningView {
        rule: "one-instance-carries-all".to_owned(),
        tier: "app/shop".to_owned(),
        since_unix_ms: watched.second * 1_000,
        ..WarningView::default()
    });
    let after = watched.pass(&Shop::default(), 2);
    let verdict = after.verdict().expect("a verdict");
    assert_eq!((verdict.tier.id.as_str(), verdict.title.as_str()), ("app/shop", "an instance is gone or stands still"));
    assert_eq!(verdict.evidence[0], "nothing was heard of one-0 for 12 s");
}
