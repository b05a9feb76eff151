//! The client of a database node, primary or replica.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::clients::pool::{Pool, Squeeze};
use crate::clients::{Network, traced};
use crate::store::database::{Content, Reply, Request};
use crate::telemetry::instruments::DatabaseClient;
use crate::telemetry::spans;
use crate::telemetry::statements::{self, Statement};
use crate::topology::Role;
use crate::wire::WireError;

/// Longest wait for a replica: after that the primary is asked.
const REPLICA_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Database {
    pool: Pool,
    metrics: DatabaseClient,
}

impl Database {
    /// Makes the client of the primary, wherever it is.
    pub(crate) fn primary(connections: usize, network: &Network, squeeze: Squeeze) -> Self {
        let pool = Pool::new(Role::Primary, connections, network.clone());
        Self { pool: pool.measured("content-primary").squeezed(squeeze), metrics: DatabaseClient::new() }
    }

    /// Makes the client of the replica at an address; the pool's name ends in its letter.
    pub(crate) fn replica(
        connections: usize,
        network: &Network,
        squeeze: Squeeze,
        address: SocketAddr,
        letter: char,
    ) -> Self {
        let pool = Pool::new(Role::Replica, connections, network.clone())
            .at(address)
            .patient(REPLICA_PATIENCE)
            .measured(format!("content-replica-{letter}"))
            .squeezed(squeeze);
        Self { pool, metrics: DatabaseClient::new() }
    }

    /// Returns the row of a content.
    pub(crate) async fn select(&self, id: i64) -> Result<Option<Content>, WireError> {
        match self.call(statements::SELECT, Request::Select { id }).await? {
            Reply::Row(row) => Ok(row),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the newest contents of a user, newest first.
    pub(crate) async fn list(&self, user_id: i64) -> Result<Vec<Content>, WireError> {
        match self.call(statements::LIST, Request::List { user_id }).await? {
            Reply::Rows(rows) => Ok(rows),
            other => Err(unexpected(&other)),
        }
    }

    /// Inserts a content that is still to be processed and returns its id.
    pub(crate) async fn insert(&self, user_id: i64) -> Result<i64, WireError> {
        match self.call(statements::INSERT, Request::Insert { user_id }).await? {
            Reply::Inserted { id } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Records that a content was processed.
    pub(crate) async fn update(&self, id: i64, metadata: String, asset_url: String) -> Result<(), WireError> {
        self.call(statements::UPDATE, Request::Update { id, metadata, asset_url }).await.map(|_| ())
    }

    /// Deletes a content.
    pub(crate) async fn delete(&self, id: i64) -> Result<(), WireError> {
        self.call(statements::DELETE, Request::Delete { id }).await.map(|_| ())
    }

    /// Remembers who a session belongs to.
    pub(crate) async fn put_session(&self, id: String, user_id: i64) -> Result<(), WireError> {
        self.call(statements::PUT_SESSION, Request::PutSession { id, user_id }).await.map(|_| ())
    }

    /// Returns who a session belongs to, if there is such a session.
    pub(crate) async fn session(&self, id: String) -> Result<Option<i64>, WireError> {
        match self.call(statements::GET_SESSION, Request::GetSession { id }).await? {
            Reply::Session { user_id } => Ok(user_id),
            other => Err(unexpected(&other)),
        }
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
