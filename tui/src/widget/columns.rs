//! Rows of a table whose columns keep their width whatever the figures do.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::format::{self, Align};

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column<K> {
    /// What it shows.
    pub kind: K,
    /// Its heading.
    pub title: &'static str,
    /// Its width, with the blank before it.
    pub width: usize,
    /// Which end its text keeps.
    pub align: Align,
}

/// A column of numbers: right-aligned.
pub const fn number<K>(kind: K, title: &'static str, width: usize) -> Column<K> {
    Column { kind, title, width, align: Align::Right }
}

/// A column of names: left-aligned.
pub const fn name<K>(kind: K, title: &'static str, width: usize) -> Column<K> {
    Column { kind, title, width, align: Align::Left }
}

/// The headings.
pub fn heading<K>(columns: &[Column<K>], style: Style) -> Line<'static> {
    let cells = columns.iter().map(|column| Span::styled(cell(column, column.title), style));
    cells.collect::<Vec<_>>().into()
}

/// One row, where `text` gives a column's text and its style.
pub fn row<K: Copy>(columns: &[Column<K>], mut text: impl FnMut(&Column<K>) -> (String, Style)) -> Line<'static> {
    let cells = columns.iter().map(|column| {
        let (text, style) = text(column);
        Span::styled(cell(column, &text), style)
    });
    cells.collect::<Vec<_>>().into()
}

/// A text in a column: one blank, then the text in what is left.
fn cell<K>(column: &Column<K>, text: &str) -> String {
    let fitted = format::fit(text, column.width.saturating_sub(1), column.align);
    format!(" {fitted}")
}

/// Drops columns in the given order until the rest fits, then gives what is left over to `wide`.
///
/// `wide` grows up to `widest`; it is never dropped.
pub fn fit<K: PartialEq>(columns: &mut Vec<Column<K>>, drop_order: &[K], wide: &K, widest: usize, room: usize) {
    let mut order = drop_order.iter();
    while total(columns) > room {
        let Some(next) = order.next() else { break };
        columns.retain(|column| column.kind != *next);
    }
    let spare = room.saturating_sub(total(columns));
    let over = total(columns).saturating_sub(room);
    if let Some(column) = columns.iter_mut().find(|column| column.kind == *wide) {
        column.width = (column.width + spare).min(widest.max(column.width));
        column.width = column.width.saturating_sub(over).max(2);
    }
}

/// The width of all columns together.
pub fn total<K>(columns: &[Column<K>]) -> usize {
    columns.iter().map(|column| column.width).sum()
}
