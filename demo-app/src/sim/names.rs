//! What the simulated processes call things: attributes and metrics by the names of the real ones.

use std::f64::consts::GOLDEN_RATIO;
use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};

use crate::sim::measures::{Kind, Measure, Number};
use crate::telemetry::attributes;
use crate::topology::Role;

/// An attribute with text.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

/// An attribute with a whole number.
pub(super) fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

/// An attribute with a list of one text.
pub(super) fn texts(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    attribute(key, any_value::Value::ArrayValue(ArrayValue { values: vec![value] }))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// Returns the attributes by which a node of a role is addressed: those that the real clients send.
pub(super) fn node(role: Role, address: SocketAddr) -> Vec<KeyValue> {
    let set = match role {
        Role::Cache => attributes::cache_node(address),
        Role::Primary | Role::Standby | Role::Replica => attributes::database_node(address),
        Role::Queue => attributes::queue_node(address),
        Role::ObjectStore => attributes::object_store_node(address),
        _ => attributes::server(address),
    };
    encoded(set)
}

/// Returns attributes as they are sent.
pub(super) fn encoded(set: Vec<opentelemetry::KeyValue>) -> Vec<KeyValue> {
    let one = |attribute: opentelemetry::KeyValue| KeyValue {
        key: attribute.key.to_string(),
        value: Some(AnyValue::from(attribute.value)),
        ..Default::default()
    };
    set.into_iter().map(one).collect()
}

/// Returns a set of attributes with more.
pub(super) fn with(set: &[KeyValue], more: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(set.len() + 5);
    all.extend_from_slice(set);
    all.extend(more);
    all
}

/// Spreads numbers evenly over 0 to 1: their multiples of an irrational number, modulo one.
pub(super) fn spread(number: u64) -> f64 {
    ((number % 1_000_000_007) as f64 * GOLDEN_RATIO).fract()
}

const SECONDS: Kind =
    Kind::Histogram(&[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]);
const DATABASE_SECONDS: Kind = Kind::Histogram(&[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0]);
const DELAY_SECONDS: Kind = Kind::Histogram(&[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5]);
const LOCK_SECONDS: Kind = Kind::Histogram(&[0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
const COUNT: Kind = Kind::Counter(Number::Whole);
const WHOLE: Kind = Kind::Gauge(Number::Whole);
const REAL: Kind = Kind::Gauge(Number::Real);

/// Declares metrics: scope, constant, name, unit, kind.
macro_rules! measures {
    ($($scope:literal: $($constant:ident = $name:literal, $unit:literal, $kind:expr;)+)+) => {
        $($(pub(super) static $constant: Measure =
            Measure { scope: $scope, name: $name, unit: $unit, kind: $kind };)+)+
    };
}

measures! {
    "content":
        SERVER_DURATION = "http.server.request.duration", "s", SECONDS;
        SERVER_ACTIVE = "http.server.active_requests", "{request}", Kind::Level;
        CLIENT_DURATION = "http.client.request.duration", "s", SECONDS;
        STATEMENT_DURATION = "db.client.operation.duration", "s", DATABASE_SECONDS;
        POOL_COUNT = "db.client.connection.count", "{connection}", Kind::Level;
        POOL_MAX = "db.client.connection.max", "{connection}", Kind::Level;
        POOL_PENDING = "db.client.connection.pending_requests", "{request}", Kind::Level;
        POOL_WAIT = "db.client.connection.wait_time", "s", DATABASE_SECONDS;
        MESSAGES_SENT = "messaging.client.sent.messages", "{message}", COUNT;
        SEND_DURATION = "messaging.client.operation.duration", "s", SECONDS;
        PROCESS_DURATION = "messaging.process.duration", "s", SECONDS;
        EDGE_HITS = "edge.cache.hits", "{hit}", COUNT;
        EDGE_MISSES = "edge.cache.misses", "{miss}", COUNT;
        HEALTHY = "upstream.instances.healthy", "{instance}", WHOLE;
        UNHEALTHY = "upstream.instances.unhealthy", "{instance}", WHOLE;
        APP_HITS = "app.cache.hits", "{request}", COUNT;
        APP_MISSES = "app.cache.misses", "{request}", COUNT;
        APP_STALE = "app.cache.stale", "{request}", COUNT;
        WORKERS_MAX = "service.workers.max", "{worker}", WHOLE;
        WORKERS_BUSY = "service.workers.busy", "{worker}", WHOLE;
        WORKERS_PENDING = "service.workers.pending", "{request}", WHOLE;
    "process":
        CPU_TIME = "process.cpu.time", "s", Kind::Counter(Number::Real);
        CPU_SHARE = "process.cpu.utilization", "1", REAL;
        MEMORY = "process.memory.usage", "By", Kind::Level;
        MEMORY_LIMIT = "process.memory.limit", "By", Kind::Level;
        LATE = "process.scheduling.delay", "s", DELAY_SECONDS;
    "content-cache":
        CACHE_HITS = "cache.hits", "{hit}", COUNT;
        CACHE_MISSES = "cache.misses", "{miss}", COUNT;
        CACHE_EVICTIONS = "cache.evictions", "{item}", COUNT;
        CACHE_ITEMS = "cache.items", "{item}", WHOLE;
        CACHE_MEMORY = "cache.memory.usage", "By", WHOLE;
        CACHE_SENT = "cache.sent", "By", COUNT;
    "content-db":
        LOG_WRITTEN = "db.change_log.written", "{change}", COUNT;
        FILE_SIZE = "db.file.size", "By", WHOLE;
        LOCK_WAITING = "db.lock.waiting", "{session}", WHOLE;
        LOCK_WAIT = "db.lock.wait_time", "s", LOCK_SECONDS;
        LAG = "db.replica.lag", "s", REAL;
        DISK_USED = "system.filesystem.usage", "By", Kind::Level;
        DISK_LIMIT = "system.filesystem.limit", "By", Kind::Level;
    "content-queue":
        DEPTH = "queue.depth", "{message}", WHOLE;
        IN_FLIGHT = "queue.in_flight", "{message}", WHOLE;
        OLDEST = "queue.oldest_message.age", "s", REAL;
        RECEIVES = "queue.receives", "{message}", COUNT;
        REDELIVERIES = "queue.redeliveries", "{message}", COUNT;
    "content-object-store":
        OBJECTS_WRITTEN = "object_store.objects.written", "{object}", COUNT;
}
