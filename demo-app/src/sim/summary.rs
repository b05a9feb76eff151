//! Figures of a stream of telemetry, window by window: how often each tier was asked, how that ended and how
//! long it took, and what caches, replicas and queues were at.
//!
//! It is fed with OTLP requests of whatever origin: of the simulation, or of the real demo by a receiver. So
//! the two can be laid side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::sim::Export;

/// Longest duration that is told apart, in microseconds.
const MAX_MICROS: u64 = 60_000_000;

/// A stretch of time whose figures belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// When it begins, in nanoseconds since the Unix epoch.
    pub from_unix_nanos: u64,
    /// When it ends.
    pub to_unix_nanos: u64,
}

/// Figures of some windows.
#[derive(Debug)]
pub struct Summary {
    windows: Vec<(Window, Figures)>,
    /// The last value of each counter.
    counters: BTreeMap<String, f64>,
}

/// Figures of one window.
#[derive(Debug, Default)]
pub struct Figures {
    operations: BTreeMap<(String, String), Operation>,
    /// By how much counters grew.
    grown: BTreeMap<String, f64>,
    /// The sum of what gauges were at, how often they were told, and what they were at last.
    levels: BTreeMap<String, Level>,
}

#[derive(Debug)]
struct Operation {
    count: u64,
    failed: u64,
    micros: Histogram<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    sum: f64,
    count: u64,
    most: f64,
    last: f64,
}

impl Default for Operation {
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, MAX_MICROS, 3);
        let micros = micros.expect("the bounds are in order and three digits are within the limit");
        Self { count: 0, failed: 0, micros }
    }
}

impl Summary {
    /// Makes a summary of some windows.
    pub fn new(windows: impl IntoIterator<Item = Window>) -> Self {
        let windows = windows.into_iter().map(|window| (window, Figures::default())).collect();
        Self { windows, counters: BTreeMap::new() }
    }

    /// Takes what a process sent.
    pub fn export(&mut self, export: &Export) {
        match export {
            Export::Traces { request, .. } => self.traces(request),
            Export::Metrics { request, .. } => self.metrics(request),
        }
    }

    /// Takes spans; each belongs to the window in which it ended.
    pub fn traces(&mut self, request: &ExportTraceServiceRequest) {
        for of in &request.resource_spans {
            let service = service(of.resource.as_ref());
            for span in of.scope_spans.iter().flat_map(|scope| &scope.spans) {
                if let Some(figures) = self.at(span.end_time_unix_nano) {
                    figures.span(service, span);
                }
            }
        }
    }

    /// Takes metrics: gauges by when they were read, counters by how much they grew since they were read last.
    pub fn metrics(&mut self, request: &ExportMetricsServiceRequest) {
        for of in &request.resource_metrics {
            let instance = attribute(of.resource.as_ref().map_or(&[][..], |r| &r.attributes), "service.instance.id");
            for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                self.metric(instance.unwrap_or_default(), metric);
            }
        }
    }

    fn metric(&mut self, instance: &str, metric: &Metric) {
        match &metric.data {
            Some(Data::Gauge(gauge)) => self.levels(&metric.name, &gauge.data_points),
            Some(Data::Sum(sum)) if sum.is_monotonic => {
                for point in &sum.data_points {
                    let series = format!("{instance} {} {:?}", metric.name, point.attributes);
                    let now = value(point);
                    let before = self.counters.insert(series, now).unwrap_or(0.0);
                    // A counter that is lower than before began anew.
                    let grown = if now >= before { now - before } else { now };
                    if let Some(figures) = self.at(point.time_unix_nano) {
                        *figures.grown.entry(metric.name.clone()).or_default() += grown;
                    }
                }
            }
            Some(Data::Sum(sum)) => self.levels(&metric.name, &sum.data_points),
            _ => {}
        }
    }

    fn levels(&mut self, name: &str, points: &[NumberDataPoint]) {
        for point in points {
            if let Some(figures) = self.at(point.time_unix_nano) {
                figures.levels.entry(of_destination(name, point)).or_default().add(value(point));
            }
        }
    }

    fn at(&mut self, unix_nanos: u64) -> Option<&mut Figures> {
        let holds = |window: &Window| (window.from_unix_nanos..window.to_unix_nanos).contains(&unix_nanos);
        self.windows.iter_mut().find(|(window, _)| holds(window)).map(|(_, figures)| figures)
    }

    /// Returns the figures of a window by its name.
    pub fn window(&self, name: &str) -> Option<&Figures> {
        self.windows.iter().find(|(window, _)| window.name == name).map(|(_, figures)| figures)
    }
}

impl Figures {
    fn span(&mut self, service: &str, span: &Span) {
        let served = matches!(span.kind(), SpanKind::Server | SpanKind::Consumer);
        // What a proxy asks is what the next tier serves.
        let passed_on = span.kind() == SpanKind::Client
            && matches!(span.name.as_str(), "GET" | "POST")
            && attribute(&span.attributes, "url.full").is_some();
        let operation = if served { String::new() } else { span.name.clone() };
        if passed_on {
            return;
        }
        let operation = self.operations.entry((service.to_owned(), operation)).or_default();
        let micros = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000;
        operation.count += 1;
        operation.failed += u64::from(span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error));
        operation.micros.saturating_record(micros.max(1));
    }

    fn operation(&self, service: &str, operation: &str) -> Option<&Operation> {
        self.operations.get(&(service.to_owned(), operation.to_owned()))
    }

    /// How many spans there were of a service's operation; of all that it served where that is empty.
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        self.operation(service, operation).map_or(0, |operation| operation.count)
    }

    /// Share of them that failed.
    pub fn failed(&self, service: &str, operation: &str) -> f64 {
        self.operation(service, operation).map_or(0.0, |of| of.failed as f64 / of.count.max(1) as f64)
    }

    /// The duration that a share of them (0 to 1) did not exceed.
    pub fn quantile(&self, service: &str, operation: &str, share: f64) -> Duration {
        let micros = self.operation(service, operation).map_or(0, |of| of.micros.value_at_quantile(share));
        Duration::from_micros(micros)
    }

    /// By how much a counter grew, in all its series.
    pub fn grown(&self, counter: &str) -> f64 {
        self.grown.get(counter).copied().unwrap_or(0.0)
    }

    /// What a gauge was at on average, over all its series; `None` where nobody told.
    pub fn mean(&self, gauge: &str) -> Option<f64> {
        self.levels.get(gauge).map(|level| level.sum / level.count.max(1) as f64)
    }

    /// The most that a gauge was at.
    pub fn most(&self, gauge: &str) -> Option<f64> {
        self.levels.get(gauge).map(|level| level.most)
    }

    /// What a gauge was at last.
    pub fn last(&self, gauge: &str) -> Option<f64> {
        self.levels.get(gauge).map(|level| level.last)
    }

    /// Share of the cache's reads that found their key; `None` without reads.
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, misses) = (self.grown("cache.hits"), self.grown("cache.misses"));
        (hits + misses > 0.0).then(|| hits / (hits + misses))
    }
}

impl Level {
    fn add(&mut self, value: f64) {
        self.most = if self.count == 0 { value } else { self.most.max(value) };
        self.sum += value;
        self.count += 1;
        self.last = value;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (window, figures) in &self.windows {
            let seconds = window.to_unix_nanos.saturating_sub(window.from_unix_nanos) as f64 / 1e9;
            writeln!(f, "{} ({seconds:.0} s)", window.name)?;
            for ((service, name), of) in &figures.operations {
                let millis = |share| of.micros.value_at_quantile(share) as f64 / 1_000.0;
                writeln!(
                    f,
                    "  {:<46} {:>7.1}/s  {:>5.1} % failed  p50 {:>8.2} ms  p95 {:>8.2} ms",
                    format!("{service} {name}").trim_end(),
                    of.count as f64 / seconds.max(1e-9),
                    100.0 * of.failed as f64 / of.count.max(1) as f64,
                    millis(0.5),
                    millis(0.95),
                )?;
            }
            if let Some(rate) = figures.hit_rate() {
                writeln!(f, "  {:<46} {:>6.1} %", "cache hit rate", 100.0 * rate)?;
            }
            for (title, gauge) in SHOWN {
                if let (Some(mean), Some(last)) = (figures.mean(gauge), figures.last(gauge)) {
                    writeln!(f, "  {title:<46} {mean:>8.2} on average, {last:.2} last")?;
                }
            }
        }
        Ok(())
    }
}

/// The gauges that are shown, and what they are called.
const SHOWN: [(&str, &str); 5] = [
    ("replica lag, s", "db.replica.lag"),
    ("queue depth", "queue.depth"),
    ("dead letters", "queue.depth content-dead-letters"),
    ("oldest message, s", "queue.oldest_message.age"),
    ("CPU of a process, of one core", "process.cpu.utilization"),
];

/// Tells apart the gauges of the queue and of its dead letters.
fn of_destination(name: &str, point: &NumberDataPoint) -> String {
    match attribute(&point.attributes, "messaging.destination.name") {
        Some(destination) if destination != "content" => format!("{name} {destination}"),
        _ => name.to_owned(),
    }
}

fn value(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => 0.0,
    }
}

fn service(resource: Option<&Resource>) -> &str {
    resource.and_then(|resource| attribute(&resource.attributes, "service.name")).unwrap_or_default()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}
