//! Where snapshots come from, as far as the screen can tell.
//!
//! An agent in this process, one at an address, a recording: each is a task that sends
//! [`SourceUpdate`]s into one bounded channel. The screen knows nothing else of them.

use std::fmt;
use std::sync::Arc;

use tiertop_core::snapshot::Snapshot;

/// One message from whatever feeds the screen.
#[derive(Clone, Debug)]
pub enum SourceUpdate {
    /// A second of the system.
    Snapshot(Arc<Snapshot>),
    /// There is no connection; one is being made.
    Connecting {
        /// Where to.
        address: String,
        /// How many times it has been tried, from 1.
        attempt: u32,
        /// Why the last try failed, or why the connection went.
        error: Option<String>,
    },
    /// The connection stands; snapshots follow.
    Connected {
        /// Where to.
        address: String,
    },
    /// Something worth a line on the screen for a while.
    Note(String),
    /// Nothing more will come, and why.
    Ended(String),
}

/// What the header calls the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceLabel {
    /// The demo, its load and an agent, all in this process.
    Demo,
    /// An agent in this process.
    Embedded,
    /// A running agent at an address.
    Attached(String),
    /// A recording.
    Replay(String),
}

impl fmt::Display for SourceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo => f.write_str("demo"),
            Self::Embedded => f.write_str("embedded"),
            Self::Attached(address) => write!(f, "attached {address}"),
            Self::Replay(file) => write!(f, "replay {file}"),
        }
    }
}
