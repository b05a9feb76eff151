//! Where payloads lie: in the object store, or on the local disk where everything runs on one machine.
//!
//! A call to the object store is a span; reading a file is none, as in any application.

use std::sync::Arc;

use crate::clients::pool::Pool;
use crate::clients::{Network, traced};
use crate::store::objects::{Objects as Files, Reply, Request};
use crate::telemetry::spans;
use crate::topology::Role;
use crate::wire::WireError;

/// How many connections are open to the object store at most.
const CONNECTIONS: usize = 32;

/// Returns the key under which a content's payload lies.
pub(crate) fn key(content_id: i64) -> String {
    format!("content-{content_id}")
}

/// Returns the `asset_url` of a key in the object store.
pub(crate) fn url(key: &str) -> String {
    format!("s3://content/{key}")
}

/// Returns the `asset_url` of a key on the local disk.
pub(crate) fn file_url(key: &str) -> String {
    format!("file:{key}")
}

/// Returns the key in an `asset_url`.
fn key_of(url: &str) -> &str {
    url.rsplit(['/', ':']).next().unwrap_or(url)
}

pub(crate) enum Objects {
    /// The object store.
    Remote(Pool),
    /// A folder on the local disk.
    Local(Arc<Files>),
}

impl Objects {
    /// Makes the client of the object store.
    pub(crate) fn remote(network: &Network) -> Self {
        Self::Remote(Pool::new(Role::ObjectStore, CONNECTIONS, network.clone()))
    }

    /// Returns the `asset_url` under which a key is found here.
    pub(crate) fn url(&self, key: &str) -> String {
        match self {
            Self::Remote(_) => url(key),
            Self::Local(_) => file_url(key),
        }
    }

    /// Returns the object that an `asset_url` points at, if there is one.
    pub(crate) async fn get(&self, url: &str) -> Result<Option<String>, WireError> {
        let key = key_of(url).to_owned();
        match self {
            Self::Remote(pool) => call(pool, "GetObject", &key.clone(), Request::Get { key }).await,
            Self::Local(files) => on_disk(files, move |files| files.get(&key)).await,
        }
    }

    /// Stores an object.
    pub(crate) async fn put(&self, key: String, data: String) -> Result<(), WireError> {
        match self {
            Self::Remote(pool) => call(pool, "PutObject", &key.clone(), Request::Put { key, data }).await.map(|_| ()),
            Self::Local(files) => on_disk(files, move |files| files.put(&key, &data)).await,
        }
    }
}

async fn call(pool: &Pool, method: &'static str, key: &str, request: Request) -> Result<Reply, WireError> {
    let lease = pool.acquire().await?;
    let span = spans::object_store(method, key, lease.address());
    traced(span, lease.call(&request)).await
}

/// Does something with files where it may wait for the disk.
async fn on_disk<T: Send + 'static>(
    files: &Arc<Files>,
    work: impl FnOnce(&Files) -> std::io::Result<T> + Send + 'static,
) -> Result<T, WireError> {
    let files = Arc::clone(files);
    let done = tokio::task::spawn_blocking(move || work(&files)).await;
    Ok(done.map_err(std::io::Error::other)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_back_to_its_key() {
        for url in [url("content-1"), file_url("content-1")] {
            assert_eq!(key_of(&url), "content-1");
        }
    }
}
