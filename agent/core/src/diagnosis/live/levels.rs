//! What signals said in the last minutes, and how many requests came in.

use std::collections::{BTreeMap, VecDeque};

use super::super::Signals;
use crate::snapshot::{SignalKind, Snapshot};
use crate::time::UnixSecond;

/// Seconds that are kept.
const KEPT_S: u64 = 360;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Levels {
    of: BTreeMap<(SignalKind, String), VecDeque<(UnixSecond, f32)>>,
    /// Requests a second at the front.
    load: VecDeque<(UnixSecond, f32)>,
}

impl Levels {
    /// Takes note of a snapshot.
    pub(super) fn note(&mut self, snapshot: &Snapshot, now: UnixSecond) {
        for signal in &snapshot.signals {
            if let Some(value) = signal.value {
                let key = (signal.kind, signal.tier.clone());
                self.of.entry(key).or_default().push_back((now, value as f32));
            }
        }
        let front = snapshot.tiers.iter().find_map(|tier| tier.requests_per_second);
        self.load.extend(front.map(|rate| (now, rate as f32)));
        let is_old = |second: UnixSecond| now.0.saturating_sub(second.0) > KEPT_S;
        for values in self.of.values_mut().chain([&mut self.load]) {
            while values.front().is_some_and(|(second, _)| is_old(*second)) {
                values.pop_front();
            }
        }
        self.of.retain(|_, values| !values.is_empty());
    }

    /// How signals went from one second up to another.
    pub(super) fn between(&self, from: UnixSecond, to: UnixSecond) -> Signals {
        let mut signals = Signals::default();
        for ((kind, tier), values) in &self.of {
            for (_, value) in values.iter().filter(|(second, _)| (from..=to).contains(second)) {
                signals.put(*kind, tier, f64::from(*value));
            }
        }
        signals
    }

    /// Mean requests a second at the front from one second up to another, if known.
    pub(super) fn load(&self, from: UnixSecond, to: UnixSecond) -> Option<f64> {
        let within = || self.load.iter().filter(|(second, _)| (from..=to).contains(second));
        let count = within().count();
        (count > 0).then(|| within().map(|(_, rate)| f64::from(*rate)).sum::<f64>() / count as f64)
    }
}
