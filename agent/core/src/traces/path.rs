//! The critical path of a trace, and whom each part of it is charged to.
//!
//! The path is walked in `walk`; the charges of a request sum to its duration.
//!
//! A span's own time is charged to the visit that it belongs to:
//! 1. a request taken, or a root, is a visit to its service; work inside the process belongs to it;
//! 2. a call is a visit to the peer, or, if the peer's own span is there or others of it are, to the
//!    gap between caller and callee;
//! 3. a call within a call to the same peer, or one that carries it, belongs to the outer one.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::book::{Book, OperationId, PartyId, Shape, What};
use super::tree::{self, Answers, NONE, Tree};
use super::walk::{Family, Walk};
use super::{Flow, Kept, Key, Place, Request, Requests, Visit};
use crate::classify::{Act, PeerClass};
use crate::engine::naming::Side;
use crate::observation::SpanKind;

/// Charges trace after trace.
pub(super) struct Charging<'b> {
    book: &'b Book,
    answers: &'b Answers,
    done: Requests,
    by_key: HashMap<Key, u32, FixedState>,
    tree: Tree,
    /// What is known of each span of the trace at hand.
    about: Vec<About>,
    /// The spans of the request at hand, parents first.
    order: Vec<u32>,
    /// What services were asked for, and how deep.
    asked: Vec<(u16, OperationId)>,
    walk: Walk,
}

/// What is known of a span.
#[derive(Clone, Copy)]
struct About {
    /// Root of the request that it is part of, or [`NONE`] while it is of none.
    root: u32,
    /// The visit that its own time belongs to.
    visit: u32,
    /// The service in whose name it acts.
    service: PartyId,
    depth: u16,
    /// The call that it is part of.
    within: Option<(PartyId, PeerClass)>,
    /// Who answered the call that it is, or is part of.
    answered_by: Option<(PartyId, OperationId)>,
    /// Something at or below it failed.
    failed: bool,
}

const UNKNOWN: About = About {
    root: NONE,
    visit: NONE,
    service: PartyId(u32::MAX),
    depth: 0,
    within: None,
    answered_by: None,
    failed: false,
};

impl<'b> Charging<'b> {
    pub(super) fn new(book: &'b Book, answers: &'b Answers) -> Self {
        Self {
            book,
            answers,
            done: Requests::default(),
            by_key: HashMap::default(),
            tree: Tree::default(),
            about: Vec::new(),
            order: Vec::new(),
            asked: Vec::new(),
            walk: Walk::default(),
        }
    }

    pub(super) fn done(self) -> Requests {
        self.done
    }

    /// Charges the requests of one trace, whose spans are sorted by their ids.
    pub(super) fn take(&mut self, spans: &[Kept]) {
        self.tree.link(spans, self.book);
        self.about.clear();
        self.about.resize(spans.len(), UNKNOWN);
        for root in 0..spans.len() as u32 {
            if let Some((flow, side)) = self.begins(spans, root) {
                self.request(spans, root, flow, side);
            }
        }
        self.done.traces += 1;
        let orphans = self.about.iter().filter(|about| about.root == NONE).count() as u64;
        self.done.orphans += orphans;
        self.done.incomplete += u64::from(orphans > 0);
    }

    fn shape(&self, spans: &[Kept], span: u32) -> &'b Shape {
        self.book.get(spans[span as usize].shape)
    }

    /// Whether a request begins with this span, who waits for it, and which side of its service takes it.
    fn begins(&self, spans: &[Kept], span: u32) -> Option<(Flow, Side)> {
        let shape = self.shape(spans, span);
        let parent = self.tree.parent[span as usize];
        // Who sent a message may have been put together long ago, or never came.
        let is_root = !spans[span as usize].parent.is_some() || (parent == NONE && shape.takes_messages());
        let is_handed_over =
            parent != NONE && tree::is_remote(shape, self.shape(spans, parent)) && self.hands_over(spans, span, parent);
        if !is_root && !is_handed_over {
            return None;
        }
        let waits = if is_root { Flow::Front } else { Flow::Behind };
        Some(match shape.what {
            What::Process => (Flow::Behind, Side::Processes),
            What::Serve => (waits, Side::Serves),
            // Where nobody says kinds, whoever is at the front serves.
            What::Inside if !self.book.has_servers() => (waits, Side::Serves),
            // A caller outside of the system, such as a load generator, that sends spans itself.
            What::Inside | What::Call { class: PeerClass::Service, .. } => (waits, Side::Background),
            What::Call { .. } => (Flow::Behind, Side::Background),
        })
    }

    /// Whether the parent handed a message over and does not wait for the child.
    fn hands_over(&self, spans: &[Kept], child: u32, parent: u32) -> bool {
        let shape = self.shape(spans, parent);
        shape.kind == SpanKind::Producer || self.shape(spans, child).what == What::Process
    }

    fn request(&mut self, spans: &[Kept], root: u32, flow: Flow, side: Side) {
        self.list_spans(spans, root);
        self.find_answers(spans);
        let request = self.done.list.len() as u32;
        let first = self.done.visits.len();
        let shape = self.shape(spans, root);
        let kept = &spans[root as usize];
        // Polls and health checks are no requests, and neither is what they wait for.
        let counts = !shape.health_check && !matches!(shape.what, What::Call { act, .. } if !act.counts());
        for place in 0..self.order.len() {
            let span = self.order[place];
            let about = self.place(spans, span, root, side, request);
            self.about[span as usize] = About { root, ..about };
        }
        if !counts {
            self.done.visits.truncate(first);
            return;
        }
        self.blame(spans, root);
        self.walk(spans, root);
        let key = self.done.visits[self.about[root as usize].visit as usize].key;
        let failed = shape.failed;
        let asks = self.asks(spans, root);
        self.done.list.push(Request { flow, key, asks, start: kept.start, nanos: tree::nanos(kept), failed });
    }

    /// The spans of a request, parents first, without what was handed over.
    fn list_spans(&mut self, spans: &[Kept], root: u32) {
        self.order.clear();
        self.order.push(root);
        let mut place = 0;
        while let Some(&span) = self.order.get(place) {
            for &child in self.tree.children(span) {
                let is_remote = tree::is_remote(self.shape(spans, child), self.shape(spans, span));
                // Parents that go round in a circle come back to the root.
                if child != root && !(is_remote && self.hands_over(spans, child, span)) {
                    self.order.push(child);
                }
            }
            place += 1;
        }
    }

    /// What the services below the root were asked for, whatever how often; of one that only passes it on, what
    /// comes below that too.
    fn asks(&mut self, spans: &[Kept], root: u32) -> u64 {
        let Self { book, tree, about, order, asked, .. } = self;
        let entries = order.iter().filter(|span| {
            let shape = |span: u32| book.get(spans[span as usize].shape);
            **span != root && tree::is_remote(shape(**span), shape(tree.parent[**span as usize]))
        });
        asked.clear();
        asked
            .extend(entries.map(|span| (about[*span as usize].depth, book.get(spans[*span as usize].shape).operation)));
        asked.sort_unstable();
        asked.dedup();
        let mut hasher = FixedState::default().build_hasher();
        for level in asked.chunk_by(|one, other| one.0 == other.0) {
            level.hash(&mut hasher);
            if level.len() > 1 {
                break;
            }
        }
        hasher.finish()
    }

    /// For each span, children first: who answered the call that it is or carries.
    fn find_answers(&mut self, spans: &[Kept]) {
        for &span in self.order[1..].iter().rev() {
            let parent = self.tree.parent[span as usize];
            let shape = self.shape(spans, span);
            let answer = if tree::is_remote(shape, self.shape(spans, parent)) {
                Some((shape.side(Side::Serves), shape.operation))
            } else {
                self.about[span as usize].answered_by
            };
            let known = &mut self.about[parent as usize].answered_by;
            *known = known.or(answer);
        }
    }

    /// Where a span's own time belongs, with its parent placed already.
    fn place(&mut self, spans: &[Kept], span: u32, root: u32, side: Side, request: u32) -> About {
        let shape = self.shape(spans, span);
        let own = self.about[span as usize];
        let above = if span == root { None } else { Some(self.tree.parent[span as usize]) };
        let parent = above.map_or(UNKNOWN, |above| self.about[above as usize]);
        let is_entry = above.is_none_or(|above| tree::is_remote(shape, self.shape(spans, above)));
        let is_call = self.is_call(spans, span, is_entry);
        let depth = parent.depth + u16::from(is_entry);
        let service = if !is_entry {
            parent.service
        } else if span == root {
            shape.side(side)
        } else {
            shape.side(Side::Serves)
        };
        let mut about = About { service, depth, ..own };
        let target = match (shape.what, own.answered_by) {
            (What::Call { act, .. }, _) if !act.counts() => None,
            (_, Some((callee, operation))) if is_call => Some((Place::Gap(service, callee), operation, None)),
            (What::Call { peer, class, act }, None) => Some(self.leaf(service, peer, class, act, shape.operation)),
            _ => None,
        };
        if let What::Call { peer, class, .. } = shape.what
            && target.is_some()
            && let Some((outer, outer_class)) = parent.within
            && !is_entry
            && (outer == peer || outer_class.absorbs(class))
        {
            return About { visit: parent.visit, within: parent.within, ..about };
        }
        let target = match target {
            None if is_entry => Some((Place::At(service), shape.operation, None)),
            found => found,
        };
        about.within = match shape.what {
            What::Call { peer, class, .. } if target.is_some() => Some((peer, class)),
            _ if is_entry => None,
            _ => parent.within,
        };
        about.visit = match target {
            None => parent.visit,
            Some((place, operation, act)) => self.visit(request, Key { place, operation, act }, shape.process, depth),
        };
        about
    }

    /// Whether a span is a call: by its kind, or, where nobody gives kinds, because others answer it.
    fn is_call(&self, spans: &[Kept], span: u32, is_entry: bool) -> bool {
        let shape = self.shape(spans, span);
        match shape.kind {
            SpanKind::Client | SpanKind::Producer => true,
            SpanKind::Unspecified if !is_entry => {
                self.tree.children(span).iter().all(|child| tree::is_remote(self.shape(spans, *child), shape))
            }
            SpanKind::Internal if !is_entry => {
                matches!(self.tree.children(span), [only] if tree::is_remote(self.shape(spans, *only), shape))
            }
            _ => false,
        }
    }

    /// A call without its other half: to a peer that has none, or to a service whose span is missing.
    fn leaf(
        &self,
        service: PartyId,
        peer: PartyId,
        class: PeerClass,
        act: Act,
        operation: OperationId,
    ) -> (Place, OperationId, Option<Act>) {
        match self.answers.get(&peer) {
            Some(callee) => (Place::Gap(service, *callee), operation, None),
            None if class == PeerClass::Service => (Place::At(peer), operation, None),
            None => (Place::At(peer), operation, Some(act)),
        }
    }

    fn visit(&mut self, request: u32, key: Key, process: u32, depth: u16) -> u32 {
        let keys = &mut self.done.keys;
        let key = *self.by_key.entry(key).or_insert_with(|| {
            keys.push(key);
            keys.len() as u32 - 1
        });
        self.done.visits.push(Visit { request, key, process, depth, failed: false, nanos: 0 });
        self.done.visits.len() as u32 - 1
    }

    /// Marks the visits in which a failure began: the deepest spans that failed.
    fn blame(&mut self, spans: &[Kept], root: u32) {
        for &span in self.order.iter().rev() {
            let about = self.about[span as usize];
            let failed = self.shape(spans, span).failed;
            if failed && !about.failed {
                self.done.visits[about.visit as usize].failed = true;
            }
            if span != root && (failed || about.failed) {
                self.about[self.tree.parent[span as usize] as usize].failed = true;
            }
        }
    }

    /// Walks the critical path from the root's end.
    fn walk(&mut self, spans: &[Kept], root: u32) {
        let Self { book, tree, about, done, walk, .. } = self;
        let waited = Waited { spans, book, tree, about, root };
        walk.pieces(&waited, root, |piece| {
            done.visits[about[piece.span as usize].visit as usize].nanos += piece.to - piece.from;
        });
    }
}

/// The spans of the request at hand.
struct Waited<'a> {
    spans: &'a [Kept],
    book: &'a Book,
    tree: &'a Tree,
    about: &'a [About],
    root: u32,
}

impl Family for Waited<'_> {
    fn interval(&self, span: u32) -> (u64, u64) {
        let kept = &self.spans[span as usize];
        (kept.start.0, kept.end.0)
    }

    fn children(&self, span: u32) -> impl Iterator<Item = u32> {
        let is_own = |child: &u32| *child != self.root && self.about[*child as usize].root == self.root;
        self.tree.children(span).iter().copied().filter(is_own)
    }

    fn is_remote(&self, child: u32, parent: u32) -> bool {
        let shape = |span: u32| self.book.get(self.spans[span as usize].shape);
        tree::is_remote(shape(child), shape(parent))
    }
}
