//! The user's own classes of faults, as data.
//!
//! A rule either holds by itself, when all its conditions do for long enough, and is then a verdict; or it
//! takes the place of a class of the table where that is named, so that an incident comes with the user's own
//! words and remedies. What is unknown fulfils no condition.

use std::collections::BTreeMap;

use super::Report;
use crate::config::TierPattern;
use crate::phase::Phase;
use crate::snapshot::{IncidentView, SignalKind, Snapshot, TierView};
use crate::verdict::Verdict;

/// One class of the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRule {
    /// Its name, kebab-case; none of the table's.
    pub name: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// The tiers that it speaks of.
    pub tier: TierPattern,
    /// What it rests on.
    pub basis: Basis,
    /// The phase whose wall it is.
    pub phase: Option<Phase>,
    /// What is told as evidence, before what was measured.
    pub say: Option<String>,
    /// What to do now.
    pub now: Option<String>,
    /// What to do for good.
    pub for_good: Option<String>,
}

/// What a rule rests on.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// Conditions.
    When {
        /// All of these hold ...
        all: Vec<Condition>,
        /// ... for so long, in milliseconds.
        lasting_ms: u64,
    },
    /// It is named wherever this class of the table would be.
    Replaces(String),
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Any of these tiers; `None` for the rule's own.
    pub tier: Option<TierPattern>,
    /// What it looks at.
    pub level: Level,
    /// What that is called.
    pub name: String,
    /// What it must be.
    pub bound: Bound,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A signal of any part of the tier.
    Signal(SignalKind),
    /// A figure of the tier.
    Figure(Figure),
}

/// A figure of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Requests a second.
    RequestsPerSecond,
    /// Failed requests over all, 0 to 1.
    ErrorRatio,
    /// Median latency, milliseconds.
    P50Ms,
    /// 90th percentile.
    P90Ms,
    /// 95th percentile.
    P95Ms,
    /// 99th percentile.
    P99Ms,
    /// Greatest latency.
    MaxMs,
    /// Requests in progress.
    InFlight,
    /// Instances that are heard of.
    Instances,
}

/// What a level must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// More.
    Above(f64),
    /// Less.
    Below(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Above(bound) => format!("above {bound}"),
            Self::Below(bound) => format!("below {bound}"),
        }
    }
}

impl Figure {
    fn of(self, tier: &TierView) -> Option<f64> {
        match self {
            Self::RequestsPerSecond => tier.requests_per_second,
            Self::ErrorRatio => tier.error_ratio,
            Self::P50Ms => tier.p50_ms,
            Self::P90Ms => tier.p90_ms,
            Self::P95Ms => tier.p95_ms,
            Self::P99Ms => tier.p99_ms,
            Self::MaxMs => tier.max_ms,
            Self::InFlight => tier.in_flight.map(|in_flight| in_flight.value),
            Self::Instances => Some(tier.live_instances().count() as f64),
        }
    }
}

impl Condition {
    /// What was measured, if it holds.
    fn holds(&self, own: &TierView, snapshot: &Snapshot) -> Option<String> {
        let Some(pattern) = &self.tier else { return self.holds_of(own, snapshot) };
        let mut others = snapshot.tiers.iter().filter(|tier| pattern.matches(tier.kind, &tier.member));
        others.find_map(|tier| Some(format!("{}: {}", tier.id, self.holds_of(tier, snapshot)?)))
    }

    fn holds_of(&self, tier: &TierView, snapshot: &Snapshot) -> Option<String> {
        let (value, part) = match self.level {
            Level::Figure(figure) => (figure.of(tier).filter(|value| self.bound.holds(*value))?, ""),
            Level::Signal(kind) => {
                let of_tier = snapshot.signals.iter().filter(|signal| signal.kind == kind && signal.tier == tier.id);
                let mut bad = of_tier.filter_map(|signal| Some((signal.value?, signal.part.as_str())));
                bad.find(|(value, _)| self.bound.holds(*value))?
            }
        };
        let part = if part.is_empty() { String::new() } else { format!(" at {part}") };
        Some(format!("{} {}{part}, {}", self.name, rounded(value), self.bound.in_words()))
    }
}

/// A value with as many places as tell something.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// A rule that holds of a tier.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held<'s> {
    pub(super) rule: &'s UserRule,
    pub(super) tier: &'s TierView,
    pub(super) since_ms: u64,
    pub(super) evidence: Vec<String>,
}

/// Since when the conditions of rules hold, by the rule's place and the tier.
#[derive(Debug, Default)]
pub(super) struct Holding {
    since_ms: BTreeMap<(usize, String), u64>,
}

impl Holding {
    /// The rules that hold for long enough.
    pub(super) fn held<'s>(&mut self, rules: &'s [UserRule], snapshot: &'s Snapshot) -> Vec<Held<'s>> {
        let now_ms = snapshot.at_unix_ms;
        let mut held = Vec::new();
        let mut since_ms = BTreeMap::new();
        for (place, rule) in rules.iter().enumerate() {
            let Basis::When { all, lasting_ms } = &rule.basis else { continue };
            for tier in snapshot.tiers.iter().filter(|tier| rule.tier.matches(tier.kind, &tier.member)) {
                let Some(measured) = all.iter().map(|one| one.holds(tier, snapshot)).collect::<Option<Vec<_>>>() else {
                    continue;
                };
                let key = (place, tier.id.clone());
                let since = self.since_ms.get(&key).copied().unwrap_or(now_ms);
                since_ms.insert(key, since);
                if now_ms.saturating_sub(since) >= *lasting_ms {
                    let evidence = rule.say.iter().cloned().chain(measured).collect();
                    held.push(Held { rule, tier, since_ms: since, evidence });
                }
            }
        }
        self.since_ms = since_ms;
        held
    }
}

/// Says a verdict in the words of the user's rule that takes the place of its class, if there is one.
pub(super) fn reword(verdict: &mut Verdict, rules: &[UserRule]) {
    let takes_its_place = |rule: &&UserRule| match &rule.basis {
        Basis::Replaces(class) => {
            verdict.class.as_ref() == Some(class) && rule.tier.matches(verdict.tier.kind, &verdict.tier.member)
        }
        Basis::When { .. } => false,
    };
    let Some(rule) = rules.iter().find(takes_its_place) else { return };
    verdict.class = Some(rule.name.clone());
    verdict.title.clone_from(&rule.title);
    verdict.phase = rule.phase.or(verdict.phase);
    verdict.evidence.splice(..0, rule.say.clone());
    // Where the user says nothing, what is usual to do still helps.
    verdict.remedy_now = rule.now.clone().or_else(|| verdict.remedy_now.take());
    verdict.remedy_for_good = rule.for_good.clone().or_else(|| verdict.remedy_for_good.take());
}

/// The same for all verdicts of a report, and its line. Before them come those of the user's rules that held at some time
/// of the capture, as the incidents say that were heard of in it.
pub fn tell_in(report: &mut Report, incidents: &[IncidentView], rules: &[UserRule]) {
    let first_line =
        |report: &Report| report.verdicts.first().map(|first| format!("{}: {}", first.tier.id, first.title));
    let tells_first = first_line(report).is_some_and(|line| line == report.summary);
    for verdict in &mut report.verdicts {
        reword(verdict, rules);
    }
    let is_own = |verdict: &&Verdict| rules.iter().any(|rule| verdict.class.as_ref() == Some(&rule.name));
    let mut own: Vec<Verdict> = Vec::new();
    for verdict in incidents.iter().filter_map(|incident| incident.verdict.as_ref()).filter(is_own) {
        let is_same = |other: &Verdict| other.tier == verdict.tier && other.class == verdict.class;
        if !own.iter().chain(&report.verdicts).any(is_same) {
            own.push(verdict.clone());
        }
    }
    let tells_first = tells_first || !own.is_empty();
    report.verdicts.splice(..0, own);
    if tells_first {
        report.summary = first_line(report).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
