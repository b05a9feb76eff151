//! How long things took: a mergeable distribution of latencies.
//!
//! The buckets are those of OTLP's base-2 exponential histogram at a fixed scale of 5: bucket `i`
//! holds seconds in `(2^(i/32), 2^((i+1)/32)]`. A quantile read at a bucket's geometric middle is
//! within [`QUANTILE_ERROR`] of an observed value. Values are clamped to 1 microsecond .. 1 hour,
//! so there are about a thousand buckets, of which only those in use are kept.
//!
//! Merging adds counts and is therefore exact, commutative and associative; so is taking away what
//! was added before.

/// Buckets in one doubling: scale 5 of the OTLP exponential histogram.
const BUCKETS_PER_DOUBLING: f64 = 32.0;
/// The bucket of 1 microsecond: `ceil(32 * log2(1e-6)) - 1`.
const LOWEST: i32 = -638;
/// The bucket of 1 hour: `ceil(32 * log2(3600)) - 1`.
const HIGHEST: i32 = 378;
/// Bits that a bucket's count takes in its packed form; the index takes the other ten.
const COUNT_BITS: u32 = 54;

/// Relative error bound of a quantile: half a bucket, `2^(1/64) - 1`, rounded up.
pub const QUANTILE_ERROR: f64 = 0.011;

/// A bucket's index, shifted so that the lowest is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of a duration in nanoseconds, clamped to the range.
    pub fn of_nanos(nanos: u64) -> Self {
        Self::of_seconds(nanos as f64 * 1e-9)
    }

    /// The bucket of a duration in seconds, clamped to the range.
    pub fn of_seconds(seconds: f64) -> Self {
        let index = (seconds.log2() * BUCKETS_PER_DOUBLING).ceil() - 1.0;
        // A NaN or an infinity falls to the lowest: `as` saturates and NaN becomes zero.
        let index = if index.is_finite() { index as i32 } else { LOWEST };
        Self::of_index(index)
    }

    /// The bucket with this OTLP index at scale 5, clamped to the range.
    pub fn of_index(index: i32) -> Self {
        Self((index.clamp(LOWEST, HIGHEST) - LOWEST) as u16)
    }

    /// Its OTLP index at scale 5.
    pub fn index(self) -> i32 {
        i32::from(self.0) + LOWEST
    }

    /// Exclusive lower bound in seconds.
    pub fn lower_seconds(self) -> f64 {
        (f64::from(self.index()) / BUCKETS_PER_DOUBLING).exp2()
    }

    /// Inclusive upper bound in seconds.
    pub fn upper_seconds(self) -> f64 {
        (f64::from(self.index() + 1) / BUCKETS_PER_DOUBLING).exp2()
    }

    fn middle_seconds(self) -> f64 {
        ((f64::from(self.index()) + 0.5) / BUCKETS_PER_DOUBLING).exp2()
    }
}

/// A distribution of latencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Index and count packed into one word each, ascending by index.
    buckets: Vec<u64>,
    count: u64,
    sum_nanos: u128,
    min_nanos: u64,
    max_nanos: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: Vec::new(), count: 0, sum_nanos: 0, min_nanos: u64::MAX, max_nanos: 0 }
    }
}

const fn pack(bucket: Bucket, count: u64) -> u64 {
    ((bucket.0 as u64) << COUNT_BITS) | count
}

const fn bucket_of(word: u64) -> Bucket {
    Bucket((word >> COUNT_BITS) as u16)
}

const fn count_of(word: u64) -> u64 {
    word & ((1 << COUNT_BITS) - 1)
}

impl Distribution {
    /// Adds `times` observations of one duration, whose bucket the caller knows.
    pub fn record(&mut self, bucket: Bucket, nanos: u64, times: u64) {
        self.add(bucket, times);
        self.sum_nanos += u128::from(nanos) * u128::from(times);
        self.min_nanos = self.min_nanos.min(nanos);
        self.max_nanos = self.max_nanos.max(nanos);
    }

    /// Takes back `times` observations that were recorded before. The extremes stay, as far as buckets are left
    /// that they may lie in.
    pub fn retract(&mut self, bucket: Bucket, nanos: u64, times: u64) {
        if let Ok(at) = self.find(bucket) {
            let times = times.min(count_of(self.buckets[at]));
            self.buckets[at] -= times;
            if count_of(self.buckets[at]) == 0 {
                self.buckets.remove(at);
            }
            self.count -= times;
            self.sum_nanos = self.sum_nanos.saturating_sub(u128::from(nanos) * u128::from(times));
        }
    }

    /// Adds observations of which only the bucket is known, with their sum and greatest value. The least is
    /// taken for the lower bound of the lowest bucket.
    pub fn record_bucketed(&mut self, buckets: &[(Bucket, u64)], sum_seconds: f64, max_seconds: f64) {
        for &(bucket, times) in buckets {
            self.add(bucket, times);
        }
        self.sum_nanos += (sum_seconds.max(0.0) * 1e9) as u128;
        let least = buckets.iter().filter(|(_, times)| *times > 0).map(|(bucket, _)| *bucket).min();
        if let Some(least) = least {
            self.min_nanos = self.min_nanos.min((least.lower_seconds().min(max_seconds.max(0.0)) * 1e9) as u64);
        }
        self.max_nanos = self.max_nanos.max((max_seconds.max(0.0) * 1e9) as u64);
    }

    /// Adds all of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            self.count = other.count;
        } else {
            for &word in &other.buckets {
                self.add(bucket_of(word), count_of(word));
            }
        }
        self.sum_nanos += other.sum_nanos;
        self.min_nanos = self.min_nanos.min(other.min_nanos);
        self.max_nanos = self.max_nanos.max(other.max_nanos);
    }

    fn find(&self, bucket: Bucket) -> Result<usize, usize> {
        self.buckets.binary_search_by_key(&bucket, |&word| bucket_of(word))
    }

    fn add(&mut self, bucket: Bucket, times: u64) {
        if times == 0 {
            return;
        }
        match self.find(bucket) {
            Ok(at) => self.buckets[at] += times,
            Err(at) => self.buckets.insert(at, pack(bucket, times)),
        }
        self.count += times;
    }

    /// Observations in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was observed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sum of all observations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_nanos as f64 * 1e-9
    }

    /// The mean in milliseconds, or `None` when nothing was observed.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_nanos as f64 * 1e-6 / self.count as f64)
    }

    /// The greatest observation in milliseconds, or `None` when nothing was observed.
    pub fn max_ms(&self) -> Option<f64> {
        let highest = bucket_of(*self.buckets.last()?);
        let bound_ms = if highest.index() == HIGHEST { f64::INFINITY } else { highest.upper_seconds() * 1e3 };
        Some((self.max_nanos as f64 * 1e-6).min(bound_ms))
    }

    /// The least observation in milliseconds, or `None` when nothing was observed.
    pub fn min_ms(&self) -> Option<f64> {
        let lowest = bucket_of(*self.buckets.first()?);
        let bound_ms = if lowest.index() == LOWEST { 0.0 } else { lowest.lower_seconds() * 1e3 };
        Some((self.min_nanos as f64 * 1e-6).max(bound_ms))
    }

    /// The `quantile` (0 to 1) in milliseconds, within [`QUANTILE_ERROR`], or `None` when nothing
    /// was observed. Nearest rank: the least value with at least that share at or below it.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for &word in &self.buckets {
            seen += count_of(word);
            if seen >= rank {
                let middle_ms = bucket_of(word).middle_seconds() * 1e3;
                return Some(middle_ms.min((self.max_nanos as f64 * 1e-6).max(bucket_of(word).lower_seconds() * 1e3)));
            }
        }
        None
    }

    /// The buckets in use, ascending.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = (Bucket, u64)> {
        self.buckets.iter().map(|&word| (bucket_of(word), count_of(word)))
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u64>()
    }

    /// Gives back spare room, for distributions that will not grow any more.
    pub fn shrink(&mut self) {
        self.buckets.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values_nanos: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        for &nanos in values_nanos {
            distribution.record(Bucket::of_nanos(nanos), nanos, 1);
        }
        distribution
    }

    #[test]
    fn the_range_is_one_microsecond_to_one_hour_and_all_else_is_clamped() {
        assert_eq!(Bucket::of_seconds(1e-6).index(), LOWEST);
        assert_eq!(Bucket::of_seconds(3600.0).index(), HIGHEST);
        for odd in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Bucket::of_seconds(odd).index(), LOWEST);
        }
        assert_eq!(Bucket::of_seconds(1e9).index(), HIGHEST);
        assert_eq!(Bucket::of_nanos(u64::MAX).index(), HIGHEST);
    }

    #[test]
    fn a_power_of_two_closes_its_bucket_as_otlp_says() {
        // Upper bounds are inclusive: 1 s is the last value of bucket -1.
        assert_eq!(Bucket::of_seconds(1.0).index(), -1);
        assert_eq!(Bucket::of_seconds(1.000_001).index(), 0);
        assert_eq!(Bucket::of_seconds(2.0).index(), 31);
    }

    #[test]
    fn nothing_observed_has_no_quantiles() {
        let empty = Distribution::default();
        assert_eq!((empty.quantile_ms(0.5), empty.mean_ms(), empty.max_ms()), (None, None, None));
    }

    #[test]
    fn the_quantile_never_exceeds_the_maximum() {
        let one = of(&[10_000_000]);
        assert!(one.quantile_ms(0.99).unwrap() <= 10.0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_bound(
            mut values in prop::collection::vec(1_000_u64..3_600_000_000_000, 1..300),
            quantile in 0.0_f64..=1.0,
        ) {
            let distribution = of(&values);
            values.sort_unstable();
            let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let truth = values[rank - 1] as f64 * 1e-6;
            let read = distribution.quantile_ms(quantile).unwrap();
            prop_assert!((read - truth).abs() <= truth * QUANTILE_ERROR, "{read} against {truth}");
        }

        #[test]
        fn merging_is_the_same_as_observing_all_in_any_order(
            left in prop::collection::vec(1_u64..5_000_000_000, 0..80),
            right in prop::collection::vec(1_u64..5_000_000_000, 0..80),
        ) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let mut turned = of(&right);
            turned.merge(&of(&left));
            let all: Vec<u64> = left.iter().chain(&right).copied().collect();
            prop_assert_eq!(&merged, &turned);
            prop_assert_eq!(&merged, &of(&all));
        }

        #[test]
        fn what_was_added_can_be_taken_away(
            kept in prop::collection::vec(1_u64..5_000_000_000, 0..50),
            gone in prop::collection::vec(1_u64..5_000_000_000, 0..50),
        ) {
            let mut distribution = of(&kept);
            distribution.merge(&of(&gone));
            for &nanos in &gone {
                distribution.retract(Bucket::of_nanos(nanos), nanos, 1);
            }
            let expected = of(&kept);
            prop_assert_eq!(distribution.buckets().collect::<Vec<_>>(), expected.buckets().collect::<Vec<_>>());
            prop_assert_eq!(distribution.count(), expected.count());
        }
    }
}
