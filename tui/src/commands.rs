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
use tiertop::source::{SourceLabel, SourceUpdate};
use tiertop::text;
use tiertop::theme::Palette;
use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc::{Receiver, channel};

/// Updates that may wait for the screen; it takes the newest.
const WAITING_UPDATES: usize = 4;

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

/// Sends each new snapshot on to the screen, until either end goes.
pub(crate) fn updates_of(mut snapshots: tokio::sync::watch::Receiver<Arc<Snapshot>>) -> Receiver<SourceUpdate> {
    let (sender, updates) = channel(WAITING_UPDATES);
    tokio::spawn(async move {
        while snapshots.changed().await.is_ok() {
            let newest = Arc::clone(&snapshots.borrow_and_update());
            if sender.send(SourceUpdate::Snapshot(newest)).await.is_err() {
                return;
            }
        }
        let _ = sender.send(SourceUpdate::Ended("the agent in this process stopped".to_owned())).await;
    });
    updates
}

/// Runs a command on a runtime of its own.
pub(crate) fn block_on(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().wrap_err("cannot start")?;
    let ended = runtime.block_on(command);
    // A task that waits for the terminal's next key would never end by itself.
    runtime.shutdown_background();
    ended
}
