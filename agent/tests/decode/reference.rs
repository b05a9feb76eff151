//! A slow and obvious reading of the protobuf tree, to compare the walk with.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, SummaryDataPoint, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;
use tiertop_core::catalogue;
use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::observation::{
    AttributeValue, Batch, MessagingOperation, MetricKind, ParentPlace, Point, PointValue, SpanKind, SpanLink,
    SpanShape, SpanStatus, Temporality,
};
use tiertop_core::text::{StatementSummary, cut, path_template, statement_summary};
use tiertop_core::time::UnixNanos;

/// A span with all that it points at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlatSpan {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: SpanId,
    pub(crate) start: UnixNanos,
    pub(crate) end: UnixNanos,
    pub(crate) weight: f32,
    pub(crate) parent_place: ParentPlace,
    pub(crate) links: Vec<SpanLink>,
    pub(crate) service: String,
    pub(crate) shape: SpanShape,
    pub(crate) has_path: bool,
}

/// A metric point with all that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlatPoint {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) kind: MetricKind,
    pub(crate) point: Point,
}

/// The spans of a decoded batch, flattened.
pub(crate) fn spans_of(batch: &Batch) -> Vec<FlatSpan> {
    let flat = |span: &tiertop_core::observation::Span| {
        let shape = &batch.shapes[span.shape as usize];
        let links = span.links_start as usize..span.links_start as usize + span.links_len as usize;
        FlatSpan {
            trace: span.trace,
            id: span.id,
            parent: span.parent,
            start: span.start,
            end: span.end,
            weight: span.weight,
            parent_place: span.parent_place,
            links: batch.links[links].to_vec(),
            service: batch.resources[shape.resource as usize].service_name.to_string(),
            shape: SpanShape { fingerprint: 0, resource: 0, ..shape.clone() },
            has_path: span.path_hash != 0,
        }
    };
    batch.spans.iter().map(flat).collect()
}

/// The points of a decoded batch, flattened.
pub(crate) fn points_of(batch: &Batch) -> Vec<FlatPoint> {
    let flat = |metric: &tiertop_core::observation::Metric| {
        let service = batch.resources[metric.resource as usize].service_name.to_string();
        let (name, unit) = (metric.name.to_string(), metric.unit.to_string());
        let points = metric.points.clone().into_iter();
        points
            .map(|point| FlatPoint {
                service: service.clone(),
                name: name.clone(),
                unit: unit.clone(),
                kind: metric.kind,
                point,
            })
            .collect::<Vec<_>>()
    };
    batch.metrics.iter().flat_map(flat).collect()
}

/// What the spans of a request should become; invalid ones are left out.
pub(crate) fn read_traces(request: &ExportTraceServiceRequest) -> Vec<FlatSpan> {
    let mut flat = Vec::new();
    for resource_spans in &request.resource_spans {
        let service = service_name(resource_spans.resource.as_ref().map(|r| &r.attributes[..]));
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.as_ref().map(|scope| scope.name.as_str());
            for span in &scope_spans.spans {
                flat.extend(read_span(span, scope.unwrap_or_default(), &service));
            }
        }
    }
    flat
}

fn service_name(attributes: Option<&[KeyValue]>) -> String {
    let attributes = Attributes::new(attributes.unwrap_or_default());
    attributes.text(&[&["service.name"]]).unwrap_or_default()
}

/// Attributes by name; for each meaning the names are given newest first, those of one rank together.
struct Attributes<'a>(HashMap<&'a str, &'a AnyValue>);

impl<'a> Attributes<'a> {
    fn new(attributes: &'a [KeyValue]) -> Self {
        let value = |pair: &'a KeyValue| Some((pair.key.as_str(), pair.value.as_ref()?));
        Self(attributes.iter().filter_map(value).collect())
    }

    fn any(&self, rank: &[&str]) -> Option<&Value> {
        let values = rank.iter().filter_map(|name| self.0.get(name).copied());
        values.min_by_key(|value| value.encode_to_vec())?.value.as_ref()
    }

    fn first(&self, rank: &[&str]) -> Option<&Value> {
        match self.any(rank)? {
            Value::ArrayValue(array) => array.values.first()?.value.as_ref(),
            other => Some(other),
        }
    }

    fn text(&self, ranks: &[&[&str]]) -> Option<String> {
        ranks.iter().find_map(|rank| {
            let text = match self.first(rank)? {
                Value::StringValue(text) => text.clone(),
                Value::BoolValue(flag) => flag.to_string(),
                Value::IntValue(number) => number.to_string(),
                Value::DoubleValue(number) => number.to_string(),
                _ => return None,
            };
            (!text.is_empty()).then_some(text)
        })
    }

    fn kept(&self, ranks: &[&[&str]]) -> Option<Box<str>> {
        self.text(ranks).map(|text| kept(&text))
    }

    fn integer(&self, ranks: &[&[&str]]) -> Option<i64> {
        ranks.iter().find_map(|rank| match self.first(rank)? {
            Value::IntValue(number) => Some(*number),
            Value::StringValue(text) => text.trim().parse().ok(),
            Value::DoubleValue(number) if number.fract() == 0.0 => Some(*number as i64),
            _ => None,
        })
    }

    fn string(&self, name: &str) -> Option<&str> {
        match self.any(&[name])? {
            Value::StringValue(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn port(&self, ranks: &[&[&str]]) -> Option<u16> {
        self.integer(ranks).and_then(|port| u16::try_from(port).ok())
    }
}

fn kept(text: &str) -> Box<str> {
    cut(text, 256).into()
}

fn read_span(span: &proto::Span, scope: &str, service: &str) -> Option<FlatSpan> {
    let attributes = Attributes::new(&span.attributes);
    if matches!(span.kind, 0 | 1)
        && let Some(target) = attributes.string("target")
        && ["h2", "hyper", "hyper_util", "tonic", "tower", "tower_http"].contains(&target.split(':').next().unwrap())
    {
        return None;
    }
    if !matches!(span.parent_span_id.len(), 0 | 8) {
        return None;
    }
    if span.start_time_unix_nano == 0 && span.end_time_unix_nano == 0 {
        return None;
    }
    let start = match span.start_time_unix_nano {
        0 => span.end_time_unix_nano,
        start => start,
    };
    let link = |link: &proto::span::Link| {
        Some(SpanLink { trace: TraceId::from_bytes(&link.trace_id)?, span: SpanId::from_bytes(&link.span_id)? })
    };
    let shape = read_shape(span, scope, &attributes);
    Some(FlatSpan {
        trace: TraceId::from_bytes(&span.trace_id)?,
        id: SpanId::from_bytes(&span.span_id)?,
        parent: SpanId::from_bytes(&span.parent_span_id).unwrap_or_default(),
        start: UnixNanos(start),
        end: UnixNanos(span.end_time_unix_nano.max(start)),
        weight: match span.trace_state.as_str() {
            "" => 0.0,
            "ot=th:8" => 2.0,
            "a=b,ot=p:3" => 8.0,
            other => panic!("no weight known for {other}"),
        },
        parent_place: match (span.flags & 0x100 != 0, span.flags & 0x200 != 0) {
            (true, true) => ParentPlace::Remote,
            (true, false) => ParentPlace::Local,
            _ => ParentPlace::Unknown,
        },
        links: span.links.iter().filter_map(link).take(32).collect(),
        service: service.to_owned(),
        has_path: shape.path_template.is_some(),
        shape,
    })
}

fn read_shape(span: &proto::Span, scope: &str, attributes: &Attributes<'_>) -> SpanShape {
    let kind = match span.kind {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    };
    let status = match span.status.as_ref().map_or(0, |status| status.code) {
        1 => SpanStatus::Ok,
        2 => SpanStatus::Error,
        _ => SpanStatus::Unset,
    };
    let url = attributes.string("url.full").or_else(|| attributes.string("http.url"));
    let path = read_path(attributes, url);
    let (peer_address, peer_port) = if kind == SpanKind::Server { (None, 0) } else { read_peer(attributes, url) };
    let database = read_database(attributes, &span.name);
    let (rpc_service, rpc_method) = read_rpc(attributes);
    let agent =
        attributes.string("user_agent.original").or_else(|| attributes.string("http.user_agent")).unwrap_or_default();
    let health_paths = ["/healthz", "/readyz", "/livez", "/health", "/ping", "/status"];
    let health_check =
        ["ELB-HealthChecker", "kube-probe", "GoogleHC", "Prometheus/"].iter().any(|checker| agent.starts_with(checker))
            || path.as_deref().is_some_and(|path| health_paths.contains(&path));
    SpanShape {
        fingerprint: 0,
        resource: 0,
        kind,
        status,
        name: kept(&span.name),
        scope: (!scope.is_empty()).then(|| kept(scope)),
        http_method: attributes.kept(&[&["http.request.method"], &["http.method"]]),
        http_route: attributes.kept(&[&["http.route"]]),
        http_status: attributes.port(&[&["http.response.status_code"], &["http.status_code"]]).unwrap_or(0),
        path_template: path.map(|path| kept(&path_template(&path))),
        peer_address,
        peer_port,
        peer_service: attributes.kept(&[&["peer.service"]]),
        db_system: attributes.kept(&[&["db.system.name"], &["db.system"]]),
        db_namespace: attributes.kept(&[&["db.namespace"], &["db.name"], &["db.redis.database_index"]]),
        db_operation: database.operation.map(|text| kept(&text)),
        db_collection: database.collection.map(|text| kept(&text)),
        db_queue_work: database.queue_work,
        messaging_system: attributes.kept(&[&["messaging.system"]]),
        messaging_destination: read_destination(attributes),
        messaging_operation: read_messaging_operation(attributes),
        messaging_empty: attributes.integer(&[&["messaging.batch.message_count"]]) == Some(0),
        rpc_system: attributes.kept(&[&["rpc.system.name"], &["rpc.system"]]),
        rpc_service,
        rpc_method,
        s3_bucket: attributes.kept(&[&["aws.s3.bucket"]]),
        faas_trigger: attributes.kept(&[&["faas.trigger"]]),
        celery: attributes.0.keys().any(|name| name.starts_with("celery.")),
        error_type: attributes.kept(&[&["error.type"]]),
        tier: attributes.kept(&[&["tiertop.tier"]]),
        cache_status: attributes.kept(&[&["http.response.header.x-cache", "http.response.header.cf-cache-status"]]),
        cache_hit: match attributes.first(&["cache.hit"]) {
            Some(Value::BoolValue(hit)) => Some(*hit),
            Some(Value::StringValue(text)) if text == "hit" => Some(true),
            Some(Value::StringValue(text)) if text == "miss" => Some(false),
            _ => None,
        },
        health_check,
    }
}

fn read_path(attributes: &Attributes<'_>, url: Option<&str>) -> Option<String> {
    let sent = attributes.string("url.path").or_else(|| attributes.string("http.target"));
    let path = match sent {
        Some(path) if path.starts_with('/') => path,
        Some(other) => path_of_url(other),
        None => path_of_url(url?),
    };
    let path = path.split(['?', '#']).next().unwrap();
    Some(if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

fn path_of_url(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..],
        None => url,
    }
}

fn host_and_port(address: &str) -> (&str, Option<u16>) {
    match address.split_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (address, None),
        },
        None => (address, None),
    }
}

fn read_peer(attributes: &Attributes<'_>, url: Option<&str>) -> (Option<Box<str>>, u16) {
    let told = attributes.port(&[&["server.port"], &["net.peer.port"]]).filter(|port| *port != 0);
    if let Some(address) = attributes.text(&[&["server.address"], &["net.peer.name"]]) {
        let (host, port) = host_and_port(&address);
        let port = told.or(port).or_else(|| attributes.port(&[&["network.peer.port"]]));
        return (Some(kept(host)), port.unwrap_or(0));
    }
    if let Some((scheme, rest)) = url.and_then(|url| url.split_once("://")) {
        let authority = rest.split(['/', '?', '#']).next().unwrap();
        let (host, port) = host_and_port(authority);
        if !host.is_empty() {
            let usual = if scheme == "https" { 443 } else { 80 };
            return (Some(kept(host)), told.or(port).unwrap_or(usual));
        }
    }
    if let Some(address) = attributes.text(&[&["http.host"]]) {
        let (host, port) = host_and_port(&address);
        return (Some(kept(host)), told.or(port).unwrap_or(0));
    }
    match attributes.text(&[&["network.peer.address"], &["net.peer.ip"]]) {
        Some(address) => {
            let port = attributes.port(&[&["network.peer.port"]]);
            (Some(kept(host_and_port(&address).0)), told.or(port).unwrap_or(0))
        }
        None => (None, 0),
    }
}

fn read_database(attributes: &Attributes<'_>, name: &str) -> StatementSummary {
    let Some(system) = attributes.text(&[&["db.system.name"], &["db.system"]]) else {
        return StatementSummary::default();
    };
    let upper = |word: &str| {
        let lower = word.chars().any(|c| c.is_ascii_lowercase());
        let upper = word.chars().any(|c| c.is_ascii_uppercase());
        if lower && upper { word.to_owned() } else { word.to_ascii_uppercase() }
    };
    let statement = attributes.string("db.query.text").or_else(|| attributes.string("db.statement"));
    let mut summary =
        statement.map_or_else(StatementSummary::default, |statement| statement_summary(&system, statement));
    let client_summary = attributes.text(&[&["db.query.summary"]]).unwrap_or_default();
    let words: Vec<_> = client_summary.split_whitespace().collect();
    let told = attributes
        .text(&[&["db.operation.name"], &["db.operation"]])
        .and_then(|text| text.split_whitespace().next().map(upper))
        .or_else(|| words.first().map(|word| upper(word)));
    match told {
        Some(told) if !summary.operation.as_ref().is_some_and(|read| read.starts_with(&told)) => {
            summary.operation = Some(told);
        }
        None if summary.operation.is_none() => {
            let word = name.split(' ').next().unwrap();
            let plain = word.chars().all(|c| c.is_ascii_alphabetic());
            summary.operation = ((2..=24).contains(&word.len()) && plain).then(|| upper(word));
        }
        _ => {}
    }
    summary.collection = attributes
        .text(&[&["db.collection.name"], &["db.sql.table"], &["db.mongodb.collection", "aws.dynamodb.table_names"]])
        .or_else(|| words.get(1).map(ToString::to_string))
        .or(summary.collection);
    summary
}

fn read_rpc(attributes: &Attributes<'_>) -> (Option<Box<str>>, Option<Box<str>>) {
    let service = attributes.kept(&[&["rpc.service"]]);
    let method = attributes.text(&[&["rpc.method"]]);
    match method.as_deref().map(|method| method.trim_start_matches('/').rsplit_once('/')) {
        Some(Some((before, after))) => (service.or_else(|| Some(kept(before))), Some(kept(after))),
        _ => (service, method.map(|method| kept(&method))),
    }
}

fn read_destination(attributes: &Attributes<'_>) -> Option<Box<str>> {
    let queue = |url: &str| {
        let path = url.split(['?', '#']).next().unwrap().trim_end_matches('/');
        let last = path.split('/').next_back().unwrap();
        let name = if last.starts_with("arn:") { last.split(':').next_back().unwrap() } else { last };
        kept(name)
    };
    attributes
        .kept(&[&["messaging.destination.name"], &["messaging.destination"]])
        .or_else(|| {
            let names = ["aws.sqs.queue.url", "messaging.url", "aws.queue_url"];
            let url = names.iter().find_map(|name| attributes.string(name))?;
            Some(queue(url)).filter(|name| !name.is_empty())
        })
        .or_else(|| attributes.text(&[&["aws.sns.topic.arn"]]).map(|arn| queue(&arn)))
}

fn read_messaging_operation(attributes: &Attributes<'_>) -> Option<MessagingOperation> {
    ["messaging.operation.type", "messaging.operation", "messaging.operation.name"].iter().find_map(|name| {
        Some(match attributes.text(&[&[name]])?.as_str() {
            "create" | "send" | "publish" => MessagingOperation::Send,
            "receive" => MessagingOperation::Receive,
            "process" => MessagingOperation::Process,
            "settle" => MessagingOperation::Settle,
            _ => return None,
        })
    })
}

/// What the points of a request should become: those that are read, and how many are not.
pub(crate) fn read_metrics(request: &ExportMetricsServiceRequest) -> (Vec<FlatPoint>, u64) {
    let mut flat = Vec::new();
    let mut unused = 0;
    for resource_metrics in &request.resource_metrics {
        let service = service_name(resource_metrics.resource.as_ref().map(|r| &r.attributes[..]));
        for metric in resource_metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let points = read_points(metric.data.as_ref());
            if catalogue::reads(&metric.name) {
                flat.extend(points.into_iter().map(|point| FlatPoint {
                    service: service.clone(),
                    name: metric.name.clone(),
                    unit: metric.unit.clone(),
                    kind: read_metric_kind(metric.data.as_ref().unwrap()),
                    point,
                }));
            } else {
                unused += points.len() as u64;
            }
        }
    }
    (flat, unused)
}

fn read_metric_kind(data: &Data) -> MetricKind {
    let temporality = |number| match number {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    match data {
        Data::Gauge(_) => MetricKind::Gauge,
        Data::Sum(sum) => {
            MetricKind::Sum { monotonic: sum.is_monotonic, temporality: temporality(sum.aggregation_temporality) }
        }
        Data::Histogram(data) => MetricKind::Histogram(temporality(data.aggregation_temporality)),
        Data::ExponentialHistogram(data) => MetricKind::ExponentialHistogram(temporality(data.aggregation_temporality)),
        Data::Summary(_) => MetricKind::Summary,
    }
}

fn read_points(data: Option<&Data>) -> Vec<Point> {
    let read = |attributes: &[KeyValue], start, time, value| Point {
        attributes: read_kept(attributes),
        start: UnixNanos(start),
        time: UnixNanos(time),
        value,
    };
    let number = |point: &NumberDataPoint| {
        let value = match point.value {
            _ if point.flags & 1 == 1 => PointValue::Missing,
            Some(number_data_point::Value::AsDouble(number)) => PointValue::Number(number),
            Some(number_data_point::Value::AsInt(number)) => PointValue::Number(number as f64),
            None => PointValue::Missing,
        };
        read(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, value)
    };
    let histogram = |point: &HistogramDataPoint| {
        let value = PointValue::Histogram {
            count: point.count,
            sum: point.sum,
            min: point.min,
            max: point.max,
            bounds: point.explicit_bounds.clone(),
            counts: point.bucket_counts.clone(),
        };
        read(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, value)
    };
    let exponential = |point: &ExponentialHistogramDataPoint| {
        let positive = point.positive.clone().unwrap_or_default();
        let value = PointValue::Exponential {
            count: point.count,
            sum: point.sum,
            min: point.min,
            max: point.max,
            scale: point.scale,
            zero_count: point.zero_count,
            offset: positive.offset,
            counts: positive.bucket_counts,
        };
        read(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, value)
    };
    let summary = |point: &SummaryDataPoint| {
        let value = PointValue::Summary {
            count: point.count,
            sum: point.sum,
            quantiles: point.quantile_values.iter().map(|pair| (pair.quantile, pair.value)).collect(),
        };
        read(&point.attributes, point.start_time_unix_nano, point.time_unix_nano, value)
    };
    match data {
        None => Vec::new(),
        Some(Data::Gauge(data)) => data.data_points.iter().map(number).collect(),
        Some(Data::Sum(data)) => data.data_points.iter().map(number).collect(),
        Some(Data::Histogram(data)) => data.data_points.iter().map(histogram).collect(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.iter().map(exponential).collect(),
        Some(Data::Summary(data)) => data.data_points.iter().map(summary).collect(),
    }
}

fn read_kept(attributes: &[KeyValue]) -> Vec<(Box<str>, AttributeValue)> {
    let mut out = Vec::new();
    for pair in attributes {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        if let ("Dimensions", Some(Value::KvlistValue(list))) = (pair.key.as_str(), value) {
            for (key, value) in read_kept(&list.values) {
                out.push((format!("Dimensions.{key}").into(), value));
            }
        } else if let Some(value) = value.and_then(read_kept_value) {
            out.push((kept(&pair.key), value));
        }
    }
    out
}

fn read_kept_value(value: &Value) -> Option<AttributeValue> {
    Some(match value {
        Value::StringValue(text) => AttributeValue::Text(kept(text)),
        Value::BoolValue(flag) => AttributeValue::Flag(*flag),
        Value::IntValue(number) => AttributeValue::Integer(*number),
        Value::DoubleValue(number) => AttributeValue::Number(*number),
        _ => return None,
    })
}
