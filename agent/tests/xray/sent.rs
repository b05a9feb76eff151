//! Spans as clients send them, and the documents that they become.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;
use serde_json::Value;
use tiertop_agent::details::{DetailedTrace, SpanDetail};
use tiertop_agent::ship::xray::encode::{Encoded, trace};
use tiertop_core::choice::Reason;
use tiertop_core::id::TraceId;

pub(crate) const TRACE: u128 = 0x6123_4567_0123_4567_89ab_cdef_0123_4567;
pub(crate) const SERVER: i32 = 2;
pub(crate) const CLIENT: i32 = 3;
pub(crate) const PRODUCER: i32 = 4;
pub(crate) const CONSUMER: i32 = 5;
pub(crate) const INTERNAL: i32 = 1;

pub(crate) fn attribute(key: &str, value: AnyKind) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Attributes that are texts; what is digits only becomes a number.
pub(crate) fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| match text.parse() {
        Ok(number) => AnyKind::IntValue(number),
        Err(_) => AnyKind::StringValue(text.to_owned()),
    };
    pairs.iter().map(|(key, text)| attribute(key, value(text))).collect()
}

/// A span of the trace, one second after the epoch's 1,800,000,000th, that takes 250 ms.
pub(crate) fn span(id: u64, parent: u64, kind: i32, name: &str, pairs: &[(&str, &str)]) -> Span {
    let start = 1_800_000_001_000_000_000 + id * 1_000_000;
    Span {
        trace_id: TRACE.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        kind,
        name: name.to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 250_000_000,
        attributes: attributes(pairs),
        ..Span::default()
    }
}

pub(crate) fn failed(span: Span, message: &str) -> Span {
    Span { status: Some(Status { code: 2, message: message.to_owned() }), ..span }
}

pub(crate) fn exception(pairs: &[(&str, &str)]) -> Event {
    Event { name: "exception".to_owned(), attributes: attributes(pairs), ..Event::default() }
}

pub(crate) fn resource(pairs: &[(&str, &str)]) -> Bytes {
    Resource { attributes: attributes(pairs), ..Resource::default() }.encode_to_vec().into()
}

pub(crate) fn detail(resource: &Bytes, span: &Span) -> SpanDetail {
    let tier = Some(Arc::from("app/shop"));
    SpanDetail { resource: resource.clone(), scope: Bytes::new(), span: span.encode_to_vec().into(), tier }
}

pub(crate) fn chosen(spans: Vec<SpanDetail>) -> DetailedTrace {
    DetailedTrace {
        trace: TraceId(TRACE),
        reason: Reason::Slow,
        is_rest: false,
        verdict: Some(Arc::from("db-primary/orders: lock contention")),
        stall: None,
        spans,
    }
}

/// The documents of spans of one service, read back.
pub(crate) fn documents_of(spans: &[Span]) -> Vec<Value> {
    let resource = resource(&[("service.name", "shop")]);
    read(&trace(&chosen(spans.iter().map(|span| detail(&resource, span)).collect()), &[]))
}

pub(crate) fn read(encoded: &Encoded) -> Vec<Value> {
    encoded.documents.iter().map(|document| serde_json::from_str(&document.json).expect("JSON")).collect()
}

/// What one call becomes within a request.
pub(crate) fn call(kind: i32, name: &str, pairs: &[(&str, &str)]) -> Value {
    let all = documents_of(&[span(1, 9, SERVER, "GET /", &[]), span(2, 1, kind, name, pairs)]);
    all[0]["subsegments"][0].clone()
}
