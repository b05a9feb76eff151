//! A bounded pool of connections to one store.
//!
//! A *lease* is the right to use one connection. It is granted at once while fewer than `size` are
//! out; else the caller waits, which is a span and a metric of its own, since the store's spans
//! start only after it. The connection itself is opened inside the store's span, when it is used.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry::metrics::{AsyncInstrument, Histogram};
use opentelemetry::{KeyValue, global};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tracing::Instrument;

use crate::backends;
use crate::clients::CALL_TIMEOUT;
use crate::clients::link::{Ask, Link};
use crate::store::lock;
use crate::telemetry::{instruments, spans};
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// A pool of connections to the one instance of a role.
pub(crate) struct Pool {
    role: Role,
    peers: watch::Receiver<Peers>,
    wires: Wires,
    shared: Arc<Shared>,
    metrics: Option<Metrics>,
}

/// What the conventions know of a database's pool: its name, and how long it lets callers wait.
struct Metrics {
    name: &'static str,
    wait_time: Histogram<f64>,
}

/// What the metrics' callbacks read.
struct Shared {
    size: usize,
    permits: Semaphore,
    pending: AtomicI64,
    idle: Mutex<Vec<(SocketAddr, Link)>>,
}

impl Shared {
    fn used(&self) -> i64 {
        (self.size - self.permits.available_permits().min(self.size)) as i64
    }
}

/// The right to use one connection.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    address: SocketAddr,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// Makes a pool; connections are opened as they are needed.
    pub(crate) fn new(role: Role, size: usize, peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        let shared = Arc::new(Shared {
            size,
            permits: Semaphore::new(size),
            pending: AtomicI64::new(0),
            idle: Mutex::new(Vec::new()),
        });
        Self { role, peers, wires, shared, metrics: None }
    }

    /// Adds the metrics that a database's client has of its pool, under a name.
    pub(crate) fn measured(mut self, name: &'static str) -> Self {
        let wait_time = instruments::database_duration(
            "db.client.connection.wait_time",
            "Time it took to get a connection from the pool.",
        );
        measure(&self.shared, name);
        self.metrics = Some(Metrics { name, wait_time });
        self
    }

    /// Returns a lease, after waiting for one when all are out.
    pub(crate) async fn acquire(&self) -> Result<Lease<'_>, WireError> {
        let since = Instant::now();
        let permit = if let Ok(permit) = self.shared.permits.try_acquire() {
            permit
        } else {
            let name = self.metrics.as_ref().map(|metrics| metrics.name);
            self.wait().instrument(spans::pool_acquire(name)).await?
        };
        if let Some(Metrics { name, wait_time }) = &self.metrics {
            wait_time.record(since.elapsed().as_secs_f64(), &[pool_name(name)]);
        }
        let address = self.peers.borrow().one(self.role).ok_or(WireError::Unknown)?;
        Ok(Lease { pool: self, address, _permit: permit })
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, WireError> {
        let _pending = Pending::enter(&self.shared.pending);
        tokio::time::timeout(CALL_TIMEOUT, self.shared.permits.acquire())
            .await
            .map_err(|_| WireError::Timeout)
            .map(|permit| permit.expect("the semaphore is never closed"))
    }

    /// Takes an idle connection to `address`, and drops those to where the store was before.
    fn idle(&self, address: SocketAddr) -> Option<Link> {
        let mut idle = lock(&self.shared.idle);
        idle.retain(|(to, _)| *to == address);
        idle.pop().map(|(_, link)| link)
    }
}

impl Lease<'_> {
    /// The store's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request and returns the store's reply. A connection that failed is not used again.
    pub(crate) async fn call<Q: Ask>(self, request: &Q) -> Result<Q::Reply, WireError> {
        tokio::time::timeout(CALL_TIMEOUT, self.exchange(request)).await.map_err(|_| WireError::Timeout)?
    }

    async fn exchange<Q: Ask>(&self, request: &Q) -> Result<Q::Reply, WireError> {
        let mut link = match self.pool.idle(self.address) {
            Some(link) => link,
            None => Link::open(backends::here(), &self.pool.wires, self.pool.role, self.address).await?,
        };
        let result = link.call(request).await;
        let mut idle = lock(&self.pool.shared.idle);
        match &result {
            Ok(_) | Err(WireError::Refused(_)) => idle.push((self.address, link)),
            // Where one connection broke, the idle ones are likely as dead.
            Err(_) => idle.clear(),
        }
        result
    }
}

/// Counts a waiting caller, also when it gives up.
struct Pending<'a>(&'a AtomicI64);

impl<'a> Pending<'a> {
    fn enter(pending: &'a AtomicI64) -> Self {
        pending.fetch_add(1, Ordering::Relaxed);
        Self(pending)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn pool_name(name: &'static str) -> KeyValue {
    KeyValue::new("db.client.connection.pool.name", name)
}

fn measure(shared: &Arc<Shared>, name: &'static str) {
    let meter = global::meter("content");
    let level = |metric: &'static str, unit: &'static str, read: fn(&Shared) -> i64| {
        let shared = Arc::clone(shared);
        meter
            .i64_observable_up_down_counter(metric)
            .with_unit(unit)
            .with_callback(move |observer: &dyn AsyncInstrument<i64>| {
                observer.observe(read(&shared), &[pool_name(name)]);
            })
            .build();
    };
    level("db.client.connection.max", "{connection}", |shared| shared.size as i64);
    level("db.client.connection.pending_requests", "{request}", |shared| shared.pending.load(Ordering::Relaxed));
    let shared = Arc::clone(shared);
    meter
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_callback(move |observer| {
            let idle = lock(&shared.idle).len() as i64;
            for (state, count) in [("used", shared.used()), ("idle", idle)] {
                let state = KeyValue::new("db.client.connection.state", state);
                observer.observe(count, &[pool_name(name), state]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Peer, Zone};
    use crate::wire;
    use tokio::net::TcpListener;

    async fn pool_of_one() -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(wire::serve(listener, |n: i64| async move { Ok(n) }));
        let peers = Peers(vec![Peer { role: Role::Cache, zone: Zone::A, address }]);
        Pool::new(Role::Cache, 1, watch::channel(peers).1, Wires::default())
    }

    #[tokio::test]
    async fn a_second_caller_waits_until_the_first_is_done() {
        let pool = pool_of_one().await;
        let first = pool.acquire().await.unwrap();
        let mut second = Box::pin(pool.acquire());
        let waiting =
            std::future::poll_fn(|context| std::task::Poll::Ready(second.as_mut().poll(context).is_pending()));
        assert!(waiting.await);
        assert_eq!(pool.shared.pending.load(Ordering::Relaxed), 1);
        assert_eq!(first.call(&1).await.unwrap(), 1);
        assert_eq!(second.await.unwrap().call(&2).await.unwrap(), 2);
        assert_eq!(pool.shared.pending.load(Ordering::Relaxed), 0);
        assert_eq!(lock(&pool.shared.idle).len(), 1);
    }
}
