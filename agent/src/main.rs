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

fn main() -> ExitCode {
    headless::run(Arguments::parse().agent).unwrap_or_else(|report| {
        // With its causes on one line: what is returned was foreseen, a backtrace would only hide it.
        eprintln!("tiertop-agent: {report:#}");
        ExitCode::FAILURE
    })
}
