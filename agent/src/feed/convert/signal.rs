//! Signals and warnings.

use tiertop_core::snapshot::{Severity, SignalView, WarningView};

use super::enums::{
    phase_from_wire, phase_to_wire, severity_from_wire, severity_to_wire, signal_kind_from_wire, signal_kind_to_wire,
};
use super::{trend_from_wire, trend_to_wire};
use crate::feed::wire;

pub(super) fn to_wire(view: &SignalView) -> wire::Signal {
    let SignalView { kind, tier, part, value, inferred, source, slope_per_second, age_s, trend, hint } = view;
    wire::Signal {
        kind: signal_kind_to_wire(*kind),
        tier: tier.clone(),
        part: part.clone(),
        value: *value,
        inferred: *inferred,
        source: source.clone(),
        slope_per_second: *slope_per_second,
        age_s: *age_s,
        trend: trend_to_wire(trend),
        hint: hint.clone(),
    }
}

/// The signal, or `None` where its kind is unknown.
pub(super) fn from_wire(view: wire::Signal) -> Option<SignalView> {
    let wire::Signal { kind, tier, part, value, inferred, source, slope_per_second, age_s, trend, hint } = view;
    Some(SignalView {
        kind: signal_kind_from_wire(kind)?,
        tier,
        part,
        value,
        inferred,
        source,
        slope_per_second,
        age_s,
        trend: trend_from_wire(trend),
        hint,
    })
}

pub(super) fn warning_to_wire(view: &WarningView) -> wire::Warning {
    let WarningView {
        rule,
        tier,
        title,
        severity,
        phase,
        evidence,
        remedy_now,
        remedy_for_good,
        since_unix_ms,
        ended_unix_ms,
    } = view;
    wire::Warning {
        rule: rule.clone(),
        tier: tier.clone(),
        title: title.clone(),
        severity: severity_to_wire(*severity),
        phase: phase.map_or(wire::Phase::Unspecified.into(), phase_to_wire),
        evidence: evidence.clone(),
        remedy_now: remedy_now.clone(),
        remedy_for_good: remedy_for_good.clone(),
        since_unix_ms: *since_unix_ms,
        ended_unix_ms: *ended_unix_ms,
    }
}

pub(super) fn warning_from_wire(view: wire::Warning) -> WarningView {
    let wire::Warning {
        rule,
        tier,
        title,
        severity,
        phase,
        evidence,
        remedy_now,
        remedy_for_good,
        since_unix_ms,
        ended_unix_ms,
    } = view;
    WarningView {
        rule,
        tier,
        title,
        severity: severity_from_wire(severity).unwrap_or(Severity::Warning),
        phase: phase_from_wire(phase),
        evidence,
        remedy_now,
        remedy_for_good,
        since_unix_ms,
        ended_unix_ms,
    }
}
