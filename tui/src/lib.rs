//! The terminal of tiertop: screens that show a [`tiertop_core::snapshot::Snapshot`].
//!
//! The way through: a source sends [`source::SourceUpdate`]s; [`run::run`] turns them, keys, ticks
//! and signals into [`event::Event`]s; [`app::App::update`] changes the state and says what to do;
//! [`screen::draw`] makes a picture of the state. Screens know nothing but snapshots, so live
//! traffic, a running agent and a recording look the same to them.

pub mod app;
pub mod ascii;
pub mod event;
#[cfg(any(test, debug_assertions))]
pub mod fixture;
pub mod format;
pub mod keymap;
pub mod report;
pub mod run;
pub mod scorecard;
pub mod screen;
pub mod source;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod widget;
