//! What can be wrong with a link, in words for the person before the screen.

use std::error::Error;
use std::io;
use std::time::Duration;

use tonic::{Code, Status};

use super::backoff::Retry;
use super::{CONNECT_TIMEOUT, ClientOptions};
use crate::feed::FeedAddress;
use crate::feed::convert::ConvertError;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("connection refused: no agent listens at {address}; start one with `tiertop agent`")]
    Refused {
        /// The agent's address.
        address: FeedAddress,
    },
    /// The address leads nowhere.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// The agent's address.
        address: FeedAddress,
        /// What the system said.
        reason: String,
    },
    /// Nothing came back in time.
    #[error("no answer from {address} within {} s", CONNECT_TIMEOUT.as_secs())]
    NoAnswer {
        /// The agent's address.
        address: FeedAddress,
    },
    /// The agent wants a token and was given none.
    #[error("the agent at {address} wants a token: give it with --token-file")]
    TokenWanted {
        /// The agent's address.
        address: FeedAddress,
    },
    /// The agent has another token.
    #[error("the agent at {address} refuses the token: check --token-file")]
    TokenRefused {
        /// The agent's address.
        address: FeedAddress,
    },
    /// The agent is at its limit.
    #[error("the agent at {address} turns us away: {reason}")]
    Full {
        /// The agent's address.
        address: FeedAddress,
        /// Its own words.
        reason: String,
    },
    /// Something else listens there.
    #[error("what listens at {address} is not the feed of an agent, which is on port 4319 unless told otherwise")]
    NotAFeed {
        /// The address.
        address: FeedAddress,
    },
    /// Its messages cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ConvertError),
    /// The link stands and nothing comes.
    #[error("no snapshot from {address} for {} s", waited.as_secs_f64())]
    Silent {
        /// The agent's address.
        address: FeedAddress,
        /// How long nothing came.
        waited: Duration,
    },
    /// The agent ended the stream in order.
    #[error("the agent at {address} has stopped")]
    Stopped {
        /// The agent's address.
        address: FeedAddress,
    },
    /// It has no past to show.
    #[error("the agent at {address} keeps nothing of the past yet")]
    NothingKept {
        /// The agent's address.
        address: FeedAddress,
    },
    /// It knows nothing of a past.
    #[error("the agent at {address} is of an older version, which cannot show the past: update it")]
    Older {
        /// The agent's address.
        address: FeedAddress,
    },
    /// The link is gone.
    #[error("the link to {address} is lost: {reason}")]
    Lost {
        /// The agent's address.
        address: FeedAddress,
        /// What the system or the agent said.
        reason: String,
    },
}

impl ClientError {
    pub(super) fn silent(address: &FeedAddress, waited: Duration) -> Self {
        Self::Silent { address: address.clone(), waited }
    }

    /// Whether waiting may help.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::TokenWanted { .. }
            | Self::TokenRefused { .. }
            | Self::NotAFeed { .. }
            | Self::Older { .. }
            | Self::Unreadable(_) => Retry::Slowly,
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Full { .. }
            | Self::Silent { .. }
            | Self::Stopped { .. }
            | Self::NothingKept { .. }
            | Self::Lost { .. } => Retry::Soon,
        }
    }

    /// Why no connection was made.
    pub(super) fn from_connect(error: &(dyn Error + 'static), address: &FeedAddress) -> Self {
        let address = address.clone();
        match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused { address },
            Some(io::ErrorKind::TimedOut) => Self::NoAnswer { address },
            _ => Self::Unreachable { address, reason: root(error) },
        }
    }

    /// Why a call on a new connection did not start: whoever listens may not even speak HTTP/2.
    pub(super) fn from_first_call(status: &Status, options: &ClientOptions) -> Self {
        match status.code() {
            Code::Internal | Code::Unknown | Code::Unimplemented => Self::NotAFeed { address: options.address.clone() },
            _ => Self::from_status(status, options),
        }
    }

    /// Why a call ended.
    pub(super) fn from_status(status: &Status, options: &ClientOptions) -> Self {
        let address = options.address.clone();
        match (status.code(), &options.token) {
            (Code::Unauthenticated, None) => Self::TokenWanted { address },
            (Code::Unauthenticated, Some(_)) => Self::TokenRefused { address },
            (Code::NotFound, _) => Self::NothingKept { address },
            (Code::Unimplemented, _) => Self::Older { address },
            (Code::ResourceExhausted, _) => Self::Full { address, reason: status.message().to_owned() },
            _ => Self::Lost { address, reason: status.source().map_or_else(|| status.message().to_owned(), root) },
        }
    }
}

/// An error with what caused it, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The words of the first cause: those around it only say that something failed.
fn root(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}
