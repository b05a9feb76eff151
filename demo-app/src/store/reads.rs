//! What a primary and a replica answer alike: reads, governed, with their price for a missing index.
//!
//! Rows that were scanned are counted by SQLite while a statement runs, so a read runs first and its
//! server is held afterwards, for the service time and for the rows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::node::NodeContext;
use crate::store::database::connections::{Connections, DatabaseError};
use crate::store::database::{Reply, Request};
use crate::store::lock;
use crate::store::service_time::Servers;

/// How long a turn of the index that failed waits before it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The reads of one node.
pub(crate) struct Reads {
    connections: Arc<Connections>,
    servers: Arc<Servers>,
    /// What a scanned row takes, unless it was turned.
    usual_row: Duration,
    row: Mutex<Duration>,
    /// What drops the index or makes it again, until that is done.
    turning: Mutex<JoinSet<()>>,
}

impl Reads {
    pub(crate) fn new(connections: &Arc<Connections>, context: &NodeContext) -> Self {
        let usual_row = context.settings.scanned_row;
        Self {
            connections: Arc::clone(connections),
            servers: Arc::clone(&context.servers),
            usual_row,
            row: Mutex::new(usual_row),
            turning: Mutex::default(),
        }
    }

    /// Answers a request if it is a read, or returns it.
    pub(crate) async fn answer(&self, request: Request) -> Result<Result<Reply, String>, Request> {
        let read = match request {
            Request::Select { id } => {
                self.connections.read(|database| database.select(id)).map(|row| (Reply::Row(row), 0))
            }
            Request::List { user_id } => self
                .connections
                .read(|database| database.list(user_id))
                .map(|(rows, scanned)| (Reply::Rows(rows), scanned)),
            Request::GetSession { id } => self
                .connections
                .read(|database| database.get_session(&id))
                .map(|user_id| (Reply::Session { user_id }, 0)),
            other => return Err(other),
        };
        Ok(self.price(read).await)
    }

    async fn price(&self, read: Result<(Reply, u32), DatabaseError>) -> Result<Reply, String> {
        let (reply, scanned) = read.map_err(|error| error.to_string())?;
        let row = *lock(&self.row);
        self.servers.hold(row * scanned).await.map_err(|_| "too busy".to_owned())?;
        Ok(reply)
    }

    /// Drops the index on users and sets what a scanned row takes; `None` puts both back.
    pub(crate) fn turn_index(&self, row: Option<Duration>) {
        *lock(&self.row) = row.unwrap_or(self.usual_row);
        let (connections, there) = (Arc::clone(&self.connections), row.is_none());
        let turning = async move {
            // A lock that is held for long, or a disk that is full, is no reason to leave it as it was.
            while connections.write(move |database| database.index_users(there)).await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        };
        // The last turn is the one that counts, so one that goes on trying is over with the next.
        let mut last = lock(&self.turning);
        *last = JoinSet::new();
        last.spawn(turning);
    }
}
