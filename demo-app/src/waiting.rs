//! How many wait for something at a moment; those who give up count until then.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A count of those who wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(AtomicUsize);

/// One of them, until it is dropped.
pub(crate) struct Waiter<'a>(&'a Waiting);

impl Waiting {
    /// Counts one more.
    pub(crate) fn enter(&self) -> Waiter<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiter(self)
    }

    /// How many wait now.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
