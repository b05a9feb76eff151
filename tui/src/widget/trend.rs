//! A minute as a line of blocks, or as a chart of several rows.
//!
//! 1. The baseline is zero, always.
//! 2. A value a column where there is room; else each column covers the same whole number of
//!    seconds, and the columns are cut at multiples of it, so that a bar moves along but does not
//!    change on its way. A column shows the worst of its values, so that a single bad second is
//!    seen: the greatest, or for a figure that is bad when low, such as a hit rate, the least.
//! 3. The top is the greatest value, but at least twice the median: a level line lies at half
//!    height, and one that multiplied stands out. A ratio may fix its top at 1.
//! 4. Where nothing is known there is a gap, which is not a low value.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;

/// The eighths of a block, from one to all.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A series of one value a second, oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Trend<'a> {
    /// The values; `None` is a gap.
    pub values: &'a [Option<f32>],
    /// The second of the last value, Unix time.
    pub ends_unix_s: u64,
    /// What a full column means, where that is fixed.
    pub top: Option<f32>,
    /// Which value of several stands for all.
    pub worst: Worst,
    /// How the blocks look.
    pub style: Style,
}

/// Which end of a figure is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Worst {
    /// Great values: latency, errors, lag.
    #[default]
    Greatest,
    /// Small values: a hit rate.
    Least,
}

impl Trend<'_> {
    /// The columns to draw in `width`: the worst value of each, oldest first, the newest last.
    pub fn columns(&self, width: usize) -> Vec<Option<f32>> {
        if width == 0 || self.values.is_empty() {
            return Vec::new();
        }
        let each = self.values.len().div_ceil(width) as u64;
        let first_second = self.ends_unix_s.saturating_sub(self.values.len() as u64 - 1);
        let mut columns: Vec<Option<f32>> = Vec::new();
        let mut current = None;
        for (place, value) in self.values.iter().enumerate() {
            let slot = (first_second + place as u64) / each;
            if current != Some(slot) {
                current = Some(slot);
                columns.push(None);
            }
            if let (Some(column), Some(value)) = (columns.last_mut(), value) {
                let worse = |before: f32| match self.worst {
                    Worst::Greatest => before.max(*value),
                    Worst::Least => before.min(*value),
                };
                *column = Some(column.map_or(*value, worse));
            }
        }
        columns.split_off(columns.len().saturating_sub(width))
    }

    /// The value that fills a column to the top.
    fn scale(&self, columns: &[Option<f32>]) -> f32 {
        if let Some(top) = self.top {
            return top;
        }
        let mut known: Vec<f32> = columns.iter().flatten().copied().collect();
        known.sort_by(f32::total_cmp);
        let median = known.get(known.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        known.last().copied().unwrap_or_default().max(2.0 * median)
    }

    /// The line of blocks as text, `width` columns, right-aligned: the newest value is last.
    pub fn text(&self, width: usize) -> String {
        let columns = self.columns(width);
        let top = self.scale(&columns);
        let blanks = " ".repeat(width.saturating_sub(columns.len()));
        let blocks = columns.iter().map(|value| value.map_or(' ', |value| block(level(value, top, 1), 0)));
        blanks + &blocks.collect::<String>()
    }
}

/// How many eighths of a row a value fills in a chart of `rows`; a known value shows at least one.
fn level(value: f32, top: f32, rows: u16) -> u16 {
    let full = f32::from(rows * 8);
    let share = if top > 0.0 { value / top } else { 0.0 };
    (share.clamp(0.0, 1.0) * full).round().max(1.0) as u16
}

/// The sign for a level in the row that lies `row` rows above the bottom.
fn block(level: u16, row: u16) -> char {
    match level.saturating_sub(row * 8) {
        0 => ' ',
        eighths => BLOCKS[usize::from(eighths.min(8)) - 1],
    }
}

impl Widget for &Trend<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let columns = self.columns(usize::from(area.width));
        let top = self.scale(&columns);
        let start = area.right() - columns.len() as u16;
        for (x, value) in (start..).zip(columns) {
            let Some(value) = value else { continue };
            let level = level(value, top, area.height);
            for row in 0..area.height {
                if let Some(cell) = buffer.cell_mut((x, area.bottom() - 1 - row)) {
                    cell.set_char(block(level, row)).set_style(self.style);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(values: &[Option<f32>], ends_unix_s: u64) -> Trend<'_> {
        Trend { values, ends_unix_s, top: None, worst: Worst::Greatest, style: Style::new() }
    }

    #[test]
    fn a_gap_is_blank_and_zero_is_not() {
        let values = [Some(0.0), None, Some(4.0), Some(8.0)];
        assert_eq!(trend(&values, 3).text(4), "▁ ▄█");
        assert_eq!(trend(&values, 3).text(6), "  ▁ ▄█");
    }

    #[test]
    fn a_level_line_lies_at_half_height() {
        assert_eq!(trend(&[Some(5.0); 4], 3).text(4), "▄▄▄▄");
        assert_eq!(trend(&[Some(0.0); 4], 3).text(4), "▁▁▁▁");
    }

    #[test]
    fn a_spike_of_one_second_is_seen_and_a_bar_keeps_its_height_on_its_way() {
        let mut values = vec![Some(1.0); 60];
        values[30] = Some(9.0);
        let before = trend(&values, 599).text(12);
        assert_eq!(before.chars().filter(|block| *block == '█').count(), 1);
        values.rotate_left(5);
        let after = trend(&values, 604).text(12);
        assert_eq!(before.chars().skip(1).take(8).collect::<String>(), after.chars().take(8).collect::<String>(),);
    }

    #[test]
    fn a_hit_rate_that_drops_for_a_second_is_seen() {
        let mut values = vec![Some(1.0); 60];
        values[30] = Some(0.1);
        let dips = Trend { worst: Worst::Least, top: Some(1.0), ..trend(&values, 599) };
        assert_eq!(dips.text(12).matches('▁').count(), 1);
    }

    #[test]
    fn a_chart_of_several_rows_fills_from_the_bottom() {
        let values = [Some(2.0), Some(16.0)];
        let area = Rect::new(0, 0, 2, 2);
        let mut buffer = Buffer::empty(area);
        trend(&values, 1).render(area, &mut buffer);
        assert_eq!(buffer, Buffer::with_lines([" █", "▂█"]));
    }
}
