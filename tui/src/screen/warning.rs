//! The banner: what is wrong, since when, why, what to do, and which phase it is the wall of.
//!
//! ```text
//!  ▲ CRITICAL  replica lag  db-replica orders-ro      since 14:02:51 (36 s)  1 of 3
//!    lag 8.4 s, growing 0.9 s/s · 38 % of reads fall back to the primary
//!    now       route reads by lag; stop the report query holding replay
//!    for good  another replica, reports elsewhere
//!    phases  1 ─ 2 ─ ▲ 3 database reads ─ 4 ─ 5 ─ 6
//! ```
//! Without a warning it is one calm line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::phase::{LADDER, Phase};
use tiertop_core::snapshot::{Snapshot, WarningView};

use crate::app::App;
use crate::format;
use crate::screen::words;
use crate::theme::Theme;
use crate::widget::paint;

/// How many ended warnings a calm screen lists.
const ENDED_SHOWN: usize = 3;

/// The lines of the banner without a box, the first ones first where there are fewer rows.
pub fn lines(app: &App, shown: &Snapshot, theme: &Theme, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let Some((warning, place, of)) = app.shown_warning() else {
        let mut lines = calm(shown, theme);
        lines.truncate(rows);
        return lines;
    };
    let mut lines = vec![one_line(warning, shown, (place, of), columns, theme)];
    let room = columns.saturating_sub(4);
    let mut rest = Vec::new();
    let evidence_rows = if rows > 6 { 2 } else { 1 };
    for text in evidence(warning, room, evidence_rows) {
        rest.push(Line::raw(format!("   {text}")));
    }
    rest.extend(remedies(warning, theme, room, "   "));
    if let Some(phase) = warning.phase {
        let mut line = ladder(app, theme, columns);
        line.spans.insert(0, Span::raw("  "));
        if line.width() > columns {
            line = Line::from(format!("   phase {} {}", phase.number(), phase.name()));
        }
        rest.push(line);
    }
    lines.extend(rest);
    lines.truncate(rows);
    lines
}

/// Draws the banner in a box.
pub fn draw_boxed(app: &App, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some((warning, place, of)) = app.shown_warning() else {
        return;
    };
    let (sign, word, style) = words::severity(warning.severity, theme);
    let title = Line::styled(format!(" {sign} {}  {} ", word.to_uppercase(), warning.title), style);
    let bottom = Line::styled(phase_name(warning.phase), style);
    let inside = paint::boxed(buffer, area, title, Some(bottom), style);
    let columns = usize::from(inside.width).saturating_sub(2);
    let since = Line::styled(format!(" {} ", since(warning, shown, (place, of), columns)), style);
    let room = Rect { x: area.x + 1, width: area.width.saturating_sub(3), ..area };
    paint::ends(buffer, room, 0, &Line::default(), &since);
    let tier = words::tier_name(&warning.tier);
    let mut rows = vec![Line::styled(format!(" {tier}"), theme.title)];
    let remedies = remedies(warning, theme, columns, " ");
    let left = usize::from(inside.height).saturating_sub(1 + remedies.len());
    for text in evidence(warning, columns, left) {
        rows.push(Line::raw(format!(" {text}")));
    }
    rows.extend(remedies);
    for (row, line) in (0..).zip(&rows) {
        paint::line(buffer, inside, row, line);
    }
}

/// A warning in one row: sign, word, title, tier, since when.
pub fn one_line(
    warning: &WarningView,
    shown: &Snapshot,
    places: (usize, usize),
    columns: usize,
    theme: &Theme,
) -> Line<'static> {
    let (sign, word, style) = words::severity(warning.severity, theme);
    let word = if columns < 40 { String::new() } else { format!("{} ", word.to_uppercase()) };
    let gap = if word.is_empty() { "" } else { " " };
    let head = format!(" {sign} {word}{gap}{}", warning.title);
    let since = since(warning, shown, places, columns);
    let tier = format!("  {}", words::tier_name(&warning.tier));
    let spare = columns.saturating_sub(format::width(&head) + format::width(&since) + 2);
    let tier = if spare < 6 { String::new() } else { format::cut(&tier, spare) };
    let used = format::width(&head) + format::width(&tier) + format::width(&since) + 1;
    let mut line = Line::from(vec![Span::styled(head, style), Span::styled(tier, theme.title)]);
    if used < columns {
        line.push_span(Span::raw(" ".repeat(columns - used)));
        line.push_span(Span::styled(since, style));
    }
    line
}

/// Since when, and which of how many; in few columns only for how long.
fn since(warning: &WarningView, shown: &Snapshot, (place, of): (usize, usize), columns: usize) -> String {
    let seconds = shown.at_unix_ms.saturating_sub(warning.since_unix_ms) / 1000;
    let lasting = format::whole_seconds(seconds);
    let which = match of {
        0 | 1 => String::new(),
        _ if columns < 100 => format!("  {} of {of}", place + 1),
        _ => format!("  {} of {of}, n next", place + 1),
    };
    if columns < 100 {
        return format!("for {lasting}{which}");
    }
    let at = format::clock(warning.since_unix_ms / 1000);
    format!("since {at} ({lasting}){which}")
}

/// The evidence joined into at most `rows` lines, most telling first; what does not fit is left out.
fn evidence(warning: &WarningView, columns: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in &warning.evidence {
        let many = lines.len();
        match lines.last_mut() {
            Some(line) if format::width(line) + 3 + format::width(piece) <= columns => {
                line.push_str(" · ");
                line.push_str(piece);
            }
            _ if many < rows => lines.push(format::cut(piece, columns)),
            _ => break,
        }
    }
    lines
}

/// What to do: beside each other where both fit, else one under the other.
fn remedies(warning: &WarningView, theme: &Theme, columns: usize, indent: &'static str) -> Vec<Line<'static>> {
    let labelled = |label: &'static str, text: &str, room: usize| {
        vec![Span::styled(label, theme.accent), Span::raw(format::cut(text, room.saturating_sub(label.len())))]
    };
    let (now, for_good) = (&warning.remedy_now, &warning.remedy_for_good);
    let both = !now.is_empty() && !for_good.is_empty();
    if both && format::width(now) + format::width(for_good) + 24 <= columns {
        let mut spans = vec![Span::raw(indent)];
        spans.extend(labelled("now  ", now, columns));
        spans.push(Span::raw("      "));
        spans.extend(labelled("for good  ", for_good, columns));
        return vec![spans.into()];
    }
    [("now       ", now), ("for good  ", for_good)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| {
            let mut spans = vec![Span::raw(indent)];
            spans.extend(labelled(label, text, columns));
            spans.into()
        })
        .collect()
}

fn phase_name(phase: Option<Phase>) -> String {
    phase.map_or_else(String::new, |phase| format!(" wall of phase {} {} ", phase.number(), phase.name()))
}

/// The six phases in a row, those that an open warning is the wall of marked and named.
pub fn ladder(app: &App, theme: &Theme, columns: usize) -> Line<'static> {
    let open = app.open_warnings();
    let wall = |phase: Phase| {
        let found = open.iter().find(|warning| warning.phase == Some(phase));
        found.map(|warning| words::severity(warning.severity, theme))
    };
    let full: usize = LADDER.iter().map(|text| text.name.len() + 7).sum();
    let named = full + 10 <= columns;
    let mut line = Line::from(Span::styled(" phase  ", theme.dim));
    for (place, text) in LADDER.iter().enumerate() {
        if place > 0 {
            line.push_span(Span::styled(" ─ ", theme.dim));
        }
        let name = format!("{} {}", text.number, text.name);
        match wall(text.phase) {
            Some((sign, _, style)) => line.push_span(Span::styled(format!("{sign} {name}"), style)),
            None if named => line.push_span(Span::styled(name, theme.dim)),
            None => line.push_span(Span::styled(text.number.to_string(), theme.dim)),
        }
    }
    line
}

/// The line of a screen without a warning, and those that ended of late.
fn calm(shown: &Snapshot, theme: &Theme) -> Vec<Line<'static>> {
    let silent = shown.tiers.iter().filter_map(|tier| {
        let silence = format::whole_seconds(tier.silent_for_s?);
        Some(format!("{} for {silence}", words::tier_name(&tier.id)))
    });
    let silent: Vec<String> = silent.collect();
    let first = if let Some(silence) = shown.all_silent_for_s() {
        let silence = format::whole_seconds(silence);
        Line::styled(format!(" ○ no data: every service has been silent for {silence}"), theme.warn)
    } else if let Some(left) = shown.learning_left_s() {
        let text = format!(" ○ learning what is usual: too little data to judge yet, {left} s to go");
        Line::styled(text, theme.accent)
    } else {
        let text = match silent.as_slice() {
            [] => " ● no warnings · all tiers at their usual level",
            _ => " ● no warnings · all tiers that send are at their usual level",
        };
        Line::styled(text, theme.good)
    };
    let mut lines = vec![first];
    if !silent.is_empty() {
        let text = format!(" ○ silent: {}", silent.join(", "));
        lines.push(Line::styled(text, theme.warn));
    }
    lines.extend(ended(shown).take(ENDED_SHOWN).map(|text| Line::styled(text, theme.dim)));
    lines
}

/// The warnings that ended, in words.
pub fn ended(shown: &Snapshot) -> impl Iterator<Item = String> {
    shown.warnings.iter().filter_map(|warning| {
        let seconds = shown.at_unix_ms.saturating_sub(warning.ended_unix_ms?) / 1000;
        let ago = format::whole_seconds(seconds);
        let tier = words::tier_name(&warning.tier);
        Some(format!("   {} on {tier} ended {ago} ago", warning.title))
    })
}

/// How a warning's style reads for one tier, if one is open whose rule or title has one of `about`.
pub fn about<'a>(shown: &'a Snapshot, tier: &str, about: &[&str]) -> Option<&'a WarningView> {
    shown.warnings.iter().find(|warning| {
        let named = about.iter().any(|word| warning.rule.contains(word) || warning.title.contains(word));
        warning.ended_unix_ms.is_none() && warning.tier == tier && named
    })
}

/// Sign and style that a figure takes from a warning about it.
pub fn mark(warning: Option<&WarningView>, theme: &Theme) -> (&'static str, Style) {
    warning.map_or(("", theme.title), |warning| {
        let (sign, _, style) = words::severity(warning.severity, theme);
        (sign, style)
    })
}
