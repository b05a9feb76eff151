//! What governs the demo's capacity and pace: pool sizes, service times, times to live.
//!
//! Embedded stores answer in some tens of microseconds, which no disk or network of a real
//! deployment does. So each governed node holds a request for a *service time* before it answers, and
//! serves a bounded number at once. This is a governor, not a measurement: it sets where queues
//! form under load. The waiting is real, so latency, concurrency and saturation obey the same laws
//! as they would elsewhere. It can be switched off, and it is never reported as CPU.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;
use crate::topology::{Phase, Role};

/// How long a node takes for a request, and how many it serves at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTime {
    /// The mean; a single time is at least half of it, the rest is exponentially distributed.
    #[serde(with = "human")]
    pub mean: Duration,
    /// How many requests are served at once; more wait their turn.
    pub concurrency: usize,
}

impl ServiceTime {
    /// Returns a service time with a mean in milliseconds.
    pub const fn millis(mean: u64, concurrency: usize) -> Self {
        Self { mean: Duration::from_millis(mean), concurrency }
    }

    /// Requests a second at which every server is busy all the time; infinite without a mean.
    pub fn capacity(&self) -> f64 {
        self.concurrency as f64 / self.mean.as_secs_f64()
    }
}

/// The settings that all nodes of a demo share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether service times are held; without, nodes answer as fast as they can.
    pub governed: bool,
    /// The whole machine's service time where everything runs on one.
    pub single_box: ServiceTime,
    /// An application instance's service time.
    pub app: ServiceTime,
    /// The service time of a worker for a message.
    pub worker: ServiceTime,
    /// The primary's service time.
    pub primary: ServiceTime,
    /// A replica's service time.
    pub replica: ServiceTime,
    /// The object store's service time.
    pub object_store: ServiceTime,
    /// The third party's service time.
    pub external: ServiceTime,
    /// Bytes a second that a cache node sends; what large values wait for.
    pub cache_bytes_per_second: u64,
    /// How long a scanned row takes, where a statement finds no index.
    #[serde(with = "human")]
    pub scanned_row: Duration,
    /// How long a cache entry lives.
    #[serde(with = "human")]
    pub cache_ttl: Duration,
    /// How many entries a cache node holds before it evicts the least recently used.
    pub cache_capacity: usize,
    /// How many entries an application instance keeps in its own memory; 0 for none.
    pub memory_cache_entries: usize,
    /// How long such an entry lives.
    #[serde(with = "human")]
    pub memory_cache_ttl: Duration,
    /// How many connections an application instance opens to the primary.
    pub primary_pool: usize,
    /// How many connections an application instance opens to each replica.
    pub replica_pool: usize,
    /// Replicas that are further behind get no reads.
    #[serde(with = "human")]
    pub most_lag: Duration,
    /// How long a received message stays hidden before it is handed out again.
    #[serde(with = "human")]
    pub visibility_timeout: Duration,
    /// How often a message is handed out before it goes to the dead-letter queue.
    pub most_receives: i64,
    /// How often the primary writes its heartbeat, from which replica lag is measured.
    #[serde(with = "human")]
    pub heartbeat: Duration,
    /// Requests a second that the balancer takes before it sheds; none where nothing is shed.
    pub most_requests_per_second: Option<f64>,
    /// Whether expired answers serve while what is behind them is down.
    pub stale_while_down: bool,
    /// Whether the fleet of applications follows the load.
    pub autoscaled: bool,
    /// How long a new application instance takes before it serves at full speed.
    #[serde(with = "human")]
    pub cold_start: Duration,
    /// Bytes that the primary's file may have.
    pub disk_quota_bytes: u64,
    /// Bytes of memory that a process may have.
    pub memory_limit_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(Phase::WRITES)
    }
}

impl Settings {
    /// Returns the service time of a role; `None` where it is not governed.
    pub(crate) fn service_time(&self, role: Role) -> Option<ServiceTime> {
        let time = match role {
            Role::Box => self.single_box,
            Role::App => self.app,
            Role::Worker => self.worker,
            Role::Primary | Role::Standby => self.primary,
            Role::Replica => self.replica,
            Role::ObjectStore => self.object_store,
            Role::External => self.external,
            Role::Edge | Role::LoadBalancer | Role::Web | Role::Cache | Role::Queue => return None,
        };
        self.governed.then_some(time)
    }

    /// Returns the settings of a phase.
    pub fn of(phase: Phase) -> Self {
        let from = |first: Phase| phase >= first;
        Self {
            governed: true,
            single_box: ServiceTime::millis(20, 2),
            app: ServiceTime::millis(5, 2),
            worker: ServiceTime::millis(20, 4),
            primary: ServiceTime::millis(4, 4),
            replica: ServiceTime::millis(3, 4),
            object_store: ServiceTime::millis(8, 32),
            external: ServiceTime::millis(15, 64),
            cache_bytes_per_second: 50_000_000,
            scanned_row: Duration::from_micros(50),
            cache_ttl: Duration::from_secs(30),
            cache_capacity: 10_000,
            memory_cache_entries: if from(Phase::DATABASE_READS) { 16 } else { 0 },
            memory_cache_ttl: Duration::from_secs(1),
            primary_pool: 8,
            replica_pool: 8,
            most_lag: Duration::from_secs(2),
            visibility_timeout: Duration::from_secs(10),
            most_receives: 5,
            heartbeat: Duration::from_millis(100),
            most_requests_per_second: from(Phase::SPIKES).then_some(1_000.0),
            stale_while_down: from(Phase::SPIKES),
            autoscaled: from(Phase::SPIKES),
            cold_start: Duration::from_secs(4),
            disk_quota_bytes: 64 << 20,
            memory_limit_bytes: 512 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_being_written_and_read_again() {
        for phase in Phase::ALL {
            let settings = Settings::of(phase);
            let text = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        }
        let short: Settings = serde_json::from_str(r#"{"app": {"mean": "9ms", "concurrency": 1}}"#).unwrap();
        assert_eq!(short.app, ServiceTime::millis(9, 1));
        assert_eq!(short.primary, Settings::default().primary);
    }

    #[test]
    fn capacity_is_servers_over_service_time() {
        assert!((ServiceTime::millis(5, 2).capacity() - 400.0).abs() < 1e-9);
    }
}
