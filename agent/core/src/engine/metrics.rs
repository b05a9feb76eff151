//! Metrics: from points as they were sent to levels, rates and distributions.
//!
//! Cumulative points become differences against the last point of the same series, which is told by
//! process, metric and attributes; a new start time or a smaller count is a restart. The first
//! cumulative point of a series only sets the mark, unless its counting began after this engine did.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use super::Engine;
use super::members::Facet;
use super::processes::ProcessId;
use super::signals::{SignalKey, Subject};
use crate::catalogue::{self, CATALOGUE, Meaning, Row};
use crate::observation::{AttributeValue, Metric, MetricKind, Point, PointValue, Temporality};
use crate::snapshot::SignalKind;
use crate::time::UnixNanos;

mod buckets;
mod durations;

use buckets::Buckets;

/// The last point of each series.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    last: HashMap<SeriesKey, Last, FixedState>,
    /// Points of series over the limit.
    pub(super) refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SeriesKey {
    process: ProcessId,
    row: usize,
    attributes: u64,
}

#[derive(Clone, Debug)]
struct Last {
    time: UnixNanos,
    total: Total,
}

/// What a point counted: a number, or a histogram.
#[derive(Clone, Debug)]
enum Total {
    Number(f64),
    Histogram(Buckets),
}

/// What was counted between two points.
struct Growth {
    from: UnixNanos,
    to: UnixNanos,
    total: Total,
}

impl Metrics {
    /// Forgets the series of processes that are gone.
    pub(super) fn forget(&mut self, is_gone: impl Fn(ProcessId) -> bool) {
        self.last.retain(|key, _| !is_gone(key.process));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.last.capacity() * (size_of::<(SeriesKey, Last)>() + 1)
            + self.last.values().map(Last::heap_bytes).sum::<usize>()
    }

    /// What a point adds to its series.
    fn growth(
        &mut self,
        key: SeriesKey,
        kind: MetricKind,
        point: &Point,
        limit: usize,
        began: UnixNanos,
    ) -> Option<Growth> {
        let total = Total::of(point)?;
        let delta = matches!(
            kind,
            MetricKind::Sum { temporality: Temporality::Delta, .. }
                | MetricKind::Histogram(Temporality::Delta)
                | MetricKind::ExponentialHistogram(Temporality::Delta)
                | MetricKind::Summary
        );
        if !self.last.contains_key(&key) && self.last.len() >= limit {
            self.refused += 1;
            return None;
        }
        let last = self.last.insert(key, Last { time: point.time, total: total.clone() });
        if delta {
            let from = if point.start.0 > 0 { point.start } else { last.map_or(UnixNanos(0), |last| last.time) };
            return (from.0 > 0 && from < point.time).then_some(Growth { from, to: point.time, total });
        }
        let Some(last) = last else {
            let ours = point.start >= began && point.start < point.time;
            return ours.then_some(Growth { from: point.start, to: point.time, total });
        };
        if point.time <= last.time {
            // Sent again, or out of order: the newer one stays.
            self.last.insert(key, last);
            return None;
        }
        let restarted = point.start > last.time || total.is_less_than(&last.total);
        let total = if restarted { total } else { total.less(&last.total) };
        Some(Growth { from: last.time.max(point.start), to: point.time, total })
    }
}

impl Last {
    fn heap_bytes(&self) -> usize {
        match &self.total {
            Total::Number(_) => 0,
            Total::Histogram(buckets) => buckets.heap_bytes(),
        }
    }
}

impl Total {
    fn of(point: &Point) -> Option<Self> {
        match &point.value {
            PointValue::Missing => None,
            PointValue::Number(number) => number.is_finite().then_some(Self::Number(*number)),
            histogram => Buckets::of(histogram).map(Self::Histogram),
        }
    }

    fn is_less_than(&self, last: &Self) -> bool {
        match (self, last) {
            (Self::Number(now), Self::Number(last)) => now < last,
            (Self::Histogram(now), Self::Histogram(last)) => now.count < last.count,
            _ => true,
        }
    }

    fn less(self, last: &Self) -> Self {
        match (self, last) {
            (Self::Number(now), Self::Number(last)) => Self::Number(now - last),
            (Self::Histogram(now), Self::Histogram(last)) => Self::Histogram(now.less(last)),
            (now, _) => now,
        }
    }

    /// As one number: a histogram's sum.
    fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Histogram(buckets) => buckets.sum,
        }
    }

    /// What the longest of a histogram took at least.
    fn longest(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Histogram(buckets) => buckets.longest(),
        }
    }

    /// A histogram's mean, if it counted anything.
    fn mean(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Histogram(buckets) => (buckets.count > 0).then(|| buckets.sum / buckets.count as f64),
        }
    }
}

impl Engine {
    /// Takes in all points of one metric.
    pub(super) fn take_metric(&mut self, metric: &Metric, process: ProcessId) {
        self.processes.get_mut(process).points += metric.points.len() as u64;
        for (index, row) in CATALOGUE.iter().enumerate().filter(|(_, row)| *row.name == *metric.name) {
            let factor = factor_of(metric, row);
            let mut levels: Vec<(Subject, Box<str>, UnixNanos, f64)> = Vec::new();
            let points: Vec<&Point> = metric.points.iter().filter(|point| row_takes(row, point)).collect();
            for point in &points {
                self.take_point(metric, (index, row), point, process, factor, &mut levels);
            }
            for (subject, part, time, value) in levels {
                if let Some(kind) = level_kind(row.meaning) {
                    let is_idle = row.meaning == Meaning::IdleShare;
                    let value = if is_idle { (1.0 - value / points.len() as f64).max(0.0) } else { value };
                    let key = SignalKey { kind, subject, part };
                    self.signals.report(key, time.min(self.now), value, row.name, self.config.limits.signals);
                }
            }
        }
    }

    fn take_point(
        &mut self,
        metric: &Metric,
        (index, row): (usize, &'static Row),
        point: &Point,
        process: ProcessId,
        factor: f64,
        levels: &mut Vec<(Subject, Box<str>, UnixNanos, f64)>,
    ) {
        let key = SeriesKey { process, row: index, attributes: attributes_hash(&point.attributes) };
        let resource = &self.processes.get(process).resource;
        let subject = || Subject::of(row.about, process, resource, &point.attributes);
        let (limit, began) = (self.config.limits.series, self.started);
        match row.meaning {
            Meaning::Level(kind) => {
                let value = match (&point.value, metric.kind) {
                    (PointValue::Number(number), _) if number.is_finite() => Some(*number),
                    (PointValue::Number(_), _) => None,
                    _ => self
                        .metrics
                        .growth(key, metric.kind, point, limit, began)
                        .and_then(|growth| growth.total.mean()),
                };
                if let Some(value) = value {
                    add_level(levels, kind, subject(), part_of(&point.attributes), point.time, value * factor);
                }
            }
            Meaning::IdleShare => {
                if let PointValue::Number(number) = point.value {
                    add_level(levels, SignalKind::CpuRatio, subject(), "".into(), point.time, number * factor);
                }
            }
            Meaning::PoolByState => {
                if let PointValue::Number(number) = point.value {
                    let part = part_of(&point.attributes);
                    add_level(levels, SignalKind::PoolUsed, subject(), part, point.time, number);
                }
            }
            Meaning::ActiveRequests => {
                if let PointValue::Number(number) = point.value {
                    let reports = &mut self.processes.get_mut(process).active_requests;
                    reports.retain(|(series, ..)| *series != key.attributes);
                    reports.push((key.attributes, point.time, number.max(0.0)));
                }
            }
            Meaning::Rate(kind) => {
                let subject = subject();
                if let Some(growth) = self.metrics.growth(key, metric.kind, point, limit, began) {
                    let rate = growth.total.number() / growth.to.seconds_since(growth.from).max(0.001);
                    add_level(levels, kind, subject, part_of(&point.attributes), growth.to, rate);
                }
            }
            Meaning::CacheHits | Meaning::CacheMisses => {
                let subject = subject();
                if let Some(growth) = self.metrics.growth(key, metric.kind, point, limit, began) {
                    let hit = row.meaning == Meaning::CacheHits;
                    self.signals.lookups(
                        subject,
                        growth.to.min(self.now),
                        growth.total.number(),
                        hit,
                        row.name,
                        self.config.limits.signals,
                    );
                }
            }
            Meaning::Pauses => {
                let longest = if let PointValue::Number(number) = point.value {
                    Some(number)
                } else {
                    let growth = self.metrics.growth(key, metric.kind, point, limit, began);
                    growth.and_then(|growth| growth.total.longest())
                };
                if let Some(longest) = longest {
                    self.stalls.paused(process, point.time.min(self.now), longest * factor);
                }
            }
            Meaning::ServerDuration => self.take_duration((key, metric, point), factor, Facet::Serves),
            Meaning::ProcessDuration => self.take_duration((key, metric, point), factor, Facet::Processes),
            Meaning::ClientDuration => self.take_calls((key, metric, point), factor),
        }
    }
}

/// What values are to be multiplied by: by the unit that was sent, else by the catalogue's.
fn factor_of(metric: &Metric, row: &Row) -> f64 {
    catalogue::unit_factor(&metric.unit).or_else(|| catalogue::unit_factor(row.unit)).unwrap_or(1.0)
}

fn row_takes(row: &Row, point: &Point) -> bool {
    row.only.is_none_or(|(key, values)| {
        let found = point.attributes.iter().find(|(name, _)| &**name == key);
        found.is_some_and(|(_, value)| value.as_text().is_some_and(|text| values.contains(&text)))
    })
}

fn level_kind(meaning: Meaning) -> Option<SignalKind> {
    match meaning {
        Meaning::Level(kind) | Meaning::Rate(kind) => Some(kind),
        Meaning::PoolByState => Some(SignalKind::PoolUsed),
        Meaning::IdleShare => Some(SignalKind::CpuRatio),
        _ => None,
    }
}

/// Adds a level to those of the same subject and part: counts add up, ages and ratios do not.
fn add_level(
    levels: &mut Vec<(Subject, Box<str>, UnixNanos, f64)>,
    kind: SignalKind,
    subject: Subject,
    part: Box<str>,
    time: UnixNanos,
    value: f64,
) {
    let same = levels.iter_mut().find(|(other, other_part, ..)| *other == subject && *other_part == part);
    let Some((.., latest, sum)) = same else { return levels.push((subject, part, time, value)) };
    *latest = time.max(*latest);
    *sum = match kind {
        SignalKind::QueueDepth
        | SignalKind::QueueInFlight
        | SignalKind::PoolUsed
        | SignalKind::PoolMax
        | SignalKind::PoolPending
        | SignalKind::CpuRatio
        | SignalKind::MemoryBytes
        | SignalKind::EvictionsPerSecond
        | SignalKind::WorkersBusy
        | SignalKind::WorkersMax => *sum + value,
        SignalKind::CacheHitRatio
        | SignalKind::ReplicaLagSeconds
        | SignalKind::QueueOldestAgeSeconds
        | SignalKind::PoolWaitSeconds => sum.max(value),
    };
}

/// The part of a tier that a point speaks of: a pool.
fn part_of(attributes: &[(Box<str>, AttributeValue)]) -> Box<str> {
    let named = attributes.iter().find(|(key, _)| matches!(&**key, "db.client.connection.pool.name" | "pool.name"));
    named.and_then(|(_, value)| value.as_text()).unwrap_or_default().into()
}

fn attributes_hash(attributes: &[(Box<str>, AttributeValue)]) -> u64 {
    // Senders keep the order of attributes of a series, but need not: add the parts up.
    attributes.iter().fold(0_u64, |sum, (key, value)| {
        let mut hasher = FixedState::default().build_hasher();
        key.hash(&mut hasher);
        match value {
            AttributeValue::Text(text) => text.hash(&mut hasher),
            AttributeValue::Integer(number) => number.hash(&mut hasher),
            AttributeValue::Number(number) => number.to_bits().hash(&mut hasher),
            AttributeValue::Flag(flag) => flag.hash(&mut hasher),
        }
        sum.wrapping_add(hasher.finish())
    })
}
