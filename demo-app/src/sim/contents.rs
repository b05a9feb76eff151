//! The contents of the simulated database: one truth with times, of which each copy sees a part.
//!
//! The primary confirms a write once its standby has it, so a promoted standby lacks nothing and the truth
//! needs to be kept only once. A replica that has applied changes up to a time sees what was written before.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use crate::sim::clock::Time;

/// Bytes of a database file without rows, and of each row with its index entries.
const FILE_BYTES: (u64, u64) = (64 << 10, 320);

/// All rows, and when the primary beat.
pub(super) struct Contents {
    rows: RefCell<HashMap<i64, Row>>,
    last: Cell<i64>,
    changes: Cell<u64>,
    heartbeat: Duration,
    /// From when to when there was a primary, in order.
    reigns: RefCell<Vec<(Time, Option<Time>)>>,
    payload_bytes: u64,
    /// The size of the most popular content, where it has become large.
    pub(super) hot: Cell<Option<u64>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    inserted: Time,
    processed: Option<Time>,
}

/// What a copy knows of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    Unprocessed,
    Processed,
}

impl Contents {
    pub(super) fn new(items: u32, payload_bytes: u64, heartbeat: Duration) -> Self {
        let row = Row { inserted: Time::ZERO, processed: Some(Time::ZERO) };
        Self {
            rows: RefCell::new((1..=i64::from(items)).map(|id| (id, row)).collect()),
            last: Cell::new(i64::from(items)),
            changes: Cell::new(u64::from(items)),
            heartbeat,
            reigns: RefCell::new(vec![(Time::ZERO, None)]),
            payload_bytes,
            hot: Cell::new(None),
        }
    }

    /// Inserts a row and returns its id.
    pub(super) fn insert(&self, now: Time) -> i64 {
        self.last.set(self.last.get() + 1);
        self.rows.borrow_mut().insert(self.last.get(), Row { inserted: now, processed: None });
        self.changes.set(self.changes.get() + 1);
        self.last.get()
    }

    /// Records that a content was processed.
    pub(super) fn update(&self, id: i64, now: Time) {
        if let Some(row) = self.rows.borrow_mut().get_mut(&id) {
            row.processed.get_or_insert(now);
            self.changes.set(self.changes.get() + 1);
        }
    }

    /// Deletes a row.
    pub(super) fn delete(&self, id: i64) {
        self.rows.borrow_mut().remove(&id);
        self.changes.set(self.changes.get() + 1);
    }

    /// Returns what a copy knows that has applied changes up to a time.
    pub(super) fn known(&self, id: i64, applied: Time) -> Known {
        match self.rows.borrow().get(&id) {
            Some(row) if row.inserted <= applied => match row.processed {
                Some(processed) if processed <= applied => Known::Processed,
                _ => Known::Unprocessed,
            },
            _ => Known::Nothing,
        }
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.rows.borrow().len()
    }

    /// How many changes there were, heartbeats included.
    pub(super) fn changes(&self, now: Time) -> u64 {
        self.changes.get() + (now.as_secs_f64() / self.heartbeat.as_secs_f64()) as u64
    }

    /// Bytes of the database file.
    pub(super) fn bytes(&self) -> u64 {
        FILE_BYTES.0 + FILE_BYTES.1 * self.count() as u64
    }

    /// Bytes of a content's payload.
    pub(super) fn payload(&self, id: i64) -> u64 {
        self.hot.get().filter(|_| id == 1).unwrap_or(self.payload_bytes)
    }

    /// Says that there is a primary from now on, or none.
    pub(super) fn reign(&self, now: Time, begins: bool) {
        let mut reigns = self.reigns.borrow_mut();
        if let Some((_, until @ None)) = reigns.last_mut() {
            *until = Some(now);
        }
        if begins {
            reigns.push((now, None));
        }
    }

    /// Returns when the last heartbeat was written that a copy has applied.
    pub(super) fn beat(&self, applied: Time) -> Time {
        let reigns = self.reigns.borrow();
        let reign = reigns.iter().rev().find(|(from, _)| *from <= applied);
        let Some(&(from, until)) = reign else { return Time::ZERO };
        let since = until.map_or(applied, |until| until.min(applied)).saturating_sub(from);
        let beats = (since.as_nanos() / self.heartbeat.as_nanos().max(1)) as u32;
        from + self.heartbeat * beats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_sees_what_it_has_applied_and_nobody_beats_without_a_primary() {
        let s = Duration::from_secs;
        let contents = Contents::new(1, 10, Duration::from_millis(100));
        let id = contents.insert(s(5));
        contents.update(id, s(6));
        let known = [4, 5, 6].map(|applied| contents.known(id, s(applied)));
        assert_eq!(known, [Known::Nothing, Known::Unprocessed, Known::Processed]);
        assert_eq!(contents.beat(Duration::from_millis(5_050)), s(5));
        contents.reign(s(10), false);
        assert_eq!(contents.beat(s(20)), s(10));
        contents.reign(s(25), true);
        assert_eq!(contents.beat(s(30)), s(30));
    }
}
