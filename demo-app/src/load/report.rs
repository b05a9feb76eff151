//! What came of a load.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::{Action, Outcome};

/// Longest latency that is told apart: a minute; the timeout cuts off before.
const MAX_MICROS: u64 = 60_000_000;

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

    fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MAX_MICROS).max(1));
    }
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// How long it ran, the last answers included.
    pub elapsed: Duration,
    /// How many requests there were.
    pub counts: LoadCounts,
    /// How long reads took.
    pub reads: Latencies,
    /// How long writes took.
    pub writes: Latencies,
}

impl LoadReport {
    pub(super) fn sent(&mut self, in_flight: u64) {
        self.counts.sent += 1;
        self.counts.in_flight = in_flight;
    }

    pub(super) fn record(&mut self, action: Action, outcome: Outcome, latency: Duration) {
        self.counts.in_flight = self.counts.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Failed => self.counts.failed += 1,
            Outcome::TimedOut => self.counts.timeouts += 1,
            Outcome::Ok => {
                self.counts.ok += 1;
                if action.writes() { &mut self.writes } else { &mut self.reads }.record(latency);
            }
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadCounts { sent, ok, failed, timeouts, in_flight } = self.counts;
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { sent as f64 / seconds } else { 0.0 };
        writeln!(f, "{sent} requests in {seconds:.1} s ({rate:.1}/s)")?;
        writeln!(f, "  {ok} ok, {failed} failed, {timeouts} timed out, {in_flight} cut off")?;
        for (name, latencies) in [("reads", &self.reads), ("writes", &self.writes)] {
            let millis = |latency: Duration| latency.as_secs_f64() * 1_000.0;
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
            (read, Outcome::Failed, 1),
        ] {
            report.sent(1);
            report.record(action, outcome, Duration::from_millis(millis));
        }
        let LoadCounts { sent, ok, failed, timeouts, in_flight } = report.counts;
        assert_eq!((sent, ok, failed, timeouts, in_flight), (4, 2, 1, 1, 0));
        assert_eq!((report.reads.count(), report.writes.count()), (1, 1));
        assert!(report.writes.max().abs_diff(Duration::from_millis(20)) < Duration::from_micros(50));
    }
}
