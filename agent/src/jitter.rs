//! Chance, so that many screens and agents do not come back in step.

use std::hash::{BuildHasher, RandomState};

/// A number from 0 to 1, another one each time.
pub(crate) fn jitter() -> f64 {
    // The keys of a new `RandomState` are random enough to keep them out of step.
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
