//! The agent of tiertop: what listens, serves and ships around the pure engine of tiertop-core.
//!
//! The way of the data: [`receive`] takes OTLP from the network, [`decode`] walks its bytes (with
//! [`wire`]) into compact batches, [`intake`] is the bounded way from there to the engine, which runs
//! on a thread of its own ([`agent`]). [`history`] keeps its snapshots for an hour and records them, in files of
//! [`recording`]. [`feed`] serves its snapshots to screens, and [`admin`] says how the agent itself is. `ship`,
//! behind the feature `aws`, sends what is closed to AWS, and `dashboards` shows it there. [`capture`] reads OTLP from
//! files instead, for [`analyze`]. What is set up, and how, is told by flags ([`args`]) and by a file
//! ([`configuration`]).

pub mod admin;
pub mod agent;
pub mod analyze;
pub mod args;
pub mod capture;
pub mod configuration;
#[cfg(feature = "aws")]
pub mod dashboards;
pub mod decode;
pub mod details;
pub mod feed;
pub mod headless;
pub mod history;
pub mod intake;
mod jitter;
pub mod receive;
pub mod recording;
#[cfg(feature = "aws")]
pub mod ship;
pub mod wire;
