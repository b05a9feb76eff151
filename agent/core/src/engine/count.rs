//! Counting a span: once, where it belongs, whatever order its family came in.

use super::Engine;
use super::edges::Caller;
use super::members::{Facet, Identity, MemberId};
use super::processes::{ProcessId, ServiceId};
use super::ring::{Place, RecentSpan, SpanState};
use super::routes::{Plan, Route, Tables, Target};
use crate::classify::{Act, PeerClass};
use crate::distribution::Bucket;
use crate::observation::{Span, SpanKind, SpanLink};
use crate::slots::Count;

/// How many children that came before their parent are put right, or siblings compared.
pub(super) const CHILDREN_MET: usize = 64;

impl Engine {
    /// Counts one span that is in the ring already. `had_children`: some of its children came in an
    /// earlier batch and may have been counted without knowing of it.
    pub(super) fn count(&mut self, place: Place, had_children: bool, links: &[SpanLink]) {
        let Some(span) = self.ring.get(place).copied() else { return };
        let route = *self.routes.get(span.route);
        let state = match route.plan {
            Plan::Inside => self.count_background(&span),
            Plan::Entry { target, queue, edge, health_check } => {
                if health_check {
                    SpanState::Skipped
                } else {
                    self.count_entry((place, &span), route, target, links, queue, edge)
                }
            }
            Plan::Call { target, class, act, edge, cache_hit } => {
                let layered = act.counts() && edge.is_some_and(|edge| self.edges.get(edge).is_layered);
                if self.is_detail(&span) || (layered && self.is_inner_layer(&span)) {
                    self.spans_detail += u64::from(act.counts());
                    SpanState::Skipped
                } else {
                    if layered {
                        self.meet_inner_layers(&span);
                    }
                    match (class, act) {
                        (PeerClass::Queue, Act::Poll) => self.count_received(&span, target.member, links),
                        (PeerClass::Queue, Act::Settle) => self.count_settled(&span, target.member),
                        _ => {}
                    }
                    self.count_call(&span, route, target, (class, act), edge, cache_hit)
                }
            }
        };
        self.ring.set_state(place, state);
        if had_children {
            self.meet_children(&span);
        }
    }

    fn count_of(&self, span: &RecentSpan, failed: bool) -> Option<Count> {
        let nanos = span.nanos();
        let second = span.end.second().min(self.newest_second());
        (second > self.closed).then(|| Count {
            second,
            bucket: Bucket::of_nanos(nanos),
            nanos,
            error: failed,
            weight: u64::from(span.weight),
        })
    }

    fn record(&mut self, span: &RecentSpan, target: Target, count: Count) {
        let arrived = self.now;
        let member = self.members.get_mut(target.member);
        member.record(count, target.instance, target.operation);
        member.delay.observe(arrived.nanos_since(span.end));
        member.last_seen = arrived;
        if span.weight > 1 {
            member.weighted += 1.0;
        }
    }

    /// Root spans of a service that nobody asks are its work.
    fn count_background(&mut self, span: &RecentSpan) -> SpanState {
        if span.parent.is_some() {
            return SpanState::Skipped;
        }
        let Some(count) = self.count_of(span, false) else { return SpanState::Skipped };
        let process = ProcessId(span.process);
        let target = self.tables().entry(process, Facet::Background, "work");
        self.record(span, target, count);
        SpanState::Skipped
    }

    fn count_entry(
        &mut self,
        (place, span): (Place, &RecentSpan),
        route: Route,
        target: Target,
        links: &[SpanLink],
        queue: Option<MemberId>,
        edge: Option<u32>,
    ) -> SpanState {
        let Some(count) = self.count_of(span, route.failed) else { return SpanState::Skipped };
        let member = self.members.get(target.member);
        if member.first_second.is_none() && matches!(member.identity(), Identity::Service(_, Facet::Processes)) {
            self.retract_chatter(self.processes.get(ProcessId(span.process)).service);
        }
        self.record(span, target, count);
        self.look_later(place, target.member);
        if let Some(queue) = queue {
            self.count_message(span, queue, edge, count, links);
        } else if let Some((_, parent)) = self.ring.parent(span) {
            let parent = *parent;
            self.pair(&parent, span, target.member);
        } else if span.parent.is_some() {
            return SpanState::Unpaired;
        }
        SpanState::Counted
    }

    /// A message that was done: out of the queue, with how long it waited where the producer is known.
    fn count_message(
        &mut self,
        span: &RecentSpan,
        queue: MemberId,
        edge: Option<u32>,
        count: Count,
        links: &[SpanLink],
    ) {
        if let Some(edge) = edge {
            self.edges.get_mut(edge).calls.record(count);
        }
        let sent = links
            .iter()
            .find_map(|link| self.ring.find(link.trace, link.span))
            .or_else(|| self.ring.parent(span))
            .filter(|(_, producer)| producer.kind == SpanKind::Producer)
            .map(|(_, producer)| producer.end);
        let flow = self.members.get_mut(queue).flow.get_or_insert_default();
        flow.done(count.second, count.weight);
        if let Some(sent) = sent {
            let nanos = span.start.nanos_since(sent);
            flow.waits.record(Count { nanos, bucket: Bucket::of_nanos(nanos), error: false, ..count });
        }
    }

    /// Messages that a poll brought, where the consumer sends no span for what it does with each: the
    /// poll then links to what produced them, and they are out of the queue when it ends.
    fn count_received(&mut self, span: &RecentSpan, queue: MemberId, links: &[SpanLink]) {
        if self.processes.service_of(ProcessId(span.process)).processes.is_some() {
            return;
        }
        let Some(count) = self.count_of(span, false) else { return };
        for link in links {
            let sent = self.ring.find(link.trace, link.span).map(|(_, producer)| *producer);
            let flow = self.members.get_mut(queue).flow.get_or_insert_default();
            flow.done(count.second, count.weight);
            if let Some(producer) = sent.filter(|producer| producer.kind == SpanKind::Producer) {
                let nanos = span.end.nanos_since(producer.end);
                flow.waits.record(Count { nanos, bucket: Bucket::of_nanos(nanos), error: false, ..count });
            }
        }
    }

    /// A message that was done by a consumer which sends no span for the doing: its settling, which
    /// comes once a message, stands for it.
    fn count_settled(&mut self, span: &RecentSpan, queue: MemberId) {
        let service = self.processes.service_of(ProcessId(span.process));
        if span.parent.is_some() || service.processes.is_some() || service.serves.is_some() {
            return;
        }
        self.count_background(span);
        let service = self.processes.service_of(ProcessId(span.process));
        let (Some(worker), Some(count)) = (service.background, self.count_of(span, false)) else { return };
        self.members.get_mut(worker).evidence.settles = true;
        if let Some(edge) = self.edges.resolve(Caller::Queue(queue), worker, self.config.limits.edges) {
            self.edges.get_mut(edge).calls.record(count);
        }
    }

    fn count_call(
        &mut self,
        span: &RecentSpan,
        route: Route,
        target: Target,
        (class, act): (PeerClass, Act),
        edge: Option<u32>,
        cache_hit: Option<bool>,
    ) -> SpanState {
        if !act.counts() || self.is_broker_chatter(span, class) {
            return SpanState::Skipped;
        }
        let Some(count) = self.count_of(span, route.failed) else { return SpanState::Skipped };
        self.record(span, target, count);
        if let Some(edge) = edge {
            self.edges.get_mut(edge).calls.record(count);
        }
        let member = self.members.get_mut(target.member);
        match act {
            Act::Send => member.flow.get_or_insert_default().sent(count.second, count.weight),
            Act::Read => member.evidence.reads += 1.0,
            Act::Write if !route.failed => member.evidence.writes += 1.0,
            _ => {}
        }
        if let Some(hit) = cache_hit {
            member.lookups.record(count.second, hit);
        }
        if class == PeerClass::Service {
            member.evidence.calls += 1.0;
        } else if span.parent.is_some() {
            return SpanState::Counted;
        } else {
            self.count_background(span);
        }
        SpanState::Counted
    }

    /// A call without a parent to a cache, from a service that takes messages, keeps its broker going.
    fn is_broker_chatter(&self, span: &RecentSpan, class: PeerClass) -> bool {
        class == PeerClass::Cache
            && !span.parent.is_some()
            && self.processes.service_of(ProcessId(span.process)).processes.is_some()
    }

    /// Takes back the calls of a service that turned out to keep a broker going, on its first message.
    fn retract_chatter(&mut self, service: ServiceId) {
        let chatter: Vec<(Place, RecentSpan)> = self
            .ring
            .all()
            .filter(|(_, span)| span.state == SpanState::Counted && !span.parent.is_some())
            .filter(|(_, span)| self.processes.get(ProcessId(span.process)).service == service)
            .filter(|(_, span)| matches!(self.routes.get(span.route).plan, Plan::Call { class: PeerClass::Cache, .. }))
            .map(|(place, span)| (place, *span))
            .collect();
        for (place, span) in chatter {
            // What is closed stays: it was work of the cache, after all.
            let _ = self.retract(&span);
            self.ring.set_state(place, SpanState::Skipped);
        }
    }

    /// Puts right what was counted of children before their parent came.
    fn meet_children(&mut self, span: &RecentSpan) {
        let children: Vec<(Place, RecentSpan)> =
            self.ring.children(span).take(CHILDREN_MET).map(|(place, child)| (place, *child)).collect();
        for (place, child) in children {
            match self.routes.get(child.route).plan {
                Plan::Entry { target, .. } if child.state == SpanState::Unpaired => {
                    self.pair(span, &child, target.member);
                    self.ring.set_state(place, SpanState::Counted);
                }
                Plan::Call { .. } if child.state == SpanState::Counted && self.is_detail(&child) => {
                    self.spans_detail += u64::from(self.retract(&child));
                    self.ring.set_state(place, SpanState::Skipped);
                }
                Plan::Inside if child.process == span.process => self.meet_children(&child),
                _ => {}
            }
        }
    }

    /// Takes back a call that was counted; `false` if its second is closed.
    pub(super) fn retract(&mut self, span: &RecentSpan) -> bool {
        let route = *self.routes.get(span.route);
        let (Plan::Call { target, act, edge, .. }, Some(count)) = (route.plan, self.count_of(span, route.failed))
        else {
            return false;
        };
        let member = self.members.get_mut(target.member);
        member.retract(count, target.instance, target.operation);
        if act == Act::Send
            && let Some(flow) = &mut member.flow
        {
            flow.unsent(count.second, count.weight);
        }
        if let Some(edge) = edge {
            self.edges.get_mut(edge).calls.retract(count);
        }
        true
    }

    /// Two halves of a call have met: `caller` is the parent, in another process, of `server`.
    fn pair(&mut self, caller: &RecentSpan, server: &RecentSpan, member: MemberId) {
        if caller.process == server.process {
            return;
        }
        let service = self.processes.get(ProcessId(caller.process)).service;
        let limit = self.config.limits.edges;
        let Some(edge) = self.edges.resolve(Caller::Service(service), member, limit) else { return };
        let route = *self.routes.get(caller.route);
        match route.plan {
            Plan::Call { target, .. } => {
                self.members.get_mut(target.member).evidence.pair(member);
                if let Some(call) = self.count_of(caller, route.failed) {
                    let edge = self.edges.get_mut(edge);
                    edge.calls.record(call);
                    edge.record_gap(call, server.nanos());
                }
            }
            // A balancer may pass the context on without a CLIENT span of its own: no gap is known then.
            Plan::Inside | Plan::Entry { .. } => {
                let failed = self.routes.get(server.route).failed;
                if let Some(call) = self.count_of(server, failed) {
                    self.edges.get_mut(edge).calls.record(call);
                }
                if let Plan::Entry { target, .. } = route.plan
                    && caller.path_hash == server.path_hash
                    && caller.path_hash != 0
                {
                    self.members.get_mut(target.member).evidence.proxied += 1.0;
                }
            }
        }
    }

    pub(super) fn tables(&mut self) -> Tables<'_> {
        Tables {
            processes: &mut self.processes,
            members: &mut self.members,
            edges: &mut self.edges,
            limits: &self.config.limits,
            now: self.now,
        }
    }
}

/// How many requests a span stands for, as a whole number: its fraction is rounded up or down by the
/// trace's id, so that sums over many traces come out right and the same input gives the same answer.
pub(super) fn whole_weight(span: &Span) -> u32 {
    if span.weight <= 1.0 || !span.weight.is_finite() {
        return 1;
    }
    let share = (span.trace.0 as u32) as f32 / u32::MAX as f32;
    let whole = span.weight.floor();
    (whole + f32::from(u8::from(share < span.weight - whole))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SpanId, TraceId};
    use crate::observation::ParentPlace;
    use crate::time::UnixNanos;

    #[test]
    fn fractional_weights_come_out_right_over_many_traces() {
        let span = |trace: u32| Span {
            trace: TraceId(u128::from(trace.wrapping_mul(2_654_435_769))),
            id: SpanId(1),
            parent: SpanId::NONE,
            start: UnixNanos(0),
            end: UnixNanos(1),
            path_hash: 0,
            weight: 3.25,
            shape: 0,
            links_start: 0,
            links_len: 0,
            parent_place: ParentPlace::Unknown,
            offset: 0,
        };
        let sum: u32 = (1..=10_000).map(|trace| whole_weight(&span(trace))).sum();
        assert!((32_300..32_700).contains(&sum), "{sum}");
    }
}
