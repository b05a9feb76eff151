//! The client of the cache. A cache that fails is a cache that has nothing: the caller goes on.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clients::pool::Pool;
use crate::clients::traced;
use crate::store::cache::{Reply, Request};
use crate::telemetry::instruments::DatabaseClient;
use crate::telemetry::spans;
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// How many connections are open to the cache at most.
const CONNECTIONS: usize = 16;

pub(crate) struct CacheClient {
    pool: Pool,
    metrics: DatabaseClient,
}

impl CacheClient {
    pub(crate) fn new(peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        let pool = Pool::new(Role::Cache, CONNECTIONS, peers, wires).measured("content-cache");
        Self { pool, metrics: DatabaseClient::new() }
    }

    /// Returns the value of a key, if the cache has it.
    pub(crate) async fn get(&self, key: String) -> Option<String> {
        self.call("GET", Request::Get { key }).await.ok().flatten()
    }

    /// Keeps a value for a time to live.
    pub(crate) async fn set(&self, key: String, value: String, ttl: Duration) {
        // What was not kept is looked up again.
        let _ = self.call("SET", Request::Set { key, value, ttl }).await;
    }

    async fn call(&self, operation: &'static str, request: Request) -> Result<Reply, WireError> {
        let lease = self.pool.acquire().await?;
        let (address, since) = (lease.address(), Instant::now());
        let result = traced(spans::cache(operation, address), lease.call(&request)).await;
        let error = result.as_ref().err().map(WireError::kind);
        self.metrics.command(operation, address, since, error);
        result
    }
}
