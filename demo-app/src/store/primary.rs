//! The primary's server: takes reads and writes, beats, and hands its log to the replica.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::global;
use tokio::sync::Notify;

use crate::node::NodeContext;
use crate::store::database::{Database, Reply, Request};
use crate::store::service_time::Servers;
use crate::store::{lock, unix_millis};
use crate::telemetry::attributes;
use crate::wire;

/// How long a replica waits for changes before it asks again.
const LONG_POLL: Duration = Duration::from_secs(1);

struct Primary {
    database: Mutex<Database>,
    servers: Arc<Servers>,
    changed: Notify,
}

/// Opens the primary's file and serves it.
pub(crate) fn start(context: NodeContext) -> Result<impl Future<Output = ()>, rusqlite::Error> {
    let primary = Arc::new(Primary {
        database: Mutex::new(Database::primary(&context.folder.join("content.db"))?),
        servers: Arc::clone(&context.servers),
        changed: Notify::new(),
    });
    measure(&primary, &context);
    let heartbeat = context.settings.heartbeat;
    Ok(async move {
        let answering = Arc::clone(&primary);
        let server = wire::serve(context.listener, move |request| {
            let primary = Arc::clone(&answering);
            async move { answer(&primary, request).await }
        });
        tokio::join!(server, beat(&primary, heartbeat));
    })
}

async fn beat(primary: &Primary, pace: Duration) {
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A beat that fails is a beat not seen: the replica's lag says so.
        let _ = lock(&primary.database).beat(unix_millis());
        primary.changed.notify_waiters();
    }
}

async fn answer(primary: &Primary, request: Request) -> Result<Reply, String> {
    let database = || lock(&primary.database);
    let served = async { primary.servers.hold(Duration::ZERO).await.map_err(|_| "too busy".to_owned()) };
    let reply = match request {
        Request::Select { id } => {
            served.await?;
            return database().select(id).map(Reply::Row).map_err(text);
        }
        Request::Changes { after } => return changes(primary, after).await.map_err(text),
        Request::Position => return database().written().map(Reply::Position).map_err(text),
        Request::Insert { user_id } => {
            served.await?;
            Reply::Inserted { id: database().insert(user_id).map_err(text)? }
        }
        Request::Update { id, metadata, asset_url } => {
            served.await?;
            Reply::Changed { rows: database().update(id, &metadata, &asset_url).map_err(text)? }
        }
        Request::Delete { id } => {
            served.await?;
            Reply::Changed { rows: database().delete(id).map_err(text)? }
        }
        other @ (Request::List { .. } | Request::Lag | Request::PutSession { .. } | Request::GetSession { .. }) => {
            return Err(format!("{other:?} is not served"));
        }
        Request::InsertMany { rows } => Reply::Changed { rows: database().insert_many(&rows).map_err(text)? },
    };
    primary.changed.notify_waiters();
    Ok(reply)
}

/// Returns an error as the text that a client is told.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
fn text(error: rusqlite::Error) -> String {
    error.to_string()
}

async fn changes(primary: &Primary, after: i64) -> Result<Reply, rusqlite::Error> {
    let deadline = tokio::time::Instant::now() + LONG_POLL;
    lock(&primary.database).prune(after)?;
    loop {
        // Registered before looking, so that a change in between is not missed.
        let mut changed = std::pin::pin!(primary.changed.notified());
        changed.as_mut().enable();
        let found = lock(&primary.database).changes(after)?;
        if !found.is_empty() || tokio::time::timeout_at(deadline, changed).await.is_err() {
            return Ok(Reply::Changes(found));
        }
    }
}

fn measure(primary: &Arc<Primary>, context: &NodeContext) {
    let meter = global::meter("content-db");
    let labels = attributes::database_node(context.address);
    let (watched, of) = (Arc::clone(primary), labels.clone());
    meter
        .u64_observable_counter("db.change_log.written")
        .with_description("Changes written to the change log.")
        .with_unit("{change}")
        .with_callback(move |observer| {
            if let Ok(position) = lock(&watched.database).written() {
                observer.observe(position as u64, &of);
            }
        })
        .build();
    let watched = Arc::clone(primary);
    meter
        .u64_observable_gauge("db.file.size")
        .with_description("Size of the database file.")
        .with_unit("By")
        .with_callback(move |observer| {
            if let Ok(bytes) = lock(&watched.database).size() {
                observer.observe(bytes, &labels);
            }
        })
        .build();
}
