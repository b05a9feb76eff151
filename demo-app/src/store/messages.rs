//! The queue's messages: one SQLite file, so that they outlive the process.
//!
//! A message is *visible* until it is received, then *in flight* until it is acknowledged or its
//! visibility timeout passes, which makes it visible again. So a message is delivered at least once.

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
}

/// An open queue file. Times are milliseconds since the Unix epoch.
pub(crate) struct Messages {
    connection: Connection,
    visibility_timeout: Duration,
}

impl Messages {
    pub(crate) fn open(path: &Path, visibility_timeout: Duration) -> rusqlite::Result<Self> {
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
             CREATE INDEX IF NOT EXISTS messages_visible_at ON messages (visible_at);",
        )?;
        Ok(Self { connection, visibility_timeout })
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
        let hidden_until = now + self.visibility_timeout.as_millis() as i64;
        self.connection
            .prepare_cached(
                "UPDATE messages SET visible_at = ?, receives = receives + 1
                 WHERE id = (SELECT id FROM messages WHERE visible_at <= ? ORDER BY id LIMIT 1)
                 RETURNING id, body, traceparent, receives",
            )?
            .query_row([hidden_until, now], |row| {
                Ok(Message { id: row.get(0)?, body: row.get(1)?, traceparent: row.get(2)?, receives: row.get(3)? })
            })
            .optional()
    }

    /// Removes a message that was processed.
    pub(crate) fn acknowledge(&self, id: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM messages WHERE id = ?")?.execute([id])?;
        Ok(())
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
                        coalesce(max(?1 - min(sent_at), 0), 0)
                 FROM messages",
            )?
            .query_row([now], |row| {
                Ok(Depth {
                    visible: row.get::<_, i64>(0)? as u64,
                    in_flight: row.get::<_, i64>(1)? as u64,
                    oldest: Duration::from_millis(row.get::<_, i64>(2)? as u64),
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn messages_outlive_the_process_that_held_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        {
            let queue = Messages::open(&path, TIMEOUT).unwrap();
            queue.send("first", Some("00-aa-bb-01"), 1_000).unwrap();
            queue.send("second", None, 2_000).unwrap();
            queue.receive(2_500).unwrap().unwrap();
            // Not acknowledged: the process is gone here.
        }
        let queue = Messages::open(&path, TIMEOUT).unwrap();
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
        let queue = Messages::open(&folder.path().join("queue.db"), TIMEOUT).unwrap();
        queue.send("first", None, 0).unwrap();
        let message = queue.receive(1).unwrap().unwrap();
        assert_eq!(queue.receive(2).unwrap(), None);
        queue.release(message.id, 3).unwrap();
        assert_eq!(queue.receive(3).unwrap().unwrap().id, message.id);
        queue.acknowledge(message.id).unwrap();
        let depth = queue.depth(i64::MAX / 2).unwrap();
        assert_eq!((depth.visible, depth.in_flight, depth.oldest), (0, 0, Duration::ZERO));
    }
}
