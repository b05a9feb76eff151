//! Histograms as senders make them, read into the one distribution that everything here uses.
//!
//! Exponential buckets of a scale of 5 or finer fall into ours exactly. Explicit and coarser buckets
//! are spread evenly (on the logarithm) over the buckets of ours that they cover, and the error that
//! this may make in a quantile is given with them. Where nearly all lies in one wide bucket, as when a
//! histogram in seconds has bounds meant for milliseconds, no quantile can be read at all.

use crate::distribution::{Bucket, Distribution, QUANTILE_ERROR};
use crate::observation::PointValue;

/// Scale of our own buckets.
const OUR_SCALE: i32 = 5;
/// Boundaries that differ by less than this, in buckets, are the same: floating point makes no finer.
const BOUNDARY_SLACK: f64 = 1e-6;
/// A bucket whose upper bound is more than this times its lower is wide.
const WIDE: f64 = 4.0;
/// Share of observations in one wide bucket above which no quantile can be read.
const NEARLY_ALL: f64 = 0.95;

/// A histogram's counts, in the sender's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Buckets {
    pub(super) count: u64,
    pub(super) sum: f64,
    layout: Layout,
    counts: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Layout {
    /// Upper bounds; the last bucket has none.
    Explicit(Vec<f64>),
    /// Base `2^(2^-scale)`, index of the first bucket; observations of zero are in `zero`.
    Exponential { scale: i32, offset: i32, zero: u64 },
    /// Only count and sum.
    None,
}

impl Buckets {
    /// The histogram in a point, or `None` if there is none.
    pub(super) fn of(value: &PointValue) -> Option<Self> {
        Some(match value {
            PointValue::Histogram { count, sum, bounds, counts, .. } => Self {
                count: *count,
                sum: sum.unwrap_or_default(),
                layout: if bounds.len() + 1 == counts.len() { Layout::Explicit(bounds.clone()) } else { Layout::None },
                counts: counts.clone(),
            },
            PointValue::Exponential { count, sum, scale, zero_count, offset, counts, .. } => Self {
                count: *count,
                sum: sum.unwrap_or_default(),
                layout: Layout::Exponential { scale: *scale, offset: *offset, zero: *zero_count },
                counts: counts.clone(),
            },
            PointValue::Summary { count, sum, .. } => {
                Self { count: *count, sum: *sum, layout: Layout::None, counts: Vec::new() }
            }
            PointValue::Missing | PointValue::Number(_) => return None,
        })
    }

    /// What the greatest observation was at least: the lower bound of the last bucket that holds any.
    pub(super) fn longest(&self) -> Option<f64> {
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        match &self.layout {
            Layout::Explicit(bounds) => Some(last.checked_sub(1).map_or(0.0, |before| bounds[before])),
            Layout::Exponential { scale, offset, .. } => {
                Some(f64::exp2(f64::from(offset + last as i32) / f64::exp2(f64::from(*scale))))
            }
            Layout::None => None,
        }
    }

    /// What this counted beyond an earlier point of the same series.
    pub(super) fn less(self, last: &Self) -> Self {
        let (count, sum) = (self.count - last.count.min(self.count), self.sum - last.sum);
        match (&self.layout, &last.layout) {
            (Layout::Explicit(bounds), Layout::Explicit(last_bounds)) if bounds == last_bounds => {
                let counts =
                    self.counts.iter().zip(&last.counts).map(|(now, last)| now.saturating_sub(*last)).collect();
                Self { count, sum, counts, ..self }
            }
            (
                Layout::Exponential { scale, offset, zero },
                Layout::Exponential { scale: last_scale, offset: last_offset, zero: last_zero },
            ) => {
                // Scales only ever get coarser while a histogram lives: bring both to the coarser one.
                let coarser = (*scale).min(*last_scale);
                let (now_offset, mut counts) = rescale(*offset, &self.counts, scale - coarser);
                let (last_offset, last_counts) = rescale(*last_offset, &last.counts, last_scale - coarser);
                for (place, gone) in last_counts.iter().enumerate() {
                    let index = last_offset + place as i32 - now_offset;
                    if let Some(left) = usize::try_from(index).ok().and_then(|index| counts.get_mut(index)) {
                        *left = left.saturating_sub(*gone);
                    }
                }
                let zero = zero.saturating_sub(*last_zero);
                Self { count, sum, layout: Layout::Exponential { scale: coarser, offset: now_offset, zero }, counts }
            }
            _ => Self { count, sum, layout: Layout::None, counts: Vec::new() },
        }
    }

    /// Adds these observations, whose unit is `factor` seconds, to a distribution. Returns the relative
    /// error that quantiles read from it may have, or `None` if none can be read.
    pub(super) fn read_into(&self, distribution: &mut Distribution, factor: f64) -> Option<f64> {
        let ranges = self.ranges(factor);
        let mut fine: Vec<(Bucket, u64)> = Vec::new();
        let mut greatest = 0.0_f64;
        for &(lower, upper, count) in &ranges {
            spread(lower, upper, count, &mut fine);
            greatest = greatest.max(upper);
        }
        let counted: u64 = ranges.iter().map(|(.., count)| count).sum();
        if counted < self.count {
            // Count and sum are all there is: put the rest at the mean, from which no quantile is read.
            let mean = self.sum * factor / self.count as f64;
            fine.push((Bucket::of_seconds(mean), self.count - counted));
            greatest = greatest.max(mean);
        }
        distribution.record_bucketed(&fine, self.sum * factor, greatest);
        (counted == self.count).then(|| quantile_error(&ranges)).flatten()
    }

    /// Lower bound, upper bound and count of each bucket in use, in seconds.
    fn ranges(&self, factor: f64) -> Vec<(f64, f64, u64)> {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        match &self.layout {
            Layout::None => Vec::new(),
            Layout::Explicit(bounds) => used
                .map(|(place, &count)| {
                    let lower = if place == 0 { 0.0 } else { bounds[place - 1] };
                    // The last bucket is open: assume that it reaches twice as far.
                    let upper = bounds.get(place).copied().unwrap_or(lower * 2.0);
                    (lower * factor, upper * factor, count)
                })
                .collect(),
            Layout::Exponential { scale, offset, zero } => {
                let bound = |index: i32| (f64::from(index) * (-f64::from(*scale)).exp2()).exp2() * factor;
                let positive = used.map(|(place, &count)| {
                    let index = offset.saturating_add(place as i32);
                    (bound(index), bound(index.saturating_add(1)), count)
                });
                let at_zero = (*zero > 0).then_some((0.0, 0.0, *zero));
                at_zero.into_iter().chain(positive).collect()
            }
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let bounds = if let Layout::Explicit(bounds) = &self.layout { bounds.capacity() } else { 0 };
        (self.counts.capacity() + bounds) * size_of::<u64>()
    }
}

/// Merges neighbours `2^by` at a time, as OTLP's downscaling does.
fn rescale(offset: i32, counts: &[u64], by: i32) -> (i32, Vec<u64>) {
    let by = by.clamp(0, 31);
    let first = offset >> by;
    let mut merged = Vec::new();
    for (place, count) in counts.iter().enumerate() {
        let index = ((offset.saturating_add(place as i32) >> by) - first) as usize;
        if merged.len() <= index {
            merged.resize(index + 1, 0);
        }
        merged[index] += count;
    }
    (first, merged)
}

/// Spreads a bucket's count evenly over the buckets of ours that it covers, in part or in full.
fn spread(lower: f64, upper: f64, count: u64, fine: &mut Vec<(Bucket, u64)>) {
    let boundary = |seconds: f64| seconds.max(1e-9).log2() * f64::from(1 << OUR_SCALE);
    let last = (boundary(upper) - BOUNDARY_SLACK).ceil() as i32 - 1;
    // A bucket from zero says nothing of how small its observations are: it is put at its upper end.
    let first = if lower > 0.0 { (boundary(lower) + BOUNDARY_SLACK).floor() as i32 } else { last };
    let width = (last - first).max(0) + 1;
    let mut given = 0;
    for step in 1..=width {
        let so_far = (u128::from(count) * step as u128 / width as u128) as u64;
        if so_far > given {
            fine.push((Bucket::of_index(first + step - 1), so_far - given));
            given = so_far;
        }
    }
}

fn quantile_error(ranges: &[(f64, f64, u64)]) -> Option<f64> {
    let total: u64 = ranges.iter().map(|(.., count)| count).sum();
    let is_wide = |lower: f64, upper: f64| upper > lower.max(1e-9) * WIDE;
    let blind =
        ranges.iter().any(|&(lower, upper, count)| is_wide(lower, upper) && count as f64 > NEARLY_ALL * total as f64);
    if blind {
        return None;
    }
    let mut seen = 0;
    for &(lower, upper, count) in ranges {
        seen += count;
        if seen as f64 >= 0.95 * total as f64 {
            let half = if lower > 0.0 { (upper / lower).sqrt() - 1.0 } else { 1.0 };
            return Some(half.max(QUANTILE_ERROR));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit(bounds: &[f64], counts: &[u64], sum: f64) -> Buckets {
        let count = counts.iter().sum();
        Buckets::of(&PointValue::Histogram {
            count,
            sum: Some(sum),
            min: None,
            max: None,
            bounds: bounds.to_vec(),
            counts: counts.to_vec(),
        })
        .unwrap()
    }

    fn exponential(scale: i32, offset: i32, counts: &[u64]) -> Buckets {
        Buckets::of(&PointValue::Exponential {
            count: counts.iter().sum(),
            sum: Some(1.0),
            min: None,
            max: None,
            scale,
            zero_count: 0,
            offset,
            counts: counts.to_vec(),
        })
        .unwrap()
    }

    #[test]
    fn explicit_buckets_keep_their_counts_and_say_how_coarse_they_are() {
        let mut distribution = Distribution::default();
        let buckets = explicit(&[0.005, 0.01, 0.025, 0.05, 0.1], &[0, 40, 30, 20, 10, 0], 2.5);
        let error = buckets.read_into(&mut distribution, 1.0).unwrap();
        assert_eq!(distribution.count(), 100);
        let p95 = distribution.quantile_ms(0.95).unwrap();
        assert!((50.0..=100.0).contains(&p95), "{p95}");
        assert!((0.40..0.42).contains(&error), "{error}");
    }

    #[test]
    fn milliseconds_are_read_as_what_they_are() {
        let mut distribution = Distribution::default();
        explicit(&[5.0, 10.0], &[0, 10, 0], 80.0).read_into(&mut distribution, 1e-3);
        assert!((5.0..=10.1).contains(&distribution.quantile_ms(0.5).unwrap()));
        assert_eq!(distribution.mean_ms(), Some(8.0));
    }

    #[test]
    fn seconds_in_bounds_meant_for_milliseconds_give_no_quantile() {
        // Python's db.client.operation.duration: every query under 5 s falls into one bucket.
        let mut distribution = Distribution::default();
        let error = explicit(&[0.0, 5.0, 10.0], &[0, 100, 0, 0], 0.4).read_into(&mut distribution, 1.0);
        assert_eq!(error, None);
        assert_eq!(distribution.mean_ms().map(f64::round), Some(4.0));
    }

    #[test]
    fn exponential_buckets_of_a_finer_scale_are_as_good_as_our_own() {
        // Scale 6: 64 buckets a doubling; index 0 is just above 1 s.
        let mut distribution = Distribution::default();
        let error = exponential(6, 0, &[10, 10, 10, 10]).read_into(&mut distribution, 1.0).unwrap();
        assert!(error <= 0.011 + 1e-9);
        assert_eq!(distribution.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [20, 20]);
    }

    #[test]
    fn a_histogram_that_was_rescaled_in_between_still_gives_the_difference() {
        let before = exponential(6, 0, &[4, 4, 4, 4]);
        let now = exponential(5, 0, &[10, 9]);
        let growth = now.less(&before);
        assert_eq!((growth.count, growth.counts), (3, vec![2, 1]));
    }
}
