//! What waits to be shipped, on disk: bounded, in order, and there again after a crash.
//!
//! 1. A record counts as spooled once it is on the disk: every append is synced.
//! 2. Over the capacity the oldest records go, and are counted.
//! 3. A process that is killed loses nothing that was spooled. What it was sending then is sent again,
//!    and told by [`Spool::open`]: the service may have it already.
//! 4. A file that cannot be read is kept aside under another name, and a new one begun.
//! 5. A folder has one owner at a time.
//!
//! The file is one of the crate `queue-file`: records with checksums in a ring, which grows by doubling.
//! So the capacity is rounded down to a power of two, and the file is never larger.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use queue_file::QueueFile;

/// Bytes that the file takes for a record besides the record itself, generously.
const RECORD_OVERHEAD: u64 = 64;
/// Bytes of the file's own head, generously.
const FILE_OVERHEAD: u64 = 4096;
/// The least capacity.
pub const LEAST_CAPACITY: u64 = 1 << 20;

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process owns the folder.
    #[error("the spool {0} is in use by another process: give each agent a --spool of its own")]
    InUse(PathBuf),
    /// The folder or a file in it cannot be made or read.
    #[error("cannot use the spool {folder}: {source}; give a folder that can be written with --spool")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk refused a write or a read.
    #[error("the spool's file failed: {0}")]
    File(#[from] queue_file::Error),
}

/// A record: so many pieces, and bytes that the exporter understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Pieces in it, as the exporter counts them.
    pub pieces: u32,
    /// What the exporter wrote.
    pub bytes: Vec<u8>,
}

impl Record {
    fn to_bytes(&self) -> Vec<u8> {
        let mut all = self.pieces.to_le_bytes().to_vec();
        all.extend(&self.bytes);
        all
    }

    fn from_bytes(all: &[u8]) -> Option<Self> {
        let (pieces, bytes) = all.split_first_chunk::<4>()?;
        Some(Self { pieces: u32::from_le_bytes(*pieces), bytes: bytes.to_vec() })
    }
}

/// What made room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Records that went from the front.
    pub records: usize,
    /// Pieces that went with them, or with a record that is larger than the spool.
    pub pieces: u64,
}

/// What [`Spool::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Pieces that were being sent when the last owner was killed: they will be sent again.
    pub were_in_flight: u64,
    /// Where a file was put that could not be read.
    pub set_aside: Option<PathBuf>,
}

/// See the module's text.
#[derive(Debug)]
pub struct Spool {
    queue: QueueFile,
    in_flight: PathBuf,
    capacity: u64,
    pieces: u64,
    /// Held, and so locked, for as long as this lives.
    _lock: File,
}

impl Spool {
    /// Opens the spool in a folder, which is made if it is not there.
    pub fn open(folder: &Path, capacity_bytes: u64) -> Result<(Self, Found), SpoolError> {
        let failed = |source| SpoolError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let file = folder.join("records");
        let mut found = Found::default();
        let mut queue = if let Ok(queue) = QueueFile::open(&file) {
            queue
        } else {
            let aside = unused_name(folder);
            fs::rename(&file, &aside).map_err(failed)?;
            found.set_aside = Some(aside);
            QueueFile::open(&file)?
        };
        queue.set_sync_writes(false);
        queue.set_overwrite_on_remove(false);
        let in_flight = folder.join("in-flight");
        found.were_in_flight =
            fs::read_to_string(&in_flight).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let pieces = queue.iter().filter_map(|bytes| Record::from_bytes(&bytes)).map(|it| u64::from(it.pieces)).sum();
        let capacity = capacity_bytes.max(LEAST_CAPACITY);
        let capacity = if capacity.is_power_of_two() { capacity } else { capacity.next_power_of_two() / 2 };
        Ok((Self { queue, in_flight, capacity, pieces, _lock: lock }, found))
    }

    /// Adds a record at the end, and makes room for it where there is none: returns what went.
    pub fn append(&mut self, record: &Record) -> Result<Gone, SpoolError> {
        let bytes = record.to_bytes();
        let needed = bytes.len() as u64 + RECORD_OVERHEAD;
        let most = self.capacity - FILE_OVERHEAD;
        let mut gone = Gone::default();
        if needed > most {
            return Ok(Gone { records: 0, pieces: u64::from(record.pieces) });
        }
        while self.queue.used_bytes() + needed > most && !self.queue.is_empty() {
            let before = self.pieces;
            self.remove(1)?;
            gone.records += 1;
            gone.pieces += before - self.pieces;
        }
        self.queue.add(&bytes)?;
        self.queue.sync_all()?;
        self.pieces += u64::from(record.pieces);
        Ok(gone)
    }

    /// The oldest records, as long as `wanted` takes them.
    pub fn first(&self, mut wanted: impl FnMut(&Record) -> bool) -> Vec<Record> {
        let records = self.queue.iter().map(|bytes| Record::from_bytes(&bytes));
        // A record that is no record stands for nothing; it goes with its neighbours.
        let records = records.map(|record| record.unwrap_or(Record { pieces: 0, bytes: Vec::new() }));
        records.take_while(|record| wanted(record)).collect()
    }

    /// Removes the oldest records.
    pub fn remove(&mut self, records: usize) -> Result<(), SpoolError> {
        let going: u64 = self
            .queue
            .iter()
            .take(records)
            .filter_map(|it| Record::from_bytes(&it))
            .map(|it| u64::from(it.pieces))
            .sum();
        self.queue.remove_n(records)?;
        self.pieces -= going.min(self.pieces);
        Ok(())
    }

    /// Takes note that so many pieces are on their way, or, with 0, that none are.
    pub fn note_in_flight(&self, pieces: u64) -> io::Result<()> {
        fs::write(&self.in_flight, pieces.to_string())
    }

    /// Pieces in it.
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Records in it.
    pub fn records(&self) -> usize {
        self.queue.size()
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        if self.queue.is_empty() { 0 } else { self.queue.used_bytes() }
    }

    /// Bytes that the file may take.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity
    }
}

/// A name in the folder for a file that could not be read.
fn unused_name(folder: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let name = folder.join(format!("records.damaged-{number}"));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32, bytes: usize) -> Record {
        Record { pieces: number, bytes: vec![number as u8; bytes] }
    }

    fn all(spool: &Spool) -> Vec<u32> {
        spool.first(|_| true).iter().map(|record| record.pieces).collect()
    }

    #[test]
    fn records_come_out_in_order_and_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, found) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        assert_eq!(found, Found::default());
        for number in 1..=5 {
            assert_eq!(spool.append(&record(number, 100)).unwrap(), Gone::default());
        }
        spool.remove(2).unwrap();
        assert_eq!((all(&spool), spool.pieces()), (vec![3, 4, 5], 12));
        spool.note_in_flight(3).unwrap();
        drop(spool);
        let (spool, found) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        assert_eq!((all(&spool), spool.pieces(), found.were_in_flight), (vec![3, 4, 5], 12, 3));
        assert_eq!(spool.first(|record| record.pieces < 5).len(), 2);
    }

    #[test]
    fn over_the_capacity_the_oldest_go_and_the_file_keeps_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        let mut gone = 0;
        for number in 1..=100 {
            gone += spool.append(&record(number, 50_000)).unwrap().pieces;
        }
        let kept = all(&spool);
        assert_eq!(*kept.last().unwrap(), 100);
        assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "{kept:?}");
        assert_eq!(gone + kept.iter().map(|pieces| u64::from(*pieces)).sum::<u64>(), 5050);
        assert!(fs::metadata(folder.path().join("records")).unwrap().len() <= LEAST_CAPACITY);
        assert_eq!(
            spool.append(&record(7, 2 << 20)).unwrap(),
            Gone { records: 0, pieces: 7 },
            "larger than the spool: gone at once"
        );
    }

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        assert!(matches!(Spool::open(folder.path(), LEAST_CAPACITY), Err(SpoolError::InUse(_))));
        drop(spool);
        assert!(Spool::open(folder.path(), LEAST_CAPACITY).is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        spool.append(&record(1, 100)).unwrap();
        drop(spool);
        fs::write(folder.path().join("records"), [0xff; 8192]).unwrap();
        let (spool, found) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        assert_eq!(all(&spool), Vec::<u32>::new());
        assert!(found.set_aside.unwrap().exists());
    }

    #[test]
    fn a_write_that_was_cut_short_costs_nothing_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        spool.append(&record(1, 100)).unwrap();
        let before = fs::read(folder.path().join("records")).unwrap();
        spool.append(&record(2, 100)).unwrap();
        drop(spool);
        // The second record's bytes are there, but the head was not written: as if killed between the two.
        let mut torn = fs::read(folder.path().join("records")).unwrap();
        torn[..112].copy_from_slice(&before[..112]);
        fs::write(folder.path().join("records"), torn).unwrap();
        let (spool, _) = Spool::open(folder.path(), LEAST_CAPACITY).unwrap();
        assert_eq!(all(&spool), [1]);
    }
}
