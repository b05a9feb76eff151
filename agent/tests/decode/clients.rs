//! Hand-made spans as other clients than Python send them, and the refusals.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;
use tiertop_agent::decode::{self, Decoded, Limits, Reason, Signal};
use tiertop_core::observation::{Batch, MessagingOperation, ParentPlace, SpanKind, SpanShape};

use crate::walk;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn attributes(pairs: &[(&str, Value)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, Value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(value.clone()) }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn span(name: &str, kind: i32, pairs: &[(&str, Value)]) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        kind,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        attributes: attributes(pairs),
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "test".to_owned(), ..InstrumentationScope::default() };
    let resource = Resource { attributes: attributes(&[("service.name", text("shop"))]), ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn shape(name: &str, kind: i32, pairs: &[(&str, Value)]) -> SpanShape {
    let batch = walk(Signal::Traces, &request(vec![span(name, kind, pairs)])).batch;
    batch.shapes.into_iter().next().unwrap()
}

#[test]
fn node_sends_new_names_and_ports_as_text() {
    let call = shape(
        "GET",
        CLIENT,
        &[
            ("http.request.method", text("GET")),
            ("url.full", text("http://127.0.0.1:20201/api/v1/content/7?draft=1")),
            ("server.address", text("127.0.0.1")),
            ("server.port", text("20201")),
            ("http.response.status_code", Value::IntValue(404)),
            ("error.type", text("404")),
        ],
    );
    assert_eq!(call.kind, SpanKind::Client);
    assert_eq!((call.peer_address.as_deref(), call.peer_port), (Some("127.0.0.1"), 20201));
    assert_eq!(call.path_template.as_deref(), Some("/api/v1/content/{id}"));
    assert_eq!((call.http_status, call.error_type.as_deref()), (404, Some("404")));
}

#[test]
fn node_sends_sqs_and_s3_as_pairs_of_service_and_method() {
    let poll = shape(
        "tt-events receive",
        CONSUMER,
        &[
            ("rpc.system", text("aws-api")),
            ("rpc.service", text("SQS")),
            ("rpc.method", text("ReceiveMessage")),
            ("messaging.system", text("aws_sqs")),
            ("messaging.destination.name", text("tt-events")),
            ("messaging.operation.type", text("receive")),
            ("messaging.batch.message_count", Value::IntValue(0)),
            ("url.full", text("http://127.0.0.1:55000/123456789012/tt-events")),
        ],
    );
    assert_eq!(poll.messaging_system.as_deref(), Some("aws_sqs"));
    assert_eq!(poll.messaging_operation, Some(MessagingOperation::Receive));
    assert!(poll.messaging_empty);
    let put = shape(
        "S3.PutObject",
        CLIENT,
        &[
            ("rpc.system", text("aws-api")),
            ("rpc.service", text("S3")),
            ("rpc.method", text("PutObject")),
            ("aws.s3.bucket", text("thumbnails")),
            ("cloud.region", text("eu-central-1")),
        ],
    );
    assert_eq!(put.s3_bucket.as_deref(), Some("thumbnails"));
    assert_eq!(put.rpc_service.as_deref(), Some("S3"));
}

#[test]
fn node_shows_a_job_queue_only_by_its_keys() {
    let add = shape(
        "evalsha",
        CLIENT,
        &[
            ("db.system.name", text("redis")),
            ("db.query.text", text("evalsha 6f1e 7 bull:thumbnails:wait bull:thumbnails:paused")),
            ("server.address", text("cache")),
            ("server.port", Value::IntValue(6379)),
        ],
    );
    assert_eq!(add.db_operation.as_deref(), Some("EVALSHA"));
    assert!(add.db_queue_work);
    assert_eq!(add.db_collection.as_deref(), Some("thumbnails"));
}

#[test]
fn java_sends_a_summary_and_kafka_names() {
    let query = shape(
        "SELECT shop.orders",
        CLIENT,
        &[
            ("db.system.name", text("mysql")),
            ("db.namespace", text("shop")),
            ("db.query.summary", text("SELECT orders")),
            ("db.query.text", text("select o.id from orders o join users u on u.id = ? for update")),
            ("server.address", text("orders-ro.internal")),
            ("server.port", Value::IntValue(3306)),
        ],
    );
    assert_eq!(query.db_operation.as_deref(), Some("SELECT FOR UPDATE"));
    assert_eq!(query.db_collection.as_deref(), Some("orders"));
    let send = shape(
        "orders publish",
        PRODUCER,
        &[
            ("messaging.system", text("kafka")),
            ("messaging.destination.name", text("orders")),
            ("messaging.operation", text("publish")),
        ],
    );
    assert_eq!(send.messaging_operation, Some(MessagingOperation::Send));
}

#[test]
fn go_sends_old_names_and_statements() {
    let served = shape(
        "GET /articles/{id}",
        SERVER,
        &[
            ("http.method", text("GET")),
            ("http.scheme", text("http")),
            ("net.host.name", text("shop.example.org")),
            ("net.host.port", Value::IntValue(8080)),
            ("net.sock.peer.addr", text("198.51.100.7")),
            ("net.sock.peer.port", Value::IntValue(50123)),
            ("http.target", text("/articles/42?x=y")),
            ("http.route", text("/articles/{id}")),
            ("http.status_code", Value::IntValue(200)),
            ("user_agent.original", text("kube-probe/1.31")),
        ],
    );
    assert_eq!((served.peer_address, served.peer_port), (None, 0));
    assert_eq!(served.path_template.as_deref(), Some("/articles/{id}"));
    assert!(served.health_check);
    let query = shape(
        "sql.conn.query",
        CLIENT,
        &[
            ("db.system", text("postgresql")),
            ("db.statement", text("-- name: GetArticle :one\nSELECT id FROM articles WHERE id = $1")),
        ],
    );
    assert_eq!(query.db_operation.as_deref(), Some("SELECT"));
    assert_eq!(query.db_collection.as_deref(), Some("articles"));
}

#[test]
fn dotnet_sends_grpc_calls_with_both_in_the_method() {
    let call = shape(
        "shop.Orders/Place",
        CLIENT,
        &[
            ("rpc.system", text("grpc")),
            ("rpc.method", text("shop.Orders/Place")),
            ("server.address", text("orders:8443")),
        ],
    );
    assert_eq!(call.rpc_service.as_deref(), Some("shop.Orders"));
    assert_eq!(call.rpc_method.as_deref(), Some("Place"));
    assert_eq!((call.peer_address.as_deref(), call.peer_port), (Some("orders"), 8443));
    let old = shape(
        "Orders",
        CLIENT,
        &[("http.url", text("https://user:secret@orders.example.org/v1/orders")), ("peer.service", text("orders"))],
    );
    assert_eq!((old.peer_address.as_deref(), old.peer_port), (Some("orders.example.org"), 443));
    assert_eq!(old.peer_service.as_deref(), Some("orders"));
}

#[test]
fn rusts_own_http_library_is_accepted_and_ignored() {
    let inner = span("FramedRead::poll_next", 1, &[("target", text("h2::codec::framed_read"))]);
    let work = span("work", 1, &[("target", text("shop::orders"))]);
    let Decoded { batch, refused } = walk(Signal::Traces, &request(vec![inner, work]));
    assert_eq!((batch.spans.len(), batch.spans_ignored, refused.any()), (1, 1, false));
}

#[test]
fn new_names_win_over_old_ones_of_the_same_meaning() {
    let both = shape(
        "GET",
        CLIENT,
        &[
            ("http.method", text("OLD")),
            ("http.request.method", text("NEW")),
            ("db.system.name", text("")),
            ("db.system", text("postgresql")),
            ("net.peer.name", text("old")),
            ("server.address", text("new")),
        ],
    );
    assert_eq!(both.http_method.as_deref(), Some("NEW"));
    assert_eq!(both.db_system.as_deref(), Some("postgresql"));
    assert_eq!(both.peer_address.as_deref(), Some("new"));
}

#[test]
fn values_without_a_bound_do_not_make_shapes() {
    let spans = (0..200).map(|number| {
        span(
            "GET /articles/{id}",
            SERVER,
            &[
                ("url.path", text(&format!("/articles/{number}"))),
                ("http.route", text("/articles/{id}")),
                ("db.system", text("postgresql")),
                ("db.statement", text(&format!("select a from articles where id = {number}"))),
                ("http.host", text(&format!("tenant{number}.example.org"))),
                ("user_agent.original", text(&format!("browser {number}"))),
                ("net.peer.ip", text(&format!("198.51.100.{number}"))),
            ],
        )
    });
    let batch = walk(Signal::Traces, &request(spans.collect())).batch;
    assert_eq!(batch.spans.len(), 200);
    assert_eq!(batch.shapes.len(), 1);
    let paths: std::collections::HashSet<u64> = batch.spans.iter().map(|span| span.path_hash).collect();
    assert_eq!(paths.len(), 200);
}

#[test]
fn a_name_for_each_span_does_not_make_a_shape_for_each() {
    let spans: Vec<_> = (0..5_000)
        .map(|number| {
            let path = format!("/by-{}/{number}", ["a", "b"][number % 2]);
            span(&format!("GET {path}"), SERVER, &[("url.path", text(&path))])
        })
        .collect();
    let batch = walk(Signal::Traces, &request(spans)).batch;
    assert_eq!(batch.spans.len(), 5_000);
    assert!(batch.shapes.len() <= 256 + 2, "{}", batch.shapes.len());
    assert_eq!(&*batch.shapes.last().unwrap().name, "GET /by-b/{id}");
}

#[test]
fn long_names_are_cut_between_characters() {
    let name = "é".repeat(300);
    let shape = shape(&name, SERVER, &[("http.route", text(&name))]);
    assert_eq!(shape.name.len(), 256);
    assert_eq!(shape.http_route.unwrap().len(), 256);
}

#[test]
fn invalid_spans_are_refused_one_by_one_with_a_reason() {
    let valid = || span("a", SERVER, &[]);
    let spans = vec![
        valid(),
        Span { trace_id: vec![0; 16], ..valid() },
        Span { trace_id: vec![1; 8], ..valid() },
        Span { span_id: Vec::new(), ..valid() },
        Span { parent_span_id: vec![1; 16], ..valid() },
        Span { start_time_unix_nano: 0, end_time_unix_nano: 0, ..valid() },
        Span { attributes: attributes(&vec![("a", text("b")); 1025]), ..valid() },
        valid(),
    ];
    let Decoded { batch, refused } = walk(Signal::Traces, &request(spans));
    assert_eq!(batch.spans.len(), 2);
    assert_eq!(refused.spans, 6);
    assert_eq!(
        refused.reasons,
        [
            (Reason::TraceId, 2),
            (Reason::SpanId, 1),
            (Reason::ParentId, 1),
            (Reason::SpanTimes, 1),
            (Reason::SpanAttributes, 1),
        ]
    );
    assert!(refused.message().starts_with("2: trace id is not 16 bytes or is zero; 1: "));
}

#[test]
fn a_clock_that_steps_back_is_clamped() {
    let spans = vec![
        Span { end_time_unix_nano: 500, ..span("a", SERVER, &[]) },
        Span { start_time_unix_nano: 0, ..span("a", SERVER, &[]) },
    ];
    let batch: Batch = walk(Signal::Traces, &request(spans)).batch;
    assert_eq!((batch.spans[0].start.0, batch.spans[0].end.0), (1_000, 1_000));
    assert_eq!((batch.spans[1].start.0, batch.spans[1].end.0), (2_000, 2_000));
}

#[test]
fn json_takes_integers_as_numbers_and_as_text_and_unknown_fields() {
    let body = |port: serde_json::Value, time: serde_json::Value| {
        json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "somethingNew": {"a": [1]},
            "scopeSpans": [{
                "scope": {"name": "http"},
                "spans": [{
                    "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "spanId": "b7ad6b7169203331",
                    "flags": 769,
                    "name": "GET",
                    "kind": 3,
                    "startTimeUnixNano": "1000",
                    "endTimeUnixNano": time,
                    "attributes": [
                        {"key": "server.address", "value": {"stringValue": "db"}},
                        {"key": "server.port", "value": {"intValue": port}},
                        {"key": "later", "value": {"someValue": 1}},
                    ],
                    "status": {},
                    "somethingElse": null,
                }],
            }],
        }]})
        .to_string()
    };
    for body in [body(json!(5432), json!(2000)), body(json!("5432"), json!("2000"))] {
        let Decoded { batch, refused } = decode::json(Signal::Traces, body.as_bytes(), &Limits::default()).unwrap();
        assert!(!refused.any());
        assert_eq!(batch.spans[0].end.0, 2_000);
        assert_eq!(batch.spans[0].parent_place, ParentPlace::Remote);
        assert_eq!(batch.shapes[0].peer_port, 5432);
        assert_eq!(&*batch.resources[0].service_name, "shop");
    }
    let error = decode::json(Signal::Traces, b"{\"resourceSpans\": 7}", &Limits::default());
    assert!(error.unwrap_err().to_string().starts_with("malformed JSON: "));
}

#[test]
fn json_that_nests_without_end_is_refused() {
    let body = format!("{{\"resourceSpans\": {}", "[".repeat(100_000));
    assert!(decode::json(Signal::Traces, body.as_bytes(), &Limits::default()).is_err());
}
