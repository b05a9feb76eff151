//! The client of a database node, primary or replica.

use std::time::Instant;

use tokio::sync::watch;

use crate::clients::pool::Pool;
use crate::clients::traced;
use crate::store::database::{Content, Reply, Request};
use crate::telemetry::instruments::DatabaseClient;
use crate::telemetry::spans::{self, Statement};
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

const SELECT: Statement = Statement {
    operation: "SELECT",
    summary: "SELECT user_content",
    text: "SELECT id, user_id, content_metadata, asset_url, created_at FROM user_content WHERE id = ?",
};

const INSERT: Statement = Statement {
    operation: "INSERT",
    summary: "INSERT user_content",
    text: "INSERT INTO user_content (user_id) VALUES (?)",
};

const UPDATE: Statement = Statement {
    operation: "UPDATE",
    summary: "UPDATE user_content",
    text: "UPDATE user_content SET content_metadata = ?, asset_url = ? WHERE id = ?",
};

const DELETE: Statement =
    Statement { operation: "DELETE", summary: "DELETE user_content", text: "DELETE FROM user_content WHERE id = ?" };

pub(crate) struct Database {
    pool: Pool,
    metrics: DatabaseClient,
}

impl Database {
    /// Makes the client of the primary.
    pub(crate) fn primary(connections: usize, peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        Self::new("content-primary", Role::Primary, connections, peers, wires)
    }

    /// Makes the client of the replica.
    pub(crate) fn replica(connections: usize, peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        Self::new("content-replica", Role::Replica, connections, peers, wires)
    }

    fn new(name: &'static str, role: Role, connections: usize, peers: watch::Receiver<Peers>, wires: Wires) -> Self {
        let pool = Pool::new(role, connections, peers, wires).measured(name);
        Self { pool, metrics: DatabaseClient::new() }
    }

    /// Returns the row of a content.
    pub(crate) async fn select(&self, id: i64) -> Result<Option<Content>, WireError> {
        match self.call(SELECT, Request::Select { id }).await? {
            Reply::Row(row) => Ok(row),
            other => Err(unexpected(&other)),
        }
    }

    /// Inserts a content that is still to be processed and returns its id.
    pub(crate) async fn insert(&self, user_id: i64) -> Result<i64, WireError> {
        match self.call(INSERT, Request::Insert { user_id }).await? {
            Reply::Inserted { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Records that a content was processed.
    pub(crate) async fn update(&self, id: i64, metadata: String, asset_url: String) -> Result<(), WireError> {
        self.call(UPDATE, Request::Update { id, metadata, asset_url }).await.map(|_| ())
    }

    /// Deletes a content.
    pub(crate) async fn delete(&self, id: i64) -> Result<(), WireError> {
        self.call(DELETE, Request::Delete { id }).await.map(|_| ())
    }

    async fn call(&self, statement: Statement, request: Request) -> Result<Reply, WireError> {
        let lease = self.pool.acquire().await?;
        let (address, since) = (lease.address(), Instant::now());
        let result = traced(spans::database(statement, address), lease.call(&request)).await;
        let error = result.as_ref().err().map(WireError::kind);
        self.metrics.statement(statement, address, since, error);
        result
    }
}

fn unexpected(reply: &Reply) -> WireError {
    WireError::Refused(format!("the database answered {reply:?}"))
}
