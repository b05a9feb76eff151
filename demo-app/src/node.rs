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
mod process;

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backends::{self, Servers as RealServers};
use crate::service::{app, edge, external, proxy, single_box, worker};
use crate::settings::Settings;
use crate::store::service_time::Servers;
use crate::store::{cache, objects, primary, queue, replica, standby};
use crate::telemetry::{Identity, Telemetry, process as process_metrics, workers};
use crate::topology::{Peers, Role, Zone};
use crate::wire::Wires;
use lifetime::{End, Heard, Parent};
use process::Process;

/// How the name of a demo's folder begins. Nodes remove no other.
pub(crate) const FOLDER_PREFIX: &str = "tiertop-demo-";

/// A free port on loopback.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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
    /// The real servers, where the demo stands on some.
    #[arg(long)]
    pub real: Option<RealServers>,
    /// Where it listens; at another free port should that one be taken.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Whether it starts cold, and serves slowly until it is warm.
    #[arg(long)]
    pub cold: bool,
    /// The version that it says it runs.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    pub release: String,
}

/// What a parent tells a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Begin(Box<Beginning>),
    Peers(Peers),
    Control(Control),
    /// Answered by [`Report::Load`].
    Load,
}

/// What a node is told before it starts its role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub(crate) peers: Peers,
    pub(crate) settings: Settings,
    /// The other nodes' processes.
    pub(crate) siblings: Vec<u32>,
}

/// What can be turned in a running node. Each variant also says how it is put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Control {
    /// Replica and standby: how changes are applied.
    Replay(Replay),
    /// Cache: forgets this share of its entries, once.
    Forget { share: f64 },
    /// Any governed node and the third party: takes longer for each request and refuses some; zeros put
    /// it back.
    Slow { by: Duration, refused: f64 },
    /// Primary: sessions that run burning queries; zero sessions end them.
    BurningQueries { sessions: usize, cpu: Duration },
    /// Primary: a session that takes the write lock again and again; zero `held` ends it.
    HoldLock { held: Duration, free: Duration },
    /// Primary: fills its disk; `None` gives the room back.
    FillDisk { within: Option<Duration> },
    /// Primary and replicas: whether the index on users is there; `Some` drops it and sets what a scanned
    /// row takes.
    DropIndex { row: Option<Duration> },
    /// Application: connections of each database pool, and a job that holds them all; `None` puts the pools
    /// back.
    ShrinkPool(Option<PoolSqueeze>),
    /// Application and box: share of the time in which it only computes; zero ends it.
    BurnCpu { share: f64 },
    /// Application and box: bytes taken each second; zero gives all of them back.
    Leak { bytes_per_second: u64 },
    /// Balancer: share of the requests that goes to its first instance; zero for an even balance.
    Uneven { share: f64 },
    /// Any node: how much later what it exchanges with a role arrives; zero ends it.
    WireDelay { to: Role, by: Duration },
    /// Any node that begins traces: share of them that is kept; 1 for all.
    Sample { share: f64 },
    /// Standby: takes over for the primary; done when it leads.
    Promote,
}

/// How a replica applies the primary's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Replay {
    /// As they come.
    Running,
    /// Not at all.
    Paused,
    /// This long after they were made.
    Late(Duration),
}

/// How tight a pool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolSqueeze {
    /// How many connections are left.
    pub(crate) size: usize,
    /// For how long a job holds them all.
    pub(crate) held: Duration,
    /// How long it leaves them free in between.
    pub(crate) free: Duration,
}

/// What a node reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Listening {
        address: Option<SocketAddr>,
    },
    Ready,
    Done,
    /// Share of the node's servers that were busy since this was asked last, 0 to 1.
    Load {
        busy: f64,
    },
    Failed {
        why: String,
    },
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
    /// There is no real server for it, or the program was built without them.
    #[error("stand beside a real server: {0}")]
    Server(String),
    /// The node was started by hand, or by another version.
    #[error("understand the parent: {0}; nodes are started by a demo, not by hand")]
    Protocol(String),
}

/// What a role gets to start with.
pub(crate) struct NodeContext {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    /// Where it says it runs.
    pub(crate) zone: Zone,
    /// The node's own folder.
    pub(crate) folder: PathBuf,
    pub(crate) peers: watch::Receiver<Peers>,
    pub(crate) settings: Settings,
    /// The governor of this node: every request that it works for is served by one of these.
    pub(crate) servers: Arc<Servers>,
    /// The wires to its peers, which a fault can make longer.
    pub(crate) wires: Wires,
    pub(crate) seed: u64,
    /// Whether it starts cold, and serves slowly until it is warm.
    pub(crate) cold: bool,
}

/// A role, ready to serve.
pub(crate) struct Started {
    /// Serves for as long as it is polled.
    pub(crate) serving: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Turns what only this role has.
    pub(crate) turn: Turn,
}

/// Turns something in a role.
pub(crate) type Turn = Box<dyn Fn(Control) -> Turning + Send>;

/// Is over when something has been turned; the error says why it cannot be.
pub(crate) type Turning = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

impl Started {
    /// A role in which nothing of its own can be turned.
    pub(crate) fn plain(serving: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::turned(serving, |control| Err(unknown(&control)))
    }

    /// A role with things of its own that can be turned at once.
    pub(crate) fn turned(
        serving: impl Future<Output = ()> + Send + 'static,
        turn: impl Fn(Control) -> Result<(), String> + Send + 'static,
    ) -> Self {
        Self::turned_in_time(serving, move |control| Box::pin(std::future::ready(turn(control))))
    }

    /// A role with things of its own whose turning takes time.
    pub(crate) fn turned_in_time(
        serving: impl Future<Output = ()> + Send + 'static,
        turn: impl Fn(Control) -> Turning + Send + 'static,
    ) -> Self {
        Self { serving: Box::pin(serving), turn: Box::new(turn) }
    }
}

/// Says that a role has nothing that a control turns.
pub(crate) fn unknown(control: &Control) -> String {
    format!("this role has nothing to turn by {control:?}")
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
    let server = backends::stand(args.real.as_ref(), args.role, &args.name).map_err(NodeError::Server)?;
    // The address of a server is never the sidecar's to listen at, also when the server is away.
    let listener = listen(if server.is_some() { ANYWHERE } else { args.listen }).await?;
    let address = server.map_or_else(|| listener.local_addr(), Ok)?;
    report(&Report::Listening { address: args.role.listens().then_some(address) });
    let Beginning { peers, settings, siblings } = match parent.hear().await {
        Heard::End(end) => return Ok(end),
        Heard::Order(Order::Begin(beginning)) => *beginning,
        Heard::Order(other) => {
            return Err(NodeError::Protocol(format!("{other:?} is no beginning")));
        }
        Heard::Nonsense(why) => return Err(NodeError::Protocol(why)),
    };
    let telemetry = telemetry(args, address)?;
    let (told, peers) = watch::channel(peers);
    let folder = own_folder(&args.folder, &args.name)?;
    let servers = Arc::new(Servers::new(settings.service_time(args.role), args.seed));
    let wires = Wires::default();
    let sampling = match &telemetry {
        Some(telemetry) => telemetry.share().ok_or("OTEL_TRACES_SAMPLER is set, and rules what is sampled"),
        None => Err("this process sends no telemetry"),
    };
    // What a sidecar needs for itself is not what its server needs.
    if telemetry.is_some() && server.is_none() {
        process_metrics::measure(settings.memory_limit_bytes);
        tokio::spawn(process::keep_within(settings.memory_limit_bytes));
        workers::measure(&servers);
    }
    let process = Process::new(Arc::clone(&servers), wires.clone(), settings.memory_limit_bytes, sampling);
    let (zone, seed, cold) = (args.zone, args.seed, args.cold);
    let context = NodeContext { listener, address, zone, folder, peers, settings, servers, wires, seed, cold };
    let Started { serving, turn } = start(args.role, context)?;
    let mut running = Running { task: tokio::spawn(serving), turn, process };
    report(&Report::Ready);
    let end = obey(&mut parent, &mut running, &told).await?;
    running.task.abort();
    match end {
        End::Asked => {
            if let Some(telemetry) = telemetry {
                telemetry.finish().await;
            }
        }
        End::ParentLost => lifetime::wake(&siblings),
    }
    Ok(end)
}

/// Binds an address or, where somebody else has taken it meanwhile, a free port beside it.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(address.ip(), 0)).await
        }
        bound => bound,
    }
}

/// Sets up the telemetry of this process. A third party has none: what it knows of itself stays there.
fn telemetry(args: &NodeArgs, address: SocketAddr) -> Result<Option<Telemetry>, NodeError> {
    if args.role == Role::External {
        return Ok(None);
    }
    let identity = Identity { role: args.role, name: &args.name, zone: args.zone, release: &args.release, address };
    Telemetry::start(&identity, &args.otlp_endpoint)
        .map(Some)
        .map_err(|source| NodeError::Telemetry { endpoint: args.otlp_endpoint.clone(), source })
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
            Heard::Order(Order::Control(control)) => report(&running.turn(control).await),
            Heard::Order(Order::Load) => report(&Report::Load { busy: running.process.servers.busy_share() }),
            other => report(&Report::Failed { why: format!("{other:?} is no order") }),
        }
    }
}

/// A role that serves, and its process.
struct Running {
    task: JoinHandle<()>,
    turn: Turn,
    process: Process,
}

impl Running {
    /// Turns what every process has, or else what the role has.
    async fn turn(&self, control: Control) -> Report {
        let turned = match self.process.turn(control) {
            Ok(Some(control)) => (self.turn)(control).await,
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        match turned {
            Ok(()) => Report::Done,
            Err(why) => Report::Failed { why },
        }
    }
}

fn start(role: Role, context: NodeContext) -> Result<Started, NodeError> {
    #[cfg(feature = "real")]
    if let Some(servers) = backends::here().servers(role) {
        return Ok(crate::real::start(role, &context, servers));
    }
    Ok(match role {
        Role::Edge => edge::start(context),
        Role::LoadBalancer => proxy::balancer(context),
        Role::Web => proxy::web(context),
        Role::Box => single_box::start(context)?,
        Role::App => app::start(context),
        Role::Worker => Started::plain(worker::start(context)),
        Role::Primary => primary::start(context)?,
        Role::Standby => standby::start(context)?,
        Role::Replica => replica::start(context)?,
        Role::Cache => cache::start(context),
        Role::Queue => Started::plain(queue::start(context)?),
        Role::ObjectStore => Started::plain(objects::start(context)?),
        Role::External => external::start(context),
    })
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
