//! The ring of recent spans: compact, bounded, and linked by parent.
//!
//! Children end, and so mostly arrive, before their parents, and the two halves of a call come from
//! different processes in different batches. The ring keeps the last spans of all traces so that
//! whichever half comes second finds the first. Each span knows its newest child and each child its
//! next older sibling; children whose parent is not there yet wait under the parent's id.
//!
//! A span is named by its place in the order of arrival. A place that has been overwritten is
//! recognised by its distance from the newest, so links into the past need no cleaning.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::id::{SpanId, TraceId};
use crate::observation::{DetailRef, Span, SpanKind};
use crate::time::UnixNanos;

/// The place of a span in the order of arrival, cut to 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// "No span": the distance test refuses it, because it is never handed out.
const NOWHERE: Place = Place(u32::MAX);

/// What is kept of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecentSpan {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: SpanId,
    pub(super) start: UnixNanos,
    pub(super) end: UnixNanos,
    pub(super) path_hash: u64,
    /// Index of the process that sent it.
    pub(super) process: u32,
    /// Index of its classification.
    pub(super) route: u32,
    pub(super) weight: u32,
    pub(super) kind: SpanKind,
    pub(super) state: SpanState,
    newest_child: Place,
    older_sibling: Place,
    /// Its parent was not there when it came.
    orphan: bool,
    /// It was handed out with a trace that was chosen.
    chosen: bool,
}

/// How a span was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SpanState {
    /// Not looked at yet.
    #[default]
    New,
    /// Counted as a request of its tier.
    Counted,
    /// Counted as a request that was taken; who asked for it is not known yet.
    Unpaired,
    /// Not counted: inside, housekeeping, late, or detail of another call.
    Skipped,
}

impl RecentSpan {
    /// Its duration in nanoseconds.
    pub(super) fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// Whether the other span lies within this one in time. Of two with the same times, the one with
    /// the lesser id holds the other.
    pub(super) fn holds_in_time(&self, other: &Self) -> bool {
        let (own, theirs) = ((self.start, self.end), (other.start, other.end));
        self.start <= other.start && other.end <= self.end && (own != theirs || self.id < other.id)
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Ring {
    spans: Vec<RecentSpan>,
    /// Beside each span where all of it is kept; empty unless somebody asks for that.
    details: Vec<DetailRef>,
    capacity: u32,
    /// Spans ever put in, cut to 32 bits; the place of the next.
    next: u32,
    by_id: HashMap<u64, Place, FixedState>,
    /// Newest child by the id of a parent that has not come.
    waiting: HashMap<u64, Place, FixedState>,
}

/// Ids are random, so a mix of both halves names a span well enough.
fn key(trace: TraceId, span: SpanId) -> u64 {
    (trace.0 as u64) ^ span.0.rotate_left(17)
}

impl Ring {
    /// A ring of at most `capacity` spans, which takes room only as they come.
    pub(super) fn new(capacity: usize) -> Self {
        // A power of two, so that places keep their slots when they wrap around.
        let capacity = u32::try_from(capacity.clamp(1, 1 << 30).next_power_of_two()).unwrap_or(1 << 30);
        Self {
            spans: Vec::new(),
            details: Vec::new(),
            capacity,
            next: 0,
            by_id: HashMap::with_hasher(FixedState::default()),
            waiting: HashMap::with_hasher(FixedState::default()),
        }
    }

    /// Puts a span in and links it with what is there of its family. The second value says whether
    /// children of it had come before.
    pub(super) fn insert(
        &mut self,
        span: &Span,
        kind: SpanKind,
        process: u32,
        route: u32,
        weight: u32,
    ) -> (Place, bool) {
        let place = Place(self.next);
        let own_key = key(span.trace, span.id);
        let newest_child = self.waiting.remove(&own_key).filter(|child| self.holds(*child));
        let mut entry = RecentSpan {
            trace: span.trace,
            id: span.id,
            parent: span.parent,
            start: span.start,
            end: span.end,
            path_hash: span.path_hash,
            process,
            route,
            weight,
            kind,
            state: SpanState::New,
            newest_child: newest_child.unwrap_or(NOWHERE),
            older_sibling: NOWHERE,
            orphan: false,
            chosen: false,
        };
        if span.parent.is_some() {
            let parent_key = key(span.trace, span.parent);
            if let Some(parent) = self.by_id.get(&parent_key).copied().filter(|parent| self.holds(*parent)) {
                let parent = &mut self.spans[parent.0 as usize % self.capacity as usize];
                entry.older_sibling = parent.newest_child;
                parent.newest_child = place;
            } else {
                entry.orphan = true;
                entry.older_sibling = self.waiting.insert(parent_key, place).unwrap_or(NOWHERE);
            }
        }
        self.put(place, entry);
        self.by_id.insert(own_key, place);
        self.next = self.next.wrapping_add(1);
        if self.next == NOWHERE.0 {
            self.next = 0;
        }
        (place, newest_child.is_some())
    }

    fn put(&mut self, place: Place, entry: RecentSpan) {
        let slot = place.0 as usize % self.capacity as usize;
        if slot < self.spans.len() {
            let old = self.spans[slot];
            let old_place = Place(place.0.wrapping_sub(self.capacity));
            self.forget(&old, old_place);
            self.spans[slot] = entry;
        } else {
            self.spans.push(entry);
        }
    }

    fn forget(&mut self, old: &RecentSpan, place: Place) {
        let own_key = key(old.trace, old.id);
        if self.by_id.get(&own_key) == Some(&place) {
            self.by_id.remove(&own_key);
        }
        if old.orphan {
            let parent_key = key(old.trace, old.parent);
            if self.waiting.get(&parent_key) == Some(&place) {
                self.waiting.remove(&parent_key);
            }
        }
    }

    fn holds(&self, place: Place) -> bool {
        let distance = self.next.wrapping_sub(place.0);
        place != NOWHERE && distance >= 1 && distance <= self.capacity && (distance as usize) <= self.spans.len()
    }

    /// The span at a place, if it is still there.
    pub(super) fn get(&self, place: Place) -> Option<&RecentSpan> {
        self.holds(place).then(|| &self.spans[place.0 as usize % self.capacity as usize])
    }

    /// Whether a span is still there but has half of the ring behind it: whoever wants to look at it
    /// should do so now.
    pub(super) fn is_aging(&self, place: Place) -> bool {
        self.next.wrapping_sub(place.0) > self.capacity / 2
    }

    /// Sets how a span was counted.
    pub(super) fn set_state(&mut self, place: Place, state: SpanState) {
        if self.holds(place) {
            self.spans[place.0 as usize % self.capacity as usize].state = state;
        }
    }

    /// Notes where all of a span is kept.
    pub(super) fn set_detail(&mut self, place: Place, detail: DetailRef) {
        let slot = place.0 as usize % self.capacity as usize;
        if slot >= self.details.len() {
            self.details.resize(slot + 1, DetailRef::NONE);
        }
        self.details[slot] = detail;
    }

    /// Where all of a span is kept that is still there.
    pub(super) fn detail(&self, place: Place) -> DetailRef {
        self.details.get(place.0 as usize % self.capacity as usize).copied().unwrap_or_default()
    }

    /// Hands a span out with its trace; `false` if that was done before, or it is gone.
    pub(super) fn choose(&mut self, place: Place) -> bool {
        let slot = place.0 as usize % self.capacity as usize;
        self.holds(place) && !std::mem::replace(&mut self.spans[slot].chosen, true)
    }

    /// The span with this id, if it is still there.
    pub(super) fn find(&self, trace: TraceId, span: SpanId) -> Option<(Place, &RecentSpan)> {
        let place = *self.by_id.get(&key(trace, span))?;
        let found = self.get(place)?;
        (found.trace == trace && found.id == span).then_some((place, found))
    }

    /// The parent of a span, if it is there.
    pub(super) fn parent(&self, span: &RecentSpan) -> Option<(Place, &RecentSpan)> {
        span.parent.is_some().then(|| self.find(span.trace, span.parent)).flatten()
    }

    /// The children that have come so far, newest first.
    pub(super) fn children(&self, span: &RecentSpan) -> impl Iterator<Item = (Place, &RecentSpan)> {
        self.chain(span.newest_child)
    }

    /// The span and its siblings that have come so far, newest first, whether their parent came or not.
    pub(super) fn siblings<'r>(&'r self, span: &RecentSpan) -> impl Iterator<Item = (Place, &'r RecentSpan)> + use<'r> {
        let newest = match self.parent(span) {
            Some((_, parent)) => parent.newest_child,
            None => self.waiting.get(&key(span.trace, span.parent)).copied().unwrap_or(NOWHERE),
        };
        self.chain(newest)
    }

    fn chain(&self, newest: Place) -> impl Iterator<Item = (Place, &RecentSpan)> {
        let mut next = newest;
        std::iter::from_fn(move || {
            let child = self.get(next)?;
            let place = std::mem::replace(&mut next, child.older_sibling);
            Some((place, child))
        })
    }

    /// All spans that are there, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (Place, &RecentSpan)> {
        let len = self.spans.len() as u32;
        let places = (0..len).map(move |step| Place(self.next.wrapping_sub(len).wrapping_add(step)));
        places.filter_map(|place| Some((place, self.get(place)?)))
    }

    /// For each span that children wait for: its newest child.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &RecentSpan> {
        self.waiting.values().filter_map(|place| self.get(*place))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<RecentSpan>()
            + self.details.capacity() * size_of::<DetailRef>()
            + (self.by_id.capacity() + self.waiting.capacity()) * (size_of::<(u64, Place)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::ParentPlace;

    fn span(id: u64, parent: u64) -> Span {
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: SpanId(parent),
            start: UnixNanos(0),
            end: UnixNanos(1),
            path_hash: 0,
            weight: 0.0,
            shape: 0,
            links_start: 0,
            links_len: 0,
            parent_place: ParentPlace::Unknown,
            offset: 0,
        }
    }

    fn insert(ring: &mut Ring, id: u64, parent: u64) -> (Place, bool) {
        ring.insert(&span(id, parent), SpanKind::Internal, 0, 0, 1)
    }

    fn children(ring: &Ring, id: u64) -> Vec<u64> {
        let (_, parent) = ring.find(TraceId(1), SpanId(id)).unwrap();
        ring.children(parent).map(|(_, child)| child.id.0).collect()
    }

    #[test]
    fn families_meet_in_whatever_order_they_come() {
        let mut ring = Ring::new(16);
        insert(&mut ring, 2, 1);
        insert(&mut ring, 3, 1);
        assert_eq!(ring.awaited().count(), 1);
        assert!(insert(&mut ring, 1, 0).1, "children came before");
        assert!(!insert(&mut ring, 4, 1).1);
        assert_eq!(children(&ring, 1), [4, 3, 2]);
        assert_eq!(ring.awaited().count(), 0);
    }

    #[test]
    fn what_is_overwritten_is_gone_from_every_index() {
        let mut ring = Ring::new(4);
        insert(&mut ring, 1, 99);
        insert(&mut ring, 2, 1);
        for id in 3..=6 {
            insert(&mut ring, id, 0);
        }
        assert!(ring.find(TraceId(1), SpanId(1)).is_none());
        assert_eq!(ring.awaited().count(), 0);
        assert_eq!(ring.by_id.len(), 4);
        // A parent that comes after its child was overwritten has no children.
        assert!(!insert(&mut ring, 99, 0).1);
    }

    #[test]
    fn a_chain_of_siblings_ends_where_it_was_overwritten() {
        let mut ring = Ring::new(4);
        insert(&mut ring, 1, 9);
        insert(&mut ring, 2, 9);
        insert(&mut ring, 3, 9);
        insert(&mut ring, 4, 9);
        insert(&mut ring, 5, 9);
        insert(&mut ring, 9, 0);
        assert_eq!(children(&ring, 9), [5, 4, 3]);
    }
}
