//! What arrived and what became of it.

use tiertop_core::snapshot::{PipelineView, ReasonCount, SourceView};

use super::exporter;
use crate::feed::wire;

pub(super) fn to_wire(view: &PipelineView) -> wire::Pipeline {
    let PipelineView {
        started_unix_ms,
        listening,
        spans_accepted,
        spans_per_second,
        points_accepted,
        points_unused,
        logs_accepted,
        spans_refused,
        points_refused,
        requests_turned_away,
        requests_refused,
        refusals,
        spans_late,
        spans_future,
        spans_detail,
        evictions,
        queued_bytes,
        queue_capacity_bytes,
        engine_bytes,
        sources,
        exporters,
    } = view;
    wire::Pipeline {
        started_unix_ms: *started_unix_ms,
        listening: listening.clone(),
        spans_accepted: *spans_accepted,
        spans_per_second: *spans_per_second,
        points_accepted: *points_accepted,
        points_unused: *points_unused,
        logs_accepted: *logs_accepted,
        spans_refused: *spans_refused,
        points_refused: *points_refused,
        requests_turned_away: *requests_turned_away,
        requests_refused: *requests_refused,
        refusals: refusals.iter().map(reason_to_wire).collect(),
        spans_late: *spans_late,
        spans_future: *spans_future,
        spans_detail: *spans_detail,
        evictions: evictions.iter().map(reason_to_wire).collect(),
        queued_bytes: *queued_bytes,
        queue_capacity_bytes: *queue_capacity_bytes,
        engine_bytes: *engine_bytes,
        sources: sources.iter().map(source_to_wire).collect(),
        exporters: exporters.iter().map(exporter::to_wire).collect(),
    }
}

pub(super) fn from_wire(view: wire::Pipeline) -> PipelineView {
    let wire::Pipeline {
        started_unix_ms,
        listening,
        spans_accepted,
        spans_per_second,
        points_accepted,
        points_unused,
        logs_accepted,
        spans_refused,
        points_refused,
        requests_turned_away,
        requests_refused,
        refusals,
        spans_late,
        spans_future,
        spans_detail,
        evictions,
        queued_bytes,
        queue_capacity_bytes,
        engine_bytes,
        sources,
        exporters,
    } = view;
    PipelineView {
        started_unix_ms,
        listening,
        spans_accepted,
        spans_per_second,
        points_accepted,
        points_unused,
        logs_accepted,
        spans_refused,
        points_refused,
        requests_turned_away,
        requests_refused,
        refusals: refusals.into_iter().map(reason_from_wire).collect(),
        spans_late,
        spans_future,
        spans_detail,
        evictions: evictions.into_iter().map(reason_from_wire).collect(),
        queued_bytes,
        queue_capacity_bytes,
        engine_bytes,
        sources: sources.into_iter().map(source_from_wire).collect(),
        exporters: exporters.into_iter().map(exporter::from_wire).collect(),
    }
}

pub(super) fn reason_to_wire(view: &ReasonCount) -> wire::ReasonCount {
    let ReasonCount { reason, count } = view;
    wire::ReasonCount { reason: reason.clone(), count: *count }
}

pub(super) fn reason_from_wire(view: wire::ReasonCount) -> ReasonCount {
    let wire::ReasonCount { reason, count } = view;
    ReasonCount { reason, count }
}

fn source_to_wire(view: &SourceView) -> wire::Source {
    let SourceView { service, instance, spans, points, late, delay_ms, last_seen_s, silent } = view;
    wire::Source {
        service: service.clone(),
        instance: instance.clone(),
        spans: *spans,
        points: *points,
        late: *late,
        delay_ms: *delay_ms,
        last_seen_s: *last_seen_s,
        silent: *silent,
    }
}

fn source_from_wire(view: wire::Source) -> SourceView {
    let wire::Source { service, instance, spans, points, late, delay_ms, last_seen_s, silent } = view;
    SourceView { service, instance, spans, points, late, delay_ms, last_seen_s, silent }
}
