//! The agent of tiertop: what takes telemetry in, and what serves the figures made of it.
//!
//! The way of the data: [`receive`] takes OTLP from the network, [`decode`] walks its bytes (with
//! [`wire`]) into compact batches, [`intake`] is the bounded way from there to the engine, and
//! [`admin`] says how the agent itself is.

pub mod admin;
pub mod decode;
pub mod intake;
pub mod receive;
pub mod wire;
