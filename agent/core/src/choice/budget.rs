//! How many traces may be chosen: tokens a second, with a share for each reason.
//!
//! Each reason has an equal share of the tokens to itself, so that a burst of failures does not starve the
//! rest. What a reason leaves unused goes into a common pool that all may take from. No pool holds more than
//! two seconds' worth, or one token and a second's worth where that is more: so in any span of time hardly more
//! is taken than its seconds and two more allow.

use super::Reason;

const REASONS: usize = Reason::ALL.len();
/// Seconds of tokens that a pool may hold.
const HELD_S: f64 = 2.0;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Budget {
    per_second: f64,
    common: f64,
    own: [f64; REASONS],
}

impl Budget {
    /// A budget of so many traces a second, with every pool full.
    pub fn new(per_second: f64) -> Self {
        let mut budget = Self { per_second: per_second.max(0.0), common: 0.0, own: [0.0; REASONS] };
        budget.refill(HELD_S * REASONS as f64);
        budget
    }

    /// Adds the tokens of so many seconds.
    pub fn refill(&mut self, seconds: f64) {
        let share = self.per_second / REASONS as f64;
        let most = pool(share);
        for own in &mut self.own {
            let filled = *own + share * seconds.max(0.0);
            *own = filled.min(most);
            self.common += filled - *own;
        }
        self.common = self.common.min(pool(self.per_second));
    }

    /// Takes a token for a reason, from its own share first; `false` if there is none.
    pub fn take(&mut self, reason: Reason) -> bool {
        let own = &mut self.own[reason as usize];
        let pool = if *own >= 1.0 { own } else { &mut self.common };
        let is_there = *pool >= 1.0;
        if is_there {
            *pool -= 1.0;
        }
        is_there
    }
}

/// The most that a pool holds, by its tokens a second. Below one a second, tokens must be able to add up to one.
fn pool(per_second: f64) -> f64 {
    if per_second > 0.0 { (per_second * HELD_S).max(per_second + 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_for_one_reason_leaves_the_others_their_share() {
        let mut budget = Budget::new(6.0);
        budget.refill(100.0);
        let failed = (0..1000).filter(|_| budget.take(Reason::Failed)).count();
        assert_eq!(failed, 14, "two seconds of its own and of the common pool");
        for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Failed) {
            assert!(budget.take(reason) && budget.take(reason) && !budget.take(reason), "{reason:?}");
        }
    }

    #[test]
    fn over_time_no_more_is_taken_than_a_second_allows_and_all_of_it_can_be() {
        for per_second in [0.5, 1.0, 5.0, 40.0] {
            let mut budget = Budget::new(per_second);
            let taken = (0..1000).flat_map(|_| {
                budget.refill(1.0);
                std::iter::from_fn(|| budget.take(Reason::Slow).then_some(())).collect::<Vec<_>>()
            });
            let (taken, allowed) = (taken.count() as f64, per_second * 1000.0);
            assert!(taken >= allowed * 0.99 && taken <= allowed + 4.0 * per_second + 2.0, "{taken} of {allowed}");
        }
    }

    #[test]
    fn a_budget_of_nothing_gives_nothing() {
        let mut budget = Budget::new(0.0);
        budget.refill(1e6);
        assert!(!Reason::ALL.into_iter().any(|reason| budget.take(reason)));
    }
}
