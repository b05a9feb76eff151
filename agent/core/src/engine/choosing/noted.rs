//! Of many that are alike, the few with the least hash of their trace's id.
//!
//! The least of all are a uniform sample, and the same ones wherever the same traces are seen.

use super::super::ring::Place;
use crate::id::TraceId;

/// How many are remembered of a second.
const MOST: usize = 64;

/// A span by which a trace can be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) hash: u64,
    pub(super) trace: TraceId,
    pub(super) place: Place,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Least {
    kept: Vec<Noted>,
    /// Whatever has a greater hash is not among the least.
    limit: Option<u64>,
    dropped: u64,
}

impl Least {
    pub(super) fn note(&mut self, noted: Noted) {
        // Spans of one trace come together.
        if self.kept.last().is_some_and(|last| last.trace == noted.trace) {
            return;
        }
        if self.limit.is_some_and(|limit| noted.hash > limit) {
            self.dropped += 1;
            return;
        }
        self.kept.push(noted);
        if self.kept.len() >= 2 * MOST {
            self.cut();
        }
    }

    /// What was noted, the least first, and how many more there were.
    pub(super) fn take(&mut self) -> (Vec<Noted>, u64) {
        self.cut();
        self.limit = None;
        (std::mem::take(&mut self.kept), std::mem::take(&mut self.dropped))
    }

    fn cut(&mut self) {
        self.kept.sort_unstable_by_key(|noted| (noted.hash, noted.trace));
        self.kept.dedup_by_key(|noted| noted.trace);
        if self.kept.len() > MOST {
            self.dropped += (self.kept.len() - MOST) as u64;
            self.kept.truncate(MOST);
            self.limit = self.kept.last().map(|last| last.hash);
        }
    }
}

/// A hash of a trace's id that every agent makes alike: the finalizer of `SplitMix64` over both halves. It
/// is not the id's own randomness, by which those who sent the spans may have sampled already.
pub(super) fn hash(trace: TraceId) -> u64 {
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    mix(mix((trace.0 >> 64) as u64).wrapping_add(trace.0 as u64).wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// Whether a hash is among a share of all.
pub(super) fn is_under(hash: u64, share: f64) -> bool {
    (hash as f64) < share * u64::MAX as f64
}
