//! What is usual for a tier or a signal: the median of the last minutes, less the last half minute.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::snapshot::{LEARNING_SECONDS, SignalKind, Snapshot};

/// The newest seconds, which a slow onset may already have spoilt.
const LEFT_OUT_S: usize = 30;
/// Seconds it takes, besides those, to know what is usual.
const ENOUGH_S: usize = LEARNING_SECONDS as usize - LEFT_OUT_S;

/// A figure of which the usual level is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    P90,
    P95,
    Errors,
    Signal(SignalKind),
}

/// Values of the last minutes, by tier and figure.
#[derive(Debug)]
pub(super) struct Usual {
    /// Seconds of values that are kept.
    kept_s: usize,
    values: BTreeMap<(String, Figure), VecDeque<f64>>,
}

impl Usual {
    /// Of the last so many seconds.
    pub(super) fn of_last(kept_s: u64) -> Self {
        Self { kept_s: kept_s as usize, values: BTreeMap::new() }
    }

    /// Takes note of a snapshot; nothing of tiers with an open warning, so that what was usual before stays.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, troubled: &BTreeSet<&str>) {
        let of_tiers = snapshot.tiers.iter().filter(|tier| !troubled.contains(tier.id.as_str())).flat_map(|tier| {
            let figures = [(Figure::P90, tier.p90_ms), (Figure::P95, tier.p95_ms), (Figure::Errors, tier.error_ratio)];
            figures.into_iter().map(|(figure, value)| (tier.id.clone(), figure, value))
        });
        let of_signals = snapshot
            .signals
            .iter()
            .filter(|signal| !troubled.contains(signal.tier.as_str()))
            .map(|signal| (signal.tier.clone(), Figure::Signal(signal.kind), signal.value));
        for (tier, figure, value) in of_tiers.chain(of_signals) {
            if let Some(value) = value {
                let values = self.values.entry((tier, figure)).or_default();
                values.push_back(value);
                if values.len() > self.kept_s {
                    values.pop_front();
                }
            }
        }
        if self.values.len() > 2 * (snapshot.tiers.len() * 3 + snapshot.signals.len()) + 64 {
            let known: BTreeSet<&str> = snapshot.tiers.iter().map(|tier| tier.id.as_str()).collect();
            self.values.retain(|(tier, _), _| known.contains(tier.as_str()));
        }
    }

    /// The usual level, or `None` while too little was seen.
    pub(super) fn level(&self, tier: &str, figure: Figure) -> Option<f64> {
        let values = self.values.get(&(tier.to_owned(), figure))?;
        let old = values.len().checked_sub(LEFT_OUT_S).filter(|old| *old >= ENOUGH_S)?;
        let mut sorted: Vec<f64> = values.range(..old).copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(sorted[sorted.len() / 2])
    }
}
