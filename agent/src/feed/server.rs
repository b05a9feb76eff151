//! Serves the newest snapshot to whoever watches.
//!
//! 1. [`bind`] fails early: before anything runs, on an address that is taken, and on one that
//!    other machines reach while no token protects it.
//! 2. [`serve`] keeps the newest snapshot in a cell. Each client's stream waits for the cell to
//!    change and takes what is there then: one that reads slowly misses seconds and nothing waits
//!    for it.
//! 3. A client that vanished is noticed by HTTP/2 pings within [`PING_INTERVAL`] and
//!    [`PING_TIMEOUT`], and gives its seat free.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::history::History;
use futures_util::stream::{self, Stream};
use tiertop_core::snapshot::{SNAPSHOT_VERSION, Snapshot};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use self::generated::feed_server::{Feed, FeedServer};
use super::frame::{EncodedSnapshot, Frame};
use super::{Detail, MAX_MESSAGE_BYTES, Token, wire};
use crate::receive::listen::{self, ListenError, Port};

mod generated {
    #![allow(unreachable_pub, clippy::pedantic, reason = "generated from proto/tiertop/feed/v1/feed.proto")]
    include!("generated/tiertop.feed.v1.server.rs");
}

/// How many streams are served at once; the next client is told to come back.
pub const MAX_CLIENTS: usize = 64;

/// A client that sends nothing for this long is pinged.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A client that does not answer a ping for this long is gone.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams that one connection may hold: a screen needs one.
const MAX_STREAMS_PER_CONNECTION: u32 = 16;

/// How long clients may take to read the end of their streams when the agent stops.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Where to serve, and to whom.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// The address to listen on; port 0 takes any free one.
    pub address: SocketAddr,
    /// What clients must bring. Required where `address` is not loopback.
    pub token: Option<Token>,
}

/// Why the feed is not served.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Other machines could watch, and nothing asks who they are.
    #[error(
        "serve the feed on {address}: other machines reach it, so it needs a token; give one with \
         `--feed-token-file FILE` or TIERTOP_FEED_TOKEN, or listen on 127.0.0.1"
    )]
    TokenNeeded {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("serve the feed: {0}")]
    Listen(#[from] ListenError),
    /// The server ended by itself.
    #[error("go on serving the feed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// A feed that listens and does not yet answer.
#[derive(Debug)]
pub struct FeedListener {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
}

impl FeedListener {
    /// The address it listens on, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes the address, or says what to do instead. Must be called within a tokio runtime.
pub fn bind(options: FeedOptions) -> Result<FeedListener, FeedError> {
    let FeedOptions { address, token } = options;
    if token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(FeedError::TokenNeeded { address });
    }
    let listener = listen::bind(Port::Feed, address)?;
    let address = listener.local_addr().unwrap_or(address);
    Ok(FeedListener { listener, address, token })
}

/// Serves what `snapshots` holds until `shutdown` is ready or its sender is gone. Streams are then
/// ended in order, and after half a second regardless. A snapshot that was not taken yet, at zero
/// milliseconds, is not sent.
pub async fn serve(
    listener: FeedListener,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    history: Option<History>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), FeedError> {
    let FeedListener { listener, address: _, token } = listener;
    let (publish, frames) = watch::channel(Arc::new(Frame::new(Arc::default())));
    let (stop, stopped) = oneshot::channel::<()>();
    let service = FeedServer::new(Watchers { frames, history, seats: Arc::new(Semaphore::new(MAX_CLIENTS)) })
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let server = Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .add_service(InterceptedService::new(service, move |request| admit(token.as_ref(), request)))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            drop(stopped.await);
        });
    let feed = async move {
        tokio::select! {
            () = forward(snapshots, publish) => {}
            () = shutdown => {}
        }
        drop(stop);
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = feed => Ok(()),
    }
}

/// Makes each snapshot a frame that all streams share; returns when no more will come. Dropping
/// `publish` ends the streams.
async fn forward(mut snapshots: watch::Receiver<Arc<Snapshot>>, publish: watch::Sender<Arc<Frame>>) {
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        publish.send_replace(Arc::new(Frame::new(snapshot)));
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Lets a call in that brings the token, where there is one.
fn admit(token: Option<&Token>, request: Request<()>) -> Result<Request<()>, Status> {
    let Some(token) = token else {
        return Ok(request);
    };
    match request.metadata().get("authorization") {
        Some(header) if token.opens(header.as_bytes()) => Ok(request),
        Some(_) => Err(Status::unauthenticated("this is not the agent's token")),
        None => Err(Status::unauthenticated("the agent wants a token: `authorization: Bearer TOKEN`")),
    }
}

/// The service: the newest frame, and the seats left.
struct Watchers {
    frames: watch::Receiver<Arc<Frame>>,
    history: Option<History>,
    seats: Arc<Semaphore>,
}

#[tonic::async_trait]
impl Feed for Watchers {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<EncodedSnapshot, Status>> + Send>>;

    async fn info(&self, _request: Request<wire::InfoRequest>) -> Result<Response<wire::InfoResponse>, Status> {
        Ok(Response::new(wire::InfoResponse {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            snapshot_version: SNAPSHOT_VERSION,
        }))
    }

    async fn past(&self, request: Request<wire::PastRequest>) -> Result<Response<EncodedSnapshot>, Status> {
        let Some(history) = self.history.clone() else { return Err(Status::not_found("nothing is kept")) };
        let at = request.get_ref().at_unix_ms;
        // Unpacking takes some milliseconds, which the other streams need not wait for.
        let found = tokio::task::spawn_blocking(move || history.at(at).map(|found| found.map(encoded))).await;
        match found {
            Ok(Ok(Some(snapshot))) => Ok(Response::new(snapshot)),
            Ok(Ok(None)) => Err(Status::not_found("nothing is kept yet")),
            Ok(Err(error)) => Err(Status::internal(error.to_string())),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let detail = match request.get_ref().detail() {
            wire::Detail::Overview => Detail::Overview,
            wire::Detail::Full | wire::Detail::Unspecified => Detail::Full,
        };
        let seat = Arc::clone(&self.seats)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted(format!("the agent already serves {MAX_CLIENTS} screens")))?;
        let mut frames = self.frames.clone();
        frames.mark_changed();
        let watcher = Watcher { frames, detail, _seat: seat };
        Ok(Response::new(Box::pin(stream::unfold(watcher, async |mut watcher| {
            Some((Ok(watcher.next().await?), watcher))
        }))))
    }
}

fn encoded(snapshot: Arc<Snapshot>) -> EncodedSnapshot {
    Frame::new(snapshot).encoded(Detail::Full)
}

/// One client's place in the feed; its seat is free again when it is dropped.
struct Watcher {
    frames: watch::Receiver<Arc<Frame>>,
    detail: Detail,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    /// The newest snapshot that this client has not seen; `None` when the agent stops.
    async fn next(&mut self) -> Option<EncodedSnapshot> {
        loop {
            self.frames.changed().await.ok()?;
            let frame = Arc::clone(&self.frames.borrow_and_update());
            if frame.is_taken() {
                return Some(frame.encoded(self.detail));
            }
        }
    }
}
