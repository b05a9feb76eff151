//! Whether an instance of the next tier is fit to be asked, by what is known of it.
//!
//! Known from checks: two in a row that say otherwise change the mind, so that one lost check does not.
//! Known from requests: an instance that could not be reached is passed over for a while, since asking
//! it again at once costs every caller a try.

use std::time::{Duration, Instant};

/// How many checks in a row it takes to change the mind: two, which balancers ask for at least.
const CHECKS: u8 = 2;

/// How long an instance that could not be reached is passed over.
pub(super) const REST: Duration = Duration::from_secs(2);

/// What is known of an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    up: bool,
    /// Checks in a row that said otherwise.
    against: u8,
    rests_until: Option<Instant>,
}

impl Health {
    /// Of an instance of which nothing is known yet: it is asked.
    pub(super) fn unknown() -> Self {
        Self { up: true, against: 0, rests_until: None }
    }

    /// Learns from a check.
    pub(super) fn checked(&mut self, answered: bool) {
        if answered == self.up {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against == CHECKS {
            (self.up, self.against) = (answered, 0);
        }
    }

    /// Learns from a request that did not reach the instance.
    pub(super) fn unreachable(&mut self, now: Instant) {
        self.rests_until = Some(now + REST);
    }

    /// Whether the instance should be asked.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.up && self.rests_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_checks_in_a_row_take_an_instance_out_and_two_bring_it_back() {
        let (mut health, now) = (Health::unknown(), Instant::now());
        let mut after = |answered| {
            health.checked(answered);
            health.is_fit(now)
        };
        assert!(after(false));
        assert!(after(true));
        assert!(after(false), "a failure, a success and a failure are no two failures");
        assert!(!after(false));
        assert!(!after(true));
        assert!(!after(false));
        assert!(!after(true));
        assert!(after(true));
    }

    #[test]
    fn an_instance_that_was_not_reached_rests_for_a_while() {
        let (mut health, now) = (Health::unknown(), Instant::now());
        health.unreachable(now);
        assert!(!health.is_fit(now));
        assert!(health.is_fit(now + REST));
    }
}
