//! What signals said in the last minutes, what tiers and instances were asked, and how many there were.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::Signals;
use super::Told;
use crate::snapshot::{SignalKind, Snapshot, TierView};
use crate::thresholds::{Effect, Thresholds};
use crate::time::UnixSecond;

/// Seconds that are kept beyond those that tell what is usual.
const MORE_S: u64 = 60;
/// Figures of tiers that are gone, or of too many instances, are not kept.
const MOST_FIGURES: usize = 4_096;

/// Calls between tiers that are remembered.
const MOST_EDGES: usize = 4_096;

/// What a level is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// A signal of a tier.
    Signal(SignalKind),
    /// Requests a second of a tier.
    Rate,
    /// Requests a second of a tier that did not fail.
    Answered,
    /// Requests a second of an instance.
    InstanceRate,
    /// Instances of a tier.
    Instances,
    /// Requests in progress in a tier.
    InFlight,
    /// Share of a tier's requests that fail.
    Failing,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Levels {
    /// The tier that requests meet first, as far as is known.
    front: String,
    /// Who was seen to call whom, also if they do so no longer.
    edges: BTreeSet<(String, String)>,
    /// Seconds that are kept.
    kept_s: u64,
    thresholds: Arc<Thresholds>,
    of: BTreeMap<(Figure, String), VecDeque<(UnixSecond, f32)>>,
}

impl Default for Levels {
    fn default() -> Self {
        Self::new(&Told::default())
    }
}

impl Levels {
    /// Nothing yet, to be kept and judged by what a user told.
    pub(super) fn new(told: &Told) -> Self {
        Self {
            front: String::new(),
            edges: BTreeSet::new(),
            kept_s: told.usual_s + MORE_S,
            thresholds: Arc::clone(&told.thresholds),
            of: BTreeMap::new(),
        }
    }

    /// What a tier's figures must come to, to matter.
    pub(super) fn bounds(&self, tier: &TierView) -> Effect {
        self.thresholds.of(tier.kind, &tier.member).verdict
    }

    /// Takes note of a snapshot.
    pub(super) fn note(&mut self, snapshot: &Snapshot, now: UnixSecond) {
        for signal in &snapshot.signals {
            self.put(Figure::Signal(signal.kind), &signal.tier, signal.value, now);
        }
        for tier in &snapshot.tiers {
            self.put(Figure::Rate, &tier.id, tier.requests_per_second, now);
            let answered = |rate: f64| rate * (1.0 - tier.error_ratio.unwrap_or_default());
            self.put(Figure::Answered, &tier.id, tier.requests_per_second.map(answered), now);
            self.put(Figure::InFlight, &tier.id, tier.in_flight.as_ref().map(|in_flight| in_flight.value), now);
            self.put(Figure::Failing, &tier.id, tier.error_ratio, now);
            let reporting = tier.instances.iter().filter(|instance| instance.silent_for_s.is_none()).count();
            self.put(Figure::Instances, &tier.id, Some(reporting as f64), now);
            for instance in &tier.instances {
                let name = instance_key(&tier.id, &instance.name);
                self.put(Figure::InstanceRate, &name, Some(instance.requests_per_second.unwrap_or_default()), now);
            }
        }
        for edge in &snapshot.edges {
            if self.edges.len() < MOST_EDGES {
                self.edges.insert((edge.from.clone(), edge.to.clone()));
            }
        }
        if let Some(front) = snapshot.tiers.iter().find(|tier| tier.requests_per_second.is_some()) {
            self.front.clone_from(&front.id);
        }
        self.of.retain(|_, values| {
            while values.front().is_some_and(|(second, _)| now.0.saturating_sub(second.0) > self.kept_s) {
                values.pop_front();
            }
            !values.is_empty()
        });
    }

    /// Whether one was ever seen to call, or take from, another.
    pub(super) fn calls(&self, from: &str, to: &str) -> bool {
        self.edges.iter().any(|(caller, callee)| caller == from && callee == to)
    }

    /// The tier whose rate is the load. While a system is being discovered it changes, and with it what is usual:
    /// rates of two tiers are not to be compared.
    pub(super) fn front(&self) -> &str {
        &self.front
    }

    fn put(&mut self, figure: Figure, name: &str, value: Option<f64>, now: UnixSecond) {
        let Some(value) = value else { return };
        if let Some(values) = self.of.get_mut(&(figure, name.to_owned())) {
            values.push_back((now, value as f32));
        } else if self.of.len() < MOST_FIGURES {
            self.of.insert((figure, name.to_owned()), VecDeque::from([(now, value as f32)]));
        }
    }

    /// How signals went from one second up to another.
    pub(super) fn between(&self, from: UnixSecond, to: UnixSecond) -> Signals {
        let mut signals = Signals::judged_by(&self.thresholds);
        for ((figure, tier), values) in &self.of {
            let Figure::Signal(kind) = *figure else { continue };
            for (_, value) in values.iter().filter(|(second, _)| (from..=to).contains(second)) {
                signals.put(kind, tier, f64::from(*value));
            }
        }
        signals
    }

    /// The mean of a figure from one second up to another, if known.
    pub(super) fn mean(&self, figure: Figure, name: &str, from: UnixSecond, to: UnixSecond) -> Option<f64> {
        let within = self.within(figure, name, from, to);
        (!within.is_empty()).then(|| within.iter().sum::<f64>() / within.len() as f64)
    }

    /// The least of a figure from one second up to another, if known.
    pub(super) fn least(&self, figure: Figure, name: &str, from: UnixSecond, to: UnixSecond) -> Option<f64> {
        self.within(figure, name, from, to).into_iter().reduce(f64::min)
    }

    /// The greatest of a figure from one second up to another, if known.
    pub(super) fn most(&self, figure: Figure, name: &str, from: UnixSecond, to: UnixSecond) -> Option<f64> {
        self.within(figure, name, from, to).into_iter().reduce(f64::max)
    }

    /// The median of a figure in so many seconds, in order, if known.
    pub(super) fn median(&self, figure: Figure, name: &str, seconds: &[UnixSecond]) -> Option<f64> {
        let values = self.of.get(&(figure, name.to_owned())).into_iter().flatten();
        let within = values.filter(|(second, _)| seconds.binary_search(second).is_ok());
        let mut within: Vec<f64> = within.map(|(_, value)| f64::from(*value)).collect();
        within.sort_unstable_by(f64::total_cmp);
        within.get(within.len() / 2).copied()
    }

    fn within(&self, figure: Figure, name: &str, from: UnixSecond, to: UnixSecond) -> Vec<f64> {
        let values = self.of.get(&(figure, name.to_owned())).into_iter().flatten();
        values.filter(|(second, _)| (from..=to).contains(second)).map(|(_, value)| f64::from(*value)).collect()
    }
}

/// What an instance's figures are kept under.
pub(super) fn instance_key(tier: &str, instance: &str) -> String {
    format!("{tier} {instance}")
}
