//! The binary that people install: reads the command line and starts what it asks for.

mod commands;
#[cfg(debug_assertions)]
mod fixture_command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use color_eyre::eyre::Result;
use commands::{analyze, attach, config, replay, watch};
use tiertop::report;
use tiertop_agent::args::AgentArgs;

/// top for tiered systems: which tier holds the system back, and what to do about it.
///
/// Without a command: takes OpenTelemetry on this machine and shows it.
#[derive(Debug, Parser)]
#[command(name = "tiertop", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    watch: watch::WatchArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what a running agent sees.
    Attach(attach::AttachArgs),
    /// Runs the agent without a screen; watch it with `tiertop attach`.
    Agent(AgentArgs),
    /// Shows a recording on the same screens, to go back and forth in.
    Replay(replay::ReplayArgs),
    /// Names the bottleneck that captured files show.
    Analyze(analyze::AnalyzeArgs),
    /// Prints the configuration file with its defaults, or checks one.
    Config(config::ConfigArgs),
    /// Says what shipping to AWS costs.
    #[cfg(feature = "aws")]
    Aws(commands::aws::AwsArgs),
    /// Prints dashboards for CloudWatch and Grafana, or puts them into CloudWatch.
    #[cfg(feature = "aws")]
    Dashboards(commands::dashboards::DashboardsArgs),
    /// Starts a whole demo system under load, and shows it. Nothing else to install.
    #[cfg(feature = "demo")]
    Demo(commands::demo::DemoArgs),
    /// Scores verdicts against faults that are injected into a simulated demo.
    #[cfg(feature = "demo")]
    Scorecard(commands::scorecard::ScorecardArgs),
    /// Runs one process of the demo; started by the demo itself.
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoNode(tiertop_demo::node::NodeArgs),
    /// Shows made-up data.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Fixture(fixture_command::Arguments),
}

fn main() -> ExitCode {
    let ended = report::install().and_then(|()| run(Arguments::parse()));
    report::exit_code(ended)
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        None => commands::block_on(watch::run(arguments.watch)),
        Some(Command::Attach(arguments)) => commands::block_on(attach::run(arguments)),
        Some(Command::Agent(arguments)) => tiertop_agent::headless::run(arguments),
        Some(Command::Replay(arguments)) => commands::block_on(replay::run(arguments)),
        Some(Command::Analyze(arguments)) => analyze::run(arguments),
        Some(Command::Config(arguments)) => config::run(arguments),
        #[cfg(feature = "aws")]
        Some(Command::Aws(arguments)) => commands::block_on(commands::aws::run(arguments)),
        #[cfg(feature = "aws")]
        Some(Command::Dashboards(arguments)) => commands::block_on(commands::dashboards::run(arguments)),
        #[cfg(feature = "demo")]
        Some(Command::Demo(arguments)) => commands::block_on(commands::demo::run(arguments)),
        #[cfg(feature = "demo")]
        Some(Command::Scorecard(arguments)) => commands::scorecard::run(&arguments),
        #[cfg(feature = "demo")]
        Some(Command::DemoNode(arguments)) => commands::demo::run_node(&arguments),
        #[cfg(debug_assertions)]
        Some(Command::Fixture(arguments)) => commands::block_on(fixture_command::run(arguments)),
    }
}
