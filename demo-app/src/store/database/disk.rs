//! The room of a database file: how much is used, how much there may be, and what fills it.
//!
//! The quota is SQLite's own (`max_page_count`), so a file that has no room left says so by itself, as it
//! would on a full disk.

use rusqlite::ErrorCode;

use crate::store::database::Database;

/// Most bytes that go into one row that fills the disk.
const BALLAST_ROW: u64 = 1 << 20;

/// Smallest row that is tried before the disk counts as full.
const BALLAST_CRUMB: u64 = 1 << 10;

impl Database {
    /// Sets how many bytes the file may have, as this session enforces it.
    pub(crate) fn limit(&self, bytes: u64) -> rusqlite::Result<()> {
        let page: i64 = self.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = bytes as i64 / page;
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }

    /// Returns the size of the file in bytes, the log of the journal not counted.
    pub(crate) fn size(&self) -> rusqlite::Result<u64> {
        self.bytes("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
    }

    /// Returns the bytes of the file that hold something.
    pub(crate) fn used(&self) -> rusqlite::Result<u64> {
        self.bytes(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        )
    }

    fn bytes(&self, statement: &str) -> rusqlite::Result<u64> {
        self.connection.prepare_cached(statement)?.query_row([], |row| row.get::<_, i64>(0)).map(|bytes| bytes as u64)
    }

    /// Makes room for the ballast.
    pub(crate) fn begin_ballast(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("CREATE TABLE IF NOT EXISTS ballast (data BLOB)")
    }

    /// Fills the file until so many bytes are used, or no more fit.
    pub(crate) fn fill(&self, up_to: u64) -> rusqlite::Result<()> {
        let mut most = BALLAST_ROW;
        while most >= BALLAST_CRUMB {
            let missing = up_to.saturating_sub(self.used()?);
            if missing < BALLAST_CRUMB {
                break;
            }
            let row = missing.min(most);
            match self.connection.execute("INSERT INTO ballast VALUES (zeroblob(?))", [row as i64]) {
                Ok(_) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => most = row / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the room of the ballast back.
    pub(crate) fn drop_ballast(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("DROP TABLE IF EXISTS ballast")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_refuses_writes_and_serves_reads_until_there_is_room_again() {
        const QUOTA: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let database = Database::primary(&folder.path().join("content.db")).unwrap();
        database.limit(QUOTA).unwrap();
        let first = database.insert(7).unwrap();

        database.begin_ballast().unwrap();
        database.fill(QUOTA / 2).unwrap();
        let half = database.used().unwrap();
        assert!((QUOTA * 4 / 10..QUOTA * 6 / 10).contains(&half), "{half} bytes are used");
        database.fill(QUOTA).unwrap();
        assert!(QUOTA - database.used().unwrap() < 16_384);

        // What is left in pages that are half empty takes a few more rows.
        let refused = (0..200).find_map(|_| database.insert(8).err()).unwrap();
        assert!(refused.to_string().contains("disk is full"), "{refused}");
        assert_eq!(database.select(first).unwrap().unwrap().user_id, 7);

        database.drop_ballast().unwrap();
        database.insert(9).unwrap();
        assert!(database.used().unwrap() < QUOTA / 4);
    }
}
