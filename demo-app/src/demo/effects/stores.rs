//! What the parent itself asks of the stores to make trouble: a payload of another size, and messages
//! that cannot be processed.

use std::net::SocketAddr;
use std::time::Duration;

use crate::backends::Backends;
use crate::clients::link::{Ask, Link};
use crate::clients::objects::key;
use crate::service::app::cache_key;
use crate::store::{cache, objects, queue};
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// Longest wait for a store's answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What no worker understands.
const POISON: &str = "{\"job\": \"unknown\"}";

/// Replaces a content's payload in the object store and returns the one before; caches forget it.
pub(super) async fn swap_payload(
    backends: &Backends,
    peers: &Peers,
    content_id: i64,
    change: impl Fn(&str) -> String,
) -> Result<String, WireError> {
    let store = peers.one(Role::ObjectStore).ok_or(WireError::Unknown)?;
    let before = ask(backends, Role::ObjectStore, store, &objects::Request::Get { key: key(content_id) }).await?;
    let before = before.ok_or_else(|| WireError::Refused("there is no such content".to_owned()))?;
    let put = objects::Request::Put { key: key(content_id), data: change(&before) };
    ask(backends, Role::ObjectStore, store, &put).await?;
    for cache in peers.all(Role::Cache) {
        let expired = cache::Request::Set { key: cache_key(content_id), value: String::new(), ttl: Duration::ZERO };
        // A cache that is away has nothing to forget.
        let _ = ask(backends, Role::Cache, cache, &expired).await;
    }
    Ok(before)
}

/// Sends the queue a message that cannot be processed.
pub(super) async fn send_poison(peers: &Peers) -> Result<(), WireError> {
    let queue = peers.one(Role::Queue).ok_or(WireError::Unknown)?;
    let send = queue::Request::Send { body: POISON.to_owned(), traceparent: None };
    ask(&Backends::Embedded, Role::Queue, queue, &send).await.map(|_| ())
}

/// Asks a store once.
async fn ask<Q: Ask>(backends: &Backends, role: Role, store: SocketAddr, request: &Q) -> Result<Q::Reply, WireError> {
    let asked = async {
        // The parent's own wires are never made longer.
        let mut link = Link::open(backends, &Wires::default(), role, store).await?;
        link.call(request).await
    };
    tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| WireError::Timeout)?
}
