//! What the screen knows and how it changes: [`App::update`] takes an event and says what the
//! loop must do. Nothing here draws, reads a clock or touches the terminal.
//!
//! Terms: the *live* snapshot is the newest that arrived; the *shown* one is the live one, or the
//! one that was held when the user paused.

mod connection;
mod investigation;
mod movement;
mod selection;
mod time;
mod trouble;

use std::sync::Arc;

use crossterm::event::{KeyEvent, KeyEventKind};
use tiertop_core::snapshot::{Snapshot, TierView, WarningView};
use tiertop_core::time::UnixNanos;

pub use connection::{Connection, Status};
pub use investigation::{Finding, Investigation, Part, TraceOrder, findings, trace_of};
pub use selection::{Cursor, Pane, first_shown};
pub use time::{STEPS_S, Travel};
pub use trouble::Trouble;

use crate::event::{Effect, Event, Exit, Signal};
use crate::keymap::{self, Command, Context};
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
    /// Incidents, stalls and capacity.
    Diagnosis,
    /// The traces that were kept.
    Traces,
    /// The trace that is open.
    Trace,
    /// What arrives, and how the exporters are.
    Pipeline,
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
    /// Which of the troubles is shown, from 0.
    pub trouble: usize,
    /// Where the user is on the screens of the diagnosis and of traces.
    pub looking: Investigation,
    /// Where in time the screen is.
    pub travel: Travel,
    /// The first line that shows of the pipeline.
    pub pipeline_line: usize,
    /// The screens that lie behind the one in front, the overview left out.
    behind: Vec<Screen>,
    live: Option<Arc<Snapshot>>,
    held: Option<Held>,
    note: Option<(String, UnixNanos)>,
    now: UnixNanos,
    columns: u16,
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
            trouble: 0,
            looking: Investigation::default(),
            travel: Travel::default(),
            pipeline_line: 0,
            behind: Vec::new(),
            live: None,
            held: None,
            note: None,
            now,
            columns: 80,
            rows: 24,
        }
    }

    /// Takes in what happened and says what to do about it.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.press(key),
            Event::Resize(columns, rows) => {
                (self.columns, self.rows) = (columns, rows);
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

    /// The snapshot to draw: the past one that the user went to, the one held by a pause, else the newest.
    pub fn shown(&self) -> Option<&Snapshot> {
        let held = self.held.as_ref().map(|held| &held.snapshot);
        self.travel.past().or(held).or(self.live.as_ref()).map(AsRef::as_ref)
    }

    /// The newest snapshot, even while paused.
    pub fn live(&self) -> Option<&Snapshot> {
        self.live.as_deref()
    }

    /// How things stand between the screen and its source.
    pub fn status(&self) -> Status {
        if let Some(playing) = self.travel.playing() {
            return Status::Replay(playing);
        }
        if let Some(past) = self.travel.past() {
            return Status::Past { at_unix_ms: past.at_unix_ms, step_s: self.travel.step_s() };
        }
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
        self.shown().map_or_else(Vec::new, trouble::open_warnings)
    }

    /// What is wrong now: verdicts, incidents without one, and the warnings that they do not say already.
    pub fn troubles(&self) -> Vec<Trouble<'_>> {
        self.shown().map_or_else(Vec::new, trouble::troubles)
    }

    /// The trouble that is shown, with its place from 0 and how many there are.
    pub fn shown_trouble(&self) -> Option<(Trouble<'_>, usize, usize)> {
        let troubles = self.troubles();
        let place = self.trouble.min(troubles.len().checked_sub(1)?);
        Some((troubles[place], place, troubles.len()))
    }

    /// The incident or stall under the cursor of the diagnosis screen.
    pub fn shown_finding(&self) -> Option<Finding<'_>> {
        let findings = findings(self.shown()?);
        findings.get(self.looking.finding_place(&findings)).copied()
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
            Screen::Diagnosis => Context::Diagnosis,
            Screen::Traces => Context::Traces,
            Screen::Trace => Context::Trace,
            Screen::Pipeline => Context::Pipeline,
        }
    }

    /// Whether a command would do anything now.
    pub fn can(&self, command: Command) -> bool {
        match command {
            Command::GoToTrouble => self.shown_trouble().is_some_and(|(trouble, ..)| trouble.tier().is_some()),
            Command::NextTrouble | Command::PreviousTrouble => self.troubles().len() > 1,
            Command::AllTraces => self.looking.through.is_some(),
            Command::Live => self.travel.past().is_some() || self.held.is_some(),
            Command::Later => self.is_replay() || self.travel.past().is_some(),
            Command::Faster | Command::Slower => self.is_replay(),
            Command::GoToMoment => self.shown_finding().is_some(),
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
            Command::Pause if self.is_replay() => return self.play_or_hold(),
            Command::Pause if self.travel.past().is_some() => return self.back_to_live(),
            Command::Pause => self.pause(),
            Command::Earlier => return self.step_in_time(-1),
            Command::Later => return self.step_in_time(1),
            Command::Finer => self.travel.zoom(-1),
            Command::Coarser => self.travel.zoom(1),
            Command::Live => return self.back_to_live(),
            Command::GoToMoment => return self.go_to_finding(),
            Command::Faster => return self.change_speed(1),
            Command::Slower => return self.change_speed(-1),
            Command::Move(step) => self.step(step),
            Command::Open => self.open(),
            Command::NextPane => self.focus(self.pane.next(), self.looking.part.next()),
            Command::PreviousPane => self.focus(self.pane.previous(), self.looking.part.previous()),
            Command::Overview => {
                self.help = None;
                self.go(Screen::Overview);
            }
            Command::Diagnosis => self.go(Screen::Diagnosis),
            Command::Traces => self.open_traces(),
            Command::Pipeline => {
                self.pipeline_line = 0;
                self.go(Screen::Pipeline);
            }
            Command::OrderTraces => {
                self.looking.order = match self.looking.order {
                    TraceOrder::Duration => TraceOrder::Time,
                    TraceOrder::Time => TraceOrder::Duration,
                };
            }
            Command::AllTraces => self.looking.through = None,
            Command::NextTrouble => self.turn_trouble(1),
            Command::PreviousTrouble => self.turn_trouble(-1),
            Command::GoToTrouble => self.go_to_trouble(),
        }
        vec![Effect::Draw]
    }

    fn pause(&mut self) {
        self.held = match (self.held.take(), &self.live) {
            (None, Some(live)) => Some(Held { snapshot: Arc::clone(live), since: self.now }),
            _ => None,
        };
        self.settle();
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
                self.travel.plays_on();
                self.settle();
            }
            SourceUpdate::Past(snapshot) => {
                self.travel.arrive(snapshot);
                self.settle();
            }
            SourceUpdate::Playing(playing) => self.travel.plays(playing),
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
#[cfg(test)]
mod time_tests;
