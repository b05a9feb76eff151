//! The requests to a cache as commands of Redis.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, pipe};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::store::cache::{Reply, Request};
use crate::wire::{Connection, WireError};

/// How many keys are looked at or forgotten in one command.
const BATCH: usize = 500;

/// The name of its dump, by which a server says that it may be emptied. A setting and no key, since keys are
/// evicted and flushed.
const MARK: &str = "tiertop_demo.rdb";

/// A connection to a server.
pub(crate) struct Session(MultiplexedConnection);

impl Session {
    /// Greets the server at the other end of a connection.
    pub(crate) async fn open(stream: Connection) -> Result<Self, WireError> {
        greet(stream).await.map(Self).map_err(failure)
    }

    /// Says a request in commands and returns the server's reply.
    pub(crate) async fn answer(&mut self, request: &Request) -> Result<Reply, WireError> {
        let connection = &mut self.0;
        let reply = match request {
            Request::Get { key } => redis::cmd("GET").arg(key).query_async(connection).await,
            // Redis refuses to keep what has no time to live.
            Request::Set { key, ttl, .. } if ttl.is_zero() => {
                redis::cmd("UNLINK").arg(key).exec_async(connection).await.map(|()| None)
            }
            Request::Set { key, value, ttl } => {
                let millis = ttl.as_millis().max(1) as u64;
                let set = redis::cmd("SET").arg(key).arg(value).arg("PX").arg(millis).exec_async(connection).await;
                set.map(|()| None)
            }
            Request::SetMany { entries } => {
                let mut many = pipe();
                for (key, value, ttl) in entries.iter().filter(|(_, _, ttl)| !ttl.is_zero()) {
                    many.cmd("SET").arg(key).arg(value).arg("PX").arg(ttl.as_millis().max(1) as u64).ignore();
                }
                if entries.is_empty() { Ok(None) } else { many.exec_async(connection).await.map(|()| None) }
            }
        };
        reply.map_err(failure)
    }
}

/// Tells a refusal of the server from a connection that broke.
fn failure(error: RedisError) -> WireError {
    if error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() {
        WireError::Io(io::Error::other(error))
    } else {
        WireError::Refused(error.to_string())
    }
}

/// Opens a connection that is not a client's of the application.
pub(super) async fn connect(address: SocketAddr) -> Result<MultiplexedConnection, String> {
    let failed = |why: &dyn std::fmt::Display| format!("Redis at {address}: {why}");
    let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    greet(stream).await.map_err(|error| failed(&error))
}

async fn greet<S>(stream: S) -> Result<MultiplexedConnection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // How long to wait is the caller's to say, as with every store.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let info = RedisConnectionInfo::default();
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    // Ends with its connection; an error reaches whoever asks next.
    tokio::spawn(driver);
    Ok(connection)
}

/// Says why a server must not be emptied, unless it was started as one of the demo's.
pub(super) async fn marked(address: SocketAddr) -> Result<(), String> {
    let mut connection = connect(address).await?;
    let asked = redis::cmd("CONFIG").arg("GET").arg("dbfilename").query_async(&mut connection).await;
    let settings: HashMap<String, String> = asked.map_err(|error| format!("Redis at {address}: {error}"))?;
    if settings.get("dbfilename").is_some_and(|name| name == MARK) {
        return Ok(());
    }
    Err(format!(
        "Redis at {address} is not marked as the demo's, which would empty its database 0; where nothing in it is \
         needed, start it with --dbfilename {MARK}, or use the servers that demo-app/stack/stack.sh starts"
    ))
}

/// Forgets everything in the database that clients use, also how much was found so far.
pub(super) async fn empty(address: SocketAddr) -> Result<(), String> {
    let mut connection = connect(address).await?;
    let commands = pipe().cmd("FLUSHDB").cmd("CONFIG").arg("RESETSTAT").clone();
    commands.exec_async(&mut connection).await.map_err(|error| format!("Redis at {address}: {error}"))
}

/// Forgets a share of the entries.
pub(super) async fn forget(address: SocketAddr, share: f64) -> Result<(), String> {
    let mut connection = connect(address).await?;
    let forgotten = if share >= 1.0 {
        redis::cmd("FLUSHDB").exec_async(&mut connection).await
    } else {
        forget_some(&mut connection, share).await
    };
    forgotten.map_err(|error| format!("Redis at {address}: {error}"))
}

async fn forget_some(connection: &mut MultiplexedConnection, share: f64) -> Result<(), RedisError> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(BATCH);
        let (next, mut keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        keys.retain(|_| rand::random::<f64>() < share);
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).exec_async(connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
