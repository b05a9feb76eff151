//! The pipeline: what arrives, who sends it, and how each exporter is.
//!
//! ```text
//!  exporters
//!  ! cloudwatch  retrying for 14s · eu-central-1
//!      Throttling: rate exceeded, 4 attempts
//!      do: nothing: it is tried again until it is taken
//!      48.6k datums sent, 1920 waiting, last taken 74s ago
//!      spool 412 kB of 256 MB · 84 of 500 series
//!      96 may count twice · gave up 8: older than two weeks
//!      $0.36 so far, $25.64 a month at list prices
//!  arrivals
//!      2.4k spans/s; accepted 1.2M spans, 10.8k points, 0 log records; late 3
//!  sources
//!      content content-1   104k spans   900 points   heard 0.4s ago
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use tiertop_core::snapshot::{ExporterState, ExporterView, PipelineView, ReasonCount, Snapshot, SourceView};

use crate::app::App;
use crate::format::{self, Align};
use crate::theme::{Palette, Theme};
use crate::widget::paint;

/// Draws as much as there is room for, from the line that the keys came to.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = lines(shown, theme, area.width.into());
    let first = app.pipeline_line.min(lines.len().saturating_sub(usize::from(area.height)));
    for (row, line) in lines.iter().skip(first).take(area.height.into()).enumerate() {
        paint::line(buffer, area, row as u16, line);
    }
}

/// The last line that scrolling goes to.
pub fn last_line(shown: &Snapshot, columns: u16, rows: u16) -> usize {
    lines(shown, &Theme::new(Palette::None), columns.into()).len().saturating_sub(usize::from(rows.saturating_sub(2)))
}

/// What the exporters say, a line each and no longer than the columns.
pub fn exporter_lines(exporter: &ExporterView, at_unix_ms: u64) -> Vec<String> {
    let ago = |then: u64| format::whole_seconds(at_unix_ms.saturating_sub(then) / 1000);
    let mut lines = Vec::new();
    if let Some(trouble) = &exporter.trouble {
        let plural = if trouble.attempts == 1 { "" } else { "s" };
        lines.push(format!("{}, {} attempt{plural}", trouble.what, trouble.attempts));
        lines.push(format!("do: {}", trouble.remedy));
    }
    let taken = exporter
        .last_success_unix_ms
        .map_or("nothing taken yet".to_owned(), |at| format!("last taken {} ago", ago(at)));
    lines.push(format!(
        "{} {} sent, {} waiting, {taken}",
        format::count(exporter.sent),
        exporter.pieces,
        format::count(exporter.waiting),
    ));
    let spool = exporter.spool.map(|spool| {
        format!("spool {} of {}", format::bytes(spool.bytes as f64), format::bytes(spool.capacity_bytes as f64))
    });
    let series = exporter.series.map(|series| {
        let folded = match series.folded_tiers {
            0 => String::new(),
            many => format!(", {many} tiers over it in \"other\""),
        };
        format!("{} of {} series{folded}", series.used, series.ceiling)
    });
    lines.extend(joined(spool.into_iter().chain(series)));
    let twice = (exporter.maybe_twice > 0).then(|| format!("{} may count twice", format::count(exporter.maybe_twice)));
    let gave_up = |ReasonCount { reason, count }: &ReasonCount| format!("gave up {}: {reason}", format::count(*count));
    lines.extend(joined(twice.into_iter().chain(exporter.dropped.iter().map(gave_up))));
    if let Some(cost) = exporter.cost {
        lines.push(format!("${:.2} so far, ${:.2} a month at list prices", cost.so_far_usd, cost.month_usd));
    }
    lines
}

/// An exporter's state as a sign and words.
pub fn exporter_head(exporter: &ExporterView, at_unix_ms: u64) -> String {
    let (sign, word) = match exporter.state {
        ExporterState::Starting => ("○", "nothing sent yet"),
        ExporterState::Shipping => ("●", "shipping"),
        ExporterState::Retrying => ("!", "retrying"),
        ExporterState::Blocked => ("▲", "needs you"),
    };
    let since = exporter.trouble.as_ref().map(|trouble| at_unix_ms.saturating_sub(trouble.since_unix_ms) / 1000);
    let lasting = since.map(|seconds| format!(" for {}", format::whole_seconds(seconds))).unwrap_or_default();
    format!("{sign} {}  {word}{lasting} · {}", exporter.name, exporter.target)
}

/// The colour of a state.
pub fn exporter_style(exporter: &ExporterView, theme: &Theme) -> Style {
    match exporter.state {
        ExporterState::Starting => theme.dim,
        ExporterState::Shipping => theme.good,
        ExporterState::Retrying => theme.warn,
        ExporterState::Blocked => theme.bad,
    }
}

fn joined(pieces: impl Iterator<Item = String>) -> Option<String> {
    let pieces: Vec<String> = pieces.collect();
    (!pieces.is_empty()).then(|| pieces.join(" · "))
}

fn lines(shown: &Snapshot, theme: &Theme, columns: usize) -> Vec<Line<'static>> {
    let pipeline = &shown.pipeline;
    let mut lines = vec![Line::styled(" exporters", theme.title)];
    if pipeline.exporters.is_empty() {
        lines.push(Line::styled("     none: start with --ship cloudwatch", theme.dim));
    }
    for exporter in &pipeline.exporters {
        let head = exporter_head(exporter, shown.at_unix_ms);
        lines.push(Line::styled(
            format!(" {}", format::cut(&head, columns.saturating_sub(2))),
            exporter_style(exporter, theme),
        ));
        for text in exporter_lines(exporter, shown.at_unix_ms) {
            wrapped(&mut lines, &text, theme.text, columns);
        }
    }
    lines.push(Line::default());
    lines.push(Line::styled(" arrivals", theme.title));
    for text in arrivals(pipeline) {
        wrapped(&mut lines, &text, theme.text, columns);
    }
    lines.push(Line::default());
    lines.push(Line::styled(" sources", theme.title));
    lines.extend(pipeline.sources.iter().map(|source| source_line(source, theme, columns)));
    lines
}

fn wrapped(lines: &mut Vec<Line<'static>>, text: &str, style: Style, columns: usize) {
    let parts = format::wrap(text, columns.saturating_sub(8).max(8)).into_iter().enumerate();
    lines.extend(parts.map(|(place, part)| {
        let indent = if place == 0 { "     " } else { "       " };
        Line::styled(format!("{indent}{part}"), style)
    }));
}

fn arrivals(pipeline: &PipelineView) -> Vec<String> {
    let mut texts = vec![
        format!("listening on {}", pipeline.listening.join(", ")),
        format!(
            "{} spans/s; accepted {} spans, {} points, {} log records; late {}",
            format::rate(pipeline.spans_per_second),
            format::count(pipeline.spans_accepted),
            format::count(pipeline.points_accepted),
            format::count(pipeline.logs_accepted),
            format::count(pipeline.spans_late),
        ),
        format!(
            "waiting {} of {}; figures and history take {}",
            format::bytes(pipeline.queued_bytes as f64),
            format::bytes(pipeline.queue_capacity_bytes as f64),
            format::bytes(pipeline.engine_bytes as f64),
        ),
    ];
    let there = |reason: &&ReasonCount| reason.count > 0;
    let refused = pipeline.refusals.iter().filter(there);
    texts.extend(refused.map(|reason| format!("refused {}: {}", format::count(reason.count), reason.reason)));
    let given_up = pipeline.evictions.iter().filter(there);
    texts.extend(given_up.map(|reason| format!("given up {}: {}", format::count(reason.count), reason.reason)));
    texts
}

fn source_line(source: &SourceView, theme: &Theme, columns: usize) -> Line<'static> {
    let name = (columns.saturating_sub(60)).clamp(12, 60);
    let instance = source.instance.as_deref().unwrap_or_default();
    let text = format!(
        "     {}{} spans{} points  {}heard {} ago",
        format::fit(&format!("{} {instance}", source.service), name, Align::Left),
        format::fit(&format::count(source.spans), 7, Align::Right),
        format::fit(&format::count(source.points), 7, Align::Right),
        if source.silent { "○ silent, " } else { "" },
        format::seconds(source.last_seen_s),
    );
    Line::styled(text, if source.silent { theme.warn } else { theme.text })
}
