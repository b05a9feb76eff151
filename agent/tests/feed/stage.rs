//! A server on a free port, and readers with deadlines.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tiertop_agent::feed::client::{ClientOptions, FeedEvent};
use tiertop_agent::feed::server::{self, FeedError, FeedOptions};
use tiertop_agent::feed::wire::feed_client::FeedClient;
use tiertop_agent::feed::{Detail, Token};
use tiertop_agent::history::{self, HistoryOptions};
use tiertop_core::snapshot::Snapshot;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::fixture::{self, Extent};

/// Longer than anything here takes, unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A free port of this machine.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A feed that is being served.
pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), FeedError>>,
}

impl Stage {
    /// Serves on an address, with an engine that has not ticked yet.
    pub(crate) fn on(address: SocketAddr, token: Option<Token>) -> Self {
        Self::keeping(address, token, false)
    }

    /// The same, and it keeps history or not.
    pub(crate) fn keeping(address: SocketAddr, token: Option<Token>, keeps: bool) -> Self {
        let listener = server::bind(FeedOptions { address, token }).unwrap();
        let address = listener.address();
        let (snapshots, newest) = watch::channel(Arc::default());
        let (stop, stopped) = oneshot::channel();
        let history = keeps.then(|| {
            let (history, keeper) = history::keep(HistoryOptions::default(), newest.clone()).unwrap();
            tokio::spawn(keeper);
            history
        });
        let serving = tokio::spawn(server::serve(listener, newest, history, async {
            drop(stopped.await);
        }));
        Self { address, snapshots, stop, serving }
    }

    pub(crate) fn open() -> Self {
        Self::on(ANY_PORT, None)
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    /// Stops and waits until the port is free.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.serving).await.unwrap().unwrap();
    }

    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions { address: self.address.to_string().parse().unwrap(), token: None, detail: Detail::Full }
    }

    /// A client that takes no more than `window` bytes before they are read.
    pub(crate) async fn raw_client(&self, window: u32) -> FeedClient<Channel> {
        let channel = Endpoint::from_shared(format!("http://{}", self.address))
            .unwrap()
            .initial_stream_window_size(window)
            .connect()
            .await
            .unwrap();
        FeedClient::new(channel)
    }
}

/// A snapshot known by its number, of some tens of kilobytes.
pub(crate) fn numbered(number: u64) -> Snapshot {
    let extent = Extent { tiers: 20, instances: 2, operations: 4, buckets: 20, ..fixture::SMALL };
    Snapshot { at_unix_ms: number, ..fixture::snapshot(7, extent) }
}

/// Waits, but not for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("comes before the deadline")
}

pub(crate) async fn next(events: &mut mpsc::Receiver<FeedEvent>) -> FeedEvent {
    within(events.recv()).await.expect("a client never ends")
}

/// The next snapshot, whatever is told before it.
pub(crate) async fn next_snapshot(events: &mut mpsc::Receiver<FeedEvent>) -> Arc<Snapshot> {
    loop {
        if let FeedEvent::Snapshot(snapshot) = next(events).await {
            return snapshot;
        }
    }
}

/// The next failure, in its words.
pub(crate) async fn next_error(events: &mut mpsc::Receiver<FeedEvent>) -> String {
    loop {
        if let FeedEvent::Connecting { error: Some(error), .. } = next(events).await {
            return error;
        }
    }
}
