//! The help: the table of keys, and what the signs mean.
//!
//! ```text
//!  keys                                        signs
//!  ? F1        this help, and away with it     ▲ critical: users feel it, or will soon
//!  Enter       open the tier                   ...
//! ```
//! Below 116 columns the signs stand under the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::format::{self, Align};
use crate::keymap::{BINDINGS, Context};
use crate::theme::Theme;
use crate::widget::paint;

/// From this many columns on keys and signs stand side by side.
const SIDE_BY_SIDE: u16 = 132;

/// Signs and what they mean.
const SIGNS: &[(&str, &str)] = &[
    ("▲ critical", "users feel it, or will soon"),
    ("! warning", "look at it"),
    ("sure 0.9", "how sure a verdict is, 0 to 1"),
    ("▸ phase", "the phase that the system is in; ▲ and ! mark walls"),
    ("‖", "a stall that is over, or a trace that stood in one"),
    ("○ silent 12s", "nothing came from it for so long"),
    ("—", "unknown, which is not zero"),
    ("~", "inferred from spans: no metric says it"),
    ("≈", "coarse: from a service's own histogram"),
    ("s  ?", "sampled and scaled up; sampled, share unknown: too low"),
    ("gap", "call less callee: network, accept queue, pool"),
    ("open", "requests in progress"),
    ("▁▄█", "a minute, from zero; a level line lies at half height"),
    ("late", "spans that came after their second was closed"),
    ("refused", "not taken; the sender was told"),
];

/// The last line that scrolling may bring to the top, for a terminal of this many rows.
pub fn last_line(rows: u16) -> usize {
    (BINDINGS.len() + SIGNS.len() + 3).saturating_sub(usize::from(rows).saturating_sub(4).max(1))
}

/// Draws the help from line `first` on.
pub fn draw(first: usize, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let (keys, signs) = (keys(theme), signs(theme));
    if area.width >= SIDE_BY_SIDE {
        let [left, right] = paint::columns(area);
        show(&keys, first.min(keys.len().saturating_sub(usize::from(area.height))), left, buffer);
        show(&signs, 0, right, buffer);
    } else {
        let mut lines = keys;
        lines.push(Line::default());
        lines.extend(signs);
        let first = first.min(lines.len().saturating_sub(usize::from(area.height)));
        show(&lines, first, area, buffer);
        let below = lines.len().saturating_sub(first + usize::from(area.height));
        if below > 0 {
            let more = Line::styled(format!(" ↓ {} more, j ", below + 1), theme.accent);
            let last = area.height.saturating_sub(1);
            paint::line(buffer, area, last, &Line::raw(" ".repeat(area.width.into())));
            paint::line(buffer, area, last, &more);
        }
    }
}

fn show(lines: &[Line<'_>], first: usize, area: Rect, buffer: &mut Buffer) {
    let rows = lines.iter().skip(first).take(usize::from(area.height));
    for (row, line) in (0..).zip(rows) {
        paint::line(buffer, area, row, line);
    }
}

fn keys(theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(" keys", theme.title)];
    lines.extend(BINDINGS.iter().map(|binding| {
        let place = match binding.contexts {
            [Context::Overview] => "  overview",
            [Context::Tier] => "  tier",
            [Context::Traces] => "  traces",
            _ => "",
        };
        pair(&binding.keys_text(), binding.help, place, theme)
    }));
    lines
}

fn signs(theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(" signs", theme.title)];
    lines.extend(SIGNS.iter().map(|(sign, text)| pair(sign, text, "", theme)));
    lines
}

fn pair(left: &str, right: &'static str, note: &'static str, theme: &Theme) -> Line<'static> {
    Line::from(vec![
        Span::raw(" "),
        Span::styled(format::fit(left, 14, Align::Left), theme.accent),
        Span::raw(right),
        Span::styled(note, theme.dim),
    ])
}
