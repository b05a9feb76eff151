//! The replica's server: answers reads from its own copy, which an applier keeps up to date.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::global;
use tokio::sync::watch;

use crate::node::{Control, NodeContext, Replay, Started, unknown};
use crate::store::database::{Database, Reply, Request};
use crate::store::service_time::Servers;
use crate::store::{lock, unix_millis};
use crate::telemetry::attributes;
use crate::topology::{Peers, Role};
use crate::wire::{self, Connection, WireError, Wires};

/// How long the applier waits before it asks a primary again that did not answer.
const RETRY: Duration = Duration::from_millis(200);

/// Longest wait for a batch of changes; the primary answers after a second at most.
const TIMEOUT: Duration = Duration::from_secs(5);

struct Replica {
    database: Mutex<Database>,
    servers: Arc<Servers>,
}

/// Why a batch of changes was not applied; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("apply changes: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Opens the replica's file, serves it, and follows the primary as it is told to.
pub(crate) fn start(context: NodeContext) -> Result<Started, rusqlite::Error> {
    let replica = Arc::new(Replica {
        database: Mutex::new(Database::replica(&context.folder.join("content.db"))?),
        servers: Arc::clone(&context.servers),
    });
    measure(&replica, &context);
    let (turned, replay) = watch::channel(Replay::Running);
    let serving = async move {
        let answering = Arc::clone(&replica);
        let server = wire::serve(context.listener, move |request| {
            let replica = Arc::clone(&answering);
            async move { answer(&replica, request).await }
        });
        tokio::join!(server, follow(&replica, context.peers, context.wires, replay));
    };
    Ok(Started::turned(serving, move |control| match control {
        Control::Replay(replay) => {
            turned.send_replace(replay);
            Ok(())
        }
        other => Err(unknown(&other)),
    }))
}

async fn answer(replica: &Replica, request: Request) -> Result<Reply, String> {
    let reply = match request {
        Request::Select { id } => {
            replica.servers.hold(Duration::ZERO).await.map_err(|_| "too busy".to_owned())?;
            lock(&replica.database).select(id).map(Reply::Row)
        }
        Request::Position => lock(&replica.database).applied().map(Reply::Position),
        _ => return Err("a replica is read-only".to_owned()),
    };
    reply.map_err(|error| error.to_string())
}

async fn follow(replica: &Replica, peers: watch::Receiver<Peers>, wires: Wires, mut replay: watch::Receiver<Replay>) {
    let mut connection = None;
    loop {
        let followed = next_changes(replica, &peers, &wires, &mut connection, &mut replay).await;
        if followed.is_err() {
            connection = None;
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn next_changes(
    replica: &Replica,
    peers: &watch::Receiver<Peers>,
    wires: &Wires,
    connection: &mut Option<Connection>,
    replay: &mut watch::Receiver<Replay>,
) -> Result<(), ApplyError> {
    let stream = if let Some(stream) = connection {
        stream
    } else {
        let primary = peers.borrow().one(Role::Primary).ok_or(WireError::Unknown)?;
        connection.insert(wire::connect(wires, Role::Primary, primary).await.map_err(WireError::Io)?)
    };
    let after = lock(&replica.database).applied()?;
    let request = Request::Changes { after };
    let reply = tokio::time::timeout(TIMEOUT, wire::call(stream, &request)).await.map_err(|_| WireError::Timeout)??;
    // The node owns the sender for as long as it lives; without it nobody can pause us.
    let _ = replay.wait_for(|replay| *replay != Replay::Paused).await;
    if let Reply::Changes(changes) = reply {
        lock(&replica.database).apply(&changes)?;
    }
    Ok(())
}

fn measure(replica: &Arc<Replica>, context: &NodeContext) {
    let watched = Arc::clone(replica);
    let labels = attributes::database_node(context.address);
    global::meter("content-db")
        .f64_observable_gauge("db.replica.lag")
        .with_description("Age of the last heartbeat of the primary that was applied.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Ok(Some(at)) = lock(&watched.database).heartbeat() {
                observer.observe((unix_millis() - at).max(0) as f64 / 1000.0, &labels);
            }
        })
        .build();
}
