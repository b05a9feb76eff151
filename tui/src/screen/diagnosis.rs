//! The diagnosis: incidents and stalls in a list, all about the selected one, and the capacity.
//!
//! In boxes, from 120 columns and 30 rows on, the capacity stands beside the rest; else:
//! ```text
//!  ▲ db-replica orders-ro: a replica falls behind · 88 traces looked at
//!    began     lasts   what                     where                  phase  sure
//!  ▲ 14:02:51  36 s    a replica falls behind   db-replica orders-ro   3      0.9
//!  · 13:38:27  3m 10s  requests wait ...        app content                   0.8
//!  s 14:02:23  0.7s    84 requests stood        db-primary orders
//!  [the selected one]  phase and headroom                       Tab
//!  all about the selected one, or the capacity
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::Snapshot;

use crate::app::{App, Finding, Part, findings, first_shown};
use crate::format;
use crate::screen::{TALL_ROWS, WIDE_COLUMNS, capacity, finding, tier_table, words};
use crate::theme::{Palette, Theme};
use crate::widget::{columns, paint};

/// Where the parts lie. The detail and the capacity share a place where there is room for one.
struct Places {
    list: Rect,
    detail: Rect,
    capacity: Rect,
    boxed: bool,
}

fn places(shown: &Snapshot, area: Rect) -> Places {
    let rows = findings(shown).len() as u16 + 1;
    let mut left = area;
    paint::take_top(&mut left, 1);
    if area.width >= WIDE_COLUMNS && area.height + 2 >= TALL_ROWS {
        let capacity = Rect { x: left.x + left.width * 12 / 20, width: left.width - left.width * 12 / 20, ..left };
        left.width -= capacity.width;
        let list = paint::take_top(&mut left, (rows + 2).clamp(4, area.height / 2));
        return Places { list, detail: left, capacity, boxed: true };
    }
    let list = paint::take_top(&mut left, rows.clamp(2, (area.height / 3).max(2)));
    Places { list, detail: left, capacity: left, boxed: false }
}

/// Draws the screen.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    paint::line(buffer, area, 0, &summary(shown, theme, area.width.into()));
    let places = places(shown, area);
    let part = app.looking.part;
    if !places.boxed {
        list(app, shown, theme, places.list, buffer);
        let mut below = places.detail;
        let tabs = paint::take_top(&mut below, 1);
        paint::line(buffer, tabs, 0, &tab_line(part, theme));
        let below_the_list = if part == Part::Capacity { Part::Capacity } else { Part::Detail };
        text(app, shown, below_the_list, theme, below, buffer);
        return;
    }
    let boxed = |which: Part, name: &str, area: Rect, buffer: &mut Buffer| {
        let focused = which == part;
        let (style, title) = if focused { (theme.accent, theme.accent) } else { (theme.border, theme.title) };
        let mark = if focused { "▸ " } else { "" };
        paint::boxed(buffer, area, Line::styled(format!(" {mark}{name} "), title), None, style)
    };
    let inside = boxed(Part::Findings, "incidents and stalls", places.list, buffer);
    list(app, shown, theme, inside, buffer);
    let inside = boxed(Part::Detail, "the selected one", places.detail, buffer);
    text(app, shown, Part::Detail, theme, inside, buffer);
    let inside = boxed(Part::Capacity, "phase and headroom", places.capacity, buffer);
    text(app, shown, Part::Capacity, theme, inside, buffer);
}

/// The last line that scrolling may bring to the top of the part that has the keys.
pub fn last_line(app: &App, shown: &Snapshot, columns: u16, rows: u16) -> usize {
    let body = Rect::new(0, 1, columns, rows.saturating_sub(2));
    let places = places(shown, body);
    let around = if places.boxed { 2 } else { 0 };
    let tabs = u16::from(!places.boxed);
    let area = if app.looking.part == Part::Capacity { places.capacity } else { places.detail };
    let (width, height) = (area.width.saturating_sub(around), area.height.saturating_sub(around + tabs));
    let lines = part_lines(app, shown, app.looking.part, &Theme::new(Palette::None), width.into());
    lines.len().saturating_sub(usize::from(height))
}

/// How things stand, in a line.
fn summary(shown: &Snapshot, theme: &Theme, columns: usize) -> Line<'static> {
    let diagnosis = &shown.diagnosis;
    let said = match (diagnosis.verdict(), diagnosis.summary.as_str(), shown.learning_left_s()) {
        (Some(verdict), ..) => format!("{}: {}", words::tier_name(&verdict.tier.id), verdict.title),
        (None, "", Some(left)) => format!("learning what is usual: {left} s to go"),
        (None, "", None) => "no verdict".to_owned(),
        (None, summary, _) => summary.to_owned(),
    };
    let style = diagnosis.open().next().map_or(theme.good, |incident| words::incident(incident, theme).2);
    let looked = format!("  {} traces looked at", format::count(diagnosis.traces));
    let room = columns.saturating_sub(format::width(&looked) + 1);
    Line::from(vec![Span::styled(format!(" {}", format::cut(&said, room)), style), Span::styled(looked, theme.dim)])
}

fn tab_line(part: Part, theme: &Theme) -> Line<'static> {
    let tab = |name: &str, open: bool, keys: bool| {
        let style = if keys {
            theme.accent.patch(theme.title)
        } else if open {
            theme.title
        } else {
            theme.dim
        };
        let text = if open { format!("[{name}]") } else { format!(" {name} ") };
        Span::styled(text, style)
    };
    Line::from(vec![
        Span::raw(" "),
        tab("the selected one", part != Part::Capacity, part == Part::Detail),
        Span::raw(" "),
        tab("phase and headroom", part == Part::Capacity, part == Part::Capacity),
    ])
}

/// The lines of a part that scrolls.
fn part_lines(app: &App, shown: &Snapshot, part: Part, theme: &Theme, columns: usize) -> Vec<Line<'static>> {
    if part == Part::Capacity {
        return capacity::lines(&shown.capacity, theme, columns);
    }
    match app.shown_finding() {
        Some(found) => finding::lines(found, shown, theme, columns),
        None => vec![Line::styled(" no incident and no stall was seen", theme.dim)],
    }
}

fn text(app: &App, shown: &Snapshot, part: Part, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let lines = part_lines(app, shown, part, theme, area.width.into());
    let height = usize::from(area.height);
    let most = lines.len().saturating_sub(height);
    let first = if app.looking.part == part { app.looking.scroll.min(most) } else { 0 };
    for (row, line) in (0..).zip(lines.iter().skip(first).take(height)) {
        paint::line(buffer, area, row, line);
    }
    let below = lines.len().saturating_sub(first + height);
    if below > 0 && height > 1 {
        let last = area.height - 1;
        paint::line(buffer, area, last, &Line::raw(" ".repeat(area.width.into())));
        let key = if app.looking.part == part { "j" } else { "Tab, j" };
        paint::line(buffer, area, last, &Line::styled(format!(" ↓ {} more, {key} ", below + 1), theme.accent));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Column {
    Sign,
    Began,
    Lasts,
    What,
    Where,
    Class,
    Phase,
    Sure,
}

/// Columns for the name of a tier, with the blank before it.
const WHERE_COLUMNS: usize = 24;

fn list(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let found = findings(shown);
    let mut columns = vec![
        columns::name(Column::Sign, "", 2),
        columns::name(Column::Began, "began", 9),
        columns::number(Column::Lasts, "lasts", 8),
        columns::name(Column::What, " what", 20),
        columns::name(Column::Where, "where", WHERE_COLUMNS),
        columns::name(Column::Class, "class", 18),
        columns::name(Column::Phase, "phase", 6),
        columns::number(Column::Sure, "sure", 5),
    ];
    let drop = [Column::Class, Column::Phase, Column::Where, Column::Lasts, Column::Sure, Column::Began];
    columns::fit(&mut columns, &drop, &Column::What, 60, area.width.into());
    let heading = columns::heading(&columns, theme.dim);
    paint::line(buffer, paint::take_top(&mut area, 1), 0, &heading);
    if found.is_empty() {
        paint::line(buffer, area, 0, &Line::styled(" none", theme.dim));
        return;
    }
    let under = app.looking.finding_place(&found);
    let room = usize::from(area.height);
    let room = if found.len() > room && room > 1 { room - 1 } else { room };
    let first = first_shown(under, found.len(), room);
    for (row, (place, finding)) in (0..).zip(found.iter().enumerate().skip(first).take(room)) {
        let line = columns::row(&columns, |column| cell(*finding, column.kind, shown, theme));
        paint::line(buffer, area, row, &line);
        if place == under {
            let row = Rect::new(area.x, area.y + row, area.width, 1);
            buffer.set_style(row.intersection(area), theme.selected);
        }
    }
    if found.len() > room {
        let below = found.len() - first - room;
        paint::line(buffer, area, room as u16, &tier_table::more(first, below, theme));
    }
}

/// A tier in the width of its column.
fn place(tier: &str) -> String {
    format::cut_middle(&words::tier_name(tier), WHERE_COLUMNS - 1)
}

fn cell(finding: Finding<'_>, column: Column, shown: &Snapshot, theme: &Theme) -> (String, Style) {
    match finding {
        Finding::Incident(incident) => {
            let verdict = incident.verdict.as_ref();
            let (sign, _, style) = words::incident(incident, theme);
            let text = match column {
                Column::Sign => sign.to_owned(),
                Column::Began => format::clock(incident.onset_unix_ms / 1000),
                Column::Lasts => {
                    let until = incident.ended_unix_ms.unwrap_or(shown.at_unix_ms);
                    format::whole_seconds(until.saturating_sub(incident.onset_unix_ms) / 1000)
                }
                Column::What => {
                    let what = verdict.map_or("unexplained", |verdict| verdict.title.as_str());
                    return (format!(" {what}"), style);
                }
                Column::Where => verdict.map(|verdict| place(&verdict.tier.id)).unwrap_or_default(),
                Column::Class => verdict.and_then(|verdict| verdict.class.clone()).unwrap_or_default(),
                Column::Phase => verdict
                    .and_then(|verdict| verdict.phase)
                    .map_or_else(String::new, |phase| phase.number().to_string()),
                Column::Sure => verdict.map_or_else(String::new, |verdict| words::sure(verdict.confidence)),
            };
            (text, if column == Column::Sign { style } else { theme.text })
        }
        Finding::Stall(stall) => {
            let style = if stall.ongoing { theme.bad } else { theme.text };
            let text = match column {
                Column::Sign => if stall.ongoing { "▲" } else { "‖" }.to_owned(),
                Column::Began => format::clock(stall.start_unix_ms / 1000),
                Column::Lasts => format::duration_ms(stall.length_ms as f64),
                Column::What if stall.ongoing => " stall, lasts".to_owned(),
                Column::What => format!(" stall, {} requests", format::count(stall.requests)),
                Column::Where => stall.tier.as_deref().map(place).unwrap_or_default(),
                Column::Class | Column::Phase | Column::Sure => String::new(),
            };
            (text, style)
        }
    }
}
