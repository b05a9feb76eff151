//! The metrics that the engine reads, by name, and what each says.
//!
//! No semantic convention names cache hits, replica lag, replica roles, queue depth or message age,
//! so these come from the collector's receivers, from CloudWatch metric streams or under an
//! application's own names. A metric whose name is not here is accepted and only counted.

use crate::snapshot::SignalKind;

/// What a metric says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// A histogram of how long a service took for requests.
    ServerDuration,
    /// A histogram of how long a worker took for messages.
    ProcessDuration,
    /// A histogram of how long calls to others took, as the caller measured them.
    ClientDuration,
    /// Requests in progress in a service.
    ActiveRequests,
    /// A level that is a signal as it stands, after its unit was normalised.
    Level(SignalKind),
    /// A monotonic sum whose growth a second is a signal.
    Rate(SignalKind),
    /// Cache reads that found something: a monotonic sum.
    CacheHits,
    /// Cache reads that found nothing: a monotonic sum.
    CacheMisses,
    /// Connections by state, of which "used" counts: a level.
    PoolByState,
    /// The idle share of each processor: what is left is in use.
    IdleShare,
    /// How long the process's runtime stood still: a histogram, or the longest of late.
    Pauses,
}

/// Which tier a signal belongs to, if nothing closer is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum About {
    /// The service that sends the metric.
    Sender,
    /// The store on the host that sends the metric.
    Host,
    /// A cache.
    Cache,
    /// A replica of a database.
    Replica,
    /// A queue, topic or stream.
    Queue,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The metric's name, as sent.
    pub name: &'static str,
    /// What it says.
    pub meaning: Meaning,
    /// Whose figure it is.
    pub about: About,
    /// Read only points with this attribute set to one of these values.
    pub only: Option<(&'static str, &'static [&'static str])>,
    /// The unit to assume when the sender gives none that is known.
    pub unit: &'static str,
}

const fn row(name: &'static str, meaning: Meaning, about: About, unit: &'static str) -> Row {
    Row { name, meaning, about, only: None, unit }
}

const fn only(row: Row, key: &'static str, values: &'static [&'static str]) -> Row {
    Row { only: Some((key, values)), ..row }
}

use About::{Cache, Host, Queue, Replica, Sender};
use Meaning::{
    ActiveRequests, CacheHits, CacheMisses, ClientDuration, IdleShare, Level, Pauses, PoolByState, ProcessDuration,
    Rate, ServerDuration,
};
use SignalKind::{
    CacheHitRatio, CpuRatio, EvictionsPerSecond, MemoryBytes, PoolMax, PoolPending, PoolWaitSeconds, QueueDepth,
    QueueInFlight, QueueOldestAgeSeconds, ReplicaLagSeconds, WorkersBusy, WorkersMax,
};

/// Every metric that is read.
#[rustfmt::skip]
pub const CATALOGUE: &[Row] = &[
    // Durations of services; where both of a pair arrive for the same requests, the first listed counts.
    row("http.server.request.duration", ServerDuration, Sender, "s"),
    row("http.server.duration", ServerDuration, Sender, "ms"),
    row("rpc.server.call.duration", ServerDuration, Sender, "s"),
    row("rpc.server.duration", ServerDuration, Sender, "ms"),
    row("messaging.process.duration", ProcessDuration, Sender, "s"),
    row("flower.task.runtime.seconds", ProcessDuration, Sender, "s"),
    // Calls to others, read of services that send no spans.
    row("http.client.request.duration", ClientDuration, Sender, "s"),
    row("http.client.duration", ClientDuration, Sender, "ms"),
    row("rpc.client.call.duration", ClientDuration, Sender, "s"),
    row("rpc.client.duration", ClientDuration, Sender, "ms"),
    row("db.client.operation.duration", ClientDuration, Sender, "s"),
    row("messaging.client.operation.duration", ClientDuration, Sender, "s"),
    row("http.server.active_requests", ActiveRequests, Sender, "1"),
    // Connection pools: semantic conventions, and the older plural name.
    only(row("db.client.connection.count", PoolByState, Sender, "1"), "db.client.connection.state", &["used"]),
    only(row("db.client.connections.usage", PoolByState, Sender, "1"), "state", &["used"]),
    row("db.client.connection.max", Level(PoolMax), Sender, "1"),
    row("db.client.connections.max", Level(PoolMax), Sender, "1"),
    row("db.client.connection.pending_requests", Level(PoolPending), Sender, "1"),
    row("db.client.connections.pending_requests", Level(PoolPending), Sender, "1"),
    row("db.client.connection.wait_time", Level(PoolWaitSeconds), Sender, "s"),
    row("db.client.connections.wait_time", Level(PoolWaitSeconds), Sender, "ms"),
    // Caches.
    row("redis.keyspace.hits", CacheHits, Cache, "1"),
    row("redis.keyspace.misses", CacheMisses, Cache, "1"),
    only(row("memcached.operations", CacheHits, Cache, "1"), "type", &["hit"]),
    only(row("memcached.operations", CacheMisses, Cache, "1"), "type", &["miss"]),
    row("memcached.operation_hit_ratio", Level(CacheHitRatio), Cache, "%"),
    row("redis.keys.evicted", Rate(EvictionsPerSecond), Cache, "1"),
    row("memcached.evictions", Rate(EvictionsPerSecond), Cache, "1"),
    row("redis.memory.used", Level(MemoryBytes), Cache, "By"),
    row("cache.hits", CacheHits, Cache, "1"),
    row("cache.misses", CacheMisses, Cache, "1"),
    row("cache.hit", CacheHits, Cache, "1"),
    row("cache.miss", CacheMisses, Cache, "1"),
    row("cache.evictions", Rate(EvictionsPerSecond), Cache, "1"),
    row("cache.hit_ratio", Level(CacheHitRatio), Cache, "1"),
    row("cache.hit.ratio", Level(CacheHitRatio), Cache, "1"),
    row("amazonaws.com/AWS/ElastiCache/CacheHits", CacheHits, Cache, "1"),
    row("amazonaws.com/AWS/ElastiCache/CacheMisses", CacheMisses, Cache, "1"),
    row("amazonaws.com/AWS/ElastiCache/GetHits", CacheHits, Cache, "1"),
    row("amazonaws.com/AWS/ElastiCache/GetMisses", CacheMisses, Cache, "1"),
    row("amazonaws.com/AWS/ElastiCache/CacheHitRate", Level(CacheHitRatio), Cache, "%"),
    row("amazonaws.com/AWS/ElastiCache/Evictions", Rate(EvictionsPerSecond), Cache, "1"),
    // Replicas.
    only(row("postgresql.wal.delay", Level(ReplicaLagSeconds), Replica, "s"), "operation", &["replay"]),
    only(row("postgresql.wal.lag", Level(ReplicaLagSeconds), Replica, "s"), "operation", &["replay"]),
    row("mysql.replica.time_behind_source", Level(ReplicaLagSeconds), Replica, "s"),
    row("db.replica.lag", Level(ReplicaLagSeconds), Replica, "s"),
    row("db.replication.lag", Level(ReplicaLagSeconds), Replica, "s"),
    row("replica.lag", Level(ReplicaLagSeconds), Replica, "s"),
    row("replication.lag", Level(ReplicaLagSeconds), Replica, "s"),
    row("amazonaws.com/AWS/RDS/ReplicaLag", Level(ReplicaLagSeconds), Replica, "s"),
    row("amazonaws.com/AWS/RDS/AuroraReplicaLag", Level(ReplicaLagSeconds), Replica, "ms"),
    // Queues.
    only(row("rabbitmq.message.current", Level(QueueDepth), Queue, "1"), "state", &["ready"]),
    only(row("rabbitmq.message.current", Level(QueueInFlight), Queue, "1"), "state", &["unacknowledged"]),
    row("kafka.consumer_group.lag_sum", Level(QueueDepth), Queue, "1"),
    row("queue.depth", Level(QueueDepth), Queue, "1"),
    row("queue.length", Level(QueueDepth), Queue, "1"),
    row("messaging.queue.depth", Level(QueueDepth), Queue, "1"),
    row("queue.in_flight", Level(QueueInFlight), Queue, "1"),
    row("queue.oldest_message.age", Level(QueueOldestAgeSeconds), Queue, "s"),
    row("queue.oldest.age", Level(QueueOldestAgeSeconds), Queue, "s"),
    row("messaging.queue.oldest_message.age", Level(QueueOldestAgeSeconds), Queue, "s"),
    row("amazonaws.com/AWS/SQS/ApproximateNumberOfMessagesVisible", Level(QueueDepth), Queue, "1"),
    row("amazonaws.com/AWS/SQS/ApproximateNumberOfMessagesNotVisible", Level(QueueInFlight), Queue, "1"),
    row("amazonaws.com/AWS/SQS/ApproximateAgeOfOldestMessage", Level(QueueOldestAgeSeconds), Queue, "s"),
    // Processes.
    row("process.cpu.utilization", Level(CpuRatio), Sender, "1"),
    row("process.memory.usage", Level(MemoryBytes), Sender, "By"),
    row("service.workers.busy", Level(WorkersBusy), Sender, "1"),
    row("service.workers.max", Level(WorkersMax), Sender, "1"),
    // How long a runtime stood still: late timers, a busy event loop, garbage collected.
    row("process.scheduling.delay", Pauses, Sender, "s"),
    row("jvm.gc.duration", Pauses, Sender, "s"),
    row("v8js.gc.duration", Pauses, Sender, "s"),
    row("nodejs.eventloop.delay.max", Pauses, Sender, "s"),
    // Hosts of stores: the current attribute, and the one that the collector's hostmetrics receiver still sends.
    only(row("system.cpu.utilization", IdleShare, Host, "1"), "cpu.mode", &["idle"]),
    only(row("system.cpu.utilization", IdleShare, Host, "1"), "state", &["idle"]),
];

/// Whether the engine reads metrics of this name; all others are only counted.
pub fn reads(name: &str) -> bool {
    CATALOGUE.iter().any(|row| row.name == name)
}

/// The rows for a metric of this name: several where an attribute decides.
pub fn rows(name: &str) -> impl Iterator<Item = &'static Row> {
    CATALOGUE.iter().filter(move |row| row.name == name)
}

/// What a value in `unit` is to be multiplied by to be in the base unit of its quantity (seconds,
/// bytes, a ratio of 0 to 1, a plain count), or `None` for a unit that is not known.
///
/// Senders disagree on how units are written, so this is read before any name is believed.
pub fn unit_factor(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" | "sec" | "second" | "seconds" | "Seconds" | "1" | "By" | "bytes" | "Bytes" | "Count" | "None" => 1.0,
        "ms" | "millisecond" | "milliseconds" | "Milliseconds" => 1e-3,
        "us" | "µs" | "microsecond" | "microseconds" | "Microseconds" => 1e-6,
        "ns" | "nanosecond" | "nanoseconds" => 1e-9,
        "min" | "m" => 60.0,
        "%" | "percent" | "Percent" => 1e-2,
        "KiBy" => 1024.0,
        "MiBy" => 1024.0 * 1024.0,
        unit if unit.starts_with('{') => 1.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_unit_that_is_known() {
        for row in CATALOGUE {
            assert!(unit_factor(row.unit).is_some(), "{} in {}", row.name, row.unit);
        }
    }

    #[test]
    fn rows_of_one_name_are_told_apart_by_an_attribute() {
        for row in CATALOGUE {
            let of_name: Vec<_> = rows(row.name).collect();
            assert!(of_name.len() == 1 || of_name.iter().all(|row| row.only.is_some()), "{}", row.name);
        }
    }

    #[test]
    fn units_are_read_as_senders_write_them() {
        assert_eq!(unit_factor("seconds"), Some(1.0));
        assert_eq!(unit_factor("{request}"), Some(1.0));
        assert_eq!(unit_factor("Percent"), Some(0.01));
        assert_eq!(unit_factor("requests"), None);
        assert_eq!(unit_factor(""), None);
    }
}
