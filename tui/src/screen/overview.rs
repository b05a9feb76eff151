//! The overview: the answer first, then the tiers in request order, then the headline figures.
//!
//! In boxes, from 120 columns and 30 rows on:
//! ```text
//! ┌ ▲ BOTTLENECK  a replica falls behind ─ since 14:02:51 (36 s) ┐
//! │ db-replica orders-ro · evidence · now · for good            │
//! └ wall of phase 3 database reads ─────────────────────────────┘
//!  phase  1 single box ─ 2 web tier ─ ▸ ▲ 3 database reads ─ ...
//!  next wall  5 writes: db-primary orders at about 610 req/s
//! ┌ tiers ──────────────────────────────────────────────────────┐
//! ┌ cache hit rate ───┐┌ replica lag ──────┐┌ queue depth ──────┐
//! ┌ calls ──────────────────────────────────────────────────────┐   beside the tiers from 190 columns on
//! ```
//! Else plain:
//! ```text
//!  banner                   5 rows or fewer, a calm line else
//!  tiers                    as many rows as there are, at most all that is left
//!  calls                    if six rows or more are left over
//!  headline figures         2 rows, 3 in a narrow window
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{EdgeView, Snapshot};

use crate::app::{App, Pane};
use crate::screen::{TALL_ROWS, WIDE_COLUMNS, banner, edges, headlines, ladder, tier_panes, tier_table, words};
use crate::theme::Theme;
use crate::widget::paint;

/// From this many columns on the calls stand beside the tiers.
const BESIDE_COLUMNS: u16 = 190;

/// Rows for a look at the tier under the cursor, where they are left over.
const PREVIEW_ROWS: u16 = 9;

/// Draws the overview.
pub fn draw(app: &App, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if area.width >= WIDE_COLUMNS && area.height + 2 >= TALL_ROWS {
        boxes(app, shown, theme, area, buffer);
    } else {
        plain(app, shown, theme, area, buffer);
    }
}

fn plain(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let height = area.height;
    let figures = match height {
        14.. if area.width < headlines::STACKED_BELOW => 3,
        14.. => 2,
        9..14 => 1,
        _ => 0,
    };
    let banner = match height {
        26.. => 7,
        20..26 => 5,
        14..20 => 3,
        10..14 => 2,
        2..10 => 1,
        _ => 0,
    };
    let lines = banner::lines(app, shown, theme, area.width.into(), banner);
    let banner = paint::take_top(&mut area, lines.len() as u16);
    for (row, line) in (0..).zip(&lines) {
        paint::line(buffer, banner, row, line);
    }
    let figures = paint::take_bottom(&mut area, figures);
    headlines::draw(shown, theme, figures, buffer);
    let mut table = paint::take_top(&mut area, tier_table::rows_needed(shown));
    if table.width < 40 {
        // Two rows a tier.
        let more = paint::take_top(&mut area, table.height);
        table.height += more.height;
    }
    tier_table::draw(app, shown, theme, table, buffer);
    let marks = legend(shown, theme);
    if let (Some(legend), true) = (&marks, area.height > 0) {
        let row = paint::take_bottom(&mut area, 1);
        paint::line(buffer, row, 0, legend);
    }
    if area.height >= 6 && !shown.edges.is_empty() {
        paint::take_top(&mut area, 1);
        edges::draw(&all(shown), None, theme, area, buffer);
    }
}

fn boxes(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let troubled = app.shown_trouble().is_some();
    if troubled {
        banner::draw_boxed(app, shown, theme, &mut area, buffer);
    } else {
        // The ladder below says what the last of these lines would.
        let mut lines = banner::lines(app, shown, theme, area.width.into(), 5);
        lines.truncate(lines.len() - usize::from(ladder::short(app, shown, theme, area.width.into()).is_some()));
        let place = paint::take_top(&mut area, lines.len() as u16);
        for (row, line) in (0..).zip(&lines) {
            paint::line(buffer, place, row, line);
        }
    }
    phases(app, shown, theme, &mut area, buffer);
    if area.width >= BESIDE_COLUMNS {
        return beside(app, shown, theme, area, buffer);
    }
    let wanted = tier_table::rows_needed(shown) + 2;
    let least_figures = 5;
    let table_rows = wanted.min(area.height.saturating_sub(least_figures));
    let table = paint::take_top(&mut area, table_rows);
    tiers(app, shown, theme, table, buffer);
    let edges_wanted = shown.edges.len() as u16 + 3;
    let spare = area.height.saturating_sub(edges_wanted.max(5));
    let figures = paint::take_top(&mut area, spare.clamp(least_figures, 8));
    headlines::draw(shown, theme, figures, buffer);
    if area.height >= 4 {
        calls(shown, theme, area, buffer);
    }
}

/// The ladder, and a second row with the next wall and the users' worth where one of them is known.
fn phases(app: &App, shown: &Snapshot, theme: &Theme, area: &mut Rect, buffer: &mut Buffer) {
    let row = paint::take_top(area, 1);
    let phases = ladder::full(app, shown, theme);
    paint::line(buffer, row, 0, &phases);
    let ended = if app.shown_trouble().is_some() { banner::ended(shown).next() } else { None };
    let ended = Line::styled(format!("{} ", ended.unwrap_or_default()), theme.dim);
    if phases.width() + ended.width() < usize::from(row.width) {
        paint::ends(buffer, row, 0, &Line::default(), &ended);
    }
    let (wall, users) = (ladder::next_wall(&shown.capacity), ladder::users(&shown.capacity));
    if wall.is_some() || users.is_some() {
        let row = paint::take_top(area, 1);
        let wall = wall.unwrap_or_else(|| "not known".to_owned());
        let line = Line::from(vec![Span::styled(" next wall  ", theme.dim), Span::raw(wall)]);
        let users = Line::styled(format!("{} ", users.unwrap_or_default()), theme.dim);
        paint::line(buffer, row, 0, &line);
        if line.width() + users.width() < usize::from(row.width) {
            paint::ends(buffer, row, 0, &Line::default(), &users);
        }
    }
}

/// The calls beside the tiers, and below them a look at the tier under the cursor.
///
/// ```text
/// ┌ tiers ───────────────────────────────┐┌ calls ───────────────┐
/// ┌ operations of app content ┐ ┌ latency of app content ────────┐
/// ┌ cache hit rate ───┐┌ replica lag ──────┐┌ queue depth ───────┐
/// ```
fn beside(app: &App, shown: &Snapshot, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let figures = paint::take_bottom(&mut area, 5);
    headlines::draw(shown, theme, figures, buffer);
    let wanted = tier_table::rows_needed(shown).max(shown.edges.len() as u16 + 1) + 2;
    let room = area.height.saturating_sub(PREVIEW_ROWS);
    let whole = area.height;
    let mut top = paint::take_top(&mut area, if room < wanted { whole } else { wanted });
    let calls_area = Rect { x: top.x + top.width * 13 / 20, width: top.width - top.width * 13 / 20, ..top };
    top.width -= calls_area.width;
    tiers(app, shown, theme, top, buffer);
    calls(shown, theme, calls_area, buffer);
    let under = shown.tiers.get(app.cursor.place(&shown.tiers));
    if let (Some(tier), true) = (under, area.height >= PREVIEW_ROWS) {
        let [left, right] = paint::columns(area);
        for (pane, place) in [(Pane::Operations, left), (Pane::Latency, right)] {
            let name = words::tier_name(&tier.id);
            let title = Line::styled(format!(" {} of {name} ", pane.name()), theme.title);
            let inside = paint::boxed(buffer, place, title, None, theme.border);
            tier_panes::draw(pane, None, tier, shown, theme, inside, buffer);
        }
    }
}

fn tiers(app: &App, shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let title = Line::styled(" tiers, in the order of a request ", theme.title);
    let bottom = legend(shown, theme);
    let inside = paint::boxed(buffer, area, title, bottom, theme.border);
    let inside = Rect { width: inside.width.saturating_sub(1), ..inside };
    tier_table::draw(app, shown, theme, inside, buffer);
}

fn calls(shown: &Snapshot, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let title = Line::styled(" calls, as the caller saw them ", theme.title);
    let inside = paint::boxed(buffer, area, title, None, theme.border);
    let inside = Rect { width: inside.width.saturating_sub(1), ..inside };
    edges::draw(&all(shown), None, theme, inside, buffer);
}

fn all(shown: &Snapshot) -> Vec<&EdgeView> {
    shown.edges.iter().collect()
}

fn legend(shown: &Snapshot, theme: &Theme) -> Option<Line<'static>> {
    let marks = words::legend(shown);
    (!marks.is_empty()).then(|| Line::styled(format!(" {} ", marks.join(" · ")), theme.dim))
}
