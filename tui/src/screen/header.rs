//! The first row: what is watched, how the source is doing, what arrives and what is refused.
//!
//! ```text
//!  tiertop  demo  eu-central-1      ● LIVE  12 sources  12.4k spans/s  refused 0  late 3  14:03:27
//! ```
//!
//! Where there is no room, pieces go in this order: accepted, region, environment, "attached" of
//! the label, sources, spans/s, late, label, refused, clock, name; the state goes last.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::PipelineView;

use crate::app::{App, Status};
use crate::format;
use crate::keymap::Context;
use crate::theme::Theme;
use crate::widget::paint;

/// One piece of the header. Those of the lowest worth go first.
struct Piece {
    worth: u8,
    at_right: bool,
    text: String,
    style: Style,
}

/// What goes from the label before anything of this worth does.
const ATTACHED: &str = "attached ";

/// The worth of the count of sources.
const SOURCES_WORTH: u8 = 4;

/// Draws the header into one row.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pieces = pieces(app, theme);
    let room = usize::from(area.width);
    while needed(&pieces) > room && pieces.len() > 1 {
        let least = pieces.iter().map(|piece| piece.worth).min();
        let shorter = |piece: &Piece| piece.text.strip_prefix(ATTACHED).map(str::to_owned);
        match pieces.iter_mut().find_map(|piece| Some((shorter(piece)?, piece))) {
            // The address alone says enough, beside a state that says whether it is connected.
            Some((short, piece)) if least >= Some(SOURCES_WORTH) => piece.text = short,
            _ => pieces.retain(|piece| Some(piece.worth) != least),
        }
    }
    let side = |at_right: bool| {
        let mut line = Line::default();
        for piece in pieces.iter().filter(|piece| piece.at_right == at_right) {
            let gap = match (line.spans.is_empty(), at_right) {
                (true, true) => "",
                (true, false) => " ",
                (false, _) => "  ",
            };
            line.push_span(Span::raw(gap));
            line.push_span(Span::styled(piece.text.clone(), piece.style));
        }
        line
    };
    let mut right = side(true);
    right.push_span(Span::raw(" "));
    paint::ends(buffer, area, 0, &side(false), &right);
}

/// The columns that all pieces take, with two blanks between them and one at either end.
fn needed(pieces: &[Piece]) -> usize {
    let texts: usize = pieces.iter().map(|piece| format::width(&piece.text)).sum();
    texts + pieces.len() * 2
}

fn pieces(app: &App, theme: &Theme) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |worth: u8, at_right: bool, text: String, style: Style| {
        if !text.is_empty() {
            pieces.push(Piece { worth, at_right, text, style });
        }
    };
    let (state, state_style) = state(app, theme);
    add(9, false, "tiertop".to_owned(), theme.title);
    let label = app.label.to_string();
    add(7, false, label.clone(), theme.text);
    let snapshot = app.shown();
    if let Some(shown) = snapshot {
        if shown.environment != label {
            add(3, false, shown.environment.clone(), theme.accent);
        }
        add(2, false, shown.region.clone(), theme.dim);
    }
    add(10, true, state, state_style);
    if let Some(shown) = snapshot {
        let pipeline = &shown.pipeline;
        let sources = pipeline.sources.len();
        let plural = if sources == 1 { "" } else { "s" };
        add(SOURCES_WORTH, true, format!("{sources} source{plural}"), theme.text);
        let rate = format::rate(pipeline.spans_per_second);
        add(5, true, format!("{rate:>5} spans/s"), theme.text);
        let accepted = format::count(pipeline.spans_accepted);
        add(1, true, format!("accepted {accepted:>5}"), theme.dim);
        let counted = |many: u64| if many > 0 { theme.warn } else { theme.dim };
        let mark = |many: u64| if many > 0 { "! " } else { "" };
        let refused = refused(pipeline);
        let text = format!("{}refused {}", mark(refused), format::count(refused));
        add(8, true, text, counted(refused));
        for exporter in pipeline.exporters.iter().filter(|exporter| exporter.trouble.is_some()) {
            let style = super::pipeline::exporter_style(exporter, theme);
            add(7, true, format!("! {} not shipping", exporter.name), style);
        }
        let late = pipeline.spans_late;
        let text = format!("{}late {}", mark(late), format::count(late));
        add(6, true, text, counted(late));
        add(8, true, format::clock(shown.at_unix_ms / 1000), theme.text);
    }
    pieces
}

/// Everything that was not taken: spans, points and whole requests.
pub fn refused(pipeline: &PipelineView) -> u64 {
    pipeline.spans_refused + pipeline.points_refused + pipeline.requests_refused + pipeline.requests_turned_away
}

/// The state as a sign and a word.
fn state(app: &App, theme: &Theme) -> (String, Style) {
    let (text, style) = match app.status() {
        Status::Live if app.context() != Context::Waiting => ("● LIVE".to_owned(), theme.good),
        Status::Live | Status::Waiting => ("○ WAITING".to_owned(), theme.accent),
        Status::Replay(playing) if playing.on => (format!("▶ {}", playing.speed), theme.accent),
        Status::Replay(playing) => (format!("‖ {}", playing.speed), theme.warn),
        Status::Past { .. } => ("◀ PAST".to_owned(), theme.warn),
        Status::Paused { .. } => ("‖ PAUSED".to_owned(), theme.warn),
        Status::Connecting { .. } => ("○ CONNECTING".to_owned(), theme.warn),
        Status::Old(seconds) => (format!("○ NO DATA {}", format::whole_seconds(seconds)), theme.bad),
        Status::Ended(_) => ("■ ENDED".to_owned(), theme.warn),
    };
    (text, style)
}

/// The row under the header, while there is something to say.
pub fn status_line(app: &App, theme: &Theme) -> Option<Line<'static>> {
    let (text, style) = match app.status() {
        Status::Paused { since, source_is_up } => {
            let lasting = format::whole_seconds(app.seconds_since(since));
            let held = app.shown().map_or(0, |held| held.at_unix_ms / 1000);
            let at = format::clock(held);
            let newest = app.live().map_or(0, |live| live.at_unix_ms / 1000);
            let newest = format::clock(newest);
            let text = if source_is_up {
                format!("‖ held at {at} for {lasting} · data keeps coming, newest {newest} · Space goes on")
            } else {
                format!("‖ held at {at} for {lasting} · no new data, newest {newest} · Space goes on")
            };
            (text, theme.warn)
        }
        Status::Past { at_unix_ms, step_s } => {
            let at = format::clock(at_unix_ms / 1000);
            let newest = app.live().map_or(0, |live| live.at_unix_ms);
            let ago = format::whole_seconds(newest.saturating_sub(at_unix_ms) / 1000);
            let step = format::whole_seconds(step_s);
            let text = format!("◀ as it was at {at}, {ago} ago · ← → {step} a step, + - change it · a live again");
            (text, theme.warn)
        }
        Status::Replay(playing) => {
            let (first, last) = (playing.first_unix_ms / 1000, playing.last_unix_ms / 1000);
            let step = format::whole_seconds(app.travel.step_s());
            let (first, last) = (format::clock(first), format::clock(last));
            let text = app.note().map_or_else(
                || format!("recorded {first} to {last} · Space holds or plays · < > speed · ← → {step} a step, + -"),
                str::to_owned,
            );
            (text, theme.accent)
        }
        Status::Connecting { address, attempt, error, last_data_s: Some(seconds) } => {
            let last = format::whole_seconds(seconds);
            let why = error.map_or_else(String::new, |error| format!(" · {error}"));
            let text = format!("○ connecting, last data {last} ago · {address}, try {attempt}{why}");
            (text, theme.warn)
        }
        Status::Old(seconds) => {
            let silence = format::whole_seconds(seconds);
            let text = format!("○ no data for {silence}: figures below are that old");
            (text, theme.bad)
        }
        Status::Ended(reason) if app.shown().is_some() => (format!("■ ended: {reason} · q quits"), theme.warn),
        _ => (app.note()?.to_owned(), theme.accent),
    };
    Some(Line::styled(format!(" {text}"), style))
}
