//! What an analysis found, as text.

use std::fmt::Write;

use tiertop_core::diagnosis::{Report, Stretch, TierCharge};
use tiertop_core::snapshot::{IncidentView, StallView};
use tiertop_core::verdict::Verdict;

use crate::format::{self, Align, fit};
use crate::screen::{finding, words};

/// Everything that an analysis found, as lines of text.
pub fn print_report(report: &Report) -> String {
    let mut text = String::new();
    line!(text, "{}", report.summary);
    for verdict in &report.verdicts {
        verdict_lines(verdict, &mut text);
    }
    incidents(&report.incidents, &mut text);
    tiers(report, &mut text);
    if let (Some(usual_ms), Some(excess_ms)) = (report.usual_ms, report.excess_ms) {
        let (usual, sign) = (format::duration_ms(usual_ms), if excess_ms < 0.0 { "less" } else { "more" });
        line!(text, "\nrequests usually take {usual}, now {} {sign}", format::duration_ms(excess_ms.abs()));
    }
    stalls(&report.stalls, &mut text);
    stretch("judged", report.window, &mut text);
    stretch("baseline", report.baseline, &mut text);
    counts(report, &mut text);
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn verdict_lines(verdict: &Verdict, text: &mut String) {
    let class = verdict.class.as_deref().unwrap_or("unknown class");
    line!(text, "\n! {}: {} ({class})", words::tier_name(&verdict.tier.id), verdict.title);
    let explained = verdict.explained_share.map(|share| format!(", explains {}", words::percent(share)));
    line!(text, "  confidence {}{}", words::percent(verdict.confidence), explained.unwrap_or_default());
    if let Some(onset) = verdict.onset {
        line!(text, "  since {} UTC", format::clock(onset / 1000));
    }
    for evidence in &verdict.evidence {
        line!(text, "  {evidence}");
    }
    if let (Some(now), Some(for_good)) = (&verdict.remedy_now, &verdict.remedy_for_good) {
        line!(text, "  now       {now}");
        line!(text, "  for good  {for_good}");
    }
    if let Some(phase) = verdict.phase {
        line!(text, "  wall of phase {} {}", phase.number(), phase.name());
    }
    let others = verdict.alternatives.iter();
    let others: Vec<String> = others
        .map(|other| format!("{} {}", words::tier_name(&other.tier.id), words::percent(other.explained_share)))
        .collect();
    if !others.is_empty() {
        line!(text, "  else      {}", others.join(", "));
    }
}

/// The incidents that came and went, one after the other.
fn incidents(incidents: &[IncidentView], text: &mut String) {
    for (place, incident) in incidents.iter().enumerate() {
        let clock = |unix_ms: u64| format::clock(unix_ms / 1000);
        let until = incident.ended_unix_ms.map_or_else(|| "the end".to_owned(), clock);
        let (title, tier) = match &incident.verdict {
            Some(verdict) => (verdict.title.clone(), format!(": {}", words::tier_name(&verdict.tier.id))),
            None => (incident.unexplained.clone(), String::new()),
        };
        let gap = if place == 0 { "\n" } else { "" };
        line!(text, "{gap}incident {}, {} to {until} UTC: {title}{tier}", place + 1, clock(incident.onset_unix_ms));
        let requests = finding::requests(incident);
        if !requests.is_empty() {
            line!(text, "  worst at {} UTC: requests {requests}", clock(incident.peak_unix_ms));
        }
    }
}

fn tiers(report: &Report, text: &mut String) {
    if report.tiers.is_empty() {
        return;
    }
    let row = |cells: [&str; 7]| {
        let [name, numbers @ ..] = cells;
        let numbers: String = numbers.into_iter().map(|cell| fit(cell, 9, Align::Right)).collect();
        format!("{}{numbers}", fit(name, 46, Align::Left))
    };
    line!(
        text,
        "\n{}",
        row(["time on the critical path, of each request", "visits", "usual", "now", "share", "gap", "err"])
    );
    for charge in &report.tiers {
        line!(text, "{}", row(cells(charge).each_ref().map(String::as_str)));
    }
}

fn cells(charge: &TierCharge) -> [String; 7] {
    [
        format!("{:<12} {}", charge.tier.kind, charge.tier.member),
        format::count(charge.visits),
        format::duration_ms(charge.usual_ms),
        format::duration_ms(charge.now_ms),
        words::percent(charge.path_share),
        format::or_unknown(charge.gap_ms, format::duration_ms),
        format::ratio(charge.failed_ratio),
    ]
}

fn stalls(stalls: &[StallView], text: &mut String) {
    for (place, stall) in stalls.iter().enumerate() {
        let gap = if place == 0 { "\n" } else { "" };
        line!(text, "{gap}stall at {} UTC: {}", format::clock(stall.start_unix_ms / 1000), stall.summary);
        if let Some(moved) = &stall.first_moved {
            line!(text, "  first to move again  {moved}");
        }
        if !stall.traces.is_empty() {
            line!(text, "  traces               {}", stall.traces.join(", "));
        }
    }
    if !stalls.is_empty() {
        line!(text, "");
    }
}

fn stretch(what: &str, stretch: Stretch, text: &mut String) {
    if let (Some(from), Some(to)) = (stretch.from_unix_ms, stretch.to_unix_ms) {
        let (from, to) = (format::clock(from / 1000), format::clock(to / 1000));
        line!(text, "{what}: {} requests, {from} to {to} UTC", format::count(stretch.requests));
    }
}

fn counts(report: &Report, text: &mut String) {
    let (traces, read) = (report.traces, report.read);
    let (all, incomplete, orphans) = (traces.traces, traces.incomplete, traces.orphans);
    line!(
        text,
        "read: {} spans, {} points, {} refused; {} traces, {} incomplete with {} orphans",
        format::count(read.spans),
        format::count(read.points),
        format::count(read.refused),
        format::count(all),
        format::count(incomplete),
        format::count(orphans),
    );
    if traces.kept_one_in > 1 {
        line!(text, "one trace in {} was looked at, for want of memory", traces.kept_one_in);
    }
}
