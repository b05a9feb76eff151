//! What can be wrong with a recording, in words for the person who opens it.

use std::io;
use std::path::PathBuf;

use super::VERSION;
use crate::history::BlockError;

/// Why a recording cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a recording of tiertop; for OTLP files there is `tiertop analyze`", .0.display())]
    NotARecording(PathBuf),
    /// A newer program wrote it.
    #[error(
        "{} is a recording of format {}.{}, this tiertop reads up to {}.x: update tiertop",
        path.display(), theirs.0, theirs.1, VERSION.0
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        theirs: (u16, u16),
    },
    /// It has no whole block.
    #[error("{} holds no second yet", .0.display())]
    Empty(PathBuf),
    /// A block of it cannot be read.
    #[error("{}: {source}", path.display())]
    Block {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BlockError,
    },
    /// The system gives no thread.
    #[error("cannot start the recorder's thread: {0}")]
    Thread(#[source] io::Error),
    /// The agent has stopped, and records no more.
    #[error("{}: the agent has stopped", .0.display())]
    Stopped(PathBuf),
    /// There is something else where it should be written.
    #[error("{} is there already: name another file, or move that one away", .0.display())]
    Exists(PathBuf),
}

impl RecordingError {
    /// For `map_err`, beside the path.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
