//! Who calls whom: the calls as the caller saw them, and the gap that lies between the two.
//!
//! ```text
//!  from → to                                  calls/s    err     p95    gap  gap p95
//!  app checkout → cache redis                     262   0.0%   0.8ms  0.2ms    0.5ms
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use tiertop_core::snapshot::EdgeView;

use crate::format;
use crate::screen::{tier_table, words};
use crate::theme::Theme;
use crate::widget::columns::{self, Column};
use crate::widget::paint;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Names,
    Rate,
    Errors,
    P95,
    Gap,
    GapP95,
}

/// What goes first where columns are few.
const DROP_ORDER: [Kind; 4] = [Kind::GapP95, Kind::Errors, Kind::Gap, Kind::Rate];

fn columns_for(room: usize) -> Vec<Column<Kind>> {
    let mut columns = vec![
        columns::name(Kind::Names, "from → to", 40),
        columns::number(Kind::Rate, "calls/s", 8),
        columns::number(Kind::Errors, "err", 7),
        columns::number(Kind::P95, "p95", 8),
        columns::number(Kind::Gap, "gap", 8),
        columns::number(Kind::GapP95, "gap p95", 8),
    ];
    columns::fit(&mut columns, &DROP_ORDER, &Kind::Names, 60, room);
    columns
}

/// Draws a heading and the calls from `first` on; the row `under` the cursor, if any, is marked.
pub fn draw(edges: &[&EdgeView], under: Option<usize>, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    let columns = columns_for(usize::from(area.width));
    let heading = paint::take_top(&mut area, 1);
    paint::line(buffer, heading, 0, &columns::heading(&columns, theme.dim));
    let mut room = usize::from(area.height);
    let cut = edges.len() > room && room > 1;
    if cut {
        room -= 1;
    }
    let first = crate::app::first_shown(under.unwrap_or(0), edges.len(), room);
    for (row, (number, edge)) in edges.iter().enumerate().skip(first).take(room).enumerate() {
        paint::line(buffer, area, row as u16, &edge_row(edge, &columns, theme));
        if under == Some(number) {
            let row = Rect::new(area.x, area.y + row as u16, area.width, 1);
            buffer.set_style(row.intersection(area), theme.selected);
        }
    }
    if cut {
        let below = edges.len() - first - room;
        paint::line(buffer, area, room as u16, &tier_table::more(first, below, theme));
    }
}

fn edge_row(edge: &EdgeView, columns: &[Column<Kind>], theme: &Theme) -> Line<'static> {
    columns::row(columns, |column| {
        let latency = |ms| format::or_unknown(ms, format::duration_ms);
        let text = match column.kind {
            Kind::Names => names(edge, column.width - 1),
            Kind::Rate => format::rate(edge.requests_per_second),
            Kind::Errors => return tier_table::errors(Some(edge.error_ratio), theme, theme.text),
            Kind::P95 => latency(edge.p95_ms),
            Kind::Gap => latency(edge.gap_mean_ms),
            Kind::GapP95 => latency(edge.gap_p95_ms),
        };
        (text, theme.text)
    })
}

/// Both names, each cut to its half where they are too long together.
fn names(edge: &EdgeView, room: usize) -> String {
    let (from, to) = (words::tier_name(&edge.from), words::tier_name(&edge.to));
    let whole = format!("{from} → {to}");
    if format::width(&whole) <= room {
        return whole;
    }
    let half = room.saturating_sub(3) / 2;
    let from = format::cut(&from, half.max(room.saturating_sub(3 + format::width(&to))));
    let left = room.saturating_sub(3 + format::width(&from));
    format!("{from} → {}", format::cut(&to, left))
}
