//! The tiers in request order, one row each.
//!
//! ```text
//!         tier                      req/s    err    p50    p95    p99  p95, last 60 s
//!         edge         cdn            402   0.0%  1.0ms  4.1ms   11ms  ▁▁▁▂▁▁▁▁▁▁▁▁
//!  ▲ crit db-replica   orders-ro ×2    44   0.0%   21ms   60ms  120ms  ▁▁▂▃▄▅▅▆▇▇▇▇
//!  ↑ 2 more  ↓ 16 more
//! ```
//! Where columns are few, these go, in this order: rate trend, requests open, p95 trend, p50, p99,
//! errors, rate. Below 40 columns, where rows allow, each tier takes two rows instead.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{Snapshot, TierView};

use crate::app::{App, first_shown};
use crate::format::{self, Align};
use crate::screen::words;
use crate::theme::Theme;
use crate::widget::columns::{self, Column};
use crate::widget::paint;
use crate::widget::trend::{Trend, Worst};

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    State,
    Name,
    Rate,
    Errors,
    P50,
    P95,
    P99,
    Open,
    RateTrend,
    P95Trend,
}

/// What goes first where columns are few.
const DROP_ORDER: [Kind; 7] =
    [Kind::RateTrend, Kind::Open, Kind::P95Trend, Kind::P50, Kind::P99, Kind::Errors, Kind::Rate];

/// Below this many columns a tier takes two rows.
const STACKED_BELOW: u16 = 40;

/// Stands before the row under the cursor.
const CURSOR: &str = "▸";

/// Columns that a kind's name takes before the member.
const KIND_COLUMNS: usize = 12;

fn columns_for(room: usize) -> Vec<Column<Kind>> {
    let wide = room >= 110;
    let state = if wide {
        15
    } else if room >= 60 {
        7
    } else {
        2
    };
    let trend = if wide { 21 } else { 13 };
    let mut columns = vec![
        columns::name(Kind::State, "", state),
        columns::name(Kind::Name, "tier", if room >= 60 { 26 } else { 10 }),
        columns::number(Kind::Rate, "req/s", 7),
        columns::number(Kind::Errors, "err", 6),
        columns::number(Kind::P50, "p50", 8),
        columns::number(Kind::P95, "p95", 8),
        columns::number(Kind::P99, "p99", 8),
        columns::number(Kind::Open, "open", 7),
        columns::name(Kind::P95Trend, "p95, 60 s", trend),
        columns::name(Kind::RateTrend, "req/s, 60 s", trend),
    ];
    if room < 150 {
        columns.retain(|column| column.kind != Kind::RateTrend);
    }
    if room < 100 {
        columns.retain(|column| column.kind != Kind::Open);
    }
    if room < 90 {
        for column in &mut columns {
            if matches!(column.kind, Kind::P50 | Kind::P95 | Kind::P99) {
                column.width = 7;
            }
        }
    }
    let widest = if wide { 46 } else { 40 };
    columns::fit(&mut columns, &DROP_ORDER, &Kind::Name, widest, room);
    let spare = room.saturating_sub(columns::total(&columns));
    let trends = columns.iter().filter(|column| is_trend(column.kind)).count();
    for column in &mut columns {
        if is_trend(column.kind) {
            // Widths at which each block covers the same whole number of seconds.
            let widest = (column.width - 1 + spare / trends).min(60);
            let even = [60, 30, 20, 15, 12].into_iter().find(|width| *width <= widest);
            column.width = even.unwrap_or(12) + 1;
        }
    }
    columns
}

fn is_trend(kind: Kind) -> bool {
    matches!(kind, Kind::RateTrend | Kind::P95Trend)
}

/// Rows that the table needs to show every tier, its heading included.
pub fn rows_needed(shown: &Snapshot) -> u16 {
    shown.tiers.len() as u16 + 1
}

/// Draws the heading and as many tiers as there is room for, the one under the cursor among them.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let stacked = area.width < STACKED_BELOW && area.height >= 8;
    let columns = columns_for(usize::from(area.width));
    if !stacked && area.height >= 3 {
        let heading = paint::take_top(&mut area, 1);
        paint::line(buffer, heading, 0, &columns::heading(&columns, theme.dim));
    }
    let rows_each = if stacked { 2 } else { 1 };
    let tiers = &shown.tiers;
    let all_fit = tiers.len() <= usize::from(area.height / rows_each);
    let more_row = (!all_fit && area.height >= 4).then(|| paint::take_bottom(&mut area, 1));
    let room = usize::from(area.height / rows_each);
    let place = app.cursor.place(tiers);
    let first = first_shown(place, tiers.len(), room);
    for (row, (number, tier)) in tiers.iter().enumerate().skip(first).take(room).enumerate() {
        let top = row as u16 * rows_each;
        if stacked {
            let [name, figures] = stacked_rows(tier, shown, theme, usize::from(area.width));
            paint::line(buffer, area, top, &name);
            paint::line(buffer, area, top + 1, &figures);
        } else {
            paint::line(buffer, area, top, &table_row(tier, shown, &columns, theme));
        }
        if number == place {
            let under = Rect::new(area.x, area.y + top, area.width, rows_each);
            buffer.set_style(under.intersection(area), theme.selected);
            buffer.set_stringn(area.x, area.y + top, CURSOR, 1, theme.text);
        }
    }
    if let Some(area) = more_row {
        let below = tiers.len().saturating_sub(first + room);
        paint::line(buffer, area, 0, &more(first, below, theme));
    }
}

/// Says how many rows there are above and below.
pub fn more(above: usize, below: usize, theme: &Theme) -> Line<'static> {
    let said = |sign: &str, rows: usize| match rows {
        0 => String::new(),
        _ => format!(" {sign} {rows} more "),
    };
    Line::styled(said("↑", above) + &said("↓", below), theme.accent)
}

fn table_row(tier: &TierView, shown: &Snapshot, columns: &[Column<Kind>], theme: &Theme) -> Line<'static> {
    let plain = if tier.silent_for_s.is_some() { theme.dim } else { theme.text };
    let trend = |values: &[Option<f32>], width: usize| {
        let trend =
            Trend { values, ends_unix_s: tier.trend.ends_unix_s, top: None, worst: Worst::Greatest, style: theme.dim };
        (trend.text(width), theme.dim)
    };
    columns::row(columns, |column| {
        let room = column.width.saturating_sub(1);
        match column.kind {
            Kind::State => words::tier_state(tier, shown, room, theme),
            Kind::Name => (name(tier, shown, room), plain),
            Kind::Rate => (words::tier_rate(tier), plain),
            Kind::Errors => errors(tier.error_ratio, theme, plain),
            Kind::P50 => (words::quantile(tier, tier.p50_ms), plain),
            Kind::P95 => (words::quantile(tier, tier.p95_ms), p95_style(tier, theme, plain)),
            Kind::P99 => (words::quantile(tier, tier.p99_ms), plain),
            Kind::Open => (words::in_flight(tier), plain),
            Kind::P95Trend => trend(&tier.trend.p95_ms, room),
            Kind::RateTrend => trend(&tier.trend.requests_per_second, room),
        }
    })
}

/// The p95 stands out with the tier's name in no case: it is the figure that people compare.
fn p95_style(tier: &TierView, theme: &Theme, plain: Style) -> Style {
    if tier.silent_for_s.is_some() { plain } else { theme.title }
}

/// An error ratio: none is dim, so that some stand out.
pub fn errors(share: Option<f64>, theme: &Theme, plain: Style) -> (String, Style) {
    let style = if share == Some(0.0) { theme.dim } else { plain };
    (format::or_unknown(share, format::ratio), style)
}

/// Kind, member, how many instances, and in which zones where there is room.
fn name(tier: &TierView, shown: &Snapshot, room: usize) -> String {
    let kind = tier.kind.name();
    let many = tier.instances.len();
    let mut tail = if many > 1 { format!(" ×{many}") } else { String::new() };
    let zones: Vec<&str> = tier.zones.iter().map(|zone| words::short_zone(zone, &shown.region)).collect();
    let with_zones = format!("{tail} ({})", zones.join(","));
    let used = KIND_COLUMNS + 1 + format::width(&tier.member);
    if !zones.is_empty() && used + format::width(&with_zones) <= room {
        tail = with_zones;
    }
    if room < KIND_COLUMNS + 8 {
        return format::cut(&format!("{kind} {}", tier.member), room);
    }
    let room = room - KIND_COLUMNS - 1;
    let tail = if format::width(&tail) + 6 > room { String::new() } else { tail };
    let member = format::cut_middle(&tier.member, room - format::width(&tail));
    format!("{} {member}{tail}", format::fit(kind, KIND_COLUMNS, Align::Left))
}

/// A tier in two rows, for a narrow window.
fn stacked_rows(tier: &TierView, shown: &Snapshot, theme: &Theme, room: usize) -> [Line<'static>; 2] {
    let (state, style) = words::tier_state(tier, shown, 1, theme);
    let name = format::cut(&words::tier_name(&tier.id), room.saturating_sub(3));
    let first =
        Line::from(vec![Span::styled(format!(" {} ", format::fit(&state, 1, Align::Left)), style), Span::raw(name)]);
    let pieces = vec![
        Span::styled(format!("p95 {}", words::quantile(tier, tier.p95_ms)), theme.text),
        Span::styled(format!("{}/s", words::tier_rate(tier)), theme.text),
        Span::styled(format!("err {}", format::or_unknown(tier.error_ratio, format::ratio)), theme.text),
    ];
    let mut second = paint::joined(pieces, theme.dim, room.saturating_sub(3));
    second.spans.insert(0, Span::raw("   "));
    [first, second]
}
