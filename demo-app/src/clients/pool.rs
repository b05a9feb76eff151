//! A bounded pool of connections to one store.
//!
//! A *lease* is the right to use one connection. It is granted at once while fewer than `size` are
//! out; else the caller waits, which is a span and a metric of its own, since the store's spans
//! start only after it. The connection itself is opened inside the store's span, when it is used.
//!
//! A pool is either *of a role*, and follows the one instance wherever it moves, or *at an address*.
//! A database's pool can be *squeezed*: some of its connections are gone, and a job takes the rest again
//! and again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::metrics::{AsyncInstrument, Histogram};
use opentelemetry::{KeyValue, global};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tracing::Instrument;

use crate::backends;
use crate::clients::link::{Ask, Link};
use crate::clients::{CALL_TIMEOUT, Network};
use crate::node::PoolSqueeze;
use crate::store::lock;
use crate::telemetry::{instruments, spans};
use crate::topology::Role;
use crate::waiting::Waiting;
use crate::wire::WireError;

/// How tight the database pools of this process are, as it is turned.
pub(crate) type Squeeze = watch::Receiver<Option<PoolSqueeze>>;

/// A pool of connections to one instance of a role.
pub(crate) struct Pool {
    role: Role,
    /// `None` for the one instance of the role, wherever it is.
    at: Option<SocketAddr>,
    network: Network,
    /// Longest wait for a lease, and for an answer.
    patience: Duration,
    shared: Arc<Shared>,
    metrics: Option<Metrics>,
}

/// What the conventions know of a database's pool: its name, and how long it lets callers wait.
struct Metrics {
    name: Arc<str>,
    wait_time: Histogram<f64>,
}

/// What the metrics' callbacks read, and a squeeze takes from.
struct Shared {
    size: usize,
    /// How many of them a squeeze has taken away.
    gone: AtomicUsize,
    permits: Semaphore,
    pending: Waiting,
    idle: Mutex<Vec<(SocketAddr, Link)>>,
}

impl Shared {
    /// How many connections there may be.
    fn max(&self) -> usize {
        self.size - self.gone.load(Ordering::Relaxed).min(self.size)
    }

    fn used(&self) -> usize {
        self.max().saturating_sub(self.permits.available_permits())
    }
}

/// The right to use one connection.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    address: SocketAddr,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// Makes a pool to the one instance of a role; connections are opened as they are needed.
    pub(crate) fn new(role: Role, size: usize, network: Network) -> Self {
        let shared = Arc::new(Shared {
            size,
            gone: AtomicUsize::new(0),
            permits: Semaphore::new(size),
            pending: Waiting::default(),
            idle: Mutex::new(Vec::new()),
        });
        Self { role, at: None, network, patience: CALL_TIMEOUT, shared, metrics: None }
    }

    /// Makes it a pool to the instance at an address.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.at = Some(address);
        self
    }

    /// Sets the longest wait for a lease, and for an answer.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Adds the metrics that a database's client has of its pool, under a name.
    pub(crate) fn measured(mut self, name: impl Into<Arc<str>>) -> Self {
        let wait_time = instruments::database_duration(
            "db.client.connection.wait_time",
            "Time it took to get a connection from the pool.",
        );
        let name = name.into();
        measure(&self.shared, &name);
        self.metrics = Some(Metrics { name, wait_time });
        self
    }

    /// Makes it as tight as it is turned, from now on.
    pub(crate) fn squeezed(self, squeeze: Squeeze) -> Self {
        tokio::spawn(follow(Arc::clone(&self.shared), squeeze));
        self
    }

    /// Returns a lease, after waiting for one when all are out.
    pub(crate) async fn acquire(&self) -> Result<Lease<'_>, WireError> {
        let since = Instant::now();
        let permit = if let Ok(permit) = self.shared.permits.try_acquire() {
            permit
        } else {
            let name = self.metrics.as_ref().map(|metrics| &*metrics.name);
            self.wait().instrument(spans::pool_acquire(name)).await?
        };
        if let Some(Metrics { name, wait_time }) = &self.metrics {
            wait_time.record(since.elapsed().as_secs_f64(), &[pool_name(name)]);
        }
        let address = self.at.or_else(|| self.network.peers.borrow().one(self.role)).ok_or(WireError::Unknown)?;
        Ok(Lease { pool: self, address, _permit: permit })
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, WireError> {
        let _pending = self.shared.pending.enter();
        tokio::time::timeout(self.patience, self.shared.permits.acquire())
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
        tokio::time::timeout(self.pool.patience, self.exchange(request)).await.map_err(|_| WireError::Timeout)?
    }

    async fn exchange<Q: Ask>(&self, request: &Q) -> Result<Q::Reply, WireError> {
        let mut link = match self.pool.idle(self.address) {
            Some(link) => link,
            None => Link::open(backends::here(), &self.pool.network.wires, self.pool.role, self.address).await?,
        };
        let result = link.call(request).await;
        let shared = &self.pool.shared;
        let mut idle = lock(&shared.idle);
        match &result {
            Ok(_) | Err(WireError::Refused(_)) if idle.len() < shared.max() => idle.push((self.address, link)),
            Ok(_) | Err(WireError::Refused(_)) => {}
            // Where one connection broke, the idle ones are likely as dead.
            Err(_) => idle.clear(),
        }
        result
    }
}

/// Squeezes a pool as it is turned, until nobody can turn it any more.
async fn follow(shared: Arc<Shared>, mut squeeze: Squeeze) {
    loop {
        let tightness = *squeeze.borrow_and_update();
        let changed = tokio::select! {
            changed = squeeze.changed() => changed,
            never = tighten(&shared, tightness) => match never {},
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Takes connections away and has a job hold the rest, in turns, for as long as it is polled.
async fn tighten(shared: &Shared, squeeze: Option<PoolSqueeze>) -> std::convert::Infallible {
    let Some(PoolSqueeze { size, held, free }) = squeeze else { return std::future::pending().await };
    let take = async |count: usize| {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        shared.permits.acquire_many(count).await.expect("the semaphore is never closed")
    };
    let left = size.min(shared.size);
    let _taken = take(shared.size - left).await;
    let _gone = Gone::enter(&shared.gone, shared.size - left);
    lock(&shared.idle).truncate(left);
    loop {
        let job = take(left).await;
        tokio::time::sleep(held).await;
        drop(job);
        tokio::time::sleep(free).await;
    }
}

/// Tells of connections that are gone, until it is dropped.
struct Gone<'a>(&'a AtomicUsize);

impl<'a> Gone<'a> {
    fn enter(gone: &'a AtomicUsize, count: usize) -> Self {
        gone.store(count, Ordering::Relaxed);
        Self(gone)
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

fn pool_name(name: &Arc<str>) -> KeyValue {
    KeyValue::new("db.client.connection.pool.name", Arc::clone(name))
}

fn measure(shared: &Arc<Shared>, name: &Arc<str>) {
    let meter = global::meter("content");
    let level = |metric: &'static str, unit: &'static str, read: fn(&Shared) -> i64| {
        let (shared, name) = (Arc::clone(shared), Arc::clone(name));
        meter
            .i64_observable_up_down_counter(metric)
            .with_unit(unit)
            .with_callback(move |observer: &dyn AsyncInstrument<i64>| {
                observer.observe(read(&shared), &[pool_name(&name)]);
            })
            .build();
    };
    level("db.client.connection.max", "{connection}", |shared| shared.max() as i64);
    level("db.client.connection.pending_requests", "{request}", |shared| shared.pending.count() as i64);
    let (shared, name) = (Arc::clone(shared), Arc::clone(name));
    meter
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_callback(move |observer| {
            let idle = lock(&shared.idle).len();
            for (state, count) in [("used", shared.used()), ("idle", idle)] {
                let state = KeyValue::new("db.client.connection.state", state);
                observer.observe(count as i64, &[pool_name(&name), state]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Peer, Peers, Zone};
    use crate::wire::{self, Wires};
    use tokio::net::TcpListener;

    async fn pool_of(size: usize) -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(wire::serve(listener, |n: i64| async move { Ok(n) }));
        let peers = Peers(vec![Peer { role: Role::Cache, zone: Zone::A, address }]);
        Pool::new(Role::Cache, size, Network { peers: watch::channel(peers).1, wires: Wires::default() })
    }

    #[tokio::test]
    async fn a_second_caller_waits_until_the_first_is_done() {
        let pool = pool_of(1).await;
        let first = pool.acquire().await.unwrap();
        let mut second = Box::pin(pool.acquire());
        let waiting =
            std::future::poll_fn(|context| std::task::Poll::Ready(second.as_mut().poll(context).is_pending()));
        assert!(waiting.await);
        assert_eq!(pool.shared.pending.count(), 1);
        assert_eq!(first.call(&1).await.unwrap(), 1);
        assert_eq!(second.await.unwrap().call(&2).await.unwrap(), 2);
        assert_eq!(pool.shared.pending.count(), 0);
        assert_eq!(lock(&pool.shared.idle).len(), 1);
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_given_up_in_time() {
        // It accepts, as the kernel does for a stopped process, and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let patience = Duration::from_millis(50);
        let pool = pool_of(1).await.at(silent.local_addr().unwrap()).patient(patience);
        let since = Instant::now();
        let error = pool.acquire().await.unwrap().call(&1).await.unwrap_err();
        assert_eq!(error.kind(), "timeout");
        assert!(since.elapsed() >= patience);
        assert!(pool.shared.permits.available_permits() == 1, "the connection's place is free again");
    }

    #[tokio::test]
    async fn a_squeezed_pool_is_small_and_held_in_turns_and_is_whole_again_afterwards() {
        let (turn, squeeze) = watch::channel(None);
        let pool = pool_of(8).await.squeezed(squeeze);
        let state = || (pool.shared.max(), pool.shared.used());
        let until = async |expected| {
            while state() != expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(state(), (8, 0));

        let held = Duration::from_millis(100);
        turn.send_replace(Some(PoolSqueeze { size: 2, held, free: Duration::from_millis(50) }));
        until((2, 2)).await;
        let since = Instant::now();
        let lease = pool.acquire().await.unwrap();
        assert!(since.elapsed() > held / 2, "waited {:?} for the job", since.elapsed());
        drop(lease);

        turn.send_replace(None);
        until((8, 0)).await;
    }
}
