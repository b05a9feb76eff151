//! Taking OTLP from the network: gRPC and HTTP, protobuf and JSON.
//!
//! The same for both protocols: a request is let in if few enough are under way, its body is
//! gathered and inflated under hard limits with room reserved for every byte, it is decoded on its
//! connection's task (a fraction of a microsecond a span), and the batch is handed over before the
//! client is told "accepted". What the client is told is honest:
//! 1. accepted, and how many spans or points were refused, and why ("partial success");
//! 2. come back later, and when: `Trouble::Full` and `Trouble::Busy`;
//! 3. never send this again, and why: all other `Trouble`.
//!
//! gRPC here is what OTLP needs of it, one message each way, over hyper's HTTP/2: so both protocols
//! share one way of reading bodies, and a message is decoded where it lies.

mod answer;
mod body;
mod grpc;
mod http;
pub mod listen;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tiertop_core::time::UnixNanos;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::decode::{self, DecodeError, Decoded, Refused, Signal};
use crate::intake::{Full, Intake, Room};

/// What a receiver takes at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message, before and after inflating: 16 MiB. SDKs send 512 spans, about 256 KiB;
    /// collectors send up to their own limit, 4 MiB by gRPC's default and 20 MiB by HTTP's.
    pub message_bytes: usize,
    /// Requests under way at once; more are told to come back.
    pub requests: usize,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// What one span or point may carry.
    pub decode: decode::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            requests: 256,
            connections: 1024,
            body_timeout: Duration::from_secs(30),
            decode: decode::Limits::default(),
        }
    }
}

/// Which protocol a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, usually on 4317.
    Grpc,
    /// OTLP/HTTP, usually on 4318.
    Http,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("too many requests at once; try again in {} s", .0.retry_after.as_secs())]
    Busy(Full),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    #[error("{0}")]
    Framing(&'static str),
    #[error("malformed {0} data")]
    Inflate(&'static str),
    #[error("message is larger than {0} bytes; send smaller batches or raise --max-message-size")]
    TooLarge(usize),
    #[error("the body took too long to arrive")]
    Slow,
    #[error("the connection broke while the body was sent")]
    Broken,
    #[error("encoding {0:?} is not supported; use gzip, zstd or none")]
    Encoding(String),
}

/// Takes requests for one agent; cheap to clone.
#[derive(Clone, Debug)]
pub struct Receiver {
    intake: Intake,
    limits: Limits,
    keeps_bodies: bool,
    requests: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Receiver {
    /// A receiver that hands what it takes to `intake`. Share one between the protocols, so that
    /// the limits hold for both together.
    pub fn new(intake: Intake, limits: Limits) -> Self {
        Self {
            intake,
            limits,
            keeps_bodies: false,
            requests: Arc::new(Semaphore::new(limits.requests)),
            connections: Arc::new(Semaphore::new(limits.connections)),
        }
    }

    /// The same receiver, which hands over the bodies of traces with what it read from them.
    #[must_use]
    pub fn keeping_bodies(self) -> Self {
        Self { keeps_bodies: true, ..self }
    }

    /// Serves one port until `stop` turns true or its sender is gone, then lets what is under way
    /// finish, for at most two seconds.
    pub async fn serve(self, listener: TcpListener, protocol: Protocol, stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut stopping = stop.clone();
        loop {
            let next = async {
                // Closing the semaphore is nobody's business: an error cannot come.
                let permit = Arc::clone(&self.connections).acquire_owned().await.ok();
                (permit, listener.accept().await)
            };
            tokio::select! {
                (permit, accepted) = next => match accepted {
                    Ok((stream, _)) => {
                        let connection = self.clone().connection(stream, protocol, stop.clone());
                        tasks.spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: others must close first.
                        warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
                () = stopped(&mut stopping) => break,
            }
        }
        drop(listener);
        while tasks.join_next().await.is_some() {}
    }

    async fn connection(self, stream: TcpStream, protocol: Protocol, mut stop: watch::Receiver<bool>) {
        const GRACE: Duration = Duration::from_secs(2);
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let receiver = self.clone();
            async move {
                Ok::<_, Infallible>(match protocol {
                    Protocol::Grpc => grpc::answer(receiver, request).await,
                    Protocol::Http => http::answer(receiver, request).await,
                })
            }
        });
        let builder = builder();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(error = %error, "connection ended early");
        }
    }

    /// Decodes a body and hands over what it holds. What comes back has been counted.
    fn take(&self, signal: Signal, format: Format, body: Bytes, room: Room) -> Result<Refused, Trouble> {
        let body = match format {
            Format::Protobuf => body,
            Format::Json => decode::json_to_protobuf(signal, &body)?.into(),
        };
        let Decoded { batch, refused } = decode::protobuf(signal, &body, &self.limits.decode)?;
        // A copy, since a slice would hold the whole buffer of its connection.
        let kept = (self.keeps_bodies && !batch.spans.is_empty()).then(|| Bytes::copy_from_slice(&body));
        self.intake.deliver(room, (batch, kept), now())?;
        if refused.any() {
            self.intake.counters().refused(&refused);
        }
        Ok(refused)
    }

    /// Counts a request that was not taken.
    fn count(&self, trouble: &Trouble) {
        let counters = self.intake.counters();
        match trouble {
            Trouble::Full(_) | Trouble::Busy(_) => counters.request_turned_away(),
            Trouble::Malformed(DecodeError::Protobuf(_)) => {
                counters.request_refused("malformed protobuf");
            }
            // What serde says holds the client's own text.
            Trouble::Malformed(DecodeError::Json(_)) => counters.request_refused("malformed JSON"),
            Trouble::Encoding(_) => counters.request_refused("encoding is not supported"),
            other => counters.request_refused(&other.to_string()),
        }
    }

    /// Lets a request in, until the permit is dropped.
    fn enter(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Trouble> {
        const BUSY: Full = Full { retry_after: Duration::from_secs(1) };
        self.requests.try_acquire().map_err(|_| Trouble::Busy(BUSY))
    }
}

/// HTTP/1 and HTTP/2 on one port, so that a client of the wrong protocol can be told so. Windows
/// are wide: batches are large, and a window that fits one saves a round trip for each.
fn builder() -> auto::Builder<TokioExecutor> {
    const STREAM_WINDOW: u32 = 1 << 20;
    const CONNECTION_WINDOW: u32 = 4 << 20;
    const FRAME: u32 = 1 << 20;
    const STREAMS: u32 = 128;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_mins(1))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(STREAMS);
    builder
}

/// Waits until `stop` turns true or its sender is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(since.as_nanos() as u64)
}
