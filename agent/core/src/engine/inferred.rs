//! Signals worked out from spans where no metric says them.
//!
//! *Hit rate*: a cache read that is followed, before the next cache read of the same request, by a
//! read from a store is a miss; else it is a hit. (Checked on captured traces.)
//!
//! *Queue depth and age*: sends less completions, by event time, counted from the least difference
//! ever seen, which stands for an empty queue. So the depth is right once the queue was empty, and
//! a lower bound before. The oldest waiting message was sent when the sends, counted back from now,
//! make up the depth: this holds also when no worker is alive.

use std::collections::VecDeque;

use crate::slots::Slots;
use crate::time::UnixSecond;

/// Seconds of lookups and of flow that are kept.
const KEPT_SECONDS: u64 = 60;
/// Seconds of sends that are kept for finding the oldest message: an hour.
const SENDS_KEPT_SECONDS: u64 = 3600;
/// Reads below which a hit rate says nothing.
const ENOUGH_READS: u64 = 20;

/// What cache reads found, by second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookups {
    by_second: VecDeque<(UnixSecond, [u64; 2])>,
}

impl Lookups {
    /// Takes note of one read.
    pub(crate) fn record(&mut self, second: UnixSecond, hit: bool) {
        at(&mut self.by_second, second)[usize::from(!hit)] += 1;
    }

    /// Hits over reads in `from ..= to`, or `None` when there were too few.
    pub(crate) fn hit_ratio(&self, from: UnixSecond, to: UnixSecond) -> Option<f64> {
        let inside = self.by_second.iter().filter(|(second, _)| (from..=to).contains(second));
        let (hits, misses) = inside.fold((0, 0), |sum, (_, counts)| (sum.0 + counts[0], sum.1 + counts[1]));
        (hits + misses >= ENOUGH_READS).then(|| hits as f64 / (hits + misses) as f64)
    }

    /// Drops what is too old.
    pub(crate) fn expire(&mut self, now: UnixSecond) {
        while self.by_second.front().is_some_and(|(second, _)| second.plus(2 * KEPT_SECONDS) < now) {
            self.by_second.pop_front();
        }
    }
}

fn at<T: Default>(list: &mut VecDeque<(UnixSecond, T)>, second: UnixSecond) -> &mut T {
    let place = list.partition_point(|(at, _)| *at < second);
    if list.get(place).is_none_or(|(at, _)| *at != second) {
        list.insert(place, (second, T::default()));
    }
    &mut list[place].1
}

/// What goes in and out of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// Messages sent and done, by second.
    recent: VecDeque<(UnixSecond, [u64; 2])>,
    /// Sends of closed seconds, for finding the oldest.
    sends: VecDeque<(UnixSecond, u64)>,
    /// Sent less done in all closed seconds.
    balance: i64,
    /// The least balance seen.
    least: i64,
    /// Whether any completion was ever seen: without, sends alone say nothing.
    consumed: bool,
    /// How long messages waited, where the producer's span was found.
    pub(crate) waits: Slots,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            recent: VecDeque::new(),
            sends: VecDeque::new(),
            balance: 0,
            least: 0,
            consumed: false,
            waits: Slots::new(1, KEPT_SECONDS as usize),
        }
    }
}

/// What can be said of a queue from spans alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Backlog {
    pub(crate) depth: u64,
    pub(crate) oldest_age_s: f64,
}

impl Flow {
    pub(crate) fn sent(&mut self, second: UnixSecond, times: u64) {
        at(&mut self.recent, second)[0] += times;
    }

    pub(crate) fn unsent(&mut self, second: UnixSecond, times: u64) {
        let sent = &mut at(&mut self.recent, second)[0];
        *sent = sent.saturating_sub(times);
    }

    pub(crate) fn done(&mut self, second: UnixSecond, times: u64) {
        at(&mut self.recent, second)[1] += times;
        self.consumed = true;
    }

    /// Folds seconds up to and including `closed` into the balance.
    pub(crate) fn close(&mut self, closed: UnixSecond, now: UnixSecond) {
        while let Some((second, [sent, done])) = self.recent.front().copied()
            && second <= closed
        {
            self.recent.pop_front();
            self.balance += sent as i64 - done as i64;
            self.least = self.least.min(self.balance);
            if sent > 0 {
                self.sends.push_back((second, sent));
            }
        }
        while self.sends.front().is_some_and(|(second, _)| second.plus(SENDS_KEPT_SECONDS) < now) {
            self.sends.pop_front();
        }
        self.waits.expire(now, |_, _| ());
    }

    /// The backlog at the end of second `edge`, or `None` while no completion was ever seen.
    pub(crate) fn backlog(&self, edge: UnixSecond) -> Option<Backlog> {
        if !self.consumed {
            return None;
        }
        let upto = self.recent.partition_point(|(second, _)| *second <= edge);
        let recent = self.recent.range(..upto);
        let balance = self.balance + recent.clone().map(|(_, [sent, done])| *sent as i64 - *done as i64).sum::<i64>();
        let depth = u64::try_from(balance - self.least).unwrap_or(0);
        let newest_first = recent.rev().map(|(second, [sent, _])| (*second, *sent));
        let mut left = depth;
        let mut oldest = edge;
        for (second, sent) in newest_first.chain(self.sends.iter().rev().copied()) {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(sent);
            oldest = second;
        }
        let oldest_age_s = if depth == 0 { 0.0 } else { edge.plus(1).0.saturating_sub(oldest.0) as f64 };
        Some(Backlog { depth, oldest_age_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_rate_needs_enough_reads() {
        let mut lookups = Lookups::default();
        for read in 0..19 {
            lookups.record(UnixSecond(100), read % 10 != 0);
        }
        assert_eq!(lookups.hit_ratio(UnixSecond(90), UnixSecond(100)), None);
        lookups.record(UnixSecond(100), true);
        assert_eq!(lookups.hit_ratio(UnixSecond(90), UnixSecond(100)), Some(0.9));
        assert_eq!(lookups.hit_ratio(UnixSecond(101), UnixSecond(110)), None);
    }

    #[test]
    fn when_workers_stop_depth_grows_by_the_sends_and_age_by_the_clock() {
        let mut flow = Flow::default();
        for second in 100..110 {
            flow.sent(UnixSecond(second), 3);
            flow.done(UnixSecond(second), 3);
        }
        for second in 110..130 {
            flow.sent(UnixSecond(second), 3);
            flow.close(UnixSecond(second - 11), UnixSecond(second));
        }
        assert_eq!(flow.backlog(UnixSecond(129)), Some(Backlog { depth: 60, oldest_age_s: 20.0 }));
    }

    #[test]
    fn a_completion_that_arrives_before_its_send_does_no_lasting_harm() {
        let mut flow = Flow::default();
        flow.done(UnixSecond(100), 5);
        assert_eq!(flow.backlog(UnixSecond(100)).map(|backlog| backlog.depth), Some(0));
        flow.sent(UnixSecond(100), 5);
        flow.close(UnixSecond(100), UnixSecond(111));
        assert_eq!(flow.backlog(UnixSecond(111)).map(|backlog| backlog.depth), Some(0));
    }

    #[test]
    fn a_backlog_that_was_there_before_us_shows_as_it_is_worked_off() {
        let mut flow = Flow::default();
        flow.done(UnixSecond(100), 50);
        flow.close(UnixSecond(100), UnixSecond(111));
        flow.sent(UnixSecond(112), 4);
        assert_eq!(flow.backlog(UnixSecond(112)).map(|backlog| backlog.depth), Some(4));
    }

    #[test]
    fn without_any_completion_nothing_is_said() {
        let mut flow = Flow::default();
        flow.sent(UnixSecond(100), 5);
        assert_eq!(flow.backlog(UnixSecond(100)), None);
    }
}
