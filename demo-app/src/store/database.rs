//! The content database: one SQLite file, as the primary or as a replica.
//!
//! The primary's triggers write every change into `change_log`, in the same transaction. A replica
//! reads the log in order and applies it, also in one transaction with its *position*, the sequence
//! number of the last change applied. A *heartbeat* is a row that the primary stamps with the time
//! at a fixed pace; it travels through the log as any change does, so the age of the last heartbeat
//! applied is the replica's true lag.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};
use serde::{Deserialize, Serialize};

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
    /// Changes after a position; confirms everything up to it. Waits for the first one.
    Changes {
        after: i64,
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
    Session { user_id: Option<i64> },
    Lag { behind: Duration },
    Inserted { id: i64 },
    Changed { rows: usize },
    Changes(Vec<Change>),
    Position(i64),
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

/// An entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) position: i64,
    pub(crate) what: Changed,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Changed {
    Put(Content),
    Delete { id: i64 },
    Heartbeat { at: i64 },
}

/// Most changes handed to a replica at once.
const CHANGES: i64 = 500;

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS user_content (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL,
        content_metadata TEXT,
        asset_url TEXT,
        created_at TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    );
    CREATE INDEX IF NOT EXISTS user_content_user_id ON user_content (user_id);
    CREATE INDEX IF NOT EXISTS user_content_created_at ON user_content (created_at);
    CREATE TABLE IF NOT EXISTS heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER);
    INSERT OR IGNORE INTO heartbeat VALUES (1, NULL);
    CREATE TABLE IF NOT EXISTS applied (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER);
    INSERT OR IGNORE INTO applied VALUES (1, 0);
";

const LOG: &str = "
    CREATE TABLE IF NOT EXISTS change_log (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        what TEXT NOT NULL
    );
    CREATE TRIGGER IF NOT EXISTS log_insert AFTER INSERT ON user_content BEGIN
        INSERT INTO change_log (what) VALUES (json_object('put', json_object(
            'id', new.id, 'user_id', new.user_id, 'content_metadata', new.content_metadata,
            'asset_url', new.asset_url, 'created_at', new.created_at)));
    END;
    CREATE TRIGGER IF NOT EXISTS log_update AFTER UPDATE ON user_content BEGIN
        INSERT INTO change_log (what) VALUES (json_object('put', json_object(
            'id', new.id, 'user_id', new.user_id, 'content_metadata', new.content_metadata,
            'asset_url', new.asset_url, 'created_at', new.created_at)));
    END;
    CREATE TRIGGER IF NOT EXISTS log_delete AFTER DELETE ON user_content BEGIN
        INSERT INTO change_log (what) VALUES (json_object('delete', json_object('id', old.id)));
    END;
    CREATE TRIGGER IF NOT EXISTS log_heartbeat AFTER UPDATE ON heartbeat BEGIN
        INSERT INTO change_log (what) VALUES (json_object('heartbeat', json_object('at', new.at)));
    END;
";

/// An open database file.
pub(crate) struct Database {
    connection: Connection,
}

impl Database {
    /// Opens the file of a primary, with its change log.
    pub(crate) fn primary(path: &Path) -> rusqlite::Result<Self> {
        let database = Self::replica(path)?;
        database.connection.execute_batch(LOG)?;
        Ok(database)
    }

    /// Opens the file of a replica.
    pub(crate) fn replica(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection })
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

    /// Inserts processed rows in one transaction; those with an id that is taken are replaced.
    pub(crate) fn insert_many(&mut self, rows: &[Content]) -> rusqlite::Result<usize> {
        let transaction = self.connection.transaction()?;
        for row in rows {
            put(&transaction, row)?;
        }
        transaction.commit()?;
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

    /// Returns the next changes after a position, oldest first.
    pub(crate) fn changes(&self, after: i64) -> rusqlite::Result<Vec<Change>> {
        self.connection
            .prepare_cached(
                "SELECT position, what FROM change_log WHERE position > ?
                 ORDER BY position LIMIT ?",
            )?
            .query_map([after, CHANGES], change)?
            .collect()
    }

    /// Drops the changes up to a position, which the replica has confirmed.
    pub(crate) fn prune(&self, up_to: i64) -> rusqlite::Result<usize> {
        self.connection.prepare_cached("DELETE FROM change_log WHERE position <= ?")?.execute([up_to])
    }

    /// Returns the position of the last change written.
    pub(crate) fn written(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'")?
            .query_row([], |row| row.get(0))
            .optional()
            .map(Option::unwrap_or_default)
    }

    /// Returns the position of the last change applied.
    pub(crate) fn applied(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("SELECT position FROM applied", [], |row| row.get(0))
    }

    /// Applies changes and moves the position, all or nothing.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for change in changes {
            match &change.what {
                Changed::Put(row) => put(&transaction, row)?,
                Changed::Delete { id } => {
                    transaction.execute("DELETE FROM user_content WHERE id = ?", [id])?;
                }
                Changed::Heartbeat { at } => {
                    transaction.execute("UPDATE heartbeat SET at = ?", [at])?;
                }
            }
            transaction.execute("UPDATE applied SET position = ?", [change.position])?;
        }
        transaction.commit()
    }

    /// Returns the size of the file in bytes, the log of the journal not counted.
    pub(crate) fn size(&self) -> rusqlite::Result<u64> {
        self.connection.query_row(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            [],
            |row| row.get::<_, i64>(0).map(|bytes| bytes as u64),
        )
    }
}

fn put(connection: &Connection, row: &Content) -> rusqlite::Result<()> {
    connection
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

fn content(row: &SqlRow<'_>) -> rusqlite::Result<Content> {
    Ok(Content {
        id: row.get(0)?,
        user_id: row.get(1)?,
        content_metadata: row.get(2)?,
        asset_url: row.get(3)?,
        created_at: row.get(4)?,
    })
}

fn change(row: &SqlRow<'_>) -> rusqlite::Result<Change> {
    let text: String = row.get(1)?;
    let what = serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Change { position: row.get(0)?, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (tempfile::TempDir, Database, Database) {
        let folder = tempfile::tempdir().unwrap();
        let primary = Database::primary(&folder.path().join("primary.db")).unwrap();
        let replica = Database::replica(&folder.path().join("replica.db")).unwrap();
        (folder, primary, replica)
    }

    #[test]
    fn a_replica_that_applies_the_log_equals_its_primary() {
        let (_folder, primary, mut replica) = pair();
        let first = primary.insert(7).unwrap();
        let second = primary.insert(8).unwrap();
        primary.update(first, r#"{"bytes":3}"#, "s3://content/1").unwrap();
        primary.delete(second).unwrap();
        primary.beat(1_234).unwrap();

        replica.apply(&primary.changes(0).unwrap()).unwrap();

        assert_eq!(replica.select(first).unwrap(), primary.select(first).unwrap());
        assert_eq!(replica.select(second).unwrap(), None);
        assert_eq!(replica.heartbeat().unwrap(), Some(1_234));
        assert_eq!(replica.applied().unwrap(), primary.written().unwrap());
    }

    #[test]
    fn applying_goes_on_from_the_position_after_the_log_was_pruned() {
        let (_folder, primary, mut replica) = pair();
        primary.insert(7).unwrap();
        replica.apply(&primary.changes(0).unwrap()).unwrap();
        let position = replica.applied().unwrap();
        primary.prune(position).unwrap();
        assert_eq!(primary.written().unwrap(), position);

        let id = primary.insert(8).unwrap();
        let changes = primary.changes(position).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].position, position + 1);
        replica.apply(&changes).unwrap();
        assert_eq!(replica.select(id).unwrap().unwrap().user_id, 8);
    }
}
