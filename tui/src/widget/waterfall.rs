//! One span of a trace as a bar on the trace's axis of time.
//!
//! ```text
//! ██ its own work on the critical path     ▓▓ waiting on the critical path
//! ▒▒ its own work beside it                ░░ waiting beside it
//! ── its calls run                            (blank: it does not run)
//! ```
//! Waiting is what the children of a call do not cover: the way there, a queue, or a callee that
//! sends no spans.

use ratatui::text::{Line, Span};
use tiertop_core::snapshot::TraceSpanView;

use crate::theme::Theme;

/// What the signs of a bar mean, in the order in which they matter.
pub const LEGEND: [(&str, &str); 5] =
    [("█", "critical"), ("▓", "critical wait"), ("▒", "work"), ("░", "wait"), ("─", "in its calls")];

/// What a span does in one cell of its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    InCalls,
    Waits,
    Works,
    CriticallyWaits,
    CriticallyWorks,
}

impl Doing {
    fn sign(self) -> &'static str {
        match self {
            Self::Nothing => " ",
            Self::InCalls => "─",
            Self::Waits => "░",
            Self::Works => "▒",
            Self::CriticallyWaits => "▓",
            Self::CriticallyWorks => "█",
        }
    }
}

/// The bar of the span in place `which` of `spans`, in `columns` cells for `whole_ms`.
pub fn bar(spans: &[TraceSpanView], which: usize, whole_ms: f64, columns: usize, theme: &Theme) -> Line<'static> {
    let Some(span) = spans.get(which) else {
        return Line::default();
    };
    let children: Vec<(f64, f64)> = spans
        .iter()
        .filter(|child| child.parent.is_some_and(|parent| parent as usize == which))
        .map(|child| (child.start_ms, child.start_ms + child.duration_ms))
        .collect();
    let cell_ms = whole_ms.max(f64::MIN_POSITIVE) / columns.max(1) as f64;
    let mut line = Line::default();
    let mut run: Option<(Doing, String)> = None;
    for column in 0..columns {
        let from = column as f64 * cell_ms;
        let doing = doing(span, &children, (from, from + cell_ms), column, cell_ms);
        match &mut run {
            Some((same, text)) if *same == doing => text.push_str(doing.sign()),
            _ => {
                push(&mut line, run.take(), theme);
                run = Some((doing, doing.sign().to_owned()));
            }
        }
    }
    push(&mut line, run, theme);
    line
}

fn push(line: &mut Line<'static>, run: Option<(Doing, String)>, theme: &Theme) {
    let Some((doing, text)) = run else { return };
    let style = match doing {
        Doing::CriticallyWorks | Doing::CriticallyWaits => theme.bad,
        Doing::Works => theme.accent,
        Doing::Waits | Doing::InCalls | Doing::Nothing => theme.dim,
    };
    line.push_span(Span::styled(text, style));
}

/// What the span does for most of a cell. What is critical shows even where it is shorter, and a span
/// that is shorter than a cell shows in the cell where it starts.
fn doing(span: &TraceSpanView, children: &[(f64, f64)], cell: (f64, f64), column: usize, cell_ms: f64) -> Doing {
    let end = span.start_ms + span.duration_ms;
    let starts_here = (span.start_ms / cell_ms).floor() as usize == column;
    let middle = f64::midpoint(cell.0, cell.1);
    if !(starts_here || span.start_ms <= middle && middle < end) {
        return Doing::Nothing;
    }
    let critical = span.critical.iter().any(|&(from, to)| from < cell.1 && to > cell.0);
    let in_calls = children.iter().any(|&(from, to)| from <= middle && middle < to);
    match (critical, span.call, in_calls) {
        (true, true, _) => Doing::CriticallyWaits,
        (true, false, _) => Doing::CriticallyWorks,
        (false, _, true) => Doing::InCalls,
        (false, true, false) => Doing::Waits,
        (false, false, false) => Doing::Works,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Palette;

    fn span(
        parent: Option<u32>,
        start_ms: f64,
        duration_ms: f64,
        call: bool,
        critical: &[(f64, f64)],
    ) -> TraceSpanView {
        TraceSpanView {
            parent,
            depth: 0,
            name: String::new(),
            tier: String::new(),
            instance: String::new(),
            start_ms,
            duration_ms,
            failed: false,
            call,
            moved_ms: None,
            critical: critical.to_vec(),
        }
    }

    fn drawn(spans: &[TraceSpanView], which: usize) -> String {
        let line = bar(spans, which, 10.0, 10, &Theme::new(Palette::None));
        line.spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn what_a_call_does_not_cover_is_waiting_and_the_critical_path_is_marked() {
        let spans = [
            span(None, 0.0, 10.0, false, &[(0.0, 2.0)]),
            span(Some(0), 2.0, 8.0, true, &[(2.0, 4.0)]),
            span(Some(1), 4.0, 4.0, false, &[(4.0, 8.0)]),
        ];
        assert_eq!(drawn(&spans, 0), "██────────");
        assert_eq!(drawn(&spans, 1), "  ▓▓────░░");
        assert_eq!(drawn(&spans, 2), "    ████  ");
    }

    #[test]
    fn a_span_shorter_than_a_cell_is_seen_once() {
        let spans = [span(None, 3.9, 0.05, false, &[]), span(None, 9.99, 0.0, true, &[])];
        assert_eq!(drawn(&spans, 0), "   ▒      ");
        assert_eq!(drawn(&spans, 1), "         ░");
    }
}
