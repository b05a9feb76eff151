//! `tiertop-demo`: the demo service and its load without the terminal.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use clap::{Parser, Subcommand};
use color_eyre::Section;
use color_eyre::config::HookBuilder;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tiertop_demo::fault::{self, Fault, FaultPlan};
use tiertop_demo::load::{self, LoadOptions};
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::{Demo, DemoOptions, duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    /// Requests per second; 0 for no load.
    #[arg(long, default_value_t = 80.0, allow_negative_numbers = true)]
    rate: f64,
    /// How long to run, such as 30s or 5m; without it, until Ctrl-C.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Where telemetry goes, by OTLP over gRPC.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://127.0.0.1:4317")]
    otlp_endpoint: String,
    /// Seed of the load and of the service times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A fault to play while the load runs.
    #[arg(long)]
    fault: Option<Fault>,
    /// How long all is well before the fault.
    #[arg(long, default_value = "20s", value_parser = duration::parse, requires = "fault")]
    fault_after: Duration,
    /// How long the fault lasts.
    #[arg(long, default_value = "30s", value_parser = duration::parse, requires = "fault")]
    fault_for: Duration,
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
    if !args.rate.is_finite() || args.rate < 0.0 {
        return Err(eyre!("the rate {} is no number of requests per second", args.rate)).suggestion("try --rate 80");
    }
    if !is_endpoint(&args.otlp_endpoint) {
        return Err(eyre!("{:?} is no OTLP endpoint", args.otlp_endpoint))
            .suggestion("try --otlp-endpoint http://127.0.0.1:4317");
    }
    let program = std::env::current_exe().wrap_err("failed to find this program")?;
    let mut options = DemoOptions::new(vec![program.into(), OsString::from("node")]);
    options.otlp_endpoint.clone_from(&args.otlp_endpoint);
    options.seed = args.seed;
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
    let outcome = under_load(&demo, &args, &mut interrupt).await;
    demo.stop().await.map_err(|error| eyre!("failed to {error}"))?;
    outcome
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

/// Puts load on the demo, with its fault if there is one, and prints the report.
async fn under_load(demo: &Demo, args: &RunArgs, interrupt: &mut Interrupt) -> Result<()> {
    let mut options = LoadOptions::new(demo.front_address(), demo.content_ids().to_vec());
    options.rate = args.rate;
    options.duration = args.duration;
    options.seed = args.seed;
    let load = async {
        if args.rate > 0.0 {
            say(&load::run(options, interrupt.heard()).await.to_string());
        } else {
            // Without load there is nothing to report: the service is there to be looked at.
            let _ = tokio::time::timeout(args.duration.unwrap_or(Duration::MAX), interrupt.heard()).await;
        }
        Ok(())
    };
    let fault = async {
        if let Some(fault) = args.fault {
            let plan = FaultPlan { fault, after: args.fault_after, lasting: args.fault_for };
            fault::play(demo, plan).await.map_err(|error| eyre!("failed to {error}"))?;
        }
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        done = load => done,
        failed = fault => failed,
        exit = demo.wait_any_exit() => {
            Err(eyre!("{} ended: {}", exit.name, exit.why))
                .suggestion("run again; if it ends again, report the line above")
        }
    }
}

/// The signals that end the program: Ctrl-C and SIGTERM.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when one of them arrives.
    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
