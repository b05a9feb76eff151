//! The queue's messages: one SQLite file, so that they outlive the process.
//!
//! A message is *visible* until it is received, then *in flight* until it is acknowledged or its
//! visibility timeout passes, which makes it visible again. So a message is delivered at least once. Who
//! works on it for longer *extends* that time. One that was handed out as often as it may be and was never
//! acknowledged goes to the *dead letters*, where nobody receives it; who still works on it then may
//! acknowledge it there.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// A message as it is handed to a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) body: String,
    /// The producer's trace context, as a W3C `traceparent`.
    pub(crate) traceparent: Option<String>,
    /// How often it was handed out, this time included.
    pub(crate) receives: i64,
}

/// What the queue holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Depth {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    /// Age of the oldest message that is not acknowledged; zero for an empty queue.
    pub(crate) oldest: Duration,
    /// Messages that were given up.
    pub(crate) dead: u64,
}

/// An open queue file. Times are milliseconds since the Unix epoch.
pub(crate) struct Messages {
    connection: Connection,
    visibility_timeout: Duration,
    most_receives: i64,
}

impl Messages {
    /// Opens a queue's file; a message is handed out `most_receives` times at most.
    pub(crate) fn open(path: &Path, visibility_timeout: Duration, most_receives: i64) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS messages (
                 id INTEGER PRIMARY KEY AUTOINCREMENT,
                 body TEXT NOT NULL,
                 traceparent TEXT,
                 sent_at INTEGER NOT NULL,
                 visible_at INTEGER NOT NULL,
                 receives INTEGER NOT NULL DEFAULT 0
             );
             CREATE INDEX IF NOT EXISTS messages_visible_at ON messages (visible_at);
             CREATE TABLE IF NOT EXISTS dead_letters (
                 id INTEGER PRIMARY KEY,
                 body TEXT NOT NULL,
                 traceparent TEXT,
                 sent_at INTEGER NOT NULL,
                 receives INTEGER NOT NULL
             );",
        )?;
        Ok(Self { connection, visibility_timeout, most_receives })
    }

    /// Stores a message and returns its id.
    pub(crate) fn send(&self, body: &str, traceparent: Option<&str>, now: i64) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached(
                "INSERT INTO messages (body, traceparent, sent_at, visible_at)
                 VALUES (?, ?, ?, ?)",
            )?
            .insert(params![body, traceparent, now, now])
    }

    /// Returns the oldest visible message, and hides it for the visibility timeout.
    pub(crate) fn receive(&self, now: i64) -> rusqlite::Result<Option<Message>> {
        self.bury(now)?;
        self.connection
            .prepare_cached(
                "UPDATE messages SET visible_at = ?, receives = receives + 1
                 WHERE id = (SELECT id FROM messages WHERE visible_at <= ? ORDER BY id LIMIT 1)
                 RETURNING id, body, traceparent, receives",
            )?
            .query_row([self.hidden_until(now), now], |row| {
                Ok(Message { id: row.get(0)?, body: row.get(1)?, traceparent: row.get(2)?, receives: row.get(3)? })
            })
            .optional()
    }

    /// Moves visible messages that were handed out often enough to the dead letters.
    fn bury(&self, now: i64) -> rusqlite::Result<()> {
        let spent = params![now, self.most_receives];
        let there = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE visible_at <= ? AND receives >= ?)")?
            .query_row(spent, |row| row.get::<_, bool>(0))?;
        if !there {
            return Ok(());
        }
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute(
            "INSERT INTO dead_letters SELECT id, body, traceparent, sent_at, receives
             FROM messages WHERE visible_at <= ? AND receives >= ?",
            spent,
        )?;
        transaction.execute("DELETE FROM messages WHERE visible_at <= ? AND receives >= ?", spent)?;
        transaction.commit()
    }

    /// Removes a message that was processed, also if it was given up meanwhile.
    pub(crate) fn acknowledge(&self, id: i64) -> rusqlite::Result<()> {
        if self.connection.prepare_cached("DELETE FROM messages WHERE id = ?")?.execute([id])? == 0 {
            self.connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?")?.execute([id])?;
        }
        Ok(())
    }

    /// Hides a received message for another visibility timeout; one that is visible again stays so.
    pub(crate) fn extend(&self, id: i64, now: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE messages SET visible_at = ? WHERE id = ? AND visible_at > ?")?
            .execute([self.hidden_until(now), id, now])?;
        Ok(())
    }

    fn hidden_until(&self, now: i64) -> i64 {
        now + self.visibility_timeout.as_millis() as i64
    }

    /// Makes a received message visible again at once.
    pub(crate) fn release(&self, id: i64, now: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("UPDATE messages SET visible_at = ? WHERE id = ?")?.execute([now, id])?;
        Ok(())
    }

    /// Returns what the queue holds.
    pub(crate) fn depth(&self, now: i64) -> rusqlite::Result<Depth> {
        self.connection
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE visible_at <= ?1),
                        count(*) FILTER (WHERE visible_at > ?1),
                        coalesce(max(?1 - min(sent_at), 0), 0),
                        (SELECT count(*) FROM dead_letters)
                 FROM messages",
            )?
            .query_row([now], |row| {
                Ok(Depth {
                    visible: row.get::<_, i64>(0)? as u64,
                    in_flight: row.get::<_, i64>(1)? as u64,
                    oldest: Duration::from_millis(row.get::<_, i64>(2)? as u64),
                    dead: row.get::<_, i64>(3)? as u64,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const MOST: i64 = 3;

    #[test]
    fn messages_outlive_the_process_that_held_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        {
            let queue = Messages::open(&path, TIMEOUT, MOST).unwrap();
            queue.send("first", Some("00-aa-bb-01"), 1_000).unwrap();
            queue.send("second", None, 2_000).unwrap();
            queue.receive(2_500).unwrap().unwrap();
            // Not acknowledged: the process is gone here.
        }
        let queue = Messages::open(&path, TIMEOUT, MOST).unwrap();
        let depth = queue.depth(3_000).unwrap();
        assert_eq!((depth.visible, depth.in_flight), (1, 1));
        assert_eq!(depth.oldest, Duration::from_secs(2));
        assert_eq!(queue.receive(3_000).unwrap().unwrap().body, "second");
        let again = queue.receive(2_500 + 30_000).unwrap().unwrap();
        assert_eq!((again.body.as_str(), again.receives), ("first", 2));
        assert_eq!(again.traceparent.as_deref(), Some("00-aa-bb-01"));
    }

    #[test]
    fn an_acknowledged_message_is_gone_and_a_released_one_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Messages::open(&folder.path().join("queue.db"), TIMEOUT, MOST).unwrap();
        queue.send("first", None, 0).unwrap();
        let message = queue.receive(1).unwrap().unwrap();
        assert_eq!(queue.receive(2).unwrap(), None);
        queue.release(message.id, 3).unwrap();
        assert_eq!(queue.receive(3).unwrap().unwrap().id, message.id);
        queue.acknowledge(message.id).unwrap();
        let depth = queue.depth(i64::MAX / 2).unwrap();
        assert_eq!((depth.visible, depth.in_flight, depth.oldest), (0, 0, Duration::ZERO));
    }

    #[test]
    fn a_message_that_is_never_acknowledged_goes_to_the_dead_letters() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Messages::open(&folder.path().join("queue.db"), TIMEOUT, MOST).unwrap();
        queue.send("poison", None, 0).unwrap();
        queue.send("sound", None, 1).unwrap();
        for time in 1..=MOST {
            let message = queue.receive(10).unwrap().unwrap();
            assert_eq!((message.body.as_str(), message.receives), ("poison", time));
            assert_eq!(queue.depth(10).unwrap().dead, 0);
            queue.release(message.id, 10).unwrap();
        }
        assert_eq!(queue.receive(10).unwrap().unwrap().body, "sound");
        let depth = queue.depth(10).unwrap();
        assert_eq!((depth.visible, depth.in_flight, depth.dead), (0, 1, 1));
        assert_eq!(depth.oldest, Duration::from_millis(9), "a dead letter does not wait");
    }
    #[test]
    fn an_extended_message_stays_hidden_and_is_not_counted_again() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Messages::open(&folder.path().join("queue.db"), TIMEOUT, MOST).unwrap();
        queue.send("slow", None, 0).unwrap();
        let message = queue.receive(0).unwrap().unwrap();
        for now in (20_000..200_000).step_by(20_000) {
            queue.extend(message.id, now).unwrap();
            assert_eq!(queue.receive(now + 1).unwrap(), None);
        }
        assert_eq!(queue.receive(230_000).unwrap().unwrap().receives, 2);
        queue.release(message.id, 230_000).unwrap();
        queue.extend(message.id, 230_000).unwrap();
        assert_eq!(queue.depth(230_000).unwrap().visible, 1, "what is visible is not hidden from others");
    }

    #[test]
    fn a_message_that_is_acknowledged_after_it_was_given_up_is_no_dead_letter() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Messages::open(&folder.path().join("queue.db"), TIMEOUT, 1).unwrap();
        queue.send("slow", None, 0).unwrap();
        let message = queue.receive(0).unwrap().unwrap();
        assert_eq!(queue.receive(30_000).unwrap(), None);
        assert_eq!(queue.depth(30_000).unwrap().dead, 1);
        queue.acknowledge(message.id).unwrap();
        assert_eq!(queue.depth(30_000).unwrap().dead, 0);
    }
}
