//! The simulated queue: visibility, receive counts and dead letters, as the real one keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::sim::clock::Time;
use crate::sim::spans::Context;

/// What a message asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// To finish a content.
    Finish {
        /// Which.
        content_id: i64,
        /// Whether its raw payload lies in the object store.
        uploaded: bool,
    },
    /// Nothing that anybody can do.
    Nonsense,
}

/// A message as it is handed to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: i64,
    pub(super) job: Job,
    pub(super) producer: Option<Context>,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    sent: Time,
    visible_at: Time,
    receives: i64,
}

/// The messages of a queue; they outlive its process.
#[derive(Debug)]
pub(super) struct Messages {
    visibility: Duration,
    most_receives: i64,
    last: i64,
    all: BTreeMap<i64, Kept>,
    visible: BTreeSet<i64>,
    hidden: BTreeSet<(Time, i64)>,
    pub(super) dead_letters: BTreeSet<i64>,
    pub(super) receives: u64,
    pub(super) redeliveries: u64,
}

/// What the queue holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Depth {
    pub(super) visible: u64,
    pub(super) in_flight: u64,
    pub(super) oldest: Duration,
}

impl Messages {
    pub(super) fn new(visibility: Duration, most_receives: i64) -> Self {
        Self {
            visibility,
            most_receives,
            last: 0,
            all: BTreeMap::new(),
            visible: BTreeSet::new(),
            hidden: BTreeSet::new(),
            dead_letters: BTreeSet::new(),
            receives: 0,
            redeliveries: 0,
        }
    }

    /// Stores a message.
    pub(super) fn send(&mut self, job: Job, producer: Option<Context>, now: Time) {
        self.last += 1;
        let message = Message { id: self.last, job, producer };
        self.all.insert(self.last, Kept { message, sent: now, visible_at: now, receives: 0 });
        self.visible.insert(self.last);
    }

    /// Returns the oldest visible message, and hides it for the visibility timeout.
    pub(super) fn receive(&mut self, now: Time) -> Option<Message> {
        self.show(now);
        loop {
            let id = self.visible.pop_first()?;
            let Some(kept) = self.all.get_mut(&id) else { continue };
            if kept.receives >= self.most_receives {
                self.all.remove(&id);
                self.dead_letters.insert(id);
                continue;
            }
            kept.receives += 1;
            kept.visible_at = now + self.visibility;
            self.receives += 1;
            self.redeliveries += u64::from(kept.receives > 1);
            self.hidden.insert((kept.visible_at, id));
            return Some(kept.message);
        }
    }

    /// Removes a message that was processed, also if it was given up meanwhile.
    pub(super) fn acknowledge(&mut self, id: i64) {
        if let Some(kept) = self.all.remove(&id) {
            self.hidden.remove(&(kept.visible_at, id));
            self.visible.remove(&id);
        }
        self.dead_letters.remove(&id);
    }

    /// Hides a received message for another visibility timeout; one that is visible again stays so.
    pub(super) fn extend(&mut self, id: i64, now: Time) {
        self.show(now);
        if let Some(kept) = self.all.get_mut(&id)
            && self.hidden.remove(&(kept.visible_at, id))
        {
            kept.visible_at = now + self.visibility;
            self.hidden.insert((kept.visible_at, id));
        }
    }

    /// Makes a received message visible again at once.
    pub(super) fn release(&mut self, id: i64, now: Time) {
        if let Some(kept) = self.all.get_mut(&id) {
            self.hidden.remove(&(kept.visible_at, id));
            kept.visible_at = now;
            self.visible.insert(id);
        }
    }

    /// Makes visible what was hidden for long enough.
    fn show(&mut self, now: Time) {
        while let Some(&(at, id)) = self.hidden.first() {
            if at > now {
                break;
            }
            self.hidden.pop_first();
            self.visible.insert(id);
        }
    }

    /// Returns what the queue holds.
    pub(super) fn depth(&mut self, now: Time) -> Depth {
        self.show(now);
        let oldest = self.all.first_key_value().map(|(_, kept)| now.saturating_sub(kept.sent)).unwrap_or_default();
        Depth { visible: self.visible.len() as u64, in_flight: self.hidden.len() as u64, oldest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_message_that_nobody_finishes_comes_back_and_then_is_dead() {
        let mut queue = Messages::new(10 * SECOND, 2);
        queue.send(Job::Nonsense, None, SECOND);
        let first = queue.receive(SECOND).unwrap();
        assert_eq!(queue.receive(2 * SECOND), None);
        assert_eq!(queue.depth(5 * SECOND), Depth { visible: 0, in_flight: 1, oldest: 4 * SECOND });
        assert_eq!(queue.receive(11 * SECOND), Some(first));
        queue.release(first.id, 12 * SECOND);
        assert_eq!(queue.receive(12 * SECOND), None);
        assert_eq!((queue.dead_letters.len(), queue.receives, queue.redeliveries), (1, 2, 1));
        queue.acknowledge(first.id);
        assert!(queue.dead_letters.is_empty(), "it was processed after all");
    }

    #[test]
    fn an_acknowledged_message_is_gone() {
        let mut queue = Messages::new(SECOND, 5);
        queue.send(Job::Finish { content_id: 1, uploaded: false }, None, SECOND);
        let message = queue.receive(SECOND).unwrap();
        queue.acknowledge(message.id);
        assert_eq!(queue.depth(60 * SECOND), Depth { visible: 0, in_flight: 0, oldest: Duration::ZERO });
    }
    #[test]
    fn an_extended_message_stays_hidden_and_is_not_counted_again() {
        let mut queue = Messages::new(10 * SECOND, 1);
        queue.send(Job::Nonsense, None, SECOND);
        let message = queue.receive(SECOND).unwrap();
        for second in (6..60).step_by(5) {
            queue.extend(message.id, second * SECOND);
            assert_eq!(queue.receive(second * SECOND), None);
        }
        assert_eq!((queue.depth(60 * SECOND).in_flight, queue.dead_letters.len()), (1, 0));
    }
}
