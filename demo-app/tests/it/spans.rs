//! The spans are what an application of this shape sends: tiers, kinds, names, attributes, links.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tiertop_demo::fault::Effect;
use tiertop_demo::{Demo, Phase};
use tokio::task::JoinSet;

use crate::client::Api;
use crate::sink::{Attributes, SeenSpan, Sink};
use crate::{demo, eventually, options, options_of};

/// A demo that has served a write, a miss, a hit and a request for nothing.
pub(crate) async fn used(endpoint: &str) -> Demo {
    let demo = demo(endpoint).await;
    let api = Api::new(demo.front_address());
    let id = api.post(7, "telemetry").await;
    eventually("the worker", async || api.processed(id).await).await;
    api.get(id).await;
    api.get(99_999_999).await;
    demo
}

fn has(attributes: &Attributes, key: &str, value: &str) -> bool {
    attributes.get(key).is_some_and(|seen| seen == value)
}

/// Whether the server's address is text and its port a number.
pub(crate) fn addressed(attributes: &Attributes) -> bool {
    has(attributes, "server.address", "\"127.0.0.1\"")
        && attributes.get("server.port").is_some_and(|port| port.parse::<u16>().is_ok())
}

#[tokio::test]
async fn spans_have_the_shape_of_their_tiers() {
    let (sink, endpoint) = Sink::start();
    let demo = used(&endpoint).await;
    // Stopping flushes, so that all is here afterwards.
    demo.stop().await.unwrap();
    let spans = sink.spans();

    let shapes: BTreeSet<(&str, SpanKind, &str)> =
        spans.iter().map(|span| (span.service(), span.kind, span.name.as_str())).collect();
    let item = "GET /api/v1/content/{content_id}";
    let expected = BTreeSet::from([
        ("content-edge", SpanKind::Server, "GET"),
        ("content-edge", SpanKind::Server, "POST"),
        ("content-edge", SpanKind::Client, "GET"),
        ("content-edge", SpanKind::Client, "POST"),
        ("content-lb", SpanKind::Server, "GET"),
        ("content-lb", SpanKind::Server, "POST"),
        ("content-lb", SpanKind::Client, "GET"),
        ("content-lb", SpanKind::Client, "POST"),
        ("content-web", SpanKind::Server, "GET"),
        ("content-web", SpanKind::Server, "POST"),
        ("content-web", SpanKind::Client, "GET"),
        ("content-web", SpanKind::Client, "POST"),
        ("content-app", SpanKind::Server, item),
        ("content-app", SpanKind::Server, "POST /api/v1/content"),
        ("content-app", SpanKind::Client, "GET"),
        ("content-app", SpanKind::Client, "GET /ratings/{content_id}"),
        ("content-app", SpanKind::Client, "SET"),
        ("content-app", SpanKind::Client, "SELECT user_content"),
        ("content-app", SpanKind::Client, "INSERT user_content"),
        ("content-app", SpanKind::Client, "S3.GetObject"),
        ("content-app", SpanKind::Producer, "send content"),
        ("content-worker", SpanKind::Consumer, "process content"),
        ("content-worker", SpanKind::Client, "S3.PutObject"),
        ("content-worker", SpanKind::Client, "UPDATE user_content"),
        ("content-worker", SpanKind::Client, "ack content"),
    ]);
    assert_eq!(shapes, expected);

    for span in &spans {
        check_attributes(span);
        assert_eq!(span.scope, "content");
        assert!(addressed(&span.attributes), "{span:?}");
    }
    let unknown = |span: &&SeenSpan| has(&span.attributes, "http.response.status_code", "404");
    // Not found is the client's error, not the server's.
    for span in spans.iter().filter(unknown) {
        assert_eq!(span.failed, span.kind == SpanKind::Client, "{span:?}");
    }
    assert_eq!(spans.iter().filter(unknown).count(), 7);
}

fn check_attributes(span: &SeenSpan) {
    let attributes = &span.attributes;
    let all = |expected: &[(&str, &str)]| {
        for (key, value) in expected {
            assert!(has(attributes, key, value), "{key} is not {value} in {span:?}");
        }
    };
    match (span.kind, span.service()) {
        (SpanKind::Server, service) => {
            all(&[("url.scheme", "\"http\"")]);
            assert!(attributes["url.path"].contains("/api/v1/content"));
            assert!(attributes["http.response.status_code"].parse::<u16>().is_ok());
            assert_eq!(attributes.contains_key("http.route"), service == "content-app");
        }
        (SpanKind::Client, "content-edge" | "content-lb" | "content-web") => {
            assert!(attributes["url.full"].starts_with("\"http://127.0.0.1:"));
            assert!(attributes.contains_key("http.request.method"));
        }
        (SpanKind::Client, _) if span.name.ends_with(" /ratings/{content_id}") => {
            all(&[("peer.service", "\"ratings\""), ("url.template", "\"/ratings/{content_id}\"")]);
            assert!(attributes["url.full"].contains("/ratings/"));
        }
        (SpanKind::Client, _) if span.name.starts_with("S3.") => {
            all(&[("rpc.service", "\"S3\""), ("aws.s3.bucket", "\"content\"")]);
        }
        (SpanKind::Client, _) if span.name.ends_with(" user_content") => {
            all(&[
                ("db.system.name", "\"sqlite\""),
                ("db.namespace", "\"content\""),
                ("db.collection.name", "\"user_content\""),
                ("db.query.summary", &format!("{:?}", span.name)),
            ]);
            assert!(attributes["db.query.text"].contains('?'));
        }
        (SpanKind::Client, _) if span.name.ends_with(" content") => {
            all(&[("messaging.operation.type", "\"settle\"")]);
        }
        (SpanKind::Client, _) => {
            all(&[("db.system.name", "\"redis\""), ("db.operation.name", &format!("{:?}", span.name))]);
        }
        (SpanKind::Producer, _) => all(&[
            ("messaging.system", "\"demo_queue\""),
            ("messaging.destination.name", "\"content\""),
            ("messaging.operation.type", "\"send\""),
        ]),
        (SpanKind::Consumer, _) => {
            all(&[("messaging.destination.name", "\"content\""), ("messaging.operation.type", "\"process\"")]);
        }
        other => panic!("no such span was expected: {other:?}"),
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_edge_to_the_stores_and_the_worker_links_to_it() {
    let (sink, endpoint) = Sink::start();
    let demo = used(&endpoint).await;
    demo.stop().await.unwrap();
    let spans = sink.spans();
    let parent = |span: &SeenSpan| {
        spans.iter().find(|other| other.span_id == span.parent_span_id && other.trace_id == span.trace_id)
    };

    let producer = spans.iter().find(|span| span.kind == SpanKind::Producer).unwrap();
    let mut way = vec![producer];
    while let Some(next) = parent(way.last().unwrap()) {
        way.push(next);
    }
    let way: Vec<(&str, SpanKind)> = way.iter().map(|s| (s.service(), s.kind)).collect();
    assert_eq!(
        way,
        [
            ("content-app", SpanKind::Producer),
            ("content-app", SpanKind::Server),
            ("content-web", SpanKind::Client),
            ("content-web", SpanKind::Server),
            ("content-lb", SpanKind::Client),
            ("content-lb", SpanKind::Server),
            ("content-edge", SpanKind::Client),
            ("content-edge", SpanKind::Server),
        ]
    );

    let consumer = spans.iter().find(|span| span.kind == SpanKind::Consumer).unwrap();
    assert!(consumer.parent_span_id.is_empty());
    assert_ne!(consumer.trace_id, producer.trace_id);
    assert_eq!(consumer.links.len(), 1);
    assert_eq!(consumer.links[0].trace_id, producer.trace_id);
    assert_eq!(consumer.links[0].span_id, producer.span_id);
    for child in ["S3.PutObject", "UPDATE user_content", "ack content"] {
        let child = spans.iter().find(|span| span.name == child).unwrap();
        assert_eq!(child.parent_span_id, consumer.span_id);
    }
    // Stores answer on the wire and make no spans.
    for span in spans.iter().filter(|span| span.service() == "content-app") {
        assert!(span.kind == SpanKind::Server || parent(span).unwrap().kind == SpanKind::Server, "{span:?}");
    }
}

#[tokio::test]
async fn a_pool_that_is_exhausted_shows_who_waits() {
    let (sink, endpoint) = Sink::start();
    let mut options = options(&endpoint);
    options.settings.replica_pool = 1;
    options.settings.primary_pool = 1;
    options.settings.primary.mean = Duration::from_millis(40);
    options.settings.replica.mean = Duration::from_millis(40);
    let demo = Demo::start(options).await.unwrap();
    let every = Duration::from_mins(1);
    let _flushed = demo.begin(&[Effect::ForgetCache { share: 1.0, every }]).await.unwrap();
    let api = Arc::new(Api::new(demo.front_address()));
    let mut reads = JoinSet::new();
    for id in demo.content_ids().to_vec() {
        let api = Arc::clone(&api);
        reads.spawn(async move { api.get(id).await.0 });
    }
    assert!(reads.join_all().await.iter().all(|&status| status == StatusCode::OK));
    demo.stop().await.unwrap();

    // Some wait for the cache's pool before, which is larger.
    let pool = "db.client.connection.pool.name";
    let mut waits = sink.spans();
    // Which of them are asked depends on how early the replicas have told their lag.
    let databases = ["\"content-primary\"", "\"content-replica-a\"", "\"content-replica-b\""];
    let of_database = |span: &SeenSpan| span.attributes.get(pool).is_some_and(|name| databases.contains(&&**name));
    waits.retain(|span| span.name == "pool.acquire" && of_database(span));
    assert!(waits.len() > 8, "only {} waited", waits.len());
    for wait in waits {
        assert_eq!((wait.kind, wait.service()), (SpanKind::Internal, "content-app"));
    }
    let pending = sink.values("db.client.connection.pending_requests");
    assert!(pending.iter().any(|(_, pending)| *pending > 1.0));
}

#[tokio::test]
async fn the_sampler_of_the_environment_is_obeyed() {
    let (sink, endpoint) = Sink::start();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_tiertop-demo"))
        .args(["run", "--rate", "100", "--duration", "1s", "--otlp-endpoint", &endpoint])
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    assert!(sink.spans().is_empty());
    assert!(sink.latest("http.server.request.duration").is_some());
}

#[tokio::test]
async fn a_list_and_a_session_have_statements_of_their_own() {
    let (sink, endpoint) = Sink::start();
    // Without a cache, sessions are in the database.
    let demo = Demo::start(options_of(Phase::WEB_TIER, &endpoint)).await.unwrap();
    let api = Api::new(demo.front_address());
    let cookie = api.begin_session(7).await;
    let list = api.fetch("/api/v1/content?user_id=7", &[("cookie", &cookie)]).await;
    assert_eq!(list.status, StatusCode::OK);
    demo.stop().await.unwrap();

    let spans = sink.spans();
    for (name, table) in [
        ("SELECT user_content by user", "\"user_content\""),
        ("INSERT session", "\"session\""),
        ("SELECT session", "\"session\""),
    ] {
        let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("there is no {name}"));
        assert_eq!((span.kind, span.service()), (SpanKind::Client, "content-app"));
        assert!(has(&span.attributes, "db.collection.name", table), "{span:?}");
        assert!(has(&span.attributes, "db.query.summary", &format!("{name:?}")), "{span:?}");
    }
}
