//! Where snapshots come from, as far as the screen can tell.
//!
//! An agent in this process, one at an address, a recording: each is a task that sends
//! [`SourceUpdate`]s into one bounded channel. The screen knows nothing else of them.

use std::fmt;
use std::sync::Arc;

use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc::{Receiver, Sender};

/// One message from whatever feeds the screen.
#[derive(Clone, Debug)]
pub enum SourceUpdate {
    /// A second of the system.
    Snapshot(Arc<Snapshot>),
    /// A past second, which was asked for.
    Past(Arc<Snapshot>),
    /// How a recording plays from now on.
    Playing(Playing),
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

/// What the screen asks of its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    /// The second of a moment, or the last before it; a recording plays on from there. Milliseconds since the Unix
    /// epoch.
    At(u64),
    /// A recording plays, or stands still.
    Play {
        /// It plays.
        on: bool,
        /// How fast.
        speed: Speed,
    },
}

/// How fast a recording plays: a quarter to 64 times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    doublings: i32,
}

impl Speed {
    /// Faster by so many doublings, or slower, as far as it goes.
    #[must_use]
    pub fn changed(self, doublings: i32) -> Self {
        Self { doublings: (self.doublings + doublings).clamp(-2, 6) }
    }

    /// Seconds of the recording for each second.
    pub fn factor(self) -> f64 {
        2.0_f64.powi(self.doublings)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×", self.factor())
    }
}

/// How a recording plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playing {
    /// It plays, rather than stands still.
    pub on: bool,
    /// How fast.
    pub speed: Speed,
    /// Its first second, milliseconds since the Unix epoch.
    pub first_unix_ms: u64,
    /// Its last one.
    pub last_unix_ms: u64,
}

/// Both ends of a source: what it tells, and what it is asked.
#[derive(Debug)]
pub struct Source {
    /// What it tells.
    pub updates: Receiver<SourceUpdate>,
    /// What it is asked. One that cannot answer has nobody at the other end.
    pub asks: Sender<Ask>,
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
