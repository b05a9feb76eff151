//! How throughput scales: the Universal Scalability Law (Gunther), fitted over levels of load.
//!
//! `C(N) = l N / (1 + a (N - 1) + b N (N - 1))`, with `N` requests in flight and `C` requests a second. Divided into
//! `N` it is linear in its coefficients, `N / C = 1/l + a/l (N - 1) + b/l N (N - 1)`, so least squares fit it.
//! A negative `a` or `b` has no meaning: the fit is made again without it, as the literature does.
//!
//! `N` is by Little's law what comes times how long it takes. A *level* is five seconds and more within a range of
//! 20 % of `N`. The law is fitted where
//! 1. there are six levels, each 20 % above the one below,
//! 2. the highest is three times the lowest, and throughput half as much again (else only latency changed, as in a
//!    fault),
//! 3. and the law then gives each level's throughput to within 15 %.

use std::collections::BTreeMap;

use super::facts::requests_per_second;
use crate::snapshot::{BucketView, ScalabilityView, TierView};

/// A level is this much above the one below.
const STEP: f64 = 1.2;
/// Seconds that make a level.
const LEVEL_SECONDS: f64 = 5.0;
/// Levels that it takes.
const ENOUGH_LEVELS: usize = 6;
/// The highest level over the lowest.
const ENOUGH_SPREAD: f64 = 3.0;
/// The most throughput over the least: near its end a system gives little more for three times as much in flight.
const ENOUGH_GROWTH: f64 = 1.5;
/// How far a level's throughput may be from the law, relative.
const WORST_MISS: f64 = 0.15;
/// A peak further beyond the highest level than by this factor was not seen coming.
const PEAK_WITHIN: f64 = 4.0;
/// Seconds that count as much as all before: a level is of late, not of ever.
const MEMORY_S: f64 = 60.0;
/// A level that was not visited for so long, an hour, is forgotten: systems change.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;
/// Requests in flight that are counted, from the least to the most; with [`STEP`] this bounds the levels.
const COUNTED: std::ops::RangeInclusive<f64> = 0.01..=1e6;
/// Share of failures over which throughput is no measure of work.
const MOST_ERRORS: f64 = 0.05;

/// Seconds at the front, by requests in flight.
#[derive(Debug, Default)]
pub(super) struct Levels {
    by_step: BTreeMap<i32, Level>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    seconds: f64,
    in_flight: f64,
    throughput: f64,
    seen_ms: u64,
}

impl Levels {
    /// Takes note of a second at the front.
    pub(super) fn observe(&mut self, now_ms: u64, front: &TierView) {
        self.by_step.retain(|_, level| now_ms.saturating_sub(level.seen_ms) < FORGOTTEN_AFTER_MS);
        let Some(throughput) = requests_per_second(front) else { return };
        let Some(latency_s) = mean_seconds(&front.distribution) else { return };
        let in_flight = throughput * latency_s;
        if COUNTED.contains(&in_flight) && front.error_ratio.unwrap_or_default() <= MOST_ERRORS {
            self.add(now_ms, in_flight, throughput);
        }
    }

    fn add(&mut self, now_ms: u64, in_flight: f64, throughput: f64) {
        let step = (in_flight.ln() / STEP.ln()).round() as i32;
        let level = self.by_step.entry(step).or_default();
        level.seconds += 1.0;
        level.seen_ms = now_ms;
        let share = 1.0 / level.seconds.min(MEMORY_S);
        level.in_flight += (in_flight - level.in_flight) * share;
        level.throughput += (throughput - level.throughput) * share;
    }

    /// The law, where there are levels enough and it holds for them.
    pub(super) fn fit(&self) -> Option<ScalabilityView> {
        let mut levels: Vec<(f64, f64)> = Vec::new();
        for level in self.by_step.values().filter(|level| level.seconds >= LEVEL_SECONDS) {
            if levels.last().is_none_or(|(below, _)| level.in_flight >= below * STEP * 0.999) {
                levels.push((level.in_flight, level.throughput));
            }
        }
        let spread = |of: fn(&(f64, f64)) -> f64| {
            let least = levels.iter().map(of).fold(f64::INFINITY, f64::min);
            levels.iter().map(of).fold(0.0, f64::max) / least
        };
        let enough = levels.len() >= ENOUGH_LEVELS
            && spread(|level| level.0) >= ENOUGH_SPREAD
            && spread(|level| level.1) >= ENOUGH_GROWTH;
        if enough { fit(&levels) } else { None }
    }
}

/// Fits the law to levels of (in flight, throughput), or says nothing where it does not hold.
fn fit(levels: &[(f64, f64)]) -> Option<ScalabilityView> {
    let [base, contention, coherency] = coefficients(levels, [true; 3])?;
    let [base, contention, coherency] = match (contention < 0.0, coherency < 0.0) {
        (false, false) => [base, contention, coherency],
        (true, true) => coefficients(levels, [true, false, false])?,
        (no_contention, no_coherency) => {
            let once_more = coefficients(levels, [true, !no_contention, !no_coherency])?;
            // What the other one made up for may turn negative in its turn.
            if once_more.iter().any(|value| *value < 0.0) {
                coefficients(levels, [true, false, false])?
            } else {
                once_more
            }
        }
    };
    if base <= 0.0 {
        return None;
    }
    let law = Law { per_one: 1.0 / base, contention: contention / base, coherency: coherency / base };
    let holds = levels.iter().all(|(n, throughput)| (law.throughput(*n) / throughput - 1.0).abs() <= WORST_MISS);
    let highest = levels.last()?.0;
    let peak = law.peak().filter(|peak| *peak <= highest * PEAK_WITHIN);
    holds.then(|| ScalabilityView {
        levels: levels.len() as u64,
        per_one: law.per_one,
        contention: law.contention,
        coherency: law.coherency,
        peak_in_flight: peak,
        peak_requests_per_second: peak.map(|peak| law.throughput(peak)),
    })
}

#[derive(Clone, Copy, Debug)]
struct Law {
    per_one: f64,
    contention: f64,
    coherency: f64,
}

impl Law {
    fn throughput(self, n: f64) -> f64 {
        self.per_one * n / (1.0 + self.contention * (n - 1.0) + self.coherency * n * (n - 1.0))
    }

    /// `N* = sqrt((1 - a) / b)`.
    fn peak(self) -> Option<f64> {
        let squared = (1.0 - self.contention) / self.coherency;
        (self.coherency > 0.0 && squared > 0.0).then(|| squared.sqrt())
    }
}

/// Least squares of `N / C` over 1, `N - 1` and `N (N - 1)`, those of them that are `used`; the others are 0.
fn coefficients(levels: &[(f64, f64)], used: [bool; 3]) -> Option<[f64; 3]> {
    // The normal equations, with the right side as the fourth column.
    let mut rows = [[0.0; 4]; 3];
    for (n, throughput) in levels {
        let terms = [1.0, n - 1.0, n * (n - 1.0)];
        let y = n / throughput;
        for (row, term) in rows.iter_mut().zip(terms) {
            for (cell, other) in row.iter_mut().zip(terms.into_iter().chain([y])) {
                *cell += term * other;
            }
        }
    }
    for unused in (0..3).filter(|index| !used[*index]) {
        for row in &mut rows {
            row[unused] = 0.0;
        }
        rows[unused] = [0.0; 4];
        rows[unused][unused] = 1.0;
    }
    for pivot in 0..3 {
        let best = (pivot..3).max_by(|one, other| rows[*one][pivot].abs().total_cmp(&rows[*other][pivot].abs()))?;
        rows.swap(pivot, best);
        let scale = rows[pivot][pivot];
        if scale.abs() < f64::EPSILON {
            return None;
        }
        let pivot_row = rows[pivot].map(|cell| cell / scale);
        rows[pivot] = pivot_row;
        for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = row[pivot];
            for (cell, above) in row.iter_mut().zip(pivot_row) {
                *cell -= factor * above;
            }
        }
    }
    Some(rows.map(|row| row[3]))
}

/// The mean of a distribution, by the middles of its buckets.
fn mean_seconds(buckets: &[BucketView]) -> Option<f64> {
    let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let middle_ms = |bucket: &BucketView| f64::midpoint(bucket.lower_ms, bucket.upper_ms);
    let sum_ms: f64 = buckets.iter().map(|bucket| middle_ms(bucket) * bucket.count as f64).sum();
    (count > 0).then(|| sum_ms / count as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(law: Law, at: &[f64], seconds: u64) -> Levels {
        let mut levels = Levels::default();
        for n in at {
            for second in 0..seconds {
                levels.add(second * 1000, *n, law.throughput(*n));
            }
        }
        levels
    }

    const AT: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0];

    #[test]
    fn known_coefficients_are_found_again_with_the_peak() {
        // About those of Gunther's SGI Origin 2000 example: a 0.05, b 0.0002, peak near 69.
        let law = Law { per_one: 20.0, contention: 0.05, coherency: 0.0002 };
        let fit = levels(law, &AT, 5).fit().unwrap();
        assert_eq!(fit.levels, 7);
        assert!((fit.per_one - 20.0).abs() < 1e-6, "{fit:?}");
        assert!((fit.contention - 0.05).abs() < 1e-6, "{fit:?}");
        assert!((fit.coherency - 0.0002).abs() < 1e-8, "{fit:?}");
        assert!((fit.peak_in_flight.unwrap() - (0.95_f64 / 0.0002).sqrt()).abs() < 0.01);
        assert!((fit.peak_requests_per_second.unwrap() - law.throughput(68.92)).abs() < 0.1);
    }

    #[test]
    fn a_system_without_contention_has_no_peak() {
        let fit = levels(Law { per_one: 20.0, contention: 0.0, coherency: 0.0 }, &AT, 5).fit().unwrap();
        assert!(fit.contention < 1e-6 && fit.coherency < 1e-6, "{fit:?}");
        assert_eq!(fit.peak_in_flight, None);
    }

    #[test]
    fn a_negative_coefficient_becomes_none_at_all() {
        // Better than linear, as where larger batches are cheaper.
        let law = Law { per_one: 20.0, contention: -0.002, coherency: 0.0 };
        let fit = levels(law, &AT, 5).fit().unwrap();
        assert_eq!((fit.contention, fit.coherency), (0.0, 0.0));
    }

    #[test]
    fn it_takes_six_levels_that_last_and_are_spread() {
        let law = Law { per_one: 20.0, contention: 0.05, coherency: 0.0002 };
        assert_eq!(levels(law, &AT[..5], 60).fit(), None, "five levels");
        assert_eq!(levels(law, &AT, 4).fit(), None, "four seconds each");
        assert_eq!(levels(law, &[10.0, 12.0, 14.4, 17.3, 20.8, 25.0], 60).fit(), None, "2.5 times from end to end");
        assert!(levels(law, &[10.0, 12.6, 15.9, 20.0, 25.2, 40.0, 60.0], 60).fit().is_some());
    }

    #[test]
    fn where_only_latency_changed_there_is_nothing_to_fit() {
        let mut levels = Levels::default();
        for n in AT {
            for second in 0..10 {
                levels.add(second * 1000, n, 100.0);
            }
        }
        assert_eq!(levels.fit(), None);
    }

    #[test]
    fn levels_that_no_such_law_gives_are_not_fitted() {
        let mut levels = Levels::default();
        for (n, throughput) in AT.into_iter().zip([20.0, 90.0, 30.0, 160.0, 60.0, 500.0, 100.0]) {
            for second in 0..10 {
                levels.add(second * 1000, n, throughput);
            }
        }
        assert_eq!(levels.fit(), None);
    }

    #[test]
    fn what_was_not_seen_for_an_hour_is_forgotten() {
        let law = Law { per_one: 20.0, contention: 0.05, coherency: 0.0002 };
        let mut levels = levels(law, &AT, 5);
        levels.observe(3_700_000, &TierView::named(crate::tier::TierKind::App, "x"));
        assert_eq!(levels.fit(), None);
    }
}
