//! What is kept over time of a tier or an edge.
//!
//! Distributions by 1 s for 5 minutes, then by 10 s for the hour; scalars by 1 s for the hour,
//! written once a second has closed. Merging seconds into tens is exact.

use std::collections::VecDeque;

use crate::slots::{Count, Slot, Slots};
use crate::time::UnixSecond;

/// How long distributions are kept by the second.
const FINE_SECONDS: usize = 300;
/// How many spans of 10 s make the hour.
const TENS: usize = 360;
/// How long scalars are kept by the second.
const SCALAR_SECONDS: usize = 3600;

/// What is left of scalars when memory is short.
const SHORT_SCALAR_SECONDS: u64 = 600;
/// What is left of distributions by the second when memory is very short: what the screen shows.
const SHORT_FINE_SECONDS: u64 = 75;

/// What is given up when memory is short, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shed {
    /// The hour of distributions by 10 s.
    Tens,
    /// Scalars older than ten minutes.
    OldScalars,
    /// Distributions by the second that the screen no longer shows.
    OldSeconds,
}

impl Shed {
    /// All of it, the least missed first.
    pub(crate) const ORDER: [Self; 3] = [Self::Tens, Self::OldScalars, Self::OldSeconds];
}

/// One closed second in few words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalars {
    pub(crate) second: UnixSecond,
    pub(crate) count: u32,
    pub(crate) errors: u32,
    pub(crate) mean_ms: f32,
    pub(crate) p50_ms: f32,
    pub(crate) p95_ms: f32,
    pub(crate) p99_ms: f32,
    pub(crate) max_ms: f32,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct History {
    seconds: Slots,
    tens: Slots,
    scalars: VecDeque<Scalars>,
    /// The last second that was written into `scalars`.
    closed: UnixSecond,
}

impl Default for History {
    fn default() -> Self {
        Self {
            seconds: Slots::new(1, FINE_SECONDS),
            tens: Slots::new(10, TENS),
            scalars: VecDeque::new(),
            closed: UnixSecond(0),
        }
    }
}

impl History {
    pub(crate) fn record(&mut self, count: Count) {
        self.seconds.record(count);
    }

    pub(crate) fn retract(&mut self, count: Count) {
        self.seconds.retract(count);
    }

    /// The sum over the seconds `from ..= to`, which must lie in the last 5 minutes.
    pub(crate) fn sum(&self, from: UnixSecond, to: UnixSecond) -> Slot {
        self.seconds.sum(from, to)
    }

    /// The seconds `from ..= to` that have anything in them.
    pub(crate) fn seconds(&self, from: UnixSecond, to: UnixSecond) -> impl Iterator<Item = (UnixSecond, &Slot)> {
        self.seconds.range(from, to)
    }

    /// Closed seconds in `from ..= to`, ascending.
    pub(crate) fn scalars(&self, from: UnixSecond, to: UnixSecond) -> impl Iterator<Item = &Scalars> {
        let first = self.scalars.partition_point(|scalars| scalars.second < from);
        self.scalars.range(first..).take_while(move |scalars| scalars.second <= to)
    }

    /// Writes scalars up to and including `closed`, and drops what is older than its retention.
    pub(crate) fn close(&mut self, closed: UnixSecond, now: UnixSecond) {
        for (second, slot) in self.seconds.range(self.closed.plus(1), closed) {
            if slot.count() > 0 {
                self.scalars.push_back(scalars_of(second, slot));
            }
        }
        self.closed = self.closed.max(closed);
        let tens = &mut self.tens;
        self.seconds.expire(now, |second, slot| tens.at(second).merge(&slot));
        self.tens.expire(now, |_, _| ());
        let oldest = now.minus(SCALAR_SECONDS as u64);
        while self.scalars.front().is_some_and(|scalars| scalars.second < oldest) {
            self.scalars.pop_front();
        }
    }

    /// Gives up detail when memory is short. Returns how many slots went.
    pub(crate) fn shed(&mut self, what: Shed, now: UnixSecond) -> u64 {
        match what {
            Shed::Tens => {
                let dropped = self.tens.len() as u64;
                self.tens = Slots::new(10, TENS);
                dropped
            }
            Shed::OldScalars => {
                let old = self.scalars.partition_point(|scalars| scalars.second < now.minus(SHORT_SCALAR_SECONDS));
                self.scalars.drain(..old);
                self.scalars.shrink_to_fit();
                old as u64
            }
            Shed::OldSeconds => self.seconds.drop_before(now.minus(SHORT_FINE_SECONDS)),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.seconds.heap_bytes() + self.tens.heap_bytes() + self.scalars.capacity() * size_of::<Scalars>()
    }
}

fn scalars_of(second: UnixSecond, slot: &Slot) -> Scalars {
    let quantile = |q| slot.latency.quantile_ms(q).unwrap_or_default() as f32;
    Scalars {
        second,
        count: u32::try_from(slot.count()).unwrap_or(u32::MAX),
        errors: u32::try_from(slot.errors).unwrap_or(u32::MAX),
        mean_ms: slot.latency.mean_ms().unwrap_or_default() as f32,
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
        max_ms: slot.latency.max_ms().unwrap_or_default() as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Bucket;

    fn request(second: u64, ms: u64) -> Count {
        let nanos = ms * 1_000_000;
        Count { second: UnixSecond(second), bucket: Bucket::of_nanos(nanos), nanos, error: false, weight: 1 }
    }

    #[test]
    fn a_second_is_written_down_once_when_it_closes() {
        let mut history = History::default();
        for second in 1000..1020 {
            history.record(request(second, 10));
        }
        history.close(UnixSecond(1009), UnixSecond(1020));
        history.close(UnixSecond(1010), UnixSecond(1021));
        let closed: Vec<_> = history.scalars(UnixSecond(0), UnixSecond(2000)).map(|scalars| scalars.second.0).collect();
        assert_eq!(closed, (1000..=1010).collect::<Vec<_>>());
    }

    #[test]
    fn after_five_minutes_seconds_become_tens_and_nothing_is_lost() {
        let mut history = History::default();
        for second in 1000..1400 {
            history.record(request(second, 10));
            history.close(UnixSecond(second.saturating_sub(10)), UnixSecond(second));
        }
        let fine = history.sum(UnixSecond(0), UnixSecond(2000)).count();
        let coarse = history.tens.sum(UnixSecond(0), UnixSecond(2000)).count();
        assert_eq!((fine + coarse, fine), (400, 301));
    }
}
