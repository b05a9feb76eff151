//! `tiertop replay`: the screens on a recording, or one second of it as text.

mod player;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use color_eyre::eyre::{Result, eyre};
use tiertop::source::{Source, SourceLabel, SourceUpdate};
use tiertop::{run, terminal};
use tiertop_agent::recording::Recording;
use tokio::sync::mpsc::channel;
use tokio::time::Instant;

use super::{Format, ScreenArgs, WAITING_ASKS, WAITING_UPDATES, print};
use player::Player;

/// What to play, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A recording, or the folder of `--record-ring`.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Where to begin: so long after its start, such as 12m30s.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    from: Option<Duration>,
    /// Print one second, the last unless --from says another, without a screen.
    #[arg(long)]
    once: bool,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
    #[command(flatten)]
    screen: ScreenArgs,
}

pub(crate) async fn run(args: ReplayArgs) -> Result<ExitCode> {
    if !args.once {
        terminal::needed("--once")?;
    }
    let recording = Recording::open(&args.path)?;
    let (first, last) = recording.reach();
    let from = args.from.map(|from| first + u64::try_from(from.as_millis()).unwrap_or(u64::MAX));
    let told = format!(
        "recorded by tiertop {}, {} to {}{}",
        recording.head().program,
        date(first),
        date(last),
        if recording.cut_bytes() > 0 { ", cut off at its end" } else { "" }
    );
    let mut player = Player::new(recording, Instant::now());
    if args.once {
        eprintln!("tiertop replay: {told}");
        let shown = player.seek(from.unwrap_or(last), Instant::now())?;
        let shown = shown.ok_or_else(|| eyre!("nothing was recorded then"))?;
        print(&shown, Format::of(args.json))?;
        return Ok(ExitCode::SUCCESS);
    }
    let label = args.path.file_name().unwrap_or(args.path.as_os_str()).to_string_lossy().into_owned();
    let (sender, updates) = channel(WAITING_UPDATES);
    let (asks, asked) = channel(WAITING_ASKS);
    let begin = from.unwrap_or(first);
    tokio::spawn(async move {
        // Nobody left to tell is no loss.
        let _ = sender.send(SourceUpdate::Note(told)).await;
        if let Err(error) = player::play(&mut player, begin, &sender, asked).await {
            let _ = sender.send(SourceUpdate::Ended(error.to_string())).await;
        }
    });
    let exit = run::run(args.screen.options(SourceLabel::Replay(label)), Source { updates, asks }).await?;
    Ok(ExitCode::from(exit.code()))
}

fn date(unix_ms: u64) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms))
}
