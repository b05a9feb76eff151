//! The demo as its host sees it: start it, look at its nodes, turn something, stop it.

mod child;
mod seed;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use tokio::sync::watch;

use crate::load::LoadPlan;
use crate::node::{Beginning, Control, FOLDER_PREFIX, Order, Replay};
use crate::settings::Settings;
use crate::topology::{Peer, Peers, Phase, Role, Zone};
use child::{Child, Spawner};

/// Longest wait for nodes to end by themselves before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a dropped demo tries to remove its files.
const REMOVALS: u32 = 5;

/// How long it waits in between.
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

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
    /// Capacity and pace of the nodes.
    pub settings: Settings,
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
            settings: Settings::of(phase),
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
    /// Its process.
    pub pid: u32,
    /// Where it listens; a worker does not.
    pub address: Option<SocketAddr>,
}

/// A node that ended without having been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeExit {
    /// The instance's name.
    pub name: String,
    /// Exit status and last words.
    pub why: String,
}

/// What can be turned while the demo runs. Nothing in the telemetry says that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perturbation {
    /// The replica goes on answering reads and stops applying changes.
    PauseReplica,
    /// The replica applies changes again, beginning with those it missed.
    ResumeReplica,
    /// The cache forgets all entries.
    FlushCache,
    /// The worker's process is stopped (SIGSTOP).
    PauseWorker,
    /// The worker's process goes on (SIGCONT).
    ResumeWorker,
}

/// A running demo. Dropping it kills its processes and removes its files; [`Demo::stop`] does so
/// in good order.
#[derive(Debug)]
pub struct Demo {
    processes: Processes,
    _spawner: Spawner,
    front: SocketAddr,
    exits: watch::Receiver<Option<NodeExit>>,
    content_ids: Vec<i64>,
}

impl Demo {
    /// Starts all nodes, stores the first contents, and returns once requests are served. Called
    /// inside a runtime with I/O and time enabled.
    pub async fn start(options: DemoOptions) -> Result<Self, DemoError> {
        let spawner = Spawner::start();
        let mut processes = Processes::none();
        let (exited, exits) = watch::channel(None);
        for seat in options.phase.seats() {
            let command = child::command(&options, &seat, &processes.folder)?;
            let child = Child::spawn(seat, command, &spawner, &exited).await?;
            processes.children.push(child);
        }
        begin(&mut processes.children, &options.settings).await?;
        let peers = peers(&processes.children);
        let front = peers.one(options.phase.front()).ok_or(DemoError::NoSuchRole(options.phase.front()))?;
        let content_ids =
            seed::store(&options, &peers).await.map_err(|error| DemoError::Seed(format!("failed to {error}")))?;
        Ok(Self { processes, _spawner: spawner, front, exits, content_ids })
    }

    /// Where requests go: the load balancer.
    pub fn front_address(&self) -> SocketAddr {
        self.front
    }

    /// The ids of the contents that were there from the start.
    pub fn content_ids(&self) -> &[i64] {
        &self.content_ids
    }

    /// The folder with the nodes' files; gone when the demo is.
    pub fn folder(&self) -> &Path {
        &self.processes.folder
    }

    /// The nodes, as they were started.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.processes.children.iter().map(Child::info).collect()
    }

    /// Waits until any node ends without having been asked. Such a demo should be stopped.
    pub async fn wait_any_exit(&self) -> NodeExit {
        let mut exits = self.exits.clone();
        let exit = exits.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        match exit {
            Some(exit) => exit,
            // Nobody is left who could tell, which happens only while stopping.
            None => std::future::pending().await,
        }
    }

    /// Turns something in the running demo and returns once it is done.
    pub async fn control(&self, perturbation: Perturbation) -> Result<(), DemoError> {
        use rustix::process::Signal;
        match perturbation {
            Perturbation::PauseReplica => self.order(Role::Replica, Control::Replay(Replay::Paused)).await,
            Perturbation::ResumeReplica => self.order(Role::Replica, Control::Replay(Replay::Running)).await,
            Perturbation::FlushCache => self.order(Role::Cache, Control::Forget { share: 1.0 }).await,
            Perturbation::PauseWorker => self.signal(Role::Worker, Signal::STOP),
            Perturbation::ResumeWorker => self.signal(Role::Worker, Signal::CONT),
        }
    }

    /// Ends all nodes, waits for them, and removes their files.
    pub async fn stop(self) -> Result<(), DemoError> {
        let children = &self.processes.children;
        for child in children {
            child.ask_to_end();
        }
        let ended = async {
            for child in children {
                child.ended().await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            for child in children {
                child.kill();
                child.ended().await;
            }
        }
        self.processes.remove_files().map_err(DemoError::Folder)
    }

    async fn order(&self, role: Role, control: Control) -> Result<(), DemoError> {
        for child in self.processes.children.iter().filter(|child| child.info().role == role) {
            child.order(&Order::Control(control.clone())).await?;
        }
        Ok(())
    }

    fn signal(&self, role: Role, signal: rustix::process::Signal) -> Result<(), DemoError> {
        self.processes
            .children
            .iter()
            .filter(|child| child.info().role == role)
            .try_for_each(|child| child.signal(signal))
    }
}

/// The nodes' processes and their files, which end together.
///
/// The folder is made by the first node that needs it, and the nodes remove it should this process
/// be killed. So there is no moment at which it exists and nobody would remove it.
#[derive(Debug)]
struct Processes {
    children: Vec<Child>,
    folder: PathBuf,
}

impl Processes {
    fn none() -> Self {
        let name = format!("{FOLDER_PREFIX}{:016x}", rand::random::<u64>());
        Self { children: Vec::new(), folder: std::env::temp_dir().join(name) }
    }

    fn remove_files(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &self.children {
            child.kill();
        }
        // A killed process may write for another moment, so once is not enough.
        for _ in 0..REMOVALS {
            let removed = self.remove_files().is_ok();
            if removed && self.children.iter().all(Child::has_ended) {
                break;
            }
            std::thread::sleep(REMOVAL_PAUSE);
        }
    }
}

/// Plays a fault in a running demo and returns once all is well again.
pub(crate) async fn play_fault(demo: &Demo, plan: crate::fault::FaultPlan) -> Result<(), DemoError> {
    tokio::time::sleep(plan.after).await;
    match plan.fault {
        crate::fault::Fault::ReplicaLag => {
            demo.control(Perturbation::PauseReplica).await?;
            tokio::time::sleep(plan.lasting).await;
            demo.control(Perturbation::ResumeReplica).await
        }
        crate::fault::Fault::WorkerLoss => {
            demo.control(Perturbation::PauseWorker).await?;
            tokio::time::sleep(plan.lasting).await;
            demo.control(Perturbation::ResumeWorker).await
        }
        _ => {
            let end = tokio::time::Instant::now() + plan.lasting;
            let mut flushes = tokio::time::interval(std::time::Duration::from_secs(2));
            while tokio::time::timeout_at(end, flushes.tick()).await.is_ok() {
                demo.control(Perturbation::FlushCache).await?;
            }
            Ok(())
        }
    }
}

/// Hears where all nodes listen, and tells each.
async fn begin(children: &mut [Child], settings: &Settings) -> Result<(), DemoError> {
    for child in &mut *children {
        child.hear_address().await?;
    }
    let order = Order::Begin(Box::new(Beginning {
        peers: peers(children),
        settings: settings.clone(),
        siblings: children.iter().map(|child| child.info().pid).collect(),
    }));
    for child in &*children {
        child.tell(&order).await?;
    }
    for child in &*children {
        child.hear_ready().await?;
    }
    Ok(())
}

fn peers(children: &[Child]) -> Peers {
    let peer = |child: &Child| {
        let NodeInfo { role, zone, address, .. } = child.info();
        address.map(|address| Peer { role, zone, address })
    };
    Peers(children.iter().filter_map(peer).collect())
}
