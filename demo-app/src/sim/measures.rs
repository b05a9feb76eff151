//! The metrics of one simulated process: what the SDK of a real one would hold and send.
//!
//! Names, units and kinds are those of the real processes; sums and histograms are cumulative from the
//! process's start.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ScopeMetrics, Sum,
    metric::Data, number_data_point,
};

/// What is measured, and how it is sent.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) scope: &'static str,
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) kind: Kind,
}

/// How values of a measure add up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A distribution, with the bounds of its buckets.
    Histogram(&'static [f64]),
    /// A sum that only grows; of whole things, or of seconds.
    Counter(Number),
    /// A sum that goes up and down.
    Level,
    /// A value of the moment.
    Gauge(Number),
}

/// Whether values are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Whole,
    Real,
}

/// Tells apart the series of one measure, without making their attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    pub(super) name: &'static str,
    pub(super) detail: &'static str,
    pub(super) error: &'static str,
    pub(super) port: u16,
    pub(super) status: u16,
}

impl Labels {
    /// Labels that say one thing.
    pub(super) fn of(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }
}

/// All series of a process.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<(&'static str, &'static str, Labels), One>);

#[derive(Debug)]
struct One {
    measure: &'static Measure,
    attributes: Vec<KeyValue>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Buckets { counts: Vec<u64>, sum: f64, min: f64, max: f64 },
}

impl Series {
    fn one(
        &mut self,
        measure: &'static Measure,
        labels: Labels,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> &mut Value {
        let new = || One {
            measure,
            attributes: attributes(),
            value: match measure.kind {
                Kind::Histogram(bounds) => Value::Buckets {
                    counts: vec![0; bounds.len() + 1],
                    sum: 0.0,
                    min: f64::INFINITY,
                    max: f64::NEG_INFINITY,
                },
                _ => Value::Number(0.0),
            },
        };
        &mut self.0.entry((measure.scope, measure.name, labels)).or_insert_with(new).value
    }

    /// Records a value in a distribution so many times.
    pub(super) fn record(
        &mut self,
        measure: &'static Measure,
        labels: Labels,
        (value, times): (f64, u64),
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        let Kind::Histogram(bounds) = measure.kind else { return };
        if let Value::Buckets { counts, sum, min, max } = self.one(measure, labels, attributes) {
            counts[bounds.partition_point(|&bound| bound < value)] += times;
            *sum += value * times as f64;
            *min = min.min(value);
            *max = max.max(value);
        }
    }

    /// Adds to a sum.
    pub(super) fn add(
        &mut self,
        measure: &'static Measure,
        labels: Labels,
        by: f64,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        if let Value::Number(value) = self.one(measure, labels, attributes) {
            *value += by;
        }
    }

    /// Sets what an observed series is at.
    pub(super) fn set(
        &mut self,
        measure: &'static Measure,
        labels: Labels,
        to: f64,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        if let Value::Number(value) = self.one(measure, labels, attributes) {
            *value = to;
        }
    }

    /// Returns all series as they are sent at a time.
    pub(super) fn encode(&self, started: u64, now: u64) -> Vec<ScopeMetrics> {
        let mut scopes: Vec<ScopeMetrics> = Vec::new();
        for one in self.0.values() {
            let measure = one.measure;
            let of_scope = |scope: &ScopeMetrics| scope.scope.as_ref().is_some_and(|s| s.name == measure.scope);
            if !scopes.last().is_some_and(of_scope) {
                let scope = InstrumentationScope { name: measure.scope.to_owned(), ..Default::default() };
                scopes.push(ScopeMetrics { scope: Some(scope), ..Default::default() });
            }
            let metrics = &mut scopes.last_mut().expect("one was pushed if there was none").metrics;
            if metrics.last().is_none_or(|metric| metric.name != measure.name) {
                metrics.push(measure.empty());
            }
            if let Some(data) = metrics.last_mut().and_then(|metric| metric.data.as_mut()) {
                one.push(data, started, now);
            }
        }
        scopes
    }
}

impl Measure {
    /// The metric without points.
    fn empty(&self) -> Metric {
        let cumulative = AggregationTemporality::Cumulative as i32;
        let sum = |is_monotonic| {
            Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality: cumulative, is_monotonic })
        };
        let data = match self.kind {
            Kind::Histogram(_) => {
                Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality: cumulative })
            }
            Kind::Counter(_) => sum(true),
            Kind::Level => sum(false),
            Kind::Gauge(_) => Data::Gauge(Gauge { data_points: Vec::new() }),
        };
        Metric { name: self.name.to_owned(), unit: self.unit.to_owned(), data: Some(data), ..Default::default() }
    }

    fn whole(&self) -> bool {
        matches!(self.kind, Kind::Counter(Number::Whole) | Kind::Gauge(Number::Whole) | Kind::Level)
    }
}

impl One {
    fn push(&self, data: &mut Data, started: u64, now: u64) {
        match (data, &self.value) {
            (Data::Sum(Sum { data_points, .. }) | Data::Gauge(Gauge { data_points }), &Value::Number(value)) => {
                data_points.push(NumberDataPoint {
                    attributes: self.attributes.clone(),
                    start_time_unix_nano: started,
                    time_unix_nano: now,
                    value: Some(if self.measure.whole() {
                        number_data_point::Value::AsInt(value.round() as i64)
                    } else {
                        number_data_point::Value::AsDouble(value)
                    }),
                    ..Default::default()
                });
            }
            (Data::Histogram(histogram), Value::Buckets { counts, sum, min, max }) => {
                let Kind::Histogram(bounds) = self.measure.kind else { return };
                histogram.data_points.push(HistogramDataPoint {
                    attributes: self.attributes.clone(),
                    start_time_unix_nano: started,
                    time_unix_nano: now,
                    count: counts.iter().sum(),
                    sum: Some(*sum),
                    bucket_counts: counts.clone(),
                    explicit_bounds: bounds.to_vec(),
                    min: Some(*min),
                    max: Some(*max),
                    ..Default::default()
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Measure = Measure { scope: "s", name: "took", unit: "s", kind: Kind::Histogram(&[0.1, 1.0]) };
    const SEEN: Measure = Measure { scope: "s", name: "seen", unit: "{thing}", kind: Kind::Counter(Number::Whole) };

    #[test]
    fn values_add_up_from_the_start_of_the_process() {
        let mut series = Series::default();
        for value in [0.1, 0.5, 3.0] {
            series.record(&TOOK, Labels::default(), (value, 1), Vec::new);
        }
        series.add(&SEEN, Labels::of("a"), 2.0, Vec::new);
        series.add(&SEEN, Labels::of("a"), 1.0, Vec::new);
        series.add(&SEEN, Labels::of("b"), 5.0, Vec::new);
        let scopes = series.encode(1, 2);
        assert_eq!(scopes.len(), 1);
        let [seen, took] = &scopes[0].metrics[..] else { panic!("two metrics") };
        let Some(Data::Histogram(took)) = &took.data else { panic!("a histogram") };
        assert_eq!((took.data_points[0].bucket_counts.as_slice(), took.data_points[0].count), (&[1, 1, 1][..], 3));
        let Some(Data::Sum(seen)) = &seen.data else { panic!("a sum") };
        let values: Vec<_> = seen.data_points.iter().map(|point| point.value).collect();
        assert!(seen.is_monotonic);
        assert_eq!(values, [3, 5].map(|value| Some(number_data_point::Value::AsInt(value))));
    }
}
