//! The feed from end to end: real sockets, a server and a client.
//!
//! Nothing here sleeps to let something happen: every wait is for an event, under a deadline that
//! only a failure reaches.
#![expect(clippy::unwrap_used, reason = "clippy knows tests by their attribute and helpers have none")]

mod convert;
mod fixture;
mod link;
mod refusals;
mod size;
mod stage;
mod streams;
