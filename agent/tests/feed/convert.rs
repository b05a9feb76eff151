//! The snapshot survives the wire; what a newer agent says is read with care.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use tiertop_agent::feed::convert::{ConvertError, from_wire, to_wire};
use tiertop_agent::feed::{Detail, wire};
use tiertop_core::snapshot::{
    DiagnosisState, ExporterState, FiguresFrom, KeptFor, SNAPSHOT_VERSION, Severity, Snapshot, TierState,
};
use tiertop_core::tier::TierKind;

use crate::fixture::{self, Extent, SMALL};

/// A kind, state or severity that this version has no name for.
const UNKNOWN: i32 = 9_999;

fn over_the_wire(snapshot: &Snapshot, detail: Detail) -> Snapshot {
    let bytes = to_wire(snapshot, detail).encode_to_vec();
    from_wire(wire::Snapshot::decode(bytes.as_slice()).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_field_survives(
        seed: u64, tiers in 0_usize..20, instances in 0_usize..4, operations in 0_usize..6, buckets in 0_usize..30,
        traces in 0_usize..4, spans in 0_usize..12,
    ) {
        let snapshot = fixture::snapshot(seed, Extent { tiers, instances, operations, buckets, traces, spans });
        prop_assert_eq!(over_the_wire(&snapshot, Detail::Full), snapshot);
    }
}

#[test]
fn the_empty_snapshot_survives() {
    let snapshot = Snapshot::default();
    assert_eq!(over_the_wire(&snapshot, Detail::Full), snapshot);
    assert_eq!(from_wire(wire::Snapshot::default()).unwrap(), snapshot);
}

#[test]
fn every_named_value_survives() {
    let mut snapshot = fixture::snapshot(1, SMALL);
    let (tier, signal, warning) =
        (snapshot.tiers[0].clone(), snapshot.signals[0].clone(), snapshot.warnings[0].clone());
    snapshot.tiers = TierKind::ALL.into_iter().map(|kind| with(&tier, |t| t.kind = kind)).collect();
    snapshot.tiers.extend(fixture::STATES.map(|state| with(&tier, |t| t.state = state)));
    snapshot.tiers.extend(fixture::FIGURES_FROM.map(|from| with(&tier, |t| t.figures_from = from)));
    snapshot.signals = fixture::SIGNALS.map(|kind| with(&signal, |s| s.kind = kind)).to_vec();
    snapshot.warnings = fixture::PHASES.map(|phase| with(&warning, |w| w.phase = Some(phase))).to_vec();
    snapshot.warnings.push(with(&warning, |w| w.severity = Severity::Warning));
    snapshot.warnings.push(with(&warning, |w| w.severity = Severity::Critical));
    let trace = snapshot.traces[0].as_ref().clone();
    snapshot.traces = fixture::KEPT_FOR.map(|kept| Arc::new(with(&trace, |t| t.kept_for = kept))).to_vec();
    assert_eq!(over_the_wire(&snapshot, Detail::Full), snapshot);
    let exporter = snapshot.pipeline.exporters[0].clone();
    snapshot.pipeline.exporters = fixture::EXPORTER_STATES.map(|state| with(&exporter, |e| e.state = state)).to_vec();
    for state in fixture::DIAGNOSIS_STATES {
        snapshot.diagnosis.state = state;
        assert_eq!(over_the_wire(&snapshot, Detail::Full), snapshot);
    }
}

fn with<T: Clone>(value: &T, change: impl FnOnce(&mut T)) -> T {
    let mut value = value.clone();
    change(&mut value);
    value
}

#[test]
fn an_overview_leaves_traces_closed_seconds_and_three_lists_of_tiers_out_and_nothing_else() {
    let full = fixture::snapshot(2, SMALL);
    let mut overview = full.clone();
    for tier in &mut overview.tiers {
        tier.instances.clear();
        tier.operations.clear();
        tier.distribution.clear();
    }
    overview.traces.clear();
    overview.closed_seconds.clear();
    assert_ne!(overview, full);
    assert_eq!(over_the_wire(&full, Detail::Overview), overview);
}

#[test]
fn a_newer_version_is_refused_in_words() {
    let mut message = to_wire(&fixture::snapshot(3, SMALL), Detail::Full);
    message.version = SNAPSHOT_VERSION + 1;
    let error = from_wire(message).unwrap_err();
    assert!(matches!(error, ConvertError::Newer { .. }));
    assert!(error.to_string().ends_with("update tiertop"), "{error}");
}

#[test]
fn what_has_no_name_here_is_left_out_and_counted() {
    let mut snapshot = fixture::snapshot(4, SMALL);
    snapshot.pipeline.evictions.clear();
    snapshot.closed_seconds[0].tiers[0].id = "mesh/new".to_owned();
    snapshot.tiers[1].id = "mesh/new".to_owned();
    snapshot.edges[0].from = "mesh/new".to_owned();
    snapshot.edges[3].to = "mesh/new".to_owned();
    snapshot.signals[2].tier = "mesh/new".to_owned();
    let mut message = to_wire(&snapshot, Detail::Full);
    message.tiers[1].kind = UNKNOWN;
    message.signals[0].kind = UNKNOWN;
    message.closed_seconds[0].tiers[0].kind = UNKNOWN;
    message.closed_seconds[0].tiers[1].signals[0].kind = UNKNOWN;

    let read = from_wire(message).unwrap();
    assert_eq!(read.tiers.len(), snapshot.tiers.len() - 1);
    assert!(read.tiers.iter().all(|tier| tier.id != "mesh/new"));
    assert_eq!(read.edges.len(), snapshot.edges.len() - 2);
    assert_eq!(read.signals.len(), snapshot.signals.len() - 2);
    assert_eq!(read.closed_seconds[0].tiers.len(), snapshot.closed_seconds[0].tiers.len() - 1);
    assert_eq!(read.closed_seconds[0].tiers[0].signals.len(), 1);
    assert_eq!(read.warnings, snapshot.warnings);
    let left_out: Vec<(&str, u64)> =
        read.pipeline.evictions.iter().map(|reason| (reason.reason.split(' ').next().unwrap(), reason.count)).collect();
    assert_eq!(left_out, [("tiers", 1), ("edges", 2), ("signals", 3)]);
}

#[test]
fn a_verdict_on_a_tier_without_a_name_here_is_told_in_words() {
    let mut message = to_wire(&fixture::snapshot(8, SMALL), Detail::Full);
    let diagnosis = message.diagnosis.as_mut().unwrap();
    let verdict = diagnosis.incidents[0].verdict.as_mut().unwrap();
    verdict.tier.as_mut().unwrap().kind = UNKNOWN;
    let other = diagnosis.incidents[1].verdict.as_mut().unwrap();
    other.alternatives[0].tier.as_mut().unwrap().kind = UNKNOWN;
    let capacity = message.capacity.as_mut().unwrap();
    capacity.checklist[0].phase = UNKNOWN;
    capacity.next_wall.as_mut().unwrap().phase = UNKNOWN;
    message.pipeline.as_mut().unwrap().evictions.clear();

    let read = from_wire(message).unwrap();
    assert_eq!(read.diagnosis.incidents.len(), 3);
    assert_eq!(read.diagnosis.incidents[0].verdict, None);
    assert!(read.diagnosis.incidents[0].unexplained.ends_with("update it"));
    assert_eq!(read.diagnosis.incidents[1].verdict.as_ref().unwrap().alternatives.len(), 1);
    assert_eq!(read.capacity.checklist.len(), 2);
    assert_eq!(read.capacity.next_wall, None);
    let left_out: Vec<(&str, u64)> =
        read.pipeline.evictions.iter().map(|reason| (reason.reason.split(' ').next().unwrap(), reason.count)).collect();
    assert_eq!(left_out, [("verdicts", 1), ("alternatives", 1), ("walls", 1), ("questions", 1)]);
}

#[test]
fn an_unknown_state_is_read_as_a_warning_and_not_as_fine() {
    let mut message = to_wire(&fixture::snapshot(5, SMALL), Detail::Full);
    message.tiers[0].state = UNKNOWN;
    message.tiers[0].figures_from = UNKNOWN;
    message.warnings[0].severity = UNKNOWN;
    message.warnings[0].phase = UNKNOWN;
    message.diagnosis.as_mut().unwrap().state = UNKNOWN;
    message.traces[0].kept_for = UNKNOWN;
    message.pipeline.as_mut().unwrap().exporters[0].state = UNKNOWN;
    let read = from_wire(message).unwrap();
    assert_eq!(read.tiers[0].state, TierState::Warning);
    assert_eq!(read.tiers[0].figures_from, FiguresFrom::OwnSpans);
    assert_eq!(read.warnings[0].severity, Severity::Warning);
    assert_eq!(read.warnings[0].phase, None);
    assert_eq!(read.diagnosis.state, DiagnosisState::Unexplained);
    assert_eq!(read.traces[0].kept_for, KeptFor::Sample);
    assert_eq!(read.pipeline.exporters[0].state, ExporterState::Starting);
}

#[test]
fn a_trend_value_that_is_not_a_number_is_unknown() {
    let mut snapshot = fixture::snapshot(6, SMALL);
    snapshot.tiers[0].trend.p95_ms[0] = Some(f32::NAN);
    let read = over_the_wire(&snapshot, Detail::Full);
    assert_eq!(read.tiers[0].trend.p95_ms[0], None);
}
