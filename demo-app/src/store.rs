//! The stores of the demo: each a small server over its own state.
//!
//! A store's state is plain and synchronous (`database`, `messages`, the maps of `cache`); the
//! shell around it answers frames of [`crate::wire`] and keeps the store's own metrics. Stores make
//! no spans, as real ones do not: their callers do.

pub(crate) mod cache;
pub(crate) mod database;
mod follower;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod primary;
pub(crate) mod queue;
mod reads;
pub(crate) mod replica;
pub(crate) mod service_time;
pub(crate) mod standby;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks state that stays whole between statements, so that a panic elsewhere does not spread.
pub(crate) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns now in milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
