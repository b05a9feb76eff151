//! How long to wait before the next attempt: full jitter, for as long as it takes.
//!
//! Each wait is drawn evenly between nothing and a bound that doubles with each failure in a row,
//! so that many agents do not come back in step (M. Brooker, "Exponential Backoff And Jitter", 2015).
//! A service that names a time is given it.

use std::time::Duration;

use crate::jitter::jitter;

/// Bounds of the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound after the first failure; no wait is shorter than a tenth of it.
    pub first: Duration,
    /// The bound that later ones grow to.
    pub longest: Duration,
}

impl Backoff {
    /// While time alone may mend it.
    pub const SOON: Self = Self { first: Duration::from_secs(1), longest: Duration::from_mins(1) };

    /// While somebody must change something: credentials, a permission.
    pub const SLOWLY: Self = Self { first: Duration::from_secs(30), longest: Duration::from_mins(5) };

    /// The wait after so many failures in a row, of which the service asked for at least `asked_for`.
    pub fn wait(self, failures: u64, asked_for: Option<Duration>) -> Duration {
        self.drawn(failures, jitter()).max(asked_for.unwrap_or_default())
    }

    /// `draw` is from 0 to 1.
    fn drawn(self, failures: u64, draw: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16) as u32;
        let bound = self.first.saturating_mul(1 << doublings).min(self.longest);
        bound.mul_f64(draw.clamp(0.0, 1.0)).max(self.first / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_longest() {
        let bounds: Vec<u64> = (1..=8).map(|failures| Backoff::SOON.drawn(failures, 1.0).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(Backoff::SOON.drawn(u64::MAX, 1.0), Backoff::SOON.longest);
        assert_eq!(Backoff::SOON.drawn(5, 0.0), Duration::from_millis(100), "never at once");
    }

    #[test]
    fn a_service_that_names_a_time_is_given_it() {
        assert!(Backoff::SOON.wait(1, Some(Duration::from_secs(90))) >= Duration::from_secs(90));
        assert!(Backoff::SOON.wait(1, None) <= Duration::from_secs(1));
    }
}
