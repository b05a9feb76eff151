//! Stalls of the watched system: gaps in completions through which requests waited, and where these stood.
//!
//! 1. Each span is counted once by its end: for the front, if nobody called it, and for its member's
//!    instance, or the peer that it called.
//! 2. Once a second gaps are looked for in what has settled (see [`crate::stalls`]).
//! 3. A gap is looked into when the requests of its end have had time to come. If the recent spans show
//!    requests that it held up, it was a stall; they stood in the deepest span that was open through it.
//! 4. While the front completes nothing, that is said as soon as anything shows that requests wait.

mod lasting;
mod standing;

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Engine;
use super::members::{Facet, Identity, MemberId, Members};
use super::naming::Known;
use super::processes::ProcessId;
use super::ring::{Place, RecentSpan, SpanState};
use super::routes::{Plan, Target};
use crate::classify::PeerClass;
use crate::id::TraceId;
use crate::observation::Span;
use crate::snapshot::StallView;
use crate::stalls::{Completions, Gap, Waiting};
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use standing::Standing;

/// Instances and peers that are watched for standing still. About 8 kB each.
const MOST_STREAMS: usize = 256;
/// So long after a gap those that it held up have ended.
const LOOK_AFTER_NANOS: u64 = NANOS_PER_SECOND / 2;
/// Gaps that are looked into at one tick: each is a walk over the recent spans.
const LOOKS_PER_TICK: usize = 8;
/// Stalls that are told, and for how long.
const MOST_TOLD: usize = 20;
const TOLD_FOR_NANOS: u64 = 600 * NANOS_PER_SECOND;
/// Traces that are named with a stall.
const EXAMPLES: usize = 5;
/// Traces by which a stall is known again.
const TRACES_KNOWN: usize = 32;
/// Seconds before a gap that tell how long requests usually take.
const USUAL_S: u64 = 30;
/// A request is as usual that takes no longer than this share of its kind.
const USUAL_QUANTILE: f64 = 0.9;

/// Whose completions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Those of requests that come from outside.
    Front,
    /// Those of an instance of a service, or of a peer: an index into [`Stalls::streams`].
    One(u32),
}

/// Completions of an instance of a service, or of a peer.
#[derive(Debug)]
struct Stream {
    member: MemberId,
    process: Option<ProcessId>,
    completions: Completions,
}

/// What the spans of a route count for.
#[derive(Clone, Copy, Debug, Default)]
struct RouteUse {
    stream: Option<u32>,
    is_known: bool,
    /// Without a parent, they are requests from outside.
    is_front: bool,
}

/// A stall that was found.
#[derive(Debug)]
struct Found {
    gap: Gap,
    /// Some of the traces that stood in it: by these it is known again, whatever clocks say.
    traces: Vec<TraceId>,
    /// Where the requests stood; its names follow what is learned of the tiers, until they are forgotten.
    standing: Option<Standing>,
    view: StallView,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    front: Completions,
    /// Who took the last request from outside.
    front_member: Option<MemberId>,
    streams: Vec<Stream>,
    by_whose: HashMap<(MemberId, Option<ProcessId>), u32, FixedState>,
    /// By the route's index.
    routes: Vec<RouteUse>,
    due: Vec<(Whose, Gap)>,
    found: VecDeque<Found>,
}

/// The requests that a gap held up, the longest first.
struct HeldUp {
    spans: Vec<(Place, RecentSpan)>,
    waiting: Waiting,
}

impl Stalls {
    /// Counts a span by its end. `route` is the index of its classification.
    pub(super) fn note(&mut self, span: &Span, (route, plan): (u32, &Plan), process: ProcessId, members: &Members) {
        let index = route as usize;
        if self.routes.len() <= index {
            self.routes.resize(index + 1, RouteUse::default());
        }
        if !self.routes[index].is_known {
            self.routes[index] = self.use_of(plan, process, members);
        }
        let RouteUse { stream, is_front, .. } = self.routes[index];
        if let Some(stream) = stream {
            self.streams[stream as usize].completions.record(span.end);
        }
        if is_front && !span.parent.is_some() {
            self.front.record(span.end);
            self.front_member = target(plan).map(|target| target.member);
        }
    }

    fn use_of(&mut self, plan: &Plan, process: ProcessId, members: &Members) -> RouteUse {
        let unused = RouteUse { is_known: true, ..RouteUse::default() };
        match *plan {
            Plan::Entry { target, health_check: false, .. } => {
                let serves = matches!(members.get(target.member).identity(), Identity::Service(_, Facet::Serves));
                RouteUse { stream: self.stream(target.member, Some(process)), is_front: serves, ..unused }
            }
            // A caller outside of the system that sends spans itself, such as a load generator.
            Plan::Call { class: PeerClass::Service, act, .. } if act.counts() => RouteUse { is_front: true, ..unused },
            Plan::Call { target, act, .. } if act.counts() => {
                RouteUse { stream: self.stream(target.member, None), ..unused }
            }
            _ => unused,
        }
    }

    fn stream(&mut self, member: MemberId, process: Option<ProcessId>) -> Option<u32> {
        if let Some(known) = self.by_whose.get(&(member, process)) {
            return Some(*known);
        }
        if self.streams.len() >= MOST_STREAMS {
            return None;
        }
        let index = self.streams.len() as u32;
        self.streams.push(Stream { member, process, completions: Completions::default() });
        self.by_whose.insert((member, process), index);
        Some(index)
    }

    /// Forgets all that points to members, processes and routes; stalls that were named stay.
    pub(super) fn forget_indices(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        for stall in &mut found {
            stall.standing = None;
        }
        *self = Self { found, ..Self::default() };
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let streams: usize = self.streams.iter().map(|stream| stream.completions.heap_bytes()).sum();
        streams + self.front.heap_bytes() + self.routes.capacity() * size_of::<RouteUse>()
    }

    /// Adds a stall, unless the same time is told already; then at most an instance is added to it.
    fn tell(&mut self, new: Found) {
        let is_same = |known: &Found| {
            known.gap.coincides(&new.gap) || known.traces.iter().any(|trace| new.traces.contains(trace))
        };
        if let Some(known) = self.found.iter_mut().find(|known| is_same(known)) {
            let place = |found: &Found| found.standing.as_ref().map(|standing| (standing.member, standing.edge));
            if known.view.instance.is_none() && place(known) == place(&new) {
                known.view.instance = new.view.instance;
            }
            return;
        }
        self.found.push_front(new);
        self.found.truncate(MOST_TOLD);
    }
}

impl Engine {
    /// Looks for gaps in what has settled, and into those whose requests have come.
    pub(super) fn find_stalls(&mut self) {
        let oldest = self.now.minus_nanos(TOLD_FOR_NANOS);
        self.stalls.found.retain(|found| found.gap.end >= oldest);
        let Some(front_member) = self.stalls.front_member else { return };
        let front_settled = self.settled(self.members.get(front_member));
        let gaps = self.stalls.front.judge(front_settled);
        self.stalls.due.extend(gaps.into_iter().map(|gap| (Whose::Front, gap)));
        for index in 0..self.stalls.streams.len() {
            let settled = self.settled(self.members.get(self.stalls.streams[index].member));
            let gaps = self.stalls.streams[index].completions.judge(settled);
            self.stalls.due.extend(gaps.into_iter().map(|gap| (Whose::One(index as u32), gap)));
        }
        let due = std::mem::take(&mut self.stalls.due);
        let (mut ready, later): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, gap)| gap.end.plus_nanos(LOOK_AFTER_NANOS) <= front_settled);
        // The front first: what it says goes for the instances, too.
        ready.sort_by_key(|(whose, gap)| (*whose != Whose::Front, gap.start));
        self.stalls.due = later;
        let known = self.known();
        for (whose, gap) in ready.into_iter().take(LOOKS_PER_TICK) {
            let held = self.held_up(whose, &gap);
            if held.waiting.is_stall() {
                for (place, _) in held.spans.iter().take(EXAMPLES) {
                    self.keep_stalled(*place);
                }
                let found = self.found(whose, gap, &held, &known);
                self.stalls.tell(found);
            }
        }
        let mut found = std::mem::take(&mut self.stalls.found);
        for stall in &mut found {
            self.name_stall(stall, &known);
        }
        self.stalls.found = found;
    }

    /// What is told of stalls: the one that lasts, then the newest first.
    pub(super) fn stall_views(&self) -> Vec<StallView> {
        let named = self.stalls.found.iter().map(|found| found.view.clone());
        self.lasting_stall().into_iter().chain(named).take(MOST_TOLD).collect()
    }

    fn held_up(&self, whose: Whose, gap: &Gap) -> HeldUp {
        let mut usual: HashMap<(MemberId, u32), Option<f64>, FixedState> = HashMap::default();
        let mut held = HeldUp { spans: Vec::new(), waiting: Waiting::default() };
        for (place, span) in self.ring.all() {
            if !gap.ends_within(span.start, span.end) || !self.is_of(span, whose) {
                continue;
            }
            let Some(target) = target(&self.routes.get(span.route).plan) else { continue };
            let usual =
                *usual.entry((target.member, target.operation)).or_insert_with(|| self.usual_nanos(target, gap.start));
            if held.waiting.look(gap, (span.start, span.end), usual) {
                held.spans.push((place, *span));
            }
        }
        held.spans.sort_by_key(|(_, span)| std::cmp::Reverse(span.nanos()));
        held
    }

    /// Whether a span is one of those whose ends were counted.
    fn is_of(&self, span: &RecentSpan, whose: Whose) -> bool {
        let Some(used) = self.stalls.routes.get(span.route as usize) else { return false };
        match whose {
            Whose::Front => used.is_front && !span.parent.is_some(),
            Whose::One(stream) => used.stream == Some(stream) && span.state != SpanState::Skipped,
        }
    }

    /// What requests of a kind took at most, as a rule, before a point in time.
    fn usual_nanos(&self, target: Target, before: UnixNanos) -> Option<f64> {
        let last = before.second().minus(1);
        let operation = self.members.get(target.member).operations.get(target.operation as usize)?;
        let usual = operation.seconds.sum(last.minus(USUAL_S), last);
        usual.latency.quantile_ms(USUAL_QUANTILE).map(|ms| ms * 1e6)
    }

    fn found(&self, whose: Whose, gap: Gap, held: &HeldUp, known: &Known) -> Found {
        let standing = self.standing(held, &gap);
        let instance = match whose {
            Whose::Front => None,
            Whose::One(stream) => standing.member.and_then(|member| self.alone(stream, &gap, member, known)),
        };
        let mut traces: Vec<TraceId> = Vec::new();
        for (_, span) in &held.spans {
            if traces.len() < TRACES_KNOWN && !traces.contains(&span.trace) {
                traces.push(span.trace);
            }
        }
        let view = StallView {
            start_unix_ms: gap.start.as_millis(),
            length_ms: gap.nanos() / 1_000_000,
            instance,
            requests: held.waiting.affected,
            traces: traces.iter().take(EXAMPLES).map(TraceId::to_string).collect(),
            ..StallView::default()
        };
        Found { gap, traces, standing: Some(standing), view }
    }

    /// Puts where the requests stood into words.
    fn name_stall(&self, found: &mut Found, known: &Known) {
        let Some(standing) = &found.standing else { return };
        let id = |member: MemberId| self.tier_id(member, known);
        let view = &mut found.view;
        view.tier = standing.member.and_then(id);
        view.edge = standing.edge.and_then(|(from, to)| Some((id(from)?, id(to)?)));
        view.first_moved = standing
            .first_moved
            .as_ref()
            .map(|(member, operation)| format!("{}: {operation}", id(*member).unwrap_or_default()));
        let place = match (&view.instance, &view.edge, &view.tier) {
            (Some(instance), ..) => format!(" in {instance} while its siblings went on"),
            (None, Some((from, to)), _) => format!(" between {from} and {to}"),
            (None, None, Some(tier)) => format!(" in {tier}"),
            (None, None, None) => String::new(),
        };
        view.summary = format!("{} requests stood for {} ms{place}", view.requests, view.length_ms);
    }

    /// The instance of a stream, if the requests stood in it and its siblings went on through the gap.
    fn alone(&self, stream: u32, gap: &Gap, stood_in: MemberId, known: &Known) -> Option<String> {
        let own = &self.stalls.streams[stream as usize];
        let row = |member: MemberId| self.tier_id(member, known);
        let is_same =
            |member: MemberId| member == own.member || row(own.member).is_some_and(|id| row(member) == Some(id));
        if !is_same(stood_in) {
            return None;
        }
        let (mut usual, mut ended) = (0.0, 0);
        for (index, other) in self.stalls.streams.iter().enumerate() {
            if index as u32 != stream && is_same(other.member) {
                usual += other.completions.usual_before(gap.start).unwrap_or_default();
                ended += other.completions.between(gap.start, gap.end);
            }
        }
        let expected = usual * gap.nanos() as f64 / NANOS_PER_SECOND as f64;
        let went_on = expected > 0.0 && ended as f64 >= expected / 2.0;
        went_on.then(|| self.instance_name(own.member, own.process))
    }
}

/// Where a span is counted.
pub(super) fn target(plan: &Plan) -> Option<Target> {
    match *plan {
        Plan::Entry { target, .. } | Plan::Call { target, .. } => Some(target),
        Plan::Inside => None,
    }
}
