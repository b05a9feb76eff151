//! Gathering traces that are due from the ring of recent spans, and charging them to the budget.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::super::Engine;
use super::super::members::MemberId;
use super::super::naming::Known;
use super::super::ring::{Place, RecentSpan};
use super::super::routes::Plan;
use super::{Candidate, Choosing};
use crate::choice::{ChosenSpan, ChosenTrace, Reason};
use crate::classify::PeerClass;
use crate::id::TraceId;
use crate::observation::SpanKind;
use crate::snapshot::DiagnosisView;
use crate::time::UnixNanos;

/// Spans of one trace that are handed out in all.
const MOST_SPANS: u32 = 2_000;

/// The names of tiers, looked up once a tick.
pub(super) struct Names {
    known: Known,
    ids: HashMap<MemberId, Option<Arc<str>>, FixedState>,
}

impl Names {
    pub(super) fn of(engine: &Engine) -> Self {
        Self { known: engine.known(), ids: HashMap::default() }
    }
}

impl Engine {
    /// Chooses among the traces that are due. To be called once a second, when incidents have been judged.
    pub(in crate::engine) fn choose_traces(&mut self, diagnosis: &DiagnosisView) {
        let Some(mut choosing) = self.choosing.take() else { return };
        choosing.close_second(self.now, self.families_come_by());
        choosing.budget.refill(self.now.seconds_since(choosing.refilled));
        choosing.refilled = self.now;
        choosing.has_incident = diagnosis.verdict().is_some();
        self.learn_slow(&mut choosing);
        let mut names = Names::of(self);
        let mut new: HashSet<TraceId, FixedState> = HashSet::default();
        let mut refused: HashMap<TraceId, Reason, FixedState> = HashMap::default();
        for candidate in self.due(&mut choosing) {
            if self.judge(&mut choosing, &candidate, (&mut names, diagnosis), &mut new) {
                refused.remove(&candidate.noted.trace);
            } else {
                refused.entry(candidate.noted.trace).or_insert(candidate.reason);
            }
        }
        for reason in refused.into_values() {
            choosing.chosen.over_budget[reason as usize] += 1;
        }
        self.find_waiting(&mut choosing, &mut names, &mut new);
        self.gather_without_parents(&mut choosing, &new, (&mut names, diagnosis));
        self.gather_rest(&mut choosing, (&mut names, diagnosis));
        choosing.forget_decisions(self.now);
        self.choosing = Some(choosing);
    }

    /// The candidates whose families have come or that are about to be overwritten, by reason and hash.
    fn due(&self, choosing: &mut Choosing) -> Vec<Candidate> {
        let mut due: Vec<Candidate> = Vec::new();
        let (now, ring, is_last) = (self.now, &self.ring, choosing.is_last);
        choosing.candidates.retain(|candidate| {
            let is_due = is_last || candidate.due <= now || ring.is_aging(candidate.noted.place);
            due.extend(is_due.then_some(*candidate));
            !is_due
        });
        due.sort_by_key(|candidate| (candidate.reason, candidate.noted.hash, candidate.noted.trace));
        due
    }

    /// Chooses a trace, if there is budget for its reason; `false` if there is none.
    fn judge(
        &mut self,
        choosing: &mut Choosing,
        candidate: &Candidate,
        (names, diagnosis): (&mut Names, &DiagnosisView),
        new: &mut HashSet<TraceId, FixedState>,
    ) -> bool {
        let &Candidate { reason, noted, rule, .. } = candidate;
        let spans = self.top_of(noted.place).map(|top| self.below(top)).unwrap_or_default();
        if spans.is_empty() {
            // Overwritten before it was due.
            choosing.chosen.spans_left_out += 1;
            return true;
        }
        if !choosing.decided.contains_key(&noted.trace) {
            if reason == Reason::Incident && self.verdict_of(&spans, names, diagnosis).is_none() {
                return true;
            }
            if !choosing.budget.take(reason) {
                return false;
            }
            if let Some(rule) = rule {
                choosing.chosen.by_rule[rule as usize].chosen += 1;
            }
            choosing.decide(noted.trace, reason, self.now);
            new.insert(noted.trace);
        }
        self.hand_out(choosing, noted.trace, &spans, (names, diagnosis));
        true
    }

    /// A span and those below it that are there and were not handed out, parents first.
    pub(super) fn below(&self, top: Place) -> Vec<Place> {
        let mut found = Vec::new();
        let mut open = vec![top];
        while let Some(place) = open.pop() {
            let Some(span) = self.ring.get(place) else { continue };
            found.push(place);
            if found.len() > MOST_SPANS as usize {
                break;
            }
            open.extend(self.ring.children(span).map(|(child, _)| child));
        }
        found
    }

    /// Hands out those spans of a chosen trace that were not yet.
    pub(super) fn hand_out(
        &mut self,
        choosing: &mut Choosing,
        trace: TraceId,
        places: &[Place],
        (names, diagnosis): (&mut Names, &DiagnosisView),
    ) {
        let Some(decision) = choosing.decided.get(&trace).copied() else { return };
        let verdict = self.verdict_of(places, names, diagnosis);
        let mut spans = Vec::with_capacity(places.len());
        for &place in places {
            if !self.ring.choose(place) {
                continue;
            }
            if decision.spans + spans.len() as u32 >= MOST_SPANS {
                choosing.chosen.spans_left_out += 1;
                continue;
            }
            spans.extend(self.chosen_span(place, names));
            self.learn_parent(choosing, place);
        }
        if spans.is_empty() {
            return;
        }
        if let Some(decision) = choosing.decided.get_mut(&trace) {
            decision.spans += spans.len() as u32;
        }
        let stall = self.stood_in(trace).map(Arc::from);
        let is_rest = decision.spans > 0;
        choosing.chosen.traces.push(ChosenTrace { trace, reason: decision.reason, is_rest, verdict, stall, spans });
    }

    pub(super) fn chosen_span(&self, place: Place, names: &mut Names) -> Option<ChosenSpan> {
        let span = self.ring.get(place)?;
        Some(ChosenSpan { id: span.id, detail: self.ring.detail(place), tier: self.tier_of_span(span, names) })
    }

    /// Remembers which request of its own process a span is part of, so that one that waits can be named.
    fn learn_parent(&self, choosing: &mut Choosing, place: Place) {
        let Some(span) = self.ring.get(place) else { return };
        let Some((_, parent)) = self.ring.parent(span) else { return };
        let is_request = matches!(self.routes.get(parent.route).plan, Plan::Entry { .. });
        if is_request && is_local(span) && parent.process == span.process {
            choosing.by_route[span.route as usize].part_of = Some(parent.route);
        }
    }

    /// Spans of traces that were just chosen whose parents have not come.
    fn gather_without_parents(
        &mut self,
        choosing: &mut Choosing,
        new: &HashSet<TraceId, FixedState>,
        (names, diagnosis): (&mut Names, &DiagnosisView),
    ) {
        if new.is_empty() {
            return;
        }
        let mut found: Vec<(TraceId, Vec<Place>)> = Vec::new();
        for child in self.ring.awaited().filter(|child| new.contains(&child.trace)) {
            let siblings = self.ring.siblings(child).flat_map(|(place, _)| self.below(place));
            found.push((child.trace, siblings.collect()));
        }
        for (trace, places) in found {
            self.hand_out(choosing, trace, &places, (&mut *names, diagnosis));
        }
    }

    /// What came of chosen traces since the last tick.
    fn gather_rest(&mut self, choosing: &mut Choosing, (names, diagnosis): (&mut Names, &DiagnosisView)) {
        let rest = std::mem::take(&mut choosing.rest);
        let mut by_trace: HashMap<TraceId, Vec<Place>, FixedState> = HashMap::default();
        for place in rest {
            match self.ring.get(place) {
                Some(span) => by_trace.entry(span.trace).or_default().push(place),
                None => choosing.chosen.spans_left_out += 1,
            }
        }
        for (trace, places) in by_trace {
            self.hand_out(choosing, trace, &places, (&mut *names, diagnosis));
        }
    }

    /// The verdict of the incident that went on while a trace went through the tier at fault.
    fn verdict_of(&self, spans: &[Place], names: &mut Names, diagnosis: &DiagnosisView) -> Option<Arc<str>> {
        let with_verdict: Vec<_> =
            diagnosis.incidents.iter().filter_map(|incident| Some((incident, incident.verdict.as_ref()?))).collect();
        if with_verdict.is_empty() {
            return None;
        }
        spans.iter().filter_map(|place| self.ring.get(*place)).find_map(|span| {
            let tier = self.tier_of_span(span, names)?;
            let during = |from_ms: u64, upto_ms: Option<u64>| {
                span.end >= millis(from_ms) && upto_ms.is_none_or(|upto| span.start <= millis(upto))
            };
            let (_, verdict) = with_verdict.iter().find(|(incident, verdict)| {
                *verdict.tier.id == *tier && during(incident.onset_unix_ms, incident.ended_unix_ms)
            })?;
            Some(format!("{}: {}", verdict.tier.id, verdict.title).into())
        })
    }

    /// The tier that a span belongs to, or that it calls.
    pub(super) fn tier_of_span(&self, span: &RecentSpan, names: &mut Names) -> Option<Arc<str>> {
        let member = match self.routes.get(span.route).plan {
            Plan::Call { target, class: PeerClass::Service, .. } => self.callee(span, target.member),
            Plan::Entry { target, .. } | Plan::Call { target, .. } => target.member,
            Plan::Inside => self.member_of(span.process)?,
        };
        if let Some(known) = names.ids.get(&member) {
            return known.clone();
        }
        let id: Option<Arc<str>> = self.tier_id(member, &names.known).map(Arc::from);
        names.ids.insert(member, id.clone());
        id
    }
}

/// Whether a span's parent is in its own process.
pub(super) fn is_local(span: &RecentSpan) -> bool {
    matches!(span.kind, SpanKind::Internal | SpanKind::Client | SpanKind::Producer)
}

fn millis(since_epoch: u64) -> UnixNanos {
    UnixNanos(since_epoch.saturating_mul(1_000_000))
}
