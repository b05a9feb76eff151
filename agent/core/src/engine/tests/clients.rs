//! Shapes in which client libraries really send what they do, where they could mislead.

use super::queue_span;
use super::scenario::{Sent, System, db, tier};
use crate::observation::{MessagingOperation, SpanKind, SpanLink, SpanShape};
use crate::snapshot::{FiguresFrom, SignalKind, Snapshot};

const PRIMARY: &str = "db-primary/orders@db1:5432";

fn job() -> SpanShape {
    queue_span(SpanKind::Consumer)
}

fn shown_by(scope: &str, shape: SpanShape) -> SpanShape {
    SpanShape { scope: Some(scope.into()), ..shape }
}

/// Fifteen seconds of the same spans, once a second, each sent in the order that `order` makes of them.
fn each_second(spans: impl Fn(&mut System) -> Vec<Sent>, order: impl Fn(&mut Vec<Sent>)) -> Snapshot {
    let mut system = System::new();
    for _ in 0..15 {
        let mut all = spans(&mut system);
        order(&mut all);
        for span in all {
            system.send_alone(span);
        }
        system.pass_second();
    }
    system.snapshot()
}

fn rate(snapshot: &Snapshot, id: &str) -> f64 {
    tier(snapshot, id).requests_per_second.unwrap()
}

fn whole_rate(snapshot: &Snapshot, id: &str) -> u64 {
    rate(snapshot, id).round() as u64
}

#[test]
fn a_query_shown_by_a_mapper_and_by_its_driver_counts_once_in_whatever_order_it_comes() {
    // SQLAlchemy over psycopg2: the driver's span lies beside the mapper's, not below it.
    let spans = |system: &mut System| {
        let work = system.span("jobs-worker", None, job(), 0, 60);
        let mapper = system.span("jobs-worker", Some(&work), shown_by("mapper", db("db1", "UPDATE")), 10, 20);
        let driver = system.span("jobs-worker", Some(&work), shown_by("driver", db("db1", "UPDATE")), 11, 19);
        vec![driver, mapper, work]
    };
    for turn in 0..3 {
        let snapshot = each_second(spans, |all| all.rotate_left(turn));
        let shown = rate(&snapshot, PRIMARY);
        assert!((0.9..=1.2).contains(&shown), "turned by {turn}: {shown}");
        let edge = snapshot.edges.iter().find(|edge| edge.to == PRIMARY).unwrap();
        assert!((0.9..=1.2).contains(&edge.requests_per_second), "{edge:?}");
    }
}

#[test]
fn queries_side_by_side_are_several_requests() {
    let spans = |system: &mut System| {
        let work = system.span("jobs-worker", None, job(), 0, 60);
        let mut query =
            |scope, from, to| system.span("jobs-worker", Some(&work), shown_by(scope, db("db1", "UPDATE")), from, to);
        // One driver, at the same time; and another instrumentation, one after the other.
        vec![query("driver", 10, 30), query("driver", 11, 29), query("mapper", 31, 40), work]
    };
    assert_eq!(whole_rate(&each_second(spans, |_| ()), PRIMARY), 3);
}

#[test]
fn a_query_under_the_opening_of_its_connection_is_a_request() {
    // Node's pg outside of a request: the query is a child of "pg-pool.connect", which is no request.
    let spans = |system: &mut System| {
        let connect = system.span("jobs-worker", None, db("db1", "CONNECT"), 0, 2);
        let update = system.span("jobs-worker", Some(&connect), db("db1", "UPDATE"), 3, 9);
        vec![connect, update]
    };
    for turn in 0..2 {
        let snapshot = each_second(spans, |all| all.rotate_left(turn));
        assert_eq!(whole_rate(&snapshot, PRIMARY), 1, "turned by {turn}");
        let operations: Vec<_> = tier(&snapshot, PRIMARY).operations.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(operations, ["UPDATE orders"]);
    }
}

#[test]
fn messages_leave_the_queue_with_the_poll_that_brought_them_when_nothing_shows_their_processing() {
    // Node's SQS client: a consumer's only spans are "receive", with a link to what produced the message,
    // and the deletion.
    let spans = |system: &mut System| {
        let send = system.span("shop", None, queue_span(SpanKind::Producer), 0, 10);
        let receive = SpanShape { messaging_operation: Some(MessagingOperation::Receive), ..job() };
        let mut receive = system.span("jobs-worker", None, receive, 5, 210);
        receive.link = Some(SpanLink { trace: send.span.trace, span: send.span.id });
        let settle =
            SpanShape { messaging_operation: Some(MessagingOperation::Settle), ..queue_span(SpanKind::Client) };
        vec![send, receive, system.span("jobs-worker", None, settle, 230, 240)]
    };
    let snapshot = each_second(spans, |_| ());
    let depth = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::QueueDepth).unwrap();
    assert_eq!((depth.tier.as_str(), depth.value, depth.inferred), ("queue/jobs", Some(0.0), true));
    assert_eq!(whole_rate(&snapshot, "queue/jobs"), 1, "neither a poll nor a settling is a request of the queue");
    let worker = tier(&snapshot, "worker/jobs-worker");
    assert_eq!((worker.requests_per_second.map(f64::round), &*worker.kind_reason), (Some(1.0), "takes messages"));
    assert!(
        snapshot.edges.iter().any(|edge| edge.from == "queue/jobs" && edge.to == worker.id),
        "{:?}",
        snapshot.edges
    );
}

#[test]
fn a_worker_that_talks_to_its_broker_before_its_first_message_is_no_user_of_a_cache() {
    let mut system = System::new();
    let keep_going = |system: &mut System| {
        let shape = SpanShape {
            kind: SpanKind::Client,
            name: "EVALSHA".into(),
            db_system: Some("redis".into()),
            peer_address: Some("broker".into()),
            peer_port: 6379,
            ..SpanShape::default()
        };
        let chatter = system.span("jobs-worker", None, shape, 0, 1);
        system.send_alone(chatter);
        system.pass_second();
    };
    for _ in 0..6 {
        keep_going(&mut system);
    }
    let before = system.snapshot();
    assert_eq!(tier(&before, "worker/jobs-worker").kind_reason, "works without being asked");
    for _ in 0..4 {
        let message = system.span("jobs-worker", None, job(), 0, 40);
        system.send_alone(message);
        keep_going(&mut system);
    }
    let snapshot = system.snapshot();
    let worker = tier(&snapshot, "worker/jobs-worker");
    assert_eq!((&*worker.kind_reason, worker.instances.len()), ("takes messages", 1));
    assert_eq!(worker.requests_per_second.map(f64::round), Some(1.0), "messages, not what keeps them coming");
    assert!(snapshot.tiers.iter().all(|tier| whole_rate(&snapshot, &tier.id) == 0 || tier.id == worker.id));
}

#[test]
fn what_a_sampled_service_calls_is_sampled_too_and_tells_no_depth() {
    let mut system = System::new();
    for second in 1..40_u64 {
        let app = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 15);
        let send = system.span("shop", Some(&app), queue_span(SpanKind::Producer), 1, 10);
        let work = system.span("jobs-worker", None, job(), 20, 60);
        let update = system.span("jobs-worker", Some(&work), db("db1", "UPDATE"), 30, 40);
        system.send(vec![update, work, send, app]);
        system.histogram("shop", "http.server.request.duration", "s", &[0.01, 0.02], &[0, second * 4, 0]);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    assert_eq!(tier(&snapshot, "app/shop").requests_per_second.map(f64::round), Some(4.0));
    for id in ["queue/jobs", "worker/jobs-worker", PRIMARY] {
        assert!(tier(&snapshot, id).sampling_unknown, "{id}");
    }
    let depth = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::QueueDepth).unwrap();
    assert_eq!((depth.tier.as_str(), depth.value), ("queue/jobs", None));
    assert!(depth.hint.as_deref().is_some_and(|hint| hint.contains("sampled")));
}

#[test]
fn a_sudden_rise_of_the_load_is_not_taken_for_sampling() {
    let mut system = System::new();
    let mut requests = 0;
    for second in 1..60_u64 {
        for _ in 0..if second < 50 { 1 } else { 100 } {
            let span = system.span("shop", None, SpanShape { kind: SpanKind::Server, ..SpanShape::default() }, 0, 15);
            system.send_alone(span);
            requests += 1;
        }
        system.histogram("shop", "http.server.request.duration", "s", &[0.01, 0.02], &[0, requests, 0]);
        system.pass_second();
        if second > 10 {
            let snapshot = system.snapshot();
            let shop = tier(&snapshot, "app/shop");
            assert_eq!((shop.sampled_ratio, shop.figures_from), (None, FiguresFrom::OwnSpans), "second {second}");
        }
    }
}
