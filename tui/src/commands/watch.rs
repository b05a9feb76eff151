//! `tiertop`: an agent in this process, and a screen on it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use tiertop::source::SourceLabel;
use tiertop::{run, terminal};
use tiertop_agent::args::AgentArgs;

use super::{Format, ScreenArgs, print, source_of};

/// What to take in, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Watch for a while without a screen, then print one snapshot.
    #[arg(long)]
    once: bool,
    /// With --once: for how long, such as 10s or 2m.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, requires = "once")]
    lasting: Duration,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
    #[command(flatten)]
    screen: ScreenArgs,
    #[command(flatten)]
    agent: AgentArgs,
}

pub(crate) async fn run(args: WatchArgs) -> Result<ExitCode> {
    if !args.once {
        terminal::needed("--once")?;
        #[cfg(feature = "aws")]
        super::no_lines_on_a_screen(&args.agent.ship, "--once")?;
    }
    let agent = args.agent.start_embedded().await?;
    if args.once {
        let addresses = agent.addresses();
        eprintln!(
            "tiertop: taking OTLP on {} (gRPC) and {} (HTTP) for {}",
            addresses.otlp_grpc,
            addresses.otlp_http,
            humantime::format_duration(args.lasting)
        );
        tokio::select! {
            () = tokio::time::sleep(args.lasting) => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        let last = agent.stop().await;
        print(&last, Format::of(args.json))?;
        return Ok(ExitCode::SUCCESS);
    }
    let exit = run::run(args.screen.options(SourceLabel::Embedded), source_of(&agent)).await?;
    agent.stop().await;
    Ok(ExitCode::from(exit.code()))
}
