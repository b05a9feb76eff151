//! `tiertop fixture`, in debug builds alone: the screens on made-up data, for a look at them and
//! for the tests that drive the real binary in a pseudo-terminal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use color_eyre::eyre::Result;
use tiertop::event::Exit;
use tiertop::fixture;
use tiertop::run::{self, ScreenOptions};
use tiertop::screen::Signs;
use tiertop::source::{Source, SourceLabel, SourceUpdate};
use tiertop::text;
use tiertop::theme::Palette;
use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc::{Sender, channel};

/// What to show and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which made-up system.
    #[arg(value_enum, default_value = "warning")]
    kind: Kind,
    /// dark, light, 16 or none.
    #[arg(long)]
    theme: Option<Palette>,
    /// ASCII signs alone.
    #[arg(long)]
    ascii: bool,
    /// One snapshot as text.
    #[arg(long)]
    once: bool,
    /// With --once: as JSON.
    #[arg(long)]
    json: bool,
    /// Panic half a second after the first picture, on this thread or another.
    #[arg(long, value_enum)]
    panic: Option<Panic>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Warning,
    Stalled,
    Calm,
    Waiting,
    Odd,
    Connecting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Panic {
    Here,
    Elsewhere,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let kind = arguments.kind;
    if arguments.once {
        let snapshot = snapshot(kind, 0);
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&snapshot)?);
        } else {
            print!("{}", text::print_snapshot(&snapshot));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (sender, updates) = channel(8);
    // Made-up data has no past: nobody answers.
    let (asks, _) = channel(1);
    tokio::spawn(send(kind, sender));
    let options = ScreenOptions {
        label: SourceLabel::Attached("127.0.0.1:4319".to_owned()),
        palette: arguments.theme,
        signs: arguments.ascii.then_some(Signs::Ascii),
    };
    if arguments.panic == Some(Panic::Elsewhere) {
        tokio::spawn(fail_soon());
    }
    let here = async {
        if arguments.panic == Some(Panic::Here) {
            fail_soon().await;
        }
        std::future::pending::<Result<Exit>>().await
    };
    let exit = tokio::select! {
        exit = run::run(options, Source { updates, asks }) => exit?,
        exit = here => exit?,
    };
    println!("left: {exit:?}");
    Ok(exit.code().into())
}

async fn fail_soon() {
    tokio::time::sleep(Duration::from_millis(500)).await;
    panic!("asked to fail");
}

async fn send(kind: Kind, sender: Sender<SourceUpdate>) {
    let mut second = 0;
    loop {
        let update = match kind {
            Kind::Connecting if !(1..=3).contains(&second) => SourceUpdate::Connecting {
                address: "127.0.0.1:4319".to_owned(),
                attempt: second as u32 + 1,
                error: Some("connection refused".to_owned()),
            },
            _ => SourceUpdate::Snapshot(Arc::new(snapshot(kind, second))),
        };
        if sender.send(update).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        second += 1;
    }
}

fn snapshot(kind: Kind, second: u64) -> Snapshot {
    let snapshot = match kind {
        Kind::Warning | Kind::Connecting => fixture::warning(),
        Kind::Stalled => fixture::stalled(),
        Kind::Calm => fixture::calm(),
        Kind::Waiting => fixture::waiting(),
        Kind::Odd => fixture::odd(),
    };
    fixture::later(snapshot, second)
}
