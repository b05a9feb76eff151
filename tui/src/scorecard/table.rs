//! Adding plays up: the figures of a group of them, and what was taken for what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::guesses::Guesses;
use super::score::{FaultScore, HealthScore, Recovery};

/// One play, and how it was scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Played {
    /// What is played, such as the fault's name.
    pub name: String,
    /// How bad it is.
    pub intensity: String,
    /// Seed of all chance in it.
    pub seed: u64,
    /// What arrives and what is kept of it, such as "20 req/s".
    pub load: String,
    /// Closed loops and sampled plays stand apart from what is added up over all loads.
    pub apart: bool,
    /// How it was scored.
    pub outcome: Outcome,
    /// Its incidents in words, by seconds from its begin.
    pub incidents: Vec<String>,
    /// Spans that the engine took.
    pub spans: u64,
    /// Processor seconds, the making of the telemetry included.
    pub cpu_s: f64,
}

/// How a play was scored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Something was wrong.
    Fault(Box<FaultScore>),
    /// Nothing was.
    Healthy(HealthScore),
}

impl Played {
    /// The score, if something was wrong.
    pub fn fault(&self) -> Option<&FaultScore> {
        match &self.outcome {
            Outcome::Fault(score) => Some(score),
            Outcome::Healthy(_) => None,
        }
    }

    /// The score, if nothing was wrong.
    pub fn healthy(&self) -> Option<&HealthScore> {
        match &self.outcome {
            Outcome::Healthy(score) => Some(score),
            Outcome::Fault(_) => None,
        }
    }
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many are.
    pub part: usize,
    /// How many could be.
    pub of: usize,
}

impl Share {
    fn over<'s>(scores: impl Iterator<Item = &'s FaultScore>, is: impl Fn(&FaultScore) -> bool) -> Self {
        scores
            .fold(Self::default(), |share, score| Self { part: share.part + usize::from(is(score)), of: share.of + 1 })
    }
}

/// The figures of a group of plays with faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// The first verdict that stayed names the tier at fault.
    pub tier: Share,
    /// It, or its first two alternatives, do.
    pub top_three: Share,
    /// It names the class, of those that name the tier.
    pub class: Share,
    /// Its phase is one of the fault's, of all faults.
    pub phase: Share,
    /// The same, of those with a verdict.
    pub phase_of_verdicts: Share,
    /// It names another tier and is confident.
    pub wrong_and_confident: Share,
    /// No verdict that was not doubted, and the doubted one names the tier at fault.
    pub right_but_doubted: Share,
    /// An incident opened during the fault.
    pub detected: Share,
    /// Seconds from onset to that, of those: the median and the 90th percentile.
    pub detected_after_s: Option<(f64, f64)>,
    /// Seconds from onset to the right verdict, of those that got one: the median.
    pub right_after_s: Option<f64>,
    /// Incidents that opened during each fault, on average.
    pub incidents: f64,
    /// Changes of verdict of an incident, on average.
    pub changes: f64,
    /// The most changes in one fault.
    pub most_changes: u64,
    /// Seconds from the end of a fault to the end of its last incident, where one was open: the median.
    pub recovered_after_s: Option<f64>,
    /// Incidents that were still open at the end, of those that were open when the fault ended.
    pub never_recovered: Share,
    /// Incidents in healthy parts before faults.
    pub before: usize,
    /// Hours of those parts.
    pub before_hours: f64,
    /// Incidents that opened after faults had ended.
    pub after: usize,
    /// How often simple ways are right, 0 to 1, in the order of [`Guesses::NAMES`].
    pub guesses: [f64; 5],
}

/// Adds up.
pub fn totals(scores: &[&FaultScore]) -> Totals {
    let all = || scores.iter().copied();
    let named = || all().filter(|score| score.verdict.is_some());
    let count = scores.len().max(1) as f64;
    let incidents: usize = all().map(|score| score.incidents.during).sum();
    let changes: u64 = all().map(|score| score.incidents.changes).sum();
    let detected = sorted(all().filter_map(|score| score.detected_after_s));
    let ended = || all().filter(|score| score.recovery != Recovery::NoneOpen);
    let recovered = all().filter_map(|score| match score.recovery {
        Recovery::After(seconds) => Some(seconds),
        Recovery::NoneOpen | Recovery::Never => None,
    });
    Totals {
        tier: Share::over(all(), |score| score.right.tier),
        top_three: Share::over(all(), |score| score.right.top_three),
        class: Share::over(all().filter(|score| score.right.tier), |score| score.right.class),
        phase: Share::over(all(), |score| score.right.phase),
        phase_of_verdicts: Share::over(named(), |score| score.right.phase),
        wrong_and_confident: Share::over(all(), |score| score.right.wrong_and_confident),
        right_but_doubted: Share::over(all(), |score| score.right.doubted),
        detected: Share::over(all(), |score| score.detected_after_s.is_some()),
        detected_after_s: quantile(&detected, 0.5).zip(quantile(&detected, 0.9)),
        right_after_s: quantile(&sorted(all().filter_map(|score| score.right_after_s)), 0.5),
        incidents: incidents as f64 / count,
        changes: changes as f64 / incidents.max(1) as f64,
        most_changes: all().map(|score| score.incidents.changes).max().unwrap_or_default(),
        recovered_after_s: quantile(&sorted(recovered), 0.5),
        never_recovered: Share::over(ended(), |score| score.recovery == Recovery::Never),
        before: all().map(|score| score.incidents.before).sum(),
        before_hours: all().map(|score| score.incidents.before_s).sum::<f64>() / 3600.0,
        after: all().map(|score| score.incidents.after).sum(),
        guesses: std::array::from_fn(|way| all().map(|score| score.guesses.all()[way]).sum::<f64>() / count),
    }
}

const _: () = assert!(Guesses::NAMES.len() == 5, "a figure for each way");

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value at a rank: of an even number of values the lower of the middle two is the median.
fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// What a fault was taken for where no verdict stayed.
pub const SILENT: &str = "silent";
/// What a fault was taken for where the verdict has no class.
pub const NO_CLASS: &str = "no class";

/// How often each class was taken for which, whatever tier was named.
pub fn confusion<'s>(scores: impl Iterator<Item = &'s FaultScore>) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut taken = BTreeMap::<String, BTreeMap<String, usize>>::new();
    for score in scores {
        let class = match &score.verdict {
            None => SILENT.to_owned(),
            Some(verdict) => verdict.class.clone().unwrap_or_else(|| NO_CLASS.to_owned()),
        };
        *taken.entry(score.truth.class.clone()).or_default().entry(class).or_default() += 1;
    }
    taken
}
