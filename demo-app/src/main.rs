//! `tiertop-demo`: the demo service and its load without the terminal.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use color_eyre::Section;
use color_eyre::config::HookBuilder;
use color_eyre::eyre::{Report, Result, WrapErr, eyre};
use tiertop_demo::fault::Fault;
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::play::{Interrupt, Play, PlayArgs};
use tiertop_demo::scenario::{Scenario, TruthLine};
use tiertop_demo::sim::command::{self, VirtualArgs};
use tiertop_demo::{Backends, Demo, DemoError, Servers};
use tokio::sync::watch;

/// The demo content service of tiertop: every tier a process, with load and faults.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service under load, in real time.
    Run(Box<RunArgs>),
    /// Lists the faults that can be played: where each is usually felt, and the truth of it.
    Faults,
    /// Runs one process of the service; started by the service itself.
    #[command(hide = true)]
    Node(Box<NodeArgs>),
}

/// How the control API is used, for those who ask for help.
const CONTROL: &str = "\
The control API answers on loopback, at the address that is printed:
  GET /nodes              the instances and whether they run
  GET /faults             the known faults, which fit the phase, and those that are active
  POST /faults            begins {\"fault\": \"replica-lag\", \"intensity\": \"high\", \"for\": \"30s\"}; 202 with its id
  DELETE /faults/{id}     ends a fault and puts back what it changed
  DELETE /faults          ends all faults
  GET /truth              the truth of the faults that have ended
  POST /load              makes the load {\"rate\": 200} requests a second";

#[derive(Debug, clap::Args)]
#[command(after_long_help = CONTROL)]
struct RunArgs {
    /// A scenario to play (TOML); it says all that the flags of the load and the faults would.
    #[arg(value_name = "FILE", conflicts_with_all = PlayArgs::GROUPS)]
    scenario: Option<PathBuf>,
    /// Where the truth goes, one line of JSON for each fault as it ends; - for standard output.
    #[arg(long, value_name = "PATH")]
    truth: Option<PathBuf>,
    /// Where telemetry goes, by OTLP over gRPC.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://127.0.0.1:4317")]
    otlp_endpoint: String,
    /// Uses real servers of PostgreSQL and Redis: a file says where they listen, or else the environment,
    /// in the variables that `stack.sh env` prints. It EMPTIES them: the tables `user_content` and `session`
    /// and database 0 of each Redis. So servers that are not marked as the demo's are refused.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-",
        value_parser = servers)]
    real: Option<Servers>,
    #[command(flatten)]
    play: PlayArgs,
    #[command(flatten)]
    simulation: VirtualArgs,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Node(args) => node::run(&args).map_err(|error| eyre!("failed to {error}")),
        Command::Faults => {
            say(&faults());
            Ok(())
        }
        Command::Run(args) => {
            HookBuilder::default().display_env_section(false).install()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(*args))
        }
    }
}

async fn run(args: RunArgs) -> Result<()> {
    if !is_endpoint(&args.otlp_endpoint) {
        return Err(eyre!("{:?} is no OTLP endpoint", args.otlp_endpoint))
            .suggestion("try --otlp-endpoint http://127.0.0.1:4317");
    }
    let play = play(&args)?;
    if args.simulation.virtual_time {
        return simulate(&args, play).await;
    }
    let mut truth = args.truth.as_ref().map(open).transpose()?;
    let program = std::env::current_exe().wrap_err("failed to find this program")?;
    let mut options = play.options(vec![program.into(), OsString::from("node")]);
    options.otlp_endpoint.clone_from(&args.otlp_endpoint);
    options.backends = args.real.clone().map_or(Backends::Embedded, Backends::Real);
    // From here on a signal ends the demo in good order, also while it starts.
    let mut interrupt = Interrupt::listen().wrap_err("failed to listen for signals")?;
    let started = tokio::select! {
        started = Demo::start(options) => started,
        () = interrupt.heard() => return Ok(()),
    };
    let demo = started
        .map_err(|error| failed(&error))
        .suggestion("look whether this machine still has free memory, processes and disk")?;
    let control = args.play.control.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let control = demo
        .open_control(control)
        .await
        .map_err(|error| failed(&error))
        .suggestion("try another --control, or none")?;
    // Standard output is for the truth alone, where it goes there.
    let tell = if truth.as_ref().is_some_and(Truth::is_standard_output) { complain } else { say };
    tell(&introduction(&demo, &args, control));
    let (lines, last) = (demo.truth(), demo.truth());
    let played = tokio::select! {
        played = play.run(&demo, interrupt.heard()) => played,
        failed = write_truth(truth.as_mut(), lines) => return Err(failed),
    };
    let written = truth.as_mut().map_or(Ok(()), |truth| truth.write(&last.borrow()));
    demo.stop().await.map_err(|error| failed(&error))?;
    let report =
        played.map_err(|error| failed(&error)).suggestion("run again; if it ends again, report the lines above")?;
    if let Some(report) = report {
        tell(&report.to_string());
    }
    for line in last.borrow().iter() {
        tell(&format!("{line}\n"));
    }
    written
}

/// Plays in virtual time: a model, of which no process is started.
async fn simulate(args: &RunArgs, play: Play) -> Result<()> {
    let duration = play.duration.ok_or_else(|| eyre!("virtual time ends with its scenario, and this one has no end"));
    let scenario = Scenario { duration: duration.suggestion("say how long, such as --duration 5m")?, ..play.scenario };
    command::run(&scenario, &args.simulation, &args.otlp_endpoint, args.truth.as_deref())
        .await
        .map_err(|error| eyre!("failed to {error}"))
}

/// Returns what is to be played: a file, or what the flags say.
fn play(args: &RunArgs) -> Result<Play> {
    match &args.scenario {
        Some(path) => {
            let scenario = Scenario::read(path).map_err(|error| eyre!("failed to {error}"))?;
            Ok(Play::of(scenario))
        }
        None => args.play.play().map_err(|why| eyre!(why)),
    }
}

fn failed(error: &DemoError) -> Report {
    eyre!("failed to {error}")
}

/// Where the truth is written, and how many of its lines have been.
struct Truth {
    out: Box<dyn Write>,
    written: usize,
    path: PathBuf,
}

/// Opens the place for the truth.
fn open(path: &PathBuf) -> Result<Truth> {
    let out: Box<dyn Write> = if path.as_os_str() == "-" {
        Box::new(std::io::stdout())
    } else {
        Box::new(std::fs::File::create(path).wrap_err_with(|| format!("failed to create {}", path.display()))?)
    };
    Ok(Truth { out, written: 0, path: path.clone() })
}

impl Truth {
    fn is_standard_output(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Writes the lines that have not been written.
    fn write(&mut self, lines: &[TruthLine]) -> Result<()> {
        for line in &lines[self.written..] {
            let line = serde_json::to_string(line)? + "\n";
            let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
            written.wrap_err_with(|| format!("failed to write to {}", self.path.display()))?;
        }
        self.written = lines.len();
        Ok(())
    }
}

/// Writes each line of the truth as it comes; returns why it cannot.
async fn write_truth(truth: Option<&mut Truth>, mut lines: watch::Receiver<Vec<TruthLine>>) -> Report {
    let Some(truth) = truth else { return std::future::pending().await };
    while lines.changed().await.is_ok() {
        if let Err(error) = truth.write(&lines.borrow_and_update()) {
            return error;
        }
    }
    std::future::pending().await
}

/// Reads where the real servers listen, from a file or by - from the environment.
fn servers(text: &str) -> Result<Servers, String> {
    let servers = if text == "-" { Servers::from_env() } else { Servers::from_file(Path::new(text)) };
    servers.map_err(|error| format!("failed to {error}; demo-app/stack/stack.sh start writes such a file"))
}

/// Whether a text is a URL with a scheme and a host.
fn is_endpoint(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some())
}

/// Says where the service is and of what it is made.
fn introduction(demo: &Demo, args: &RunArgs, control: SocketAddr) -> String {
    let nodes = demo.nodes();
    let mut lines = vec![
        format!("front      http://{}/api/v1/content", demo.front_address()),
        format!("telemetry  {} (OTLP over gRPC)", args.otlp_endpoint),
        format!("control    http://{control}/faults"),
        format!("ready      {} processes after {} ms", nodes.len(), demo.ready_after().as_millis()),
    ];
    lines.extend(nodes.iter().map(|node| {
        let address = node.address.map(|address| address.to_string()).unwrap_or_default();
        format!("  {:<16} pid {:<8} {address}", node.name, node.pid)
    }));
    lines.join("\n") + "\n"
}

/// Lists the faults, a line each.
fn faults() -> String {
    let head = ["fault", "phase", "tier", "wall", "what happens"].map(str::to_owned);
    let lines = std::iter::once(head).chain(Fault::all().map(|fault| {
        let phase = fault.usual_phase();
        let truth = fault.truth(phase);
        let tier = truth.as_ref().map_or("none", |truth| &truth.tier);
        let walls = truth.as_ref().map(|truth| &truth.phase[..]).unwrap_or_default();
        let walls: Vec<String> = walls.iter().map(ToString::to_string).collect();
        let walls = if walls.is_empty() { "-".to_owned() } else { walls.join(",") };
        [fault.name(), phase.to_string(), tier.to_owned(), walls, fault.description()]
    }));
    let columns = |[fault, phase, tier, walls, what]: [String; 5]| {
        format!("{fault:<18} {phase:>5}  {tier:<13} {walls:<6} {what}")
    };
    lines.map(columns).collect::<Vec<_>>().join("\n") + "\n"
}

/// Writes to standard output; a reader that is gone, as `head` soon is, ends nothing.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
