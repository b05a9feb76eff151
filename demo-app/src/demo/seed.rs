//! Stores the first contents by a short way: straight into the stores, in batches; on a single box
//! straight into its files.
//!
//! The caches are filled as the load would have left them, so that the hit rate starts where
//! it settles. Of a content that is read `x` times in an entry's lifetime, an entry is there with
//! probability `x / (1 + x)`, and what is left of its lifetime is spread evenly.

use std::f64::consts::{GOLDEN_RATIO, SQRT_2};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::backends::Backends;
use crate::clients::cache::node_of;
use crate::clients::link::Link;
use crate::clients::objects::{file_url, key, url};
use crate::clients::queue::Encoding;
use crate::demo::DemoOptions;
use crate::load::shares;
use crate::service::{app, processing, single_box};
use crate::store::database::{Content, Database};
use crate::store::{cache, database, objects};
use crate::topology::{Peers, Role, Seat};
use crate::wire::{WireError, Wires};

/// Most contents in one request.
const BATCH: usize = 500;

/// Most bytes of payload in one request: half of the largest frame, since the cache's entries are JSON in JSON
/// and have more than their payload.
const BATCH_BYTES: usize = 4 << 20;

/// Longest wait for the standby and the replicas to have them all.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Stores the contents that there are from the start and returns their ids. The folder is the demo's.
pub(super) async fn store(options: &DemoOptions, peers: &Peers, folder: &Path) -> Result<Vec<i64>, WireError> {
    let ids: Vec<i64> = (1..=i64::from(options.load.items)).collect();
    if peers.has(Role::Box) {
        let folder = folder.join(Seat::numbered(Role::Box, 0).name);
        let contents = contents(&ids, options, file_url);
        let written = tokio::task::spawn_blocking(move || write_files(&folder, contents)).await;
        written.map_err(io::Error::other)??;
    } else {
        fill_stores(&ids, options, peers).await?;
    }
    Ok(ids)
}

/// Writes contents into the files of a single box, beside the process that serves them.
fn write_files(folder: &Path, contents: Vec<(Content, String)>) -> io::Result<()> {
    let files = objects::Objects::open(folder.join(single_box::FILES))?;
    for (row, payload) in &contents {
        files.put(&key(row.id), payload)?;
    }
    let rows: Vec<Content> = contents.into_iter().map(|(row, _)| row).collect();
    let database = Database::primary(&folder.join(single_box::DATABASE)).map_err(io::Error::other)?;
    database.write(|database| database.insert_many(&rows)).map_err(io::Error::other)?;
    Ok(())
}

async fn fill_stores(ids: &[i64], options: &DemoOptions, peers: &Peers) -> Result<(), WireError> {
    let backends = &options.backends;
    let mut primary = connect_all(backends, peers, Role::Primary).await?.pop().ok_or(WireError::Unknown)?.1;
    let mut object_store = connect_all(backends, peers, Role::ObjectStore).await?.pop().ok_or(WireError::Unknown)?.1;
    let mut caches = connect_all(backends, peers, Role::Cache).await?;
    let mut followers = connect_all(backends, peers, Role::Standby).await?;
    followers.extend(connect_all(backends, peers, Role::Replica).await?);

    let reads: Vec<f64> = shares(&options.load).iter().map(|share| share * options.load.rate).collect();
    // The third party has told nothing of these contents yet.
    let rating = peers.has(Role::External).then_some(Value::Null);
    for batch in ids.chunks(batch(options.load.payload_bytes)) {
        let contents = contents(batch, options, url);

        let many = contents.iter().map(|(row, payload)| (key(row.id), payload.clone())).collect();
        let request = objects::Request::PutMany { objects: many };
        object_store.call(&request).await?;

        let warm = warm_entries(&contents, &reads, options.settings.cache_ttl, rating.as_ref());
        fill_caches(&mut caches, warm).await?;

        let rows = contents.into_iter().map(|(row, _)| row).collect();
        let request = database::Request::InsertMany { rows };
        primary.call(&request).await?;
    }

    let written = position(&mut primary).await?;
    let caught_up = async {
        for (_, follower) in &mut followers {
            while position(follower).await? < written {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    };
    tokio::time::timeout(CATCH_UP, caught_up).await.map_err(|_| WireError::Timeout)?
}

/// Returns how many contents with payloads of a size go into one request.
fn batch(payload_bytes: usize) -> usize {
    (BATCH_BYTES / payload_bytes.max(1)).clamp(1, BATCH)
}

async fn connect_all(backends: &Backends, peers: &Peers, role: Role) -> Result<Vec<(SocketAddr, Link)>, WireError> {
    let mut connections = Vec::new();
    for address in peers.all(role) {
        connections.push((address, Link::open(backends, &Wires::default(), role, address).await?));
    }
    Ok(connections)
}

/// A key, a value, and what is left of its lifetime.
type Entry = (String, String, Duration);

/// Gives each cache node the entries that clients will look for there.
async fn fill_caches(caches: &mut [(SocketAddr, Link)], entries: Vec<Entry>) -> Result<(), WireError> {
    let addresses: Vec<SocketAddr> = caches.iter().map(|(address, _)| *address).collect();
    let mut shards = vec![Vec::new(); caches.len()];
    for entry in entries {
        if let Some(node) = node_of(&entry.0, &addresses) {
            shards[node].push(entry);
        }
    }
    for ((_, cache), entries) in caches.iter_mut().zip(shards) {
        cache.call(&cache::Request::SetMany { entries }).await?;
    }
    Ok(())
}

/// Returns the cache entries that the load would have left of some contents, each read so often a second.
fn warm_entries(contents: &[(Content, String)], reads: &[f64], ttl: Duration, rating: Option<&Value>) -> Vec<Entry> {
    contents
        .iter()
        .filter_map(|(row, payload)| {
            let rank = usize::try_from(row.id).ok()?.checked_sub(1)?;
            let reads = reads.get(rank)? * ttl.as_secs_f64();
            let present = spread(row.id, SQRT_2) < reads / (1.0 + reads);
            let left = ttl.mul_f64(spread(row.id, GOLDEN_RATIO));
            present.then(|| (app::cache_key(row.id), app::cached(row, payload, rating.cloned()), left))
        })
        .collect()
}

/// Spreads numbers evenly over 0 to 1: their multiples of an irrational number, modulo one.
fn spread(number: i64, irrational: f64) -> f64 {
    (number as f64 * irrational).fract()
}

/// Returns contents as they are once they are processed, with their payloads.
fn contents(ids: &[i64], options: &DemoOptions, url: fn(&str) -> String) -> Vec<(Content, String)> {
    let content = |&id: &i64| {
        let payload = payload(id, options.load.payload_bytes);
        let row = Content {
            id,
            user_id: id % 97 + 1,
            content_metadata: Some(processing::metadata(&payload, Encoding::Text)),
            asset_url: Some(url(&key(id))),
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        (row, payload)
    };
    ids.iter().map(content).collect()
}

/// Returns some text of a given length that names its content.
fn payload(id: i64, bytes: usize) -> String {
    format!("content {id} ").chars().cycle().take(bytes).collect()
}

async fn position(link: &mut Link) -> Result<i64, WireError> {
    match link.call(&database::Request::Position).await? {
        database::Reply::Position(position) => Ok(position),
        other => Err(WireError::Refused(format!("the database answered {other:?}"))),
    }
}
