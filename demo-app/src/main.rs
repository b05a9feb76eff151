//! `tiertop-demo`: the demo service and its load without the terminal.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use color_eyre::Section;
use color_eyre::config::HookBuilder;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::play::{Interrupt, PlayArgs};
use tiertop_demo::{Backends, Demo, DemoOptions, Servers};

/// The demo content service of tiertop: every tier a process, with load and faults.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service under load.
    Run(RunArgs),
    /// Runs one process of the service; started by the service itself.
    #[command(hide = true)]
    Node(NodeArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Where telemetry goes, by OTLP over gRPC.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://127.0.0.1:4317")]
    otlp_endpoint: String,
    /// Uses real servers of PostgreSQL and Redis; a file says where they listen, or else the environment,
    /// in the variables that `stack.sh env` prints.
    #[arg(long, value_name = "FILE")]
    real: Option<Option<PathBuf>>,
    #[command(flatten)]
    play: PlayArgs,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Node(args) => node::run(&args).map_err(|error| eyre!("failed to {error}")),
        Command::Run(args) => {
            HookBuilder::default().display_env_section(false).install()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(args))
        }
    }
}

async fn run(args: RunArgs) -> Result<()> {
    if !is_endpoint(&args.otlp_endpoint) {
        return Err(eyre!("{:?} is no OTLP endpoint", args.otlp_endpoint))
            .suggestion("try --otlp-endpoint http://127.0.0.1:4317");
    }
    let program = std::env::current_exe().wrap_err("failed to find this program")?;
    let mut options = DemoOptions::new(vec![program.into(), OsString::from("node")], args.play.phase);
    options.otlp_endpoint.clone_from(&args.otlp_endpoint);
    options.seed = args.play.seed;
    options.backends = backends(args.real.as_ref())?;
    // From here on a signal ends the demo in good order, also while it starts.
    let mut interrupt = Interrupt::listen().wrap_err("failed to listen for signals")?;
    let started = tokio::select! {
        started = Demo::start(options) => started,
        () = interrupt.heard() => return Ok(()),
    };
    let demo = started
        .map_err(|error| eyre!("failed to {error}"))
        .suggestion("look whether this machine still has free memory, processes and disk")?;
    say(&introduction(&demo, &args));
    let played = args.play.play(&demo, interrupt.heard()).await;
    demo.stop().await.map_err(|error| eyre!("failed to {error}"))?;
    let report = played
        .map_err(|error| eyre!("failed to {error}"))
        .suggestion("run again; if it ends again, report the lines above")?;
    if let Some(report) = report {
        say(&report.to_string());
    }
    Ok(())
}

/// Returns the servers that the stores are, as the command line says.
fn backends(real: Option<&Option<PathBuf>>) -> Result<Backends> {
    let servers = match real {
        None => return Ok(Backends::Embedded),
        Some(None) => Servers::from_env(),
        Some(Some(file)) => Servers::from_file(file),
    };
    servers
        .map(Backends::Real)
        .map_err(|error| eyre!("failed to {error}"))
        .suggestion("start them by demo-app/stack/stack.sh start, and give the file that it wrote: --real FOLDER/env")
}

/// Whether a text is a URL with a scheme and a host.
fn is_endpoint(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some())
}

/// Says where the service is and of what it is made.
fn introduction(demo: &Demo, args: &RunArgs) -> String {
    let mut lines = vec![
        format!("front      http://{}/api/v1/content", demo.front_address()),
        format!("telemetry  {} (OTLP over gRPC)", args.otlp_endpoint),
    ];
    lines.extend(demo.nodes().iter().map(|node| {
        let address = node.address.map(|address| address.to_string()).unwrap_or_default();
        format!("  {:<16} pid {:<8} {address}", node.name, node.pid)
    }));
    lines.join("\n") + "\n"
}

/// Writes to standard output; a reader that is gone, as `head` soon is, ends nothing.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
