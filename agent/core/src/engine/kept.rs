//! The traces that are kept whole, whatever a screen sorts by: of each operation the slowest, those that
//! failed and a uniform sample; and those that stood in a stall.
//!
//! 1. Root spans are noted as they come: of each route the slowest of the second, and the one with the least
//!    hash of its id. The least hashes of all that came are a uniform sample, without counting.
//! 2. Once a second these become candidates, and wait until their family has had time to come.
//! 3. One that is still worth its place is then gathered from the ring of recent spans and drawn
//!    (`family`). Over the budget the oldest of the operation that has most gives way.

mod family;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Engine;
use super::naming::Known;
use super::ring::{Place, RecentSpan};
use super::routes::Plan;
use super::stalls::target;
use crate::id::TraceId;
use crate::observation::Span;
use crate::snapshot::{KeptFor, TraceView};
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// Traces that are kept in all, and the bytes that they may take.
const MOST_TRACES: usize = 48;
const MOST_BYTES: usize = 1 << 20;
/// Older ones give way.
const KEPT_FOR_NANOS: u64 = 600 * NANOS_PER_SECOND;
/// A family has come when the longest delay that was seen lately has passed, within these bounds.
const COMES_WITHIN_S: std::ops::RangeInclusive<f64> = 1.0..=10.0;
/// Candidates that wait for their families.
const MOST_CANDIDATES: usize = 1024;
/// Traces that are gathered at one tick.
const GATHERED_PER_TICK: usize = 32;

/// How many of an operation are kept for each reason; of stalls, how many of all.
fn quota(why: KeptFor) -> usize {
    match why {
        KeptFor::Slowest => 3,
        KeptFor::Failed | KeptFor::Sample => 2,
        KeptFor::Stalled => 12,
    }
}

/// What is worth keeping of a route's last second.
#[derive(Clone, Copy, Debug, Default)]
struct RouteSecond {
    /// The slowest, by nanoseconds.
    slowest: Option<(u64, Place)>,
    /// The one with the least hash.
    sample: Option<(u64, Place)>,
    failed: bool,
}

/// A root span whose family is under way.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    due: UnixNanos,
    root: Place,
    why: KeptFor,
}

/// What one trace is worth.
#[derive(Clone, Debug)]
struct Worth {
    tier: String,
    operation: String,
    why: KeptFor,
    nanos: u64,
    hash: u64,
    end: UnixNanos,
}

/// A trace that is kept.
#[derive(Debug)]
struct Kept {
    trace: TraceId,
    worth: Worth,
    view: Arc<TraceView>,
    bytes: usize,
    /// Its root in the ring, while that may still be there.
    root: Option<Place>,
    /// What was known of tiers when it was drawn.
    drawn_knowing: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct KeptTraces {
    /// By the route's index.
    seconds: HashMap<u32, RouteSecond, FixedState>,
    candidates: VecDeque<Candidate>,
    kept: Vec<Kept>,
}

impl KeptTraces {
    /// Takes note of a span, if it is a root. `route` is the index of its classification and whether it failed.
    pub(super) fn note(&mut self, span: &Span, place: Place, (route, failed): (u32, bool)) {
        if span.parent.is_some() {
            return;
        }
        let second = self.seconds.entry(route).or_default();
        second.failed = failed;
        let nanos = span.end.nanos_since(span.start);
        if second.slowest.is_none_or(|(slowest, _)| nanos > slowest) {
            second.slowest = Some((nanos, place));
        }
        let hash = hash(span.trace);
        if second.sample.is_none_or(|(least, _)| hash < least) {
            second.sample = Some((hash, place));
        }
    }

    /// Forgets all that points to routes and places; what is drawn stays.
    pub(super) fn forget_indices(&mut self) {
        self.seconds.clear();
        self.candidates.clear();
        for kept in &mut self.kept {
            kept.root = None;
        }
    }

    /// The traces, newest first.
    pub(super) fn views(&self) -> Vec<Arc<TraceView>> {
        let mut views: Vec<Arc<TraceView>> = self.kept.iter().map(|kept| Arc::clone(&kept.view)).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.start_unix_ms));
        views
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.seconds.capacity() * (size_of::<RouteSecond>() + 5)
            + self.candidates.capacity() * size_of::<Candidate>()
            + self.kept.iter().map(|kept| kept.bytes).sum::<usize>()
    }

    /// Makes candidates of what the last second brought.
    fn close_second(&mut self, due: UnixNanos) {
        for (_, second) in self.seconds.drain() {
            let slowest = if second.failed { KeptFor::Failed } else { KeptFor::Slowest };
            let sample = second.sample.map(|(_, root)| (root, KeptFor::Sample));
            let all = second.slowest.map(|(_, root)| (root, slowest)).into_iter().chain(sample);
            self.candidates.extend(all.map(|(root, why)| Candidate { due, root, why }));
        }
        while self.candidates.len() > MOST_CANDIDATES {
            self.candidates.pop_front();
        }
    }

    /// Makes room for a trace, if it is worth more than another, or there is room. Returns whether it may come.
    fn make_room(&mut self, new: &Worth) -> bool {
        let is_like = |kept: &Kept| {
            let same = kept.worth.tier == new.tier && kept.worth.operation == new.operation;
            kept.worth.why == new.why && (same || new.why == KeptFor::Stalled)
        };
        let alike: Vec<usize> = (0..self.kept.len()).filter(|place| is_like(&self.kept[*place])).collect();
        if alike.len() < quota(new.why) {
            return true;
        }
        let worth = |place: &usize| {
            let worth = &self.kept[*place].worth;
            match new.why {
                KeptFor::Slowest => worth.nanos,
                KeptFor::Sample => u64::MAX - worth.hash,
                KeptFor::Failed | KeptFor::Stalled => worth.end.0,
            }
        };
        let own = match new.why {
            KeptFor::Slowest => new.nanos,
            KeptFor::Sample => u64::MAX - new.hash,
            KeptFor::Failed | KeptFor::Stalled => new.end.0,
        };
        match alike.into_iter().min_by_key(worth) {
            Some(least) if worth(&least) < own => {
                self.kept.swap_remove(least);
                true
            }
            _ => false,
        }
    }

    fn keep(&mut self, new: Kept) {
        self.kept.push(new);
        while self.kept.len() > MOST_TRACES || self.kept.iter().map(|kept| kept.bytes).sum::<usize>() > MOST_BYTES {
            let gives_way = |place: &usize| {
                let worth = &self.kept[*place].worth;
                let is_like = |kept: &&Kept| kept.worth.tier == worth.tier && kept.worth.operation == worth.operation;
                (std::cmp::Reverse(self.kept.iter().filter(is_like).count()), worth.end)
            };
            let Some(place) = (0..self.kept.len()).min_by_key(gives_way) else { return };
            self.kept.swap_remove(place);
        }
    }
}

impl Engine {
    /// Keeps the trace of a span that stood in a stall. Its family has come.
    pub(super) fn keep_stalled(&mut self, place: Place) {
        let Some(root) = self.top_of(place) else { return };
        self.kept.candidates.push_front(Candidate { due: self.now, root, why: KeptFor::Stalled });
    }

    /// The span at the top of those that a span is part of; `None` if it is gone.
    pub(super) fn top_of(&self, place: Place) -> Option<Place> {
        let mut at = *self.ring.get(place)?;
        let mut top = place;
        for _ in 0..family::DEEPEST {
            let Some((place, parent)) = self.ring.parent(&at) else { break };
            (top, at) = (place, *parent);
        }
        Some(top)
    }

    /// Makes candidates, and keeps those whose families have come, or are about to be overwritten in the ring.
    pub(super) fn keep_traces(&mut self) {
        let oldest = self.now.minus_nanos(KEPT_FOR_NANOS);
        self.kept.kept.retain(|kept| kept.worth.end >= oldest);
        self.kept.close_second(self.families_come_by());
        let known = self.known();
        let mut gathered = 0;
        while let Some(&Candidate { due, root, why }) = self.kept.candidates.front()
            && (due <= self.now || self.ring.is_aging(root))
            && gathered < GATHERED_PER_TICK
        {
            self.kept.candidates.pop_front();
            gathered += usize::from(self.keep_trace(root, why, &known));
        }
        self.draw_again(&known);
    }

    /// When the families of spans that came up to now have come.
    pub(super) fn families_come_by(&self) -> UnixNanos {
        let within_s = self.longest_delay_s().clamp(*COMES_WITHIN_S.start(), *COMES_WITHIN_S.end());
        self.now.plus_nanos((within_s * NANOS_PER_SECOND as f64) as u64)
    }

    /// Draws traces again whose tiers are known by other names by now, as far as their spans are still there.
    fn draw_again(&mut self, known: &Known) {
        let knowing = FixedState::default().hash_one(known);
        let mut all = std::mem::take(&mut self.kept.kept);
        for kept in all.iter_mut().filter(|kept| kept.drawn_knowing != knowing) {
            let root = kept.root.and_then(|root| self.ring.get(root)).filter(|root| root.trace == kept.trace);
            let Some(root) = root else { continue };
            let Some(tier) = self.tier_of_root(root, known) else { continue };
            let view = self.draw_trace(root, &tier, kept.worth.why, known);
            (kept.worth.tier, kept.drawn_knowing) = (tier, knowing);
            if *kept.view != view {
                kept.view = Arc::new(view);
            }
        }
        self.kept.kept = all;
    }

    fn tier_of_root(&self, root: &RecentSpan, known: &Known) -> Option<String> {
        let counted = target(&self.routes.get(root.route).plan).map(|target| target.member);
        self.tier_id(counted.or_else(|| self.member_of(root.process))?, known)
    }

    /// Gathers and keeps a trace, if it is worth it.
    fn keep_trace(&mut self, place: Place, why: KeptFor, known: &Known) -> bool {
        let Some(root) = self.ring.get(place).copied() else { return false };
        if let Some(kept) = self.kept.kept.iter_mut().find(|kept| kept.trace == root.trace) {
            if why == KeptFor::Stalled {
                kept.worth.why = why;
                Arc::make_mut(&mut kept.view).kept_for = why;
            }
            return false;
        }
        match self.routes.get(root.route).plan {
            Plan::Entry { health_check: true, .. } => return false,
            Plan::Call { act, .. } if !act.counts() => return false,
            _ => {}
        }
        let Some(tier) = self.tier_of_root(&root, known) else { return false };
        let worth = Worth {
            tier,
            operation: self.routes.operation(root.route).to_owned(),
            why,
            nanos: root.nanos(),
            hash: hash(root.trace),
            end: root.end,
        };
        if !self.kept.make_room(&worth) {
            return false;
        }
        let view = self.draw_trace(&root, &worth.tier, why, known);
        let bytes = family::heap_bytes(&view) + size_of::<Kept>();
        let drawn_knowing = FixedState::default().hash_one(known);
        let (trace, view) = (root.trace, Arc::new(view));
        self.kept.keep(Kept { trace, worth, view, bytes, root: Some(place), drawn_knowing });
        true
    }
}

fn hash(trace: TraceId) -> u64 {
    FixedState::default().hash_one(trace.0)
}
