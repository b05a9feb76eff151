//! The schedule: which request leaves when. It knows nothing of answers, which makes the loop open.
//!
//! Arrivals are a Poisson process: many independent users. Keys follow a Zipf law: the k-th most
//! popular content is read k^-s times as often as the first.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, Zipf};

/// What is asked, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Reads per write.
    pub reads_per_write: f64,
    /// Exponent of the Zipf law.
    pub zipf_exponent: f64,
    /// Share of reads that are for a content written a moment ago, 0 to 1.
    pub recent_reads: f64,
    /// Number of users who write.
    pub users: i64,
}

impl Default for Mix {
    /// The reference system: 100 reads to a write.
    fn default() -> Self {
        Self { reads_per_write: 100.0, zipf_exponent: 1.1, recent_reads: 0.02, users: 97 }
    }
}

impl Mix {
    /// Returns the share of reads that each of `items` contents gets, the most popular first.
    pub(crate) fn shares(&self, items: usize) -> Vec<f64> {
        let weights = (1..=items).map(|rank| (rank as f64).powf(-self.zipf_exponent));
        let total: f64 = weights.clone().sum();
        weights.map(|weight| weight / total).collect()
    }
}

/// A request of the schedule. Ranks begin at 0, the most popular or the newest content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads a content by its popularity.
    Read {
        /// Its place among all contents.
        rank: usize,
    },
    /// Reads a content written a moment ago.
    ReadRecent {
        /// Its place among the contents written last, modulo their number.
        rank: usize,
    },
    /// Writes a content.
    Write {
        /// Who writes.
        user_id: i64,
    },
}

/// A request and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// When it leaves, from the start of the load on.
    pub at: Duration,
    /// What it asks.
    pub action: Action,
}

/// An endless schedule.
#[derive(Debug)]
pub struct Schedule {
    rate: f64,
    mix: Mix,
    keys: Option<Zipf<f64>>,
    random: StdRng,
    at: f64,
}

impl Schedule {
    /// Plans `rate` requests a second over `items` contents. A rate that is not positive plans
    /// none, and without contents there are only writes.
    pub fn new(rate: f64, mix: Mix, items: usize, seed: u64) -> Self {
        let keys = Zipf::new(items as f64, mix.zipf_exponent).ok().filter(|_| items > 0);
        Self { rate, mix, keys, random: StdRng::seed_from_u64(seed), at: 0.0 }
    }

    fn action(&mut self) -> Action {
        let writes = 1.0 / (1.0 + self.mix.reads_per_write.max(0.0));
        let draw: f64 = self.random.random();
        match &self.keys {
            Some(keys) if draw >= writes => {
                let rank = keys.sample(&mut self.random) as usize - 1;
                if self.random.random::<f64>() < self.mix.recent_reads {
                    Action::ReadRecent { rank }
                } else {
                    Action::Read { rank }
                }
            }
            _ => Action::Write { user_id: self.random.random_range(1..=self.mix.users.max(1)) },
        }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let gap: f64 = Exp1.sample(&mut self.random);
        self.at += gap / self.rate;
        if self.rate <= 0.0 {
            return None;
        }
        let at = Duration::try_from_secs_f64(self.at).ok()?;
        Some(Planned { at, action: self.action() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Vec<Planned> {
        Schedule::new(100.0, Mix::default(), 1_000, seed).take(50_000).collect()
    }

    #[test]
    fn the_same_seed_plans_the_same_load() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn arrivals_come_in_order_and_at_the_rate() {
        let plan = plan(1);
        assert!(plan.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let rate = plan.len() as f64 / plan.last().unwrap().at.as_secs_f64();
        assert!((rate - 100.0).abs() < 2.0, "rate is {rate}");
    }

    #[test]
    fn there_are_a_hundred_reads_to_a_write_and_few_contents_take_most_reads() {
        let plan = plan(1);
        let writes = plan.iter().filter(|p| matches!(p.action, Action::Write { .. })).count();
        assert!((400..600).contains(&writes), "{writes} writes in 50,000");
        let reads = |below: usize| {
            let read = |p: &&Planned| matches!(p.action, Action::Read { rank } if rank < below);
            plan.iter().filter(read).count()
        };
        assert!(reads(100) * 10 > reads(1_000) * 6, "{} of {}", reads(100), reads(1_000));
        assert_eq!(reads(1_000), reads(usize::MAX));
        let share: f64 = Mix::default().shares(1_000)[..100].iter().sum();
        let read = reads(100) as f64 / reads(1_000) as f64;
        assert!((read - share).abs() < 0.01, "{read} of the reads, planned {share}");
    }

    #[test]
    fn without_a_rate_there_is_no_load_and_without_contents_no_read() {
        assert_eq!(Schedule::new(0.0, Mix::default(), 10, 1).next(), None);
        let mut writes = Schedule::new(1.0, Mix::default(), 0, 1).take(1_000);
        assert!(writes.all(|p| matches!(p.action, Action::Write { .. })));
    }
}
