//! The replica's server: answers reads from its own copy, which follows the primary.

use std::sync::Arc;

use tokio::sync::watch;

use crate::node::{Control, NodeContext, Replay, Started, unknown};
use crate::store::database::connections::Connections;
use crate::store::database::{Database, Follower, Reply, Request};
use crate::store::follower::{follow, lag, measure_lag};
use crate::store::primary::measure_size;
use crate::store::reads::Reads;
use crate::telemetry::attributes;
use crate::wire;

/// Opens the replica's file, serves it, and follows the primary as it is told to.
pub(crate) fn start(context: NodeContext) -> Result<Started, rusqlite::Error> {
    let path = context.folder.join("content.db");
    let labels = attributes::database_node(context.address);
    let connections = Arc::new(Connections::new(&path, Database::replica(&path)?, labels.clone())?);
    measure_size(&connections, &labels);
    measure_lag(&connections, labels, || true);
    let reads = Arc::new(Reads::new(&connections, &context));
    let (turned, replay) = watch::channel(Replay::Running);
    let index = Arc::clone(&reads);
    let serving = async move {
        let answering = Arc::clone(&connections);
        let server = wire::serve(context.listener, move |request| {
            let (reads, connections) = (Arc::clone(&reads), Arc::clone(&answering));
            async move {
                match reads.answer(request).await {
                    Ok(read) => read,
                    Err(other) => answer(&connections, &other),
                }
            }
        });
        tokio::join!(server, follow(&connections, Follower::Replica, context.peers, &context.wires, replay));
    };
    Ok(Started::turned(serving, move |control| {
        match control {
            Control::Replay(replay) => {
                turned.send_replace(replay);
            }
            Control::DropIndex { row } => index.turn_index(row),
            other => return Err(unknown(&other)),
        }
        Ok(())
    }))
}

/// Answers what is asked of any file that follows another.
pub(crate) fn answer(connections: &Connections, request: &Request) -> Result<Reply, String> {
    match request {
        Request::Position => {
            let applied = connections.read(Database::applied).map_err(|error| error.to_string())?;
            Ok(Reply::Position(applied.position))
        }
        Request::Lag => lag(connections).map(|behind| Reply::Lag { behind }),
        _ => Err("this database only follows another: it takes no writes".to_owned()),
    }
}
