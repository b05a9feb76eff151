//! Scenarios: a system a second at a time, and what is said of its phase, its next wall and its headroom.

use super::*;
use crate::phase::Phase;
use crate::snapshot::{
    BucketView, EdgeView, FiguresFrom, IncidentView, InstanceView, OperationView, SignalKind, SignalView, TierView,
    WarningView,
};
use crate::tier::TierKind;
use crate::verdict::{TierRef, Verdict};

/// A system of plain figures, whose seconds are played one by one.
#[derive(Default)]
struct Play {
    capacity: Capacity,
    snapshot: Snapshot,
}

impl Play {
    /// One service on one machine, with its database beside it: 20 requests a second.
    fn single_box() -> Self {
        let mut play = Self::default();
        play.service(TierKind::App, "shop", &["a"]).requests_per_second = Some(20.0);
        play.store(TierKind::DbPrimary, "127.0.0.1:5432");
        play
    }

    /// A balancer, two web servers and two applications in two zones, and a database: 100 requests a second.
    fn two_zones() -> Self {
        let mut play = Self::default();
        play.service(TierKind::Lb, "front", &["a"]);
        play.service(TierKind::Web, "web", &["a", "b"]);
        play.service(TierKind::App, "shop", &["a", "b"]);
        play.store(TierKind::DbPrimary, "10.0.0.5:5432");
        play
    }

    /// The same with a cache and a replica.
    fn reads_relieved() -> Self {
        let mut play = Self::two_zones();
        play.store(TierKind::Cache, "10.0.0.6:6379");
        play.store(TierKind::DbReplica, "10.0.0.7:5432");
        play.signal(SignalKind::CacheHitRatio, "cache/x", "", 0.93);
        play
    }

    /// The same with a queue and workers.
    fn with_queue() -> Self {
        let mut play = Self::reads_relieved();
        play.store(TierKind::Queue, "10.0.0.8:9324");
        play.service(TierKind::Worker, "finisher", &["a", "b"]);
        play
    }

    /// Adds a service with an instance in each of some zones; it takes 100 requests a second.
    fn service(&mut self, kind: TierKind, name: &str, zones: &[&str]) -> &mut TierView {
        let tier = TierView {
            requests_per_second: Some(100.0),
            error_ratio: Some(0.0),
            instances: zones.iter().enumerate().map(|(number, zone)| instance(number, zone)).collect(),
            ..TierView::named(kind, name)
        };
        self.snapshot.tiers.push(tier);
        self.snapshot.tiers.sort_by_key(|tier| tier.kind);
        self.tier(&format!("{kind}/{name}"))
    }

    /// Adds a store `x` at an address, known from its callers' spans.
    fn store(&mut self, kind: TierKind, address: &str) {
        let tier = self.service(kind, "x", &[]);
        tier.figures_from = FiguresFrom::CallerSpans;
        tier.instances = vec![InstanceView { name: address.into(), ..InstanceView::default() }];
    }

    fn tier(&mut self, id: &str) -> &mut TierView {
        self.snapshot.tiers.iter_mut().find(|tier| tier.id == id).unwrap()
    }

    fn signal(&mut self, kind: SignalKind, tier: &str, part: &str, value: f64) -> &mut SignalView {
        let is_it = |signal: &SignalView| (signal.kind, &*signal.tier, &*signal.part) == (kind, tier, part);
        self.snapshot.signals.retain(|signal| !is_it(signal));
        self.snapshot.signals.push(SignalView {
            kind,
            tier: tier.into(),
            part: part.into(),
            value: Some(value),
            inferred: false,
            source: "process.cpu.utilization".into(),
            slope_per_second: Some(0.0),
            age_s: Some(0.0),
            trend: Vec::new(),
            hint: None,
        });
        self.snapshot.signals.last_mut().unwrap()
    }

    /// Sets the load of every tier.
    fn load(&mut self, requests_per_second: f64) {
        for tier in &mut self.snapshot.tiers {
            tier.requests_per_second = Some(requests_per_second);
        }
    }

    /// Plays so many seconds, and gives what is said in the last of them.
    fn seconds(&mut self, count: u64) -> CapacityView {
        for _ in 0..count {
            self.snapshot.at_unix_ms += 1000;
            self.capacity.judge(&mut self.snapshot);
        }
        self.snapshot.capacity.clone()
    }
}

fn instance(number: usize, zone: &str) -> InstanceView {
    InstanceView {
        name: format!("i{number}"),
        zone: Some(zone.into()),
        region: Some("eu-1".into()),
        ..InstanceView::default()
    }
}

fn check(view: &CapacityView, question: &str) -> (Option<bool>, String) {
    let check = view.checklist.iter().find(|check| check.question == question).expect("a question of the checklist");
    (check.answer, check.evidence.clone())
}

fn close(value: Option<f64>, wanted: f64) {
    assert!(value.is_some_and(|value| (value - wanted).abs() < wanted * 1e-6), "{value:?} is not {wanted}");
}

#[test]
fn a_single_box_is_in_phase_1() {
    let view = Play::single_box().seconds(30);
    assert_eq!(view.phase, Some(Phase::SingleBox), "{}", view.because);
    assert_eq!(view.because, "one service with one instance");
    let wall = view.next_wall.unwrap();
    assert_eq!(wall.phase, Phase::SingleBox);
    assert!(wall.because.starts_with("Do application and database run apart? No: db-primary/x"), "{}", wall.because);
}

#[test]
fn a_database_on_another_host_ends_phase_1() {
    let mut play = Play::single_box();
    play.tier("db-primary/x").instances[0].name = "10.0.0.5:5432".into();
    assert_eq!(play.seconds(30).phase, Some(Phase::WebTier));
}

#[test]
fn two_zones_without_a_cache_are_in_phase_2() {
    let view = Play::two_zones().seconds(30);
    assert_eq!(view.phase, Some(Phase::WebTier), "{}", view.because);
    let wall = view.next_wall.unwrap();
    assert_eq!((wall.phase, wall.tier.as_str()), (Phase::DatabaseReads, ""), "the first thing that is missing");
    assert!(wall.because.contains("no cache was seen"), "{}", wall.because);
}

#[test]
fn a_cache_and_replicas_are_phase_3() {
    let view = Play::reads_relieved().seconds(30);
    assert_eq!(view.phase, Some(Phase::DatabaseReads), "{}", view.because);
    assert!(view.because.contains("reads go to cache/x and db-replica/x"), "{}", view.because);
}

#[test]
fn a_replica_that_nobody_asks_relieves_nothing() {
    let mut play = Play::two_zones();
    play.store(TierKind::DbReplica, "10.0.0.7:5432");
    play.tier("db-replica/x").requests_per_second = Some(0.0);
    assert_eq!(play.seconds(30).phase, Some(Phase::WebTier));
}

#[test]
fn a_fleet_that_grows_with_load_is_phase_4() {
    let mut play = Play::reads_relieved();
    play.seconds(60);
    play.load(300.0);
    play.tier("app/shop").instances.extend([instance(2, "a"), instance(3, "b")]);
    let view = play.seconds(60);
    assert_eq!(view.phase, Some(Phase::Spikes), "{}", view.because);
    assert!(view.because.contains("app/shop had 2 instances at 100 requests/s and 4 at 300"), "{}", view.because);
}

#[test]
fn an_instance_that_dies_and_returns_is_no_autoscaling() {
    let mut play = Play::reads_relieved();
    play.seconds(60);
    play.tier("app/shop").instances[0].silent_for_s = Some(30);
    play.seconds(60);
    play.tier("app/shop").instances[0].silent_for_s = None;
    assert_eq!(play.seconds(60).phase, Some(Phase::DatabaseReads));
}

#[test]
fn a_queue_with_workers_is_phase_5_though_load_never_swung() {
    let view = Play::with_queue().seconds(30);
    assert_eq!(view.phase, Some(Phase::Writes), "{}", view.because);
    assert!(view.because.contains("queue/x feeds worker/finisher"), "{}", view.because);
}

#[test]
fn a_queue_alone_does_not_make_up_for_a_missing_cache() {
    let mut play = Play::two_zones();
    play.store(TierKind::Queue, "10.0.0.8:9324");
    play.service(TierKind::Worker, "finisher", &["a", "b"]);
    let view = play.seconds(30);
    assert_eq!(view.phase, Some(Phase::WebTier));
    assert!(view.because.contains("ahead of its phase: queue/x feeds worker/finisher"), "{}", view.because);
}

#[test]
fn fleets_that_call_each_other_or_two_regions_are_phase_6() {
    let mut play = Play::with_queue();
    for (from, to) in [("shop", "cart"), ("cart", "stock")] {
        play.service(TierKind::App, to, &["a", "b"]);
        let (from, to) = (format!("app/{from}"), format!("app/{to}"));
        play.snapshot.edges.push(EdgeView { from, to, ..EdgeView::default() });
    }
    assert_eq!(play.seconds(30).phase, Some(Phase::Regions));

    let mut play = Play::with_queue();
    play.tier("app/shop").instances[0].region = Some("us-1".into());
    assert_eq!(play.seconds(30).phase, Some(Phase::Regions));
}

#[test]
fn too_little_seen_is_said_in_words() {
    let view = Play::default().seconds(60);
    assert_eq!((view.phase, view.because.as_str()), (None, "no service that takes requests was seen yet"));
    assert_eq!((view.next_wall, view.requests_per_second, view.users_worth), (None, None, None));
    let view = Play::two_zones().seconds(19);
    assert_eq!((view.phase, view.because.as_str()), (None, "too little seen: requests in 19 s of 20"));
    let mut idle = Play::two_zones();
    idle.load(0.0);
    assert_eq!(idle.seconds(60).phase, None);
}

#[test]
fn load_is_counted_at_the_front_and_is_worth_users() {
    let mut play = Play::two_zones();
    play.tier("app/shop").requests_per_second = Some(70.0);
    let view = play.seconds(1);
    assert_eq!((view.requests_per_second, view.users_worth), (Some(100.0), Some(25_000.0)));
    play.capacity = Capacity::new(CapacityRules { users_per_request_per_second: 40.0 });
    assert_eq!(play.seconds(1).users_worth, Some(4_000.0));
    play.tier("lb/front").requests_per_second = Some(0.0);
    assert_eq!(play.seconds(1).requests_per_second, Some(100.0), "a balancer that is passed by is no front");
    play.tier("web/web").sampling_unknown = true;
    assert_eq!(play.seconds(1).users_worth, None, "sampled by who knows what");
}

#[test]
fn a_tier_is_full_at_the_load_over_its_utilisation() {
    let mut play = Play::two_zones();
    play.signal(SignalKind::CpuRatio, "app/shop", "i0", 0.3);
    play.signal(SignalKind::CpuRatio, "app/shop", "i1", 0.5);
    play.signal(SignalKind::CpuRatio, "web/web", "i0", 0.1);
    let view = play.seconds(30);
    let [app, web, ..] = &view.headroom[..] else { panic!("rows") };
    assert_eq!((app.tier.as_str(), web.tier.as_str()), ("app/shop", "web/web"));
    close(app.utilisation, 0.4);
    close(app.full_at_requests_per_second, 250.0);
    assert_eq!(app.source, "CPU of 2 instances, the busiest 50 % (process.cpu.utilization)");
    close(web.full_at_requests_per_second, 1_000.0);
    let wall = view.next_wall.unwrap();
    assert_eq!((wall.phase, wall.tier.as_str()), (Phase::Spikes, "app/shop"));
    close(wall.at_requests_per_second, 250.0);
    assert!(wall.because.contains("busiest of 2 tiers, of 2 it is unknown: 40 %"), "{}", wall.because);
}

#[test]
fn utilisation_and_load_are_smoothed_over_half_a_minute() {
    let mut play = Play::two_zones();
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.2);
    play.seconds(60);
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.8);
    play.load(200.0);
    let view = play.seconds(15);
    close(view.headroom[0].utilisation, 0.5);
    close(view.headroom[0].full_at_requests_per_second, 300.0);
    close(play.seconds(15).headroom[0].utilisation, 0.8);
}

#[test]
fn what_is_busy_without_load_says_nothing_of_load() {
    let full_at = |cpu: f64, load: f64, seconds: u64| {
        let mut play = Play::two_zones();
        play.signal(SignalKind::CpuRatio, "app/shop", "", cpu);
        play.load(load);
        play.seconds(seconds).headroom[0].full_at_requests_per_second
    };
    assert_eq!(full_at(0.04, 100.0, 30), None, "hardly busy");
    assert_eq!(full_at(0.4, 0.5, 30), None, "hardly any load");
    assert_eq!(full_at(0.4, 100.0, 9), None, "not for long");
    assert!(full_at(0.4, 100.0, 10).is_some());
}

#[test]
fn without_metrics_utilisation_is_unknown_however_slow_a_tier_is() {
    let mut play = Play::two_zones();
    play.tier("db-primary/x").p95_ms = Some(9_000.0);
    let view = play.seconds(30);
    assert_eq!(view.headroom.len(), 4);
    for row in &view.headroom {
        assert_eq!((row.utilisation, row.full_at_requests_per_second), (None, None));
        assert!(row.source.starts_with("unknown: send "), "{}", row.source);
    }
}

#[test]
fn a_metric_that_stops_leaves_no_utilisation_behind() {
    let mut play = Play::two_zones();
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.4);
    play.seconds(30);
    play.snapshot.signals.clear();
    assert!(play.seconds(20).headroom[0].utilisation.is_some());
    assert_eq!(play.seconds(20).headroom[0].utilisation, None);
}

#[test]
fn of_several_pools_the_busiest_speaks_for_the_tier() {
    let mut play = Play::two_zones();
    for (part, used, most) in [("i0 reads", 2.0, 10.0), ("i1 reads", 4.0, 10.0), ("i0 writes", 6.0, 10.0)] {
        play.signal(SignalKind::PoolUsed, "app/shop", part, used);
        play.signal(SignalKind::PoolMax, "app/shop", part, most);
    }
    play.signal(SignalKind::PoolUsed, "app/shop", "i0 other", 99.0);
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.5);
    let view = play.seconds(30);
    close(view.headroom[0].utilisation, 0.6);
    assert_eq!(view.headroom[0].source, "6 of 10 connections in use, pool writes");
    assert_eq!(view.next_wall.unwrap().phase, Phase::DatabaseReads);
}

#[test]
fn a_service_that_limits_its_own_workers_is_full_when_they_are_busy() {
    let mut play = Play::two_zones();
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.1);
    for (part, busy) in [("i0", 3.0), ("i1", 2.0)] {
        play.signal(SignalKind::WorkersBusy, "app/shop", part, busy);
        play.signal(SignalKind::WorkersMax, "app/shop", part, 10.0);
    }
    let view = play.seconds(30);
    assert_eq!(view.headroom[0].source, "5 of 20 workers busy");
    close(view.headroom[0].full_at_requests_per_second, 400.0);
}

/// The wall's phase when what a gauge of a tier says is the busiest thing in a system.
fn wall_of(mut play: Play, tier: &str, gauge: Gauge) -> Phase {
    match gauge {
        Gauge::Cpu => {
            play.signal(SignalKind::CpuRatio, tier, "", 0.7);
        }
        Gauge::Workers => {
            play.signal(SignalKind::WorkersBusy, tier, "i0", 7.0);
            play.signal(SignalKind::WorkersMax, tier, "i0", 10.0);
        }
        Gauge::Connections => {
            play.signal(SignalKind::PoolUsed, tier, "i0 db", 7.0);
            play.signal(SignalKind::PoolMax, tier, "i0 db", 10.0);
        }
    }
    let wall = play.seconds(30).next_wall.expect("a wall");
    assert_eq!(wall.tier, tier);
    wall.phase
}

#[test]
fn each_wall_is_of_its_phase() {
    assert_eq!(wall_of(Play::single_box(), "app/shop", Gauge::Cpu), Phase::SingleBox);
    assert_eq!(wall_of(Play::two_zones(), "lb/front", Gauge::Cpu), Phase::WebTier);
    assert_eq!(wall_of(Play::two_zones(), "app/shop", Gauge::Cpu), Phase::Spikes);
    assert_eq!(wall_of(Play::two_zones(), "db-primary/x", Gauge::Cpu), Phase::DatabaseReads);
    assert_eq!(wall_of(Play::with_queue(), "worker/finisher", Gauge::Cpu), Phase::Writes);
    assert_eq!(wall_of(Play::with_queue(), "worker/finisher", Gauge::Connections), Phase::Writes);
    assert_eq!(wall_of(Play::two_zones(), "app/shop", Gauge::Connections), Phase::DatabaseReads);
    assert_eq!(wall_of(Play::two_zones(), "db-primary/x", Gauge::Workers), Phase::DatabaseReads);
    let mut writing = Play::two_zones();
    let operation =
        |name: &str, time_share| OperationView { name: name.into(), time_share, ..OperationView::default() };
    writing.tier("db-primary/x").operations =
        vec![operation("COMMIT", 0.5), operation("insert user_content", 0.3), operation("SELECT user_content", 0.2)];
    assert_eq!(wall_of(writing, "db-primary/x", Gauge::Cpu), Phase::Writes);
}

#[test]
fn every_tier_of_ours_has_a_wall_for_each_gauge() {
    for kind in TierKind::ALL {
        for gauge in [Gauge::Cpu, Gauge::Workers, Gauge::Connections] {
            let fits =
                |wall: &Wall| wall.gauges.contains(&gauge) && wall.kinds.contains(&kind) && wall.when == When::Else;
            assert!(kind == TierKind::External || WALLS.iter().any(fits), "{kind} {gauge:?}");
        }
    }
}

#[test]
fn a_wall_that_is_met_comes_before_any_that_is_reckoned() {
    let mut play = Play::two_zones();
    play.signal(SignalKind::CpuRatio, "app/shop", "", 0.9);
    let warning = |rule: &str, phase| WarningView {
        rule: rule.into(),
        tier: "db-primary/x".into(),
        title: "slow".into(),
        phase,
        ..WarningView::default()
    };
    play.snapshot.warnings = vec![
        warning("over-provisioned", Some(Phase::Spikes)),
        warning("slow-external", None),
        WarningView { ended_unix_ms: Some(1), ..warning("lag", Some(Phase::WebTier)) },
        warning("slow-database", Some(Phase::DatabaseReads)),
    ];
    let wall = play.seconds(30).next_wall.unwrap();
    assert_eq!((wall.phase, wall.tier.as_str()), (Phase::DatabaseReads, "db-primary/x"));
    assert_eq!(wall.because, "it is met: slow at db-primary/x");

    play.snapshot.diagnosis.incidents = vec![incident("db-primary/x", "lock-contention", Phase::Writes)];
    let wall = play.seconds(1).next_wall.unwrap();
    assert_eq!(wall.phase, Phase::Writes, "an incident's verdict knows more than a warning");
}

fn incident(tier: &str, class: &str, phase: Phase) -> IncidentView {
    let verdict = Verdict {
        tier: TierRef { id: tier.into(), kind: TierKind::DbPrimary, member: "x".into() },
        class: Some(class.into()),
        title: "requests wait for locks".into(),
        phase: Some(phase),
        confidence: 0.9,
        explained_share: Some(0.9),
        alternatives: Vec::new(),
        onset: None,
        evidence: Vec::new(),
        remedy_now: None,
        remedy_for_good: None,
    };
    IncidentView {
        id: 1,
        onset_unix_ms: 0,
        opened_unix_ms: 0,
        peak_unix_ms: 0,
        ended_unix_ms: None,
        usual_ms: None,
        excess_ms: None,
        peak_excess_ms: None,
        failed_ratio: None,
        verdict: Some(verdict),
        unexplained: String::new(),
        changes: 0,
        victims: Vec::new(),
        new_versions: Vec::new(),
    }
}

#[test]
fn how_throughput_scales_is_told_after_a_load_test_and_not_before() {
    let mut play = Play::two_zones();
    let law = |n: f64| 20.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.0002 * n * (n - 1.0));
    for n in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] {
        assert_eq!(play.seconds(1).scalability, None);
        play.load(law(n));
        let latency_ms = n / law(n) * 1e3;
        play.tier("lb/front").distribution = vec![BucketView { lower_ms: latency_ms, upper_ms: latency_ms, count: 9 }];
        play.seconds(10);
    }
    let fit = play.seconds(1).scalability.unwrap();
    assert_eq!(fit.levels, 6);
    close(Some(fit.contention), 0.05);
    close(fit.peak_in_flight, (0.95_f64 / 0.0002).sqrt());
}

#[test]
fn requests_that_fail_fast_are_no_throughput() {
    let mut play = Play::two_zones();
    play.tier("lb/front").error_ratio = Some(0.5);
    for n in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] {
        play.load(n * 10.0);
        play.tier("lb/front").distribution = vec![BucketView { lower_ms: 100.0, upper_ms: 100.0, count: 9 }];
        play.seconds(10);
    }
    assert_eq!(play.seconds(1).scalability, None);
}

/// Plays a system and gives the answer to a question.
fn answer(mut play: Play, question: &str) -> Option<bool> {
    check(&play.seconds(30), question).0
}

/// A system after a change.
fn with(mut play: Play, change: impl FnOnce(&mut Play)) -> Play {
    change(&mut play);
    play
}

#[test]
fn the_single_box_is_asked_whether_it_is_split() {
    let question = "Do application and database run apart?";
    assert_eq!(answer(Play::two_zones(), question), Some(true));
    assert_eq!(answer(Play::single_box(), question), Some(false));
    let no_database = with(Play::single_box(), |play| play.snapshot.tiers.truncate(1));
    assert_eq!(answer(no_database, question), None);
}

#[test]
fn the_web_tier_is_asked_for_single_points_of_failure() {
    let question = "Is there a balancer in front?";
    let without = |play: &mut Play| play.snapshot.tiers.retain(|tier| tier.kind != TierKind::Lb);
    assert_eq!(answer(Play::two_zones(), question), Some(true));
    assert_eq!(answer(with(Play::two_zones(), without), question), None, "a managed one sends nothing");
    assert_eq!(answer(Play::single_box(), question), Some(false));

    let question = "Has every service more than one instance?";
    assert_eq!(answer(Play::two_zones(), question), Some(true));
    let one_died = with(Play::two_zones(), |play| play.tier("app/shop").instances[0].silent_for_s = Some(60));
    assert_eq!(answer(one_died, question), Some(false));
    let nameless = with(Play::two_zones(), |play| play.tier("app/shop").instances.clear());
    assert_eq!(answer(nameless, question), None);

    let question = "Does every service run in more than one zone?";
    assert_eq!(answer(Play::two_zones(), question), Some(true));
    let in_one = with(Play::two_zones(), |play| play.tier("web/web").instances[0].zone = Some("b".into()));
    assert_eq!(answer(in_one, question), Some(false));
    let nobody_says = with(Play::two_zones(), |play| {
        play.tier("web/web").instances.iter_mut().for_each(|instance| instance.zone = None);
    });
    assert_eq!(answer(nobody_says, question), None);

    assert_eq!(answer(Play::two_zones(), "Are instances stateless?"), None);
}

#[test]
fn reads_are_asked_for_caches_and_replicas() {
    let question = "Does a cache take reads off the database?";
    assert_eq!(answer(Play::reads_relieved(), question), Some(true));
    assert_eq!(answer(Play::two_zones(), question), Some(false));
    let cold = with(Play::reads_relieved(), |play| {
        play.signal(SignalKind::CacheHitRatio, "cache/x", "", 0.3);
    });
    assert_eq!(answer(cold, question), Some(false));
    assert_eq!(answer(with(Play::reads_relieved(), |play| play.snapshot.signals.clear()), question), None);

    let question = "Do replicas take reads?";
    assert_eq!(answer(Play::reads_relieved(), question), Some(true));
    assert_eq!(answer(Play::two_zones(), question), Some(false));
    let no_database = with(Play::single_box(), |play| play.snapshot.tiers.truncate(1));
    assert_eq!(answer(no_database, question), None);

    let question = "Is there a cache at the edge?";
    assert_eq!(answer(Play::two_zones(), question), None);
    let with_edge = with(Play::two_zones(), |play| {
        play.service(TierKind::Edge, "cdn", &["a"]);
    });
    assert_eq!(answer(with_edge, question), Some(true));
    assert_eq!(answer(Play::two_zones(), "Is there a cache in the application's memory?"), None);
}

#[test]
fn spikes_are_asked_whether_capacity_follows_and_availability_holds() {
    let question = "Does the count of instances follow load?";
    assert_eq!(answer(Play::two_zones(), question), None);
    let mut stayed = Play::two_zones();
    stayed.seconds(600);
    stayed.load(350.0);
    let view = stayed.seconds(30);
    let evidence = "app/shop stayed at 2 while load went from 100 to 350 requests/s";
    assert_eq!(check(&view, question), (Some(false), evidence.into()));

    let question = "Is availability at least 99.99 %?";
    assert_eq!(answer(Play::two_zones(), question), None, "3,000 requests are too few");
    let mut play = Play::two_zones();
    let evidence = "100.000 % of 20000 requests; 0 % of the error budget spent";
    assert_eq!(check(&play.seconds(200), question), (Some(true), evidence.into()));
    play.tier("lb/front").error_ratio = Some(0.06);
    let evidence = "99.970 % of 20100 requests; 299 % of the error budget spent";
    assert_eq!(check(&play.seconds(1), question), (Some(false), evidence.into()));
}

#[test]
fn writes_are_asked_for_queues_that_are_kept_up_with_and_for_several_stores() {
    let question = "Is heavy work done off the request?";
    assert_eq!(answer(Play::with_queue(), question), Some(true));
    assert_eq!(answer(Play::two_zones(), question), Some(false));
    let unseen = with(Play::with_queue(), |play| play.snapshot.tiers.retain(|tier| tier.kind != TierKind::Worker));
    assert_eq!(answer(unseen, question), None);

    let question = "Do workers keep up with the queue?";
    let growing_by = |slope| {
        with(Play::with_queue(), |play| {
            play.signal(SignalKind::QueueDepth, "queue/x", "", 40.0).slope_per_second = slope;
        })
    };
    assert_eq!(answer(growing_by(Some(0.1)), question), Some(true));
    assert_eq!(answer(growing_by(Some(3.0)), question), Some(false));
    assert_eq!(answer(growing_by(None), question), None);
    assert_eq!(answer(Play::with_queue(), question), None);

    let question = "Are writes spread over several stores?";
    assert_eq!(answer(Play::two_zones(), question), Some(false));
    let with_nosql = with(Play::two_zones(), |play| play.store(TierKind::Nosql, "10.0.0.9:8000"));
    assert_eq!(answer(with_nosql, question), Some(true));
    let no_database = with(Play::single_box(), |play| play.snapshot.tiers.truncate(1));
    assert_eq!(answer(no_database, question), None);
}

#[test]
fn regions_are_asked_for_and_tracing_as_their_condition() {
    let question = "Is tracing on in every service?";
    assert_eq!(answer(Play::two_zones(), question), Some(true));
    let metrics = with(Play::two_zones(), |play| play.tier("app/shop").figures_from = FiguresFrom::Metrics);
    assert_eq!(answer(metrics, question), Some(false));
    assert_eq!(answer(Play::default(), question), None);

    let question = "Does it run in more than one region?";
    assert_eq!(answer(Play::two_zones(), question), Some(false));
    let two = with(Play::two_zones(), |play| play.tier("app/shop").instances[0].region = Some("us-1".into()));
    assert_eq!(answer(two, question), Some(true));
    assert_eq!(answer(Play::default(), question), None);
}
