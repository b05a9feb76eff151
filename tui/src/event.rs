//! Everything that can happen to the screen, in one channel.

use crossterm::event::KeyEvent;
use tiertop_core::time::UnixNanos;

use crate::source::{Ask, SourceUpdate};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has a new size, in columns and rows.
    Resize(u16, u16),
    /// It is now this late.
    Tick(UnixNanos),
    /// The source has something.
    Source(SourceUpdate),
    /// The system sent a signal.
    Signal(Signal),
    /// The terminal has gone away.
    InputClosed,
}

/// A signal that the screen answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, sent from elsewhere: Ctrl-C in the terminal arrives as a key.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// SIGCONT: in the foreground again.
    Continue,
}

/// What the loop must do, since [`crate::app::App::update`] only decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// Draw the screen.
    Draw,
    /// Take the terminal again and draw everything anew.
    Retake,
    /// Give the terminal back and stop until told to go on.
    Suspend,
    /// Ask the source.
    Ask(Ask),
    /// Leave.
    Quit(Exit),
}

/// Why the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The user asked for it.
    Quit,
    /// A signal asked for it.
    Signal(Signal),
    /// The terminal went away.
    TerminalGone,
}

impl Exit {
    /// The process's exit code: zero, or 128 and the number of the signal, as shells write it.
    pub fn code(self) -> u8 {
        match self {
            Self::Quit | Self::Signal(Signal::Continue) => 0,
            Self::Signal(Signal::Interrupt) => 130,
            Self::Signal(Signal::Hangup) | Self::TerminalGone => 129,
            Self::Signal(Signal::Terminate) => 143,
        }
    }
}
