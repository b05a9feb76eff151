//! The demo as its host sees it: start it, look at its nodes, make trouble in it, stop it.

mod autoscaler;
mod child;
mod control;
mod dials;
mod effects;
mod fleet;
mod seed;
mod supervision;
mod troubles;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backends::Backends;
use crate::fault::Effect;
use crate::load::{Dial, LoadPlan};
use crate::scenario::{ScenarioFault, TruthLine};
use crate::settings::Settings;
use crate::store::lock;
use crate::topology::{Phase, Role, Zone};
use dials::Dials;
use effects::Subject;
use fleet::Fleet;
use troubles::Troubles;

/// How many ends of nodes may wait to be looked at: more than a demo has nodes.
const ENDS: usize = 256;

/// How to start a demo.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The program and first arguments that run [`crate::node::run`], such as
    /// `[current_exe, "demo-node"]`; the node's own arguments are added.
    pub node_command: Vec<OsString>,
    /// Where the nodes send their telemetry: an OTLP/gRPC endpoint. Nobody has to listen there.
    pub otlp_endpoint: String,
    /// Seed of the stores' service times.
    pub seed: u64,
    /// The phase whose system is started.
    pub phase: Phase,
    /// The load that it is meant for: how many contents there are from the start, how large they are, and
    /// which of them a cache would have.
    pub load: LoadPlan,
    /// The servers that the stores are.
    pub backends: Backends,
    /// Capacity and pace of the nodes.
    pub settings: Settings,
    /// What the truth of its faults names as their scenario.
    pub scenario: String,
}

impl DemoOptions {
    /// Returns the options of a phase's system, with nodes run by `node_command`.
    pub fn new(node_command: Vec<OsString>, phase: Phase) -> Self {
        Self {
            node_command,
            otlp_endpoint: "http://127.0.0.1:4317".to_owned(),
            seed: 1,
            phase,
            load: LoadPlan::of(phase),
            backends: Backends::Embedded,
            settings: Settings::of(phase),
            scenario: "live".to_owned(),
        }
    }
}

/// Why the demo did not start or do as told; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// There is no program to run nodes with.
    #[error("start a node: the node command is empty")]
    NoCommand,
    /// The folder of the demo could not be removed.
    #[error("remove the demo's files: {0}")]
    Folder(io::Error),
    /// A process could not be started.
    #[error("run {program} for {name}: {source}")]
    Spawn {
        /// The node's name.
        name: String,
        /// The program.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A node ended, or said that it cannot go on.
    #[error("keep {name} running: {why}")]
    Node {
        /// The node's name.
        name: String,
        /// What it said at last.
        why: String,
    },
    /// A node did not answer in time; a stopped process does not.
    #[error("hear from {name} in time")]
    Silent {
        /// The node's name.
        name: String,
    },
    /// A process could not be signalled.
    #[error("signal {name}: {source}")]
    Signal {
        /// The node's name.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The first contents could not be stored.
    #[error("store the first contents: {0}")]
    Seed(String),
    /// No node has the role.
    #[error("find a node with the role {0:?}")]
    NoSuchRole(Role),
    /// No node has the name.
    #[error("find a node with the name {0}")]
    NoSuchNode(String),
    /// A node cannot turn what it was told to.
    #[error("turn {what} in {name}: {why}")]
    Refused {
        /// The node's name.
        name: String,
        /// What was to be turned.
        what: String,
        /// Why not.
        why: String,
    },
    /// The phase has nothing that the effect changes.
    #[error("have the effect {effect} in phase {phase}, which lacks the part")]
    Unfit {
        /// What was to be changed.
        effect: String,
        /// The phase.
        phase: Phase,
    },
    /// The real servers cannot be used.
    #[error("use the real servers: {0}")]
    Servers(String),
    /// The effect cannot be had on real servers.
    #[error("have the effect {effect} on real servers: {why}")]
    NotOnRealServers {
        /// What was to be changed.
        effect: String,
        /// Why it cannot be.
        why: &'static str,
    },
    /// Another fault has changed the same thing.
    #[error("change {thing}, which fault {id} has changed: end that one first")]
    Taken {
        /// What was to be changed.
        thing: String,
        /// The number of the other fault.
        id: u64,
    },
    /// An effect could not be had, or not be put back.
    #[error("make trouble: {0}")]
    Stores(String),
    /// The control API could not be opened.
    #[error("listen at {address} for control: {source}")]
    Control {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A node of a running demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// What it does.
    pub role: Role,
    /// The instance's name.
    pub name: String,
    /// The zone it says it runs in.
    pub zone: Zone,
    /// Its process, also one that has ended.
    pub pid: u32,
    /// Where it listens; a worker does not.
    pub address: Option<SocketAddr>,
    /// Whether it runs.
    pub state: NodeState,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It does.
    Running,
    /// It is stopped (SIGSTOP).
    Stopped,
    /// Its place is without a process.
    Down,
}

/// A node that cannot be kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExit {
    /// The instance's name.
    pub name: String,
    /// Exit status and last words.
    pub why: String,
}

/// Effects that have begun, to be ended by [`Demo::end`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "effects last until they are ended"]
pub struct BegunEffects(u64);

/// A running demo. Dropping it kills its processes and removes its files; [`Demo::stop`] does so
/// in good order.
#[derive(Debug)]
pub struct Demo {
    fleet: Arc<Fleet>,
    troubles: Arc<Troubles>,
    /// What goes on beside: supervision, scaling, control.
    tasks: Mutex<JoinSet<()>>,
    front: SocketAddr,
    exits: watch::Receiver<Option<NodeExit>>,
    content_ids: Vec<i64>,
    ready_after: Duration,
}

impl Demo {
    /// Starts all nodes, stores the first contents, and returns once requests are served. Called
    /// inside a runtime with I/O and time enabled.
    pub async fn start(options: DemoOptions) -> Result<Self, DemoError> {
        let start = Instant::now();
        let (ended, ends) = mpsc::channel(ENDS);
        let (lost, exits) = watch::channel(None);
        let (front, autoscaled) = (options.phase.front(), options.settings.autoscaled);
        let fleet = Arc::new(Fleet::new(options, ended, lost));
        let troubles = Troubles::new(Subject { fleet: Arc::clone(&fleet), dials: Arc::new(Dials::new()) });
        // From here on what has been started ends with this value, whatever happens.
        let mut demo = Self {
            fleet,
            troubles: Arc::new(troubles),
            tasks: Mutex::default(),
            front: SocketAddr::from(([127, 0, 0, 1], 0)),
            exits,
            content_ids: Vec::new(),
            ready_after: Duration::ZERO,
        };
        demo.fleet.options.backends.empty().await.map_err(DemoError::Servers)?;
        demo.fleet.start_all().await?;
        demo.ready_after = start.elapsed();
        let peers = demo.fleet.peers();
        demo.front = peers.one(front).ok_or(DemoError::NoSuchRole(front))?;
        demo.content_ids = seed::store(&demo.fleet.options, &peers, &demo.fleet.folder)
            .await
            .map_err(|error| DemoError::Seed(format!("failed to {error}")))?;
        let mut tasks = lock(&demo.tasks);
        tasks.spawn(supervision::supervise(Arc::clone(&demo.fleet), ends));
        if autoscaled {
            tasks.spawn(autoscaler::run(Arc::clone(&demo.fleet), Arc::clone(&demo.troubles)));
        }
        drop(tasks);
        Ok(demo)
    }

    /// Where requests go: whatever takes them from outside in this phase.
    pub fn front_address(&self) -> SocketAddr {
        self.front
    }

    /// The ids of the contents that were there from the start.
    pub fn content_ids(&self) -> &[i64] {
        &self.content_ids
    }

    /// The folder with the nodes' files; gone when the demo is.
    pub fn folder(&self) -> &Path {
        &self.fleet.folder
    }

    /// How long it took until all processes were ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The nodes, as they are now.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.fleet.nodes()
    }

    /// What faults change in the load, for whoever makes it.
    pub fn dial(&self) -> watch::Receiver<Dial> {
        self.troubles.subject().dials.read()
    }

    /// The truth of the faults that have ended, one line each.
    pub fn truth(&self) -> watch::Receiver<Vec<TruthLine>> {
        self.troubles.truth()
    }

    /// Waits until a node ends again and again, so that it cannot be kept running. Such a demo should be
    /// stopped. One that ends now and then is started again in its place.
    pub async fn wait_any_exit(&self) -> NodeExit {
        let mut exits = self.exits.clone();
        let exit = exits.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        match exit {
            Some(exit) => exit,
            // Nobody is left who could tell, which happens only while stopping.
            None => std::future::pending().await,
        }
    }

    /// Begins some effects together; nothing in the telemetry says that they have begun.
    ///
    /// # Errors
    /// Effects that the phase has nothing for, that change what others have changed, or that a node refuses:
    /// then nothing has changed.
    pub async fn begin(&self, effects: &[Effect]) -> Result<BegunEffects, DemoError> {
        self.troubles.begin(effects, None).await.map(BegunEffects)
    }

    /// Ends effects and puts back what they changed.
    pub async fn end(&self, effects: BegunEffects) -> Result<(), DemoError> {
        self.troubles.end(effects.0).await.map(|_| ())
    }

    /// Plays faults at their times, which count from now, and returns when all are over.
    pub async fn play(&self, faults: &[ScenarioFault]) -> Result<(), DemoError> {
        let mut played = JoinSet::new();
        for fault in faults.iter().cloned() {
            let troubles = Arc::clone(&self.troubles);
            played.spawn(async move {
                let (after, lasting) = (fault.plan.after, fault.plan.lasting);
                tokio::time::sleep(after).await;
                let id = troubles.begin_fault(fault).await?;
                tokio::time::sleep(lasting).await;
                troubles.end(id).await.map(|_| ())
            });
        }
        while let Some(outcome) = played.join_next().await {
            outcome.unwrap_or_else(|error| Err(DemoError::Stores(error.to_string())))?;
        }
        Ok(())
    }

    /// Ends all faults and effects, and puts back what they changed.
    pub async fn end_all(&self) -> Result<(), DemoError> {
        self.troubles.end_all().await
    }

    /// Answers the control API at an address, for as long as the demo runs; returns where.
    pub async fn open_control(&self, address: SocketAddr) -> Result<SocketAddr, DemoError> {
        let failed = |source| DemoError::Control { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let open = listener.local_addr().map_err(failed)?;
        lock(&self.tasks).spawn(control::serve(listener, Arc::clone(&self.troubles)));
        Ok(open)
    }

    /// Ends all nodes, waits for them, and removes their files.
    pub async fn stop(self) -> Result<(), DemoError> {
        lock(&self.tasks).abort_all();
        self.fleet.stop().await.map_err(DemoError::Folder)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        lock(&self.tasks).abort_all();
        self.troubles.let_go();
        self.fleet.close();
    }
}
