//! Gaps in a stream of completions: intervals in which far fewer requests end than usual.
//!
//! [`Completions`] counts ends in bins of 10 ms, for the last half minute. A *gap* is an interval of at
//! least 100 ms in which no more than a fifth of what is usual ended, and in which so much would have
//! ended that chance does not explain it. What is usual is the median of the ten seconds before it, and
//! stands still while the gap lasts.
//!
//! A gap is not yet a stall: a lull looks the same. Whether requests waited is for the spans to say that
//! were open through it ([`Waiting`]): they took longer than ever was usual, by the gap.
//!
//! The scan gives every bin a score, what may be missing less what ended, and looks for stretches whose
//! sum is greatest (as in sequence analysis: Ruzzo and Tompa, ISMB'99, for one pass and a stop).

use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// What completions are counted in: 10 ms.
pub const BIN_NANOS: u64 = 10_000_000;
/// Bins in a second.
const BINS_PER_SECOND: u64 = NANOS_PER_SECOND / BIN_NANOS;
/// Bins that are kept: half a minute and what it takes to know the usual before it.
const BINS: u64 = 40 * BINS_PER_SECOND;
/// A gap that lasts longer is a change of traffic.
const LONGEST_GAP: u64 = 25 * BINS_PER_SECOND;
/// Shortest gap.
const SHORTEST_GAP: u64 = 10;
/// Completions that must be missing: by chance none of eight comes once in three thousand times.
const ENOUGH_EXPECTED: f64 = 8.0;
/// Share of the usual completions that may still come in a gap.
const STILL_COMES: f64 = 0.2;
/// Completions over that share that end a gap.
const RESUMED: f64 = 3.0;
/// Seconds before a gap that say what is usual, and how many of them must be known.
const USUAL_SECONDS: u64 = 10;
const ENOUGH_SECONDS: usize = 4;

/// An interval in which completions collapsed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// When completions stopped.
    pub start: UnixNanos,
    /// When they went on.
    pub end: UnixNanos,
    /// Completions that are usual in a second.
    pub usual_per_second: f64,
}

impl Gap {
    /// How long it lasted.
    pub fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// Whether a span was open when it ended.
    pub fn ends_within(&self, start: UnixNanos, end: UnixNanos) -> bool {
        start.plus_nanos(BIN_NANOS) <= self.end && end.plus_nanos(BIN_NANOS) >= self.end
    }

    /// For how long a span was open within it.
    pub fn overlap(&self, start: UnixNanos, end: UnixNanos) -> u64 {
        end.min(self.end).nanos_since(start.max(self.start))
    }

    /// Whether two speak of the same time: one covers half of the other.
    pub fn coincides(&self, other: &Self) -> bool {
        2 * self.overlap(other.start, other.end) > self.nanos().min(other.nanos())
    }
}

/// Ends of the requests of one front, tier or instance.
#[derive(Clone, Debug)]
pub struct Completions {
    /// Ends in each bin, by its number modulo [`BINS`].
    counts: Vec<u16>,
    /// The first and the newest bin that anything ended in, by number since the epoch.
    range: Option<(u64, u64)>,
    /// Bins before this were judged.
    judged: u64,
    /// A gap that has not ended as far as is known, and what was usual before it.
    open: Option<(u64, f64)>,
}

impl Default for Completions {
    fn default() -> Self {
        Self { counts: vec![0; BINS as usize], range: None, judged: 0, open: None }
    }
}

impl Completions {
    /// Counts one request that ended.
    pub fn record(&mut self, end: UnixNanos) {
        let bin = end.0 / BIN_NANOS;
        let (first, newest) = self.range.unwrap_or((bin, bin));
        if bin + BINS <= newest {
            return;
        }
        // Bins that come again after half a minute still hold what ended then.
        for skipped in (newest + 1..=bin).take(BINS as usize) {
            self.counts[(skipped % BINS) as usize] = 0;
        }
        self.range = Some((first.min(bin), newest.max(bin)));
        let count = &mut self.counts[(bin % BINS) as usize];
        *count = count.saturating_add(1);
    }

    fn at(&self, bin: u64) -> u16 {
        let held = self.range.is_some_and(|(_, newest)| bin <= newest && bin + BINS > newest);
        if held { self.counts[(bin % BINS) as usize] } else { 0 }
    }

    /// Ends in an interval.
    pub fn between(&self, from: UnixNanos, to: UnixNanos) -> u64 {
        (from.0 / BIN_NANOS..to.0 / BIN_NANOS).map(|bin| u64::from(self.at(bin))).sum()
    }

    /// When the newest request ended.
    pub fn newest(&self) -> Option<UnixNanos> {
        self.range.map(|(_, newest)| UnixNanos((newest + 1) * BIN_NANOS))
    }

    /// What usually ends in a second, by the ten before `at`; `None` while too few are known.
    pub fn usual_before(&self, at: UnixNanos) -> Option<f64> {
        let (first, newest) = self.range?;
        let upto = at.0 / BIN_NANOS;
        let oldest = first.max(newest.saturating_sub(BINS - 1));
        let mut seconds: Vec<u64> = (1..=USUAL_SECONDS)
            .map_while(|back| upto.checked_sub(back * BINS_PER_SECOND).filter(|start| *start >= oldest))
            .map(|start| (start..start + BINS_PER_SECOND).map(|bin| u64::from(self.at(bin))).sum())
            .collect();
        if seconds.len() < ENOUGH_SECONDS {
            return None;
        }
        seconds.sort_unstable();
        Some(seconds[seconds.len() / 2] as f64)
    }

    /// The gaps that ended, as far as ends have had time to be known: until `settled`.
    pub fn judge(&mut self, settled: UnixNanos) -> Vec<Gap> {
        let upto = settled.0 / BIN_NANOS;
        let (from, usual) = match self.open {
            Some((from, usual)) if upto.saturating_sub(from) <= LONGEST_GAP => (from, Some(usual)),
            Some(_) => (upto, None),
            None => (self.judged, self.usual_before(UnixNanos(self.judged * BIN_NANOS))),
        };
        self.open = None;
        self.judged = self.judged.max(upto);
        let Some(usual) = usual.filter(|usual| *usual > 0.0) else { return Vec::new() };
        // What was not judged for long is not in the bins any more.
        if upto.saturating_sub(from) > LONGEST_GAP {
            return Vec::new();
        }
        self.scan((from, upto), usual)
    }

    /// The gap that has not ended as far as is known, until `settled`.
    pub fn lasting(&self, settled: UnixNanos) -> Option<Gap> {
        let (from, usual) = self.open?;
        let start = UnixNanos(from * BIN_NANOS);
        (start < settled).then_some(Gap { start, end: settled, usual_per_second: usual })
    }

    fn scan(&mut self, (from, upto): (u64, u64), usual: f64) -> Vec<Gap> {
        let expected = usual / BINS_PER_SECOND as f64;
        let mut found = Vec::new();
        let (mut start, mut sum, mut best, mut best_end) = (from, 0.0_f64, 0.0_f64, from);
        for bin in from..upto {
            sum += STILL_COMES * expected - f64::from(self.at(bin));
            if sum > best {
                (best, best_end) = (sum, bin + 1);
            } else if sum <= 0.0 || best - sum >= RESUMED {
                let length = best_end.saturating_sub(start);
                if length >= SHORTEST_GAP && length as f64 * expected >= ENOUGH_EXPECTED {
                    let (start, end) = (UnixNanos(start * BIN_NANOS), UnixNanos(best_end * BIN_NANOS));
                    found.push(Gap { start, end, usual_per_second: usual });
                }
                (start, sum, best, best_end) = (bin + 1, 0.0, 0.0, bin + 1);
            }
        }
        if start < upto {
            self.open = Some((start, usual));
        }
        found
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u16>()
    }
}

/// Counts the requests that were open at the end of a gap, and those of them that it held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Open at its end, and through half of it.
    pub open: u64,
    /// Of these, those that took longer than is usual by half of the gap.
    pub held_up: u64,
    /// All that were open at its end, however short, and took longer than is usual.
    pub affected: u64,
}

/// Requests that must have been held up.
const ENOUGH_HELD_UP: u64 = 3;

impl Waiting {
    /// Looks at one request. `usual_nanos` is what most of its kind take at most; without it
    /// nothing can be said of the request.
    pub fn look(&mut self, gap: &Gap, (start, end): (UnixNanos, UnixNanos), usual_nanos: Option<f64>) -> bool {
        if !gap.ends_within(start, end) {
            return false;
        }
        let over_usual = usual_nanos.map_or(0.0, |usual| end.nanos_since(start) as f64 - usual);
        self.affected += u64::from(over_usual > 0.0);
        let half = gap.nanos() / 2;
        if gap.overlap(start, end) < half {
            return false;
        }
        self.open += 1;
        let is_held_up = over_usual > half as f64;
        self.held_up += u64::from(is_held_up);
        is_held_up
    }

    /// Whether the gap was a stall: several were held up, and not fewer than half of all that were open.
    pub fn is_stall(self) -> bool {
        self.held_up >= ENOUGH_HELD_UP && 2 * self.held_up >= self.open
    }
}

#[cfg(test)]
mod tests;
