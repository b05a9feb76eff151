//! The binary that people install: reads the command line and starts what it asks for.

#[cfg(debug_assertions)]
mod fixture_command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use color_eyre::eyre::{Result, bail};

/// top for tiered systems: which tier holds the system back, and what to do about it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows made-up data.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Fixture(fixture_command::Arguments),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    tiertop::report::install()?;
    match Arguments::parse().command {
        #[cfg(debug_assertions)]
        Some(Command::Fixture(arguments)) => fixture_command::run(arguments).await,
        _ => bail!("nothing is wired up yet"),
    }
}
