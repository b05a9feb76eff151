//! The phase, the next wall, how busy each tier is, and the questions of each phase.
//!
//! ```text
//!  ▸ phase 3 database reads: a balancer over several instances, ...
//!  next wall  5 writes: db-primary orders at about 610 req/s (now 402, busy 66 %)
//!  headroom                   busy  full at  told from
//!  db-replica orders-ro       83 %    484/s  CPU
//!  3 database reads
//!    ● yes      does a cache take most reads?  hit rate 91 %
//!    ! no       do replicas keep up?  lag 8.4 s on orders-ro
//!    ○ unknown  ...
//! ```

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{CapacityView, CheckView, HeadroomView, ScalabilityView};

use crate::format::{self, Align};
use crate::screen::{ladder, words};
use crate::theme::Theme;

/// Everything about capacity, in lines that fit the columns.
pub fn lines(capacity: &CapacityView, theme: &Theme, columns: usize) -> Vec<Line<'static>> {
    if *capacity == CapacityView::default() {
        return vec![Line::styled(" nothing is known of phase and capacity yet", theme.dim)];
    }
    let mut lines = Vec::new();
    match capacity.phase {
        Some(phase) => {
            let text = format!("▸ phase {} {}", phase.number(), phase.name());
            wrapped(&mut lines, " ", &text, theme.title, columns);
        }
        None => lines.push(Line::styled(" phase unknown", theme.dim)),
    }
    wrapped(&mut lines, "   ", &capacity.because, theme.dim, columns);
    let (rate, users) = (capacity.requests_per_second, ladder::users(capacity));
    let rate = rate.map(|rate| format!("{} req/s at the front", format::rate(rate)));
    let load: Vec<String> = rate.into_iter().chain(users).collect();
    wrapped(&mut lines, "   ", &load.join(", "), theme.text, columns);
    let wall = ladder::next_wall(capacity).unwrap_or_else(|| "not known".to_owned());
    wrapped(&mut lines, " ", &format!("next wall  {wall}"), theme.title, columns);
    let because = capacity.next_wall.as_ref().map(|wall| wall.because.as_str()).unwrap_or_default();
    wrapped(&mut lines, "   ", because, theme.dim, columns);
    headroom(&mut lines, &capacity.headroom, theme, columns);
    if let Some(scalability) = capacity.scalability {
        lines.push(Line::default());
        wrapped(&mut lines, " ", &self::scalability(scalability), theme.text, columns);
    }
    checklist(&mut lines, &capacity.checklist, theme, columns);
    lines
}

fn wrapped(lines: &mut Vec<Line<'static>>, indent: &str, text: &str, style: Style, columns: usize) {
    if text.is_empty() {
        return;
    }
    let parts = format::wrap(text, columns.saturating_sub(indent.len() + 3).max(8)).into_iter().enumerate();
    let parts = parts.map(|(place, part)| {
        let more = if place == 0 { "" } else { "  " };
        Line::styled(format!("{indent}{more}{part}"), style)
    });
    lines.extend(parts);
}

fn headroom(lines: &mut Vec<Line<'static>>, tiers: &[HeadroomView], theme: &Theme, columns: usize) {
    if tiers.is_empty() {
        return;
    }
    let name = (columns.saturating_sub(18) * 3 / 5).clamp(10, 40);
    let room = columns.saturating_sub(name + 19);
    let row = |cells: [&str; 4]| {
        let [tier, busy, full, source] = cells;
        format!(
            " {}{}{}  {}",
            format::fit(&format::cut_middle(tier, name), name, Align::Left),
            format::fit(busy, 6, Align::Right),
            format::fit(full, 9, Align::Right),
            format::cut(source, room),
        )
    };
    lines.push(Line::default());
    lines.push(Line::styled(row(["headroom", "busy", "full at", "told from"]), theme.dim));
    for tier in tiers {
        let busy = format::or_unknown(tier.utilisation, words::percent);
        let full = format::or_unknown(tier.full_at_requests_per_second, |rate| format!("{}/s", format::rate(rate)));
        // What would have to be sent to know is never cut.
        let below = tier.utilisation.is_none() && format::width(&tier.source) > room;
        let source = if below { "" } else { tier.source.as_str() };
        lines.push(Line::raw(row([&words::tier_name(&tier.tier), &busy, &full, source])));
        if below {
            wrapped(lines, "     ", &tier.source, theme.dim, columns);
        }
    }
}

fn scalability(law: ScalabilityView) -> String {
    let peak = law.peak_requests_per_second.zip(law.peak_in_flight);
    let peak = peak.map(|(most, at)| format!("; at most {} req/s, with {at:.0} in flight", format::rate(most)));
    format!(
        "scalability  {} req/s for each in flight, contention {}, coherency {:.2} %, by {} levels of load{}",
        format::rate(law.per_one),
        format::ratio(law.contention),
        law.coherency * 100.0,
        law.levels,
        peak.unwrap_or_default(),
    )
}

fn checklist(lines: &mut Vec<Line<'static>>, checks: &[CheckView], theme: &Theme, columns: usize) {
    let mut last = None;
    for check in checks {
        if last != Some(check.phase) {
            lines.push(Line::default());
            lines.push(Line::styled(format!(" {} {}", check.phase.number(), check.phase.name()), theme.title));
            last = Some(check.phase);
        }
        let (sign, style) = match check.answer {
            Some(true) => ("● yes    ", theme.good),
            Some(false) => ("! no     ", theme.warn),
            None => ("○ unknown", theme.dim),
        };
        let room = columns.saturating_sub(14).max(8);
        let beside = format::width(&check.question) + format::width(&check.evidence) + 2 <= room;
        for (row, part) in format::wrap(&check.question, room).into_iter().enumerate() {
            let sign = Span::styled(if row == 0 { sign } else { "         " }, style);
            lines.push(Line::from(vec![Span::raw("   "), sign, Span::raw(format!("  {part}"))]));
        }
        if let (Some(line), true) = (lines.last_mut(), beside) {
            line.push_span(Span::styled(format!("  {}", check.evidence), theme.dim));
        } else {
            wrapped(lines, "              ", &check.evidence, theme.dim, columns);
        }
    }
}
