//! The share of requests that were answered, against the objective.

use crate::snapshot::TierView;

/// Share of requests that are to be answered: the usual objective from phase 4 on.
const OBJECTIVE: f64 = 0.9999;
/// Requests below which one failure more or less would decide.
const ENOUGH_REQUESTS: f64 = 10_000.0;

/// Requests at the front since the beginning, and those that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Availability {
    requests: f64,
    failed: f64,
}

impl Availability {
    /// Takes note of a second at the front.
    pub(super) fn observe(&mut self, front: &TierView) {
        if let (Some(rate), Some(errors)) = (front.requests_per_second, front.error_ratio) {
            self.requests += rate;
            self.failed += rate * errors;
        }
    }

    /// Whether the objective is met, `None` before enough requests came, and what was seen.
    pub(super) fn met(&self) -> (Option<bool>, String) {
        if self.requests < ENOUGH_REQUESTS {
            return (None, format!("{:.0} requests seen of the {ENOUGH_REQUESTS:.0} that it takes", self.requests));
        }
        let failing = self.failed / self.requests;
        let spent = failing / (1.0 - OBJECTIVE);
        let words = format!(
            "{:.3} % of {:.0} requests; {:.0} % of the error budget spent",
            (1.0 - failing) * 100.0,
            self.requests,
            spent * 100.0
        );
        // Sums of floats: a budget that is spent to the last failure still counts as kept.
        (Some(spent <= 1.0 + 1e-9), words)
    }
}
