//! The content database: one SQLite file, as the primary, its standby or a replica.
//!
//! This file has the protocol and the statements on contents and sessions. `connections` says who may
//! write when, `log` how changes get from one file to the next, `disk` how large a file is and may
//! become.

pub(crate) mod connections;
mod disk;
mod log;

use std::path::Path;
use std::time::Duration;

use rusqlite::{
    Connection, OptionalExtension, Row as SqlRow, StatementStatus, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Serialize};

pub(crate) use log::{Change, Changed, MOST_CHANGES, Place};

/// What a database is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Select {
        id: i64,
    },
    /// The newest contents of a user.
    List {
        user_id: i64,
    },
    Insert {
        user_id: i64,
    },
    Update {
        id: i64,
        metadata: String,
        asset_url: String,
    },
    Delete {
        id: i64,
    },
    /// Bulk load: the rows arrive processed.
    InsertMany {
        rows: Vec<Content>,
    },
    /// Changes after a place; confirms everything up to it. Waits for the first one.
    Changes {
        after: Place,
        follower: Follower,
    },
    /// Some of all contents and sessions, after the last ones of those that were copied already.
    Copy {
        content: i64,
        session: String,
    },
    /// The last position written or applied.
    Position,
    /// How far this database is behind its primary; none for a primary.
    Lag,
    /// Remembers who a session belongs to.
    PutSession {
        id: String,
        user_id: i64,
    },
    /// Who a session belongs to.
    GetSession {
        id: String,
    },
}

/// What a database answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Row(Option<Content>),
    Rows(Vec<Content>),
    Session {
        user_id: Option<i64>,
    },
    Lag {
        behind: Duration,
    },
    Inserted {
        id: i64,
    },
    Changed {
        rows: usize,
    },
    Changes {
        timeline: i64,
        changes: Vec<Change>,
    },
    /// The log does not lead on from where the follower is: it has to copy everything.
    CopyNeeded,
    Copied {
        at: Place,
        some: Vec<Changed>,
    },
    Position(i64),
}

/// Who follows a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Follower {
    /// What it has confirmed outlives the primary.
    Standby,
    /// It gets nothing that a promoted standby would not have.
    Replica,
}

/// A row of `user_content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the fields have the names of their columns")]
pub(crate) struct Content {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    /// A JSON object, once the worker is done.
    pub(crate) content_metadata: Option<String>,
    /// Where the payload lies, once the worker is done.
    pub(crate) asset_url: Option<String>,
    pub(crate) created_at: String,
}

/// How many contents a list has at most.
const LISTED: i64 = 20;

/// Longest wait for another session's lock: 5 s, SQLite's usual in applications.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How often a session looks whether the lock is free.
const LOCK_LOOK: Duration = Duration::from_millis(2);

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS user_content (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- a late job finds no other content under its id
        user_id INTEGER NOT NULL,
        content_metadata TEXT,
        asset_url TEXT,
        created_at TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    );
    CREATE INDEX IF NOT EXISTS user_content_created_at ON user_content (created_at);
    CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, user_id INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER);
    INSERT OR IGNORE INTO heartbeat VALUES (1, NULL);
    CREATE TABLE IF NOT EXISTS applied (
        id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER, timeline INTEGER, forked_at INTEGER
    );
    INSERT OR IGNORE INTO applied VALUES (1, 0, 1, 0);
";

const USER_INDEX: &str = "CREATE INDEX IF NOT EXISTS user_content_user_id ON user_content (user_id);";

/// A session of a database file.
pub(crate) struct Database {
    connection: Connection,
}

impl Database {
    /// Opens the file of a primary, which writes its own change log. What filled the disk when the process
    /// before ended is gone.
    pub(crate) fn primary(path: &Path) -> rusqlite::Result<Self> {
        let database = Self::replica(path)?;
        database.drop_ballast()?;
        database.connection.execute_batch(log::TABLE)?;
        database.connection.execute_batch(log::TRIGGERS)?;
        Ok(database)
    }

    /// Opens the file of a standby, which keeps its primary's change log.
    pub(crate) fn standby(path: &Path) -> rusqlite::Result<Self> {
        let database = Self::replica(path)?;
        database.connection.execute_batch(log::TABLE)?;
        database.connection.execute_batch(log::NO_TRIGGERS)?;
        Ok(database)
    }

    /// Opens the file of a replica.
    pub(crate) fn replica(path: &Path) -> rusqlite::Result<Self> {
        let database = Self::session(path)?;
        database.connection.execute_batch(TABLES)?;
        database.connection.execute_batch(USER_INDEX)?;
        Ok(database)
    }

    /// Opens another session of a file that is open.
    pub(crate) fn session(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
        let most = (LOCK_PATIENCE.as_millis() / LOCK_LOOK.as_millis()) as i32;
        // SQLite's own handler backs off to 100 ms, which is a lock's whole life here.
        connection.busy_handler(Some(move |looks| {
            std::thread::sleep(LOCK_LOOK);
            looks < most
        }))?;
        Ok(Self { connection })
    }

    /// Does some work in one transaction, which takes the write lock before `work` begins.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let done = work(self)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Takes the write lock until [`Self::release`].
    pub(crate) fn take(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")
    }

    /// Gives the write lock back.
    pub(crate) fn release(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    /// Computes for so many steps in a query, and nothing else.
    pub(crate) fn compute(&self, steps: u64) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached(
                "WITH RECURSIVE step (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM step WHERE number < ?)
                 SELECT sum(number % 7) FROM step",
            )?
            .query_row([steps as i64], |row| row.get(0))
    }

    /// Returns the row of a content.
    pub(crate) fn select(&self, id: i64) -> rusqlite::Result<Option<Content>> {
        self.connection
            .prepare_cached(
                "SELECT id, user_id, content_metadata, asset_url, created_at
                 FROM user_content WHERE id = ?",
            )?
            .query_row([id], content)
            .optional()
    }

    /// Inserts a content that is still to be processed and returns its id.
    pub(crate) fn insert(&self, user_id: i64) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("INSERT INTO user_content (user_id) VALUES (?)")?.insert([user_id])
    }

    /// Returns the newest contents of a user, and how many rows were scanned for want of an index.
    pub(crate) fn list(&self, user_id: i64) -> rusqlite::Result<(Vec<Content>, u32)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, user_id, content_metadata, asset_url, created_at
             FROM user_content WHERE user_id = ? ORDER BY id DESC LIMIT ?",
        )?;
        statement.reset_status(StatementStatus::FullscanStep);
        let rows = statement.query_map([user_id, LISTED], content)?.collect::<rusqlite::Result<_>>()?;
        Ok((rows, statement.reset_status(StatementStatus::FullscanStep) as u32))
    }

    /// Drops the index on users, or makes it again.
    pub(crate) fn index_users(&self, there: bool) -> rusqlite::Result<()> {
        let statement = if there { USER_INDEX } else { "DROP INDEX IF EXISTS user_content_user_id" };
        self.connection.execute_batch(statement)
    }

    /// Remembers who a session belongs to.
    pub(crate) fn put_session(&self, id: &str, user_id: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO session (id, user_id) VALUES (?, ?)
                 ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id",
            )?
            .execute(params![id, user_id])?;
        Ok(())
    }

    /// Returns who a session belongs to.
    pub(crate) fn get_session(&self, id: &str) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT user_id FROM session WHERE id = ?")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    /// Inserts processed rows; those with an id that is taken are replaced.
    pub(crate) fn insert_many(&self, rows: &[Content]) -> rusqlite::Result<usize> {
        rows.iter().try_for_each(|row| self.put(row))?;
        Ok(rows.len())
    }

    /// Records that a content was processed; returns how many rows there were to change.
    pub(crate) fn update(&self, id: i64, metadata: &str, asset_url: &str) -> rusqlite::Result<usize> {
        self.connection
            .prepare_cached("UPDATE user_content SET content_metadata = ?, asset_url = ? WHERE id = ?")?
            .execute(params![metadata, asset_url, id])
    }

    /// Deletes a content; returns how many rows there were to delete.
    pub(crate) fn delete(&self, id: i64) -> rusqlite::Result<usize> {
        self.connection.prepare_cached("DELETE FROM user_content WHERE id = ?")?.execute([id])
    }

    /// Stamps the heartbeat with `now`, in milliseconds since the Unix epoch.
    pub(crate) fn beat(&self, now: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("UPDATE heartbeat SET at = ?")?.execute([now])?;
        Ok(())
    }

    /// Returns the time of the last heartbeat written or applied.
    pub(crate) fn heartbeat(&self) -> rusqlite::Result<Option<i64>> {
        self.connection.query_row("SELECT at FROM heartbeat", [], |row| row.get(0))
    }

    fn put(&self, row: &Content) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO user_content (id, user_id, content_metadata, asset_url, created_at)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id,
                     content_metadata = excluded.content_metadata, asset_url = excluded.asset_url,
                     created_at = excluded.created_at",
            )?
            .execute(params![row.id, row.user_id, row.content_metadata, row.asset_url, row.created_at])?;
        Ok(())
    }
}

fn content(row: &SqlRow<'_>) -> rusqlite::Result<Content> {
    Ok(Content {
        id: row.get(0)?,
        user_id: row.get(1)?,
        content_metadata: row.get(2)?,
        asset_url: row.get(3)?,
        created_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::primary(&folder.path().join("content.db")).unwrap();
        (folder, database)
    }

    #[test]
    fn a_list_has_the_newest_of_one_user_and_scans_only_without_the_index() {
        let (_folder, database) = database();
        for number in 0..500 {
            database.insert(number % 10).unwrap();
        }
        let (rows, scanned) = database.list(3).unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        assert_eq!((ids.len(), ids[0], ids[19], scanned), (20, 494, 304, 0));

        database.index_users(false).unwrap();
        let (same, scanned) = database.list(3).unwrap();
        assert_eq!(same, rows);
        assert!((190..=200).contains(&scanned), "{scanned} rows were scanned");

        database.index_users(true).unwrap();
        assert_eq!(database.list(3).unwrap().1, 0);
    }

    #[test]
    fn a_session_is_known_until_it_belongs_to_somebody_else() {
        let (_folder, database) = database();
        assert_eq!(database.get_session("s").unwrap(), None);
        database.put_session("s", 7).unwrap();
        database.put_session("s", 8).unwrap();
        assert_eq!(database.get_session("s").unwrap(), Some(8));
    }

    #[test]
    fn a_transaction_that_fails_leaves_nothing() {
        let (_folder, database) = database();
        let failed = database.write(|database| {
            database.insert(7)?;
            database.connection.execute_batch("no statement")
        });
        assert!(failed.is_err());
        assert_eq!(database.list(7).unwrap().0, []);
    }
}
