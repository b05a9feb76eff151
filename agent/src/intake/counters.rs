//! Counts of what the receivers refused, and why.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tiertop_core::snapshot::{IngestCounts, ReasonCount};

use crate::decode::Refused;

/// Most distinct reasons kept; all further ones are counted together.
const REASONS: usize = 32;

const OTHER_REASONS: &str = "other reasons";

/// What was refused since the agent started. Refusals are rare, so a lock around the words is
/// never in the way of what is accepted.
#[derive(Debug, Default)]
pub struct Counters {
    spans_refused: AtomicU64,
    points_refused: AtomicU64,
    requests_turned_away: AtomicU64,
    requests_refused: AtomicU64,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    listening: Vec<String>,
    refusals: Vec<ReasonCount>,
}

impl Counters {
    /// Takes note of an address that is listened on, such as `grpc 127.0.0.1:4317`.
    pub fn listening_on(&self, address: impl Into<String>) {
        self.words().listening.push(address.into());
    }

    /// Counts spans and points refused out of a request that was otherwise accepted.
    pub fn refused(&self, refused: &Refused) {
        self.spans_refused.fetch_add(refused.spans, Ordering::Relaxed);
        self.points_refused.fetch_add(refused.points, Ordering::Relaxed);
        for (reason, count) in &refused.reasons {
            self.reason(&reason.to_string(), *count);
        }
    }

    /// Counts a whole request refused as malformed or over a limit.
    pub fn request_refused(&self, reason: &str) {
        self.requests_refused.fetch_add(1, Ordering::Relaxed);
        self.reason(reason, 1);
    }

    /// Counts a whole request turned away because there was no room.
    pub fn request_turned_away(&self) {
        self.requests_turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now; how full the queue is, is not known here.
    pub fn snapshot(&self) -> IngestCounts {
        let words = self.words();
        IngestCounts {
            listening: words.listening.clone(),
            spans_refused: self.spans_refused.load(Ordering::Relaxed),
            points_refused: self.points_refused.load(Ordering::Relaxed),
            requests_turned_away: self.requests_turned_away.load(Ordering::Relaxed),
            requests_refused: self.requests_refused.load(Ordering::Relaxed),
            refusals: words.refusals.clone(),
            ..IngestCounts::default()
        }
    }

    fn reason(&self, reason: &str, count: u64) {
        let refusals = &mut self.words().refusals;
        let known = |words: &str| refusals.iter().position(|known| known.reason == words);
        let words = if refusals.len() < REASONS { reason } else { OTHER_REASONS };
        match known(reason).or_else(|| known(words)) {
            Some(place) => refusals[place].count += count,
            None => refusals.push(ReasonCount { reason: words.to_owned(), count }),
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        // Counts cannot be left half done by a panic.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_their_number_is_bounded() {
        let counters = Counters::default();
        counters.listening_on("grpc 127.0.0.1:4317");
        for number in 0..100 {
            counters.request_refused(&format!("reason {number}"));
        }
        counters.request_refused("reason 0");
        counters.request_turned_away();
        let counts = counters.snapshot();
        assert_eq!(counts.listening, ["grpc 127.0.0.1:4317"]);
        assert_eq!(counts.requests_refused, 101);
        assert_eq!(counts.requests_turned_away, 1);
        assert_eq!(counts.refusals.len(), REASONS + 1);
        assert_eq!(counts.refusals[0].count, 2);
        assert_eq!(counts.refusals.iter().map(|reason| reason.count).sum::<u64>(), 101);
    }
}
