//! Cursors: on a tier by its id, so that it stays there when rows move, and in the panes of a tier.

use tiertop_core::snapshot::{Snapshot, TierView};

use crate::keymap::Step;

/// What is under a cursor, by its id. Where that has gone, what took its place.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    id: Option<String>,
    place: usize,
}

impl Cursor {
    /// The row of the cursor among these tiers.
    pub fn place(&self, tiers: &[TierView]) -> usize {
        self.among(tiers.iter().map(|tier| tier.id.as_str()))
    }

    /// The row of the cursor among these ids.
    pub fn among<I: AsRef<str>>(&self, ids: impl ExactSizeIterator<Item = I>) -> usize {
        let last = ids.len().saturating_sub(1);
        let found = self.id.as_ref().and_then(|wanted| ids.into_iter().position(|id| id.as_ref() == wanted));
        found.unwrap_or(self.place.min(last))
    }

    /// Moves to what has this id.
    pub fn put_on(&mut self, id: &str) {
        self.id = Some(id.to_owned());
    }

    /// Remembers the row, for when the tier goes away.
    pub fn settle(&mut self, tiers: &[TierView]) {
        self.keep(self.place(tiers));
    }

    /// Remembers the row, for when what is there goes away.
    pub fn keep(&mut self, place: usize) {
        self.place = place;
    }
}

/// A part of the tier screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// What it is asked.
    #[default]
    Operations,
    /// Where it runs.
    Instances,
    /// How its latencies lie.
    Latency,
    /// Its other figures.
    Signals,
    /// Who calls it and whom it calls.
    Calls,
}

impl Pane {
    /// All of them, in the order of Tab.
    pub const ALL: [Self; 5] = [Self::Operations, Self::Instances, Self::Latency, Self::Signals, Self::Calls];

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Instances => "instances",
            Self::Latency => "latency",
            Self::Signals => "signals",
            Self::Calls => "calls",
        }
    }

    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The one before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    /// How many rows it has to move among; the latency pane is a picture and has none.
    pub fn rows(self, tier: &TierView, snapshot: &Snapshot) -> usize {
        match self {
            Self::Operations => tier.operations.len(),
            Self::Instances => tier.instances.len(),
            Self::Latency => 0,
            Self::Signals => snapshot.signals.iter().filter(|signal| signal.tier == tier.id).count(),
            Self::Calls => snapshot.edges.iter().filter(|edge| edge.from == tier.id || edge.to == tier.id).count(),
        }
    }
}

/// The row after a step among `rows`, staying inside.
pub(super) fn step(row: usize, step: Step, page: usize, rows: usize) -> usize {
    let last = rows.saturating_sub(1);
    let wanted = match step {
        Step::Down => row + 1,
        Step::Up => row.saturating_sub(1),
        Step::First => 0,
        Step::Last => last,
        Step::PageDown => row + page,
        Step::PageUp => row.saturating_sub(page),
        Step::HalfDown => row + (page / 2).max(1),
        Step::HalfUp => row.saturating_sub((page / 2).max(1)),
    };
    wanted.min(last)
}

/// The first of `rows` to draw in `room` so that `row` is seen, with as much around it as there is.
pub fn first_shown(row: usize, rows: usize, room: usize) -> usize {
    row.saturating_sub(room / 2).min(rows.saturating_sub(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_under_the_cursor_is_always_seen() {
        for rows in 0..40 {
            for room in 1..20 {
                for row in 0..rows {
                    let first = first_shown(row, rows, room);
                    assert!((first..first + room).contains(&row));
                    assert!(first == 0 || first + room <= rows);
                }
            }
        }
    }

    #[test]
    fn panes_go_round_both_ways() {
        for pane in Pane::ALL {
            assert_eq!(pane.next().previous(), pane);
        }
    }
}
