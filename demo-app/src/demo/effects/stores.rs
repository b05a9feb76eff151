//! What the parent itself asks of the stores to make trouble: a payload of another size, and messages
//! that cannot be processed.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::clients::objects::key;
use crate::service::app::cache_key;
use crate::store::{cache, objects, queue};
use crate::topology::{Peers, Role};
use crate::wire::{self, WireError, Wires};

/// Longest wait for a store's answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What no worker understands.
const POISON: &str = "{\"job\": \"unknown\"}";

/// Replaces a content's payload in the object store and returns the one before; caches forget it.
pub(super) async fn swap_payload(
    peers: &Peers,
    content_id: i64,
    change: impl Fn(&str) -> String,
) -> Result<String, WireError> {
    let store = peers.one(Role::ObjectStore).ok_or(WireError::Unknown)?;
    let before: objects::Reply = ask(Role::ObjectStore, store, &objects::Request::Get { key: key(content_id) }).await?;
    let before = before.ok_or_else(|| WireError::Refused("there is no such content".to_owned()))?;
    let put = objects::Request::Put { key: key(content_id), data: change(&before) };
    ask::<_, objects::Reply>(Role::ObjectStore, store, &put).await?;
    for cache in peers.all(Role::Cache) {
        let expired = cache::Request::Set { key: cache_key(content_id), value: String::new(), ttl: Duration::ZERO };
        // A cache that is away has nothing to forget.
        let _ = ask::<_, cache::Reply>(Role::Cache, cache, &expired).await;
    }
    Ok(before)
}

/// Sends the queue a message that cannot be processed.
pub(super) async fn send_poison(peers: &Peers) -> Result<(), WireError> {
    let queue = peers.one(Role::Queue).ok_or(WireError::Unknown)?;
    let send = queue::Request::Send { body: POISON.to_owned(), traceparent: None };
    ask::<_, queue::Reply>(Role::Queue, queue, &send).await.map(|_| ())
}

/// Asks a store once.
async fn ask<Q: Serialize, R: DeserializeOwned>(role: Role, store: SocketAddr, request: &Q) -> Result<R, WireError> {
    let asked = async {
        // The parent's own wires are never made longer.
        let mut stream = wire::connect(&Wires::default(), role, store).await?;
        wire::call(&mut stream, request).await
    };
    tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| WireError::Timeout)?
}
