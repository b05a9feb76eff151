//! Verdicts, stalls, and the phase with the next wall, as text.

use std::fmt::Write;

use tiertop_core::snapshot::{DiagnosisState, IncidentView, Snapshot, StallView};
use tiertop_core::verdict::Verdict;

use crate::format;
use crate::screen::{finding, ladder, words};
use crate::theme::{Palette, Theme};

/// How things stand, then every incident that is known, open or over.
pub(super) fn incidents(shown: &Snapshot, text: &mut String) {
    let diagnosis = &shown.diagnosis;
    let over = diagnosis.incidents.iter().any(|incident| incident.ended_unix_ms.is_some());
    match (diagnosis.state, diagnosis.summary.as_str()) {
        (DiagnosisState::Healthy, _) if over => line!(text, "\nhealthy again: no verdict is open"),
        (DiagnosisState::Healthy, _) => line!(text, "\nhealthy: no verdict"),
        (_, "") => line!(text, "\nno verdict"),
        (DiagnosisState::Named, _) => {}
        (_, summary) => line!(text, "\nno verdict: {summary}"),
    }
    for found in &diagnosis.incidents {
        incident(found, shown, text);
    }
}

fn incident(incident: &IncidentView, shown: &Snapshot, text: &mut String) {
    let (sign, word, _) = words::incident(incident, &Theme::new(Palette::None));
    let (title, tier) = match &incident.verdict {
        Some(verdict) => (verdict.title.clone(), format!(": {}", words::tier_name(&verdict.tier.id))),
        None => (words::trouble_of(incident), String::new()),
    };
    let until = incident.ended_unix_ms.unwrap_or(shown.at_unix_ms);
    let lasted = format::whole_seconds(until.saturating_sub(incident.onset_unix_ms) / 1000);
    let since = format::clock(incident.onset_unix_ms / 1000);
    let when = match incident.ended_unix_ms {
        Some(ended) => format!("{since} to {} ({lasted})", format::clock(ended / 1000)),
        None => format!("since {since} ({lasted})"),
    };
    line!(text, "\n{sign} {} {title}{tier}, {when}", word.to_uppercase());
    match &incident.verdict {
        Some(found) => verdict(found, text),
        None => line!(text, "  {}", incident.unexplained),
    }
    let requests = finding::requests(incident);
    if !requests.is_empty() {
        line!(text, "  requests  {requests}");
    }
    let victims: Vec<String> = incident.victims.iter().map(|id| words::tier_name(id)).collect();
    for (label, list) in [("victims   ", &victims), ("new       ", &incident.new_versions)] {
        if !list.is_empty() {
            line!(text, "  {label}{}", list.join(", "));
        }
    }
}

fn verdict(verdict: &Verdict, text: &mut String) {
    let class = verdict.class.as_deref().unwrap_or("unknown");
    let phase = match verdict.phase {
        Some(phase) => format!("{} {}", phase.number(), phase.name()),
        None => "none".to_owned(),
    };
    let explained = verdict.explained_share.map(|share| format!(", explains {}", words::percent(share)));
    line!(
        text,
        "  class {class}, wall of phase {phase}, confidence {:.2}{}",
        verdict.confidence,
        explained.unwrap_or_default()
    );
    for evidence in &verdict.evidence {
        line!(text, "  {evidence}");
    }
    for (label, remedy) in [("now       ", &verdict.remedy_now), ("for good  ", &verdict.remedy_for_good)] {
        if let Some(remedy) = remedy {
            line!(text, "  {label}{remedy}");
        }
    }
    let others = finding::alternatives(verdict);
    if !others.is_empty() {
        line!(text, "  else      {others}");
    }
}

/// The stalls, one to a line.
pub(super) fn stalls(stalls: &[StallView], text: &mut String) {
    if stalls.is_empty() {
        return;
    }
    line!(text, "\n{} stall{}", stalls.len(), if stalls.len() == 1 { "" } else { "s" });
    for stall in stalls {
        let lasts = if stall.ongoing { "lasts" } else { "lasted" };
        let length = format::duration_ms(stall.length_ms as f64);
        let at = format::clock(stall.start_unix_ms / 1000);
        // What is over says in its summary where requests stood.
        let tier = stall.tier.as_deref().filter(|_| stall.ongoing);
        let stood = tier.map(|tier| format!("; stands in {}", words::tier_name(tier))).unwrap_or_default();
        let moved = stall.first_moved.as_deref().map(|moved| format!("; first moved {moved}")).unwrap_or_default();
        line!(text, "  {at} {lasts} {length}: {}{stood}{moved}", stall.summary);
    }
}

/// The phase, the next wall and the users' worth in a line.
pub(super) fn capacity(shown: &Snapshot, text: &mut String) {
    let capacity = &shown.capacity;
    let phase = capacity.phase.map(|phase| format!("phase {} {}", phase.number(), phase.name()));
    let wall = ladder::next_wall(capacity).map(|wall| format!("next wall {wall}"));
    let pieces: Vec<String> = [phase, wall, ladder::users(capacity)].into_iter().flatten().collect();
    if !pieces.is_empty() {
        line!(text, "\n{}", pieces.join("; "));
    }
}
