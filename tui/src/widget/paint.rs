//! Putting lines into a buffer without ever leaving it: what does not fit is cut.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Widget};

use crate::format;

/// Draws a line into row `row` of `area`, if there is such a row.
pub fn line(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    if row < area.height {
        line.render(Rect::new(area.x, area.y + row, area.width, 1), buffer);
    }
}

/// Draws two lines into one row, the second at the right end, over the first where both have no room.
pub fn ends(buffer: &mut Buffer, area: Rect, row: u16, left: &Line<'_>, right: &Line<'_>) {
    line(buffer, area, row, left);
    if row < area.height {
        let width = (right.width() as u16).min(area.width);
        let start = area.right() - width;
        right.render(Rect::new(start, area.y + row, width, 1), buffer);
    }
}

/// Draws a box with a title and gives back the room inside.
pub fn boxed(buffer: &mut Buffer, area: Rect, title: Line<'_>, bottom: Option<Line<'_>>, style: Style) -> Rect {
    let mut block = Block::bordered().border_set(border::PLAIN).border_style(style).title_top(title);
    if let Some(bottom) = bottom {
        block = block.title_bottom(bottom);
    }
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// The top `height` rows of an area, taken off it.
pub fn take_top(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    let top = Rect { height, ..*area };
    area.y += height;
    area.height -= height;
    top
}

/// The bottom `height` rows of an area, taken off it.
pub fn take_bottom(area: &mut Rect, height: u16) -> Rect {
    let height = height.min(area.height);
    area.height -= height;
    Rect { y: area.y + area.height, height, ..*area }
}

/// Splits an area into columns of equal width, one blank column between them.
pub fn columns<const N: usize>(area: Rect) -> [Rect; N] {
    let many = N as u16;
    let width = area.width.saturating_sub(many - 1) / many;
    std::array::from_fn(|place| {
        let x = area.x + place as u16 * (width + 1);
        let last = place + 1 == N;
        let width = if last { area.right().saturating_sub(x) } else { width };
        Rect { x, width, ..area }.intersection(area)
    })
}

/// Joins pieces with " · " in the given style, leaving out the last ones that do not fit.
pub fn joined(pieces: Vec<Span<'static>>, between: Style, columns: usize) -> Line<'static> {
    let mut line = Line::default();
    for piece in pieces {
        let gap = if line.spans.is_empty() { 0 } else { 3 };
        if line.width() + gap + piece.width() > columns {
            if line.spans.is_empty() {
                let cut = format::cut(&piece.content, columns);
                line.push_span(Span::styled(cut, piece.style));
            }
            break;
        }
        if gap > 0 {
            line.push_span(Span::styled(" · ", between));
        }
        line.push_span(piece);
    }
    line
}
