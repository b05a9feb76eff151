//! Stores the first contents by a short way: straight into the stores, in batches.
//!
//! The cache is filled as well, with lifetimes spread over the usual one, so that the hit rate
//! starts where it would settle, and entries do not all expire at once.

use std::time::Duration;

use crate::clients::objects::{key, url};
use crate::demo::DemoOptions;
use crate::service::{app, worker};
use crate::store::database::Content;
use crate::store::{cache, database, objects};
use crate::topology::{Peers, Role};
use crate::wire::{self, WireError};

/// How many contents go into one request.
const BATCH: usize = 500;

/// Longest wait for the replica to have them all.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Stores the contents that there are from the start and returns their ids.
pub(super) async fn store(options: &DemoOptions, peers: &Peers) -> Result<Vec<i64>, WireError> {
    let connect = async |role| match peers.one(role) {
        Some(address) => Ok(wire::connect(address).await?),
        None => Err(WireError::Unknown),
    };
    let mut primary = connect(Role::Primary).await?;
    let mut replica = connect(Role::Replica).await?;
    let mut object_store = connect(Role::ObjectStore).await?;
    let mut cache = connect(Role::Cache).await?;

    let ids: Vec<i64> = (1..=i64::from(options.items)).collect();
    for batch in ids.chunks(BATCH) {
        let contents: Vec<(Content, String)> = batch.iter().map(|&id| content(id, options.payload_bytes)).collect();

        let many = contents.iter().map(|(row, payload)| (key(row.id), payload.clone())).collect();
        let request = objects::Request::PutMany { objects: many };
        wire::call::<_, objects::Reply>(&mut object_store, &request).await?;

        let entries = contents
            .iter()
            .map(|(row, payload)| {
                let age = f64::from(u32::try_from(row.id).unwrap_or(0)) * GOLDEN_RATIO;
                let ttl = options.settings.cache_ttl.mul_f64(1.0 - age.fract());
                (app::cache_key(row.id), app::cached(row, payload), ttl)
            })
            .collect();
        let request = cache::Request::SetMany { entries };
        wire::call::<_, cache::Reply>(&mut cache, &request).await?;

        let rows = contents.into_iter().map(|(row, _)| row).collect();
        let request = database::Request::InsertMany { rows };
        wire::call::<_, database::Reply>(&mut primary, &request).await?;
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

/// Multiples of it, modulo one, spread evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

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

async fn position(stream: &mut tokio::net::TcpStream) -> Result<i64, WireError> {
    match wire::call(stream, &database::Request::Position).await? {
        database::Reply::Position(position) => Ok(position),
        other => Err(WireError::Refused(format!("the database answered {other:?}"))),
    }
}
