//! The demo of tiertop: a content service with every tier a process of its own, and its load.
//!
//! ```text
//! load -> edge -> load balancer -> web a, web b -> app a, app b -> cache a, cache b
//!                                                               -> replica a, replica b      (SQLite)
//!                                                               -> primary, with a standby
//!                                                               -> object store, third party
//!                                                               -> queue -> worker a, worker b
//! ```
//!
//! That is phase 5; earlier phases of growth have less ([`Phase`]). [`sim`] is the same in virtual time.
//!
//! All processes listen on loopback at free ports. The embedded stores run in nodes of their own
//! behind a socket, so that addresses, kills and pauses are real. The services instrument
//! themselves with OpenTelemetry as any application would, and send over OTLP/gRPC; this crate
//! knows nothing of who listens.
//!
//! [`Demo::start`] runs the system, [`load::run`] puts load on it, [`Demo::begin`] makes trouble in
//! it, a [`play::Play`] does both as the command line or a file says, and [`node::run`] is what the
//! host's binary runs in the processes that the demo starts.

mod autoscaling;
mod backends;
mod clients;
mod demo;
pub mod fault;
mod human;
pub mod load;
pub mod node;
pub mod play;
#[cfg(feature = "real")]
mod real;
pub mod scenario;
mod service;
mod settings;
pub mod sim;
mod store;
mod telemetry;
mod topology;
mod waiting;
mod wire;

pub use backends::{Backends, Servers, ServersError};
pub use demo::{BegunEffects, Demo, DemoError, DemoOptions, NodeExit, NodeInfo, NodeState};
pub use settings::{ServiceTime, Settings};
pub use topology::{Phase, REGION, Role, Seat, Zone};
