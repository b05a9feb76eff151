//! The loop: keys, ticks, signals and the source become events in one channel; the application
//! decides; the loop acts.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use color_eyre::eyre::{Result, WrapErr, eyre};
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt;
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::layout::{Position, Rect};
use tiertop_core::time::UnixNanos;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::app::App;
use crate::event::{Effect, Event, Exit, Signal};
use crate::screen::{self, Look, Signs};
use crate::source::{Ask, Source, SourceLabel, SourceUpdate};
use crate::terminal::{self, Control};
use crate::theme::Palette;

/// Least time between two pictures: ten a second are plenty over SSH.
const FRAME: Duration = Duration::from_millis(100);

/// Events that may wait: more than a burst of typing.
const WAITING_EVENTS: usize = 64;

/// What the caller may choose about the screen.
#[derive(Clone, Debug)]
pub struct ScreenOptions {
    /// What the header calls the source.
    pub label: SourceLabel,
    /// Colours; chosen from the environment where not given.
    pub palette: Option<Palette>,
    /// Signs; chosen from the locale where not given.
    pub signs: Option<Signs>,
}

impl ScreenOptions {
    /// How to draw, for this process's environment.
    fn look(&self) -> Look {
        let variable = |name: &str| std::env::var(name).ok();
        let palette = self.palette.unwrap_or_else(|| Palette::from_environment(variable));
        let signs = self.signs.unwrap_or_else(|| Signs::from_environment(variable));
        Look::new(palette, signs)
    }
}

/// Shows what the source sends until the user quits, a signal comes or the terminal goes.
///
/// The terminal is given back before this returns, also with an error, and on a panic anywhere.
/// SIGTERM, SIGHUP and SIGINT end it with [`Exit::Signal`]. Fails at once, with a suggestion, where
/// input or output is not a terminal.
pub async fn run(options: ScreenOptions, source: Source) -> Result<Exit> {
    let look = options.look();
    let (sender, events) = channel(WAITING_EVENTS);
    let mut taken = terminal::take()?;
    let _tasks = gather(sender, source.updates).wrap_err("failed to listen for signals")?;
    let mut app = App::new(options.label, now());
    tokio::select! {
        exit = drive(&mut taken.terminal, &mut app, &look, (events, source.asks), terminal::control) => exit,
        () = terminal::lost() => Err(eyre!("a part of the program failed; what it said is above")),
    }
}

/// Turns events into pictures until one of them says to leave, or no more can come.
///
/// `control` does to the terminal what is not drawing.
pub async fn drive<B>(
    terminal: &mut Terminal<B>,
    app: &mut App,
    look: &Look,
    (mut events, asks): (Receiver<Event>, Sender<Ask>),
    mut control: impl FnMut(Control) -> io::Result<()>,
) -> Result<Exit>
where
    B: Backend,
    B::Error: Send + Sync + 'static,
{
    let size = terminal.size()?;
    app.update(Event::Resize(size.width, size.height));
    let mut stale = true;
    let mut away = false;
    let mut next_frame = Instant::now();
    loop {
        let event = if stale && !away {
            match timeout_at(next_frame, events.recv()).await {
                Ok(event) if Instant::now() < next_frame + FRAME => event,
                late => {
                    terminal.draw(|frame| screen::draw(app, look, frame.area(), frame.buffer_mut()))?;
                    next_frame = Instant::now() + FRAME;
                    stale = false;
                    let Ok(event) = late else { continue };
                    event
                }
            }
        } else {
            events.recv().await
        };
        let Some(event) = event else {
            return Ok(Exit::Quit);
        };
        // Still running a second after asking to be stopped: nobody is there to bring it back.
        if away && matches!(event, Event::Tick(_)) {
            control(Control::Retake)?;
            draw_anew(terminal)?;
            (away, stale) = (false, true);
        }
        for effect in app.update(event) {
            match effect {
                Effect::Draw => stale = true,
                // A source that has enough to answer, or cannot, is not waited for: the next step asks again.
                Effect::Ask(ask) => drop(asks.try_send(ask)),
                Effect::Quit(exit) => return Ok(exit),
                Effect::Suspend => {
                    away = true;
                    control(Control::Suspend)?;
                }
                Effect::Retake => {
                    away = false;
                    control(Control::Retake)?;
                    draw_anew(terminal)?;
                }
            }
        }
    }
}

/// Clears the screen, so that the next picture is drawn in full.
///
/// [`Terminal::clear`] would ask the terminal where its cursor is, and the task that reads the keys
/// would get the answer.
fn draw_anew<B: Backend>(terminal: &mut Terminal<B>) -> Result<(), B::Error> {
    let size = terminal.size()?;
    terminal.resize(Rect::from((Position::ORIGIN, size)))
}

/// Starts the tasks that send into the channel; they end when the set is dropped.
fn gather(sender: Sender<Event>, updates: Receiver<SourceUpdate>) -> Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    for (kind, event) in [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::hangup(), Signal::Hangup),
        (SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()), Signal::Continue),
    ] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tasks.spawn(async move {
            while signals.recv().await.is_some() {
                if sender.send(Event::Signal(event)).await.is_err() {
                    return;
                }
            }
        });
    }
    tasks.spawn(send_ticks(sender.clone()));
    tasks.spawn(send_keys(sender.clone()));
    tasks.spawn(send_updates(sender, updates));
    Ok(tasks)
}

async fn send_ticks(sender: Sender<Event>) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        if sender.send(Event::Tick(now())).await.is_err() {
            return;
        }
    }
}

async fn send_keys(sender: Sender<Event>) {
    let mut input = EventStream::new();
    loop {
        let event = match input.next().await {
            Some(Ok(TerminalEvent::Key(key))) => Event::Key(key),
            Some(Ok(TerminalEvent::Resize(columns, rows))) => Event::Resize(columns, rows),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => Event::InputClosed,
        };
        let last = matches!(event, Event::InputClosed);
        if sender.send(event).await.is_err() || last {
            return;
        }
    }
}

async fn send_updates(sender: Sender<Event>, mut updates: Receiver<SourceUpdate>) {
    let mut ended = false;
    while let Some(update) = updates.recv().await {
        ended = matches!(update, SourceUpdate::Ended(_));
        if sender.send(Event::Source(update)).await.is_err() {
            return;
        }
    }
    if !ended {
        let update = SourceUpdate::Ended("the source stopped without a word".to_owned());
        // Nobody left to tell is no loss.
        let _ = sender.send(Event::Source(update)).await;
    }
}

/// The time, read here and in no other place of the screen.
fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
