//! One process of the demo: what it is told, what it reports, and how it ends.
//!
//! A node and its parent talk in lines of JSON over the node's standard input and output. The node
//! binds a free port and says so (`listening`); the parent, having heard all, tells it the settings
//! and where its peers are (`begin`); the node starts its role and says `ready`. Later the parent
//! may tell new addresses (`peers`) or turn something (`control`), which is answered by `done`.
//! Standard error is for what went wrong.
//!
//! A node ends on SIGTERM, and when its parent is gone. Then nobody is left to clean up, so it
//! removes the demo's folder itself; every node does, and the last one succeeds.

mod lifetime;

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::service::{app, proxy, worker};
use crate::settings::Settings;
use crate::store::cache::Cache;
use crate::store::replica::Applier;
use crate::store::{cache, objects, primary, queue, replica};
use crate::telemetry::{Identity, Telemetry};
use crate::topology::{Peers, Role, Zone};
use lifetime::{End, Heard, Parent};

/// How the name of a demo's folder begins. Nodes remove no other.
pub(crate) const FOLDER_PREFIX: &str = "tiertop-demo-";

/// The arguments of a process of the demo, for a hidden subcommand of the host's binary.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// What the process does.
    #[arg(long)]
    pub role: Role,
    /// The instance's name, unique in the demo.
    #[arg(long)]
    pub name: String,
    /// The zone it says it runs in.
    #[arg(long)]
    pub zone: Zone,
    /// The demo's folder; the node keeps its files in a folder of its own name inside.
    #[arg(long)]
    pub folder: PathBuf,
    /// Where its telemetry goes.
    #[arg(long)]
    pub otlp_endpoint: String,
    /// Seed of its random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What a parent tells a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Begin { peers: Peers, settings: Settings, siblings: Vec<u32> },
    Peers(Peers),
    Control(Control),
}

/// What can be turned in a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Control {
    PauseApplier,
    ResumeApplier,
    FlushCache,
}

/// What a node reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Listening { address: Option<SocketAddr> },
    Ready,
    Done,
    Failed { why: String },
}

/// Why a node ended by itself; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The process lacks something of the operating system.
    #[error("set up the process: {0}")]
    Io(#[from] io::Error),
    /// The file of a store could not be opened.
    #[error("open the store: {0}")]
    Store(#[from] rusqlite::Error),
    /// The telemetry could not be set up, likely for a bad endpoint.
    #[error("set up telemetry for {endpoint}: {source}")]
    Telemetry {
        /// Where the telemetry was to go.
        endpoint: String,
        /// What was wrong with it.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The role's server returned, or panicked.
    #[error("keep serving: {0}")]
    Stopped(String),
    /// The node was started by hand, or by another version.
    #[error("understand the parent: {0}; nodes are started by a demo, not by hand")]
    Protocol(String),
}

/// What a role gets to start with.
pub(crate) struct NodeContext {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    /// The node's own folder.
    pub(crate) folder: PathBuf,
    pub(crate) peers: watch::Receiver<Peers>,
    pub(crate) settings: Settings,
    pub(crate) seed: u64,
}

/// Runs a process of the demo until its parent ends it or is gone. Builds a runtime of its own, so
/// it is called outside of any.
pub fn run(args: &NodeArgs) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(live(args));
    if let Err(error) = &outcome {
        report(&Report::Failed { why: format!("failed to {error}") });
    }
    runtime.shutdown_background();
    outcome
}

async fn live(args: &NodeArgs) -> Result<(), NodeError> {
    let name = args.folder.file_name().unwrap_or_default();
    if !name.to_string_lossy().starts_with(FOLDER_PREFIX) {
        let why = format!("{} is no folder of a demo", args.folder.display());
        return Err(NodeError::Protocol(why));
    }
    let end = serve(args, Parent::listen()?).await?;
    if end == End::ParentLost {
        // Another node may be removing the same folder at the same time.
        let _ = std::fs::remove_dir_all(&args.folder);
    }
    Ok(())
}

/// Starts the role and follows the parent's orders until the end.
async fn serve(args: &NodeArgs, mut parent: Parent) -> Result<End, NodeError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    report(&Report::Listening { address: args.role.listens().then_some(address) });
    let (peers, settings, siblings) = match parent.hear().await {
        Heard::End(end) => return Ok(end),
        Heard::Order(Order::Begin { peers, settings, siblings }) => (peers, settings, siblings),
        Heard::Order(other) => {
            return Err(NodeError::Protocol(format!("{other:?} is no beginning")));
        }
        Heard::Nonsense(why) => return Err(NodeError::Protocol(why)),
    };
    let identity = Identity { role: args.role, name: &args.name, zone: args.zone };
    let telemetry = Telemetry::start(&identity, &args.otlp_endpoint)
        .map_err(|source| NodeError::Telemetry { endpoint: args.otlp_endpoint.clone(), source })?;
    let (told, peers) = watch::channel(peers);
    let folder = own_folder(&args.folder, &args.name)?;
    let context = NodeContext { listener, address, folder, peers, settings, seed: args.seed };
    let mut running = start(args.role, context)?;
    report(&Report::Ready);
    let end = obey(&mut parent, &mut running, &told).await?;
    running.task.abort();
    match end {
        End::Asked => telemetry.finish().await,
        End::ParentLost => lifetime::wake(&siblings),
    }
    Ok(end)
}

async fn obey(parent: &mut Parent, running: &mut Running, told: &watch::Sender<Peers>) -> Result<End, NodeError> {
    loop {
        let heard = tokio::select! {
            heard = parent.hear() => heard,
            ended = &mut running.task => {
                let why = ended.err().map_or("it returned".to_owned(), |error| error.to_string());
                return Err(NodeError::Stopped(why));
            }
        };
        match heard {
            Heard::End(end) => return Ok(end),
            Heard::Order(Order::Peers(peers)) => {
                told.send_replace(peers);
                report(&Report::Done);
            }
            Heard::Order(Order::Control(control)) => report(&running.controls.turn(control)),
            other => report(&Report::Failed { why: format!("{other:?} is no order") }),
        }
    }
}

/// A started role.
struct Running {
    task: JoinHandle<()>,
    controls: Controls,
}

/// What the parent can turn in a role.
enum Controls {
    None,
    Cache(Arc<Cache>),
    Replica(watch::Sender<Applier>),
}

impl Controls {
    fn turn(&self, control: Control) -> Report {
        match (self, control) {
            (Self::Cache(cache), Control::FlushCache) => cache.flush(),
            (Self::Replica(applier), Control::PauseApplier) => {
                applier.send_replace(Applier::Paused);
            }
            (Self::Replica(applier), Control::ResumeApplier) => {
                applier.send_replace(Applier::Running);
            }
            _ => {
                return Report::Failed { why: format!("this role has no {control:?}") };
            }
        }
        Report::Done
    }
}

fn start(role: Role, context: NodeContext) -> Result<Running, NodeError> {
    let mut controls = Controls::None;
    let task = match role {
        Role::LoadBalancer => tokio::spawn(proxy::start(context, Role::Web)),
        Role::Web => tokio::spawn(proxy::start(context, Role::App)),
        Role::App => tokio::spawn(app::start(context)),
        Role::Worker => tokio::spawn(worker::start(context)),
        Role::Primary => tokio::spawn(primary::start(context)?),
        Role::Queue => tokio::spawn(queue::start(context)?),
        Role::ObjectStore => tokio::spawn(objects::start(context)?),
        Role::Cache => {
            let cache = Arc::new(Cache::new(context.settings.cache_capacity));
            controls = Controls::Cache(Arc::clone(&cache));
            tokio::spawn(cache::start(context, cache))
        }
        Role::Replica => {
            let (sender, applier) = watch::channel(Applier::Running);
            controls = Controls::Replica(sender);
            tokio::spawn(replica::start(context, applier)?)
        }
    };
    Ok(Running { task, controls })
}

/// Makes the node's own folder, and the demo's if this node is the first; no other user may look.
fn own_folder(demo: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = demo.join(name);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder)
}

/// Writes a line to the parent. One that is gone does not read it, which ends the node elsewhere.
fn report(report: &Report) {
    if let Ok(line) = serde_json::to_string(report) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
