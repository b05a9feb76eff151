//! Generated requests: any mix of attributes, kinds, types and places, walked and compared with
//! the tree; and bodies changed at random, which must never panic.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exponential_histogram_data_point::Buckets,
    metric::Data, number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Event, span::Link};
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use tiertop_agent::decode::{Limits, Signal, json, protobuf};

use crate::{assert_metrics_agree, assert_traces_agree, reference, walk};

const KEYS: [&str; 64] = [
    "http.request.method",
    "http.method",
    "http.route",
    "http.response.status_code",
    "http.status_code",
    "url.path",
    "http.target",
    "url.full",
    "http.url",
    "server.address",
    "net.peer.name",
    "http.host",
    "network.peer.address",
    "net.peer.ip",
    "server.port",
    "net.peer.port",
    "network.peer.port",
    "peer.service",
    "db.system.name",
    "db.system",
    "db.namespace",
    "db.name",
    "db.redis.database_index",
    "db.operation.name",
    "db.operation",
    "db.query.summary",
    "db.query.text",
    "db.statement",
    "db.collection.name",
    "db.sql.table",
    "db.mongodb.collection",
    "aws.dynamodb.table_names",
    "messaging.system",
    "messaging.destination.name",
    "messaging.destination",
    "aws.sqs.queue.url",
    "messaging.url",
    "aws.queue_url",
    "aws.sns.topic.arn",
    "messaging.operation.type",
    "messaging.operation",
    "messaging.operation.name",
    "messaging.batch.message_count",
    "rpc.system.name",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "aws.s3.bucket",
    "faas.trigger",
    "error.type",
    "tiertop.tier",
    "http.response.header.x-cache",
    "http.response.header.cf-cache-status",
    "cache.hit",
    "user_agent.original",
    "http.user_agent",
    "target",
    "celery.action",
    "http.flavor",
    "net.transport",
    "thread.id",
    "code.function",
    "db.user",
    "asgi.event.type",
];

const TEXTS: [&str; 32] = [
    "",
    "GET",
    "POST",
    "/api/v1/content",
    "/api/v1/content/42?x=1",
    "/health",
    "http://10.0.0.7:8080/api/v1/content/7#top",
    "https://example.org",
    "db1:5432",
    "db1",
    "cache",
    "postgresql",
    "redis",
    "mongodb",
    "SELECT a FROM b WHERE c = 'd'",
    "select 1 from t for update",
    "get content:1",
    "evalsha x 1 bull:jobs:wait",
    "INSERT content",
    "SELECT",
    "findAndModify",
    "aws_sqs",
    "http://127.0.0.1:55000/123456789012/tt-events",
    "arn:aws:sns:eu:1:topic",
    "receive",
    "process",
    "shop.Orders/Place",
    "hit",
    "ELB-HealthChecker/2.0",
    "h2::codec::framed_read",
    "app::work",
    "20201",
];

fn any_value() -> impl Strategy<Value = AnyValue> {
    let scalar = prop_oneof![
        6 => select(&TEXTS[..]).prop_map(|text| Value::StringValue(text.to_owned())),
        1 => "[ -~]{0,20}".prop_filter("no addresses of its own", |text| !text.contains([':', '/', '@', '[']))
            .prop_map(Value::StringValue),
        1 => "é{120,140}".prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        2 => select(&[0_i64, 1, 200, 404, 500, 5432, 65535, 65536, -1, i64::MIN][..]).prop_map(Value::IntValue),
        1 => select(&[0.5, 80.0, -1.25][..]).prop_map(Value::DoubleValue),
    ];
    let wrap = |value| AnyValue { value: Some(value) };
    prop_oneof![
        8 => scalar.clone().prop_map(wrap),
        1 => vec(scalar.clone().prop_map(wrap), 0..3)
            .prop_map(move |values| wrap(Value::ArrayValue(ArrayValue { values }))),
        1 => scalar.prop_map(move |value| {
            let values = vec![pair("inner".to_owned(), wrap(value))];
            wrap(Value::KvlistValue(KeyValueList { values }))
        }),
        1 => Just(AnyValue { value: None }),
    ]
}

fn pair(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn attributes(most: usize) -> impl Strategy<Value = Vec<KeyValue>> {
    // A map has no order of its own, so old and new names come in either.
    hash_map(select(&KEYS[..]), any_value(), 0..most)
        .prop_map(|map| map.into_iter().map(|(key, value)| pair(key.to_owned(), value)).collect())
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let service = select(&["gateway", "app", ""][..]);
    option::of(service.prop_map(|service| {
        let name = AnyValue { value: Some(Value::StringValue(service.to_owned())) };
        Resource { attributes: vec![pair("service.name".to_owned(), name)], ..Resource::default() }
    }))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::of(select(&["", "http", "db"][..]).prop_map(|name| InstrumentationScope {
        name: name.to_owned(),
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    }))
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), length),
        1 => Just(vec![0; length]),
        1 => Just(Vec::new()),
        1 => vec(any::<u8>(), 3),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8)).prop_map(|(trace_id, span_id)| Link { trace_id, span_id, ..Link::default() })
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), id(8));
    let name = prop_oneof![
        select(&["GET /api/v1/content", "SELECT content", "tt-events process", "", "pg.query:X"][..])
            .prop_map(str::to_owned),
        "é{120,140}",
    ];
    let time = || prop_oneof![Just(0_u64), 1..100_u64, any::<u64>()];
    let flags = select(&[0_u32, 1, 0x100, 0x101, 0x300, 0x301, 0x200][..]);
    let state = select(&["", "ot=th:8", "a=b,ot=p:3"][..]);
    let status = option::of((0..4_i32).prop_map(|code| Status { code, message: "m".to_owned() }));
    let head = (ids, name, 0..7_i32, time(), time(), flags, state, status);
    (head, attributes(24), vec(link(), 0..3), 0..2_usize).prop_map(
        |((ids, name, kind, start, end, flags, state, status), attributes, links, events)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state: state.to_owned(),
            flags,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events: vec![Event { name: "exception".to_owned(), ..Event::default() }; events],
            links,
            status,
            ..Span::default()
        },
    )
}

fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans = (scope(), vec(span(), 0..6)).prop_map(|(scope, spans)| ScopeSpans {
        scope,
        spans,
        schema_url: "https://opentelemetry.io/schemas/1.11.0".to_owned(),
    });
    let resource_spans = (resource(), vec(scope_spans, 0..3)).prop_map(|(resource, scope_spans)| ResourceSpans {
        resource,
        scope_spans,
        ..ResourceSpans::default()
    });
    vec(resource_spans, 0..4).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn point_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let dimensions = option::of(attributes(3)).prop_map(|dimensions| {
        dimensions.map(|values| {
            let value = Some(Value::KvlistValue(KeyValueList { values }));
            pair("Dimensions".to_owned(), AnyValue { value })
        })
    });
    (attributes(6), dimensions).prop_map(|(mut all, dimensions)| {
        all.extend(dimensions);
        all
    })
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), -1e9..1e9_f64, Just(f64::MAX)]
}

fn numbers() -> impl Strategy<Value = Vec<NumberDataPoint>> {
    let value = option::of(prop_oneof![
        number().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ]);
    let point = (point_attributes(), any::<u64>(), 1..u64::MAX, value, 0..2_u32).prop_map(
        |(attributes, start, time, value, flags)| NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            value,
            flags,
            ..NumberDataPoint::default()
        },
    );
    vec(point, 0..4)
}

fn histograms() -> impl Strategy<Value = Vec<HistogramDataPoint>> {
    let stats = (any::<u64>(), option::of(number()), option::of(number()), option::of(number()));
    let point = (point_attributes(), 1..u64::MAX, stats, vec(any::<u64>(), 0..20)).prop_map(
        |(attributes, time, (count, sum, min, max), counts)| HistogramDataPoint {
            attributes,
            time_unix_nano: time,
            count,
            sum,
            min,
            max,
            explicit_bounds: (1..counts.len()).map(|bound| bound as f64 * 2.5).collect(),
            bucket_counts: counts,
            ..HistogramDataPoint::default()
        },
    );
    vec(point, 0..4)
}

fn exponentials() -> impl Strategy<Value = Vec<ExponentialHistogramDataPoint>> {
    let buckets = option::of(
        (any::<i32>(), vec(any::<u64>(), 0..20)).prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }),
    );
    let shape = (any::<i32>(), any::<u64>(), buckets.clone(), buckets);
    let point = (point_attributes(), 1..u64::MAX, option::of(number()), shape).prop_map(
        |(attributes, time, sum, (scale, zero_count, positive, negative))| ExponentialHistogramDataPoint {
            attributes,
            time_unix_nano: time,
            sum,
            scale,
            zero_count,
            positive,
            negative,
            ..ExponentialHistogramDataPoint::default()
        },
    );
    vec(point, 0..4)
}

fn summaries() -> impl Strategy<Value = Vec<SummaryDataPoint>> {
    let quantile = (0.0..1.0_f64, number()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let point = (point_attributes(), 1..u64::MAX, any::<u64>(), number(), vec(quantile, 0..5)).prop_map(
        |(attributes, time, count, sum, quantile_values)| SummaryDataPoint {
            attributes,
            time_unix_nano: time,
            count,
            sum,
            quantile_values,
            ..SummaryDataPoint::default()
        },
    );
    vec(point, 0..4)
}

fn metric() -> impl Strategy<Value = Metric> {
    let temporality = 0..3_i32;
    let data = prop_oneof![
        numbers().prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (numbers(), temporality.clone(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (histograms(), temporality.clone()).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (exponentials(), temporality).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        summaries().prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    let name = select(&["http.server.request.duration", "redis.keyspace.hits", "no.such", ""][..]);
    (name, select(&["s", "ms", ""][..]), option::of(data)).prop_map(|(name, unit, data)| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: "d".to_owned(),
        data,
        ..Metric::default()
    })
}

fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (scope(), vec(metric(), 0..4)).prop_map(|(scope, metrics)| ScopeMetrics {
        scope,
        metrics,
        ..ScopeMetrics::default()
    });
    let resource_metrics = (resource(), vec(scope_metrics, 0..3)).prop_map(|(resource, scope_metrics)| {
        ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }
    });
    vec(resource_metrics, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn generated_traces_agree_with_the_tree(request in traces()) {
        assert_traces_agree(&request.encode_to_vec());
    }

    #[test]
    fn generated_metrics_agree_with_the_tree(request in metrics()) {
        assert_metrics_agree(&request.encode_to_vec());
    }

    #[test]
    fn old_and_new_names_may_come_in_any_order(mut request in traces()) {
        let forward = walk(Signal::Traces, &request.encode_to_vec()).batch;
        let scopes = request.resource_spans.iter_mut().flat_map(|spans| &mut spans.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            span.attributes.reverse();
        }
        let backward = walk(Signal::Traces, &request.encode_to_vec()).batch;
        prop_assert_eq!(reference::spans_of(&forward), reference::spans_of(&backward));
    }

    #[test]
    fn json_says_the_same_as_protobuf(request in traces()) {
        let body = serde_json::to_vec(&request).unwrap();
        let from_json = json(Signal::Traces, &body, &Limits::default()).unwrap();
        let from_protobuf = walk(Signal::Traces, &request.encode_to_vec());
        prop_assert_eq!(from_json.refused, from_protobuf.refused);
        prop_assert_eq!(
            reference::spans_of(&from_json.batch),
            reference::spans_of(&from_protobuf.batch)
        );
    }

    #[test]
    fn a_changed_body_never_panics(
        request in traces(),
        metrics in metrics(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (signal, mut body) in [
            (Signal::Traces, request.encode_to_vec()),
            (Signal::Metrics, metrics.encode_to_vec()),
        ] {
            if body.is_empty() {
                continue;
            }
            for (place, byte) in &changes {
                let place = place.index(body.len());
                body[place] = *byte;
            }
            for signal in [signal, Signal::Logs] {
                let _ = protobuf(signal, &body, &Limits::default());
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(body: Vec<u8>) {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            let _ = protobuf(signal, &body, &Limits::default());
            let _ = json(signal, &body, &Limits::default());
        }
    }
}
