//! The phases: which one the system is in, which an open trouble is the wall of, and what comes next.
//!
//! ```text
//!  phase  1 single box ─ 2 web tier ─ ▸ ▲ 3 database reads ─ 4 spikes ─ ...
//!  next wall  5 writes: db-primary orders at about 610 req/s (now 402, busy 66 %)   ~1.2M users' worth
//! ```

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::phase::{LADDER, Phase};
use tiertop_core::snapshot::{CapacityView, Snapshot, WallView};

use crate::app::{App, Trouble};
use crate::format;
use crate::screen::words;
use crate::theme::Theme;
use crate::widget::paint;

/// The phase that a trouble is the wall of, with the trouble's sign and style.
fn wall(trouble: Trouble<'_>, theme: &Theme) -> Option<(Phase, &'static str, Style)> {
    let (phase, (sign, _, style)) = match trouble {
        Trouble::Warning(warning) => (warning.phase?, words::severity(warning.severity, theme)),
        Trouble::Incident(incident) => (incident.verdict.as_ref()?.phase?, words::incident(incident, theme)),
    };
    Some((phase, sign, style))
}

/// The six phases in a row: "▸" at the one the system is in, the signs of troubles at their walls.
pub fn full(app: &App, shown: &Snapshot, theme: &Theme) -> Line<'static> {
    let walls: Vec<_> = app.troubles().into_iter().filter_map(|trouble| wall(trouble, theme)).collect();
    let mut line = Line::from(Span::styled(" phase  ", theme.dim));
    for (place, text) in LADDER.iter().enumerate() {
        if place > 0 {
            line.push_span(Span::styled(" ─ ", theme.dim));
        }
        let here = shown.capacity.phase == Some(text.phase);
        if here {
            line.push_span(Span::styled("▸ ", theme.accent));
        }
        let name = format!("{} {}", text.number, text.name);
        match walls.iter().find(|(phase, ..)| *phase == text.phase) {
            Some(&(_, sign, style)) => line.push_span(Span::styled(format!("{sign} {name}"), style)),
            None => line.push_span(Span::styled(name, if here { theme.title } else { theme.dim })),
        }
    }
    line
}

/// How many users the present load is worth, where that is known.
pub fn users(capacity: &CapacityView) -> Option<String> {
    let users = capacity.users_worth?;
    Some(format!("~{} users' worth", format::count(users.max(0.0).round() as u64)))
}

/// The next wall in words, where one can be told.
pub fn next_wall(capacity: &CapacityView) -> Option<String> {
    let wall = capacity.next_wall.as_ref()?;
    let phase = format!("{} {}", wall.phase.number(), wall.phase.name());
    let what = if wall.tier.is_empty() { phase } else { format!("{phase}: {}", words::tier_name(&wall.tier)) };
    let at = wall.at_requests_per_second.map(|at| format!(" at about {} req/s", format::rate(at)));
    let text = what + &at.unwrap_or_default();
    let now = capacity.requests_per_second.map(|rate| format!("now {}", format::rate(rate)));
    let busy = busy(capacity, wall).map(|share| format!("busy {}", words::percent(share)));
    let known: Vec<String> = now.into_iter().chain(busy).collect();
    Some(if known.is_empty() { text } else { format!("{text} ({})", known.join(", ")) })
}

fn busy(capacity: &CapacityView, wall: &WallView) -> Option<f64> {
    capacity.headroom.iter().find(|headroom| headroom.tier == wall.tier)?.utilisation
}

/// The phase, the wall that the shown trouble is, the next one and the users, in one row; nothing where nothing is known.
pub fn short(app: &App, shown: &Snapshot, theme: &Theme, columns: usize) -> Option<Line<'static>> {
    let capacity = &shown.capacity;
    let name = |phase: Phase| format!("{} {}", phase.number(), phase.name());
    let mut pieces = Vec::new();
    if let Some(phase) = capacity.phase {
        pieces.push(Span::styled(format!("▸ phase {}", name(phase)), theme.title));
    }
    if let Some((phase, sign, style)) = app.shown_trouble().and_then(|(trouble, ..)| wall(trouble, theme)) {
        let which =
            if capacity.phase == Some(phase) { "its wall".to_owned() } else { format!("wall of {}", name(phase)) };
        pieces.push(Span::styled(format!("{sign} {which}"), style));
    }
    if let Some(wall) = &capacity.next_wall {
        let kind = wall.tier.split('/').next().unwrap_or_default();
        let at = wall.at_requests_per_second.map(|at| format!(" at {} req/s", format::rate(at))).unwrap_or_default();
        pieces.push(Span::styled(format!("next wall {} {kind}{at}", wall.phase.number()), theme.dim));
    }
    pieces.extend(users(capacity).map(|users| Span::styled(users, theme.dim)));
    if pieces.is_empty() {
        return None;
    }
    let mut line = paint::joined(pieces, theme.dim, columns.saturating_sub(3));
    line.spans.insert(0, Span::raw("   "));
    Some(line)
}
