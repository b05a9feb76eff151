//! One tier: its figures, a minute of them, what is wrong with it, and its parts in panes.
//!
//! ```text
//!  db-replica orders-ro@db2:5432                        ▲ critical
//!  kind from: address says replica · figures from its callers' spans · 2 instances in a, b
//!  req/s 44   err 0.0%   p50 21ms   p90 48ms   p95 60ms   p99 120ms   max 300ms   open 3
//!  requests a second, top 50     p95, top 120ms       errors, top 1.0%
//!  ▁▂▃▄▅▆▇█                      ▁▂▃▄▅▆▇█             ▁▁▁
//!  ▲ replica lag: ...
//!  ▸operations 5   instances 2   latency   signals 3   calls 2          Tab
//!  the pane that has the keys; all of them in boxes where there is room
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tiertop_core::snapshot::{Snapshot, TierView};

use crate::app::{App, Pane};
use crate::format;
use crate::screen::{TALL_ROWS, WIDE_COLUMNS, banner, tier_panes, words};
use crate::theme::Theme;
use crate::widget::paint;
use crate::widget::trend::{Trend, Worst};

/// Draws the tier that is open.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let Some(tier) = app.opened_tier() else {
        let name = words::tier_name(&app.opened);
        let gone = Line::styled(format!(" ○ {name} is no longer seen"), theme.warn);
        paint::line(buffer, area, 1, &gone);
        paint::line(buffer, area, 3, &Line::styled(" Esc goes back", theme.dim));
        return;
    };
    let boxed = area.width >= WIDE_COLUMNS && area.height + 2 >= TALL_ROWS;
    let rows = if area.height < 8 { 1 } else { 3 };
    head(tier, shown, theme, paint::take_top(&mut area, rows), buffer);
    let charts_rows = match area.height {
        30.. => 6,
        24..30 => 5,
        17..24 => 4,
        12..17 => 3,
        _ => 0,
    };
    charts(tier, theme, paint::take_top(&mut area, charts_rows), buffer);
    let lines = troubles(app, tier, shown, theme, area);
    let place = paint::take_top(&mut area, lines.len() as u16);
    for (row, line) in (0..).zip(&lines) {
        paint::line(buffer, place, row, line);
    }
    if boxed {
        all_panes(app, tier, shown, theme, area, buffer);
    } else {
        let tabs = paint::take_top(&mut area, 1);
        paint::line(buffer, tabs, 0, &tab_line(app, tier, shown, theme));
        tier_panes::draw(app.pane, Some(app.pane_row), tier, shown, theme, area, buffer);
    }
}

fn head(tier: &TierView, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let (state, style) = words::tier_state(tier, shown, 14, theme);
    let name =
        format::cut(&format!("{} {}", tier.kind, tier.member), columns.saturating_sub(format::width(&state) + 3));
    let name = Line::styled(format!(" {name}"), theme.title);
    paint::ends(buffer, area, 0, &name, &Line::styled(format!("{state} "), style));
    let about = about(tier, shown).into_iter();
    let about = about.map(|text| Span::styled(text, theme.dim)).collect();
    let mut about = paint::joined(about, theme.dim, columns.saturating_sub(1));
    about.spans.insert(0, Span::raw(" "));
    paint::line(buffer, area, 1, &about);
    paint::line(buffer, area, 2, &figures(tier, theme, columns));
}

/// Why it is what it is, where its figures come from, and where it runs.
fn about(tier: &TierView, shown: &Snapshot) -> Vec<String> {
    let mut pieces = vec![format!("kind from: {}", tier.kind_reason)];
    pieces.push(format!("figures {}", words::figures_from(tier)));
    if let Some(silent) = tier.silent_for_s {
        pieces.insert(0, format!("silent for {}", format::whole_seconds(silent)));
    }
    if tier.sampling_unknown {
        pieces.push("sampled by an unknown share: rates too low".to_owned());
    } else if let Some(share) = tier.sampled_ratio.filter(|share| *share < 1.0) {
        pieces.push(format!("{} of spans arrive, scaled up", format::ratio(share)));
    }
    if tier.quantile_error > words::COARSE {
        pieces.push(format!("≈ within {:.0}%", tier.quantile_error * 100.0));
    }
    let many = tier.instances.len();
    if many > 0 {
        let zones: Vec<&str> = tier.zones.iter().map(|zone| words::short_zone(zone, &shown.region)).collect();
        let plural = if many == 1 { "" } else { "s" };
        let within = if zones.is_empty() { String::new() } else { format!(" in {}", zones.join(", ")) };
        pieces.push(format!("{many} instance{plural}{within}"));
    }
    pieces
}

fn figures(tier: &TierView, theme: &Theme, columns: usize) -> Line<'static> {
    let quantile = |ms| words::quantile(tier, ms);
    let mut figures = vec![
        ("req/s", words::tier_rate(tier)),
        ("err", format::or_unknown(tier.error_ratio, format::ratio)),
        ("p50", quantile(tier.p50_ms)),
        ("p95", quantile(tier.p95_ms)),
        ("p99", quantile(tier.p99_ms)),
        ("max", quantile(tier.max_ms)),
        ("open", words::in_flight(tier)),
    ];
    if columns >= 90 {
        figures.insert(3, ("p90", quantile(tier.p90_ms)));
    }
    let gap = if columns >= 90 { "    " } else { "  " };
    let mut line = Line::default();
    for (name, value) in figures {
        let style = if name == "p95" { theme.title } else { theme.text };
        line.push_span(Span::styled(format!(" {name} "), theme.dim));
        line.push_span(Span::styled(value, style));
        line.push_span(Span::raw(gap));
    }
    line
}

/// How a figure is written.
type Write = fn(f64) -> String;

fn charts(tier: &TierView, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    let trend = &tier.trend;
    let places: [Rect; 3] = paint::columns(area);
    let charts: [(&str, &[Option<f32>], Write); 3] = [
        ("req/s, 60 s", &trend.requests_per_second, format::rate),
        ("p95, 60 s", &trend.p95_ms, format::duration_ms),
        ("errors, 60 s", &trend.error_ratio, format::ratio),
    ];
    for ((name, values, write), place) in charts.into_iter().zip(places) {
        let mut place = Rect { x: place.x + 1, width: place.width.saturating_sub(2), ..place }.intersection(area);
        let title = paint::take_top(&mut place, 1);
        let most = values.iter().flatten().copied().reduce(f32::max);
        let most = match most {
            Some(most) => format!("most {}", write(f64::from(most))),
            None => "unknown".to_owned(),
        };
        let name = Line::styled(name, theme.dim);
        paint::ends(buffer, title, 0, &name, &Line::styled(most, theme.dim));
        let trend =
            Trend { values, ends_unix_s: trend.ends_unix_s, top: None, worst: Worst::Greatest, style: theme.accent };
        trend.render(place, buffer);
    }
}

/// What is wrong with it, each trouble in up to four rows.
fn troubles(app: &App, tier: &TierView, shown: &Snapshot, theme: &Theme, area: Rect) -> Vec<Line<'static>> {
    let each = if area.height >= 14 { 4 } else { 2 };
    let mut lines = banner::about_tier(app, &tier.id, shown, theme, area.width.into(), each);
    lines.truncate(usize::from(area.height) / 2);
    lines
}

/// The names of the panes with how much is in each.
fn tab_line(app: &App, tier: &TierView, shown: &Snapshot, theme: &Theme) -> Line<'static> {
    let mut line = Line::default();
    for pane in Pane::ALL {
        let text = pane_title(pane, tier, shown);
        if pane == app.pane {
            line.push_span(Span::styled(format!("[{text}]"), theme.accent.patch(theme.title)));
        } else {
            line.push_span(Span::styled(format!(" {text} "), theme.dim));
        }
        line.push_span(Span::raw(" "));
    }
    line
}

fn pane_title(pane: Pane, tier: &TierView, shown: &Snapshot) -> String {
    match pane {
        Pane::Latency => pane.name().to_owned(),
        _ => format!("{} {}", pane.name(), pane.rows(tier, shown)),
    }
}

/// All panes in boxes: operations and latency at the left, the others at the right.
fn all_panes(app: &App, tier: &TierView, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let [left, right] = paint::columns(area);
    let mut draw = |pane: Pane, area: Rect| {
        let focused = pane == app.pane;
        let style = if focused { theme.accent } else { theme.border };
        let mark = if focused { "▸ " } else { "" };
        let title = format!(" {mark}{} ", pane_title(pane, tier, shown));
        let title = Line::styled(title, if focused { theme.accent } else { theme.title });
        let inside = paint::boxed(buffer, area, title, None, style);
        let row = focused.then_some(app.pane_row);
        tier_panes::draw(pane, row, tier, shown, theme, inside, buffer);
    };
    let mut left = left;
    let operations = (tier.operations.len() as u16 + 3).clamp(5, left.height / 2);
    draw(Pane::Operations, paint::take_top(&mut left, operations));
    draw(Pane::Latency, left);
    let mut right = right;
    let instances = (tier.instances.len() as u16 + 3).clamp(4, right.height / 3);
    draw(Pane::Instances, paint::take_top(&mut right, instances));
    let signals = (Pane::Signals.rows(tier, shown) as u16 + 3).clamp(4, (right.height / 2).max(4));
    draw(Pane::Signals, paint::take_top(&mut right, signals));
    draw(Pane::Calls, right);
}
