//! Decoding a request: the walk into a batch against the protobuf tree alone, in one run.
//!
//! `cargo bench -p tiertop-agent --bench decode`. Items are spans or points.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tiertop_agent::decode::{Limits, Signal, json, protobuf};

/// Spans in a request: the default batch of the SDKs.
const SPANS: usize = 512;

const POINTS: usize = 500;

fn main() {
    divan::main();
}

fn pair(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

fn resource() -> Resource {
    let attributes = vec![
        text("service.name", "content-app"),
        text("service.namespace", "content"),
        text("service.instance.id", "content-app-7c9f5b6d8-2"),
        text("cloud.availability_zone", "eu-central-1a"),
        text("telemetry.sdk.language", "python"),
    ];
    Resource { attributes, ..Resource::default() }
}

/// A span of a server, a cache or a database, with a dozen attributes.
fn span(place: usize) -> Span {
    let address = format!("10.0.0.{}", place % 7);
    let (name, kind, mut attributes) = match place % 3 {
        0 => (
            "GET /api/v1/content/{id}",
            2,
            vec![
                text("http.request.method", "GET"),
                text("http.route", "/api/v1/content/{id}"),
                text("url.path", format!("/api/v1/content/{place}")),
                number("http.response.status_code", if place.is_multiple_of(50) { 500 } else { 200 }),
                text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
                text("client.address", format!("198.51.100.{}", place % 250)),
            ],
        ),
        1 => (
            "GET",
            3,
            vec![
                text("db.system.name", "redis"),
                text("db.operation.name", "GET"),
                text("db.query.text", "GET content:?"),
                text("db.namespace", "0"),
            ],
        ),
        _ => (
            "SELECT content",
            3,
            vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "content"),
                text("db.operation.name", "SELECT"),
                text("db.query.text", "SELECT id, title, body FROM content WHERE id = $1"),
            ],
        ),
    };
    attributes.extend([
        text("server.address", "store.internal"),
        number("server.port", 5432),
        text("network.peer.address", address),
        text("network.transport", "tcp"),
        number("thread.id", (place % 64) as i64),
        text("thread.name", "tokio-runtime-worker"),
    ]);
    Span {
        trace_id: (place as u128 + 1).to_be_bytes().to_vec(),
        span_id: (place as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: 1_u64.to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind,
        start_time_unix_nano: 1_795_456_800_000_000_000,
        end_time_unix_nano: 1_795_456_800_002_000_000,
        flags: 0x101,
        attributes,
        ..Span::default()
    }
}

fn traces() -> ExportTraceServiceRequest {
    let scope = Some(InstrumentationScope { name: "bench".to_owned(), ..Default::default() });
    let spans = (0..SPANS).map(span).collect();
    let scope_spans = vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn metrics() -> ExportMetricsServiceRequest {
    let point = |place: usize| HistogramDataPoint {
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", format!("/api/v1/route{place}")),
            number("http.response.status_code", 200),
        ],
        time_unix_nano: 1,
        count: 1_000,
        sum: Some(12.5),
        explicit_bounds: (0..14).map(f64::from).collect(),
        bucket_counts: vec![70; 15],
        ..HistogramDataPoint::default()
    };
    let data_points = (0..POINTS).map(point).collect();
    let metrics = vec![Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(Histogram { data_points, aggregation_temporality: 2 })),
        ..Metric::default()
    }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

#[divan::bench]
fn traces_walk(bencher: Bencher) {
    let body = traces().encode_to_vec();
    bencher.counter(ItemsCount::new(SPANS)).bench(|| protobuf(Signal::Traces, black_box(&body), &Limits::default()));
}

#[divan::bench]
fn traces_tree(bencher: Bencher) {
    let body = traces().encode_to_vec();
    bencher.counter(ItemsCount::new(SPANS)).bench(|| ExportTraceServiceRequest::decode(black_box(&body[..])));
}

#[divan::bench]
fn traces_json(bencher: Bencher) {
    let body = serde_json::to_vec(&traces()).expect("a tree is JSON");
    bencher.counter(ItemsCount::new(SPANS)).bench(|| json(Signal::Traces, black_box(&body), &Limits::default()));
}

#[divan::bench]
fn metrics_walk(bencher: Bencher) {
    let body = metrics().encode_to_vec();
    bencher.counter(ItemsCount::new(POINTS)).bench(|| protobuf(Signal::Metrics, black_box(&body), &Limits::default()));
}

#[divan::bench]
fn metrics_tree(bencher: Bencher) {
    let body = metrics().encode_to_vec();
    bencher.counter(ItemsCount::new(POINTS)).bench(|| ExportMetricsServiceRequest::decode(black_box(&body[..])));
}
