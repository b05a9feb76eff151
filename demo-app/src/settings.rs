//! What governs the demo's capacity and pace: pool sizes, service times, times to live.
//!
//! Embedded stores answer in some tens of microseconds, which no disk or network of a real
//! deployment does. So each store holds a request for a *service time* before it answers, and
//! serves a bounded number at once. This is a governor, not a measurement: it sets where queues
//! form under load. The waiting is real, so latency, concurrency and saturation obey the same laws
//! as they would elsewhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a store takes for a request, and how many it serves at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceTime {
    /// The mean; a single time is at least half of it, the rest is exponentially distributed.
    pub mean: Duration,
    /// How many requests are served at once; more wait their turn.
    pub concurrency: usize,
}

/// The settings that all nodes of a demo share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a cache entry lives.
    pub cache_ttl: Duration,
    /// How many entries the cache holds before it evicts the least recently used.
    pub cache_capacity: usize,
    /// How many connections an application instance opens to the primary.
    pub primary_pool: usize,
    /// How many connections an application instance opens to the replica.
    pub replica_pool: usize,
    /// How many messages the worker processes at once.
    pub worker_concurrency: usize,
    /// How long a received message stays hidden before it is handed out again.
    pub visibility_timeout: Duration,
    /// How often the primary writes its heartbeat, from which replica lag is measured.
    pub heartbeat: Duration,
    /// The primary's service time.
    pub primary: ServiceTime,
    /// The replica's service time.
    pub replica: ServiceTime,
    /// The object store's service time.
    pub object_store: ServiceTime,
}

impl Default for Settings {
    fn default() -> Self {
        let service_time = |mean_ms, concurrency| ServiceTime { mean: Duration::from_millis(mean_ms), concurrency };
        Self {
            cache_ttl: Duration::from_secs(30),
            cache_capacity: 10_000,
            primary_pool: 8,
            replica_pool: 8,
            worker_concurrency: 4,
            visibility_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_millis(100),
            primary: service_time(4, 8),
            replica: service_time(3, 8),
            object_store: service_time(8, 32),
        }
    }
}
