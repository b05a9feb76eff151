//! Figures by slot of time: the same keeping for tiers, instances, operations and edges.
//!
//! A [`Slots`] holds slots of a fixed length (1 s or 10 s), newest at the back, no more than its
//! retention. Slots without anything in them take no room. A slot that has been dropped never
//! comes back: what would fall into it is the caller's to refuse as late.

use std::collections::VecDeque;

use crate::distribution::{Bucket, Distribution};
use crate::time::UnixSecond;

/// What happened in one slot of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slot {
    /// Requests that failed.
    pub errors: u64,
    /// How long all requests took; its count is the requests.
    pub latency: Distribution,
}

impl Slot {
    /// Requests in all.
    pub fn count(&self) -> u64 {
        self.latency.count()
    }

    /// Adds all of another slot.
    pub fn merge(&mut self, other: &Self) {
        self.errors += other.errors;
        self.latency.merge(&other.latency);
    }

    /// Failed over all, or `None` without requests.
    pub fn error_ratio(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.errors as f64 / self.count() as f64)
    }
}

/// One request as it is counted everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The second in which it ended.
    pub second: UnixSecond,
    /// Its duration's bucket.
    pub bucket: Bucket,
    /// Its duration in nanoseconds.
    pub nanos: u64,
    /// Whether it failed.
    pub error: bool,
    /// How many requests it stands for.
    pub weight: u64,
}

/// Slots of equal length, ascending in time.
#[derive(Clone, Debug)]
pub struct Slots {
    step_s: u64,
    keep: usize,
    kept: VecDeque<(UnixSecond, Slot)>,
}

impl Slots {
    /// Slots of `step_s` seconds each, of which the newest `keep` spans of time are kept.
    pub fn new(step_s: u64, keep: usize) -> Self {
        Self { step_s, keep, kept: VecDeque::new() }
    }

    /// Counts one request.
    pub fn record(&mut self, count: Count) {
        let slot = self.at(count.second);
        slot.latency.record(count.bucket, count.nanos, count.weight);
        if count.error {
            slot.errors += count.weight;
        }
    }

    /// Takes back one request that was counted before.
    pub fn retract(&mut self, count: Count) {
        let slot = self.at(count.second);
        slot.latency.retract(count.bucket, count.nanos, count.weight);
        if count.error {
            slot.errors = slot.errors.saturating_sub(count.weight);
        }
    }

    /// The slot that `second` falls in, made if it is not there.
    pub fn at(&mut self, second: UnixSecond) -> &mut Slot {
        let start = self.start_of(second);
        // Almost always the newest, or one of the few before it.
        let place = match self.kept.iter().rposition(|(at, _)| *at <= start) {
            Some(place) if self.kept[place].0 == start => place,
            found => {
                let place = found.map_or(0, |before| before + 1);
                self.kept.insert(place, (start, Slot::default()));
                place
            }
        };
        &mut self.kept[place].1
    }

    fn start_of(&self, second: UnixSecond) -> UnixSecond {
        UnixSecond(second.0 - second.0 % self.step_s)
    }

    /// Drops what is older than the retention, seen from `now`, and hands each dropped slot on.
    pub fn expire(&mut self, now: UnixSecond, mut dropped: impl FnMut(UnixSecond, Slot)) {
        let oldest = now.minus(self.step_s * self.keep as u64);
        while let Some((start, _)) = self.kept.front()
            && *start < oldest
        {
            if let Some((start, slot)) = self.kept.pop_front() {
                dropped(start, slot);
            }
        }
    }

    /// Drops the slots before `oldest` for good. Returns how many went.
    pub fn drop_before(&mut self, oldest: UnixSecond) -> u64 {
        let old = self.kept.partition_point(|(start, _)| *start < oldest);
        self.kept.drain(..old);
        self.kept.shrink_to_fit();
        old as u64
    }

    /// The sum over all slots that begin in `from ..= to`.
    pub fn sum(&self, from: UnixSecond, to: UnixSecond) -> Slot {
        let mut sum = Slot::default();
        for (_, slot) in self.range(from, to) {
            sum.merge(slot);
        }
        sum
    }

    /// The slots that begin in `from ..= to`, ascending.
    pub fn range(&self, from: UnixSecond, to: UnixSecond) -> impl Iterator<Item = (UnixSecond, &Slot)> {
        let first = self.kept.partition_point(|(start, _)| *start < from);
        self.kept.range(first..).take_while(move |(start, _)| *start <= to).map(|(start, slot)| (*start, slot))
    }

    /// How many slots have anything in them.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no slot has anything in it.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The newest slot's start.
    pub fn newest(&self) -> Option<UnixSecond> {
        self.kept.back().map(|(start, _)| *start)
    }

    /// The oldest slot's start.
    pub fn oldest(&self) -> Option<UnixSecond> {
        self.kept.front().map(|(start, _)| *start)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<(UnixSecond, Slot)>()
            + self.kept.iter().map(|(_, slot)| slot.latency.heap_bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(second: u64, nanos: u64) -> Count {
        Count { second: UnixSecond(second), bucket: Bucket::of_nanos(nanos), nanos, error: false, weight: 1 }
    }

    #[test]
    fn requests_fall_into_their_own_slot_in_whatever_order_they_come() {
        let mut slots = Slots::new(10, 6);
        for second in [105, 100, 119, 101, 112] {
            slots.record(request(second, 1_000_000));
        }
        let counts: Vec<_> =
            slots.range(UnixSecond(0), UnixSecond(200)).map(|(at, slot)| (at.0, slot.count())).collect();
        assert_eq!(counts, [(100, 3), (110, 2)]);
        assert_eq!(slots.sum(UnixSecond(100), UnixSecond(100)).count(), 3);
    }

    #[test]
    fn old_slots_are_handed_on_when_they_expire() {
        let mut slots = Slots::new(1, 5);
        for second in 0..10 {
            slots.record(request(second, 1_000));
        }
        let mut gone = Vec::new();
        slots.expire(UnixSecond(10), |at, slot| gone.push((at.0, slot.count())));
        assert_eq!(gone, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(slots.oldest(), Some(UnixSecond(5)));
    }

    #[test]
    fn a_retracted_request_leaves_no_trace_in_the_counts() {
        let mut slots = Slots::new(1, 5);
        let failed = Count { error: true, weight: 3, ..request(7, 5_000_000) };
        slots.record(request(7, 1_000_000));
        slots.record(failed);
        slots.retract(failed);
        let slot = slots.sum(UnixSecond(7), UnixSecond(7));
        assert_eq!((slot.count(), slot.errors), (1, 0));
    }
}
