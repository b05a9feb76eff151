//! One snapshot as text, for `--once`: no colour, no cursor, fit for a pipe, a log or a ticket.

/// Appends a line. Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        let _ = writeln!($text, $($argument)*);
    }};
}

mod analysis;
mod diagnosis;

use std::fmt::Write;

use tiertop_core::snapshot::{ReasonCount, SignalKind, Snapshot, WarningView};

use crate::format::{self, Align, fit};
use crate::screen::{banner, header, pipeline, words};
use crate::theme::{Palette, Theme};

pub use analysis::print_report;

/// Everything that the overview says, as lines of text.
///
/// Columns are 100 wide; names longer than theirs are cut with "…". Run it through
/// [`crate::ascii::fold_text`] where UTF-8 cannot be shown.
pub fn print_snapshot(shown: &Snapshot) -> String {
    let mut text = String::new();
    head(shown, &mut text);
    if shown.tiers.is_empty() {
        waiting(shown, &mut text);
    } else {
        diagnosis::incidents(shown, &mut text);
        warnings(shown, &mut text);
        diagnosis::stalls(&shown.stalls, &mut text);
        diagnosis::capacity(shown, &mut text);
        tiers(shown, &mut text);
        signals(shown, &mut text);
        calls(shown, &mut text);
    }
    arrivals(shown, &mut text);
    let lines = text.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

fn head(shown: &Snapshot, text: &mut String) {
    let at = format!("{} UTC", format::clock(shown.at_unix_ms / 1000));
    let mut pieces = vec!["tiertop", &shown.environment, &shown.region, &at];
    pieces.retain(|piece| !piece.is_empty());
    line!(text, "{}", pieces.join("  "));
    let window = shown.window;
    if window.to_unix_s > 0 {
        line!(text, "figures of {} to {}", format::clock(window.from_unix_s), format::clock(window.to_unix_s),);
    }
}

fn waiting(shown: &Snapshot, text: &mut String) {
    line!(text, "\nno tier seen yet; listening on {}", shown.pipeline.listening.join(", "));
}

fn warnings(shown: &Snapshot, text: &mut String) {
    let open = || shown.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none());
    if open().next().is_none() {
        match (shown.all_silent_for_s(), shown.learning_left_s()) {
            (Some(silence), _) => line!(text, "\nno data: every service has been silent for {silence} s"),
            (None, Some(left)) => line!(text, "\nno warnings yet: what is usual is known in {left} s"),
            (None, None) => line!(text, "\nno warnings"),
        }
    }
    for warning in open() {
        open_warning(warning, shown, text);
    }
    for ended in banner::ended(shown) {
        line!(text, "{ended}");
    }
}

fn open_warning(warning: &WarningView, shown: &Snapshot, text: &mut String) {
    let (sign, word, _) = words::severity(warning.severity, &Theme::new(Palette::None));
    let seconds = shown.at_unix_ms.saturating_sub(warning.since_unix_ms) / 1000;
    line!(
        text,
        "\n{sign} {} {}: {}, since {} ({})",
        word.to_uppercase(),
        warning.title,
        words::tier_name(&warning.tier),
        format::clock(warning.since_unix_ms / 1000),
        format::whole_seconds(seconds),
    );
    for evidence in &warning.evidence {
        line!(text, "  {evidence}");
    }
    line!(text, "  now       {}", warning.remedy_now);
    line!(text, "  for good  {}", warning.remedy_for_good);
    if let Some(phase) = warning.phase {
        line!(text, "  wall of phase {} {}", phase.number(), phase.name());
    }
}

fn tiers(shown: &Snapshot, text: &mut String) {
    let theme = Theme::new(Palette::None);
    let row = |cells: [&str; 8]| {
        let [state, name, rate, errors, p50, p95, p99, open] = cells;
        let numbers: String = [(rate, 8), (errors, 8), (p50, 9), (p95, 9), (p99, 9), (open, 7)]
            .into_iter()
            .map(|(cell, width)| fit(cell, width, Align::Right))
            .collect();
        format!("{} {}{numbers}", fit(state, 14, Align::Left), fit(name, 38, Align::Left))
    };
    line!(text, "\n{}", row(["", "tier", "req/s", "err", "p50", "p95", "p99", "open"]));
    for tier in &shown.tiers {
        let many = tier.instances.len();
        let many = if many > 1 { format!(" ×{many}") } else { String::new() };
        let name = format!("{:<12} {}{many}", tier.kind, tier.member);
        let cells = [
            &words::tier_state(tier, shown, 14, &theme).0,
            &name,
            &words::tier_rate(tier),
            &format::or_unknown(tier.error_ratio, format::ratio),
            &words::quantile(tier, tier.p50_ms),
            &words::quantile(tier, tier.p95_ms),
            &words::quantile(tier, tier.p99_ms),
            &words::in_flight(tier),
        ];
        line!(text, "{}", row(cells.map(String::as_str)));
    }
    let legend = words::legend(shown);
    if !legend.is_empty() {
        line!(text, "{}", legend.join(" · "));
    }
}

fn signals(shown: &Snapshot, text: &mut String) {
    line!(text, "");
    for signal in &shown.signals {
        let headline = SignalKind::HEADLINES.contains(&signal.kind);
        let name = fit(format::signal_name(signal.kind), 16, Align::Left);
        let Some(value) = signal.value else {
            if headline {
                let hint = signal.hint.as_deref().unwrap_or("nothing says it");
                line!(text, "{name} unknown: {hint}");
            }
            continue;
        };
        let mark = if signal.inferred { "~" } else { "" };
        let value = format!("{mark}{}", format::signal_value(signal.kind, value));
        let slope =
            signal.slope_per_second.and_then(|slope| format::signal_slope(signal.kind, slope)).unwrap_or_default();
        let tier = format!("{} {}", words::tier_name(&signal.tier), signal.part);
        line!(text, "{name} {} {}  {tier}", fit(&value, 10, Align::Right), fit(&slope, 13, Align::Right),);
    }
}

fn calls(shown: &Snapshot, text: &mut String) {
    if shown.edges.is_empty() {
        return;
    }
    let row = |cells: [&str; 5]| {
        let [names, numbers @ ..] = cells;
        let numbers: String = numbers.into_iter().map(|cell| fit(cell, 9, Align::Right)).collect();
        format!("{}{numbers}", fit(names, 60, Align::Left))
    };
    line!(text, "\n{}", row(["calls", "calls/s", "err", "p95", "gap"]));
    for edge in &shown.edges {
        let names = format!("{} → {}", words::tier_name(&edge.from), words::tier_name(&edge.to));
        let cells = [
            names,
            format::rate(edge.requests_per_second),
            format::ratio(edge.error_ratio),
            format::or_unknown(edge.p95_ms, format::duration_ms),
            format::or_unknown(edge.gap_mean_ms, format::duration_ms),
        ];
        line!(text, "{}", row(cells.each_ref().map(String::as_str)));
    }
}

fn arrivals(shown: &Snapshot, text: &mut String) {
    let arrived = &shown.pipeline;
    let there = |reason: &&ReasonCount| reason.count > 0;
    line!(
        text,
        "\n{} source{}, {} spans/s; accepted {} spans, {} points, {} log records; refused {}, late {}",
        arrived.sources.len(),
        if arrived.sources.len() == 1 { "" } else { "s" },
        format::rate(arrived.spans_per_second),
        format::count(arrived.spans_accepted),
        format::count(arrived.points_accepted),
        format::count(arrived.logs_accepted),
        format::count(header::refused(arrived)),
        format::count(arrived.spans_late),
    );
    for reason in arrived.refusals.iter().filter(there) {
        line!(text, "  refused {}: {}", format::count(reason.count), reason.reason);
    }
    for reason in arrived.evictions.iter().filter(there) {
        line!(text, "  given up {}: {}", format::count(reason.count), reason.reason);
    }
    for exporter in &arrived.exporters {
        line!(text, "  {}", pipeline::exporter_head(exporter, shown.at_unix_ms));
        for said in pipeline::exporter_lines(exporter, shown.at_unix_ms) {
            line!(text, "      {said}");
        }
    }
    for source in arrived.sources.iter().filter(|source| source.silent) {
        let instance = source.instance.as_deref().unwrap_or_default();
        let silent = format::seconds(source.last_seen_s);
        line!(text, "  silent for {silent}: {} {instance}", source.service);
    }
}

#[cfg(test)]
mod tests;
