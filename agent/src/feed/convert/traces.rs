//! Stalls, and the traces that were kept.

use tiertop_core::snapshot::{ChargeView, KeptFor, StallView, TraceSpanView, TraceView};

use super::enums::{kept_for_from_wire, kept_for_to_wire};
use crate::feed::wire;

pub(super) fn stall_to_wire(view: &StallView) -> wire::Stall {
    let StallView { start_unix_ms, length_ms, ongoing, summary, tier, instance, edge, requests, first_moved, traces } =
        view;
    wire::Stall {
        start_unix_ms: *start_unix_ms,
        length_ms: *length_ms,
        ongoing: *ongoing,
        summary: summary.clone(),
        tier: tier.clone(),
        instance: instance.clone(),
        edge: edge.as_ref().map(|(from, to)| wire::StalledEdge { from: from.clone(), to: to.clone() }),
        requests: *requests,
        first_moved: first_moved.clone(),
        traces: traces.clone(),
    }
}

pub(super) fn stall_from_wire(view: wire::Stall) -> StallView {
    let wire::Stall { start_unix_ms, length_ms, ongoing, summary, tier, instance, edge, requests, first_moved, traces } =
        view;
    StallView {
        start_unix_ms,
        length_ms,
        ongoing,
        summary,
        tier,
        instance,
        edge: edge.map(|wire::StalledEdge { from, to }| (from, to)),
        requests,
        first_moved,
        traces,
    }
}

pub(super) fn to_wire(view: &TraceView) -> wire::Trace {
    let TraceView {
        id,
        tier,
        operation,
        start_unix_ms,
        duration_ms,
        failed,
        kept_for,
        incomplete,
        spans,
        spans_left_out,
        charges,
    } = view;
    wire::Trace {
        id: id.clone(),
        tier: tier.clone(),
        operation: operation.clone(),
        start_unix_ms: *start_unix_ms,
        duration_ms: *duration_ms,
        failed: *failed,
        kept_for: kept_for_to_wire(*kept_for),
        incomplete: *incomplete,
        spans: spans.iter().map(span_to_wire).collect(),
        spans_left_out: *spans_left_out,
        charges: charges.iter().map(charge_to_wire).collect(),
    }
}

pub(super) fn from_wire(view: wire::Trace) -> TraceView {
    let wire::Trace {
        id,
        tier,
        operation,
        start_unix_ms,
        duration_ms,
        failed,
        kept_for,
        incomplete,
        spans,
        spans_left_out,
        charges,
    } = view;
    TraceView {
        id,
        tier,
        operation,
        start_unix_ms,
        duration_ms,
        failed,
        kept_for: kept_for_from_wire(kept_for).unwrap_or(KeptFor::Sample),
        incomplete,
        spans: spans.into_iter().map(span_from_wire).collect(),
        spans_left_out,
        charges: charges.into_iter().map(charge_from_wire).collect(),
    }
}

fn charge_to_wire(view: &ChargeView) -> wire::Charge {
    let ChargeView { tier, gap, charged_ms } = view;
    wire::Charge { tier: tier.clone(), gap: *gap, charged_ms: *charged_ms }
}

fn charge_from_wire(view: wire::Charge) -> ChargeView {
    let wire::Charge { tier, gap, charged_ms } = view;
    ChargeView { tier, gap, charged_ms }
}

fn span_to_wire(view: &TraceSpanView) -> wire::TraceSpan {
    let TraceSpanView { parent, depth, name, tier, instance, start_ms, duration_ms, failed, call, moved_ms, critical } =
        view;
    wire::TraceSpan {
        parent: *parent,
        depth: u32::from(*depth),
        name: name.clone(),
        tier: tier.clone(),
        instance: instance.clone(),
        start_ms: *start_ms,
        duration_ms: *duration_ms,
        failed: *failed,
        call: *call,
        moved_ms: *moved_ms,
        critical: critical.iter().map(|&(from_ms, to_ms)| wire::Stretch { from_ms, to_ms }).collect(),
    }
}

fn span_from_wire(view: wire::TraceSpan) -> TraceSpanView {
    let wire::TraceSpan {
        parent,
        depth,
        name,
        tier,
        instance,
        start_ms,
        duration_ms,
        failed,
        call,
        moved_ms,
        critical,
    } = view;
    TraceSpanView {
        parent,
        depth: u16::try_from(depth).unwrap_or(u16::MAX),
        name,
        tier,
        instance,
        start_ms,
        duration_ms,
        failed,
        call,
        moved_ms,
        critical: critical.into_iter().map(|wire::Stretch { from_ms, to_ms }| (from_ms, to_ms)).collect(),
    }
}
