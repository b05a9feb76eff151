//! Simple ways to name the tier at fault, to compare verdicts with. They are told when the fault began, look
//! at the figures of the same snapshot, 30 s later, and always name a tier.

use serde::Serialize;

use super::course::{Course, Figures, Moment};
use super::truth::Truth;

/// How long after the onset they look.
const LOOK_MS: u64 = 30_000;
/// Above this many deviations from what it was, a tier counts as anomalous.
const ANOMALOUS: f64 = 3.0;
/// The standard deviation of a normal distribution over its median distance from the median.
const NORMAL: f64 = 1.4826;
/// What a deviation is at least, as a share of the median: the error of a quantile.
const LEAST_DEVIATION: f64 = 0.02;

/// How likely each way names the tier at fault, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Guesses {
    /// Any tier.
    pub random: f64,
    /// The tier with the greatest 95th percentile of latency.
    pub largest_p95: f64,
    /// The tier whose 95th percentile is most deviations over that of the healthy part.
    pub largest_z: f64,
    /// Of the tiers that are over three deviations, the one most calls behind the front.
    pub deepest_anomalous: f64,
    /// The tier whose time, less that of its callees, has grown most.
    pub self_time: f64,
}

impl Guesses {
    /// What the ways are called.
    pub const NAMES: [&str; 5] =
        ["random tier", "largest p95", "largest z of p95", "deepest anomalous tier", "naive exclusive time"];

    /// Their figures, in the same order.
    pub fn all(&self) -> [f64; 5] {
        [self.random, self.largest_p95, self.largest_z, self.deepest_anomalous, self.self_time]
    }
}

/// Lets each way name a tier of a play.
pub fn guesses(course: &Course, truth: &Truth) -> Guesses {
    let looked = course.moments.iter().find(|moment| moment.at_ms >= truth.began_ms + LOOK_MS);
    let Some(now) = looked.filter(|moment| !moment.tiers.is_empty()) else { return Guesses::default() };
    let healthy: Vec<&Moment> = course.moments.iter().filter(|moment| moment.at_ms < truth.began_ms).collect();
    let right = |tier: Option<&Figures>| f64::from(u8::from(tier.is_some_and(|tier| truth.accepts(tier.kind))));
    let z = |tier: &Figures| z(tier, &healthy).unwrap_or(f64::NEG_INFINITY);
    let grown = |tier: &Figures| {
        let before: Vec<f64> = before(tier, &healthy).filter_map(|before| before.self_ms).collect();
        tier.self_ms.map_or(f64::NEG_INFINITY, |self_ms| self_ms - median(&before).unwrap_or_default())
    };
    let accepted = now.tiers.iter().filter(|tier| truth.accepts(tier.kind)).count();
    let largest_z = greatest(&now.tiers, z);
    let deepest = now.tiers.iter().filter(|tier| z(tier) > ANOMALOUS).max_by_key(|tier| tier.depth);
    Guesses {
        random: accepted as f64 / now.tiers.len() as f64,
        largest_p95: right(greatest(&now.tiers, |tier| tier.p95_ms.unwrap_or_default())),
        largest_z: right(largest_z),
        deepest_anomalous: right(deepest.or(largest_z)),
        self_time: right(greatest(&now.tiers, grown)),
    }
}

fn greatest(tiers: &[Figures], by: impl Fn(&Figures) -> f64) -> Option<&Figures> {
    tiers.iter().max_by(|one, other| by(one).total_cmp(&by(other)))
}

/// Deviations of a tier's 95th percentile over its median of the healthy part, whose first seconds are cold.
fn z(tier: &Figures, healthy: &[&Moment]) -> Option<f64> {
    let usual: Vec<f64> = before(tier, healthy).filter_map(|before| before.p95_ms).collect();
    let usual_ms = median(&usual)?;
    let distances: Vec<f64> = usual.iter().map(|p95_ms| (p95_ms - usual_ms).abs()).collect();
    let deviation = (NORMAL * median(&distances)?).max(LEAST_DEVIATION * usual_ms);
    Some((tier.p95_ms? - usual_ms) / deviation)
}

/// The same tier in the healthy part.
fn before<'m>(tier: &'m Figures, healthy: &'m [&Moment]) -> impl Iterator<Item = &'m Figures> {
    healthy.iter().flat_map(|moment| &moment.tiers).filter(|before| before.id == tier.id)
}

fn median(of: &[f64]) -> Option<f64> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}
