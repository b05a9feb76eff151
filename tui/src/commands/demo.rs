//! `tiertop demo`: the demo service under load, an agent, and a screen or a report. All on free
//! ports of its own, and all gone at the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::Section;
use color_eyre::eyre::{Result, WrapErr, bail, eyre};
use tiertop::run;
use tiertop::source::SourceLabel;
use tiertop_agent::agent::{Agent, AgentOptions};
use tiertop_agent::receive::Limits;
use tiertop_core::config::Config;
use tiertop_demo::fault::{self, Fault, FaultPlan};
use tiertop_demo::load::{self, LoadOptions, LoadReport};
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::{Demo, DemoOptions};
use tokio::sync::watch;

use super::{Format, ScreenArgs, print, say, updates_of};

/// How long a report without a screen watches, unless told.
const HEADLESS_FOR: Duration = Duration::from_secs(30);
/// Telemetry that may wait for the engine.
const QUEUE_BYTES: u64 = 64 << 20;

/// What to start, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Requests per second.
    #[arg(long, default_value_t = 80.0)]
    rate: f64,
    /// How long to run, such as 30s or 5m [default: until you quit; 30s with --headless].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Without a screen: print per-tier and headline figures at the end.
    #[arg(long)]
    headless: bool,
    /// With --headless: print the last snapshot as JSON.
    #[arg(long, requires = "headless")]
    json: bool,
    /// Seed of the load.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let something go wrong after a healthy while.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// How long all is well before the fault.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    fault_after: Duration,
    /// How long the fault lasts.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    fault_for: Duration,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// Runs one process of the demo.
pub(crate) fn run_node(args: &NodeArgs) -> Result<ExitCode> {
    node::run(args).map_err(|error| eyre!("failed to {error}"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode> {
    if !args.rate.is_finite() || args.rate <= 0.0 {
        bail!("the rate is not a number of requests per second; try --rate 80");
    }
    let agent = Agent::start(agent_options())?;
    let demo = start(&args, agent.addresses().otlp_grpc).await?;
    let outcome = if args.headless { report(&args, &demo, &agent).await } else { show(&args, &demo, &agent).await };
    let stopped = demo.stop().await.map_err(|error| eyre!("failed to {error}"));
    agent.stop().await;
    let code = outcome?;
    stopped.map(|()| code)
}

fn agent_options() -> AgentOptions {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    AgentOptions {
        otlp_grpc: any_port,
        otlp_http: any_port,
        feed: None,
        admin: None,
        limits: Limits::default(),
        queue_bytes: QUEUE_BYTES,
        config: Config::default(),
    }
}

async fn start(args: &DemoArgs, otlp: SocketAddr) -> Result<Demo> {
    let program = std::env::current_exe().wrap_err("failed to find this program")?;
    let mut options = DemoOptions::new(vec![program.into(), "demo-node".into()]);
    options.otlp_endpoint = format!("http://{otlp}");
    options.seed = args.seed;
    Demo::start(options)
        .await
        .map_err(|error| eyre!("failed to {error}"))
        .suggestion("look whether this machine still has free memory, processes and disk")
}

/// The screen, until the user quits or the time is over.
async fn show(args: &DemoArgs, demo: &Demo, agent: &Agent) -> Result<ExitCode> {
    let screen = run::run(args.screen.options(SourceLabel::Demo), updates_of(agent.snapshots()));
    let (_stop, stopped) = watch::channel(false);
    let play = async {
        play(args, demo, args.duration, stopped).await?;
        if args.duration.is_none() { std::future::pending().await } else { Ok(()) }
    };
    tokio::select! {
        exit = screen => Ok(ExitCode::from(exit?.code())),
        played = play => played.map(|()| ExitCode::SUCCESS),
    }
}

/// No screen: what the load saw and what the last snapshot says.
async fn report(args: &DemoArgs, demo: &Demo, agent: &Agent) -> Result<ExitCode> {
    let lasting = args.duration.unwrap_or(HEADLESS_FOR);
    eprintln!(
        "tiertop demo: {} processes, {} requests/s for {}",
        demo.nodes().len(),
        args.rate,
        humantime::format_duration(lasting)
    );
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        stop.closed().await;
    });
    let load = play(args, demo, Some(lasting), stopped).await?;
    let last = std::sync::Arc::clone(&agent.snapshots().borrow());
    print(&last, Format::of(args.json))?;
    if !args.json {
        say(&format!("\n{load}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Load, with a fault if there is one, until its time is over, `stopped` turns true or a process ends.
async fn play(
    args: &DemoArgs,
    demo: &Demo,
    lasting: Option<Duration>,
    mut stopped: watch::Receiver<bool>,
) -> Result<LoadReport> {
    let mut options = LoadOptions::new(demo.front_address(), demo.content_ids().to_vec());
    options.rate = args.rate;
    options.duration = lasting;
    options.seed = args.seed;
    let load = load::run(options, async move { drop(stopped.wait_for(|stopped| *stopped).await) });
    let fault = async {
        if let Some(fault) = args.fault {
            let plan = FaultPlan { fault, after: args.fault_after, lasting: args.fault_for };
            fault::play(demo, plan).await.map_err(|error| eyre!("failed to {error}"))?;
        }
        std::future::pending::<Result<LoadReport>>().await
    };
    tokio::select! {
        report = load => Ok(report),
        failed = fault => failed,
        exit = demo.wait_any_exit() => {
            Err(eyre!("{} ended: {}", exit.name, exit.why)).suggestion("run again; if it ends again, report the line above")
        }
    }
}
