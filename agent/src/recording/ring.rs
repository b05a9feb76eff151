//! A ring of recordings: a folder that holds the last so many bytes, over restarts.
//!
//! Blocks go into files of about an eighth of the size each, named by when they begin; each begins with a whole
//! block. The oldest file goes when there is no room for the next block. Opening the folder with
//! [`Recording`](super::Recording) reads all of them as one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::{Head, RecordingError, Writer};
use crate::history::Block;

/// Files that share the size.
const FILES: u64 = 8;
const ENDING: &str = "tiertop";

/// See the module's text.
#[derive(Debug)]
pub struct Ring {
    folder: PathBuf,
    most_bytes: u64,
    /// The files that are full, oldest first, and their sizes.
    full: VecDeque<(PathBuf, u64)>,
    current: Option<Writer>,
}

impl Ring {
    /// A ring in a folder, which is made if it is not there.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Self, RecordingError> {
        std::fs::create_dir_all(folder).map_err(RecordingError::io(folder))?;
        let sized = |path: PathBuf| {
            let bytes = path.metadata().map_err(RecordingError::io(path.as_path()))?.len();
            Ok((path, bytes))
        };
        let full = files(folder)?.into_iter().map(sized).collect::<Result<_, RecordingError>>()?;
        Ok(Self { folder: folder.to_owned(), most_bytes, full, current: None })
    }

    /// Writes a block; the oldest go. `head` is that of the file, if one begins.
    pub fn write(&mut self, block: &Block, head: &Head) -> Result<(), RecordingError> {
        let is_full = |writer: &Writer| block.is_whole && writer.bytes() >= self.most_bytes / FILES;
        if let Some(writer) = self.current.take_if(|writer| is_full(writer)) {
            self.full.push_back((writer.path().to_owned(), writer.bytes()));
        }
        self.make_room(block.payload.len() as u64)?;
        if self.current.is_none() {
            let path = self.folder.join(format!("{:013}.{ENDING}", block.first_unix_ms));
            self.current = Some(Writer::create(&path, head, u64::MAX)?);
        }
        self.current.as_mut().map_or(Ok(()), |writer| writer.write(block))
    }

    fn make_room(&mut self, bytes: u64) -> Result<(), RecordingError> {
        let current = self.current.as_ref().map_or(0, Writer::bytes);
        while self.full.iter().map(|(_, bytes)| bytes).sum::<u64>() + current + bytes > self.most_bytes
            && let Some((oldest, _)) = self.full.pop_front()
        {
            std::fs::remove_file(&oldest).map_err(RecordingError::io(oldest))?;
        }
        Ok(())
    }
}

/// The recordings of a folder, oldest first.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let entries = std::fs::read_dir(folder).map_err(RecordingError::io(folder))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == ENDING)).collect();
    files.sort();
    Ok(files)
}
