//! One connection to a store, whichever kind of server the store is.
//!
//! A request says what is asked; the link says it in the protocol of the server: as it is to the demo's
//! own stores, as SQL to PostgreSQL, as commands to Redis.

use std::net::SocketAddr;

use serde::{Serialize, de::DeserializeOwned};

use crate::backends::Backends;
#[cfg(feature = "real")]
use crate::real;
use crate::store::{cache, database, objects, queue};
use crate::topology::Role;
use crate::wire::{self, WireError, Wires};

/// A request to a store, which knows its reply.
pub(crate) trait Ask: Serialize + Sync {
    /// What it is answered by.
    type Reply: DeserializeOwned;

    /// Asks a real server.
    #[cfg(feature = "real")]
    fn ask(&self, _server: &mut real::Session) -> impl Future<Output = Result<Self::Reply, WireError>> + Send {
        async { Err(WireError::Refused("this store is no real server".to_owned())) }
    }
}

impl Ask for database::Request {
    type Reply = database::Reply;

    #[cfg(feature = "real")]
    async fn ask(&self, server: &mut real::Session) -> Result<Self::Reply, WireError> {
        server.database()?.answer(self).await
    }
}

impl Ask for cache::Request {
    type Reply = cache::Reply;

    #[cfg(feature = "real")]
    async fn ask(&self, server: &mut real::Session) -> Result<Self::Reply, WireError> {
        server.cache()?.answer(self).await
    }
}

impl Ask for objects::Request {
    type Reply = objects::Reply;
}

impl Ask for queue::Request {
    type Reply = queue::Reply;
}

#[cfg(test)]
impl Ask for i64 {
    type Reply = Self;
}

/// An open connection.
pub(crate) enum Link {
    /// To one of the demo's own stores.
    Embedded(wire::Connection),
    /// To a real server.
    #[cfg(feature = "real")]
    Real(Box<real::Session>),
}

impl Link {
    /// Opens a connection to the instance of a role that listens at an address.
    pub(crate) async fn open(
        backends: &Backends,
        wires: &Wires,
        role: Role,
        address: SocketAddr,
    ) -> Result<Self, WireError> {
        let stream = wire::connect(wires, role, address).await?;
        match backends.servers(role) {
            None => Ok(Self::Embedded(stream)),
            #[cfg(feature = "real")]
            Some(servers) => Ok(Self::Real(Box::new(real::Session::open(stream, servers, role).await?))),
            #[cfg(not(feature = "real"))]
            Some(_) => Err(WireError::Refused("there are no real servers in this program".to_owned())),
        }
    }

    /// Sends a request and returns the store's reply.
    pub(crate) async fn call<Q: Ask>(&mut self, request: &Q) -> Result<Q::Reply, WireError> {
        match self {
            Self::Embedded(stream) => wire::call(stream, request).await,
            #[cfg(feature = "real")]
            Self::Real(session) => request.ask(session).await,
        }
    }
}
