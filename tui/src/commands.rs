//! What the commands share: the screen's flags, one snapshot as text, and the way from an agent to
//! the screen.

pub(crate) mod analyze;
pub(crate) mod attach;
#[cfg(feature = "aws")]
pub(crate) mod aws;
pub(crate) mod config;
#[cfg(feature = "aws")]
pub(crate) mod dashboards;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod replay;
#[cfg(feature = "demo")]
pub(crate) mod scorecard;
pub(crate) mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
#[cfg(feature = "aws")]
use color_eyre::eyre::eyre;
use color_eyre::eyre::{Result, WrapErr};
use tiertop::run::ScreenOptions;
use tiertop::screen::Signs;
use tiertop::source::{Ask, Source, SourceLabel, SourceUpdate};
use tiertop::text;
use tiertop::theme::Palette;
use tiertop_agent::agent::Agent;
use tiertop_agent::history::History;
use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc::{Receiver, channel};

/// Updates that may wait for the screen; it takes the newest.
const WAITING_UPDATES: usize = 4;

/// Questions that may wait for the source; it takes the last.
const WAITING_ASKS: usize = 16;

/// How the screen looks.
#[derive(Clone, Debug, Args)]
pub(crate) struct ScreenArgs {
    /// Colours: dark, light, 16 or none [default: by the terminal; none with `NO_COLOR`].
    #[arg(long, value_name = "THEME")]
    theme: Option<Palette>,
    /// Draw with ASCII signs alone [default: by the locale].
    #[arg(long)]
    ascii: bool,
}

impl ScreenArgs {
    pub(crate) fn options(&self, label: SourceLabel) -> ScreenOptions {
        ScreenOptions { label, palette: self.theme, signs: self.ascii.then_some(Signs::Ascii) }
    }
}

/// How one snapshot is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Format {
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Prints one snapshot to standard output. A reader that is gone, as `head` soon is, ends nothing.
pub(crate) fn print(snapshot: &Snapshot, format: Format) -> Result<()> {
    let page = match format {
        Format::Text => text::print_snapshot(snapshot),
        Format::Json => serde_json::to_string_pretty(snapshot)? + "\n",
    };
    say(&page);
    Ok(())
}

/// What would be sent is printed, and a screen leaves no place for it.
#[cfg(feature = "aws")]
fn no_lines_on_a_screen(ship: &tiertop_agent::ship::args::ShipArgs, instead: &str) -> Result<()> {
    if ship.dry_run {
        return Err(eyre!(
            "--dry-run prints lines, for which a screen has no place: add {instead}, or use `tiertop agent`"
        ));
    }
    Ok(())
}

/// Writes to standard output, whoever reads it.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// An agent in this process as the screen's source: its snapshots as they come, and its past when asked.
pub(crate) fn source_of(agent: &Agent) -> Source {
    let (sender, updates) = channel(WAITING_UPDATES);
    let (asks, mut asked) = channel(WAITING_ASKS);
    let (mut snapshots, history) = (agent.snapshots(), agent.history());
    tokio::spawn(async move {
        loop {
            let update = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => Some(SourceUpdate::Snapshot(Arc::clone(&snapshots.borrow_and_update()))),
                    Err(_) => break,
                },
                Some(ask) = asked.recv() => match newest_moment(ask, &mut asked) {
                    Some(unix_ms) => past_of(history.clone(), unix_ms).await,
                    None => None,
                },
            };
            if let Some(update) = update
                && sender.send(update).await.is_err()
            {
                return;
            }
        }
        let _ = sender.send(SourceUpdate::Ended("the agent in this process stopped".to_owned())).await;
    });
    Source { updates, asks }
}

/// The moment that was asked for last: of a key that is held down only that counts.
pub(crate) fn newest_moment(mut ask: Ask, asked: &mut Receiver<Ask>) -> Option<u64> {
    while let Ok(newer) = asked.try_recv() {
        ask = newer;
    }
    match ask {
        Ask::At(unix_ms) => Some(unix_ms),
        // What is live plays by itself.
        Ask::Play { .. } => None,
    }
}

async fn past_of(history: History, unix_ms: u64) -> Option<SourceUpdate> {
    let found = tokio::task::spawn_blocking(move || history.at(unix_ms)).await;
    Some(match found.ok()? {
        Ok(Some(snapshot)) => SourceUpdate::Past(snapshot),
        Ok(None) => SourceUpdate::Note("nothing is kept of the past yet".to_owned()),
        Err(error) => SourceUpdate::Note(error.to_string()),
    })
}

/// Runs a command on a runtime of its own.
pub(crate) fn block_on(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().wrap_err("cannot start")?;
    let ended = runtime.block_on(command);
    // A task that waits for the terminal's next key would never end by itself.
    runtime.shutdown_background();
    ended
}
