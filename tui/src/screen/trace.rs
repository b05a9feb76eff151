//! One trace: where its time went, and its spans as bars under each other.
//!
//! ```text
//!  • slowest  GET /api/v1/content/{id}  231ms  14:03:22  0a7f31bb…
//!  time went to  db-replica orders-ro 120ms 52 % · db-primary orders 55ms 24 % · ...
//!  █ critical  ▓ critical wait  ▒ work  ░ wait  ─ in its calls          0 ─ 231ms
//!    lb GET /api/v1/content/{id}     █────────────────────────█   231ms
//!      web GET /api/v1/content/{id}   █──────────────────────█    226ms
//!        app content ...  skew 3.4 ms  ██──────────────────██      215ms
//!  the span under the cursor in full
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{KeptFor, TraceSpanView, TraceView};

use crate::app::{App, first_shown};
use crate::format::{self, Align};
use crate::screen::{tier_table, traces, words};
use crate::theme::Theme;
use crate::widget::{paint, waterfall};

/// Columns of the duration at the right of a bar.
const TOOK: usize = 8;

/// Draws the trace that is open.
pub fn draw(app: &App, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let Some(trace) = app.looking.opened.as_deref() else {
        paint::line(buffer, area, 1, &Line::styled(" no trace is open; Esc goes back", theme.dim));
        return;
    };
    let columns = usize::from(area.width);
    let row = paint::take_top(&mut area, 1);
    paint::line(buffer, row, 0, &heading(trace, theme, columns));
    let mut charges = charges(trace, theme, columns);
    charges.truncate(usize::from(area.height / 6).max(1));
    let place = paint::take_top(&mut area, charges.len() as u16);
    for (row, line) in (0..).zip(&charges) {
        paint::line(buffer, place, row, line);
    }
    if area.height >= 8 {
        let under = paint::take_bottom(&mut area, 2);
        if let Some(span) = trace.spans.get(app.looking.span) {
            for (row, line) in (0..).zip(span_in_full(span, theme, columns)) {
                paint::line(buffer, under, row, &line);
            }
        }
    }
    if area.height >= 4 {
        let row = paint::take_top(&mut area, 1);
        let axis = Line::styled(format!("0 to {} ", format::duration_ms(trace.duration_ms)), theme.dim);
        let legend = legend(theme);
        paint::line(buffer, row, 0, &legend);
        if legend.width() + axis.width() < columns {
            paint::ends(buffer, row, 0, &Line::default(), &axis);
        }
    }
    spans(trace, app.looking.span, theme, area, buffer);
}

fn heading(trace: &TraceView, theme: &Theme, columns: usize) -> Line<'static> {
    let (sign, word, style) = traces::kept(trace, theme);
    let took = format::duration_ms(trace.duration_ms);
    let mut notes = vec![took, format::clock(trace.start_unix_ms / 1000)];
    if trace.failed && trace.kept_for != KeptFor::Failed {
        notes.push("failed".to_owned());
    }
    if trace.incomplete {
        notes.push("spans missing".to_owned());
    }
    if trace.spans_left_out > 0 {
        notes.push(format!("{} spans left out", format::count(trace.spans_left_out)));
    }
    if columns >= 100 {
        notes.push(format!("trace {}", trace.id));
    }
    let notes = format!("  {}", notes.join(" · "));
    let kept = format!(" {sign} {word}  ");
    let room = columns.saturating_sub(format::width(&kept) + format::width(&notes) + 1);
    Line::from(vec![
        Span::styled(kept, style),
        Span::styled(format::cut(&trace.operation, room), theme.title),
        Span::raw(notes),
    ])
}

/// Where the time went, by tier, as many to a line as there is room for.
fn charges(trace: &TraceView, theme: &Theme, columns: usize) -> Vec<Line<'static>> {
    let whole = trace.duration_ms.max(f64::MIN_POSITIVE);
    let pieces = trace.charges.iter().map(|charge| {
        let way = if charge.gap { "way to " } else { "" };
        let (took, share) = (format::duration_ms(charge.charged_ms), words::percent(charge.charged_ms / whole));
        format!("{way}{} {took} {share}", words::tier_name(&charge.tier))
    });
    let (label, room) = ("time went to  ", columns.saturating_sub(16));
    let mut rows: Vec<String> = Vec::new();
    for piece in pieces {
        match rows.last_mut() {
            Some(row) if format::width(row) + 3 + format::width(&piece) <= room => {
                row.push_str(" · ");
                row.push_str(&piece);
            }
            _ => rows.push(format::cut(&piece, room)),
        }
    }
    let label_of = |place: usize| if place == 0 { label.to_owned() } else { " ".repeat(label.len()) };
    let rows = rows.into_iter().enumerate();
    rows.map(|(place, row)| {
        Line::from(vec![Span::styled(format!(" {}", label_of(place)), theme.accent), Span::raw(row)])
    })
    .collect()
}

fn legend(theme: &Theme) -> Line<'static> {
    let pieces = waterfall::LEGEND.iter().map(|(sign, words)| Span::styled(format!("  {sign} {words}"), theme.dim));
    let mut line: Line<'static> = pieces.collect::<Vec<_>>().into();
    line.spans.insert(0, Span::raw(" "));
    line
}

fn spans(trace: &TraceView, under: usize, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let name_columns = (columns * 2 / 5).clamp(8, 64);
    let bar_columns = columns.saturating_sub(name_columns + TOOK + 2);
    let room = usize::from(area.height);
    let room = if trace.spans.len() > room && room > 1 { room - 1 } else { room };
    let first = first_shown(under, trace.spans.len(), room);
    for (row, (place, span)) in (0..).zip(trace.spans.iter().enumerate().skip(first).take(room)) {
        let (name, style) = name(span, name_columns, theme);
        let mut line = Line::from(Span::styled(format!(" {name} "), style));
        line.spans.extend(waterfall::bar(&trace.spans, place, trace.duration_ms, bar_columns, theme).spans);
        let took = format::fit(&format::duration_ms(span.duration_ms), TOOK - 1, Align::Right);
        line.push_span(Span::styled(took, style));
        paint::line(buffer, area, row, &line);
        if place == under {
            let row = Rect::new(area.x, area.y + row, name_columns as u16 + 2, 1);
            buffer.set_style(row.intersection(area), theme.selected);
        }
    }
    if trace.spans.len() > room {
        let below = trace.spans.len() - first - room;
        paint::line(buffer, area, room as u16, &tier_table::more(first, below, theme));
    }
}

/// The tier and the name of a span, moved in by its depth; a call with "→" before the tier that it calls.
/// Marked where it failed or its clock was off.
fn name(span: &TraceSpanView, columns: usize, theme: &Theme) -> (String, Style) {
    let indent = usize::from(span.depth).min(columns / 3) * 2;
    let mark = if span.failed { "! " } else { "" };
    let to = if span.call { "→ " } else { "" };
    let kind = span.tier.split('/').next().unwrap_or_default();
    let skew = span.moved_ms.map_or_else(String::new, |ms| format!("  skew {}", skew(ms)));
    let room = columns.saturating_sub(indent + format::width(&skew));
    let text = format::cut(&format!("{mark}{to}{kind} {}", span.name), room);
    let text = format!("{}{text}{skew}", " ".repeat(indent));
    let style = if span.failed { theme.bad } else { theme.text };
    (format::fit(&text, columns, Align::Left), style)
}

fn skew(ms: f64) -> String {
    let sign = if ms < 0.0 { "-" } else { "" };
    format!("{sign}{:.1} ms", ms.abs())
}

fn span_in_full(span: &TraceSpanView, theme: &Theme, columns: usize) -> [Line<'static>; 2] {
    let failed = if span.failed { "! failed  " } else { "" };
    let from = if span.instance.is_empty() { String::new() } else { format!(" · sent by {}", span.instance) };
    let to = if span.call { "call to " } else { "" };
    let first = format!(" {failed}{} · {to}{}{from}", span.name, words::tier_name(&span.tier));
    let critical: f64 = span.critical.iter().map(|(from, to)| to - from).sum();
    let moved = span.moved_ms.map_or_else(String::new, |ms| format!(" · moved by {}, the skew of its clock", skew(ms)));
    let second = format!(
        "   at {}, takes {}, {} critical{moved}",
        format::duration_ms(span.start_ms),
        format::duration_ms(span.duration_ms),
        format::duration_ms(critical),
    );
    [Line::styled(format::cut(&first, columns), theme.title), Line::styled(format::cut(&second, columns), theme.dim)]
}
