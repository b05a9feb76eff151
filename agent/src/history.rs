//! The last hour: every second that the engine published, in compressed blocks, and on to recordings.
//!
//! A task takes each snapshot as it comes. Ten make a [`Block`]; blocks older than an hour, or over the
//! ceiling in bytes, go. The same blocks are what recordings are made of, so that one who begins to record can have
//! the last hour in it.

pub mod args;
mod block;
mod keeper;
mod recorder;
mod shelf;

pub use block::{Block, BlockError, Packer, SECONDS_PER_BLOCK, Traces};
pub use keeper::{History, HistoryOptions, RecordOptions, RecordingState, keep};
pub use shelf::Shelf;
