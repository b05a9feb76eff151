//! Scenarios: what processes send, and what the snapshot then says.

mod choosing;
mod clients;
mod closed;
mod kept;
mod metered;
mod scenario;
mod stalls;

use super::*;
use crate::config::{TierRule, Whom};
use crate::observation::{AttributeValue, SpanKind, SpanShape};
use crate::snapshot::{FiguresFrom, SignalKind};
use crate::tier::TierKind;
use scenario::{System, call, db, ids, tier};

#[test]
fn a_request_through_every_tier_shows_each_tier_once() {
    let mut system = System::new();
    for _ in 0..20 {
        for request in 0..10 {
            system.read_request(request % 2 == 0);
            system.write_request();
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(
        ids(&snapshot),
        [
            "lb/entry",
            "web/front",
            "app/shop",
            "cache/redis@cache1:6379",
            "db-primary/orders@db1:5432",
            "db-replica/orders",
            "object-store/pictures",
            "queue/jobs",
            "worker/jobs-worker",
        ]
    );
    let app = tier(&snapshot, "app/shop");
    assert_eq!(app.requests_per_second.map(f64::round), Some(20.0));
    assert_eq!(tier(&snapshot, "worker/jobs-worker").requests_per_second.map(f64::round), Some(10.0));
    assert_eq!(tier(&snapshot, "db-replica/orders").figures_from, FiguresFrom::CallerSpans);
    let gap = |from: &str, to: &str| {
        let edge = snapshot.edges.iter().find(|edge| edge.from == from && edge.to == to);
        edge.unwrap_or_else(|| panic!("no edge {from} to {to}")).gap_mean_ms
    };
    assert_eq!(gap("lb/entry", "web/front").map(f64::round), Some(2.0), "the client waits 2 ms longer than the server");
    assert_eq!(gap("app/shop", "db-primary/orders@db1:5432"), None, "a database has no spans of its own");
    assert!(snapshot.edges.iter().any(|edge| edge.from == "queue/jobs" && edge.to == "worker/jobs-worker"));
}

#[test]
fn the_first_rule_that_speaks_of_a_service_decides_by_name_or_by_attribute() {
    let by = |kind, whom| TierRule { kind, whom };
    let sends = |pattern: &str| Whom::Sends { attribute: "service.instance.id".into(), pattern: pattern.into() };
    let tiers = vec![
        by(TierKind::Edge, sends("nobody*")),
        by(TierKind::External, sends("front-*")),
        by(TierKind::Edge, Whom::Named("front".into())),
    ];
    let mut system = System::configured(Config { tiers, ..Config::default() });
    for _ in 0..20 {
        (0..10).for_each(|_| system.read_request(true));
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(tier(&snapshot, "external/front").kind_reason, "configuration");
    assert!(ids(&snapshot).contains(&"app/shop"), "{:?}", ids(&snapshot));
}

#[test]
fn the_hit_rate_is_inferred_from_what_follows_a_cache_read() {
    let mut system = System::new();
    for _ in 0..20 {
        for request in 0..10 {
            system.read_request(request < 8);
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let hits = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::CacheHitRatio).unwrap();
    assert_eq!((hits.value, hits.inferred, hits.tier.as_str()), (Some(0.8), true, "cache/redis@cache1:6379"));
}

#[test]
fn a_reported_hit_rate_wins_over_an_inferred_one() {
    let mut system = System::new();
    for second in 0..20_u64 {
        for _ in 0..10 {
            system.read_request(true);
        }
        let at = [("server.address", text("cache1")), ("server.port", AttributeValue::Integer(6379))];
        system.sum("cache-node", "redis.keyspace.hits", &at, (second * 100) as f64);
        system.sum("cache-node", "redis.keyspace.misses", &at, (second * 25) as f64);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let hits: Vec<_> = snapshot.signals.iter().filter(|signal| signal.kind == SignalKind::CacheHitRatio).collect();
    assert_eq!(hits.len(), 1);
    assert_eq!((hits[0].value, hits[0].inferred), (Some(0.8), false));
    assert_eq!(hits[0].tier, "cache/redis@cache1:6379");
}

#[test]
fn nothing_known_is_unknown_with_a_hint_and_never_zero() {
    let mut system = System::new();
    let snapshot = system.snapshot();
    for kind in SignalKind::HEADLINES {
        let signal = snapshot.signals.iter().find(|signal| signal.kind == kind).unwrap();
        assert_eq!(signal.value, None);
        assert!(signal.hint.is_some());
    }
}

#[test]
fn a_calls_transport_detail_counts_once_in_whatever_order_it_comes() {
    for inner_first in [true, false] {
        let mut system = System::new();
        for _ in 0..15 {
            // boto3: a PRODUCER "send", and below it the CLIENT call that carries it.
            let outer = system.span("shop", None, queue_span(SpanKind::Producer), 0, 10);
            let mut inner_shape = queue_span(SpanKind::Client);
            inner_shape.rpc_system = Some("aws-api".into());
            inner_shape.rpc_service = Some("SQS".into());
            inner_shape.rpc_method = Some("SendMessage".into());
            let inner = system.span("shop", Some(&outer), inner_shape, 1, 9);
            let order = if inner_first { [inner, outer] } else { [outer, inner] };
            for span in order {
                system.send_alone(span);
            }
            system.pass_second();
        }
        let snapshot = system.snapshot();
        let rate = tier(&snapshot, "queue/jobs").requests_per_second.unwrap();
        assert!((0.9..=1.1).contains(&rate), "inner first {inner_first}: {rate}");
        assert_eq!(snapshot.pipeline.spans_detail, 15);
    }
}

#[test]
fn a_late_span_is_counted_as_late_and_changes_nothing_else() {
    let mut system = System::new();
    for _ in 0..20 {
        system.read_request(true);
        system.pass_second();
    }
    let before = system.snapshot();
    let mut late = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 5);
    late.span.start = late.span.start.minus_nanos(30_000_000_000);
    late.span.end = late.span.end.minus_nanos(30_000_000_000);
    system.send_alone(late);
    let after = system.snapshot();
    assert_eq!(after.pipeline.spans_late, 1);
    assert_eq!(after.pipeline.spans_accepted, before.pipeline.spans_accepted + 1);
    let counted =
        |snapshot: &Snapshot| -> f32 { tier(snapshot, "app/shop").trend.requests_per_second.iter().flatten().sum() };
    assert!((counted(&after) - counted(&before)).abs() < f32::EPSILON);
}

#[test]
fn a_clock_that_runs_ahead_is_noticed_and_its_spans_are_counted_now() {
    let mut system = System::new();
    let mut ahead = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 5);
    ahead.span.end = ahead.span.end.plus_nanos(3_600_000_000_000);
    system.send_alone(ahead);
    for _ in 0..5 {
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(snapshot.pipeline.spans_future, 1);
    assert!(tier(&snapshot, "app/shop").requests_per_second.unwrap() > 0.0);
}

#[test]
fn sampled_spans_stand_for_as_many_as_their_threshold_says() {
    let mut system = System::new();
    for _ in 0..15 {
        for _ in 0..5 {
            let mut span =
                system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 5);
            span.span.weight = 10.0;
            system.send_alone(span);
        }
        system.pass_second();
    }
    let rate = tier(&system.snapshot(), "app/shop").requests_per_second.unwrap();
    assert!((45.0..=55.0).contains(&rate), "{rate}");
}

#[test]
fn a_services_own_histogram_stands_in_where_no_spans_come() {
    let mut system = System::new();
    for second in 1..40_u64 {
        system.histogram(
            "quiet",
            "http.server.request.duration",
            "s",
            &[0.01, 0.02, 0.05],
            &[0, second * 30, second * 10, 0],
        );
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let quiet = tier(&snapshot, "app/quiet");
    assert_eq!(quiet.figures_from, FiguresFrom::Metrics);
    assert_eq!(quiet.requests_per_second.map(f64::round), Some(40.0));
    let p95 = quiet.p95_ms.unwrap();
    assert!((20.0..=50.0).contains(&p95), "{p95}");
    assert!(quiet.quantile_error > 0.5, "and says how coarse it is");
    let instances: Vec<_> = quiet.instances.iter().map(|one| one.requests_per_second.map(f64::round)).collect();
    assert_eq!(instances, [Some(40.0)], "its instances' figures come from there, too");
}

#[test]
fn unweighted_sampling_shows_against_the_services_own_counts() {
    let mut system = System::new();
    for second in 1..60_u64 {
        let span = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 15);
        system.send_alone(span);
        system.histogram("shop", "http.server.request.duration", "s", &[0.01, 0.02], &[0, second * 100, 0]);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let shop = tier(&snapshot, "app/shop");
    assert_eq!(shop.figures_from, FiguresFrom::SpansAndMetrics);
    assert_eq!(shop.requests_per_second.map(f64::round), Some(100.0));
    assert!((0.005..0.02).contains(&shop.sampled_ratio.unwrap()));
    assert_eq!(shop.instances[0].requests_per_second.map(f64::round), Some(100.0), "as all its instances together");
}

#[test]
fn services_that_differ_in_a_trailing_number_are_one_tier() {
    let mut system = System::new();
    for _ in 0..15 {
        for app in ["tt-app-1", "tt-app-2"] {
            let span = system.span(app, None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 5);
            system.send_alone(span);
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(ids(&snapshot), ["app/tt-app"]);
    assert_eq!(tier(&snapshot, "app/tt-app").instances.len(), 2);
}

#[test]
fn calls_that_nobody_answers_are_external_once_spans_stayed_away() {
    let mut system = System::new();
    for _ in 0..20 {
        let root = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 50);
        let out = system.span("shop", Some(&root), call("pay.example.com", 443), 5, 40);
        system.send(vec![root, out]);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(tier(&snapshot, "external/pay.example.com").kind, TierKind::External);
}

#[test]
fn services_of_one_kind_stand_in_the_order_in_which_they_call() {
    let serve = || SpanShape { kind: SpanKind::Server, ..SpanShape::default() };
    let mut system = System::new();
    for _ in 0..20 {
        // Named so that neither the alphabet nor traffic gives the order away.
        let front = system.span("zeta", None, serve(), 0, 50);
        let out = system.span("zeta", Some(&front), call("alpha", 80), 1, 40);
        let back = system.span("alpha", Some(&out), serve(), 2, 39);
        let write = system.span("zeta", Some(&front), db("db1", "INSERT"), 41, 45);
        let read = system.span("alpha", Some(&back), db("db1", "SELECT"), 5, 10);
        system.send(vec![read, back, write, out, front]);
        system.pass_second();
    }
    assert_eq!(ids(&system.snapshot()), ["app/zeta", "app/alpha", "db-primary/orders@db1:5432"]);
}

#[test]
fn a_failed_over_primary_is_found_at_its_new_address() {
    let mut system = System::new();
    let second = |address: &str, statement: &str, system: &mut System| {
        let root = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 50);
        let write = system.span("shop", Some(&root), db(address, statement), 5, 10);
        let read = system.span("shop", Some(&root), db("db2", "SELECT"), 11, 15);
        system.send(vec![root, write, read]);
        system.pass_second();
    };
    for _ in 0..30 {
        second("db1", "INSERT", &mut system);
    }
    assert_eq!(tier(&system.snapshot(), "db-replica/orders").member, "orders@db2:5432");
    for _ in 0..30 {
        second("db2", "INSERT", &mut system);
    }
    assert_eq!(tier(&system.snapshot(), "db-primary/orders@db2:5432").kind_reason, "takes writes");
}

#[test]
fn replica_lag_finds_its_replica_by_address() {
    let mut system = System::new();
    for second in 0..20_u64 {
        system.read_request(false);
        system.write_request();
        let at = [("server.address", text("db2")), ("server.port", text("5432"))];
        system.gauge("replica-node", "db.replica.lag", "s", &at, second as f64 / 2.0);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let lag = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::ReplicaLagSeconds).unwrap();
    assert_eq!((lag.tier.as_str(), lag.value), ("db-replica/orders", Some(9.5)));
    assert!((lag.slope_per_second.unwrap() - 0.5).abs() < 0.01);
}

#[test]
fn the_processor_of_a_database_is_told_by_who_says_its_address_or_its_hosts_name() {
    let exporter = [("server.address", text("db1")), ("server.port", AttributeValue::Integer(5432))];
    let elsewhere = [("server.address", text("db1")), ("server.port", AttributeValue::Integer(6432))];
    let host = [("host.name", text("db1"))];
    for (says, found) in [(&exporter[..], true), (&host[..], true), (&elsewhere[..], false)] {
        let mut system = System::new();
        for _ in 0..20 {
            system.write_request();
            system.gauge_from(says, "process.cpu.utilization", &[], 0.9);
            system.pass_second();
        }
        let snapshot = system.snapshot();
        let cpu = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::CpuRatio);
        let tier = cpu.map(|signal| signal.tier.as_str());
        assert_eq!(tier, found.then_some("db-primary/orders@db1:5432"), "{says:?}");
    }
}

#[test]
fn what_a_databases_host_does_not_idle_is_in_use() {
    let mut system = System::new();
    for _ in 0..20 {
        system.write_request();
        for (state, share) in [("idle", 0.25), ("user", 0.6)] {
            system.gauge_from(
                &[("host.name", text("db1"))],
                "system.cpu.utilization",
                &[("state", text(state))],
                share,
            );
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let cpu = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::CpuRatio).unwrap();
    assert_eq!((cpu.tier.as_str(), cpu.value), ("db-primary/orders@db1:5432", Some(0.75)));
}

#[test]
fn a_standby_that_nobody_asks_is_a_replica_of_its_own() {
    let mut system = System::new();
    for _ in 0..20 {
        system.write_request();
        let at = [("server.address", text("db9")), ("server.port", text("5432")), ("db.namespace", text("orders"))];
        system.gauge("standby-node", "db.replica.lag", "s", &at, 0.5);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let lag = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::ReplicaLagSeconds).unwrap();
    assert_eq!((lag.tier.as_str(), lag.value), ("db-replica/orders", Some(0.5)));
    assert!(ids(&snapshot).contains(&"db-primary/orders@db1:5432"), "{:?}", ids(&snapshot));
}

#[test]
fn more_members_than_the_limit_fall_into_other_and_are_counted() {
    let mut system = System::with_limits(|limits| limits.members = 3);
    for _ in 0..15 {
        for service in ["a", "b", "c", "d", "e"] {
            let span = system.span(service, None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 5);
            system.send_alone(span);
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(ids(&snapshot), ["app/other", "app/a", "app/b", "app/c"]);
    assert_eq!(tier(&snapshot, "app/other").requests_per_second.map(f64::round), Some(2.0));
    assert!(snapshot.pipeline.evictions.iter().any(|eviction| eviction.reason.contains("services and peers")));
}

#[test]
fn services_and_processes_that_are_gone_make_room_for_new_ones() {
    let mut system = System::with_limits(|limits| {
        limits.members = 8;
        limits.processes = 8;
    });
    let root = || SpanShape { kind: SpanKind::Server, ..SpanShape::default() };
    for generation in 0..4 {
        for _ in 0..10 {
            for service in ["a", "b", "c", "d", "e", "f"] {
                let span = system.span(&format!("{service}{generation}x"), None, root(), 0, 5);
                system.send_alone(span);
            }
            system.pass_second();
        }
        system.pass_quietly(1000);
    }
    let span = system.span("last-one", None, root(), 0, 5);
    system.send_alone(span);
    for _ in 0..5 {
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert!(ids(&snapshot).contains(&"app/last-one"), "{:?}", ids(&snapshot));
    assert!(!ids(&snapshot).contains(&"app/other"));
    assert!(snapshot.pipeline.sources.len() <= 8);
}

#[test]
fn memory_stays_under_its_ceiling() {
    let mut system = System::with_limits(|limits| {
        limits.bytes = 1500 << 10;
        limits.recent_spans = 1 << 10;
        limits.members = 64;
    });
    for second in 0..420 {
        for service in 0..20 {
            let name = format!("service-with-a-name-{service}x");
            let shape = SpanShape { kind: SpanKind::Server, ..SpanShape::default() };
            let span = system.span(&name, None, shape, 0, 5 + (second * 7 + service * 13) % 500);
            system.send_alone(span);
        }
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert!(snapshot.pipeline.engine_bytes <= 1500 << 10, "{}", snapshot.pipeline.engine_bytes);
    assert!(snapshot.pipeline.evictions.iter().any(|eviction| eviction.reason.contains("given up for memory")));
    assert_eq!(snapshot.tiers.len(), 20);
}

#[test]
fn the_same_input_gives_the_same_answer() {
    let run = || {
        let mut system = System::new();
        for second in 0..20 {
            system.read_request(second % 3 == 0);
            system.write_request();
            system.pass_second();
        }
        system.snapshot()
    };
    assert_eq!(run(), run());
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(value.into())
}

fn queue_span(kind: SpanKind) -> SpanShape {
    SpanShape {
        kind,
        name: "jobs send".into(),
        messaging_system: Some("aws.sqs".into()),
        messaging_destination: Some("jobs".into()),
        ..SpanShape::default()
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Whichever half of a call comes first, and in whatever batches: the counts are the same.
    #[test]
    fn the_order_of_arrival_does_not_change_what_is_counted(order in proptest::collection::vec(proptest::prelude::any::<u16>(), 64)) {
        let run = |order: Option<&[u16]>| {
            let mut system = System::new();
            for _ in 0..6 {
                let mut spans: Vec<_> = (0..3).flat_map(|_| system.write_spans()).collect();
                if let Some(order) = order {
                    let keys: Vec<u16> = (0..spans.len()).map(|place| order[place % order.len()]).collect();
                    let mut places: Vec<usize> = (0..spans.len()).collect();
                    places.sort_by_key(|place| keys[*place]);
                    spans = places.into_iter().map(|place| spans[place].clone()).collect();
                    for span in spans {
                        system.send_alone(span);
                    }
                } else {
                    system.send(spans);
                }
                system.pass_second();
            }
            let snapshot = system.snapshot();
            let tiers: Vec<_> = snapshot.tiers.iter().map(|tier| (tier.id.clone(), tier.requests_per_second, tier.p95_ms)).collect();
            let mut edges: Vec<_> = snapshot
                .edges
                .iter()
                .map(|edge| (edge.from.clone(), edge.to.clone(), (edge.requests_per_second * 100.0).round(), edge.gap_p95_ms))
                .collect();
            edges.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
            (tiers, edges, snapshot.pipeline.spans_detail)
        };
        proptest::prop_assert_eq!(run(None), run(Some(&order)));
    }

    /// A span that comes after its second was closed is counted as late, and no figure moves.
    #[test]
    fn late_data_never_changes_a_closed_second(age_s in 12_u64..200, nanos in 1_u64..5_000_000_000) {
        let mut system = System::new();
        for _ in 0..40 {
            system.read_request(true);
            system.pass_second();
        }
        let mut late = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 0);
        late.span.end = late.span.end.minus_nanos(age_s * 1_000_000_000);
        late.span.start = late.span.end.minus_nanos(nanos);
        let before = system.snapshot();
        system.send_alone(late);
        let after = system.snapshot();
        proptest::prop_assert_eq!(after.pipeline.spans_late, before.pipeline.spans_late + 1);
        proptest::prop_assert_eq!(&tier(&after, "app/shop").distribution, &tier(&before, "app/shop").distribution);
        let counted = |snapshot: &Snapshot| -> f32 {
            tier(snapshot, "app/shop").trend.requests_per_second.iter().flatten().sum()
        };
        proptest::prop_assert!((counted(&after) - counted(&before)).abs() < f32::EPSILON);
    }
}
