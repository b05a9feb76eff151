//! Shapes in which client libraries really send what they do, where they could mislead.

use super::queue_span;
use super::scenario::{Sent, System, db, tier};
use crate::observation::{MessagingOperation, SpanKind, SpanLink, SpanShape};
use crate::snapshot::{SignalKind, Snapshot};

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
    assert_eq!(rate(&each_second(spans, |_| ()), PRIMARY).round(), 3.0);
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
        assert_eq!(rate(&snapshot, PRIMARY).round(), 1.0, "turned by {turn}");
        let operations: Vec<_> = tier(&snapshot, PRIMARY).operations.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(operations, ["UPDATE orders"]);
    }
}

#[test]
fn messages_leave_the_queue_with_the_poll_that_brought_them_when_nothing_shows_their_processing() {
    // Node's SQS client: a consumer's only span is "receive", with a link to what produced the message.
    let spans = |system: &mut System| {
        let send = system.span("shop", None, queue_span(SpanKind::Producer), 0, 10);
        let receive = SpanShape { messaging_operation: Some(MessagingOperation::Receive), ..job() };
        let mut receive = system.span("jobs-worker", None, receive, 5, 210);
        receive.link = Some(SpanLink { trace: send.span.trace, span: send.span.id });
        vec![send, receive]
    };
    let snapshot = each_second(spans, |_| ());
    let depth = snapshot.signals.iter().find(|signal| signal.kind == SignalKind::QueueDepth).unwrap();
    assert_eq!((depth.tier.as_str(), depth.value, depth.inferred), ("queue/jobs", Some(0.0), true));
    assert_eq!(rate(&snapshot, "queue/jobs").round(), 1.0, "a poll is no request");
}
