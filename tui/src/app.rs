//! What the screen knows and how it changes: [`App::update`] takes an event and says what the
//! loop must do. Nothing here draws, reads a clock or touches the terminal.
//!
//! Terms: the *live* snapshot is the newest that arrived; the *shown* one is the live one, or the
//! one that was held when the user paused.

mod connection;
mod selection;

use std::sync::Arc;

use crossterm::event::{KeyEvent, KeyEventKind};
use tiertop_core::snapshot::{Snapshot, TierView, WarningView};
use tiertop_core::time::UnixNanos;

pub use connection::{Connection, Status};
pub use selection::{Cursor, Pane, first_shown};

use crate::event::{Effect, Event, Exit, Signal};
use crate::keymap::{self, Command, Context, Step};
use crate::source::{SourceLabel, SourceUpdate};

/// How long a note stays, in seconds.
const NOTE_SECONDS: f64 = 8.0;

/// What is in front of what: the overview lies at the bottom, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// All tiers.
    #[default]
    Overview,
    /// The tier with [`App::opened`] as its id.
    Tier,
}

/// The state of the screen.
#[derive(Clone, Debug)]
pub struct App {
    /// What the header calls the source.
    pub label: SourceLabel,
    /// How the source is doing.
    pub connection: Connection,
    /// Which screen is in front.
    pub screen: Screen,
    /// The first line of the help that shows, while it lies over the screen.
    pub help: Option<usize>,
    /// The tier under the cursor of the overview.
    pub cursor: Cursor,
    /// The id of the tier that is open, or was last.
    pub opened: String,
    /// Pane of the tier screen that has the keys.
    pub pane: Pane,
    /// The row under the cursor in the pane.
    pub pane_row: usize,
    /// Which of the open warnings is shown, from 0.
    pub warning: usize,
    live: Option<Arc<Snapshot>>,
    held: Option<Held>,
    note: Option<(String, UnixNanos)>,
    now: UnixNanos,
    rows: u16,
}

/// A picture held by a pause.
#[derive(Clone, Debug)]
struct Held {
    snapshot: Arc<Snapshot>,
    since: UnixNanos,
}

impl App {
    /// A screen that has seen nothing yet, at the given time.
    pub fn new(label: SourceLabel, now: UnixNanos) -> Self {
        Self {
            label,
            connection: Connection::default(),
            screen: Screen::default(),
            help: None,
            cursor: Cursor::default(),
            opened: String::new(),
            pane: Pane::default(),
            pane_row: 0,
            warning: 0,
            live: None,
            held: None,
            note: None,
            now,
            rows: 24,
        }
    }

    /// Takes in what happened and says what to do about it.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.press(key),
            Event::Resize(_, rows) => {
                self.rows = rows;
                vec![Effect::Draw]
            }
            Event::Tick(now) => self.tick(now),
            Event::Source(update) => {
                self.take(update);
                vec![Effect::Draw]
            }
            Event::Signal(Signal::Continue) => vec![Effect::Retake, Effect::Draw],
            Event::Signal(signal) => vec![Effect::Quit(Exit::Signal(signal))],
            Event::InputClosed => vec![Effect::Quit(Exit::TerminalGone)],
        }
    }

    /// The snapshot to draw: the one held by a pause, else the newest.
    pub fn shown(&self) -> Option<&Snapshot> {
        let held = self.held.as_ref().map(|held| &held.snapshot);
        held.or(self.live.as_ref()).map(AsRef::as_ref)
    }

    /// The newest snapshot, even while paused.
    pub fn live(&self) -> Option<&Snapshot> {
        self.live.as_deref()
    }

    /// How things stand between the screen and its source.
    pub fn status(&self) -> Status {
        let paused_at = self.held.as_ref().map(|held| held.since);
        self.connection.status(self.now, paused_at)
    }

    /// Whole seconds since a point in time.
    pub fn seconds_since(&self, since: UnixNanos) -> u64 {
        self.now.seconds_since(since) as u64
    }

    /// The tier that is open, if the shown snapshot still has it.
    pub fn opened_tier(&self) -> Option<&TierView> {
        let tiers = &self.shown()?.tiers;
        tiers.iter().find(|tier| tier.id == self.opened)
    }

    /// The warnings that are open, worst first.
    pub fn open_warnings(&self) -> Vec<&WarningView> {
        let warnings = self.shown().map_or(&[][..], |shown| &shown.warnings);
        let mut open: Vec<_> = warnings.iter().filter(|warning| warning.ended_unix_ms.is_none()).collect();
        open.sort_by_key(|warning| std::cmp::Reverse(warning.severity));
        open
    }

    /// The open warning that is shown, with its place from 0 and how many there are.
    pub fn shown_warning(&self) -> Option<(&WarningView, usize, usize)> {
        let open = self.open_warnings();
        let place = self.warning.min(open.len().checked_sub(1)?);
        Some((open[place], place, open.len()))
    }

    /// What to say for a while, if anything.
    pub fn note(&self) -> Option<&str> {
        let (note, since) = self.note.as_ref()?;
        (self.now.seconds_since(*since) < NOTE_SECONDS).then_some(note)
    }

    /// Where keys go now.
    pub fn context(&self) -> Context {
        let nothing = self.shown().is_none_or(|shown| shown.tiers.is_empty());
        match self.screen {
            _ if self.help.is_some() => Context::Help,
            _ if nothing => Context::Waiting,
            Screen::Overview => Context::Overview,
            Screen::Tier => Context::Tier,
        }
    }

    /// Whether a command would do anything now.
    pub fn can(&self, command: Command) -> bool {
        match command {
            Command::GoToWarning => self.shown_warning().is_some(),
            Command::NextWarning | Command::PreviousWarning => self.open_warnings().len() > 1,
            _ => true,
        }
    }

    fn press(&mut self, key: KeyEvent) -> Vec<Effect> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        keymap::command(self.context(), key).map(|command| self.perform(command)).unwrap_or_default()
    }

    fn perform(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Quit => return vec![Effect::Quit(Exit::Quit)],
            Command::Suspend => return vec![Effect::Suspend],
            Command::Redraw => return vec![Effect::Retake, Effect::Draw],
            Command::Help => self.help = self.help.is_none().then_some(0),
            Command::Back => self.back(),
            Command::Pause => self.pause(),
            Command::Move(step) => self.step(step),
            Command::Open => self.open(),
            Command::NextPane => self.focus(self.pane.next()),
            Command::PreviousPane => self.focus(self.pane.previous()),
            Command::Overview => {
                self.help = None;
                self.screen = Screen::Overview;
            }
            Command::NextWarning => self.turn_warning(1),
            Command::PreviousWarning => self.turn_warning(-1),
            Command::GoToWarning => self.go_to_warning(),
        }
        vec![Effect::Draw]
    }

    fn back(&mut self) {
        if self.help.take().is_none() {
            self.screen = Screen::Overview;
        }
    }

    fn pause(&mut self) {
        self.held = match (self.held.take(), &self.live) {
            (None, Some(live)) => Some(Held { snapshot: Arc::clone(live), since: self.now }),
            _ => None,
        };
        self.settle();
    }

    fn open(&mut self) {
        let tiers = self.shown().map_or(&[][..], |shown| &shown.tiers);
        if let Some(tier) = tiers.get(self.cursor.place(tiers)) {
            self.opened.clone_from(&tier.id.clone());
            self.screen = Screen::Tier;
            self.pane_row = 0;
        }
    }

    fn focus(&mut self, pane: Pane) {
        self.pane = pane;
        self.pane_row = 0;
    }

    fn turn_warning(&mut self, by: isize) {
        let open = self.open_warnings().len();
        if open > 0 {
            let place = self.warning.min(open - 1);
            self.warning = place.wrapping_add_signed(by + open as isize) % open;
        }
    }

    fn go_to_warning(&mut self) {
        if let Some(id) = self.shown_warning().map(|(shown, ..)| shown.tier.clone()) {
            self.cursor.put_on(&id);
            self.opened = id;
            self.pane_row = 0;
            self.settle();
        }
    }

    fn step(&mut self, step: Step) {
        let page = usize::from(self.rows).saturating_sub(8).max(2);
        if let Some(line) = self.help {
            let last = crate::screen::help::last_line(self.rows);
            self.help = Some(selection::step(line, step, page, last + 1));
            return;
        }
        let Some(shown) = self.shown() else { return };
        match self.screen {
            Screen::Overview => {
                let tiers = &shown.tiers;
                let place = selection::step(self.cursor.place(tiers), step, page, tiers.len());
                if let Some(id) = tiers.get(place).map(|tier| tier.id.clone()) {
                    self.cursor.put_on(&id);
                }
                self.settle();
            }
            Screen::Tier => {
                let rows = self.opened_tier().map_or(0, |tier| self.pane.rows(tier, shown));
                self.pane_row = selection::step(self.pane_row, step, page / 2, rows);
            }
        }
    }

    /// Keeps cursors on something that is there.
    fn settle(&mut self) {
        let live = self.live.clone();
        let held = self.held.as_ref().map(|held| Arc::clone(&held.snapshot));
        if let Some(shown) = held.or(live) {
            self.cursor.settle(&shown.tiers);
            if let Some(tier) = shown.tiers.iter().find(|tier| tier.id == self.opened) {
                let rows = self.pane.rows(tier, &shown);
                self.pane_row = self.pane_row.min(rows.saturating_sub(1));
            }
        }
    }

    fn tick(&mut self, now: UnixNanos) -> Vec<Effect> {
        let before = (self.now.second(), self.status(), self.note.is_some());
        self.now = now;
        if self.note().is_none() {
            self.note = None;
        }
        let status = self.status();
        let moved = before.0 != now.second() && status.counts_seconds();
        if moved || before.1 != status || before.2 != self.note.is_some() { vec![Effect::Draw] } else { Vec::new() }
    }

    fn take(&mut self, update: SourceUpdate) {
        match update {
            SourceUpdate::Snapshot(snapshot) => {
                self.connection.data_came(self.now);
                self.live = Some(snapshot);
                self.settle();
            }
            SourceUpdate::Note(note) => self.note = Some((note, self.now)),
            SourceUpdate::Connecting { address, attempt, error } => self.connection.connecting(address, attempt, error),
            SourceUpdate::Connected { address } => {
                if self.connection.connected() {
                    self.note = Some((format!("connected to {address}"), self.now));
                }
            }
            SourceUpdate::Ended(reason) => self.connection.ended(reason),
        }
    }
}

#[cfg(test)]
mod tests;
