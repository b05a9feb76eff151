//! Watches an agent's feed, for as long as anybody reads.
//!
//! 1. Each loss is told at once, in words, and then waited out for 0.25 to 5 s.
//! 2. A link that is up but silent for [`SILENCE`] is as good as lost.
//! 3. A reader that is slow finds the newest snapshot, not those it missed.

mod backoff;
mod error;
mod link;

use std::sync::Arc;
use std::time::Duration;

use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc;

pub use self::error::ClientError;
use self::link::Link;
use super::{Detail, FeedAddress, Token};
use crate::jitter::jitter;

/// How long an agent may take from the first packet to the start of its stream.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a link may bring no snapshot before it counts as lost: five are due by then.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Which agent to watch, and how closely.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// Where it serves its feed.
    pub address: FeedAddress,
    /// What it wants to see, if anything.
    pub token: Option<Token>,
    /// How much to send.
    pub detail: Detail,
}

/// What there is to say about a feed, in the order in which it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEvent {
    /// There is no link. The first attempt is under way, or another follows shortly.
    Connecting {
        /// The number of the attempt, from 1; starts over when a link that brought snapshots is lost.
        attempt: u32,
        /// Why the last attempt failed or the link was lost.
        error: Option<String>,
    },
    /// The link is up; snapshots follow.
    Connected {
        /// The agent's address, such as `127.0.0.1:4319`.
        address: String,
        /// The version of its program.
        agent_version: String,
    },
    /// The newest snapshot.
    Snapshot(Arc<Snapshot>),
}

/// Watches the feed on a task of its own, which ends when the receiver is dropped. It never gives
/// up: what fails is told as [`FeedEvent::Connecting`].
///
/// Must be called on a tokio runtime.
pub fn watch(options: ClientOptions) -> mpsc::Receiver<FeedEvent> {
    // Room for one: what a slow reader has not taken is replaced in `pump`, not queued here.
    let (events, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = run(&options, &events) => {}
            () = events.closed() => {}
        }
    });
    receiver
}

/// Fetches one snapshot: the first that knows a tier, or else the latest that comes within
/// `timeout`. An agent that cannot be reached is an error at once.
pub async fn once(options: &ClientOptions, timeout: Duration) -> Result<Snapshot, ClientError> {
    let mut latest = None;
    let search = async {
        let mut link = link::open(options).await?;
        loop {
            let snapshot = link.next().await?;
            if !snapshot.tiers.is_empty() {
                return Ok(snapshot);
            }
            latest = Some(snapshot);
        }
    };
    let found = tokio::time::timeout(timeout, search).await;
    match found {
        Ok(Ok(snapshot)) => Ok(snapshot),
        Ok(Err(error)) => latest.ok_or(error),
        Err(_) => latest.ok_or_else(|| ClientError::silent(&options.address, timeout)),
    }
}

/// Asks an agent for the past, over a link of its own that is made when it is first needed.
#[derive(Debug)]
pub struct Past {
    options: ClientOptions,
    client: Option<link::Client>,
}

impl Past {
    /// Of the agent that these options name.
    pub fn new(options: ClientOptions) -> Self {
        Self { options, client: None }
    }

    /// The second of a moment, or the last before it, or the first that is kept.
    pub async fn at(&mut self, unix_ms: u64) -> Result<Snapshot, ClientError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => link::connect(&self.options).await?,
        };
        let found = link::past(&mut client, &self.options, unix_ms).await;
        self.client = found.is_ok().then_some(client);
        found
    }
}

/// Connects, passes on and connects again, until the events are no longer read.
async fn run(options: &ClientOptions, events: &mpsc::Sender<FeedEvent>) {
    // Attempts in a row that brought no snapshot.
    let mut failures = 0_u32;
    let mut lost = None::<ClientError>;
    loop {
        let connecting = FeedEvent::Connecting {
            attempt: failures.saturating_add(1),
            error: lost.as_ref().map(ToString::to_string),
        };
        if events.send(connecting).await.is_err() {
            return;
        }
        if let Some(error) = &lost {
            tokio::time::sleep(backoff::delay(failures, error.retry(), jitter())).await;
        }
        let (seen, error) = match link::open(options).await {
            Ok(link) => pump(link, options, events).await,
            Err(error) => (Seen::Nothing, error),
        };
        failures = match seen {
            Seen::Snapshots => 0,
            Seen::Nothing => failures.saturating_add(1),
        };
        lost = Some(error);
    }
}

/// Whether a link was of use.
#[derive(Clone, Copy)]
enum Seen {
    Nothing,
    Snapshots,
}

/// Passes on what comes over one link until it is lost. While the reader has not taken the last
/// event, a newer snapshot takes the place of the waiting one.
async fn pump(mut link: Link, options: &ClientOptions, events: &mpsc::Sender<FeedEvent>) -> (Seen, ClientError) {
    let connected =
        FeedEvent::Connected { address: options.address.to_string(), agent_version: link.agent_version().to_owned() };
    let mut told = Some(connected);
    let mut newest = None;
    let mut seen = Seen::Nothing;
    let error = loop {
        tokio::select! {
            Ok(room) = events.reserve(), if told.is_some() || newest.is_some() => {
                let event = told.take().or_else(|| newest.take().map(FeedEvent::Snapshot));
                if let Some(event) = event {
                    room.send(event);
                }
            }
            next = link.next() => match next {
                Ok(snapshot) => {
                    newest = Some(Arc::new(snapshot));
                    seen = Seen::Snapshots;
                }
                Err(error) => break error,
            },
        }
    };
    if let Some(snapshot) = newest {
        // The last word of a lost link; who no longer reads does not miss it.
        drop(events.send(FeedEvent::Snapshot(snapshot)).await);
    }
    (seen, error)
}
