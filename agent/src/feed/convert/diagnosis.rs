//! Incidents with their verdicts.

use tiertop_core::snapshot::{DiagnosisState, DiagnosisView, IncidentView};
use tiertop_core::verdict::{Alternative, TierRef, Verdict};

use super::LeftOut;
use super::enums::{
    diagnosis_state_from_wire, diagnosis_state_to_wire, phase_from_wire, phase_to_wire, tier_kind_from_wire,
    tier_kind_to_wire,
};
use crate::feed::wire;

/// Said in place of a verdict on a tier of an unknown kind.
const NEWER_VERDICT: &str = "the bottleneck is of a kind newer than this tiertop: update it";

pub(super) fn to_wire(view: &DiagnosisView) -> wire::Diagnosis {
    let DiagnosisView { state, summary, traces, incidents } = view;
    wire::Diagnosis {
        state: diagnosis_state_to_wire(*state),
        summary: summary.clone(),
        traces: *traces,
        incidents: incidents.iter().map(incident_to_wire).collect(),
    }
}

pub(super) fn from_wire(view: wire::Diagnosis, left_out: &mut LeftOut) -> DiagnosisView {
    let wire::Diagnosis { state, summary, traces, incidents } = view;
    DiagnosisView {
        state: diagnosis_state_from_wire(state).unwrap_or(DiagnosisState::Unexplained),
        summary,
        traces,
        incidents: incidents.into_iter().map(|incident| incident_from_wire(incident, left_out)).collect(),
    }
}

fn incident_to_wire(view: &IncidentView) -> wire::Incident {
    let IncidentView {
        id,
        onset_unix_ms,
        opened_unix_ms,
        peak_unix_ms,
        ended_unix_ms,
        usual_ms,
        excess_ms,
        peak_excess_ms,
        failed_ratio,
        verdict,
        unexplained,
        changes,
        victims,
        new_versions,
    } = view;
    wire::Incident {
        id: *id,
        onset_unix_ms: *onset_unix_ms,
        opened_unix_ms: *opened_unix_ms,
        peak_unix_ms: *peak_unix_ms,
        ended_unix_ms: *ended_unix_ms,
        usual_ms: *usual_ms,
        excess_ms: *excess_ms,
        peak_excess_ms: *peak_excess_ms,
        failed_ratio: *failed_ratio,
        verdict: verdict.as_ref().map(verdict_to_wire),
        unexplained: unexplained.clone(),
        changes: *changes,
        victims: victims.clone(),
        new_versions: new_versions.clone(),
    }
}

fn incident_from_wire(view: wire::Incident, left_out: &mut LeftOut) -> IncidentView {
    let wire::Incident {
        id,
        onset_unix_ms,
        opened_unix_ms,
        peak_unix_ms,
        ended_unix_ms,
        usual_ms,
        excess_ms,
        peak_excess_ms,
        failed_ratio,
        verdict,
        unexplained,
        changes,
        victims,
        new_versions,
    } = view;
    let named = verdict.is_some();
    let verdict = verdict.and_then(|verdict| verdict_from_wire(verdict, left_out));
    let unexplained = if named && verdict.is_none() { NEWER_VERDICT.to_owned() } else { unexplained };
    IncidentView {
        id,
        onset_unix_ms,
        opened_unix_ms,
        peak_unix_ms,
        ended_unix_ms,
        usual_ms,
        excess_ms,
        peak_excess_ms,
        failed_ratio,
        verdict,
        unexplained,
        changes,
        victims,
        new_versions,
    }
}

fn verdict_to_wire(view: &Verdict) -> wire::Verdict {
    let Verdict {
        tier,
        class,
        title,
        phase,
        confidence,
        explained_share,
        alternatives,
        onset,
        evidence,
        remedy_now,
        remedy_for_good,
    } = view;
    wire::Verdict {
        tier: Some(tier_to_wire(tier)),
        class: class.clone(),
        title: title.clone(),
        phase: phase.map_or(wire::Phase::Unspecified.into(), phase_to_wire),
        confidence: *confidence,
        explained_share: *explained_share,
        alternatives: alternatives.iter().map(alternative_to_wire).collect(),
        onset_unix_ms: *onset,
        evidence: evidence.clone(),
        remedy_now: remedy_now.clone(),
        remedy_for_good: remedy_for_good.clone(),
    }
}

/// The verdict, or `None` where its tier is of an unknown kind.
fn verdict_from_wire(view: wire::Verdict, left_out: &mut LeftOut) -> Option<Verdict> {
    let wire::Verdict {
        tier,
        class,
        title,
        phase,
        confidence,
        explained_share,
        alternatives,
        onset_unix_ms,
        evidence,
        remedy_now,
        remedy_for_good,
    } = view;
    let tier = tier.and_then(tier_from_wire).or_else(|| left_out.verdict())?;
    let alternatives =
        alternatives.into_iter().filter_map(|other| alternative_from_wire(other).or_else(|| left_out.alternative()));
    Some(Verdict {
        tier,
        class,
        title,
        phase: phase_from_wire(phase),
        confidence,
        explained_share,
        alternatives: alternatives.collect(),
        onset: onset_unix_ms,
        evidence,
        remedy_now,
        remedy_for_good,
    })
}

fn alternative_to_wire(view: &Alternative) -> wire::Alternative {
    let Alternative { tier, explained_share } = view;
    wire::Alternative { tier: Some(tier_to_wire(tier)), explained_share: *explained_share }
}

fn alternative_from_wire(view: wire::Alternative) -> Option<Alternative> {
    let wire::Alternative { tier, explained_share } = view;
    Some(Alternative { tier: tier_from_wire(tier?)?, explained_share })
}

fn tier_to_wire(view: &TierRef) -> wire::TierRef {
    let TierRef { id, kind, member } = view;
    wire::TierRef { id: id.clone(), kind: tier_kind_to_wire(*kind), member: member.clone() }
}

fn tier_from_wire(view: wire::TierRef) -> Option<TierRef> {
    let wire::TierRef { id, kind, member } = view;
    Some(TierRef { id, kind: tier_kind_from_wire(kind)?, member })
}
