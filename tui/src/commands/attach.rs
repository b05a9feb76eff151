//! `tiertop attach`: a screen on a running agent.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use tiertop::run;
use tiertop::source::{Source, SourceLabel, SourceUpdate};
use tiertop_agent::args;
use tiertop_agent::feed::client::{self, ClientOptions, FeedEvent, Past};
use tiertop_agent::feed::{Detail, FeedAddress};
use tokio::sync::mpsc::channel;

use super::{Format, ScreenArgs, WAITING_ASKS, WAITING_UPDATES, newest_moment, print};

/// Where to look, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The agent's feed: HOST, HOST:PORT or :PORT.
    #[arg(value_name = "ADDR", default_value_t)]
    address: FeedAddress,
    /// File with the token that the agent asks for; else `TIERTOP_FEED_TOKEN` is read.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one snapshot, without a screen.
    #[arg(long)]
    once: bool,
    /// With --once: how long to try, such as 10s.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration, requires = "once")]
    timeout: Duration,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
    #[command(flatten)]
    screen: ScreenArgs,
}

pub(crate) async fn run(args: AttachArgs) -> Result<ExitCode> {
    let token = args::token(args.token_file.as_ref())?;
    let label = SourceLabel::Attached(args.address.to_string());
    let options = ClientOptions { address: args.address, token, detail: Detail::Full };
    if args.once {
        return match client::once(&options, args.timeout).await {
            Ok(snapshot) => print(&snapshot, Format::of(args.json)).map(|()| ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("tiertop attach: {error}");
                Ok(ExitCode::FAILURE)
            }
        };
    }
    let exit = run::run(args.screen.options(label), source_of(options)).await?;
    Ok(ExitCode::from(exit.code()))
}

/// What the feed's client tells, in the screen's words, and the past that it fetches.
fn source_of(options: ClientOptions) -> Source {
    let (sender, updates) = channel(WAITING_UPDATES);
    let (asks, mut asked) = channel(WAITING_ASKS);
    let mut address = options.address.to_string();
    let mut past = Past::new(options.clone());
    let mut events = client::watch(options);
    tokio::spawn(async move {
        loop {
            let update = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => Some(told(event, &mut address)),
                    None => return,
                },
                Some(ask) = asked.recv() => match newest_moment(ask, &mut asked) {
                    Some(unix_ms) => Some(match past.at(unix_ms).await {
                        Ok(snapshot) => SourceUpdate::Past(Arc::new(snapshot)),
                        Err(error) => SourceUpdate::Note(error.to_string()),
                    }),
                    None => None,
                },
            };
            if let Some(update) = update
                && sender.send(update).await.is_err()
            {
                return;
            }
        }
    });
    Source { updates, asks }
}

fn told(event: FeedEvent, address: &mut String) -> SourceUpdate {
    match event {
        FeedEvent::Connecting { attempt, error } => {
            SourceUpdate::Connecting { address: address.clone(), attempt, error }
        }
        FeedEvent::Connected { address: at, .. } => {
            address.clone_from(&at);
            SourceUpdate::Connected { address: at }
        }
        FeedEvent::Snapshot(snapshot) => SourceUpdate::Snapshot(snapshot),
    }
}
