//! A bounded pool of connections in virtual time: who finds all of them out waits, and that is a span.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::sim::instance::Instance;
use crate::sim::measures::Labels;
use crate::sim::names::{self, text};
use crate::sim::servers::Counted;
use crate::sim::spans::{Context, OpenSpan};
use crate::sim::wire::CallError;

/// A pool of connections to one instance.
pub(super) struct Pool {
    /// The name under which a database's client measures its pool.
    pub(super) name: Option<&'static str>,
    pub(super) permits: Semaphore,
    size: usize,
    /// Longest wait for a connection, and for an answer.
    pub(super) patience: Duration,
    /// Connections that are not there while the pool is made smaller.
    pub(super) lacking: Cell<usize>,
    pending: Cell<u64>,
    /// Most connections that were out at once: so many are open.
    opened: Cell<usize>,
}

impl Pool {
    pub(super) fn new(name: Option<&'static str>, size: usize, patience: Duration) -> Self {
        Self {
            name,
            permits: Semaphore::new(size),
            size,
            patience,
            lacking: Cell::new(0),
            pending: Cell::new(0),
            opened: Cell::new(0),
        }
    }

    /// Returns the right to use a connection, after waiting for one when all are out.
    pub(super) async fn acquire(
        &self,
        of: &Rc<Instance>,
        context: Option<Context>,
    ) -> Result<SemaphorePermit<'_>, CallError> {
        let since = of.clock().now();
        let permit = if let Ok(permit) = self.permits.try_acquire() {
            permit
        } else {
            let attributes = || self.name.map(|name| text("db.client.connection.pool.name", name));
            let _span =
                OpenSpan::new(of, context, SpanKind::Internal, "pool.acquire", || attributes().into_iter().collect());
            let _pending = Counted::new(&self.pending);
            let waited = of.clock().timeout(self.patience, self.permits.acquire()).await;
            waited.ok_or(CallError::Timeout)?.expect("the semaphore is never closed")
        };
        self.opened.set(self.opened.get().max(self.used()));
        if let Some(name) = self.name {
            let waited = of.clock().since(since).as_secs_f64();
            of.series.borrow_mut().record(&names::POOL_WAIT, Labels::of(name), (waited, 1), || {
                vec![text("db.client.connection.pool.name", name)]
            });
        }
        Ok(permit)
    }

    /// Whether its connections are to a database rather than to a cache.
    pub(super) fn of_database(&self) -> bool {
        self.name.is_some_and(|name| name.starts_with("content-primary") || name.starts_with("content-replica"))
    }

    fn used(&self) -> usize {
        (self.size - self.lacking.get()).saturating_sub(self.permits.available_permits())
    }

    /// Tells the metrics what the pool is at.
    pub(super) fn observe(&self, of: &Instance) {
        let Some(name) = self.name else { return };
        let named = || text("db.client.connection.pool.name", name);
        let mut series = of.series.borrow_mut();
        let size = self.size - self.lacking.get();
        series.set(&names::POOL_MAX, Labels::of(name), size as f64, || vec![named()]);
        series.set(&names::POOL_PENDING, Labels::of(name), self.pending.get() as f64, || vec![named()]);
        let idle = self.opened.get().min(size).saturating_sub(self.used());
        for (state, count) in [("used", self.used()), ("idle", idle)] {
            let labels = Labels { name, detail: state, ..Labels::default() };
            series.set(&names::POOL_COUNT, labels, count as f64, || {
                vec![named(), text("db.client.connection.state", state)]
            });
        }
    }

    /// Makes the pool smaller and lets a job hold what is left, again and again, until `over` says so.
    pub(super) async fn squeeze(
        &self,
        of: &Instance,
        (size, held, free): (usize, Duration, Duration),
        over: impl Fn() -> bool,
    ) {
        let size = size.min(self.size);
        let gone = self.permits.acquire_many((self.size - size) as u32).await;
        self.lacking.set(self.size - size);
        while !over() {
            let job = self.permits.acquire_many(size as u32).await;
            of.clock().sleep(held).await;
            drop(job);
            of.clock().sleep(free).await;
        }
        self.lacking.set(0);
        drop(gone);
    }
}
