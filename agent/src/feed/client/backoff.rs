//! How long to wait before the next attempt.

use std::time::Duration;

/// The wait after the first failure, and the shortest there is.
const SHORTEST: Duration = Duration::from_millis(250);

/// The longest wait while an agent may come back any moment.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait while somebody must change something first: a token, a program.
const SLOW: Duration = Duration::from_secs(15);

/// Whether time alone may mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may.
    Soon,
    /// Somebody must change something.
    Slowly,
}

/// The wait after so many failures in a row: doubling from 0.25 s to 5 s, of which
/// `jitter` (0 to 1) takes away up to half, so that many screens do not come back in step.
pub(super) fn delay(failures: u32, retry: Retry, jitter: f64) -> Duration {
    match retry {
        Retry::Slowly => SLOW,
        Retry::Soon => {
            let doublings = failures.saturating_sub(1).min(8);
            let full = (SHORTEST * 2_u32.pow(doublings)).min(LONGEST);
            full.mul_f64(1.0 - jitter / 2.0).max(SHORTEST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::jitter;

    #[test]
    fn doubles_up_to_its_longest() {
        let waits: Vec<u128> = (0..8).map(|failures| delay(failures, Retry::Soon, 0.0).as_millis()).collect();
        assert_eq!(waits, [250, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(delay(u32::MAX, Retry::Soon, 0.0), LONGEST);
    }

    #[test]
    fn stays_within_its_bounds_whatever_the_jitter() {
        for failures in 0..20 {
            for _ in 0..20 {
                let wait = delay(failures, Retry::Soon, jitter());
                assert!((SHORTEST..=LONGEST).contains(&wait), "{wait:?}");
            }
        }
        assert_eq!(delay(5, Retry::Soon, 1.0), Duration::from_secs(2));
        assert_eq!(delay(1, Retry::Slowly, 0.5), SLOW);
    }
}
