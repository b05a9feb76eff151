//! `tiertop demo`: the demo service under load, an agent, and a screen or a report. All on free
//! ports of its own, and all gone at the end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tiertop::source::SourceLabel;
use tiertop::{run, terminal};
use tiertop_agent::agent::{Agent, AgentOptions};
use tiertop_agent::configuration::{Configuration, ConfigurationArgs};
use tiertop_agent::history::args::RecordArgs;
use tiertop_demo::Demo;
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::play::{Interrupt, Play, PlayArgs};

use super::{Format, ScreenArgs, print, say, source_of};

/// How long a report without a screen watches, unless told.
const HEADLESS_FOR: Duration = Duration::from_secs(30);

/// How long a report without a screen watches once a fault is over, unless told.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// What to start, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    play: PlayArgs,
    /// Without a screen: print per-tier and headline figures at the end, after 30s, or after the fault, unless told.
    #[arg(long)]
    headless: bool,
    /// With --headless: print the last snapshot as JSON.
    #[arg(long, requires = "headless")]
    json: bool,
    #[command(flatten)]
    screen: ScreenArgs,
    #[command(flatten)]
    configuration: ConfigurationArgs,
    #[command(flatten)]
    record: RecordArgs,
    #[cfg(feature = "aws")]
    #[command(flatten)]
    ship: tiertop_agent::ship::args::ShipArgs,
}

/// Runs one process of the demo.
pub(crate) fn run_node(args: &NodeArgs) -> Result<ExitCode> {
    node::run(args).map_err(|error| eyre!("failed to {error}"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode> {
    if args.headless {
        return report(args).await;
    }
    terminal::needed("--headless")?;
    #[cfg(feature = "aws")]
    super::no_lines_on_a_screen(&args.ship, "--headless")?;
    let play = wanted(&args.play)?;
    let (agent, demo) = start(&args, &play).await?;
    let outcome = show(&args, &play, &demo, &agent).await;
    let stopped = stop(demo, agent).await;
    let code = outcome?;
    stopped.map(|()| code)
}

fn wanted(args: &PlayArgs) -> Result<Play> {
    args.play().map_err(|why| eyre!(why))
}

async fn start(args: &DemoArgs, play: &Play) -> Result<(Agent, Demo)> {
    let agent = start_agent(args).await?;
    let program = std::env::current_exe().wrap_err("failed to find this program")?;
    let mut options = play.options(vec![program.into(), "demo-node".into()]);
    options.otlp_endpoint = format!("http://{}", agent.addresses().otlp_grpc);
    let demo = Demo::start(options).await.map_err(|error| {
        eyre!("failed to {error}\nlook whether this machine still has free memory, processes and disk")
    })?;
    if let Some(address) = args.play.control {
        demo.open_control(address).await.map_err(|error| eyre!("failed to {error}\ntry another --control"))?;
    }
    Ok((agent, demo))
}

#[cfg(feature = "aws")]
async fn start_agent(args: &DemoArgs) -> Result<Agent> {
    let file = args.configuration.read()?;
    let shipping = tiertop_agent::ship::Shipping::start(args.ship.over(&file)).await?;
    Ok(Agent::start_shipping(agent_options(args, &file), shipping)?)
}

#[cfg(not(feature = "aws"))]
async fn start_agent(args: &DemoArgs) -> Result<Agent> {
    Ok(Agent::start(agent_options(args, &args.configuration.read()?))?)
}

fn agent_options(args: &DemoArgs, file: &Configuration) -> AgentOptions {
    AgentOptions { history: args.record.options(&file.history), ..AgentOptions::private().configured(file) }
}

async fn stop(demo: Demo, agent: Agent) -> Result<()> {
    let stopped = demo.stop().await;
    agent.stop().await;
    stopped.map_err(|error| eyre!("failed to {error}"))
}

/// Plays until the time is over or `shutdown` completes; returns what the load saw, as text.
async fn run_play(play: &Play, demo: &Demo, shutdown: impl Future<Output = ()>) -> Result<String> {
    let report = play
        .run(demo, shutdown)
        .await
        .map_err(|error| eyre!("failed to {error}\nrun again; if it ends again, report the line above"))?;
    Ok(report.map(|report| report.to_string()).unwrap_or_default())
}

/// The screen, until the user quits or the time is over.
async fn show(args: &DemoArgs, play: &Play, demo: &Demo, agent: &Agent) -> Result<ExitCode> {
    let screen = run::run(args.screen.options(SourceLabel::Demo), source_of(agent));
    tokio::select! {
        exit = screen => Ok(ExitCode::from(exit?.code())),
        played = run_play(play, demo, std::future::pending()) => played.map(|_| ExitCode::SUCCESS),
    }
}

/// No screen: what the load saw and what the last snapshot says.
async fn report(args: DemoArgs) -> Result<ExitCode> {
    let mut play = wanted(&args.play)?;
    // A fault that was asked for is played to its end.
    let over = play.scenario.faults.iter().map(|fault| fault.plan.after.saturating_add(fault.plan.lasting)).max();
    let lasting = over.map_or(HEADLESS_FOR, |over| over.saturating_add(AFTERWARDS).max(HEADLESS_FOR));
    let lasting = *play.duration.get_or_insert(lasting);
    // From here on a signal ends the demo in good order, also while it starts.
    let mut interrupt = Interrupt::listen().wrap_err("failed to listen for signals")?;
    let (agent, demo) = tokio::select! {
        started = start(&args, &play) => started?,
        () = interrupt.heard() => return Ok(ExitCode::SUCCESS),
    };
    eprintln!(
        "tiertop demo: phase {}, {} processes, {} for {}",
        play.scenario.phase,
        demo.nodes().len(),
        arrivals(&play),
        humantime::format_duration(lasting)
    );
    let played = run_play(&play, &demo, interrupt.heard()).await;
    for line in demo.truth().borrow().iter() {
        eprintln!("tiertop demo: {line}");
    }
    let last = Arc::clone(&agent.snapshots().borrow());
    let stopped = stop(demo, agent).await;
    let load = played?;
    stopped?;
    print(&last, Format::of(args.json))?;
    if !args.json {
        say(&format!("\n{load}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What arrives, in words.
fn arrivals(play: &Play) -> String {
    match play.scenario.load.closed {
        Some(closed) => format!("{} clients", closed.clients),
        None => format!("{} requests/s", play.scenario.load.rate),
    }
}
