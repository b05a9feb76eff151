//! The attribute sets that several spans and metrics share, by the current semantic conventions.

use std::net::SocketAddr;

use opentelemetry::KeyValue;

use crate::backends;

/// The database's namespace, the queue's destination and the object store's bucket.
pub(crate) const CONTENT: &str = "content";

/// Where messages go that were handed out too often.
const DEAD_LETTERS: &str = "content-dead-letters";

/// The queue's product. It is no product that exists, and it does not pass for one.
pub(crate) const QUEUE_SYSTEM: &str = "demo_queue";

/// The address and port of a server.
pub(crate) fn server(address: SocketAddr) -> Vec<KeyValue> {
    vec![
        KeyValue::new("server.address", address.ip().to_string()),
        KeyValue::new("server.port", i64::from(address.port())),
    ]
}

/// A cache node, as its clients address it.
pub(crate) fn cache_node(address: SocketAddr) -> Vec<KeyValue> {
    with(server(address), [KeyValue::new("db.system.name", "redis")])
}

/// A database node, as its clients address it.
pub(crate) fn database_node(address: SocketAddr) -> Vec<KeyValue> {
    with(
        server(address),
        [KeyValue::new("db.system.name", backends::here().database_system()), KeyValue::new("db.namespace", CONTENT)],
    )
}

/// A queue node, as its clients address it.
pub(crate) fn queue_node(address: SocketAddr) -> Vec<KeyValue> {
    destination(address, CONTENT)
}

/// The dead letters of a queue node.
pub(crate) fn dead_letters_node(address: SocketAddr) -> Vec<KeyValue> {
    destination(address, DEAD_LETTERS)
}

fn destination(address: SocketAddr, name: &'static str) -> Vec<KeyValue> {
    with(
        server(address),
        [KeyValue::new("messaging.system", QUEUE_SYSTEM), KeyValue::new("messaging.destination.name", name)],
    )
}

/// An object store node, as its clients address it.
pub(crate) fn object_store_node(address: SocketAddr) -> Vec<KeyValue> {
    with(server(address), [KeyValue::new("aws.s3.bucket", CONTENT)])
}

/// Returns the set with more attributes.
pub(crate) fn with(mut set: Vec<KeyValue>, more: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
    set.extend(more);
    set
}
