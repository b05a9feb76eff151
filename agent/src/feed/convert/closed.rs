//! Seconds that take nothing more.

use tiertop_core::snapshot::{ClosedSecondView, ClosedSignalView, ClosedTierView, LatencyView};

use super::LeftOut;
use super::enums::{
    phase_from_wire, phase_to_wire, signal_kind_from_wire, signal_kind_to_wire, tier_kind_from_wire, tier_kind_to_wire,
};
use super::tier::{bucket_from_wire, bucket_to_wire};
use crate::feed::wire;

pub(super) fn to_wire(view: &ClosedSecondView) -> wire::ClosedSecond {
    let ClosedSecondView { unix_s, phase, incidents_open, tiers } = view;
    wire::ClosedSecond {
        unix_s: *unix_s,
        phase: phase.map_or(wire::Phase::Unspecified.into(), phase_to_wire),
        incidents_open: *incidents_open,
        tiers: tiers.iter().map(tier_to_wire).collect(),
    }
}

pub(super) fn from_wire(view: wire::ClosedSecond, left_out: &mut LeftOut) -> ClosedSecondView {
    let wire::ClosedSecond { unix_s, phase, incidents_open, tiers } = view;
    ClosedSecondView {
        unix_s,
        phase: phase_from_wire(phase),
        incidents_open,
        tiers: tiers.into_iter().filter_map(|tier| tier_from_wire(tier, left_out)).collect(),
    }
}

fn tier_to_wire(view: &ClosedTierView) -> wire::ClosedTier {
    let ClosedTierView { id, kind, member, requests, errors, latency, in_flight, is_bottleneck, signals } = view;
    wire::ClosedTier {
        id: id.clone(),
        kind: tier_kind_to_wire(*kind),
        member: member.clone(),
        requests: *requests,
        errors: *errors,
        latency: latency.as_ref().map(latency_to_wire),
        in_flight: *in_flight,
        is_bottleneck: *is_bottleneck,
        signals: signals.iter().map(signal_to_wire).collect(),
    }
}

fn tier_from_wire(view: wire::ClosedTier, left_out: &mut LeftOut) -> Option<ClosedTierView> {
    let wire::ClosedTier { id, kind, member, requests, errors, latency, in_flight, is_bottleneck, signals } = view;
    let Some(kind) = tier_kind_from_wire(kind) else {
        left_out.tier(id);
        return None;
    };
    Some(ClosedTierView {
        id,
        kind,
        member,
        requests,
        errors,
        latency: latency.map(latency_from_wire),
        in_flight,
        is_bottleneck,
        signals: signals.into_iter().filter_map(|signal| signal_from_wire(signal, left_out)).collect(),
    })
}

fn latency_to_wire(view: &LatencyView) -> wire::Latency {
    let LatencyView { count, sum_ms, min_ms, max_ms, buckets } = view;
    let buckets = buckets.iter().map(bucket_to_wire).collect();
    wire::Latency { count: *count, sum_ms: *sum_ms, min_ms: *min_ms, max_ms: *max_ms, buckets }
}

fn latency_from_wire(view: wire::Latency) -> LatencyView {
    let wire::Latency { count, sum_ms, min_ms, max_ms, buckets } = view;
    LatencyView { count, sum_ms, min_ms, max_ms, buckets: buckets.into_iter().map(bucket_from_wire).collect() }
}

fn signal_to_wire(view: &ClosedSignalView) -> wire::ClosedSignal {
    let ClosedSignalView { kind, part, value } = view;
    wire::ClosedSignal { kind: signal_kind_to_wire(*kind), part: part.clone(), value: *value }
}

fn signal_from_wire(view: wire::ClosedSignal, left_out: &mut LeftOut) -> Option<ClosedSignalView> {
    let wire::ClosedSignal { kind, part, value } = view;
    let Some(kind) = signal_kind_from_wire(kind) else { return left_out.signal() };
    Some(ClosedSignalView { kind, part, value })
}
