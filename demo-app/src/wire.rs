//! The one protocol that all stores speak: length-prefixed JSON over TCP.
//!
//! A frame is a big-endian 32-bit length and that many bytes of JSON. A connection carries one
//! request at a time. The answer is `{"Ok": reply}`, or `{"Err": "why"}` when the store refuses.
//! The protocol carries no trace context, as those of real caches and databases do not.
//!
//! Below it, and below the HTTP of the services, lie the [`Wires`] of this process, which a fault can
//! make longer.

pub(crate) mod http;
mod late;

use std::future::Future;
use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::topology::Role;
pub(crate) use late::{Late, Wires};

/// Largest frame that is read: 8 MiB, room for a batch of the bulk load.
const MAX_FRAME: usize = 8 << 20;

/// A connection to a store.
pub(crate) type Connection = Late<TcpStream>;

/// Why a call to a store failed; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("talk to the store: {0}")]
    Io(#[from] io::Error),
    #[error("read the store's frame: {0}")]
    Json(#[from] serde_json::Error),
    #[error("read a frame of {0} bytes: the limit is {MAX_FRAME}")]
    TooLong(usize),
    #[error("reach the store: nobody has said where it listens")]
    Unknown,
    #[error("get an answer in time")]
    Timeout,
    #[error("be served: {0}")]
    Refused(String),
}

impl WireError {
    /// Returns the low-cardinality name sent as `error.type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => "connection_refused",
            Self::Io(_) => "connection_error",
            Self::Json(_) | Self::TooLong(_) => "protocol_error",
            Self::Unknown => "no_address",
            Self::Timeout => "timeout",
            Self::Refused(_) => "refused",
        }
    }
}

/// Sends one request on a connection and returns the store's reply.
pub(crate) async fn call<Q: Serialize, R: DeserializeOwned>(
    stream: &mut Connection,
    request: &Q,
) -> Result<R, WireError> {
    write_frame(stream, request).await?;
    let frame = read_frame(stream)
        .await?
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the store closed the connection"))?;
    serde_json::from_slice::<Result<R, String>>(&frame)?.map_err(WireError::Refused)
}

/// Opens a connection to a store of a role, over this process's wire to it.
pub(crate) async fn connect(wires: &Wires, role: Role, address: std::net::SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    wires.travel(role).await;
    Ok(Late::new(stream, wires.clone(), role))
}

/// Waits for the next connection to `listener`.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Accept fails when this process is out of descriptors: the next one may succeed.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// Answers requests on every connection to `listener`, for as long as it is polled.
pub(crate) async fn serve<Q, R, F, Fut>(listener: TcpListener, answer: F)
where
    Q: DeserializeOwned + Send,
    R: Serialize + Send + Sync,
    F: Fn(Q) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<R, String>> + Send,
{
    loop {
        let stream = accept(&listener).await;
        let answer = answer.clone();
        tokio::spawn(async move {
            // A connection that breaks is the caller's to report.
            let _ = serve_connection(stream, answer).await;
        });
    }
}

async fn serve_connection<Q, R, F, Fut>(mut stream: TcpStream, answer: F) -> Result<(), WireError>
where
    Q: DeserializeOwned,
    R: Serialize,
    F: Fn(Q) -> Fut,
    Fut: Future<Output = Result<R, String>>,
{
    stream.set_nodelay(true)?;
    while let Some(frame) = read_frame(&mut stream).await? {
        let reply = answer(serde_json::from_slice(&frame)?).await;
        write_frame(&mut stream, &reply).await?;
    }
    Ok(())
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, WireError> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if length > MAX_FRAME {
        return Err(WireError::TooLong(length));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(Some(frame))
}

async fn write_frame<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> Result<(), WireError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let prefix = u32::try_from(length).map_err(|_| WireError::TooLong(length))?;
    frame[..4].copy_from_slice(&prefix.to_be_bytes());
    stream.write_all(&frame).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_returns_the_reply_or_the_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            listener,
            |n: i64| async move { if n < 0 { Err("negative".to_owned()) } else { Ok(n + 1) } },
        ));
        let mut stream = connect(&Wires::default(), Role::Cache, address).await.unwrap();
        assert_eq!(call::<_, i64>(&mut stream, &1).await.unwrap(), 2);
        let refused = call::<_, i64>(&mut stream, &-1).await.unwrap_err();
        assert!(matches!(refused, WireError::Refused(why) if why == "negative"));
        assert_eq!(call::<_, i64>(&mut stream, &2).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_ends_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, |n: i64| async move { Ok(n) }));
        let mut stream = connect(&Wires::default(), Role::Cache, address).await.unwrap();
        stream.write_u32(u32::MAX).await.unwrap();
        assert!(read_frame(&mut stream).await.unwrap_or(None).is_none());
    }
}
