//! The change log: how what a primary writes gets to its followers.
//!
//! Triggers write every change of the primary into `change_log`, in the same transaction. A follower reads
//! the log in order and applies it, also in one transaction with its *place*: the position of the last
//! change applied, and the *timeline* that it is of. A *heartbeat* is a row that the primary stamps with
//! the time at a fixed pace; it travels through the log as any change does, so the age of the last
//! heartbeat applied is the follower's true lag.
//!
//! A standby keeps the log that it applies, so that it can hand it on after its promotion, at the same
//! positions. A promotion begins a new timeline: a follower of the one before goes on only if it has
//! nothing that the new primary had not when it took over.
//!
//! The log keeps its newest changes ([`KEPT`]), whoever has confirmed them. A follower that is further
//! behind, or on another timeline, copies everything and goes on from there.

use rusqlite::{Row as SqlRow, params};
use serde::{Deserialize, Serialize};

use crate::store::database::{Content, Database};

/// How many changes the log keeps: some minutes of them, in some megabytes.
const KEPT: i64 = 20_000;

/// Most changes handed to a follower at once.
pub(crate) const MOST_CHANGES: usize = 500;

/// Most contents and sessions in one piece of a copy.
const COPIED_AT_ONCE: i64 = 2_000;

/// An entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) position: i64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub(crate) at: i64,
    pub(crate) what: Changed,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Changed {
    Put(Content),
    Delete { id: i64 },
    Session { id: String, user_id: i64 },
    Heartbeat { at: i64 },
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Counts the promotions.
    pub(crate) timeline: i64,
    /// The last change applied.
    pub(crate) position: i64,
}

pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS change_log (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
        what TEXT NOT NULL
    );
";

pub(super) const TRIGGERS: &str = "
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
    CREATE TRIGGER IF NOT EXISTS log_session AFTER INSERT ON session BEGIN
        INSERT INTO change_log (what)
        VALUES (json_object('session', json_object('id', new.id, 'user_id', new.user_id)));
    END;
    CREATE TRIGGER IF NOT EXISTS log_session_update AFTER UPDATE ON session BEGIN
        INSERT INTO change_log (what)
        VALUES (json_object('session', json_object('id', new.id, 'user_id', new.user_id)));
    END;
    CREATE TRIGGER IF NOT EXISTS log_heartbeat AFTER UPDATE ON heartbeat BEGIN
        INSERT INTO change_log (what) VALUES (json_object('heartbeat', json_object('at', new.at)));
    END;
";

pub(super) const NO_TRIGGERS: &str = "
    DROP TRIGGER IF EXISTS log_insert;
    DROP TRIGGER IF EXISTS log_update;
    DROP TRIGGER IF EXISTS log_delete;
    DROP TRIGGER IF EXISTS log_session;
    DROP TRIGGER IF EXISTS log_session_update;
    DROP TRIGGER IF EXISTS log_heartbeat;
";

impl Database {
    /// Returns the next changes after a place and up to a position, oldest first, with their timeline;
    /// `None` if the log does not lead on from there.
    pub(crate) fn changes(&self, after: Place, up_to: i64) -> rusqlite::Result<Option<(i64, Vec<Change>)>> {
        let (timeline, forked_at, kept_from) = self.connection.query_row(
            "SELECT timeline, forked_at, (SELECT min(position) FROM change_log) FROM applied",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?)),
        )?;
        let written = self.written()?;
        let same_history =
            after.timeline == timeline || (after.timeline + 1 == timeline && after.position <= forked_at);
        let leads_on = after.position + 1 >= kept_from.unwrap_or(written + 1) && after.position <= written;
        if !same_history || !leads_on {
            return Ok(None);
        }
        self.connection
            .prepare_cached(
                "SELECT position, at, what FROM change_log WHERE position > ? AND position <= ?
                 ORDER BY position LIMIT ?",
            )?
            .query_map([after.position, up_to, MOST_CHANGES as i64], change)?
            .collect::<rusqlite::Result<_>>()
            .map(|changes| Some((timeline, changes)))
    }

    /// Drops the changes that the log no longer keeps.
    pub(crate) fn prune(&self) -> rusqlite::Result<()> {
        let up_to = self.written()? - KEPT;
        self.connection.prepare_cached("DELETE FROM change_log WHERE position <= ?")?.execute([up_to])?;
        Ok(())
    }

    /// Returns the position of the last change written into the log.
    pub(crate) fn written(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0)")?
            .query_row([], |row| row.get(0))
    }

    /// Returns how far a follower is.
    pub(crate) fn applied(&self) -> rusqlite::Result<Place> {
        self.connection.prepare_cached("SELECT timeline, position FROM applied")?.query_row([], place)
    }

    /// Applies changes of a timeline, and moves the place.
    pub(crate) fn apply(&self, timeline: i64, changes: &[Change]) -> rusqlite::Result<()> {
        changes.iter().try_for_each(|change| self.apply_one(&change.what))?;
        if let Some(last) = changes.last() {
            self.move_to(Place { timeline, position: last.position })?;
        }
        Ok(())
    }

    /// Keeps changes in the log of a standby.
    pub(crate) fn keep(&self, changes: &[Change]) -> rusqlite::Result<()> {
        let mut insert =
            self.connection.prepare_cached("INSERT INTO change_log (position, at, what) VALUES (?, ?, ?)")?;
        for Change { position, at, what } in changes {
            let what = serde_json::to_string(what)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            insert.execute(params![position, at, what])?;
        }
        self.prune()
    }

    /// Returns a piece of everything there is after the contents and sessions that were copied already, and
    /// the place from which the log leads on.
    pub(crate) fn copy(&self, content: i64, session: &str) -> rusqlite::Result<(Place, Vec<Changed>)> {
        // The place is read first: what changes after it is copied or applied, or both, which is the same.
        let place = self.connection.query_row(
            "SELECT timeline, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0) FROM applied",
            [],
            place,
        )?;
        let mut some = Vec::new();
        let mut contents = self.connection.prepare_cached(
            "SELECT id, user_id, content_metadata, asset_url, created_at
             FROM user_content WHERE id > ? ORDER BY id LIMIT ?",
        )?;
        for row in contents.query_map([content, COPIED_AT_ONCE], super::content)? {
            some.push(Changed::Put(row?));
        }
        let mut sessions =
            self.connection.prepare_cached("SELECT id, user_id FROM session WHERE id > ? ORDER BY id LIMIT ?")?;
        let session_row = |row: &SqlRow<'_>| Ok(Changed::Session { id: row.get(0)?, user_id: row.get(1)? });
        for row in sessions.query_map(params![session, COPIED_AT_ONCE], session_row)? {
            some.push(row?);
        }
        Ok((place, some))
    }

    /// Replaces everything by a copy, from whose place the log leads on.
    pub(crate) fn replace(&self, at: Place, everything: &[Changed]) -> rusqlite::Result<()> {
        self.connection.execute_batch("DELETE FROM user_content; DELETE FROM session;")?;
        everything.iter().try_for_each(|change| self.apply_one(change))?;
        self.move_to(at)
    }

    /// Forgets the log of a standby, which no longer leads up to its place.
    pub(crate) fn forget_log(&self, at: Place) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM change_log", [])?;
        self.lead_on_from(at)
    }

    /// Makes a standby's file a primary's: a new timeline begins after what it has applied.
    pub(crate) fn promote(&self) -> rusqlite::Result<()> {
        self.lead_on_from(self.applied()?)?;
        self.connection.execute("UPDATE applied SET timeline = timeline + 1, forked_at = position", [])?;
        self.connection.execute_batch(TRIGGERS)
    }

    /// Makes the log's next position the one after a place.
    fn lead_on_from(&self, at: Place) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM sqlite_sequence WHERE name = 'change_log'", [])?;
        self.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('change_log', ?)", [at.position])?;
        Ok(())
    }

    fn move_to(&self, place: Place) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE applied SET timeline = ?, position = ?")?
            .execute([place.timeline, place.position])?;
        Ok(())
    }

    fn apply_one(&self, change: &Changed) -> rusqlite::Result<()> {
        match change {
            Changed::Put(row) => self.put(row),
            Changed::Delete { id } => self.delete(*id).map(|_| ()),
            Changed::Session { id, user_id } => self.put_session(id, *user_id),
            Changed::Heartbeat { at } => self.beat(*at),
        }
    }
}

fn place(row: &SqlRow<'_>) -> rusqlite::Result<Place> {
    Ok(Place { timeline: row.get(0)?, position: row.get(1)? })
}

fn change(row: &SqlRow<'_>) -> rusqlite::Result<Change> {
    let text: String = row.get(2)?;
    let what = serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Change { position: row.get(0)?, at: row.get(1)?, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::unix_millis;

    struct Files {
        _folder: tempfile::TempDir,
        primary: Database,
        standby: Database,
        replica: Database,
    }

    fn files() -> Files {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let primary = Database::primary(&path("primary.db")).unwrap();
        let standby = Database::standby(&path("standby.db")).unwrap();
        let replica = Database::replica(&path("replica.db")).unwrap();
        Files { _folder: folder, primary, standby, replica }
    }

    /// Applies all that a primary has for a follower; returns whether its log led on.
    fn catch_up(follower: &Database, primary: &Database, keeps_log: bool) -> bool {
        let Some((timeline, changes)) = primary.changes(follower.applied().unwrap(), i64::MAX).unwrap() else {
            return false;
        };
        follower.apply(timeline, &changes).unwrap();
        if keeps_log {
            follower.keep(&changes).unwrap();
        }
        true
    }

    #[test]
    fn a_replica_that_applies_the_log_equals_its_primary() {
        let Files { primary, replica, _folder, .. } = files();
        let first = primary.insert(7).unwrap();
        let second = primary.insert(8).unwrap();
        primary.update(first, r#"{"bytes":3}"#, "s3://content/1").unwrap();
        primary.delete(second).unwrap();
        primary.put_session("s", 7).unwrap();
        primary.beat(1_234).unwrap();

        assert!(catch_up(&replica, &primary, false));

        assert_eq!(replica.select(first).unwrap(), primary.select(first).unwrap());
        assert_eq!(replica.select(second).unwrap(), None);
        assert_eq!(replica.get_session("s").unwrap(), Some(7));
        assert_eq!(replica.heartbeat().unwrap(), Some(1_234));
        assert_eq!(replica.applied().unwrap().position, primary.written().unwrap());
    }

    #[test]
    fn a_change_knows_when_it_was_made_and_none_is_shown_past_the_bound() {
        let Files { primary, _folder, .. } = files();
        primary.insert(7).unwrap();
        primary.insert(8).unwrap();
        let start = Place { timeline: 1, position: 0 };
        let (_, changes) = primary.changes(start, 1).unwrap().unwrap();
        assert_eq!(changes.len(), 1);
        assert!((unix_millis() - changes[0].at).abs() < 10_000);
    }

    #[test]
    fn a_promoted_standby_hands_the_log_on_at_the_same_positions() {
        let Files { primary, standby, replica, _folder } = files();
        primary.insert(7).unwrap();
        assert!(catch_up(&replica, &primary, false));
        primary.insert(8).unwrap();
        assert!(catch_up(&standby, &primary, true));

        standby.promote().unwrap();
        let third = standby.insert(9).unwrap();
        assert!(catch_up(&replica, &standby, false));

        assert_eq!(replica.applied().unwrap(), Place { timeline: 2, position: 3 });
        assert_eq!(replica.select(third).unwrap().unwrap().user_id, 9);
    }

    #[test]
    fn who_has_what_the_promoted_standby_has_not_must_copy() {
        let Files { primary, standby, replica, _folder } = files();
        primary.insert(7).unwrap();
        assert!(catch_up(&standby, &primary, true));
        primary.insert(8).unwrap();
        assert!(catch_up(&replica, &primary, false));

        standby.promote().unwrap();
        standby.insert(9).unwrap();
        standby.insert(10).unwrap();
        standby.put_session("s", 9).unwrap();
        assert!(!catch_up(&replica, &standby, false));

        let (at, everything) = standby.copy(0, "").unwrap();
        replica.replace(at, &everything).unwrap();
        assert_eq!(replica.select(2).unwrap().unwrap().user_id, 9);
        assert_eq!(replica.get_session("s").unwrap(), Some(9));
        standby.insert(11).unwrap();
        assert!(catch_up(&replica, &standby, false));
        assert_eq!(replica.select(4).unwrap().unwrap().user_id, 11);
    }

    #[test]
    fn a_standby_made_by_a_copy_can_be_promoted_itself() {
        let Files { primary, standby, replica, _folder } = files();
        primary.insert(7).unwrap();
        primary.insert(8).unwrap();
        let (at, everything) = primary.copy(0, "").unwrap();
        standby.replace(at, &everything).unwrap();
        standby.forget_log(at).unwrap();
        standby.promote().unwrap();
        standby.insert(9).unwrap();
        assert_eq!(standby.written().unwrap(), 3);
        assert!(!catch_up(&replica, &standby, false), "the log begins after the copy");
    }

    #[test]
    fn the_log_keeps_its_newest_changes_and_who_is_further_behind_must_copy() {
        let Files { primary, replica, _folder, .. } = files();
        primary
            .write(|primary| {
                (0..KEPT + 10).try_for_each(|now| primary.beat(now))?;
                primary.prune()
            })
            .unwrap();
        assert!(!catch_up(&replica, &primary, false));
        let from = |position| primary.changes(Place { timeline: 1, position }, i64::MAX).unwrap();
        assert_eq!(from(10).unwrap().1[0].position, 11);
        assert!(from(9).is_none());
        assert!(from(KEPT + 11).is_none(), "it is of another history");
    }
}
