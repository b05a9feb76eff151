//! Analysing a file of protobuf, from its bytes to the verdict; and, apart, what traces and verdict cost.
//!
//! `cargo bench -p tiertop-agent --bench analyze`. Items are spans.

use std::path::PathBuf;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tiertop_agent::analyze::{AnalyzeOptions, analyze};
use tiertop_agent::decode::{Decoded, Limits, Signal, protobuf};
use tiertop_core::config::Config;
use tiertop_core::diagnosis::{Question, Signals, diagnose};
use tiertop_core::traces::{Capture, Traces};

/// Requests of a file, 5 ms apart.
const REQUESTS: u64 = 40_000;
/// Spans of a request: web, its call, app, cache and database.
const SPANS: u64 = 5;

fn main() {
    divan::main();
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A span of a request: its place, its parent's, its kind, when it starts and ends, what it says.
fn span(request: u64, ids: (u64, u64), kind: i32, micros: (u64, u64), says: &[(&str, &str)]) -> Span {
    let start = 1_795_456_800_000_000_000 + request * 5_000_000;
    let id = |place: u64| if place == 0 { Vec::new() } else { (request * 8 + place).to_be_bytes().to_vec() };
    Span {
        trace_id: (u128::from(request) + 1).to_be_bytes().to_vec(),
        span_id: id(ids.0),
        parent_span_id: id(ids.1),
        name: "GET".to_owned(),
        kind,
        start_time_unix_nano: start + micros.0 * 1_000,
        end_time_unix_nano: start + micros.1 * 1_000,
        attributes: says.iter().map(|(key, value)| text(key, value)).collect(),
        ..Span::default()
    }
}

/// Messages of 100 requests, as the Collector batches them, with their lengths.
fn frames() -> Vec<u8> {
    let mut file = Vec::new();
    for first in (0..REQUESTS).step_by(100) {
        let requests = first..first + 100;
        let route = [("http.request.method", "GET"), ("http.route", "/content/{id}"), ("url.path", "/content/1")];
        let call = [("http.request.method", "GET"), ("server.address", "app")];
        let cache = [("db.system.name", "redis"), ("db.operation.name", "GET"), ("server.address", "cache")];
        let query = [("db.system.name", "postgresql"), ("db.query.text", "SELECT id FROM a"), ("server.address", "db")];
        let web = requests.clone().flat_map(|request| {
            [span(request, (1, 0), 2, (0, 9_000), &route), span(request, (2, 1), 3, (500, 8_500), &call)]
        });
        let app = requests.clone().flat_map(|request| {
            let slow = if request > REQUESTS / 2 { 900 } else { 0 };
            [
                span(request, (3, 2), 2, (1_000, 8_000), &route),
                span(request, (4, 3), 3, (1_200, 1_900), &cache),
                span(request, (5, 3), 3, (2_000, 6_500 + slow), &query),
            ]
        });
        let of = |service: &str, spans: Vec<Span>| ResourceSpans {
            resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        let resource_spans = vec![of("web", web.collect()), of("app", app.collect())];
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        file.extend_from_slice(&u32::try_from(message.len()).expect("a small message").to_be_bytes());
        file.extend_from_slice(&message);
    }
    file
}

#[divan::bench]
fn file_to_verdict(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("traces");
    std::fs::write(&path, frames()).expect("a file");
    let options =
        AnalyzeOptions { files: vec![path], baseline: Vec::new(), config: Config::default(), trace_bytes: 256 << 20 };
    bencher.counter(ItemsCount::new(REQUESTS * SPANS)).bench(|| analyze(black_box(&options)));
}

#[divan::bench]
fn traces_to_verdict(bencher: Bencher) {
    let mut file = &frames()[..];
    let mut decoded: Vec<Decoded> = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        decoded.push(protobuf(Signal::Traces, message, &Limits::default()).expect("made above"));
        file = rest;
    }
    let (names, signals) = (std::collections::BTreeMap::new(), Signals::default());
    bencher.counter(ItemsCount::new(REQUESTS * SPANS)).bench(|| {
        let mut traces = Traces::new(256 << 20);
        for one in &decoded {
            traces.take(&one.batch, Capture::Subject);
        }
        let subject = traces.requests(Capture::Subject);
        let signals = (&signals, &signals);
        diagnose(Question {
            traces: &traces,
            baseline: None,
            subject: &subject,
            names: &names,
            signals,
            incidents: &[],
        })
    });
}
