//! The agent of tiertop: what listens, serves and ships around the pure engine of tiertop-core.
//!
//! The way of the data: [`receive`] takes OTLP from the network, [`decode`] walks its bytes (with
//! [`wire`]) into compact batches, [`intake`] is the bounded way from there to the engine, which runs
//! on a thread of its own ([`agent`]). [`details`] keeps recent requests whole, for the traces that are chosen. [`feed`] serves its snapshots to screens, and [`admin`] says
//! how the agent itself is. [`capture`] reads OTLP from files instead, for [`analyze`].

pub mod admin;
pub mod agent;
pub mod analyze;
pub mod args;
pub mod capture;
pub mod decode;
pub mod details;
pub mod feed;
pub mod headless;
pub mod intake;
pub mod receive;
pub mod wire;
