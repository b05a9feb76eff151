//! Traces: spans gathered until all are there, and what the time of each request went to.
//!
//! [`Traces`] keeps compact spans under a ceiling of bytes. Over it whole traces are given up, told by
//! their id, so that what stays is a uniform sample and is said to be one. [`Traces::requests`] then
//! puts each trace together (see `tree`), walks its critical path and charges every nanosecond of
//! the request to one *visit* (see `path`): work of a tier, a call to a store, or the *gap* between
//! a caller's span and its callee's.
//!
//! 1. A span whose parent is missing is an orphan; neither it nor what hangs below it is a request.
//! 2. Clocks of two processes are never compared: a callee that does not fit into its caller's span is
//!    moved, and only durations count.
//! 3. What ends after its parent is cut at the parent's end.
//! 4. A message handed over is a request of its own; who sent it does not wait for it.

mod book;
mod live;
mod path;
mod tree;
pub(crate) mod walk;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::classify::{Act, PeerClass};
use crate::engine::naming::Party;
use crate::id::{SpanId, TraceId};
use crate::observation::Batch;
use crate::time::UnixNanos;
use book::{Book, ShapeId};

pub use book::{OperationId, PartyId, Process};

/// Which capture a span came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capture {
    /// The one that is known to be healthy.
    Baseline,
    /// The one that is asked about.
    Subject,
}

/// What is kept of a span.
#[derive(Clone, Copy, Debug)]
struct Kept {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    start: UnixNanos,
    end: UnixNanos,
    shape: ShapeId,
    capture: Capture,
}

/// See the module's text.
#[derive(Debug)]
pub struct Traces {
    spans: Vec<Kept>,
    /// Most spans that are kept.
    ceiling: usize,
    /// One trace in so many is kept: a power of two.
    one_in: u64,
    /// Of traces that began before, only one in so many is kept.
    rarer_before: (UnixNanos, u64),
    book: Book,
    /// Which service answers at each peer, as far as any settled trace showed.
    answers: tree::Answers,
}

/// What a visit's time is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A tier: its own work, or, for one without spans, the whole of a call to it.
    At(PartyId),
    /// Between two tiers that both send spans.
    Gap(PartyId, PartyId),
}

/// Visits of one kind: a place, and what was asked there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where.
    pub place: Place,
    /// What was asked.
    pub operation: OperationId,
    /// For a call to a store, what for.
    pub act: Option<Act>,
}

/// One piece of work in a request.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// Index into [`Requests::list`].
    pub request: u32,
    /// Index into [`Requests::keys`].
    pub key: u32,
    /// The process that did it, or asked for it.
    pub process: u32,
    /// Services entered above and with it.
    pub depth: u16,
    /// It failed, and nothing below it did.
    pub failed: bool,
    /// How much of the request's critical path it took.
    pub nanos: u64,
}

/// Who waits for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Somebody outside.
    Front,
    /// Nobody: a message, or work without being asked.
    Behind,
}

/// One request, from its root span.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who waits for it.
    pub flow: Flow,
    /// Index into [`Requests::keys`] of its root.
    pub key: u32,
    /// Fingerprint of what its root asked the next services for, where a gateway calls all requests alike.
    pub asks: u64,
    /// When it started, by its own clock.
    pub start: UnixNanos,
    /// How long it took.
    pub nanos: u64,
    /// Whether it failed.
    pub failed: bool,
}

/// The requests of one capture.
#[derive(Debug, Default)]
pub struct Requests {
    /// The requests.
    pub list: Vec<Request>,
    /// What they did, requests in order.
    pub visits: Vec<Visit>,
    /// What visits are of.
    pub keys: Vec<Key>,
    /// Traces seen.
    pub traces: u64,
    /// Traces of which spans are missing.
    pub incomplete: u64,
    /// Spans that hang on a missing parent.
    pub orphans: u64,
}

impl Requests {
    /// Estimated bytes of what is kept.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Request>()
            + self.visits.capacity() * size_of::<Visit>()
            + self.keys.capacity() * size_of::<Key>()
    }

    /// Adds those of other requests that are chosen, with what they did. `by_key` finds what is in `keys`.
    pub(crate) fn add(
        &mut self,
        other: &Self,
        by_key: &mut HashMap<Key, u32, FixedState>,
        mut chosen: impl FnMut(&Request) -> bool,
    ) {
        let keys = &mut self.keys;
        let mut key_of = |key: u32| {
            let key = other.keys[key as usize];
            *by_key.entry(key).or_insert_with(|| {
                keys.push(key);
                keys.len() as u32 - 1
            })
        };
        for visits in other.visits.chunk_by(|one, other| one.request == other.request) {
            let request = other.list[visits[0].request as usize];
            if chosen(&request) {
                let place = self.list.len() as u32;
                self.list.push(Request { key: key_of(request.key), ..request });
                self.visits.extend(visits.iter().map(|visit| Visit {
                    request: place,
                    key: key_of(visit.key),
                    ..*visit
                }));
            }
        }
        self.traces += other.traces;
        self.incomplete += other.incomplete;
        self.orphans += other.orphans;
    }
}

impl Traces {
    /// Keeps as many spans as fit into so many bytes.
    pub fn new(bytes: usize) -> Self {
        let ceiling = (bytes / size_of::<Kept>()).max(1);
        Self {
            spans: Vec::new(),
            ceiling,
            one_in: 1,
            rarer_before: (UnixNanos(0), 1),
            book: Book::default(),
            answers: tree::Answers::default(),
        }
    }

    /// Takes in the spans of a batch.
    pub fn take(&mut self, batch: &Batch, capture: Capture) {
        let shapes = self.book.shapes(batch);
        for span in &batch.spans {
            let shape = shapes[span.shape as usize];
            let (trace, id, parent) = (span.trace, span.id, span.parent);
            self.keep(Kept { trace, id, parent, start: span.start, end: span.end, shape, capture });
        }
    }

    fn keep(&mut self, span: Kept) {
        if self.spans.len() >= self.ceiling {
            self.one_in *= 2;
            let one_in = self.one_in;
            self.spans.retain(|kept| is_sampled(kept.trace, one_in));
        }
        let (before, rarer) = self.rarer_before;
        if is_sampled(span.trace, if span.start < before { rarer.max(self.one_in) } else { self.one_in }) {
            self.spans.push(span);
        }
    }

    /// Estimated bytes of the spans that are kept.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Kept>()
    }

    /// One trace in so many was kept.
    pub fn kept_one_in(&self) -> u64 {
        self.one_in
    }

    /// Puts the traces of a capture together and charges the time of each request.
    pub fn requests(&mut self, capture: Capture) -> Requests {
        // Copies that were sent twice stand beside each other, and go.
        self.spans.sort_unstable_by_key(|kept| (kept.capture, kept.trace, kept.id));
        self.spans.dedup_by_key(|kept| (kept.capture, kept.trace, kept.id));
        let of_capture = self.spans.partition_point(|kept| kept.capture < capture);
        let upto = self.spans.partition_point(|kept| kept.capture <= capture);
        let spans = &self.spans[of_capture..upto];
        let answers = tree::answers(spans, &self.book);
        let mut charging = path::Charging::new(&self.book, &answers);
        for trace in spans.chunk_by(|one, other| one.trace == other.trace) {
            charging.take(trace);
        }
        charging.done()
    }

    /// Who is meant.
    pub fn party(&self, id: PartyId) -> &Party {
        self.book.party(id)
    }

    /// What a peer is called for, or `None` for a service that sends spans.
    pub fn peer_class(&self, id: PartyId) -> Option<PeerClass> {
        match self.book.party(id) {
            Party::Peer(peer) => Some(peer.class),
            Party::Service { .. } => None,
        }
    }

    /// An operation's name.
    pub fn operation(&self, id: OperationId) -> &str {
        self.book.operation(id)
    }

    /// A process.
    pub fn process(&self, index: u32) -> &Process {
        self.book.process(index)
    }
}

/// Whether a trace is among the one in so many that are kept.
fn is_sampled(trace: TraceId, one_in: u64) -> bool {
    one_in == 1 || FixedState::default().hash_one(trace) & (one_in - 1) == 0
}

#[cfg(test)]
mod tests;
