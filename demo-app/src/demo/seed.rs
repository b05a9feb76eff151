//! Stores the first contents by a short way: straight into the stores, in batches.
//!
//! The cache is filled as the load would have left it, so that the hit rate starts where
//! it settles. Of a content that is read `x` times in an entry's lifetime, an entry is there with
//! probability `x / (1 + x)`, and what is left of its lifetime is spread evenly.

use std::f64::consts::{GOLDEN_RATIO, SQRT_2};
use std::time::Duration;

use crate::clients::link::Link;
use crate::clients::objects::{key, url};
use crate::demo::DemoOptions;
use crate::load::shares;
use crate::service::{app, worker};
use crate::store::database::Content;
use crate::store::{cache, database, objects};
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// How many contents go into one request.
const BATCH: usize = 500;

/// Longest wait for the replica to have them all.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Stores the contents that there are from the start and returns their ids.
pub(super) async fn store(options: &DemoOptions, peers: &Peers) -> Result<Vec<i64>, WireError> {
    let connect = async |role| match peers.one(role) {
        Some(address) => Link::open(&options.backends, &Wires::default(), role, address).await,
        None => Err(WireError::Unknown),
    };
    let mut primary = connect(Role::Primary).await?;
    let mut replica = connect(Role::Replica).await?;
    let mut object_store = connect(Role::ObjectStore).await?;
    let mut cache = connect(Role::Cache).await?;

    let ids: Vec<i64> = (1..=i64::from(options.load.items)).collect();
    let reads: Vec<f64> = shares(&options.load).iter().map(|share| share * options.load.rate).collect();
    for batch in ids.chunks(BATCH) {
        let contents: Vec<(Content, String)> =
            batch.iter().map(|&id| content(id, options.load.payload_bytes)).collect();

        let many = contents.iter().map(|(row, payload)| (key(row.id), payload.clone())).collect();
        let request = objects::Request::PutMany { objects: many };
        object_store.call(&request).await?;

        let request = cache::Request::SetMany { entries: warm_entries(&contents, &reads, options.settings.cache_ttl) };
        cache.call(&request).await?;

        let rows = contents.into_iter().map(|(row, _)| row).collect();
        let request = database::Request::InsertMany { rows };
        primary.call(&request).await?;
    }

    let written = position(&mut primary).await?;
    let caught_up = async {
        while position(&mut replica).await? < written {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(ids)
    };
    tokio::time::timeout(CATCH_UP, caught_up).await.map_err(|_| WireError::Timeout)?
}

/// Returns the cache entries that the load would have left of some contents, each read so often a second.
fn warm_entries(contents: &[(Content, String)], reads: &[f64], ttl: Duration) -> Vec<(String, String, Duration)> {
    contents
        .iter()
        .filter_map(|(row, payload)| {
            let rank = usize::try_from(row.id).ok()?.checked_sub(1)?;
            let reads = reads.get(rank)? * ttl.as_secs_f64();
            let present = spread(row.id, SQRT_2) < reads / (1.0 + reads);
            let left = ttl.mul_f64(spread(row.id, GOLDEN_RATIO));
            present.then(|| (app::cache_key(row.id), app::cached(row, payload), left))
        })
        .collect()
}

/// Spreads numbers evenly over 0 to 1: their multiples of an irrational number, modulo one.
fn spread(number: i64, irrational: f64) -> f64 {
    (number as f64 * irrational).fract()
}

fn content(id: i64, payload_bytes: usize) -> (Content, String) {
    let payload = payload(id, payload_bytes);
    let row = Content {
        id,
        user_id: id % 97 + 1,
        content_metadata: Some(worker::metadata(&payload)),
        asset_url: Some(url(&key(id))),
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    };
    (row, payload)
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
