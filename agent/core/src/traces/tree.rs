//! One trace as a tree: who is whose parent, which spans begin a request, what a call was answered by.
//!
//! A gateway may show a call by a span without children that stands *beside* the callee's span and
//! covers it, because it passed on its own context. The callee then belongs below that span: else the
//! critical path would end in the gateway, whatever was slow behind it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Kept;
use super::book::{Book, PartyId, Shape, What};
use crate::classify::PeerClass;
use crate::engine::naming::Side;
use crate::observation::SpanKind;

/// "No span".
pub(super) const NONE: u32 = u32::MAX;

/// Siblings over which nobody looks for one that covers the others.
const MOST_SIBLINGS: usize = 128;

/// How far the clocks of two machines may be apart for a call to be told by its time: what was measured
/// between the services of public captures is under half of it.
pub(super) const CLOCKS_APART_NANOS: u64 = 250_000_000;

/// The services that answered calls to a peer, as far as any trace shows.
pub(super) type Answers = HashMap<PartyId, PartyId, FixedState>;

/// One trace.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Parent of each span, or [`NONE`].
    pub(super) parent: Vec<u32>,
    /// Where the children of each span begin in `children`.
    first: Vec<u32>,
    children: Vec<u32>,
}

impl Tree {
    /// Links the spans of one trace, which are sorted by their ids. The tree's room is used again.
    pub(super) fn link(&mut self, spans: &[Kept], book: &Book) {
        self.parent.clear();
        self.parent.extend(spans.iter().map(|span| match spans.binary_search_by_key(&span.parent, |kept| kept.id) {
            Ok(place) if span.parent.is_some() => place as u32,
            _ => NONE,
        }));
        self.sort_children();
        if self.adopt(spans, book) {
            self.sort_children();
        }
    }

    fn sort_children(&mut self) {
        let count = self.parent.len();
        self.first.clear();
        self.first.resize(count + 1, 0);
        for &parent in self.parent.iter().filter(|parent| **parent != NONE) {
            self.first[parent as usize + 1] += 1;
        }
        for place in 0..count {
            self.first[place + 1] += self.first[place];
        }
        self.children.clear();
        self.children.resize(self.first[count] as usize, 0);
        let mut next = self.first.clone();
        for (child, &parent) in self.parent.iter().enumerate().filter(|(_, parent)| **parent != NONE) {
            self.children[next[parent as usize] as usize] = child as u32;
            next[parent as usize] += 1;
        }
    }

    /// The children of a span.
    pub(super) fn children(&self, of: u32) -> &[u32] {
        &self.children[self.first[of as usize] as usize..self.first[of as usize + 1] as usize]
    }

    /// Moves callees below the childless sibling that covers them. Returns whether any was moved.
    fn adopt(&mut self, spans: &[Kept], book: &Book) -> bool {
        let mut moved = Vec::new();
        for parent in 0..spans.len() as u32 {
            let siblings = self.children(parent);
            if !(2..=MOST_SIBLINGS).contains(&siblings.len()) {
                continue;
            }
            if let Some(pairs) = self.in_order(siblings, parent, spans, book) {
                moved.extend(pairs);
                continue;
            }
            for &child in siblings {
                let covers = |other: &u32| self.covers(*other, child, parent, spans, book);
                let apart = |other: &u32| centre(&spans[*other as usize]).abs_diff(centre(&spans[child as usize]));
                if let Some(nearest) = siblings.iter().copied().filter(covers).min_by_key(apart) {
                    moved.push((child, nearest));
                }
            }
        }
        for &(child, cover) in &moved {
            self.parent[child as usize] = cover;
        }
        !moved.is_empty()
    }

    /// Callees and the calls beside them, if there are as many of both: then the order of their starts tells
    /// which belongs to which, even where clocks differ by more than the calls are apart.
    fn in_order(&self, siblings: &[u32], parent: u32, spans: &[Kept], book: &Book) -> Option<Vec<(u32, u32)>> {
        let shape = |span: u32| book.get(spans[span as usize].shape);
        let sorted = |keep: &dyn Fn(u32) -> bool| {
            let mut found: Vec<u32> = siblings.iter().copied().filter(|span| keep(*span)).collect();
            found.sort_by_key(|span| spans[*span as usize].start);
            found
        };
        let callees = sorted(&|span| is_remote(shape(span), shape(parent)));
        let calls = sorted(&|span| {
            let is_call = match shape(span).what {
                What::Call { class, .. } => class == PeerClass::Service,
                What::Inside => shape(span).kind == SpanKind::Client,
                _ => false,
            };
            is_call && self.children(span).is_empty() && !callees.contains(&span)
        });
        let pairs: Vec<(u32, u32)> = callees.into_iter().zip(calls.iter().copied()).collect();
        let all_covered = pairs.iter().all(|(child, cover)| self.covers(*cover, *child, parent, spans, book));
        let as_many = siblings.iter().filter(|span| is_remote(shape(**span), shape(parent))).count() == calls.len();
        (!pairs.is_empty() && as_many && all_covered).then_some(pairs)
    }

    /// Whether a childless span stands for the call, or the wait, that its sibling was.
    fn covers(&self, cover: u32, child: u32, parent: u32, spans: &[Kept], book: &Book) -> bool {
        let shape = |span: u32| book.get(spans[span as usize].shape);
        let is_local = shape(cover).process == shape(parent).process;
        if cover == child || !is_local || !self.children(cover).is_empty() {
            return false;
        }
        let (over, under) = (&spans[cover as usize], &spans[child as usize]);
        let is_away = is_remote(shape(child), shape(parent));
        let holds = over.start <= under.start && under.end <= over.end;
        let holds_but_for_clocks =
            is_away && nanos(under) <= nanos(over) && centre(over).abs_diff(centre(under)) <= CLOCKS_APART_NANOS;
        match shape(cover).what {
            What::Inside if shape(cover).kind == SpanKind::Client => is_away && (holds || holds_but_for_clocks),
            What::Inside => (is_away || !self.children(child).is_empty()) && holds,
            What::Call { class: PeerClass::Service, .. } => is_away && (holds || holds_but_for_clocks),
            _ => false,
        }
    }
}

/// The middle of a span, by its own clock.
fn centre(span: &Kept) -> u64 {
    span.start.0 + nanos(span) / 2
}

/// How long a span took.
pub(super) fn nanos(span: &Kept) -> u64 {
    span.end.nanos_since(span.start)
}

/// Whether a span is of another process than its parent, or at least came to it over the network.
pub(super) fn is_remote(child: &Shape, parent: &Shape) -> bool {
    child.process != parent.process
        || (matches!(child.what, What::Serve | What::Process)
            && matches!(parent.kind, SpanKind::Client | SpanKind::Producer))
}

/// Which service answers at each peer, from the calls whose both halves are there.
pub(super) fn answers(spans: &[Kept], book: &Book) -> Answers {
    let mut answers = Answers::default();
    for trace in spans.chunk_by(|one, other| one.trace == other.trace) {
        for span in trace {
            let Ok(parent) = trace.binary_search_by_key(&span.parent, |kept| kept.id) else { continue };
            let (own, caller) = (book.get(span.shape), book.get(trace[parent].shape));
            if let What::Call { peer, class: PeerClass::Service, .. } = caller.what
                && is_remote(own, caller)
            {
                answers.entry(peer).or_insert_with(|| own.side(Side::Serves));
            }
        }
    }
    answers
}
