//! Who calls whom.
//!
//! A call to a peer without spans of its own is an edge as soon as the caller's span arrives. A call
//! to a service is an edge once both halves have met: the caller's CLIENT span and the callee's
//! SERVER span, whose difference is the *gap*: network, accept queue, connection pool. Durations
//! only are compared, so clocks need not agree.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::history::{History, Shed};
use super::members::MemberId;
use super::processes::ServiceId;
use crate::distribution::Bucket;
use crate::slots::{Count, Slots};
use crate::time::UnixSecond;

/// Seconds of gaps that are kept.
const GAP_SECONDS: usize = 60;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// A service, whichever side of it.
    Service(ServiceId),
    /// A queue that hands a message on.
    Queue(MemberId),
}

/// One edge with its figures, as the caller sees them.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: Caller,
    pub(crate) to: MemberId,
    pub(crate) calls: History,
    pub(crate) gaps: Slots,
    /// Hash of the instrumentation whose spans show these calls.
    scope: Option<u64>,
    /// Several instrumentations show these calls: one call may have several spans.
    pub(crate) is_layered: bool,
}

/// All edges.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    list: Vec<Edge>,
    by_ends: HashMap<(Caller, MemberId), u32, FixedState>,
    /// Calls on edges that came after the table was full.
    pub(crate) folded: u64,
}

impl Edges {
    /// The edge between two, made if it is new; `None` when the table is full.
    pub(crate) fn resolve(&mut self, from: Caller, to: MemberId, limit: usize) -> Option<u32> {
        if let Some(index) = self.by_ends.get(&(from, to)) {
            return Some(*index);
        }
        if self.list.len() >= limit {
            self.folded += 1;
            return None;
        }
        let index = self.list.len() as u32;
        self.list.push(Edge {
            from,
            to,
            calls: History::default(),
            gaps: Slots::new(1, GAP_SECONDS),
            scope: None,
            is_layered: false,
        });
        self.by_ends.insert((from, to), index);
        Some(index)
    }

    /// Forgets edges whose ends are gone. Indexes change: nothing may point to an edge any more.
    pub(crate) fn retain(&mut self, keep: impl Fn(Caller, MemberId) -> bool) {
        self.list.retain(|edge| keep(edge.from, edge.to));
        let ends = self.list.iter().enumerate();
        self.by_ends = ends.map(|(index, edge)| ((edge.from, edge.to), index as u32)).collect();
    }

    pub(crate) fn get(&self, index: u32) -> &Edge {
        &self.list[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Edge {
        &mut self.list[index as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Edge> {
        self.list.iter()
    }

    /// Closes seconds and drops what is older than its retention.
    pub(crate) fn tick(&mut self, closed: UnixSecond, now: UnixSecond) {
        for edge in &mut self.list {
            edge.calls.close(closed, now);
            edge.gaps.expire(now, |_, _| ());
        }
    }

    /// Gives up detail of all edges. Returns how many slots went.
    pub(crate) fn shed(&mut self, what: Shed, now: UnixSecond) -> u64 {
        self.list.iter_mut().map(|edge| edge.calls.shed(what, now)).sum()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let each = |edge: &Edge| size_of::<Edge>() + edge.calls.heap_bytes() + edge.gaps.heap_bytes();
        self.list.iter().map(each).sum()
    }
}

impl Edge {
    /// Takes note of an instrumentation that shows these calls.
    pub(crate) fn seen_by(&mut self, scope: u64) {
        self.is_layered |= *self.scope.get_or_insert(scope) != scope;
    }

    /// Counts the gap of one call. A server that took longer than its client measured is clamped to none.
    pub(crate) fn record_gap(&mut self, call: Count, server_nanos: u64) {
        let nanos = call.nanos.saturating_sub(server_nanos);
        self.gaps.record(Count { nanos, bucket: Bucket::of_nanos(nanos), error: false, ..call });
    }
}
