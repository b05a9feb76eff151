//! The schedule: which request leaves when. It knows nothing of answers, which makes the loop open.
//!
//! Arrivals are a Poisson process whose rate follows the plan's curve: many independent users. Keys follow
//! a Zipf law: the k-th most popular content is read k^-s times as often as the first.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, Zipf};

use crate::load::plan::{Dial, LoadPlan};

/// For how long a rate is taken to stay as it is, in seconds.
const SLICE: f64 = 0.1;

/// How many static assets there are.
pub(crate) const ASSETS: usize = 12;

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
    /// Lists the contents of a user.
    List {
        /// Whose.
        user_id: i64,
    },
    /// Reads a static asset.
    Asset {
        /// Its place among the assets.
        rank: usize,
    },
    /// Writes a content.
    Write {
        /// Who writes.
        user_id: i64,
    },
    /// Uploads a file, which is processed later.
    Upload {
        /// Who uploads.
        user_id: i64,
    },
}

impl Action {
    /// Whether it changes something.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write { .. } | Self::Upload { .. })
    }
}

/// A request and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// When it leaves, from the start of the load on.
    pub at: Duration,
    /// What it asks.
    pub action: Action,
    /// The user whose session it carries, if it carries one.
    pub session: Option<i64>,
}

/// An endless schedule.
#[derive(Debug)]
pub struct Schedule {
    plan: LoadPlan,
    keys: Option<Zipf<f64>>,
    random: StdRng,
    /// Seconds from the start to the request planned last.
    at: f64,
}

impl Schedule {
    /// Plans a load. A rate that is not positive plans nothing, and without contents there are no reads of
    /// single ones.
    pub fn new(plan: LoadPlan, seed: u64) -> Self {
        let items = f64::from(plan.items);
        let keys = Zipf::new(items, plan.zipf_exponent).ok().filter(|_| plan.items > 0);
        Self { plan, keys, random: StdRng::seed_from_u64(seed), at: 0.0 }
    }

    /// Plans the next request; `None` for a load without requests.
    pub fn next(&mut self, dial: Dial) -> Option<Planned> {
        if self.plan.rate <= 0.0 {
            return None;
        }
        // The time at which the rate has summed up to one more exponential draw.
        let mut left: f64 = Exp1.sample(&mut self.random);
        loop {
            let at = Duration::try_from_secs_f64(self.at).ok()?;
            let rate = self.plan.rate * self.plan.curve.factor(at) * dial.factor.max(0.0);
            if rate * SLICE > left {
                self.at += left / rate;
                break;
            }
            left -= rate * SLICE;
            self.at += SLICE;
        }
        let at = Duration::try_from_secs_f64(self.at).ok()?;
        let (action, session) = self.ask(dial);
        Some(Planned { at, action, session })
    }

    /// Draws what a request asks, and whose session it carries: also what each client of a closed loop asks.
    pub fn ask(&mut self, dial: Dial) -> (Action, Option<i64>) {
        let action = self.action(dial);
        let session = (self.random.random::<f64>() < self.plan.session_share).then(|| self.user());
        (action, session)
    }

    fn action(&mut self, dial: Dial) -> Action {
        if self.random.random::<f64>() < self.plan.static_share {
            let rank = (self.random.random::<f64>().powi(2) * ASSETS as f64) as usize;
            return Action::Asset { rank };
        }
        if self.random.random::<f64>() < dial.list_share {
            return Action::List { user_id: self.user() };
        }
        let writes = 1.0 / (1.0 + self.plan.reads_per_write.max(0.0));
        let Some(keys) = self.keys.filter(|_| self.random.random::<f64>() >= writes) else {
            let user_id = self.user();
            let uploads = self.random.random::<f64>() < self.plan.uploads;
            return if uploads { Action::Upload { user_id } } else { Action::Write { user_id } };
        };
        let draw: f64 = self.random.random();
        if draw < dial.hot_share {
            return Action::Read { rank: 0 };
        }
        let rank = keys.sample(&mut self.random) as usize - 1;
        let draw: f64 = self.random.random();
        if draw < self.plan.recent_reads {
            Action::ReadRecent { rank }
        } else if draw < self.plan.recent_reads + self.plan.list_reads {
            Action::List { user_id: self.user() }
        } else {
            Action::Read { rank }
        }
    }

    fn user(&mut self) -> i64 {
        self.random.random_range(1..=self.plan.users.max(1))
    }
}

/// Returns the share of reads that each of a plan's contents gets, the most popular first.
pub(crate) fn shares(plan: &LoadPlan) -> Vec<f64> {
    let weights = (1..=plan.items).map(|rank| f64::from(rank).powf(-plan.zipf_exponent));
    let total: f64 = weights.clone().sum();
    weights.map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::Curve;
    use crate::topology::Phase;

    fn usual() -> LoadPlan {
        LoadPlan { rate: 100.0, items: 1_000, ..LoadPlan::of(Phase::WRITES) }
    }

    fn take(plan: LoadPlan, seed: u64, dial: Dial, count: usize) -> Vec<Planned> {
        let mut schedule = Schedule::new(plan, seed);
        std::iter::from_fn(|| schedule.next(dial)).take(count).collect()
    }

    fn plan(seed: u64) -> Vec<Planned> {
        take(usual(), seed, Dial::default(), 50_000)
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
    fn arrivals_follow_the_curve_and_the_dial() {
        let curve = Curve::Spike { to: 5.0, at: Duration::from_secs(100), lasting: Duration::from_secs(100) };
        let plan = take(LoadPlan { curve, ..usual() }, 1, Dial { factor: 2.0, ..Dial::default() }, 100_000);
        let within = |from: u64, to: u64| {
            plan.iter().filter(|p| (from..to).contains(&p.at.as_secs())).count() as f64 / (to - from) as f64
        };
        assert!((within(0, 100) - 200.0).abs() < 10.0, "{}", within(0, 100));
        assert!((within(100, 150) - 1_000.0).abs() < 50.0, "{}", within(100, 150));
    }

    #[test]
    fn there_are_a_hundred_reads_to_a_write_and_few_contents_take_most_reads() {
        let plan = plan(1);
        let writes = plan.iter().filter(|p| p.action.writes()).count();
        assert!((350..550).contains(&writes), "{writes} writes in 50,000");
        let reads = |below: usize| {
            let read = |p: &&Planned| matches!(p.action, Action::Read { rank } if rank < below);
            plan.iter().filter(read).count()
        };
        let share: f64 = shares(&usual())[..100].iter().sum();
        let read = reads(100) as f64 / reads(1_000) as f64;
        assert!((read - share).abs() < 0.01, "{read} of the reads, planned {share}");
        let assets = plan.iter().filter(|p| matches!(p.action, Action::Asset { .. })).count();
        assert!((4_500..5_500).contains(&assets), "{assets} assets in 50,000");
    }

    #[test]
    fn ten_million_users_read_forty_thousand_contents_a_second() {
        let usual = LoadPlan::of(Phase::WRITES);
        let plan = take(LoadPlan { rate: usual.rate_of_users(10e6, 100.0), ..usual }, 1, Dial::default(), 100_000);
        let of_contents = |p: &&Planned| !p.action.writes() && !matches!(p.action, Action::Asset { .. });
        let reads = plan.iter().filter(of_contents).count() as f64 / plan.last().unwrap().at.as_secs_f64();
        assert!((reads / 400.0 - 1.0).abs() < 0.02, "{reads} reads of contents a second, of 400");
    }

    #[test]
    fn a_hot_key_takes_its_share() {
        let hot = take(usual(), 1, Dial { hot_share: 0.8, ..Dial::default() }, 10_000);
        let first = hot.iter().filter(|p| matches!(p.action, Action::Read { rank: 0 })).count();
        assert!((6_800..8_000).contains(&first), "{first} of 10,000");
    }

    #[test]
    fn without_a_rate_there_is_no_load_and_without_contents_no_read() {
        assert_eq!(Schedule::new(LoadPlan { rate: 0.0, ..usual() }, 1).next(Dial::default()), None);
        let writes = take(LoadPlan { items: 0, static_share: 0.0, ..usual() }, 1, Dial::default(), 1_000);
        assert!(writes.iter().all(|p| p.action.writes()));
    }
}
