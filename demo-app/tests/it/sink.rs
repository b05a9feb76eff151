//! What the tests' receiver got, in words that are easily compared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use tiertop_demo::sim::Export;

use crate::receiver::Received;

/// Attributes, their values as text; a text value is quoted, a number is not.
pub(crate) type Attributes = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub(crate) struct SeenSpan {
    pub(crate) resource: Attributes,
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Attributes,
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
    pub(crate) parent_span_id: Vec<u8>,
    pub(crate) links: Vec<Link>,
    pub(crate) failed: bool,
}

impl SeenSpan {
    pub(crate) fn service(&self) -> &str {
        self.resource["service.name"].trim_matches('"')
    }
}

/// A data point: its sum or value, or for a histogram its count.
#[derive(Clone, Debug)]
pub(crate) struct SeenPoint {
    pub(crate) resource: Attributes,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) kind: &'static str,
    pub(crate) attributes: Attributes,
    pub(crate) seconds: f64,
    pub(crate) value: f64,
}

impl SeenPoint {
    pub(crate) fn service(&self) -> &str {
        self.resource["service.name"].trim_matches('"')
    }
}

#[derive(Clone)]
pub(crate) struct Sink {
    received: Received,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    spans: Vec<SeenSpan>,
    points: Vec<SeenPoint>,
}

impl Sink {
    /// Starts a receiver; returns it and its endpoint.
    pub(crate) fn start() -> (Self, String) {
        let (received, endpoint) = Received::listen().expect("a free port");
        (Self { received, seen: Arc::default() }, endpoint)
    }

    pub(crate) fn spans(&self) -> Vec<SeenSpan> {
        self.seen().spans.clone()
    }

    pub(crate) fn points(&self) -> Vec<SeenPoint> {
        self.seen().points.clone()
    }

    /// All that has been received so far.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap();
        for export in self.received.take() {
            seen.take(export);
        }
        seen
    }

    /// The newest value of a metric, summed over all series; none before the first.
    pub(crate) fn latest(&self, metric: &str) -> Option<f64> {
        let newest = self.newest(metric);
        (!newest.is_empty()).then(|| newest.iter().sum())
    }

    /// The newest value of a metric in the series where it is largest.
    pub(crate) fn largest(&self, metric: &str) -> Option<f64> {
        self.newest(metric).into_iter().max_by(f64::total_cmp)
    }

    /// The newest value of each series of a metric.
    fn newest(&self, metric: &str) -> Vec<f64> {
        let seen = self.seen();
        let of_metric = seen.points.iter().filter(|point| point.metric == metric);
        let newest: BTreeMap<_, _> =
            of_metric.map(|point| ((&point.resource, &point.attributes), point.value)).collect();
        newest.into_values().collect()
    }

    /// The values of all series of a metric, with their times in seconds.
    pub(crate) fn values(&self, metric: &str) -> Vec<(f64, f64)> {
        self.values_where(|point| point.metric == metric)
    }

    /// The values of a metric that an instance sends, with their times in seconds.
    pub(crate) fn values_of(&self, metric: &str, instance: &str) -> Vec<(f64, f64)> {
        let instance = format!("\"{instance}\"");
        self.values_where(|point| point.metric == metric && point.resource["service.instance.id"] == instance)
    }

    fn values_where(&self, wanted: impl Fn(&SeenPoint) -> bool) -> Vec<(f64, f64)> {
        let seen = self.seen();
        seen.points.iter().filter(|point| wanted(point)).map(|point| (point.seconds, point.value)).collect()
    }
}

impl Seen {
    fn take(&mut self, export: Export) {
        match export {
            Export::Traces { request, .. } => {
                for group in request.resource_spans {
                    self.spans(group);
                }
            }
            Export::Metrics { request, .. } => {
                for group in request.resource_metrics {
                    let resource = resource(group.resource);
                    let metrics = group.scope_metrics.iter().flat_map(|scoped| &scoped.metrics);
                    self.points.extend(metrics.flat_map(|metric| points(&resource, metric)));
                }
            }
        }
    }

    fn spans(&mut self, group: ResourceSpans) {
        let resource = resource(group.resource);
        for scoped in group.scope_spans {
            let scope = scoped.scope.map(|scope| scope.name).unwrap_or_default();
            let seen = scoped.spans.into_iter().map(|span| SeenSpan {
                resource: resource.clone(),
                scope: scope.clone(),
                kind: span.kind(),
                failed: span.status.is_some_and(|status| status.code == 2),
                name: span.name,
                attributes: attributes(span.attributes),
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent_span_id: span.parent_span_id,
                links: span.links,
            });
            self.spans.extend(seen);
        }
    }
}

fn points(resource: &Attributes, metric: &Metric) -> Vec<SeenPoint> {
    let point = |kind, labels, nanos: u64, value| SeenPoint {
        resource: resource.clone(),
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        kind,
        attributes: attributes(labels),
        seconds: nanos as f64 / 1e9,
        value,
    };
    let number = |value| match value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    };
    let Some(data) = metric.data.clone() else {
        return Vec::new();
    };
    match data {
        metric::Data::Gauge(gauge) => gauge
            .data_points
            .into_iter()
            .map(|p| point("gauge", p.attributes, p.time_unix_nano, number(p.value)))
            .collect(),
        metric::Data::Sum(sum) => {
            let kind = if sum.is_monotonic { "counter" } else { "level" };
            sum.data_points.into_iter().map(|p| point(kind, p.attributes, p.time_unix_nano, number(p.value))).collect()
        }
        metric::Data::Histogram(histogram) => histogram
            .data_points
            .into_iter()
            .map(|p| point("histogram", p.attributes, p.time_unix_nano, p.count as f64))
            .collect(),
        _ => Vec::new(),
    }
}

fn resource(resource: Option<Resource>) -> Attributes {
    attributes(resource.map(|resource| resource.attributes).unwrap_or_default())
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    let text = |KeyValue { key, value, .. }: KeyValue| {
        let value = match value.and_then(|value| value.value) {
            Some(any_value::Value::StringValue(text)) => format!("{text:?}"),
            Some(any_value::Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (key, value)
    };
    attributes.into_iter().map(text).collect()
}
