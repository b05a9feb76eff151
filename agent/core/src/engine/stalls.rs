//! Stalls of the watched system: gaps in completions through which requests waited, and where these stood.
//!
//! 1. Each span is counted by its end: for the front, if nobody called it; for the process that sent it; and
//!    for the peer that it called. A process that stands ends nothing, be it a request or a call.
//! 2. Once a second gaps are looked for in what has settled (see [`crate::stalls`]).
//! 3. A gap is looked into when the requests of its end have had time to come. If the recent spans show
//!    requests that it held up, it was a stall; they stood in the deepest span that was open through it.
//! 4. What a process itself reports as a pause is told as a stall of it (`pauses`).
//! 5. While the front completes nothing, that is said as soon as anything shows that requests wait.

mod lasting;
mod pauses;
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
use crate::observation::{Span, SpanKind};
use crate::snapshot::StallView;
use crate::stalls::{BIN_NANOS, Completions, Gap, Waiting};
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use pauses::Pause;
use standing::Standing;

/// Instances and peers that are watched for standing still. About 8 kB each.
const MOST_STREAMS: usize = 256;
/// So long after a gap those that it held up have ended.
const LOOK_AFTER_NANOS: u64 = NANOS_PER_SECOND / 2;
/// Gaps that are looked into at one tick.
const LOOKS_PER_TICK: usize = 64;
/// Stalls that are told, and for how long.
const MOST_TOLD: usize = 20;
const TOLD_FOR_NANOS: u64 = 600 * NANOS_PER_SECOND;
/// Traces that are named with a stall.
const EXAMPLES: usize = 5;
/// Traces by which a stall is known again.
const TRACES_KNOWN: usize = 32;
/// Seconds before a gap that tell how long requests usually take.
const USUAL_S: u64 = 30;
/// A request is as usual that takes no longer than this share of its kind: stalls that come again and again
/// are in what is usual, too.
const USUAL_QUANTILE: f64 = 0.8;

/// Whose completions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Those of requests that come from outside.
    Front,
    /// Those of an instance of a service, or of a peer: an index into [`Stalls::streams`].
    One(u32),
}

/// Who may stand still alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Watched {
    /// An instance of a service.
    Process(ProcessId),
    /// Somebody who is called and sends no spans.
    Peer(MemberId),
}

/// Completions of one of them.
#[derive(Debug)]
struct Stream {
    watched: Watched,
    completions: Completions,
}

/// What the spans of a route count for.
#[derive(Clone, Copy, Debug, Default)]
struct RouteUse {
    is_known: bool,
    /// Without a parent, they are requests from outside.
    is_front: bool,
    process: Option<u32>,
    peer: Option<u32>,
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
    by_watched: HashMap<Watched, u32, FixedState>,
    /// By the route's index.
    routes: Vec<RouteUse>,
    due: Vec<(Whose, Gap)>,
    found: VecDeque<Found>,
    /// What processes said of pauses of their own, lately, and which say any.
    pauses: Vec<Pause>,
    tell_of_pauses: Vec<ProcessId>,
}

/// The requests that a gap held up, the longest first.
#[derive(Default)]
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
        let RouteUse { is_front, process, peer, .. } = self.routes[index];
        for stream in [process, peer].into_iter().flatten() {
            self.streams[stream as usize].completions.record(span.end);
        }
        if is_front && !span.parent.is_some() {
            self.front.record(span.end);
            self.front_member = target(plan).map(|target| target.member);
        }
    }

    fn use_of(&mut self, plan: &Plan, process: ProcessId, members: &Members) -> RouteUse {
        let mut used = RouteUse { is_known: true, ..RouteUse::default() };
        match *plan {
            Plan::Entry { health_check: true, .. } => return used,
            Plan::Entry { target, .. } => {
                used.is_front = matches!(members.get(target.member).identity(), Identity::Service(_, Facet::Serves));
            }
            Plan::Call { act, .. } if !act.counts() => return used,
            // A caller outside of the system that sends spans itself, such as a load generator.
            Plan::Call { class: PeerClass::Service, .. } => used.is_front = true,
            Plan::Call { target, .. } => used.peer = self.stream(Watched::Peer(target.member)),
            Plan::Inside => {}
        }
        used.process = self.stream(Watched::Process(process));
        used
    }

    fn stream(&mut self, watched: Watched) -> Option<u32> {
        if let Some(known) = self.by_watched.get(&watched) {
            return Some(*known);
        }
        if self.streams.len() >= MOST_STREAMS {
            return None;
        }
        let index = self.streams.len() as u32;
        self.streams.push(Stream { watched, completions: Completions::default() });
        self.by_watched.insert(watched, index);
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
            let Some(member) = self.watched_member(self.stalls.streams[index].watched) else { continue };
            let settled = self.settled(self.members.get(member));
            let gaps = self.stalls.streams[index].completions.judge(settled);
            self.stalls.due.extend(gaps.into_iter().map(|gap| (Whose::One(index as u32), gap)));
        }
        let due = std::mem::take(&mut self.stalls.due);
        let (mut ready, later): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, gap)| gap.end.plus_nanos(LOOK_AFTER_NANOS) <= front_settled);
        self.stalls.due = later;
        // The front first: what it says goes for the instances, too.
        ready.sort_by_key(|(whose, gap)| (*whose != Whose::Front, std::cmp::Reverse(gap.nanos())));
        ready.truncate(LOOKS_PER_TICK);
        self.tell_pauses();
        let known = self.known();
        for ((whose, gap), held) in ready.iter().zip(self.held_up(&ready)) {
            if held.waiting.is_stall() {
                for (place, _) in held.spans.iter().take(EXAMPLES) {
                    self.keep_stalled(*place);
                }
                for (place, span) in &held.spans {
                    if let Some(choosing) = &mut self.choosing {
                        choosing.note_stalled(span.trace, *place);
                    }
                }
                let found = self.found(*whose, *gap, &held, &known);
                self.stalls.tell(found);
            }
        }
        let mut found = std::mem::take(&mut self.stalls.found);
        for stall in &mut found {
            self.name_stall(stall, &known);
        }
        self.stalls.found = found;
    }

    /// Where a trace stood, if in a stall.
    pub(super) fn stood_in(&self, trace: TraceId) -> Option<String> {
        let stall = self.stalls.found.iter().find(|found| found.traces.contains(&trace))?;
        let view = &stall.view;
        let edge = || view.edge.as_ref().map(|(from, to)| format!("{from} -> {to}"));
        Some(view.tier.clone().or_else(edge).unwrap_or_else(|| "front".to_owned()))
    }

    /// What is told of stalls: the one that lasts, then the newest first.
    pub(super) fn stall_views(&self) -> Vec<StallView> {
        let named = self.stalls.found.iter().map(|found| found.view.clone());
        self.lasting_stall().into_iter().chain(named).take(MOST_TOLD).collect()
    }

    /// The requests that each of some gaps held up, from one walk over the recent spans.
    fn held_up(&self, gaps: &[(Whose, Gap)]) -> Vec<HeldUp> {
        let mut usual: HashMap<(usize, MemberId, u32), Option<f64>, FixedState> = HashMap::default();
        let mut held: Vec<HeldUp> = gaps.iter().map(|_| HeldUp::default()).collect();
        let Some(oldest) = gaps.iter().map(|(_, gap)| gap.end.minus_nanos(BIN_NANOS)).min() else { return held };
        let recent = self.ring.all().filter(|(_, span)| span.end >= oldest && span.state != SpanState::Skipped);
        for (place, span) in recent {
            let Some(target) = target(&self.routes.get(span.route).plan) else { continue };
            for (index, (whose, gap)) in gaps.iter().enumerate() {
                if !gap.ends_within(gap.start, span.end) || !self.is_request_of(span, *whose) {
                    continue;
                }
                let (waiting, start) = self.waited(place, span, *whose);
                let usual = *usual
                    .entry((index, target.member, target.operation))
                    .or_insert_with(|| self.usual_nanos(target, gap.start));
                if held[index].waiting.look(gap, (start, span.end), usual) {
                    let stands = if gap.overlap(span.start, span.end) < gap.nanos() / 2 { waiting } else { place };
                    held[index].spans.extend(self.ring.get(stands).map(|span| (stands, *span)));
                }
            }
        }
        for held in &mut held {
            held.spans.sort_by_key(|(_, span)| std::cmp::Reverse(span.nanos()));
        }
        held
    }

    /// Since when a request waited, by its own clock, and the span that shows it. A process that stands takes no
    /// request, so those that come meanwhile wait in their callers' spans.
    fn waited(&self, place: Place, span: &RecentSpan, whose: Whose) -> (Place, UnixNanos) {
        let caller = match whose {
            Whose::Front => None,
            Whose::One(_) => self.ring.parent(span).filter(|(_, parent)| parent.process != span.process),
        };
        match caller {
            Some((caller, parent)) if parent.kind == SpanKind::Client && parent.nanos() > span.nanos() => {
                (caller, span.end.minus_nanos(parent.nanos()))
            }
            _ => (place, span.start),
        }
    }

    /// Whether a span is a request from outside, one that a process took, or one that a peer was asked.
    fn is_request_of(&self, span: &RecentSpan, whose: Whose) -> bool {
        let Some(used) = self.stalls.routes.get(span.route as usize) else { return false };
        match whose {
            Whose::Front => used.is_front && !span.parent.is_some(),
            Whose::One(stream) => {
                let is_call = matches!(self.routes.get(span.route).plan, Plan::Call { .. });
                if is_call { used.peer == Some(stream) } else { used.process == Some(stream) }
            }
        }
    }

    fn watched_member(&self, watched: Watched) -> Option<MemberId> {
        match watched {
            Watched::Process(process) => self.member_of(process.0),
            Watched::Peer(member) => Some(member),
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
        if let (0, Some(instance)) = (view.requests, &view.instance) {
            view.summary = format!("{instance} stood still for at least {} ms, as it says itself", view.length_ms);
            return;
        }
        view.summary = format!("{} requests stood for {} ms{place}", view.requests, view.length_ms);
    }

    /// The instance of a stream, if the requests stood in it and its siblings went on through the gap.
    fn alone(&self, stream: u32, gap: &Gap, stood_in: MemberId, known: &Known) -> Option<String> {
        let own = self.stalls.streams[stream as usize].watched;
        let own_member = self.watched_member(own)?;
        let row = self.tier_id(own_member, known);
        let is_same = |member: MemberId| member == own_member || row.is_some() && self.tier_id(member, known) == row;
        if !is_same(stood_in) {
            return None;
        }
        let (mut usual, mut ended) = (0.0, 0);
        for (index, other) in self.stalls.streams.iter().enumerate() {
            if index as u32 != stream && self.watched_member(other.watched).is_some_and(is_same) {
                usual += other.completions.usual_before(gap.start).unwrap_or_default();
                ended += other.completions.between(gap.start, gap.end);
            }
        }
        let expected = usual * gap.nanos() as f64 / NANOS_PER_SECOND as f64;
        let went_on = expected > 0.0 && ended as f64 >= expected / 2.0;
        went_on.then(|| match own {
            Watched::Process(process) => self.process_name(process),
            Watched::Peer(member) => self.peer_address(member),
        })
    }
}

/// Where a span is counted.
pub(super) fn target(plan: &Plan) -> Option<Target> {
    match *plan {
        Plan::Entry { target, .. } | Plan::Call { target, .. } => Some(target),
        Plan::Inside => None,
    }
}
