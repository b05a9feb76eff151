//! What metrics said while a capture lasted: the first, last and greatest level of each signal.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::snapshot::{SignalKind, Snapshot};
use crate::thresholds::Thresholds;

/// A processor in use for less than this share of what is busy keeps nobody waiting.
const FREE: f64 = 0.6;

/// How a signal went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Its first level.
    pub first: f64,
    /// Its last level.
    pub last: f64,
    /// Its greatest level.
    pub most: f64,
}

/// How all signals went, by kind and tier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    courses: BTreeMap<(SignalKind, String), Course>,
    thresholds: Arc<Thresholds>,
}

impl Signals {
    /// Signals that are judged by these thresholds.
    pub fn judged_by(thresholds: &Arc<Thresholds>) -> Self {
        Self { courses: BTreeMap::new(), thresholds: Arc::clone(thresholds) }
    }

    /// Takes note of what a snapshot says.
    pub fn note(&mut self, snapshot: &Snapshot) {
        for signal in &snapshot.signals {
            if let Some(value) = signal.value {
                self.put(signal.kind, &signal.tier, value);
            }
        }
    }

    /// Takes note of one level.
    pub fn put(&mut self, kind: SignalKind, tier: &str, value: f64) {
        let first = Course { first: value, last: value, most: value };
        let course = self.courses.entry((kind, tier.to_owned())).or_insert(first);
        course.last = value;
        course.most = course.most.max(value);
    }

    fn of(&self, kind: SignalKind) -> impl Iterator<Item = (&str, Course)> {
        self.courses.iter().filter(move |((of, _), _)| *of == kind).map(|((_, tier), course)| (tier.as_str(), *course))
    }

    /// The most that this signal showed anywhere.
    fn most(&self, kind: SignalKind) -> Option<f64> {
        self.of(kind).map(|(_, course)| course.most).reduce(f64::max)
    }

    /// How many requests waited for a connection, if more than in the baseline.
    pub(super) fn pool_waits(&self, baseline: &Self) -> Option<f64> {
        let usual = baseline.most(SignalKind::PoolPending).unwrap_or_default();
        let waits = |tier: &str, most: f64| most >= self.thresholds.of_id(tier).verdict.pool_pending;
        let waiting = self.of(SignalKind::PoolPending).filter(|(tier, course)| waits(tier, course.most));
        waiting.map(|(_, course)| course.most).reduce(f64::max).filter(|most| *most > 2.0 * usual)
    }

    /// Whether the processors of a tier are busy now, and were less so, or are free; `None` where it is neither, or
    /// nothing tells.
    pub(super) fn busier(&self, baseline: &Self, tier: &str) -> Option<bool> {
        let of =
            |signals: &Self| signals.courses.get(&(SignalKind::CpuRatio, tier.to_owned())).map(|course| course.most);
        let usual = of(baseline).unwrap_or_default();
        let busy = self.thresholds.of_id(tier).verdict.cpu_busy;
        match of(self)? {
            now if now >= busy && now >= 1.3 * usual => Some(true),
            now if now < FREE * busy => Some(false),
            _ => None,
        }
    }

    /// The replica that is furthest behind, and by how many seconds, if it is more than usual.
    pub(super) fn lag(&self, baseline: &Self) -> Option<(&str, f64)> {
        let usual = baseline.most(SignalKind::ReplicaLagSeconds).unwrap_or_default();
        let lags = |tier: &str, most: f64| most > self.thresholds.of_id(tier).replica_lag.growing_above_s;
        let lagging = self.of(SignalKind::ReplicaLagSeconds).filter(|(tier, course)| lags(tier, course.most));
        let found = lagging.max_by(|one, other| one.1.most.total_cmp(&other.1.most))?;
        (found.1.most > 2.0 * usual).then_some((found.0, found.1.most))
    }

    /// The queue that grows, and how long or how old it became.
    pub(super) fn queue(&self) -> Option<(&str, String)> {
        let bounds = |tier: &str| self.thresholds.of_id(tier).queue;
        let depth = self.of(SignalKind::QueueDepth).find(|(tier, course)| {
            course.last > bounds(tier).depth_growing
                && course.last > 2.0 * course.first
                && course.last >= 0.8 * course.most
        });
        let age = self
            .of(SignalKind::QueueOldestAgeSeconds)
            .find(|(tier, course)| course.last > bounds(tier).age_growing_s && course.last > 2.0 * course.first);
        depth
            .map(|(tier, course)| (tier, format!("{:.0} messages wait, {:.0} at first", course.last, course.first)))
            .or_else(|| age.map(|(tier, course)| (tier, format!("the oldest message waits for {:.0} s", course.last))))
    }
}
