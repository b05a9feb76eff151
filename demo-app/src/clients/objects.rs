//! The client of the object store.

use tokio::sync::watch;

use crate::clients::pool::Pool;
use crate::clients::traced;
use crate::store::objects::{Reply, Request};
use crate::telemetry::spans;
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// How many connections are open to the object store at most.
const CONNECTIONS: usize = 32;

/// How the `asset_url` of an object begins; its key follows.
const URL: &str = "s3://content/";

/// Returns the key under which a content's payload lies.
pub(crate) fn key(content_id: i64) -> String {
    format!("content-{content_id}")
}

/// Returns the `asset_url` of a key.
pub(crate) fn url(key: &str) -> String {
    format!("{URL}{key}")
}

pub(crate) struct Objects {
    pool: Pool,
}

impl Objects {
    pub(crate) fn new(peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        Self { pool: Pool::new(Role::ObjectStore, CONNECTIONS, peers, wires) }
    }

    /// Returns the object that an `asset_url` points at, if there is one.
    pub(crate) async fn get(&self, url: &str) -> Result<Option<String>, WireError> {
        let key = url.strip_prefix(URL).unwrap_or(url).to_owned();
        self.call("GetObject", &key.clone(), Request::Get { key }).await
    }

    /// Stores an object.
    pub(crate) async fn put(&self, key: String, data: String) -> Result<(), WireError> {
        self.call("PutObject", &key.clone(), Request::Put { key, data }).await.map(|_| ())
    }

    async fn call(&self, method: &'static str, key: &str, request: Request) -> Result<Reply, WireError> {
        let lease = self.pool.acquire().await?;
        let span = spans::object_store(method, key, lease.address());
        traced(span, lease.call(&request)).await
    }
}
