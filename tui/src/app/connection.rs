//! How the source is doing, and what the header says about it.

use tiertop_core::time::UnixNanos;

use crate::source::Playing;

/// Seconds without a snapshot after which the picture is called old: snapshots come each second.
const OLD_AFTER_SECONDS: f64 = 3.5;

/// The state of the source, with when it last had data.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    link: Link,
    last_data: Option<UnixNanos>,
}

#[derive(Clone, Debug, Default)]
enum Link {
    #[default]
    Up,
    Connecting {
        address: String,
        attempt: u32,
        error: Option<String>,
    },
    Ended(String),
}

/// How things stand, worst first: what the header shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// A recording is shown.
    Replay(Playing),
    /// The user went back in time.
    Past {
        /// To when, milliseconds since the Unix epoch.
        at_unix_ms: u64,
        /// How far one step goes.
        step_s: u64,
    },
    /// The user holds the picture.
    Paused {
        /// Since when.
        since: UnixNanos,
        /// Whether the source is still sending.
        source_is_up: bool,
    },
    /// A connection is being made.
    Connecting {
        /// Where to.
        address: String,
        /// Which try, from 1.
        attempt: u32,
        /// Why the last one failed.
        error: Option<String>,
        /// Seconds since the last snapshot, if there was one.
        last_data_s: Option<u64>,
    },
    /// Nothing more will come.
    Ended(String),
    /// Nothing has come yet.
    Waiting,
    /// Connected, but nothing came for this many seconds.
    Old(u64),
    /// Snapshots come.
    Live,
}

impl Status {
    /// Whether what it says changes with every second.
    pub fn counts_seconds(&self) -> bool {
        !matches!(self, Self::Live | Self::Ended(_) | Self::Waiting | Self::Replay(_))
    }
}

impl Connection {
    /// A snapshot came.
    pub fn data_came(&mut self, now: UnixNanos) {
        self.link = Link::Up;
        self.last_data = Some(now);
    }

    /// A connection is being made.
    pub fn connecting(&mut self, address: String, attempt: u32, error: Option<String>) {
        self.link = Link::Connecting { address, attempt, error };
    }

    /// The connection stands; tells whether it did not before and had data once.
    pub fn connected(&mut self) -> bool {
        let news = matches!(self.link, Link::Connecting { .. }) && self.last_data.is_some();
        self.link = Link::Up;
        news
    }

    /// Nothing more will come.
    pub fn ended(&mut self, reason: String) {
        self.link = Link::Ended(reason);
    }

    /// What to say at the given time.
    pub fn status(&self, now: UnixNanos, paused_at: Option<UnixNanos>) -> Status {
        let silence = self.last_data.map(|last| now.seconds_since(last));
        let old = silence.filter(|seconds| *seconds > OLD_AFTER_SECONDS);
        if let Some(since) = paused_at {
            let source_is_up = matches!(self.link, Link::Up) && old.is_none();
            return Status::Paused { since, source_is_up };
        }
        match &self.link {
            Link::Connecting { address, attempt, error } => Status::Connecting {
                address: address.clone(),
                attempt: *attempt,
                error: error.clone(),
                last_data_s: silence.map(|seconds| seconds as u64),
            },
            Link::Ended(reason) => Status::Ended(reason.clone()),
            Link::Up => match (silence, old) {
                (None, _) => Status::Waiting,
                (_, Some(seconds)) => Status::Old(seconds as u64),
                _ => Status::Live,
            },
        }
    }
}
