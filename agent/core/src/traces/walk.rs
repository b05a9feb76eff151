//! The critical path of a request, whatever its spans are kept in.
//!
//! From the root's end backwards: the time after the last child's end is the span's own; then that
//! child is walked in the same way, and the span goes on from the child's start (CRISP, ATC'22; the
//! same as in Jaeger's screen). A child that overlaps with one that was walked counts up to where that
//! one began. So the pieces of a request sum to its duration, whatever its spans' clocks say.

/// The spans of one request, by number.
pub(crate) trait Family {
    /// When a span started and ended, nanoseconds by its own clock.
    fn interval(&self, span: u32) -> (u64, u64);
    /// The children that a span may have waited for.
    fn children(&self, span: u32) -> impl Iterator<Item = u32>;
    /// Whether a child is of another process than its parent, and so has a clock of its own.
    fn is_remote(&self, child: u32, parent: u32) -> bool;
}

/// A piece of the critical path: time of one span's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Whose.
    pub(crate) span: u32,
    /// From when, nanoseconds by the root's clock.
    pub(crate) from: u64,
    /// To when.
    pub(crate) to: u64,
}

/// A span as it fits into its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fitted {
    /// When it ended, by its parent's clock.
    end: u64,
    /// When it started.
    start: u64,
    span: u32,
    /// What its own clock lacks of its parent's; wraps around.
    pub(crate) moved: u64,
}

/// An interval that is still to be walked.
#[derive(Clone, Copy, Debug)]
struct Open {
    span: u32,
    /// By the span's own clock.
    from: u64,
    to: u64,
    /// What its own clock lacks of the root's; wraps around.
    moved: u64,
}

/// Walks one request after the other; its room is used again.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    open: Vec<Open>,
    children: Vec<Fitted>,
}

impl Walk {
    /// Hands out the pieces of the critical path, from the root's end backwards as far as one span goes.
    pub(crate) fn pieces(&mut self, family: &impl Family, root: u32, mut take: impl FnMut(Piece)) {
        let (from, to) = family.interval(root);
        self.open.clear();
        self.open.push(Open { span: root, from, to, moved: 0 });
        while let Some(Open { span, from, to, moved }) = self.open.pop() {
            let mut own = |from: u64, to: u64| {
                if from < to {
                    take(Piece { span, from: from.wrapping_add(moved), to: to.wrapping_add(moved) });
                }
            };
            self.children.clear();
            self.children.extend(family.children(span).map(|child| fit(family, child, span)));
            self.children.sort_unstable_by(|one, other| other.cmp(one));
            let mut upto = to;
            for child in &self.children {
                let (end, start) = (child.end.min(upto), child.start.max(from));
                if end <= start {
                    continue;
                }
                own(end, upto);
                upto = start;
                self.open.push(Open {
                    span: child.span,
                    from: start.wrapping_sub(child.moved),
                    to: end.wrapping_sub(child.moved),
                    moved: moved.wrapping_add(child.moved),
                });
            }
            own(from, upto);
        }
    }
}

/// A child by its parent's clock.
///
/// One of another process that does not fit is put into the middle: only its duration is known.
pub(crate) fn fit(family: &impl Family, child: u32, parent: u32) -> Fitted {
    let ((start, end), (outer_start, outer_end)) = (family.interval(child), family.interval(parent));
    let fits = outer_start <= start && end <= outer_end;
    if fits || !family.is_remote(child, parent) {
        return Fitted { end, start, span: child, moved: 0 };
    }
    let nanos = end.saturating_sub(start);
    let spare = outer_end.saturating_sub(outer_start).saturating_sub(nanos);
    let moved_start = outer_start + spare / 2;
    Fitted { end: moved_start + nanos, start: moved_start, span: child, moved: moved_start.wrapping_sub(start) }
}
