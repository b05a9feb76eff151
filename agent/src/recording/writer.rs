//! Writing a recording: block after block, up to a size.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::RecordingError;
use super::head::{FIELDS, Fields, Head};
use crate::history::Block;

/// See the module's text.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
}

impl Writer {
    /// A new file, which must not be there yet.
    pub fn create(path: &Path, head: &Head, most_bytes: u64) -> Result<Self, RecordingError> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = made.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => RecordingError::Exists(path.to_owned()),
            _ => RecordingError::io(path)(error),
        })?;
        let bytes = head.write(&mut file).map_err(RecordingError::io(path))?;
        Ok(Self { path: path.to_owned(), file, bytes, most_bytes })
    }

    /// Where it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How much it has written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the block has room; a file is never longer than it may be.
    pub fn has_room_for(&self, block: &Block) -> bool {
        self.bytes + (FIELDS + block.payload.len()) as u64 <= self.most_bytes
    }

    /// Writes a block, in one piece: a crash leaves all of it or a tail that readers leave out.
    pub fn write(&mut self, block: &Block) -> Result<(), RecordingError> {
        let mut bytes = Vec::with_capacity(FIELDS + block.payload.len());
        bytes.extend_from_slice(&Fields::of(block).bytes());
        bytes.extend_from_slice(&block.payload);
        self.file.write_all(&bytes).map_err(RecordingError::io(&self.path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
