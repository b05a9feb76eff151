//! The traces that were kept: why, when, how long, what was asked, and where most of the time went.
//!
//! ```text
//!  5 traces kept, slowest first
//!    kept     began     took   operation                       most time in
//!  ▲ failed   14:03:18  402ms  GET /api/v1/content/{id}        db-replica orders-ro 52 %
//!  • slowest  14:03:22  231ms  GET /api/v1/content/{id}        ...
//!  ‖ stalled  14:02:22  812ms  POST /api/v1/content            ...
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{KeptFor, Snapshot, TraceView};

use crate::app::{App, TraceOrder, first_shown};
use crate::format;
use crate::screen::{tier_table, words};
use crate::theme::Theme;
use crate::widget::{columns, paint};

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Sign,
    Kept,
    Began,
    Took,
    Operation,
    Most,
    Spans,
    Id,
}

/// Draws the list.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let traces = app.looking.traces(shown);
    let head = paint::take_top(&mut area, 1);
    paint::line(buffer, head, 0, &heading(app, shown, traces.len(), theme));
    if traces.is_empty() {
        let text = " no trace was kept yet: traces are kept from the spans of whole requests";
        paint::line(buffer, area, 1, &Line::styled(text, theme.dim));
        return;
    }
    let mut columns = vec![
        columns::name(Column::Sign, "", 3),
        columns::name(Column::Kept, "kept", 9),
        columns::name(Column::Began, "began", 9),
        columns::number(Column::Took, "took", 7),
        columns::name(Column::Operation, " operation", 24),
        columns::name(Column::Most, "most time in", 30),
        columns::number(Column::Spans, "spans", 6),
        columns::name(Column::Id, " id", 18),
    ];
    let drop = [Column::Id, Column::Spans, Column::Began, Column::Most, Column::Kept];
    columns::fit(&mut columns, &drop, &Column::Operation, 70, area.width.into());
    let row = paint::take_top(&mut area, 1);
    paint::line(buffer, row, 0, &columns::heading(&columns, theme.dim));
    let under = app.looking.trace_place(&traces);
    let room = usize::from(area.height);
    let room = if traces.len() > room && room > 1 { room - 1 } else { room };
    let first = first_shown(under, traces.len(), room);
    for (row, (place, trace)) in (0..).zip(traces.iter().enumerate().skip(first).take(room)) {
        paint::line(buffer, area, row, &columns::row(&columns, |column| cell(trace, column.kind, theme)));
        if place == under {
            let row = Rect::new(area.x, area.y + row, area.width, 1);
            buffer.set_style(row.intersection(area), theme.selected);
        }
    }
    if traces.len() > room {
        paint::line(buffer, area, room as u16, &tier_table::more(first, traces.len() - first - room, theme));
    }
}

fn heading(app: &App, shown: &Snapshot, listed: usize, theme: &Theme) -> Line<'static> {
    let order = match app.looking.order {
        TraceOrder::Duration => "slowest first",
        TraceOrder::Time => "newest first",
    };
    let mut line = Line::default();
    match (app.looking.filter(shown), app.looking.through.as_deref()) {
        (Some(tier), _) => {
            let text = format!(" {listed} of {} traces, through {}", shown.traces.len(), words::tier_name(tier));
            line.push_span(Span::styled(text, theme.title));
        }
        (None, Some(tier)) => {
            let text = format!(" {listed} traces kept, none through {}", words::tier_name(tier));
            line.push_span(Span::styled(text, theme.title));
        }
        (None, None) => line.push_span(Span::styled(format!(" {listed} traces kept"), theme.title)),
    }
    line.push_span(Span::styled(format!(", {order}"), theme.dim));
    line
}

/// Sign, word and style of why a trace was kept.
pub fn kept(trace: &TraceView, theme: &Theme) -> (&'static str, &'static str, Style) {
    match trace.kept_for {
        KeptFor::Failed => ("▲", "failed", theme.bad),
        KeptFor::Stalled => ("‖", "stalled", theme.warn),
        KeptFor::Slowest => ("•", "slowest", theme.text),
        KeptFor::Sample => ("·", "sample", theme.dim),
    }
}

fn cell(trace: &TraceView, column: Column, theme: &Theme) -> (String, Style) {
    let (sign, word, style) = kept(trace, theme);
    match column {
        Column::Sign => (sign.to_owned(), style),
        Column::Kept => (word.to_owned(), style),
        Column::Began => (format::clock(trace.start_unix_ms / 1000), theme.text),
        Column::Took => (format::duration_ms(trace.duration_ms), theme.text),
        Column::Operation => {
            let failed = if trace.failed && trace.kept_for != KeptFor::Failed { "failed  " } else { "" };
            let part = if trace.incomplete { "  (spans missing)" } else { "" };
            (format!(" {failed}{}{part}", trace.operation), theme.text)
        }
        Column::Most => (most(trace), theme.text),
        Column::Spans => (format::count(trace.spans.len() as u64 + trace.spans_left_out), theme.dim),
        Column::Id => (format!(" {}", format::cut_middle(&trace.id, 16)), theme.dim),
    }
}

/// The tier that took the most of it, with its share.
fn most(trace: &TraceView) -> String {
    let Some(charge) = trace.charges.first() else {
        return format::UNKNOWN.to_owned();
    };
    let share = words::percent(charge.charged_ms / trace.duration_ms.max(f64::MIN_POSITIVE));
    let way = if charge.gap { "way to " } else { "" };
    let name = format!("{way}{}", words::tier_name(&charge.tier));
    format!("{} {share}", format::cut_middle(&name, 29 - 1 - format::width(&share)))
}
