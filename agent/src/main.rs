//! The headless agent.

use std::process::ExitCode;

use clap::Parser;
use tiertop_agent::args::AgentArgs;
use tiertop_agent::headless;

/// Receives OpenTelemetry, sorts it into tiers and serves what it finds to `tiertop attach`.
#[derive(Debug, Parser)]
#[command(name = "tiertop-agent", version)]
struct Arguments {
    #[command(flatten)]
    agent: AgentArgs,
}

fn main() -> color_eyre::Result<ExitCode> {
    color_eyre::config::HookBuilder::default().display_env_section(false).install()?;
    headless::run(Arguments::parse().agent)
}
