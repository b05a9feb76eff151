//! The object store: one file an object, written whole or not at all.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::global;
use serde::{Deserialize, Serialize};

use crate::node::NodeContext;
use crate::store::service_time::Servers;
use crate::telemetry::attributes;
use crate::wire;

/// What an object store is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Put {
        key: String,
        data: String,
    },
    Get {
        key: String,
    },
    /// Bulk load.
    PutMany {
        objects: Vec<(String, String)>,
    },
}

/// What an object store answers: the data, if it was asked for some and has it.
pub(crate) type Reply = Option<String>;

/// A folder of objects.
pub(crate) struct Objects {
    folder: PathBuf,
    /// Tells apart the unfinished files of writes that run at once.
    writes: AtomicU64,
}

impl Objects {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, writes: AtomicU64::new(0) })
    }

    pub(crate) fn put(&self, key: &str, data: &str) -> io::Result<()> {
        let path = self.path(key)?;
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!(".{write}"));
        fs::write(&unfinished, data)?;
        fs::rename(unfinished, path)
    }

    pub(crate) fn get(&self, key: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(key)?) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keys are file names, so they may not lead out of the folder.
    fn path(&self, key: &str) -> io::Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if key.is_empty() || key.len() > 128 || !key.chars().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain key"));
        }
        Ok(self.folder.join(key))
    }
}

/// Opens the store's folder and serves it.
pub(crate) fn start(context: NodeContext) -> io::Result<impl Future<Output = ()>> {
    let objects = Objects::open(context.folder.join("objects"))?;
    let store = Arc::new((objects, Arc::clone(&context.servers)));
    measure(&store, &context);
    Ok(wire::serve(context.listener, move |request| {
        let store = Arc::clone(&store);
        async move { answer(&store.0, &store.1, request).await }
    }))
}

async fn answer(objects: &Objects, servers: &Servers, request: Request) -> Result<Reply, String> {
    let held = async { servers.hold(Duration::ZERO).await.map_err(|_| "slow down".to_owned()) };
    let done = match request {
        Request::Put { key, data } => {
            held.await?;
            objects.put(&key, &data).map(|()| None)
        }
        Request::Get { key } => {
            held.await?;
            objects.get(&key)
        }
        Request::PutMany { objects: many } => {
            many.iter().try_for_each(|(key, data)| objects.put(key, data)).map(|()| None)
        }
    };
    done.map_err(|error| error.to_string())
}

fn measure(store: &Arc<(Objects, Arc<Servers>)>, context: &NodeContext) {
    let watched = Arc::clone(store);
    let labels = attributes::object_store_node(context.address);
    global::meter("content-object-store")
        .u64_observable_counter("object_store.objects.written")
        .with_description("Objects written.")
        .with_unit("{object}")
        .with_callback(move |observer| {
            observer.observe(watched.0.writes.load(Ordering::Relaxed), &labels);
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_was_written_and_keys_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path().join("objects")).unwrap();
        objects.put("content-1", "hello").unwrap();
        objects.put("content-1", "hello again").unwrap();
        assert_eq!(objects.get("content-1").unwrap().as_deref(), Some("hello again"));
        assert_eq!(objects.get("content-2").unwrap(), None);
        assert!(objects.put("../content-1", "out").is_err());
    }
}
