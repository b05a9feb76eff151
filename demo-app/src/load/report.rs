//! What came of a load.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::Action;
use crate::load::client::Outcome;

/// Longest latency that is told apart: a minute; the timeout cuts off before.
const MAX_MICROS: u64 = 60_000_000;

/// Longest bar of the histogram, in characters.
const BAR: u64 = 40;

/// How many requests there were, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Left by schedule.
    pub sent: u64,
    /// Answered with success.
    pub ok: u64,
    /// Answered otherwise, or not reached.
    pub failed: u64,
    /// Not answered in time.
    pub timeouts: u64,
    /// Neither answered nor given up yet; at the end, those that a shutdown cut off.
    pub in_flight: u64,
}

/// The latencies of successful requests, from the scheduled time on.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_MICROS, 3);
        Self(histogram.expect("the bounds are in order and three digits are within the limit"))
    }
}

impl Latencies {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share of requests (0 to 1) does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// The longest latency.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MAX_MICROS).max(1));
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many latencies lie in each doubling of a millisecond: pairs of the upper bound and the count.
    fn doublings(&self) -> Vec<(Duration, u64)> {
        let mut bars = Vec::new();
        let (mut low, mut high) = (0, 1_000);
        while low < self.0.max() {
            bars.push((Duration::from_micros(high), self.0.count_between(low, high - 1)));
            (low, high) = (high, high * 2);
        }
        let first = bars.iter().position(|(_, count)| *count > 0).unwrap_or(0);
        bars.split_off(first)
    }
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopKind {
    /// By schedule; latencies are free of coordinated omission.
    #[default]
    Open,
    /// Each client waits for its answer; latencies are not free of it.
    Closed,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// How requests followed each other.
    pub loop_kind: LoopKind,
    /// How long it ran, the last answers included.
    pub elapsed: Duration,
    /// How long requests were sent; the rest of the time is a wait for the last answers.
    pub sending: Duration,
    /// How many requests there were.
    pub counts: LoadCounts,
    /// How long reads of single contents took.
    pub reads: Latencies,
    /// How long lists took.
    pub lists: Latencies,
    /// How long static assets took.
    pub assets: Latencies,
    /// How long writes and uploads took.
    pub writes: Latencies,
}

impl LoadReport {
    pub(crate) fn sent(&mut self, in_flight: u64) {
        self.counts.sent += 1;
        self.counts.in_flight = in_flight;
    }

    pub(crate) fn record(&mut self, action: Action, outcome: Outcome, latency: Duration) {
        self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Failed => self.counts.failed += 1,
            Outcome::TimedOut => self.counts.timeouts += 1,
            Outcome::Ok => {
                self.counts.ok += 1;
                let latencies = match action {
                    Action::Read { .. } | Action::ReadRecent { .. } => &mut self.reads,
                    Action::List { .. } => &mut self.lists,
                    Action::Asset { .. } => &mut self.assets,
                    Action::Write { .. } | Action::Upload { .. } => &mut self.writes,
                };
                latencies.record(latency);
            }
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadCounts { sent, ok, failed, timeouts, in_flight } = self.counts;
        let (sending, elapsed) = (self.sending.as_secs_f64(), self.elapsed.as_secs_f64());
        let rate = if sending > 0.0 { sent as f64 / sending } else { 0.0 };
        write!(f, "{sent} requests in {sending:.1} s ({rate:.1}/s)")?;
        if elapsed - sending >= 0.05 {
            write!(f, ", the last answer after {elapsed:.1} s")?;
        }
        writeln!(f)?;
        writeln!(f, "  {ok} ok, {failed} failed, {timeouts} timed out, {in_flight} cut off")?;
        let millis = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        let mut all = Latencies::default();
        let kinds =
            [("reads", &self.reads), ("lists", &self.lists), ("assets", &self.assets), ("writes", &self.writes)];
        for (name, latencies) in kinds.into_iter().filter(|(_, latencies)| latencies.count() > 0) {
            all.add(latencies);
            writeln!(
                f,
                "  {name:<6} {:>8}   p50 {:>7.1} ms   p95 {:>7.1} ms   p99 {:>7.1} ms   max {:>7.1} ms",
                latencies.count(),
                millis(latencies.quantile(0.5)),
                millis(latencies.quantile(0.95)),
                millis(latencies.quantile(0.99)),
                millis(latencies.max()),
            )?;
        }
        let bars = all.doublings();
        if bars.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "  latency of all that succeeded, {}",
            match self.loop_kind {
                LoopKind::Open => "from the scheduled time on (no coordinated omission)",
                LoopKind::Closed =>
                    "from asking on (closed loop: what clients did not ask while they waited is not in it)",
            }
        )?;
        let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
        for (bound, count) in bars {
            let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
            writeln!(f, "  {:>8} {count:>8} {bar}", format!("< {} ms", bound.as_millis()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_and_only_successes_have_latencies() {
        let mut report = LoadReport::default();
        let read = Action::Read { rank: 0 };
        for (action, outcome, millis) in [
            (read, Outcome::Ok, 10),
            (read, Outcome::TimedOut, 5_000),
            (Action::Write { user_id: 1 }, Outcome::Ok, 20),
            (Action::List { user_id: 1 }, Outcome::Ok, 2),
            (read, Outcome::Failed, 1),
        ] {
            report.sent(1);
            report.record(action, outcome, Duration::from_millis(millis));
        }
        let LoadCounts { sent, ok, failed, timeouts, in_flight } = report.counts;
        assert_eq!((sent, ok, failed, timeouts, in_flight), (5, 3, 1, 1, 0));
        assert_eq!((report.reads.count(), report.writes.count(), report.lists.count()), (1, 1, 1));
        assert!(report.writes.max().abs_diff(Duration::from_millis(20)) < Duration::from_micros(50));
    }

    #[test]
    fn the_report_ends_in_a_histogram_that_says_what_it_counts_from() {
        let second = Duration::from_secs(1);
        let mut report = LoadReport { elapsed: 3 * second, sending: 2 * second, ..LoadReport::default() };
        report.counts.sent = 4;
        for millis in [3, 3, 3, 9] {
            report.record(Action::Read { rank: 0 }, Outcome::Ok, Duration::from_millis(millis));
        }
        let text = report.to_string();
        assert!(text.starts_with("4 requests in 2.0 s (2.0/s), the last answer after 3.0 s\n"), "{text}");
        assert!(text.contains("no coordinated omission"), "{text}");
        assert!(text.contains("< 4 ms        3 ########################################\n"), "{text}");
        assert!(text.contains("< 8 ms        0 \n") && text.contains("< 16 ms        1 ##############\n"), "{text}");
        assert!(!text.contains("< 2 ms") && !text.contains("assets"), "{text}");
        report.loop_kind = LoopKind::Closed;
        assert!(report.to_string().contains("closed loop"));
        assert!(!LoadReport::default().to_string().contains("latency"));
    }
}
