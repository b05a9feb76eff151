//! Holding one play against the truth.

use std::collections::BTreeMap;

use serde::Serialize;

use super::course::{Course, Moment, Named};
use super::guesses::{Guesses, guesses};
use super::truth::Truth;

/// How long a verdict must stay to count, as people need so long to read it.
const STAYS_MS: u64 = 10_000;
/// Half the time between two snapshots, which fall as spans arrive.
const JITTER_MS: u64 = 500;
/// From this confidence on a verdict is acted upon.
pub const CONFIDENT: f64 = 0.7;

/// How a fault was diagnosed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultScore {
    /// What was wrong.
    pub truth: Truth,
    /// The first verdict that stayed.
    pub verdict: Option<Stayed>,
    /// What is right of it.
    pub right: Right,
    /// Seconds from the onset to the first incident that opened during the fault.
    pub detected_after_s: Option<f64>,
    /// Seconds from the onset to the beginning of the first verdict that stayed and named the tier at fault.
    pub right_after_s: Option<f64>,
    /// From the end of the fault to the end of the last incident that was open then.
    pub recovery: Recovery,
    /// How many incidents there were.
    pub incidents: IncidentCounts,
    /// What simple ways say.
    pub guesses: Guesses,
}

/// What is right of a verdict; nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a row of the table")]
pub struct Right {
    /// It names the tier at fault.
    pub tier: bool,
    /// The tier at fault is the one that it names, or among the first two alternatives.
    pub top_three: bool,
    /// It names tier and class.
    pub class: bool,
    /// Its phase is one of the fault's.
    pub phase: bool,
    /// It names another tier and is confident.
    pub wrong_and_confident: bool,
    /// There is none that was not doubted, and one that was names the tier at fault.
    pub doubted: bool,
}

/// Incidents of a play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct IncidentCounts {
    /// Opened during the fault.
    pub during: usize,
    /// How often the verdicts of these changed.
    pub changes: u64,
    /// Opened in the healthy part before the fault.
    pub before: usize,
    /// Seconds of that part.
    pub before_s: f64,
    /// Opened after the fault.
    pub after: usize,
}

/// A verdict that stayed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stayed {
    /// Seconds from the onset to its beginning.
    pub after_s: f64,
    /// The tier.
    pub tier: String,
    /// The class.
    pub class: Option<String>,
    /// The phase.
    pub phase: Option<u8>,
    /// How sure it was.
    pub confidence: f64,
}

/// How an incident ended after the fault had.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// None was open when the fault ended.
    NoneOpen,
    /// After so many seconds.
    After(f64),
    /// It was still open at the end of the play.
    Never,
}

/// What was wrongly found where nothing was wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HealthScore {
    /// How long nothing was wrong.
    pub hours: f64,
    /// What each incident said.
    pub incidents: Vec<String>,
}

/// Scores a play without a fault, from a time on.
pub fn healthy(course: &Course, from_ms: u64) -> HealthScore {
    let to_ms = course.moments.last().map_or(from_ms, |last| last.at_ms.max(from_ms));
    HealthScore {
        hours: (to_ms - from_ms) as f64 / 3_600_000.0,
        incidents: course.opened(from_ms, u64::MAX).map(|incident| incident.says().to_owned()).collect(),
    }
}

/// Scores a play with a fault.
///
/// 1. A verdict counts when an incident has named the same tier for 10 s, beginning while the fault
///    lasts. What it says of class, phase and confidence is read at the end of that time.
/// 2. The first that counts is the one that is scored.
/// 3. An incident from before the fault is no detection of it, but what it says later may be right.
pub fn fault(course: &Course, truth: &Truth) -> FaultScore {
    let since_onset_s = |at_ms: u64| at_ms.saturating_sub(truth.began_ms) as f64 / 1000.0;
    let is_right = |named: &Named| truth.accepts(named.tier);
    let sure = standing(&course.moments, truth, |named| !named.doubted);
    let right = if let Some((_, first)) = sure.first() {
        right(first, truth)
    } else {
        let doubted = standing(&course.moments, truth, |_| true);
        Right { doubted: doubted.first().is_some_and(|(_, named)| is_right(named)), ..Right::default() }
    };
    let detected = course.opened(truth.began_ms, truth.ended_ms).map(|incident| incident.opened_ms).min();
    FaultScore {
        verdict: sure.first().map(|(began_ms, named)| Stayed {
            after_s: since_onset_s(*began_ms),
            tier: named.tier_id.clone(),
            class: named.class.clone(),
            phase: named.phase,
            confidence: named.confidence,
        }),
        right,
        detected_after_s: detected.map(since_onset_s),
        right_after_s: sure.iter().find(|(_, named)| is_right(named)).map(|(began_ms, _)| since_onset_s(*began_ms)),
        recovery: recovery(course, truth),
        incidents: counts(course, truth),
        guesses: guesses(course, truth),
        truth: truth.clone(),
    }
}

fn right(named: &Named, truth: &Truth) -> Right {
    let tier = truth.accepts(named.tier);
    Right {
        tier,
        top_three: tier || named.others.iter().take(2).any(|kind| truth.accepts(*kind)),
        class: tier && named.class.as_ref() == Some(&truth.class),
        phase: match named.phase {
            None => truth.phases.is_empty(),
            Some(phase) => truth.phases.contains(&phase),
        },
        wrong_and_confident: !tier && named.confidence >= CONFIDENT,
        doubted: false,
    }
}

fn counts(course: &Course, truth: &Truth) -> IncidentCounts {
    let during = || course.opened(truth.began_ms, truth.ended_ms);
    let began_with = course.moments.first().map_or(truth.began_ms, |first| first.at_ms);
    IncidentCounts {
        during: during().count(),
        changes: during().map(|incident| incident.changes).sum(),
        before: course.opened(0, truth.began_ms).count(),
        before_s: truth.began_ms.saturating_sub(began_with) as f64 / 1000.0,
        after: course.opened(truth.ended_ms, u64::MAX).count(),
    }
}

/// The verdicts that stayed, in the order in which they had: when each began, and what it said at the end.
fn standing(moments: &[Moment], truth: &Truth, counts: impl Fn(&Named) -> bool) -> Vec<(u64, Named)> {
    let mut stayed = Vec::new();
    let mut standing: BTreeMap<u64, (String, u64)> = BTreeMap::new();
    let soon = |at_ms: &u64| (truth.began_ms..truth.ended_ms + STAYS_MS).contains(at_ms);
    for moment in moments.iter().filter(|moment| soon(&moment.at_ms)) {
        let named: Vec<&Named> = moment.named.iter().filter(|named| counts(named)).collect();
        standing.retain(|incident, (tier, _)| {
            named.iter().any(|named| named.incident == *incident && named.tier_id == *tier)
        });
        for named in named {
            let (_, began_ms) = standing.entry(named.incident).or_insert_with(|| (named.tier_id.clone(), moment.at_ms));
            // Once it is in, it has stayed; the number of no time does not come again.
            if *began_ms < truth.ended_ms && moment.at_ms + JITTER_MS >= began_ms.saturating_add(STAYS_MS) {
                stayed.push((*began_ms, named.clone()));
                *began_ms = u64::MAX;
            }
        }
    }
    stayed
}

fn recovery(course: &Course, truth: &Truth) -> Recovery {
    let open = course.opened(truth.began_ms, truth.ended_ms);
    let open = open.filter(|incident| incident.closed_ms.is_none_or(|closed_ms| closed_ms > truth.ended_ms));
    let ends: Vec<Option<u64>> = open.map(|incident| incident.closed_ms).collect();
    if ends.contains(&None) {
        return Recovery::Never;
    }
    let last = ends.into_iter().flatten().max();
    last.map_or(Recovery::NoneOpen, |last_ms| Recovery::After((last_ms - truth.ended_ms) as f64 / 1000.0))
}
