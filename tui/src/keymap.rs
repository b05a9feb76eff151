//! Keys become commands here and nowhere else; the help screen and the footer are printed from
//! the same table, so that a key that is shown is a key that works.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Leave the program.
    Quit,
    /// One step back; on the overview nothing.
    Back,
    /// Show or hide the help.
    Help,
    /// Hold the picture, or go on with the newest.
    Pause,
    /// Move the cursor by this many rows.
    Move(Step),
    /// Open what is under the cursor.
    Open,
    /// The next pane.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// The overview, from anywhere.
    Overview,
    /// Incidents, stalls and capacity.
    Diagnosis,
    /// The traces that were kept, of the tier in question if there is one.
    Traces,
    /// What arrives, and how the exporters are.
    Pipeline,
    /// The other order of the traces.
    OrderTraces,
    /// All traces, not only those through one tier.
    AllTraces,
    /// The next open verdict or warning.
    NextTrouble,
    /// The open verdict or warning before.
    PreviousTrouble,
    /// The cursor to the tier of the verdict or warning that is shown.
    GoToTrouble,
    /// One step back in time.
    Earlier,
    /// One step on in time.
    Later,
    /// Shorter steps in time.
    Finer,
    /// Longer steps in time.
    Coarser,
    /// Back to the newest second.
    Live,
    /// To when the incident or stall under the cursor was.
    GoToMoment,
    /// A recording plays faster.
    Faster,
    /// A recording plays slower.
    Slower,
    /// Stop the process until the shell brings it back.
    Suspend,
    /// Draw everything anew, where something else wrote over it.
    Redraw,
}

/// How far the cursor moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// Half a page down.
    HalfDown,
    /// Half a page up.
    HalfUp,
}

/// What is in front, as far as keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The overview with tiers in it.
    Overview,
    /// One tier.
    Tier,
    /// Incidents, stalls and capacity.
    Diagnosis,
    /// The list of traces.
    Traces,
    /// One trace.
    Trace,
    /// What arrives, and how the exporters are.
    Pipeline,
    /// The help.
    Help,
    /// Nothing to show yet.
    Waiting,
}

/// A key as the table writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A key by itself.
    Plain(KeyCode),
    /// A letter with Ctrl.
    Ctrl(char),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys, the one that the footer shows first.
    pub keys: &'static [Key],
    /// What they ask for.
    pub command: Command,
    /// Where they work.
    pub contexts: &'static [Context],
    /// What the help says.
    pub help: &'static str,
    /// What the footer says, if it says anything.
    pub footer: Option<&'static str>,
}

use Context::{Diagnosis, Help, Overview, Pipeline, Tier, Trace, Traces, Waiting};

const EVERYWHERE: &[Context] = &[Overview, Tier, Diagnosis, Traces, Trace, Pipeline, Help, Waiting];
const WITH_DATA: &[Context] = &[Overview, Tier, Diagnosis, Traces, Trace, Pipeline];
const WITH_ROWS: &[Context] = &[Overview, Tier, Diagnosis, Traces, Trace, Pipeline, Help];
const NOT_AT_THE_BOTTOM: &[Context] = &[Tier, Diagnosis, Traces, Trace, Pipeline, Help];

/// A row of the table without a word in the footer.
const fn row(keys: &'static [Key], command: Command, contexts: &'static [Context], help: &'static str) -> Binding {
    Binding { keys, command, contexts, help, footer: None }
}

impl Binding {
    /// The same row with a word in the footer.
    const fn named(mut self, footer: &'static str) -> Self {
        self.footer = Some(footer);
        self
    }

    /// Its keys as the help writes them: `j ↓`.
    pub fn keys_text(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| key.name()).collect();
        names.join(" ")
    }
}

use Key::{Ctrl, Plain};
use KeyCode::{BackTab, Char, Enter, Esc, F, Tab};

/// Every key that works, in the order of the help.
pub const BINDINGS: &[Binding] = &[
    row(&[Plain(Char('?')), Plain(F(1))], Command::Help, EVERYWHERE, "this help, and away with it").named("help"),
    row(
        &[Plain(Enter)],
        Command::Open,
        &[Overview, Diagnosis, Traces],
        "open the tier, stall or trace under the cursor",
    )
    .named("open"),
    row(&[Plain(Esc), Plain(KeyCode::Backspace)], Command::Back, NOT_AT_THE_BOTTOM, "one step back; never quits")
        .named("back"),
    row(&[Plain(Tab)], Command::NextPane, &[Tier, Diagnosis], "next pane of the screen").named("next pane"),
    row(&[Plain(BackTab)], Command::PreviousPane, &[Tier, Diagnosis], "pane before"),
    row(
        &[Plain(Char('d')), Plain(Char('2'))],
        Command::Diagnosis,
        &[Overview, Tier, Traces, Trace, Pipeline],
        "diagnosis: incidents, stalls, phase and headroom",
    )
    .named("diagnosis"),
    row(
        &[Plain(Char('t')), Plain(Char('3'))],
        Command::Traces,
        &[Overview, Tier, Diagnosis],
        "traces that were kept: of the tier shown, if any",
    )
    .named("traces"),
    row(
        &[Plain(Char('i')), Plain(Char('4'))],
        Command::Pipeline,
        &[Overview, Tier, Diagnosis, Traces, Trace],
        "pipeline: what arrives, and how exporters are",
    ),
    row(&[Plain(Char('s'))], Command::OrderTraces, &[Traces], "slowest or newest first").named("sort"),
    row(&[Plain(Char('A'))], Command::AllTraces, &[Traces], "all traces, not only those of a tier").named("all"),
    row(&[Plain(Char('w'))], Command::GoToTrouble, &[Overview, Tier], "go to the tier of the verdict or warning shown")
        .named("its tier"),
    row(&[Plain(Char('n'))], Command::NextTrouble, &[Overview], "next verdict or warning").named("next"),
    row(&[Plain(Char('p'))], Command::PreviousTrouble, &[Overview], "verdict or warning before"),
    row(&[Plain(Char(' '))], Command::Pause, WITH_DATA, "hold the picture while data keeps coming, and go on")
        .named("pause"),
    row(&[Plain(KeyCode::Left)], Command::Earlier, WITH_DATA, "a step back in time"),
    row(&[Plain(KeyCode::Right)], Command::Later, WITH_DATA, "a step on in time"),
    row(&[Plain(Char('+'))], Command::Finer, WITH_DATA, "shorter steps in time"),
    row(&[Plain(Char('-'))], Command::Coarser, WITH_DATA, "longer steps in time"),
    row(&[Plain(Char('a'))], Command::Live, WITH_DATA, "back to the newest second").named("live"),
    row(&[Plain(Char('o'))], Command::GoToMoment, &[Diagnosis], "to when the incident or stall under the cursor was"),
    row(&[Plain(Char('>'))], Command::Faster, WITH_DATA, "a recording plays faster"),
    row(&[Plain(Char('<'))], Command::Slower, WITH_DATA, "a recording plays slower"),
    row(&[Plain(Char('j')), Plain(KeyCode::Down)], Command::Move(Step::Down), WITH_ROWS, "a row down"),
    row(&[Plain(Char('k')), Plain(KeyCode::Up)], Command::Move(Step::Up), WITH_ROWS, "a row up"),
    row(&[Plain(Char('g')), Plain(KeyCode::Home)], Command::Move(Step::First), WITH_ROWS, "first row"),
    row(&[Plain(Char('G')), Plain(KeyCode::End)], Command::Move(Step::Last), WITH_ROWS, "last row"),
    row(&[Plain(KeyCode::PageDown), Ctrl('f')], Command::Move(Step::PageDown), WITH_ROWS, "a page down"),
    row(&[Plain(KeyCode::PageUp), Ctrl('b')], Command::Move(Step::PageUp), WITH_ROWS, "a page up"),
    row(&[Ctrl('d')], Command::Move(Step::HalfDown), WITH_ROWS, "half a page down"),
    row(&[Ctrl('u')], Command::Move(Step::HalfUp), WITH_ROWS, "half a page up"),
    row(&[Plain(Char('1'))], Command::Overview, NOT_AT_THE_BOTTOM, "the overview, from anywhere"),
    row(&[Ctrl('l')], Command::Redraw, EVERYWHERE, "draw the screen anew"),
    row(&[Ctrl('z')], Command::Suspend, EVERYWHERE, "to the shell; fg comes back"),
    row(&[Plain(Char('q')), Ctrl('c')], Command::Quit, EVERYWHERE, "quit").named("quit"),
];

impl Key {
    /// Its name as the help writes it.
    pub fn name(self) -> String {
        match self {
            Ctrl(letter) => format!("Ctrl-{letter}"),
            Plain(Char(' ')) => "Space".to_owned(),
            Plain(Char(letter)) => letter.to_string(),
            Plain(F(number)) => format!("F{number}"),
            Plain(BackTab) => "Shift-Tab".to_owned(),
            Plain(KeyCode::Up) => "↑".to_owned(),
            Plain(KeyCode::Down) => "↓".to_owned(),
            Plain(KeyCode::Left) => "←".to_owned(),
            Plain(KeyCode::Right) => "→".to_owned(),
            Plain(KeyCode::PageUp) => "PgUp".to_owned(),
            Plain(KeyCode::PageDown) => "PgDn".to_owned(),
            Plain(other) => format!("{other:?}"),
        }
    }

    /// The event that a terminal sends for it.
    pub fn event(self) -> KeyEvent {
        match self {
            Plain(code) => KeyEvent::new(code, KeyModifiers::NONE),
            Ctrl(letter) => KeyEvent::new(Char(letter), KeyModifiers::CONTROL),
        }
    }

    /// Whether this is the key that was pressed. Shift is part of a letter, not beside it.
    fn matches(self, event: KeyEvent) -> bool {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        match self {
            Plain(code) => event.code == code && !ctrl && !alt,
            Ctrl(letter) => event.code == Char(letter) && ctrl && !alt,
        }
    }
}

/// What a key asks for in a context, if anything.
pub fn command(context: Context, event: KeyEvent) -> Option<Command> {
    bindings(context).find(|binding| binding.keys.iter().any(|key| key.matches(event))).map(|binding| binding.command)
}

/// The rows of the table that work in a context.
pub fn bindings(context: Context) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.contexts.contains(&context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        for &context in EVERYWHERE {
            let mut seen: Vec<Key> = Vec::new();
            for binding in bindings(context) {
                for key in binding.keys {
                    assert!(!seen.contains(key), "{context:?}: {}", key.name());
                    seen.push(*key);
                    assert_eq!(command(context, key.event()), Some(binding.command));
                }
            }
        }
    }

    #[test]
    fn quitting_works_everywhere_and_esc_never_quits() {
        let esc = KeyEvent::new(Esc, KeyModifiers::NONE);
        for &context in EVERYWHERE {
            for key in [Plain(Char('q')), Ctrl('c')] {
                assert_eq!(command(context, key.event()), Some(Command::Quit));
            }
            assert_ne!(command(context, esc), Some(Command::Quit));
        }
    }

    #[test]
    fn a_capital_letter_is_found_with_shift_held() {
        let shifted = KeyEvent::new(Char('G'), KeyModifiers::SHIFT);
        assert_eq!(command(Overview, shifted), Some(Command::Move(Step::Last)));
        let alt = KeyEvent::new(Char('q'), KeyModifiers::ALT);
        assert_eq!(command(Overview, alt), None);
    }
}
