//! Traces as they come: spans wait until their trace has settled, and then are put together.
//!
//! A trace has settled when nothing of it ended lately, by clocks that may differ, and its root is there. One whose root does not
//! come is given up after [`GIVEN_UP_NANOS`]; its orphans are counted. So many traces are looked at as
//! tell what happens, told by their ids: whole traces, and a uniform sample of them.

use std::mem;

use super::tree::CLOCKS_APART_NANOS;
use super::{Kept, Requests, Traces, is_sampled, path, tree};
use crate::time::UnixNanos;

/// Traces a second that are looked at; up to twice as many before fewer are.
const LOOKED_AT: u64 = 40;
/// How long a trace waits for its root.
const GIVEN_UP_NANOS: u64 = 20_000_000_000;

impl Traces {
    /// Puts the traces together of which nothing ended after `settled`, and forgets their spans. To be
    /// called once a second.
    pub fn settle(&mut self, settled: UnixNanos) -> Requests {
        let mut spans = mem::take(&mut self.spans);
        spans.sort_unstable_by_key(|kept| (kept.trace, kept.id));
        spans.dedup_by_key(|kept| (kept.trace, kept.id));
        let (mut ready, mut waiting) = (Vec::with_capacity(spans.len()), Vec::new());
        for trace in spans.chunk_by(|one, other| one.trace == other.trace) {
            let has_settled = self.has_settled(trace, settled);
            if has_settled { &mut ready } else { &mut waiting }.extend_from_slice(trace);
        }
        self.spans = waiting;
        for (peer, callee) in tree::answers(&ready, &self.book) {
            self.answers.entry(peer).or_insert(callee);
        }
        let mut charging = path::Charging::new(&self.book, &self.answers);
        for trace in ready.chunk_by(|one, other| one.trace == other.trace) {
            charging.take(trace);
        }
        let requests = charging.done();
        self.adapt(requests.traces, settled);
        requests
    }

    fn has_settled(&self, trace: &[Kept], settled: UnixNanos) -> bool {
        let newest = trace.iter().map(|kept| kept.end).max().unwrap_or(settled);
        let is_root = |kept: &Kept| !kept.parent.is_some() || self.book.get(kept.shape).takes_messages();
        newest.plus_nanos(CLOCKS_APART_NANOS) <= settled
            && (trace.iter().any(is_root) || newest.plus_nanos(GIVEN_UP_NANOS) <= settled)
    }

    /// Looks at fewer or more traces, so that about as many as [`LOOKED_AT`] come in a second.
    fn adapt(&mut self, traces: u64, settled: UnixNanos) {
        if traces > 2 * LOOKED_AT {
            self.one_in *= 2;
            let one_in = self.one_in;
            self.spans.retain(|kept| is_sampled(kept.trace, one_in));
        } else if traces < LOOKED_AT / 2 && self.one_in > 1 {
            // Of traces that have begun some spans were left out already: they stay out.
            self.rarer_before = (settled.plus_nanos(GIVEN_UP_NANOS / 4), self.one_in);
            self.one_in /= 2;
        }
    }

    /// Whether more distinct shapes were seen than may be remembered.
    pub fn is_over(&self, shapes: usize) -> bool {
        self.book.shape_count() > shapes
    }
}
