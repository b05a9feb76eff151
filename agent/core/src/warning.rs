//! Warnings: plain rules on what a snapshot says, each mapped to a phase with its remedy.
//!
//! The rules are data, in [`rules::RULES`]. Each is judged once a second against every tier or signal
//! it speaks of. It opens when it held in `raise.0` of the last `raise.1` seconds, and closes when its
//! easier "still bad" bound has not held for `CLEAR_AFTER_S`, so that nothing flaps. What is usual
//! for a tier is the median of the last five minutes, less the last half minute; while a warning is
//! open on it, what was usual before stays the measure.
//!
//! A tier that is slow because of another gets no warning of its own: it is named in the evidence of
//! the one that it waits for.

mod findings;
mod rules;
mod usual;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use rules::{RULES, Rule, Watch};

use crate::config::TimeRules;
use crate::snapshot::{Severity, Snapshot, TierState, WarningView};
use crate::thresholds::Thresholds;
use findings::Finding;
use usual::Usual;

/// An open warning closes when it has not been bad for so long.
const CLEAR_AFTER_S: u64 = 10;
/// A tier or signal without figures for so long says so in the evidence of its warning: that traffic
/// died is no recovery.
const NO_DATA_AFTER_MS: u64 = 3_000;
/// How that evidence begins.
const NO_DATA: &str = "no data to judge by for";
/// A tier or signal without figures for so long takes its warning with it.
const GONE_AFTER_MS: u64 = 120_000;
/// Ended warnings are shown for so long.
const ENDED_SHOWN_FOR_MS: u64 = 300_000;
/// Ended warnings that are kept.
const ENDED_KEPT: usize = 20;
/// A warning that was explained by a deeper one stays out of sight for so long after.
const HIDDEN_FOR_MS: u64 = 15_000;

/// How the line of evidence begins that names the tiers which are slow because of this one.
const VICTIMS: &str = "slow with it: ";

/// The state of all warnings.
#[derive(Debug)]
pub struct Warnings {
    thresholds: Arc<Thresholds>,
    states: BTreeMap<Subject, State>,
    usual: Usual,
    ended: VecDeque<WarningView>,
}

/// What a warning is about: the rule's place in the table, and the tier's and part's names.
type Subject = (usize, String);

#[derive(Debug, Default)]
struct State {
    /// The last judgements, newest in the lowest bit.
    bits: u64,
    judged: u32,
    open: Option<WarningView>,
    last_bad_ms: u64,
    /// When it was last explained by a warning on a tier that this one calls.
    explained_ms: Option<u64>,
    seen_ms: u64,
}

impl Default for Warnings {
    fn default() -> Self {
        Self::new(Arc::default(), TimeRules::default())
    }
}

impl Warnings {
    /// Warnings that open by these thresholds.
    pub fn new(thresholds: Arc<Thresholds>, time: TimeRules) -> Self {
        let usual = Usual::of_last(time.usual_s);
        Self { thresholds, states: BTreeMap::new(), usual, ended: VecDeque::new() }
    }

    /// Judges a snapshot: writes the open warnings and those that ended lately into it, and marks the tiers.
    pub fn judge(&mut self, snapshot: &mut Snapshot) {
        let now_ms = snapshot.at_unix_ms;
        for (index, rule) in RULES.iter().enumerate() {
            for (subject, finding) in findings::find(rule, snapshot, &self.usual, &self.thresholds) {
                self.step((index, subject), rule, finding, now_ms);
            }
        }
        self.close_what_vanished(now_ms);
        self.explain(snapshot, now_ms);
        let open: BTreeSet<&str> =
            self.states.values().filter_map(|state| state.open.as_ref()).map(|open| open.tier.as_str()).collect();
        self.usual.observe(snapshot, &open);
        self.write(snapshot, now_ms);
    }

    fn step(&mut self, subject: Subject, rule: &Rule, finding: Finding, now_ms: u64) {
        let state = self.states.entry(subject).or_default();
        state.seen_ms = now_ms;
        state.bits = (state.bits << 1) | u64::from(finding.bad);
        state.judged = (state.judged + 1).min(64);
        if finding.bad || (state.open.is_some() && finding.still_bad) {
            state.last_bad_ms = now_ms;
        }
        let (of, last) = rule.raise;
        let recent = state.bits & ((1 << last) - 1);
        match &mut state.open {
            None if finding.bad && recent.count_ones() >= of => {
                let first_bad = u64::from(recent.ilog2()) * 1000;
                state.open = Some(WarningView {
                    rule: rule.name.to_owned(),
                    tier: finding.tier,
                    title: rule.title.to_owned(),
                    severity: finding.severity,
                    phase: rule.phase,
                    evidence: finding.evidence,
                    remedy_now: rule.now.to_owned(),
                    remedy_for_good: rule.for_good.to_owned(),
                    since_unix_ms: now_ms.saturating_sub(first_bad),
                    ended_unix_ms: None,
                });
            }
            Some(open) => {
                // While open it only gets worse; it takes a new onset to be mild again.
                open.severity = open.severity.max(finding.severity);
                if finding.bad || finding.still_bad {
                    open.evidence = finding.evidence;
                }
            }
            None => {}
        }
        if now_ms.saturating_sub(state.last_bad_ms) >= CLEAR_AFTER_S * 1000 {
            self.ended.extend(end(state, now_ms));
        }
    }

    /// A tier or signal that is gone can no longer be judged: its warning ends.
    fn close_what_vanished(&mut self, now_ms: u64) {
        for state in self.states.values_mut() {
            let unseen_ms = now_ms.saturating_sub(state.seen_ms);
            if unseen_ms >= GONE_AFTER_MS {
                self.ended.extend(end(state, now_ms));
            } else if let (Some(open), true) = (&mut state.open, unseen_ms >= NO_DATA_AFTER_MS) {
                open.evidence.retain(|line| !line.starts_with(NO_DATA));
                open.evidence.insert(0, format!("{NO_DATA} {} s", unseen_ms / 1000));
            }
        }
        self.states.retain(|_, state| now_ms.saturating_sub(state.seen_ms) < GONE_AFTER_MS);
        while self.ended.len() > ENDED_KEPT
            || self
                .ended
                .front()
                .and_then(|ended| ended.ended_unix_ms)
                .is_some_and(|at| at + ENDED_SHOWN_FOR_MS < now_ms)
        {
            self.ended.pop_front();
        }
    }

    /// Hides a latency or error warning that another open warning accounts for, and names its tier in
    /// the evidence of that other one. A warning accounts for
    /// 1. the same one on tiers that call its tier, by whatever way;
    /// 2. if its rule slows others, any such one on its callers and on what else they call.
    fn explain(&mut self, snapshot: &Snapshot, now_ms: u64) {
        let open: Vec<(Subject, &Rule, String)> = self
            .states
            .iter()
            .filter_map(|(subject, state)| {
                Some((subject.clone(), &RULES[subject.0], state.open.as_ref()?.tier.clone()))
            })
            .collect();
        let below: BTreeMap<&str, BTreeSet<&str>> =
            snapshot.tiers.iter().map(|tier| (tier.id.as_str(), reachable(snapshot, &tier.id))).collect();
        let calls = |from: &str, to: &str| below.get(from).is_some_and(|below| below.contains(to));
        let shares_a_caller = |one: &str, other: &str| {
            below.keys().any(|caller| calls(caller, one) && (*caller == other || calls(caller, other)))
        };
        let accounts_for = |cause: &(Subject, &Rule, String), effect: &(Subject, &Rule, String)| {
            let deeper = cause.1.name == effect.1.name && calls(&effect.2, &cause.2) && !calls(&cause.2, &effect.2);
            let slows = cause.1.slows_others && shares_a_caller(&cause.2, &effect.2);
            cause.2 != effect.2 && effect.1.spreads && (deeper || slows)
        };
        let mut victims: BTreeMap<&Subject, Vec<&str>> = BTreeMap::new();
        let mut explained: Vec<&Subject> = Vec::new();
        for effect in &open {
            let causes = || open.iter().filter(|cause| accounts_for(cause, effect));
            // The first of the chain: a cause that nothing else accounts for.
            let root = causes().find(|cause| !open.iter().any(|other| accounts_for(other, cause)));
            if let Some(cause) = root.or_else(|| causes().next()) {
                victims.entry(&cause.0).or_default().push(&effect.2);
                explained.push(&effect.0);
            }
        }
        for subject in explained {
            if let Some(state) = self.states.get_mut(subject) {
                state.explained_ms = Some(now_ms);
            }
        }
        for (subject, tiers) in victims {
            if let Some(open) = self.states.get_mut(subject).and_then(|state| state.open.as_mut()) {
                open.evidence.retain(|line| !line.starts_with(VICTIMS));
                open.evidence.push(format!("{VICTIMS}{}", tiers.join(", ")));
            }
        }
    }

    fn write(&self, snapshot: &mut Snapshot, now_ms: u64) {
        let open = |rule: &str, tier: &str| {
            self.states
                .values()
                .filter_map(|state| state.open.as_ref())
                .any(|open| open.rule == rule && open.tier == tier)
        };
        let is_hidden = |state: &State| state.explained_ms.is_some_and(|at| now_ms.saturating_sub(at) < HIDDEN_FOR_MS);
        let mut shown: Vec<WarningView> = self
            .states
            .iter()
            .filter(|(_, state)| !is_hidden(state))
            .filter_map(|((rule, _), state)| state.open.as_ref().map(|view| (&RULES[*rule], view)))
            .filter(|(rule, view)| rule.unless.is_none_or(|other| !open(other, &view.tier)))
            .map(|(_, view)| view.clone())
            .collect();
        shown.sort_by(|one, other| (other.severity, one.since_unix_ms).cmp(&(one.severity, other.since_unix_ms)));
        for warning in &shown {
            let state = match warning.severity {
                Severity::Warning => TierState::Warning,
                Severity::Critical => TierState::Critical,
            };
            for tier in snapshot.tiers.iter_mut().filter(|tier| tier.id == warning.tier) {
                tier.state = tier.state.max(state);
            }
        }
        shown.extend(self.ended.iter().rev().cloned());
        snapshot.warnings = shown;
    }
}

/// Ends an open warning, if it is one that was shown.
fn end(state: &mut State, now_ms: u64) -> Option<WarningView> {
    let hidden = state.explained_ms.take().is_some();
    let mut ended = state.open.take()?;
    ended.ended_unix_ms = Some(state.last_bad_ms.min(now_ms));
    (!hidden).then_some(ended)
}

/// The tiers that a tier calls, and those that they call, and so on.
fn reachable<'a>(snapshot: &'a Snapshot, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(tier) = open.pop() {
        for edge in snapshot.edges.iter().filter(|edge| edge.from == tier) {
            if seen.insert(edge.to.as_str()) {
                open.push(&edge.to);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests;
