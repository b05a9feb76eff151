//! The vocabulary of tiertop and its pure engine.
//!
//! Nothing here opens a socket, spawns a task or reads a clock: observations and `now` come in as
//! arguments, and a [`snapshot::Snapshot`] comes out. So a live system and a file of captured
//! telemetry get the same answer for the same input in the same order.
//!
//! The way through: [`observation::Batch`] is what a receiver decoded; [`engine::Engine`] sorts it
//! into tiers and aggregates it; [`snapshot::Snapshot`] is what a screen shows for one second.

pub mod capacity;
pub mod catalogue;
pub mod choice;
pub mod classify;
pub mod config;
pub mod diagnosis;
pub mod distribution;
pub mod engine;
pub mod id;
pub mod observation;
pub mod phase;
pub mod slots;
pub mod snapshot;
pub mod stalls;
pub mod text;
pub mod thresholds;
pub mod tier;
pub mod time;
pub mod traces;
pub mod verdict;
pub mod warning;
