//! Taking the terminal and giving it back, whatever happens in between.
//!
//! It is given back when the guard is dropped (quit, error, a signal that ends the loop) and by a
//! panic hook, before the message of the panic is printed. Signals only end the loop: there is no
//! handler that writes.

use std::io::{self, IsTerminal, Stdout, stdin, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use color_eyre::eyre::{Result, WrapErr, eyre};
use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::style::{Attribute, SetAttribute, force_color_output};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::Notify;

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Told when a panic gave the terminal back.
static LOST: Notify = Notify::const_new();

/// The terminal while it is ours: raw, on its other screen, without a cursor.
#[derive(Debug)]
pub struct Taken {
    /// What to draw on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

/// What the loop asks of the terminal besides drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Take it anew, after something else had it.
    Retake,
    /// Give it back and stop the process.
    Suspend,
}

/// Fails where there is no terminal, and names the flag to use instead. What is slow to start asks
/// this first.
pub fn needed(instead: &str) -> Result<()> {
    if stdin().is_terminal() && stdout().is_terminal() {
        return Ok(());
    }
    Err(eyre!(
        "there is no terminal to draw on\n\
         where input or output is a pipe or a file, use {instead} for one snapshot as text, with --json as JSON"
    ))
}

/// Takes the terminal, or says what to do where there is none.
pub fn take() -> Result<Taken> {
    needed("--once")?;
    // With NO_COLOR set crossterm swallows its own reset, and bold and reversed text never ends.
    // The theme without colours is how NO_COLOR is honoured here.
    force_color_output(true);
    give_back_on_panic();
    let terminal = Terminal::new(CrosstermBackend::new(stdout())).wrap_err("failed to set up the screen")?;
    let taken = Taken { terminal };
    enter().wrap_err("failed to take the terminal")?;
    Ok(taken)
}

/// Waits until a panic on any thread has given the terminal back.
pub async fn lost() {
    LOST.notified().await;
}

/// Does what the loop asks.
pub fn control(control: Control) -> io::Result<()> {
    match control {
        Control::Retake => {
            // The shell may have changed the modes meanwhile: crossterm only sets raw what it knows as cooked.
            give_back();
            enter()
        }
        Control::Suspend => {
            give_back();
            Ok(kill_process(getpid(), Signal::TSTP)?)
        }
    }
}

fn enter() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// Gives the terminal back if it is ours. Errors are of no use here: it may be gone.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Cleared first: after a change of size tmux leaves rows of the other screen on the main one.
        let _ = execute!(stdout(), SetAttribute(Attribute::Reset), Clear(ClearType::All), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
            LOST.notify_one();
        }));
    });
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}
