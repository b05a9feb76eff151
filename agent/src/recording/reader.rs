//! Reading a recording: where its seconds are, and what they say.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiertop_core::snapshot::Snapshot;

use super::RecordingError;
use super::head::{FIELDS, Fields, Found, Head};
use crate::history::{Block, Traces};

/// An open recording: one file, or the files of a [`Ring`](super::Ring).
#[derive(Debug)]
pub struct Recording {
    head: Head,
    places: Vec<PlacedBlock>,
    files: Vec<(PathBuf, File)>,
    cut_bytes: u64,
}

/// A block, and where its payload is.
#[derive(Clone, Copy, Debug)]
struct PlacedBlock {
    file: usize,
    at: u64,
    fields: Fields,
}

impl Recording {
    /// Opens a file, or all recordings of a folder as one.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let metadata = std::fs::metadata(path).map_err(RecordingError::io(path))?;
        let paths = if metadata.is_dir() { super::ring::files(path)? } else { vec![path.to_owned()] };
        let mut recording = None::<Self>;
        for file in paths {
            let one = Self::open_file(&file)?;
            match &mut recording {
                None => recording = Some(one),
                Some(whole) => whole.append(one),
            }
        }
        let recording = recording.ok_or_else(|| RecordingError::NotARecording(path.to_owned()))?;
        if recording.places.is_empty() {
            return Err(RecordingError::Empty(path.to_owned()));
        }
        Ok(recording)
    }

    fn open_file(path: &Path) -> Result<Self, RecordingError> {
        let io = || RecordingError::io(path);
        let file = File::open(path).map_err(io())?;
        let length = file.metadata().map_err(io())?.len();
        let mut reader = BufReader::new(file);
        let (head, mut at) = match Head::read(&mut reader).map_err(io())? {
            Found::Whole(whole) => whole,
            Found::Nothing => return Err(RecordingError::NotARecording(path.to_owned())),
            Found::Newer(major, minor) => {
                return Err(RecordingError::Newer { path: path.to_owned(), theirs: (major, minor) });
            }
        };
        let mut places = Vec::new();
        while let Found::Whole(fields) = Fields::read(&mut reader).map_err(io())? {
            let payload_at = at + FIELDS as u64;
            if payload_at + u64::from(fields.length) > length {
                break;
            }
            places.push(PlacedBlock { file: 0, at: payload_at, fields });
            at = payload_at + u64::from(fields.length);
            reader.seek_relative(i64::from(fields.length)).map_err(io())?;
        }
        let files = vec![(path.to_owned(), reader.into_inner())];
        Ok(Self { head, places, files, cut_bytes: length - at.min(length) })
    }

    fn append(&mut self, later: Self) {
        let file = self.files.len();
        self.places.extend(later.places.into_iter().map(|place| PlacedBlock { file: file + place.file, ..place }));
        self.files.extend(later.files);
        self.cut_bytes += later.cut_bytes;
    }

    /// Who wrote it, and when.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Bytes at the end that are no whole block: what was being written when the writer was cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Seconds in all.
    pub fn seconds(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.fields.seconds)).sum()
    }

    /// When its first and its last snapshot were taken, milliseconds since the Unix epoch.
    pub fn reach(&self) -> (u64, u64) {
        let first = self.places.first().map_or(0, |place| place.fields.first_unix_ms);
        (first, self.places.last().map_or(0, |place| place.fields.last_unix_ms))
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.places.len()
    }

    /// The block that holds a moment, or the last one before it; the first for what is earlier.
    pub fn block_at(&self, unix_ms: u64) -> usize {
        self.places.partition_point(|place| place.fields.first_unix_ms <= unix_ms).saturating_sub(1)
    }

    /// The snapshots of a block, with their traces.
    pub fn read(&mut self, block: usize) -> Result<Vec<Arc<Snapshot>>, RecordingError> {
        let file = self.places.get(block).map(|place| place.file);
        let whole = (0..=block).rev().find(|at| self.places.get(*at).is_none_or(|place| place.fields.is_whole()));
        let mut traces = Traces::new();
        let mut snapshots = Vec::new();
        for at in whole.unwrap_or(block)..=block {
            if self.places.get(at).map(|place| place.file) == file {
                snapshots = self.read_with(at, &mut traces)?;
            }
        }
        Ok(snapshots)
    }

    /// The same for who reads one block after the other, and keeps the traces.
    pub fn read_with(&mut self, block: usize, traces: &mut Traces) -> Result<Vec<Arc<Snapshot>>, RecordingError> {
        let Some(place) = self.places.get(block).copied() else { return Ok(Vec::new()) };
        let (path, file) = &mut self.files[place.file];
        let mut payload = vec![0; place.fields.length as usize];
        let read = file.seek(SeekFrom::Start(place.at)).and_then(|_| file.read_exact(&mut payload));
        read.map_err(RecordingError::io(path.as_path()))?;
        let damaged = |source| RecordingError::Block { path: path.clone(), source };
        if !place.fields.match_payload(&payload) {
            let text = format!("its checksum is wrong, at byte {}", place.at);
            return Err(damaged(crate::history::BlockError::Damaged(text)));
        }
        let block = Block {
            first_unix_ms: place.fields.first_unix_ms,
            last_unix_ms: place.fields.last_unix_ms,
            seconds: place.fields.seconds,
            is_whole: place.fields.is_whole(),
            payload: payload.into(),
        };
        block.read(traces).map_err(damaged)
    }
}
