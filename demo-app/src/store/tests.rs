//! The stores as their clients and their faults see them: over sockets, each node on a runtime of its
//! own, so that a kill ends all it does at once.

mod database;
mod failover;
mod others;
mod outage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::node::{Control, NodeContext, Started, Turn};
use crate::service::worker;
use crate::settings::{ServiceTime, Settings};
use crate::store::database::{Content, Reply, Request};
use crate::store::service_time::Servers;
use crate::store::{cache, objects, primary, queue, replica, standby};
use crate::topology::{Peer, Peers, Role, Zone};
use crate::wire::{self, WireError, Wires};

/// Longest wait for what should happen soon.
const SOON: Duration = Duration::from_secs(20);

/// A store that runs in this process.
struct Node {
    role: Role,
    address: SocketAddr,
    folder: PathBuf,
    peers: watch::Sender<Peers>,
    servers: Arc<Servers>,
    turn: Turn,
    runtime: Option<Runtime>,
}

/// Quick enough for a test; no governor.
fn settings() -> Settings {
    Settings { governed: false, heartbeat: Duration::from_millis(20), ..Settings::default() }
}

impl Node {
    /// Starts a node in a folder; `peers` are those that it knows from the start.
    async fn start(role: Role, folder: &Path, settings: &Settings, peers: &[&Node]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (peers, told) = watch::channel(of(peers));
        let servers = Arc::new(Servers::new(settings.service_time(role), 1));
        let (governor, settings, own) = (Arc::clone(&servers), settings.clone(), folder.to_owned());
        let started = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let context = NodeContext {
                listener,
                address,
                zone: Zone::A,
                folder: own,
                peers: told,
                settings,
                servers: governor,
                wires: Wires::default(),
                seed: 1,
                cold: false,
            };
            let Started { serving, turn } = match role {
                Role::Primary => primary::start(context).unwrap(),
                Role::Standby => standby::start(context).unwrap(),
                Role::Replica => replica::start(context).unwrap(),
                Role::Cache => cache::start(context),
                Role::Worker => Started::plain(worker::start(context)),
                Role::Queue => Started::plain(queue::start(context).unwrap()),
                _ => Started::plain(objects::start(context).unwrap()),
            };
            tokio::spawn(serving);
            (address, turn)
        });
        let (address, turn) = started.await.unwrap();
        Self { role, address, folder: folder.to_owned(), peers, servers, turn, runtime: Some(runtime) }
    }

    /// Ends everything it does, in the middle of whatever it is doing.
    fn kill(mut self) -> PathBuf {
        self.runtime.take().unwrap().shutdown_background();
        std::mem::take(&mut self.folder)
    }

    async fn turn(&self, control: Control) {
        let runtime = self.runtime.as_ref().unwrap();
        let turning = {
            let _inside = runtime.enter();
            (self.turn)(control)
        };
        runtime.spawn(turning).await.unwrap().unwrap();
    }

    fn tell(&self, peers: &[&Node]) {
        self.peers.send_replace(of(peers));
    }

    async fn call<Q: Serialize, R: DeserializeOwned>(&self, request: Q) -> Result<R, WireError> {
        let mut stream = wire::connect(&Wires::default(), Role::Primary, self.address).await?;
        tokio::time::timeout(SOON, wire::call(&mut stream, &request)).await.map_err(|_| WireError::Timeout)?
    }

    async fn ask(&self, request: Request) -> Result<Reply, WireError> {
        self.call(request).await
    }

    async fn insert(&self, user_id: i64) -> Result<i64, WireError> {
        match self.ask(Request::Insert { user_id }).await? {
            Reply::Inserted { id } => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    /// Whether it has a content.
    async fn has(&self, id: i64) -> bool {
        matches!(self.ask(Request::Select { id }).await, Ok(Reply::Row(Some(_))))
    }

    async fn position(&self) -> i64 {
        match self.ask(Request::Position).await {
            Ok(Reply::Position(position)) => position,
            other => panic!("{other:?}"),
        }
    }

    /// How far it says it is behind; `None` while it does not know.
    async fn lag(&self) -> Option<Duration> {
        match self.ask(Request::Lag).await {
            Ok(Reply::Lag { behind }) => Some(behind),
            _ => None,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What nodes are told of others; a promoted standby goes by its new role.
fn of(nodes: &[&Node]) -> Peers {
    Peers(nodes.iter().map(|node| Peer { role: node.role, zone: Zone::A, address: node.address }).collect())
}

/// Waits until something is so, and panics if it does not become so soon.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !so().await {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The first contents, each of a user of its own.
fn rows(count: i64) -> Vec<Content> {
    let row = |id| Content { id, user_id: id, content_metadata: None, asset_url: None, created_at: String::new() };
    (1..=count).map(row).collect()
}

/// Settings with a governor of this many servers.
fn governed(servers: usize) -> Settings {
    let time = ServiceTime::millis(1, servers);
    Settings { governed: true, primary: time, replica: time, object_store: time, ..settings() }
}
