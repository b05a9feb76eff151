//! What arrived and what became of it.

use std::collections::VecDeque;

use super::Engine;
use crate::snapshot::{IngestCounts, PipelineView, SourceView};
use crate::time::UnixNanos;

/// Seconds over which the rate of spans is averaged.
const RATE_SECONDS: usize = 5;
/// Sources shown.
const SOURCES_SHOWN: usize = 500;

/// How many spans a second were accepted, over the last few seconds.
#[derive(Debug, Default)]
pub(crate) struct SpanRate {
    marks: VecDeque<(UnixNanos, u64)>,
}

impl SpanRate {
    /// Takes note of the count so far.
    pub(crate) fn tick(&mut self, accepted: u64, now: UnixNanos) {
        self.marks.push_back((now, accepted));
        while self.marks.len() > RATE_SECONDS + 1 {
            self.marks.pop_front();
        }
    }

    fn per_second(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.marks.front(), self.marks.back()) else { return 0.0 };
        let seconds = to.seconds_since(*from);
        if seconds > 0.0 { (after - before) as f64 / seconds } else { 0.0 }
    }
}

impl Engine {
    pub(super) fn pipeline_view(&self, ingest: &IngestCounts) -> PipelineView {
        PipelineView {
            started_unix_ms: self.started.as_millis(),
            listening: ingest.listening.clone(),
            spans_accepted: self.spans_accepted,
            spans_per_second: self.rate.per_second(),
            points_accepted: self.points_accepted,
            points_unused: self.points_unused,
            logs_accepted: self.logs_accepted,
            spans_refused: ingest.spans_refused,
            points_refused: ingest.points_refused,
            requests_turned_away: ingest.requests_turned_away,
            requests_refused: ingest.requests_refused,
            refusals: ingest.refusals.clone(),
            spans_late: self.spans_late,
            spans_future: self.spans_future,
            spans_detail: self.spans_detail,
            evictions: self.evictions(),
            queued_bytes: ingest.queued_bytes,
            queue_capacity_bytes: ingest.queue_capacity_bytes,
            engine_bytes: self.heap_bytes() as u64,
            sources: self.source_views(),
            exporters: ingest.exporters.clone(),
        }
    }

    fn source_views(&self) -> Vec<SourceView> {
        let mut sources: Vec<SourceView> = self
            .processes
            .all()
            .map(|(_, process)| SourceView {
                service: process.resource.service_name.to_string(),
                instance: process.resource.instance.as_deref().map(str::to_owned),
                spans: process.spans,
                points: process.points,
                late: process.late,
                delay_ms: process.delay.seconds().map(|seconds| seconds * 1e3),
                last_seen_s: self.now.seconds_since(process.last_seen),
                silent: process.silent_for_s(self.now).is_some(),
            })
            .collect();
        sources.sort_by(|one, other| (&one.service, &one.instance).cmp(&(&other.service, &other.instance)));
        sources.truncate(SOURCES_SHOWN);
        sources
    }
}
