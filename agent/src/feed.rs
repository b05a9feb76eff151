//! The feed: live snapshots over gRPC, from a running agent to screens.
//!
//! A [`server`] hands the newest snapshot to whoever watches; a [`client`] watches it, reconnects
//! for ever, and says in words what is wrong. Between them goes the message of
//! `proto/tiertop/feed/v1/feed.proto`, which only [`convert`] translates: neither the engine nor a
//! screen ever sees a generated type.
//!
//! Rules:
//! 1. A slow reader gets the newest snapshot, never a backlog.
//! 2. A snapshot is converted and encoded once for each [`Detail`], however many watch.
//! 3. An address that is not loopback is served only with a [`Token`]. The feed itself is not
//!    encrypted: across a network that is not trusted it belongs in a tunnel.

mod address;
pub mod client;
pub mod convert;
mod frame;
pub mod server;
mod token;
pub mod wire;

pub use address::{AddressError, FeedAddress};
pub use token::{Token, TokenError};

/// The port of the feed, where none is named.
pub const DEFAULT_PORT: u16 = 4319;

/// Largest message that is sent or read: 16 MiB. The full snapshot of 200 tiers with 4 instances,
/// 20 operations and 100 buckets each takes 1.5 MB, its overview 0.5 MB: `tests/feed/size.rs`.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How much of each tier a screen asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Without operations, instances and distributions.
    Overview,
    /// Everything.
    #[default]
    Full,
}
