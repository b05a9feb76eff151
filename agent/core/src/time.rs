//! Points in time as newtypes, so that seconds never meet nanoseconds by accident.
//!
//! All times are Unix times. The core never reads a clock: `now` is always an argument.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time: nanoseconds since the Unix epoch, as OTLP writes it. Zero means "not given".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

/// A whole second: seconds since the Unix epoch. The slot in which figures are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSecond(pub u64);

impl UnixNanos {
    /// The start of the given whole second.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// The second this point lies in.
    pub fn second(self) -> UnixSecond {
        UnixSecond(self.0 / NANOS_PER_SECOND)
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Nanoseconds from `earlier` to this point, or zero if `earlier` is later.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds from `earlier` to this point, or zero if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.nanos_since(earlier) as f64 / NANOS_PER_SECOND as f64
    }

    /// This point moved later by `nanos`.
    #[must_use]
    pub fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// This point moved earlier by `nanos`.
    #[must_use]
    pub fn minus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }
}

impl UnixSecond {
    /// This second moved later by `seconds`.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This second moved earlier by `seconds`.
    #[must_use]
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// The point at which this second begins.
    pub fn start(self) -> UnixNanos {
        UnixNanos::from_seconds(self.0)
    }
}
