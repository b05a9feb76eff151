//! The stores on real servers: the same requests, said to PostgreSQL and Redis, and the sidecars that
//! stand beside the servers.
//!
//! `sql` and `commands` say requests and replies in the servers' protocols. `database_node` and
//! `cache_node` are the sidecars: they report what a collector would read from their server, and carry out
//! what is turned in it. `burden` holds what the primary suffers until it is turned back.

mod burden;
mod cache_node;
mod commands;
mod database_node;
mod errand;
mod sql;

use crate::backends::Servers;
use crate::node::{NodeContext, Started};
use crate::topology::Role;
use crate::wire::{Connection, WireError};

/// A connection to a real server.
pub(crate) enum Session {
    Database(sql::Session),
    Cache(commands::Session),
}

impl Session {
    /// Greets the server at the other end of a connection.
    pub(crate) async fn open(stream: Connection, servers: &Servers, role: Role) -> Result<Self, WireError> {
        if role == Role::Cache {
            return commands::Session::open(stream).await.map(Self::Cache);
        }
        sql::Session::open(stream, servers).await.map(Self::Database)
    }

    pub(crate) fn database(&mut self) -> Result<&mut sql::Session, WireError> {
        match self {
            Self::Database(session) => Ok(session),
            Self::Cache(_) => Err(WireError::Refused("a cache is no database".to_owned())),
        }
    }

    pub(crate) fn cache(&mut self) -> Result<&mut commands::Session, WireError> {
        match self {
            Self::Cache(session) => Ok(session),
            Self::Database(_) => Err(WireError::Refused("a database is no cache".to_owned())),
        }
    }
}

/// Makes the real servers as good as new: the tables are there, and nothing is in them or in the caches. Where
/// one of them is not marked as the demo's, the error says so and nothing is changed.
pub(crate) async fn empty(servers: &Servers) -> Result<(), String> {
    sql::marked(servers).await?;
    for &address in &servers.caches {
        commands::marked(address).await?;
    }
    sql::empty(servers).await?;
    for &address in &servers.caches {
        commands::empty(address).await?;
    }
    Ok(())
}

/// Starts the sidecar of the server at the context's address.
pub(crate) fn start(role: Role, context: &NodeContext, servers: &Servers) -> Started {
    match role {
        Role::Cache => cache_node::start(context),
        role => database_node::start(role, context, servers),
    }
}
