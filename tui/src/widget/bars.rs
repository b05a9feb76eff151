//! A latency distribution as horizontal bars, each row a power of two or a part of one.
//!
//! ```text
//!   p50   16ms ─ 23ms   ████████████████████  214
//!         23ms ─ 32ms   ███████▌               81
//!   p95   32ms ─ 45ms   ██                     21
//! ```

use tiertop_core::snapshot::BucketView;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::format::{self, Align};
use crate::theme::Theme;
use crate::widget::paint;

/// The parts of a cell, from an eighth to all.
const PARTS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// Columns that a row takes beside its bar: marks, bounds, count.
const BESIDE: usize = 12 + 16 + 7;

/// A distribution with marked quantiles.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'a> {
    /// The buckets, ascending, without empty ones.
    pub buckets: &'a [BucketView],
    /// Names and places of the quantiles to mark, in milliseconds.
    pub marks: &'a [(&'static str, Option<f64>)],
    /// How it looks.
    pub theme: &'a Theme,
}

/// One row: a span of latencies and how many fell into it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    lower_ms: f64,
    upper_ms: f64,
    count: f64,
}

/// Spreads buckets over rows whose bounds are powers of two, or roots of it where there is room.
///
/// A bucket goes where its geometric middle lies. Empty rows in between are kept: a gap between
/// two humps is what the picture is for.
fn rows(buckets: &[BucketView], room: usize) -> Vec<Row> {
    let filled = || buckets.iter().filter(|bucket| bucket.count > 0);
    let middle = |bucket: &BucketView| {
        let lower = bucket.lower_ms.max(bucket.upper_ms / 2.0).max(0.001);
        (lower * bucket.upper_ms.max(lower)).sqrt().log2()
    };
    let Some(lowest) = filled().map(middle).min_by(f64::total_cmp) else {
        return Vec::new();
    };
    let highest = filled().map(middle).fold(lowest, f64::max);
    let each = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
    let slot = |place: f64, each: f64| (place / each).floor();
    let needed = |each: f64| (slot(highest, each) - slot(lowest, each)) as usize + 1;
    let fitting = each.into_iter().find(|each| needed(*each) <= room.max(1));
    let each = fitting.unwrap_or(64.0);
    let first = slot(lowest, each);
    let mut rows: Vec<Row> = (0..needed(each))
        .map(|place| Row {
            lower_ms: ((first + place as f64) * each).exp2(),
            upper_ms: ((first + place as f64 + 1.0) * each).exp2(),
            count: 0.0,
        })
        .collect();
    for bucket in filled() {
        let place = (slot(middle(bucket), each) - first) as usize;
        if let Some(row) = rows.get_mut(place) {
            row.count += bucket.count as f64;
        }
    }
    rows
}

/// A bar of a share of `columns`; what is there at all shows at least an eighth.
pub fn bar(share: f64, columns: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(PARTS[part]);
    }
    bar
}

impl Widget for &Bars<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let rows = rows(self.buckets, usize::from(area.height));
        let greatest = rows.iter().map(|row| row.count).fold(0.0, f64::max);
        let room = usize::from(area.width).saturating_sub(BESIDE);
        for (place, row) in rows.iter().enumerate() {
            let inside = |ms: f64| ms >= row.lower_ms && (ms < row.upper_ms || place + 1 == rows.len());
            let marks: Vec<&str> =
                self.marks.iter().filter(|(_, at)| at.is_some_and(inside)).map(|(name, _)| *name).collect();
            let bounds = format!(
                "{} – {}",
                format::fit(&format::duration_ms(row.lower_ms), 6, Align::Right),
                format::fit(&format::duration_ms(row.upper_ms), 6, Align::Left),
            );
            let bar = bar(row.count / greatest.max(1.0), room);
            let line = Line::from(vec![
                Span::styled(format::fit(&marks.join(" "), 12, Align::Left), self.theme.accent),
                Span::styled(bounds, self.theme.dim),
                Span::raw(" "),
                Span::styled(format::fit(&bar, room, Align::Left), self.theme.good),
                Span::styled(format::fit(&format::count(row.count as u64), 6, Align::Right), self.theme.text),
            ]);
            paint::line(buffer, area, place as u16, &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(lower_ms: f64, upper_ms: f64, count: u64) -> BucketView {
        BucketView { lower_ms, upper_ms, count }
    }

    #[test]
    fn nothing_is_lost_and_gaps_between_humps_stay() {
        let buckets = [bucket(1.0, 1.1, 5), bucket(2.0, 2.2, 7), bucket(900.0, 950.0, 2)];
        for room in 1..40 {
            let rows = rows(&buckets, room);
            assert!(rows.len() <= room);
            let all: f64 = rows.iter().map(|row| row.count).sum();
            assert!((all - 14.0).abs() < 1e-9);
        }
        assert!(rows(&buckets, 12).iter().any(|row| row.count == 0.0));
        assert!(rows(&[], 12).is_empty());
    }

    #[test]
    fn a_little_is_not_nothing() {
        assert_eq!(bar(0.0001, 10), "▏");
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.55, 10), "█████▌");
    }
}
