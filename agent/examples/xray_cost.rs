//! What shipping traces costs: CPU seconds of this process per million spans, from the spans as they were sent to
//! the answers of the service, with encoding, signing and TLS.
//!
//! `SSL_CERT_FILE=CERTIFICATE cargo run --release -p tiertop-agent --example xray_cost -- https://localhost:PORT`
//! against any HTTPS server that answers every POST with `{}`; without an address only documents are encoded. Left
//! out are the engine's choosing and the looking up of spans: they are in the engine's own benchmarks.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_xray::config::SharedCredentialsProvider;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tiertop_agent::details::{DetailedTrace, SpanDetail};
use tiertop_agent::ship::xray::encode;
use tiertop_core::choice::Reason;
use tiertop_core::id::TraceId;

/// Spans of one request: load balancer, web and application, each a SERVER and a CLIENT span, and six calls of stores.
const SPANS_PER_TRACE: u64 = 12;
const TRACES: u64 = 40_000;
/// Traces that are encoded before they are sent.
const TRACES_PER_ROUND: u64 = 100;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn span(trace: u64, place: u64, now: u64) -> Span {
    let (kind, parent, attributes) = match place {
        0 | 2 | 4 => (
            2,
            place,
            vec![
                text("http.request.method", "GET"),
                text("http.route", "/api/v1/content/{id}"),
                text("url.scheme", "https"),
                text("url.path", format!("/api/v1/content/{trace}")),
                text("server.address", "content.example"),
                text("http.response.status_code", "200"),
                text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
                text("client.address", "198.51.100.7"),
            ],
        ),
        1 | 3 => (3, place, vec![text("http.request.method", "GET"), text("server.address", format!("app-{place}"))]),
        _ => (
            3,
            5,
            vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "content"),
                text("db.operation.name", "SELECT"),
                text("db.query.text", "SELECT id, title, body FROM content WHERE id = $1 AND visible"),
                text("server.address", "10.0.3.7"),
            ],
        ),
    };
    let id = |place: u64| (trace * 64 + place).to_be_bytes().to_vec();
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id(place + 1),
        parent_span_id: if parent == 0 { Vec::new() } else { id(parent) },
        name: "GET /api/v1/content/{id}".to_owned(),
        kind,
        start_time_unix_nano: now + place * 1_000_000,
        end_time_unix_nano: now + 50_000_000 - place * 1_000_000,
        attributes,
        ..Span::default()
    }
}

fn traces(first: u64) -> Vec<DetailedTrace> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let scope = InstrumentationScope { name: "http".to_owned(), ..InstrumentationScope::default() }.encode_to_vec();
    let scope = Bytes::from(scope);
    let resources: Vec<Bytes> = ["entry", "web", "content-app"]
        .map(|name| {
            let attributes = vec![
                text("service.name", name),
                text("service.instance.id", format!("{name}-7c9f5b6d8-2")),
                text("cloud.availability_zone", "eu-central-1a"),
                text("telemetry.sdk.language", "python"),
            ];
            Resource { attributes, ..Resource::default() }.encode_to_vec().into()
        })
        .into();
    let detail = |trace, place: u64| SpanDetail {
        resource: resources[(place as usize / 2).min(2)].clone(),
        scope: scope.clone(),
        span: span(trace, place, now).encode_to_vec().into(),
        tier: Some(Arc::from("app/content-app")),
    };
    let trace = |trace: u64| DetailedTrace {
        trace: TraceId(u128::from(trace)),
        reason: Reason::Uniform,
        is_rest: false,
        verdict: None,
        stall: None,
        spans: (0..SPANS_PER_TRACE).map(|place| detail(trace, place)).collect(),
    };
    (first..first + TRACES_PER_ROUND).map(trace).collect()
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let endpoint = std::env::args().nth(1);
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "example");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    let client = endpoint.map(|endpoint| {
        let own = aws_sdk_xray::config::Builder::from(&config).endpoint_url(endpoint);
        aws_sdk_xray::Client::from_conf(own.build())
    });
    let (mut encoding, mut sending, mut documents, mut bytes, mut calls) = (Duration::ZERO, Duration::ZERO, 0, 0, 0);
    let mut first = 1;
    while first < TRACES {
        let round = traces(first);
        first += TRACES_PER_ROUND;
        let begin = cpu();
        let mut texts: Vec<String> = Vec::new();
        for trace in &round {
            texts.extend(encode::trace(trace, &[]).documents.into_iter().map(|document| document.json));
        }
        encoding += cpu().saturating_sub(begin);
        documents += texts.len();
        bytes += texts.iter().map(String::len).sum::<usize>();
        let Some(client) = &client else { continue };
        let begin = cpu();
        for call in texts.chunks(50) {
            let sent = client.put_trace_segments().set_trace_segment_documents(Some(call.to_vec())).send().await;
            sent.unwrap_or_else(|error| panic!("not sent: {error:?}"));
            calls += 1;
        }
        sending += cpu().saturating_sub(begin);
    }
    let spans = (first - 1) * SPANS_PER_TRACE;
    let per_million = |time: Duration| time.as_secs_f64() * 1e6 / spans as f64;
    println!(
        "{spans} spans, {documents} documents of {} bytes on average, {calls} calls\n\
         CPU seconds per million spans: encoding {:.2}, sending {:.2}, together {:.2}",
        bytes / documents.max(1),
        per_million(encoding),
        per_million(sending),
        per_million(encoding + sending),
    );
}
