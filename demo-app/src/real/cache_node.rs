//! The sidecar of a Redis server: what a collector reads from `INFO`, and how entries are forgotten.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::global;
use opentelemetry::metrics::AsyncInstrument;
use redis::aio::MultiplexedConnection;

use crate::node::{Control, NodeContext, Started, unknown};
use crate::real::{commands, errand};
use crate::store::lock;
use crate::telemetry::attributes;

/// How often the server is read.
const PACE: Duration = Duration::from_millis(250);

/// Longest wait for an answer, after which nothing is known of the server.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the server said last, by the names of its fields; nothing while it does not answer.
type Known = Arc<Mutex<HashMap<String, u64>>>;

/// Starts the sidecar.
pub(super) fn start(context: &NodeContext) -> Started {
    let known = Known::default();
    let address = context.address;
    measure(&known, address);
    Started::turned(watch(address, known), move |control| match control {
        Control::Forget { share } => errand::run(commands::forget(address, share)),
        other => Err(unknown(&other)),
    })
}

async fn watch(address: SocketAddr, known: Known) {
    let mut connection = None;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = tokio::time::timeout(PATIENCE, read(address, &mut connection)).await;
        // What is not known is not told: neither the last value nor zero.
        *lock(&known) = if let Ok(Ok(fields)) = read { fields } else { HashMap::new() };
    }
}

async fn read(
    address: SocketAddr,
    connection: &mut Option<MultiplexedConnection>,
) -> Result<HashMap<String, u64>, String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => commands::connect(address).await?,
    };
    let info: String = redis::cmd("INFO").query_async(&mut open).await.map_err(|error| error.to_string())?;
    *connection = Some(open);
    Ok(fields(&info))
}

/// Returns the fields of `INFO` that are whole numbers, and how many keys there are as `keys`.
fn fields(info: &str) -> HashMap<String, u64> {
    let mut fields: HashMap<String, u64> = info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect();
    // A database without keys has no line.
    let keys = info.lines().find_map(|line| line.strip_prefix("db0:keys=")?.split(',').next()?.parse().ok());
    fields.insert("keys".to_owned(), keys.unwrap_or(0));
    fields
}

fn measure(known: &Known, address: SocketAddr) {
    let meter = global::meter("content-cache");
    let labels = attributes::cache_node(address);
    let read = |field: &'static str| {
        let (known, labels) = (Arc::clone(known), labels.clone());
        move |observer: &dyn AsyncInstrument<u64>| {
            if let Some(&value) = lock(&known).get(field) {
                observer.observe(value, &labels);
            }
        }
    };
    for (name, unit, description, field) in [
        ("redis.keyspace.hits", "{hit}", "Reads that found their key.", "keyspace_hits"),
        ("redis.keyspace.misses", "{miss}", "Reads that did not find their key.", "keyspace_misses"),
        ("redis.keys.evicted", "{key}", "Keys dropped to make room.", "evicted_keys"),
        ("redis.keys.expired", "{event}", "Keys dropped at the end of their time.", "expired_keys"),
        ("redis.commands.processed", "{command}", "Commands processed.", "total_commands_processed"),
    ] {
        let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(description);
        counter.with_callback(read(field)).build();
    }
    for (name, unit, description, field) in [
        ("redis.memory.used", "By", "Bytes that the server has allocated.", "used_memory"),
        ("redis.clients.connected", "{client}", "Connections of clients.", "connected_clients"),
        ("redis.clients.blocked", "{client}", "Clients that wait in a blocking call.", "blocked_clients"),
    ] {
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(read(field)).build();
    }
    let (known, labels) = (Arc::clone(known), attributes::with(labels, [KeyValue::new("db", "0")]));
    meter
        .u64_observable_gauge("redis.db.keys")
        .with_unit("{key}")
        .with_description("Keys in the database.")
        .with_callback(move |observer| {
            if let Some(&keys) = lock(&known).get("keys") {
                observer.observe(keys, &labels);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_from_info_and_an_empty_database_has_no_keys() {
        let info = "# Stats\r\nkeyspace_hits:12\r\nused_memory_human:1M\r\nredis_version:7.0.15\r\n# Keyspace\r\n";
        let known = fields(info);
        assert_eq!((known["keyspace_hits"], known["keys"]), (12, 0));
        assert!(!known.contains_key("used_memory_human"));
        assert_eq!(fields("db0:keys=31,expires=30,avg_ttl=9\r\n")["keys"], 31);
    }
}
