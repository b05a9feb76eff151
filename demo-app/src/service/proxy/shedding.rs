//! Turns requests away that are over a rate, those of the least value first.
//!
//! Two buckets are filled with tokens at a steady rate and hold one second's worth: one at the limit,
//! the other at a share of it. Every request that is let in takes a token from each; a request of low
//! value needs one from the smaller bucket, any other from the larger. So below that share nobody is
//! turned away, between it and the limit only lists are, and over the limit anybody. The buckets give
//! room to a burst of one second after a pause.

use std::time::Instant;

/// What a request is worth to those who run the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A list: nice to have.
    Low,
    /// A single content, a write, a page.
    High,
}

/// Share of the limit from which requests of low value are turned away.
const LOW_SHARE: f64 = 0.8;

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shed {
    /// Lists make room for the rest.
    LowValue,
    /// All requests are too many.
    OverLimit,
}

/// Decides who is let in.
#[derive(Debug)]
pub(super) struct Shedding {
    all: Bucket,
    low: Bucket,
}

impl Shedding {
    /// Lets in this many requests a second.
    pub(super) fn new(limit: f64, now: Instant) -> Self {
        Self { all: Bucket::new(limit, now), low: Bucket::new(limit * LOW_SHARE, now) }
    }

    /// Lets a request in, or says why not.
    pub(super) fn admit(&mut self, value: Value, now: Instant) -> Result<(), Shed> {
        self.all.fill(now);
        self.low.fill(now);
        if self.all.tokens < 1.0 {
            return Err(Shed::OverLimit);
        }
        if value == Value::Low && self.low.tokens < 1.0 {
            return Err(Shed::LowValue);
        }
        self.all.tokens -= 1.0;
        // It may owe as much as it holds, or what the others take while it is empty would not count.
        self.low.tokens = (self.low.tokens - 1.0).max(-self.low.size());
        Ok(())
    }
}

#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(per_second: f64, now: Instant) -> Self {
        let mut bucket = Self { per_second, tokens: 0.0, filled: now };
        bucket.tokens = bucket.size();
        bucket
    }

    /// One second's worth, and at least the one token that a request takes.
    fn size(&self) -> f64 {
        self.per_second.max(1.0)
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.size());
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Lets requests arrive evenly at a rate, every `lists`th a list, and returns the share of lists and
    /// of others that are let in, once the first burst is over.
    fn admitted(limit: f64, rate: f64, lists: u32) -> (f64, f64) {
        let start = Instant::now();
        let mut shedding = Shedding::new(limit, start);
        let mut counts = [[0.0; 2]; 2];
        for number in 0..(rate * 60.0) as u32 {
            let at = f64::from(number) / rate;
            let value = if number.is_multiple_of(lists) { Value::Low } else { Value::High };
            let admitted = shedding.admit(value, start + Duration::from_secs_f64(at)).is_ok();
            if at > 20.0 {
                counts[usize::from(value == Value::High)][usize::from(admitted)] += 1.0;
            }
        }
        let [low, high] = counts.map(|[turned_away, admitted]| admitted / (turned_away + admitted));
        (low, high)
    }

    #[test]
    fn lists_go_first_and_the_rest_only_over_the_limit() {
        let (low, high) = admitted(100.0, 79.0, 4);
        assert!(low > 0.999 && high > 0.999, "below: {low} {high}");
        let (low, high) = admitted(100.0, 95.0, 4);
        assert!(low < 0.45 && high > 0.999, "between: {low} {high}");
        let (low, high) = admitted(100.0, 300.0, 4);
        assert!(low < 0.02, "over: {low}");
        let let_in = high * 225.0;
        assert!((95.0..101.0).contains(&let_in), "over: {let_in} a second");
    }

    #[test]
    fn a_burst_of_one_second_is_let_in_after_a_pause_and_no_more() {
        let now = Instant::now();
        let mut shedding = Shedding::new(50.0, now);
        let mut burst = |now| (0..200).filter(|_| shedding.admit(Value::High, now).is_ok()).count();
        assert_eq!(burst(now), 50);
        assert_eq!(burst(now + Duration::from_millis(100)), 5);
        assert_eq!(burst(now + Duration::from_mins(1)), 50);
    }

    #[test]
    fn the_reason_tells_lists_from_the_rest() {
        let now = Instant::now();
        let mut shedding = Shedding::new(10.0, now);
        for _ in 0..8 {
            assert_eq!(shedding.admit(Value::High, now), Ok(()));
        }
        assert_eq!(shedding.admit(Value::Low, now), Err(Shed::LowValue));
        assert_eq!([(); 2].map(|()| shedding.admit(Value::High, now)), [Ok(()), Ok(())]);
        assert_eq!(shedding.admit(Value::High, now), Err(Shed::OverLimit));
    }
}
