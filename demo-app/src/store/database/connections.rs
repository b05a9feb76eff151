//! The sessions of a database file: one that writes and one that reads.
//!
//! In the WAL mode of SQLite a reader sees the last commit and never waits for a writer, so reads run
//! where they are asked for. A writer may wait for the lock, which another session of the file can hold:
//! so writes stand in line for the one writing session, and it works on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};

use crate::store::database::{Database, LOCK_PATIENCE};
use crate::store::lock;

/// Why a statement failed; its text is what a client is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("database is locked")]
    Locked,
    #[error("the session ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// An open database file.
pub(crate) struct Connections {
    path: PathBuf,
    writer: Arc<tokio::sync::Mutex<Database>>,
    reader: Mutex<Database>,
    waits: Arc<Waits>,
}

/// Writers that wait for the lock.
struct Waits {
    now: AtomicU64,
    time: Histogram<f64>,
    labels: Vec<KeyValue>,
}

/// One of them, until it is dropped.
struct Waiting {
    of: Arc<Waits>,
    since: Instant,
}

impl Connections {
    /// Opens the other sessions of a file beside the one that writes; `labels` say whose file it is.
    pub(crate) fn new(path: &Path, writer: Database, labels: Vec<KeyValue>) -> rusqlite::Result<Self> {
        let time = global::meter("content-db")
            .f64_histogram("db.lock.wait_time")
            .with_description("Time that writers waited for the write lock.")
            .with_unit("s")
            .with_boundaries(vec![0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
            .build();
        Ok(Self {
            path: path.to_owned(),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            reader: Mutex::new(Database::session(path)?),
            waits: Arc::new(Waits { now: AtomicU64::new(0), time, labels }),
        })
    }

    /// Returns what `work` reads.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Database) -> rusqlite::Result<T>) -> Result<T, DatabaseError> {
        Ok(work(&lock(&self.reader))?)
    }

    /// Waits for the write lock and does `work` in one transaction.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let waiting = Waiting::begin(&self.waits);
        let writer = tokio::time::timeout(LOCK_PATIENCE, Arc::clone(&self.writer).lock_owned())
            .await
            .map_err(|_| DatabaseError::Locked)?;
        let written = tokio::task::spawn_blocking(move || {
            writer.write(|database| {
                drop(waiting);
                work(database)
            })
        });
        Ok(written.await??)
    }

    /// Opens another session of the file.
    pub(crate) fn session(&self) -> rusqlite::Result<Database> {
        Database::session(&self.path)
    }

    /// How many writers wait for the lock.
    pub(crate) fn waiting(&self) -> u64 {
        self.waits.now.load(Ordering::Relaxed)
    }
}

impl Waiting {
    fn begin(waits: &Arc<Waits>) -> Self {
        waits.now.fetch_add(1, Ordering::Relaxed);
        Self { of: Arc::clone(waits), since: Instant::now() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of.now.fetch_sub(1, Ordering::Relaxed);
        self.of.time.record(self.since.elapsed().as_secs_f64(), &self.of.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_held_lock_stops_writes_and_no_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("content.db");
        let connections = Arc::new(Connections::new(&path, Database::primary(&path).unwrap(), Vec::new()).unwrap());
        let first = connections.write(|database| database.insert(7)).await.unwrap();
        let other = connections.session().unwrap();
        other.take().unwrap();

        let writing = Arc::clone(&connections);
        let second = tokio::spawn(async move { writing.write(|database| database.insert(8)).await });
        while connections.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(connections.read(|database| database.select(first)).unwrap().unwrap().user_id, 7);
        assert!(!second.is_finished());

        other.release().unwrap();
        let second = second.await.unwrap().unwrap();
        assert_eq!(connections.waiting(), 0);
        assert_eq!(connections.read(|database| database.select(second)).unwrap().unwrap().user_id, 8);
    }
}
