//! Choosing traces to be handed out whole (see [`crate::choice`]).
//!
//! 1. Spans are noted as they come: roots for the uniform share and for being slow, others if they failed.
//!    Of those that are alike only as many as a budget might pay for are remembered, by the least hash of the id.
//! 2. Once a second these become candidates, and wait until their family has had time to come.
//! 3. Those that are due are gathered from the ring of recent spans and charged to the budget (`gather`).
//! 4. The ids of chosen traces are remembered for a while: what comes later of them is handed out as it comes.
//! 5. Requests of which only parts came are told as waiting (`waiting`).

mod gather;
mod noted;
mod waiting;

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Engine;
use super::processes::ProcessId;
use super::ring::Place;
use super::routes::Plan;
use crate::choice::{Budget, ChoiceRules, Chosen, Reason, RuleCount};
use crate::id::TraceId;
use crate::observation::Span;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use noted::{Least, Noted, hash, is_under};

/// Candidates that wait for their families.
const MOST_CANDIDATES: usize = 4096;
/// Ids of chosen traces that are remembered, and for how long.
const MOST_DECIDED: usize = 8192;
const DECIDED_FOR_NANOS: u64 = 600 * NANOS_PER_SECOND;
/// Spans that came later and wait for the next tick.
const MOST_REST: usize = 16_384;
/// Bits of the sieve that a span passes before its trace is looked up.
const SIEVE_BITS: usize = 1 << 16;
/// Seconds that tell how long an operation usually takes, how often that is looked at, and the requests it needs.
const USUAL_S: u64 = 60;
const USUAL_EVERY_NANOS: u64 = 5 * NANOS_PER_SECOND;
const USUAL_REQUESTS: u64 = 100;
/// What is slow takes longer than this share of its operation.
const SLOW_QUANTILE: f64 = 0.99;

/// What is known of the spans of one route.
#[derive(Clone, Copy, Debug)]
struct OfRoute {
    process: ProcessId,
    /// Nothing that is worth a trace: a health check, housekeeping.
    is_left_out: bool,
    /// The rule of the uniform share, where one is about it.
    rule: Option<u32>,
    /// A root that takes longer is slow; not known is the greatest.
    slow_nanos: u64,
    /// The request of the same process that its spans are usually part of: its route.
    part_of: Option<u32>,
    is_root: bool,
}

/// A trace that may be chosen when its family has come.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    due: UnixNanos,
    reason: Reason,
    noted: Noted,
    /// For the uniform share: whose.
    rule: Option<u32>,
}

/// A trace that was chosen.
#[derive(Clone, Copy, Debug)]
struct Decision {
    reason: Reason,
    spans: u32,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Choosing {
    rules: ChoiceRules,
    budget: Budget,
    refilled: UnixNanos,
    usual_looked_at: UnixNanos,
    by_route: Vec<OfRoute>,
    failed: Least,
    slow: Least,
    incident: Least,
    stalled: Least,
    /// By rule: what came of it this second, and what its reservoir holds.
    uniform: Vec<(Least, f64)>,
    /// An incident with a verdict is open.
    has_incident: bool,
    candidates: VecDeque<Candidate>,
    decided: HashMap<TraceId, Decision, FixedState>,
    decided_in_order: VecDeque<(UnixNanos, TraceId)>,
    sieve: Box<[u64; SIEVE_BITS / 64]>,
    rest: Vec<Place>,
    chosen: Chosen,
    /// Nothing more will come, so what waits is due.
    is_last: bool,
}

impl Choosing {
    pub(super) fn new(rules: ChoiceRules, now: UnixNanos) -> Self {
        let mut new = Self {
            budget: Budget::new(rules.traces_per_second),
            rules: ChoiceRules::default(),
            refilled: now,
            usual_looked_at: UnixNanos(0),
            by_route: Vec::new(),
            failed: Least::default(),
            slow: Least::default(),
            incident: Least::default(),
            stalled: Least::default(),
            uniform: Vec::new(),
            has_incident: false,
            candidates: VecDeque::new(),
            decided: HashMap::default(),
            decided_in_order: VecDeque::new(),
            sieve: Box::new([0; SIEVE_BITS / 64]),
            rest: Vec::new(),
            chosen: Chosen::default(),
            is_last: false,
        };
        new.set_rules(rules, |_, _| (String::new(), String::new()));
        new
    }

    /// Changes the rules. `request_of` tells a route's service and operation.
    pub(super) fn set_rules(&mut self, rules: ChoiceRules, request_of: impl Fn(ProcessId, u32) -> (String, String)) {
        if rules.traces_per_second.to_bits() != self.rules.traces_per_second.to_bits() {
            self.budget = Budget::new(rules.traces_per_second);
        }
        self.uniform = rules.uniform.iter().map(|rule| (Least::default(), rule.reservoir_per_second)).collect();
        self.chosen.by_rule = vec![RuleCount::default(); rules.uniform.len()];
        self.candidates.retain(|candidate| candidate.rule.is_none());
        self.rules = rules;
        for route in 0..self.by_route.len() {
            let (service, operation) = request_of(self.by_route[route].process, route as u32);
            self.by_route[route].rule = self.rule_for(&service, &operation);
        }
    }

    fn rule_for(&self, service: &str, operation: &str) -> Option<u32> {
        self.rules.uniform.iter().position(|rule| rule.matches(service, operation)).map(|rule| rule as u32)
    }

    /// Hands out what was chosen.
    pub(super) fn take(&mut self) -> Chosen {
        let by_rule = vec![RuleCount::default(); self.rules.uniform.len()];
        std::mem::replace(&mut self.chosen, Chosen { by_rule, ..Chosen::default() })
    }

    /// Takes all traces to be whole at the next tick.
    pub(super) fn expect_no_more(&mut self) {
        self.is_last = true;
    }

    /// Forgets all that points to routes and places; the ids of chosen traces stay.
    pub(super) fn forget_indices(&mut self) {
        self.by_route.clear();
        self.candidates.clear();
        self.rest.clear();
        for least in [&mut self.failed, &mut self.slow, &mut self.incident, &mut self.stalled] {
            *least = Least::default();
        }
        for (least, _) in &mut self.uniform {
            *least = Least::default();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        SIEVE_BITS / 8
            + self.by_route.capacity() * size_of::<OfRoute>()
            + self.candidates.capacity() * size_of::<Candidate>()
            + self.decided.capacity() * size_of::<(TraceId, Decision)>()
            + self.decided_in_order.capacity() * size_of::<(UnixNanos, TraceId)>()
            + self.rest.capacity() * size_of::<Place>()
    }

    /// Takes note of a span. `route` is the index of its classification and whether it failed.
    pub(super) fn note(&mut self, span: &Span, place: Place, (route, failed): (u32, bool)) {
        let bit = span.trace.0 as usize % SIEVE_BITS;
        if self.sieve[bit / 64] & (1 << (bit % 64)) != 0 && self.decided.contains_key(&span.trace) {
            if self.rest.len() < MOST_REST {
                self.rest.push(place);
            } else {
                self.chosen.spans_left_out += 1;
            }
            return;
        }
        let is_root = !span.parent.is_some();
        if !failed && !is_root {
            return;
        }
        let of_route = &mut self.by_route[route as usize];
        if of_route.is_left_out {
            return;
        }
        let noted = Noted { hash: hash(span.trace), trace: span.trace, place };
        if failed {
            self.failed.note(noted);
        }
        if !is_root {
            return;
        }
        of_route.is_root = true;
        if span.end.nanos_since(span.start) > of_route.slow_nanos {
            self.slow.note(noted);
        }
        if self.has_incident {
            self.incident.note(noted);
        }
        if let Some(rule) = of_route.rule {
            self.uniform[rule as usize].0.note(noted);
            self.chosen.by_rule[rule as usize].matched += 1;
        }
    }

    /// Takes note of a span that stood in a stall. Its family has come.
    pub(super) fn note_stalled(&mut self, trace: TraceId, place: Place) {
        self.stalled.note(Noted { hash: hash(trace), trace, place });
    }

    /// Makes candidates of what the last second brought, due when their families have come.
    fn close_second(&mut self, now: UnixNanos, due: UnixNanos) {
        let all = [
            (Reason::Stalled, now, &mut self.stalled),
            (Reason::Failed, due, &mut self.failed),
            (Reason::Incident, due, &mut self.incident),
            (Reason::Slow, due, &mut self.slow),
        ];
        let mut new: Vec<Candidate> = Vec::new();
        for (reason, due, least) in all {
            let (least, dropped) = least.take();
            if reason != Reason::Incident {
                self.chosen.over_budget[reason as usize] += dropped;
            }
            new.extend(least.into_iter().map(|noted| Candidate { due, reason, noted, rule: None }));
        }
        let seconds = now.seconds_since(self.refilled);
        for (index, ((least, reservoir), rule)) in self.uniform.iter_mut().zip(&self.rules.uniform).enumerate() {
            // Most is a second's worth: a reservoir is not saved up.
            let most = rule.reservoir_per_second.max(1.0);
            *reservoir = (*reservoir + rule.reservoir_per_second * seconds).min(most);
            let (least, dropped) = least.take();
            let all_under = least.last().is_some_and(|last| is_under(last.hash, rule.rate));
            self.chosen.over_budget[Reason::Uniform as usize] += if all_under { dropped } else { 0 };
            for noted in least {
                let is_reserved = *reservoir >= 1.0;
                if is_reserved {
                    *reservoir -= 1.0;
                } else if !is_under(noted.hash, rule.rate) {
                    break;
                }
                new.push(Candidate { due, reason: Reason::Uniform, noted, rule: Some(index as u32) });
            }
        }
        for candidate in new {
            if self.candidates.len() < MOST_CANDIDATES {
                self.candidates.push_back(candidate);
            } else {
                self.chosen.over_budget[candidate.reason as usize] += 1;
            }
        }
    }

    /// Remembers that a trace was chosen.
    fn decide(&mut self, trace: TraceId, reason: Reason, now: UnixNanos) {
        self.decided.insert(trace, Decision { reason, spans: 0 });
        self.decided_in_order.push_back((now, trace));
    }

    /// Forgets the oldest decisions, and makes the sieve of those that are left.
    fn forget_decisions(&mut self, now: UnixNanos) {
        let oldest = now.minus_nanos(DECIDED_FOR_NANOS);
        while let Some(&(at, trace)) = self.decided_in_order.front()
            && (at < oldest || self.decided_in_order.len() > MOST_DECIDED)
        {
            self.decided_in_order.pop_front();
            self.decided.remove(&trace);
        }
        self.sieve.fill(0);
        for trace in self.decided.keys() {
            let bit = trace.0 as usize % SIEVE_BITS;
            self.sieve[bit / 64] |= 1 << (bit % 64);
        }
    }
}

impl Engine {
    /// Learns of routes that are new what choosing needs to know of them.
    pub(super) fn meet_routes(&mut self, routes: &[(u32, ProcessId)]) {
        let Some(mut choosing) = self.choosing.take() else { return };
        for &(route, process) in routes {
            // Routes are numbered as they come.
            if route as usize == choosing.by_route.len() {
                let is_left_out = match self.routes.get(route).plan {
                    Plan::Entry { health_check, .. } => health_check,
                    Plan::Call { act, .. } => !act.counts(),
                    Plan::Inside => false,
                };
                let (service, operation) = self.request_of(process, route);
                let rule = choosing.rule_for(&service, &operation);
                let (slow_nanos, part_of, is_root) = (u64::MAX, None, false);
                choosing.by_route.push(OfRoute { process, is_left_out, rule, slow_nanos, part_of, is_root });
            }
        }
        self.choosing = Some(choosing);
    }

    /// The service and the operation of a route.
    pub(super) fn request_of(&self, process: ProcessId, route: u32) -> (String, String) {
        let service = self.processes.get_service(self.processes.get(process).service).name.to_string();
        (service, self.routes.operation(route).to_owned())
    }

    /// Looks up how long the operations of roots usually take.
    fn learn_slow(&self, choosing: &mut Choosing) {
        if self.now.nanos_since(choosing.usual_looked_at) < USUAL_EVERY_NANOS {
            return;
        }
        choosing.usual_looked_at = self.now;
        let last = self.now.second().minus(1);
        for (route, of_route) in choosing.by_route.iter_mut().enumerate().filter(|(_, of_route)| of_route.is_root) {
            of_route.is_root = false;
            let Some(target) = super::stalls::target(&self.routes.get(route as u32).plan) else { continue };
            let member = self.members.get(target.member);
            let Some(operation) = member.operations.get(target.operation as usize) else { continue };
            let usual = operation.seconds.sum(last.minus(USUAL_S), last).latency;
            let slow_ms = usual.quantile_ms(SLOW_QUANTILE).filter(|_| usual.count() >= USUAL_REQUESTS);
            of_route.slow_nanos = slow_ms.map_or(u64::MAX, |ms| (ms * 1e6) as u64);
        }
    }
}
