//! Documents keep the service's limits whatever clients send.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use proptest::prelude::*;
use serde_json::Value;
use tiertop_agent::details::SpanDetail;
use tiertop_agent::ship::xray::DOCUMENT_BYTES;
use tiertop_agent::ship::xray::encode::{Encoded, trace};

use crate::sent::{CLIENT, SERVER, attribute, chosen, detail, exception, resource, span};

/// Holds each document against what the service demands, and returns the ids of the segments in them.
fn ids_in(encoded: &Encoded) -> Vec<String> {
    let mut ids = Vec::new();
    for document in &encoded.documents {
        assert!(document.json.len() <= DOCUMENT_BYTES, "{} bytes", document.json.len());
        let read: Value = serde_json::from_str(&document.json).expect("JSON");
        assert_eq!(read["id"], document.id.to_string());
        assert_eq!(read["trace_id"].as_str().map(str::len), Some(35));
        check(&read, &mut ids);
    }
    ids
}

fn check(segment: &Value, ids: &mut Vec<String>) {
    let id = segment["id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    ids.push(id.to_owned());
    let name = segment["name"].as_str().expect("a name");
    assert!((1..=200).contains(&name.chars().count()), "{name}");
    assert!(!name.contains(['<', '>', '{', '"', '\u{0}', '\n']), "{name}");
    let time = |key: &str| segment[key].as_f64().expect("a time");
    assert!(time("start_time") <= time("end_time"));
    if let Some(annotations) = segment["annotations"].as_object() {
        assert!(annotations.len() <= 50);
        for (key, value) in annotations {
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.'), "{key}");
            assert!(value.is_string() || value.is_number() || value.is_boolean(), "{value}");
            assert!(value.as_str().is_none_or(|text| text.chars().count() <= 1_000));
        }
    }
    for inner in segment["subsegments"].as_array().into_iter().flatten() {
        check(inner, ids);
    }
}

#[test]
fn detail_is_given_up_in_order_until_a_span_fits() {
    let of = |sizes: [usize; 3]| {
        let [metadata, stack, statement] = sizes;
        let texts = ["x".repeat(metadata), "at a.b(C.java:1)\n".repeat(stack / 17), "?".repeat(statement)];
        let mut call = span(1, 9, CLIENT, "SELECT", &[("db.system.name", "postgresql"), ("db.query.text", &texts[2])]);
        call.attributes.push(attribute("big", AnyKind::StringValue(texts[0].clone())));
        call.events
            .extend((0..10).map(|_| exception(&[("exception.stacktrace", &texts[1]), ("exception.message", "m")])));
        let encoded = trace(&chosen(vec![detail(&resource(&[("telemetry.sdk.language", "java")]), &call)]), &[]);
        ids_in(&encoded);
        let document: Value = serde_json::from_str(&encoded.documents[0].json).expect("JSON");
        let has = |part: &Value| !part.is_null();
        let stack = &document["cause"]["exceptions"][0]["stack"];
        (has(&document["metadata"]), has(stack), has(&document["sql"]), encoded.spans_cut)
    };
    assert_eq!(of([1_000, 1_000, 1_000]), (true, true, true, 0));
    assert_eq!(of([70_000, 1_000, 1_000]), (false, true, true, 1));
}

#[test]
fn a_trace_of_many_spans_is_cut_into_documents_and_no_span_is_lost() {
    let resource = resource(&[("service.name", "shop")]);
    let text = "x".repeat(900);
    let mut spans = vec![detail(&resource, &span(1, 0, SERVER, "GET /", &[]))];
    spans.extend((2..500).map(|id| detail(&resource, &span(id, 1, CLIENT, "GET", &[("note", &text)]))));
    // One below the other, deeper than JSON is read.
    spans.extend((500..1000).map(|id| detail(&resource, &span(id, id - 1, CLIENT, "GET", &[]))));
    let encoded = trace(&chosen(spans), &[]);
    assert!(encoded.documents.iter().any(|document| document.spans > 20), "what fits is within its parent");
    assert_eq!(encoded.documents.iter().map(|document| document.spans).sum::<u32>(), 999);
    let mut ids = ids_in(&encoded);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 999);
}

#[test]
fn spans_that_claim_to_be_their_own_forebears_are_told_all_the_same() {
    let resource = resource(&[]);
    let spans = [(1, 1), (2, 3), (3, 2), (4, 2), (4, 3)];
    let details = spans.iter().map(|(id, parent)| detail(&resource, &span(*id, *parent, CLIENT, "x", &[])));
    let encoded = trace(&chosen(details.collect()), &[]);
    assert_eq!(ids_in(&encoded).len(), 5);
}

fn any_value() -> impl Strategy<Value = AnyKind> {
    let leaf = prop_oneof![
        ".{0,40}".prop_map(AnyKind::StringValue),
        "[a-z<>\"\\\\\u{0}\u{7}é]{0,1500}".prop_map(AnyKind::StringValue),
        any::<bool>().prop_map(AnyKind::BoolValue),
        any::<i64>().prop_map(AnyKind::IntValue),
        any::<f64>().prop_map(AnyKind::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..50).prop_map(AnyKind::BytesValue),
    ];
    leaf.prop_recursive(12, 30, 3, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|values| {
            let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
            AnyKind::ArrayValue(ArrayValue { values })
        })
    })
}

const KEYS: [&str; 26] = [
    "http.request.method",
    "http.response.status_code",
    "url.full",
    "url.path",
    "server.address",
    "server.port",
    "db.system.name",
    "db.namespace",
    "db.query.text",
    "messaging.system",
    "messaging.destination.name",
    "rpc.system",
    "rpc.method",
    "aws.s3.bucket",
    "peer.service",
    "client.address",
    "error.type",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
    "aws.xray.annotations",
    "user.id",
    "service.name",
    "cloud.platform",
    "telemetry.sdk.language",
    "service.version",
];

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![prop::sample::select(&KEYS[..]).prop_map(str::to_owned), ".{0,20}"];
    prop::collection::vec((key, any_value()).prop_map(|(key, value)| attribute(&key, value)), 0..30)
}

fn any_span() -> impl Strategy<Value = SpanDetail> {
    let ids = (1..20_u64, 0..20_u64, 0..7_i32, ".{0,300}", any::<u64>(), any::<u64>(), 0..4_i32);
    let parts = (any_attributes(), any_attributes(), any_attributes());
    (ids, parts).prop_map(|((id, parent, kind, name, start, end, status), (own, of_event, of_resource))| {
        let mut span = span(id, parent, kind, &name, &[]);
        (span.start_time_unix_nano, span.end_time_unix_nano) = (start, end);
        span.attributes = own;
        span.events.push(exception(&[]));
        span.events[0].attributes = of_event;
        span.status = Some(opentelemetry_proto::tonic::trace::v1::Status { code: status, message: name });
        let resource =
            opentelemetry_proto::tonic::resource::v1::Resource { attributes: of_resource, ..Default::default() };
        detail(&prost::Message::encode_to_vec(&resource).into(), &span)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn documents_are_within_the_limits_whatever_is_sent(spans in prop::collection::vec(any_span(), 1..12)) {
        let count = spans.len();
        let encoded = trace(&chosen(spans), &["*".to_owned()]);
        prop_assert_eq!(encoded.documents.iter().map(|document| document.spans).sum::<u32>() as usize, count);
        ids_in(&encoded);
    }

    #[test]
    fn bytes_that_are_no_message_are_told_as_far_as_they_can_be(
        resource in prop::collection::vec(any::<u8>(), 0..200),
        span in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let detail = SpanDetail { resource: Bytes::from(resource), scope: Bytes::new(), span: Bytes::from(span), tier: None };
        let encoded = trace(&chosen(vec![detail]), &[]);
        prop_assert_eq!(encoded.documents.len(), 1);
    }
}
