//! Systems that send only metrics: who takes longer or fails, told from histograms of durations.
//!
//! Each report counts the calls of some seconds, their time and their failures, as the service that took
//! them says it, or as the one that made them does. They are read in windows as long as the slowest sender's
//! interval.
//!
//! 1. A tier's *own excess* in a window is `n (t - usual)` of what it served, by operation, less the same of
//!    the calls that it made, and less what more calls than usual cost it (`excess`). A peer that reports
//!    nothing itself has what its callers measured; one that does also has what they measured beyond that.
//! 2. It counts if it is over three robust deviations of its own past, and a large part of what the requests
//!    at the front usually take. Failures go the same way.
//! 3. The tier with the most is named once two windows that share no second agree, and stays named until
//!    less than half of that is left. The class comes from the table (`signs`).
//!
//! Formula and gate named the right node first in 94 to 98 of 100 labelled faults of the public `PetShop`
//! metrics; the largest excess without subtracting the callees' did so in 50.

mod excess;
mod signs;
mod windows;

use std::collections::{BTreeMap, VecDeque};

use super::burners::Burning;
use super::levels::Levels;
use crate::classify::Act;
use crate::engine::naming::{Party, TierName};
use crate::snapshot::Snapshot;
use crate::time::UnixNanos;
use crate::verdict::{Alternative, Verdict};
use excess::{Costs, Symptom};
use signs::Signs;
use windows::{Series, Window, Windows};

/// Seconds of reports that are kept.
const KEPT_S: f64 = 1_200.0;
/// Series over this are not kept: names come from outside.
const MOST_SERIES: usize = 4_096;
/// Least own excess, as a share of what the requests at the front usually take; half of it keeps a verdict.
const LEAST_EFFECT: f64 = 0.3;
/// Robust deviations from a tier's own past.
const FAR: f64 = 3.0;
/// Least share of requests that fail more than usual.
const LEAST_FAILURES: f64 = 0.03;
/// Requests at the front without which a window says nothing.
const LEAST_REQUESTS: f64 = 20.0;
/// How sure a verdict from metrics alone is at most.
const SURE: f64 = 0.8;
/// Alternatives that are named.
const ALTERNATIVES: usize = 5;

/// Calls of one kind in some seconds, as one process counted them.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Who took them.
    pub(crate) who: Party,
    /// Who made them and measured; `None` if `who` measured.
    pub(crate) asked_by: Option<Party>,
    pub(crate) operation: Box<str>,
    pub(crate) act: Option<Act>,
    /// Which process counted.
    pub(crate) process: u32,
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    pub(crate) failed: u64,
}

/// What calls are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    asked_by: Option<Party>,
    who: Party,
    operation: Box<str>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Metered {
    series: BTreeMap<Key, Series>,
    /// Until when each process has reported, in seconds.
    reported: BTreeMap<u32, f64>,
    has_news: bool,
    /// The end of the last window that was judged.
    judged_s: f64,
    /// Stretches in which something was wrong.
    troubled: VecDeque<(f64, f64)>,
    /// What was found in the last window, and the end of the first one in which it was.
    found: Option<(Found, f64)>,
    /// It was found for long enough.
    is_open: bool,
}

/// A tier at fault.
#[derive(Clone, Debug)]
struct Found {
    tier: TierName,
    symptom: Symptom,
    verdict: Verdict,
}

impl Metered {
    /// Takes in a report.
    pub(super) fn hear(&mut self, heard: &Heard) {
        let key = Key { asked_by: heard.asked_by.clone(), who: heard.who.clone(), operation: heard.operation.clone() };
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(&key) {
            return;
        }
        let to_s = seconds(heard.to);
        let reported = self.reported.entry(heard.process).or_default();
        *reported = reported.max(to_s);
        self.series.entry(key).or_default().push(heard);
        self.has_news = true;
    }

    /// Whether there is something to judge by.
    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    /// Whether enough was reported, and lately, to judge by.
    pub(super) fn is_told(&self) -> bool {
        self.judged_s > 0.0 && !self.series.is_empty()
    }

    /// Estimated bytes of what is kept.
    pub(super) fn heap_bytes(&self) -> usize {
        self.series.values().map(Series::heap_bytes).sum::<usize>() + self.series.len() * size_of::<(Key, Series)>()
    }

    /// Judges what was newly reported. `names` says what parties are called.
    pub(super) fn judge(
        &mut self,
        snapshot: &Snapshot,
        names: &BTreeMap<Party, TierName>,
        levels: &Levels,
        is_troubled: bool,
    ) {
        self.has_news = false;
        let Some(windows) = Windows::of(&self.series, &self.reported, &self.troubled) else { return };
        let now = windows.now;
        if now.to_s <= self.judged_s {
            return;
        }
        if is_troubled || self.is_open {
            self.troubled.push_back((self.judged_s.max(now.from_s), now.to_s));
        }
        self.judged_s = now.to_s;
        self.forget(now.to_s);
        let costs = Costs::of(&self.series, &windows, names);
        let found = self.look(&costs, snapshot, levels, now);
        self.settle(found, now);
    }

    fn forget(&mut self, now_s: f64) {
        for series in self.series.values_mut() {
            series.forget(now_s - KEPT_S);
        }
        self.series.retain(|_, series| !series.is_empty());
        self.reported.retain(|_, to_s| *to_s >= now_s - KEPT_S);
        self.troubled.retain(|(_, to_s)| *to_s >= now_s - KEPT_S);
    }

    /// The tier that is most at fault in the newest window.
    fn look(&self, costs: &Costs, snapshot: &Snapshot, levels: &Levels, now: Window) -> Option<Found> {
        let known = self.found.as_ref().filter(|_| self.is_open).map(|(found, _)| (&found.tier, found.symptom));
        let effect = |place: usize, symptom| {
            let is_known = known == Some((&costs.tiers[place], symptom));
            let least = if symptom == Symptom::Failing { LEAST_FAILURES } else { LEAST_EFFECT };
            let effect = costs.effect(place, symptom)?;
            let counts = costs.requests(place) >= LEAST_REQUESTS && costs.is_far(place, symptom, FAR);
            (effect >= if is_known { least / 2.0 } else { least } && (counts || is_known)).then_some(effect)
        };
        let worst = |symptom| {
            let all = (0..costs.tiers.len()).filter_map(|place| Some((place, effect(place, symptom)?)));
            all.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(place, _)| (place, symptom))
        };
        let (place, symptom) = worst(Symptom::Failing).or_else(|| worst(Symptom::Slower))?;
        let signs = Signs { costs, levels, now, place, symptom };
        let (tier, class) = signs.class();
        let explained = costs.explained(place, symptom);
        let others: Vec<Alternative> = costs
            .ranked(symptom)
            .into_iter()
            .filter(|other| *other != tier)
            .take(ALTERNATIVES)
            .map(|other| Alternative {
                tier: (&costs.tiers[other]).into(),
                explained_share: costs.explained(other, symptom),
            })
            .collect();
        let next = others.first().map_or(0.0, |other| other.explained_share);
        let agreement = explained / (explained + next).max(1e-9) * if class.is_some() { 1.0 } else { 0.8 };
        let mut evidence = costs.evidence(place, symptom);
        evidence.push(format!("from metrics alone, {:.0} s apart", now.to_s - now.from_s));
        let unnamed = if symptom == Symptom::Failing { "fails" } else { "takes longer" };
        let verdict = Verdict {
            tier: (&costs.tiers[tier]).into(),
            class: class.map(|class| class.name.to_owned()),
            title: class.map_or(unnamed, |class| class.title).to_owned(),
            phase: class.and_then(|class| class.phase),
            confidence: SURE * explained * agreement,
            explained_share: Some(explained),
            alternatives: others,
            onset: Some(snapshot.at_unix_ms.min((now.from_s * 1e3) as u64)),
            evidence,
            remedy_now: class.map(|class| class.now.to_owned()),
            remedy_for_good: class.map(|class| class.for_good.to_owned()),
        };
        Some(Found { tier: costs.tiers[place].clone(), symptom, verdict })
    }

    /// Opens, keeps or ends what is told.
    fn settle(&mut self, found: Option<Found>, now: Window) {
        let Some(mut found) = found else {
            self.found = None;
            self.is_open = false;
            return;
        };
        let before = self.found.take();
        let first_s = match &before {
            Some((known, first_s)) if known.tier == found.tier => {
                found.verdict.onset = known.verdict.onset.min(found.verdict.onset);
                // The class of the first finding stays: later ones see the baseline's seconds fade.
                if self.is_open && known.verdict.class.is_some() {
                    found.verdict.class.clone_from(&known.verdict.class);
                    found.verdict.tier = known.verdict.tier.clone();
                }
                *first_s
            }
            _ => {
                self.is_open = false;
                now.to_s
            }
        };
        if !self.is_open && now.from_s >= first_s - 0.5 {
            self.is_open = true;
            // What led to it is not usual either.
            self.troubled.push_back((first_s - (now.to_s - now.from_s), now.to_s));
        }
        self.found = Some((found, first_s));
    }

    /// What is to be told.
    pub(super) fn burning(&self) -> Option<Burning> {
        let (found, _) = self.found.as_ref().filter(|_| self.is_open)?;
        Some(Burning::of_metrics(found.verdict.clone()))
    }
}

fn seconds(at: UnixNanos) -> f64 {
    at.0 as f64 / 1e9
}

#[cfg(test)]
mod tests;
