//! Incidents: opened when the same tier is found again and again, changed when another one is, ended when
//! all is as usual.

use std::collections::{BTreeSet, VecDeque};

use super::Finding;
use super::burners::Burning;
use super::gate::Alarm;
use super::told::is_the_users;
use super::versions::Versions;
use crate::snapshot::{IncidentView, Snapshot};
use crate::tier::TierKind;
use crate::traces::Flow;
use crate::verdict::{Alternative, Verdict};

/// A tier must be found so often within [`LOOKED_MS`] for an incident to open.
const AGREED: usize = 2;
/// See [`AGREED`]: three seconds, and what ticks are apart by chance.
const LOOKED_MS: u64 = 3_500;
/// Seconds in a row in which something else is found before the verdict changes.
const CHANGED: u32 = 5;
/// The same for a class where the verdict had none.
const CLASSED: u32 = 2;
/// The same for another class of the same tier.
const RECLASSED: u32 = 12;
/// Requests must take this much longer, in usual durations, for an incident that nothing explains.
const PLAIN: f64 = 0.5;
/// What is so much less sure than what was found before does not take its place.
const LESS_SURE: f64 = 0.8;
/// A signal waits for so long for requests to say what is behind it, while they are in alarm.
const PATIENCE_MS: u64 = 6_000;
/// An incident ends when nothing was wrong for so long.
const CALM_MS: u64 = 4_000;
/// An incident is shown for so long at least: people need it to read.
const SHOWN_MS: u64 = 12_000;
/// What shows within so long after the end of an incident is of it: queues drain, caches refill.
const AFTERMATH_MS: u64 = 60_000;
/// Incidents that ended and are kept.
const KEPT: usize = 50;
/// How long after a failover the former roles are still what is usual.
const MOVED_MS: u64 = 360_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    open: Vec<Open>,
    ended: VecDeque<IncidentView>,
    opened: u64,
    /// What was found in the last seconds, before an incident opened.
    lately: VecDeque<(u64, Finding)>,
    /// Rule and tier of signals that something else accounted for: until they are well, they say nothing new.
    yielded: BTreeSet<(String, String)>,
    versions: Versions,
}

#[derive(Debug)]
struct Open {
    view: IncidentView,
    /// Whose requests show it.
    flow: Option<Flow>,
    /// The rule and tier of the signal that shows it.
    burning: Option<(String, String)>,
    /// What else was found, and how many seconds in a row.
    other: Option<(Verdict, u32)>,
    last_bad_ms: u64,
    /// It had ended, and what shows now is taken for what is left of it until then.
    aftermath_until_ms: Option<u64>,
}

impl Incidents {
    /// Whether something is not as usual. What a rule of the user's says may be so all day.
    pub(super) fn is_open(&self) -> bool {
        let says_no_more = |open: &Open| open.flow.is_none() && open.view.verdict.as_ref().is_some_and(is_the_users);
        self.open.iter().any(|open| !says_no_more(open))
    }

    /// Takes in what one second showed. Returns the onset of an incident that opened with it.
    pub(super) fn step(
        &mut self,
        snapshot: &Snapshot,
        alarms: &[Alarm],
        findings: Vec<Finding>,
        burning: Vec<Burning>,
    ) -> Option<u64> {
        let now_ms = snapshot.at_unix_ms;
        self.versions.note(snapshot, now_ms);
        let before = self.opened;
        for alarm in alarms {
            for open in self.open.iter_mut().filter(|open| open.flow == Some(alarm.flow)) {
                open.last_bad_ms = now_ms;
            }
        }
        for finding in findings {
            self.found(finding, snapshot, &burning);
        }
        let burns = |key: &(String, String)| burning.iter().any(|one| (&one.rule, &one.tier) == (&key.0, &key.1));
        self.yielded.retain(burns);
        for burning in burning {
            self.burns(burning, snapshot, alarms);
        }
        self.end_what_is_over(now_ms);
        (self.opened > before).then(|| self.open.iter().map(|open| open.view.onset_unix_ms).min()).flatten()
    }

    fn found(&mut self, finding: Finding, snapshot: &Snapshot, burning: &[Burning]) {
        let now_ms = snapshot.at_unix_ms;
        let Some(verdict) = finding.verdict.clone() else { return };
        // A signal that slows others may be what is behind: then requests tell of the same incident.
        let behind = burning.iter().find(|burning| accounts_for(burning, &verdict));
        let same = |open: &Open| {
            open.flow == Some(finding.flow)
                || open.view.verdict.as_ref().is_some_and(|known| known.tier == verdict.tier)
                || burning
                    .iter()
                    .any(|one| open.burning == Some((one.rule.clone(), one.tier.clone())) && one.yields_to(&verdict))
                || behind.is_some_and(|behind| open.burning == Some((behind.rule.clone(), behind.tier.clone())))
        };
        // One cause at a time: what waits behind the same thing is no incident of its own.
        let place = self.open.iter().position(same).or_else(|| {
            let is_request = |open: &Open| open.flow.is_some();
            self.open.iter().position(is_request)
        });
        if let Some(place) = place {
            let open = &mut self.open[place];
            let victim = open.flow.is_none() && {
                let shown = burning.iter().find(|one| open.burning == Some((one.rule.clone(), one.tier.clone())));
                shown.is_some_and(|shown| shown.yields_to(&verdict))
            };
            if victim {
                // The signal was seen first, and is no more than what this does.
                self.yielded.extend(open.burning.take());
                open.view.changes += 1;
                open.view.verdict = None;
            }
            if open.flow.is_none_or(|flow| flow == finding.flow) {
                open.flow = Some(finding.flow);
                open.update(&finding, verdict, now_ms);
            }
            return;
        }
        if !finding.doubt().is_empty() && finding.excess_ms < PLAIN * finding.usual_ms {
            return;
        }
        self.lately.retain(|(at_ms, _)| now_ms.saturating_sub(*at_ms) < LOOKED_MS);
        let agree = self.lately.iter().filter(|(_, other)| {
            other.flow == finding.flow && other.verdict.as_ref().is_some_and(|other| other.tier == verdict.tier)
        });
        if agree.count() + 1 >= AGREED {
            self.lately.clear();
            match self.reopened(now_ms) {
                Some(open) => open.flow = Some(finding.flow),
                None => self.open(Open::of_requests(&finding, verdict, now_ms), snapshot),
            }
            return;
        }
        self.lately.push_back((now_ms, finding));
    }

    fn burns(&mut self, burning: Burning, snapshot: &Snapshot, alarms: &[Alarm]) {
        let now_ms = snapshot.at_unix_ms;
        let key = Some((burning.rule.clone(), burning.tier.clone()));
        let named = |open: &Open| open.view.verdict.clone();
        if let Some(open) = self.open.iter_mut().find(|open| open.burning == key) {
            open.last_bad_ms = now_ms;
            if open.aftermath_until_ms.is_some_and(|until_ms| now_ms > until_ms) {
                // What is still there is no aftermath.
                open.aftermath_until_ms = None;
                open.view.changes += 1;
                open.view.verdict = Some(burning.verdict);
            } else if let Some(known) = &mut open.view.verdict
                && known.class == burning.verdict.class
                && open.flow.is_none()
            {
                known.evidence.clone_from(&burning.verdict.evidence);
            }
            return;
        }
        let accounted = self.open.iter().filter_map(named).any(|known| burning.yields_to(&known));
        if accounted || self.moved_lately(&burning, now_ms) {
            self.yielded.extend(key.clone());
        }
        if key.as_ref().is_some_and(|key| self.yielded.contains(key)) {
            return;
        }
        // What the user's own rule says is told apart from what another signal says of the same tier.
        let stands_apart = |open: &Open| is_the_users(&burning.verdict) && open.burning.is_some();
        if let Some(open) = self.open.iter_mut().filter(|open| !stands_apart(open)).find(|open| {
            open.view.verdict.as_ref().is_some_and(|known| {
                is_same_class(known, &burning.verdict)
                    || known.tier == burning.verdict.tier
                    || accounts_for(&burning, known)
            })
        }) {
            let is_first = open.burning.is_none();
            open.burning = key.filter(|_| is_first).or(open.burning.take());
            open.last_bad_ms = now_ms;
            let known = open.view.verdict.as_mut().filter(|_| is_first);
            if let Some(known) = known.filter(|known| is_same_class(known, &burning.verdict)) {
                // Two that say the same.
                known.confidence = known.confidence.max(burning.verdict.confidence);
                open.view.unexplained.clear();
            } else if is_first && let Some(known) = &mut open.view.verdict {
                open.view.changes += 1;
                let verdict = explained_by(burning.verdict, known);
                open.view.verdict = Some(verdict);
                open.view.unexplained.clear();
            }
            return;
        }
        if !alarms.is_empty() && now_ms < burning.since_ms + PATIENCE_MS {
            return;
        }
        match self.reopened(now_ms) {
            Some(open) => open.burning = key,
            None => self.open(Open::of_signal(burning, now_ms), snapshot),
        }
    }

    /// Opens the last incident again, if it ended just now: what shows then is what is left of it.
    fn reopened(&mut self, now_ms: u64) -> Option<&mut Open> {
        let ended_ms = self.ended.front()?.ended_unix_ms?;
        if !self.open.is_empty() || now_ms.saturating_sub(ended_ms) >= AFTERMATH_MS {
            return None;
        }
        let view = IncidentView { ended_unix_ms: None, ..self.ended.pop_front()? };
        let aftermath_until_ms = Some(ended_ms + AFTERMATH_MS);
        self.open.push(Open { aftermath_until_ms, ..Open::showing(view, now_ms) });
        self.open.last_mut()
    }

    /// After a failover the roles have moved: who takes no reads then is not lost.
    fn moved_lately(&self, burning: &Burning, now_ms: u64) -> bool {
        let failed_over = |view: &IncidentView| {
            let is_one = view.verdict.as_ref().is_some_and(|known| known.class.as_deref() == Some("primary-failover"));
            is_one && view.ended_unix_ms.is_some_and(|ended| now_ms.saturating_sub(ended) < MOVED_MS)
        };
        burning.rule == "replica-loss" && self.ended.iter().any(failed_over)
    }

    fn open(&mut self, mut open: Open, snapshot: &Snapshot) {
        self.opened += 1;
        open.view.id = self.opened;
        open.view.new_versions = self.versions.around(open.view.onset_unix_ms);
        if let Some(verdict) = &open.view.verdict {
            open.view.victims = victims(snapshot, &verdict.tier.id);
        }
        self.open.push(open);
    }

    fn end_what_is_over(&mut self, now_ms: u64) {
        let since = |then_ms: u64| now_ms.saturating_sub(then_ms);
        let is_over = |open: &Open| since(open.last_bad_ms) >= CALM_MS && since(open.view.opened_unix_ms) >= SHOWN_MS;
        let over: Vec<usize> = (0..self.open.len()).rev().filter(|place| is_over(&self.open[*place])).collect();
        for place in over {
            let mut ended = self.open.remove(place);
            ended.view.ended_unix_ms = Some(ended.last_bad_ms);
            self.ended.push_front(ended.view);
        }
        self.ended.truncate(KEPT);
    }

    /// Open incidents, the surest first, then those that ended.
    pub(super) fn views(&self) -> Vec<IncidentView> {
        let mut open: Vec<IncidentView> = self.open.iter().map(|open| open.view.clone()).collect();
        let sure = |view: &IncidentView| view.verdict.as_ref().map_or(0.0, |verdict| verdict.confidence);
        open.sort_by(|one, other| sure(other).total_cmp(&sure(one)).then(one.id.cmp(&other.id)));
        open.extend(self.ended.iter().cloned());
        open
    }
}

/// Whether two verdicts name one class, or neither a class but one tier.
fn is_same_class(one: &Verdict, other: &Verdict) -> bool {
    one.class == other.class && (one.class.is_some() || one.tier == other.tier)
}

/// Whether a signal is behind what requests show.
fn accounts_for(burning: &Burning, found: &Verdict) -> bool {
    use TierKind::{App, Cache, DbPrimary, DbReplica};
    let slows = ["replica-lag", "cache-hit-rate-falling", "replica-loss"].contains(&burning.rule.as_str());
    // What requests showed is of what they wait for; what another signal showed is not.
    (burning.rule == super::silence::RULE && found.explained_share.is_some())
        || (burning.rule == "traffic-spike" && found.class.as_deref() != Some("deploy-regression"))
        || slows && [App, Cache, DbPrimary, DbReplica].contains(&found.tier.kind) && !burning.yields_to(found)
}

/// A verdict from a signal, with what requests showed before.
fn explained_by(mut verdict: Verdict, found: &Verdict) -> Verdict {
    verdict.evidence.extend(found.evidence.iter().cloned());
    verdict.onset = verdict.onset.into_iter().chain(found.onset).min();
    if found.tier != verdict.tier {
        let explained_share = found.explained_share.unwrap_or_default();
        verdict.alternatives = vec![Alternative { tier: found.tier.clone(), explained_share }];
    }
    verdict.alternatives.extend(found.alternatives.iter().filter(|other| other.tier != verdict.tier).cloned());
    verdict
}

impl Open {
    fn of_requests(finding: &Finding, verdict: Verdict, now_ms: u64) -> Self {
        let mut open = Self::new(finding.since.as_millis(), verdict, now_ms);
        open.view.usual_ms = Some(finding.usual_ms);
        (open.view.excess_ms, open.view.peak_excess_ms) = (Some(finding.excess_ms), Some(finding.excess_ms));
        open.view.failed_ratio = Some(finding.failed_ratio);
        open.view.unexplained = finding.doubt();
        Self { flow: Some(finding.flow), ..open }
    }

    fn of_signal(burning: Burning, now_ms: u64) -> Self {
        let shown_by = Some((burning.rule, burning.tier));
        Self { burning: shown_by, ..Self::new(burning.since_ms, burning.verdict, now_ms) }
    }

    fn new(onset_unix_ms: u64, verdict: Verdict, now_ms: u64) -> Self {
        let view = IncidentView {
            id: 0,
            onset_unix_ms,
            opened_unix_ms: now_ms,
            peak_unix_ms: now_ms,
            ended_unix_ms: None,
            usual_ms: None,
            excess_ms: None,
            peak_excess_ms: None,
            failed_ratio: None,
            unexplained: String::new(),
            verdict: Some(verdict),
            changes: 0,
            victims: Vec::new(),
            new_versions: Vec::new(),
        };
        Self::showing(view, now_ms)
    }

    /// An incident that is open now, shown by nothing yet.
    fn showing(view: IncidentView, now_ms: u64) -> Self {
        Self { view, flow: None, burning: None, other: None, last_bad_ms: now_ms, aftermath_until_ms: None }
    }

    /// Takes in what was found in a further second.
    fn update(&mut self, finding: &Finding, verdict: Verdict, now_ms: u64) {
        let view = &mut self.view;
        (view.usual_ms, view.excess_ms) = (Some(finding.usual_ms), Some(finding.excess_ms));
        view.failed_ratio = Some(finding.failed_ratio);
        if view.peak_excess_ms.is_none_or(|peak| finding.excess_ms > peak) {
            (view.peak_excess_ms, view.peak_unix_ms) = (Some(finding.excess_ms), now_ms);
        }
        let Some(known) = &mut view.verdict else {
            view.verdict = Some(verdict);
            return;
        };
        let is_unsure = verdict.class.is_none() || verdict.confidence < LESS_SURE * known.confidence;
        if known.tier == verdict.tier && (known.class == verdict.class || is_unsure) {
            if known.class == verdict.class && !is_unsure {
                let (onset, confidence) = (known.onset, known.confidence.max(verdict.confidence));
                *known = Verdict { confidence, onset, ..verdict };
                view.unexplained = if self.burning.is_some() { String::new() } else { finding.doubt() };
            }
            self.other = None;
            return;
        }
        // What is found while things get better is not what made them bad.
        if is_unsure || (!finding.doubt().is_empty() && view.unexplained.is_empty()) {
            return;
        }
        // A signal that is behind all this is not outvoted by what it slows, nor a database by who waits for it.
        let is_database = matches!(known.tier.kind, TierKind::DbPrimary | TierKind::DbReplica);
        if self.burning.is_some() || (is_database && verdict.class.as_deref() == Some("pool-exhaustion")) {
            return;
        }
        let is_same = |other: &Verdict| other.tier == verdict.tier && other.class == verdict.class;
        let times = match &self.other {
            Some((other, times)) if is_same(other) => times + 1,
            _ => 1,
        };
        let enough = match (known.tier == verdict.tier, &known.class) {
            (true, None) => CLASSED,
            (true, Some(_)) => RECLASSED,
            (false, _) => CHANGED,
        };
        if times >= enough {
            view.changes += 1;
            view.unexplained = finding.doubt();
            let onset = known.onset;
            *known = Verdict { onset, ..verdict };
            self.other = None;
        } else {
            self.other = Some((verdict, times));
        }
    }
}

/// The tiers that wait for a tier, by whatever way.
fn victims(snapshot: &Snapshot, of: &str) -> Vec<String> {
    let (mut found, mut open) = (BTreeSet::from([of]), vec![of]);
    while let Some(tier) = open.pop() {
        let callers = snapshot.edges.iter().filter(|edge| edge.to == tier).map(|edge| edge.from.as_str());
        for caller in callers {
            if found.insert(caller) {
                open.push(caller);
            }
        }
    }
    let all = snapshot.tiers.iter().map(|tier| &tier.id);
    all.filter(|id| id.as_str() != of && found.contains(id.as_str())).cloned().collect()
}
