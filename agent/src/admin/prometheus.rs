//! A snapshot and the receivers' counts in the Prometheus text format, version 0.0.4.
//!
//! What is unknown is left out, as Prometheus has no word for it. Latencies are quantiles of the
//! last seconds, so they are gauges with a `quantile` label and not a summary.

use std::collections::HashSet;
use std::fmt::{Display, Write};

use tiertop_core::snapshot::{
    CapacityView, EdgeView, ExporterView, IngestCounts, PipelineView, ReasonCount, Severity, SignalKind, Snapshot,
    TierView,
};

/// The page for `/metrics`.
pub fn encode(snapshot: &Snapshot, counts: &IngestCounts) -> String {
    let mut page = Page::default();
    agent(&mut page, snapshot);
    arrivals(&mut page, &snapshot.pipeline);
    exporters(&mut page, &snapshot.pipeline.exporters);
    refusals(&mut page, counts);
    tiers(&mut page, &snapshot.tiers);
    edges(&mut page, &snapshot.edges);
    signals_and_warnings(&mut page, snapshot);
    diagnosis(&mut page, snapshot);
    capacity(&mut page, &snapshot.capacity);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

/// Name and value of a label.
type Label<'a> = (&'a str, &'a dyn Display);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.text.push_str(name);
        for (place, (label, words)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escaped(&words.to_string()));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn reasons(&mut self, name: &str, help: &str, reasons: &[ReasonCount]) {
        self.family(name, "counter", help);
        for ReasonCount { reason, count } in reasons {
            self.sample(name, &[("reason", reason)], count);
        }
    }
}

fn escaped(words: &str) -> String {
    words.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(milliseconds: f64) -> f64 {
    milliseconds / 1000.0
}

fn agent(page: &mut Page, snapshot: &Snapshot) {
    page.family("tiertop_build_info", "gauge", "The agent's version.");
    page.sample("tiertop_build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.gauge(
        "tiertop_start_time_seconds",
        "When the agent started, Unix time.",
        seconds(snapshot.pipeline.started_unix_ms as f64),
    );
    page.gauge(
        "tiertop_snapshot_time_seconds",
        "When the figures on this page were taken, Unix time.",
        seconds(snapshot.at_unix_ms as f64),
    );
    page.gauge(
        "tiertop_engine_bytes",
        "Bytes that the engine's tables are estimated to hold.",
        snapshot.pipeline.engine_bytes,
    );
}

fn arrivals(page: &mut Page, pipeline: &PipelineView) {
    page.counter("tiertop_spans_accepted_total", "Spans accepted.", pipeline.spans_accepted);
    page.counter(
        "tiertop_spans_late_total",
        "Spans accepted that came after their second was closed.",
        pipeline.spans_late,
    );
    page.counter("tiertop_spans_future_total", "Spans accepted that ended in the future.", pipeline.spans_future);
    page.counter(
        "tiertop_spans_detail_total",
        "Spans accepted that were transport detail of another call.",
        pipeline.spans_detail,
    );
    page.counter("tiertop_points_accepted_total", "Metric points accepted.", pipeline.points_accepted);
    page.counter(
        "tiertop_points_unused_total",
        "Metric points accepted of metrics that nothing reads.",
        pipeline.points_unused,
    );
    page.counter(
        "tiertop_log_records_accepted_total",
        "Log records accepted; they are only counted.",
        pipeline.logs_accepted,
    );
    page.reasons("tiertop_evictions_total", "Details given up to stay under a ceiling.", &pipeline.evictions);
}

fn exporters(page: &mut Page, exporters: &[ExporterView]) {
    type Figure = fn(&ExporterView) -> Option<f64>;
    let families: [(&str, &str, &str, Figure); 10] = [
        ("tiertop_exporter_sent_total", "counter", "Pieces that the service took.", |it| Some(it.sent as f64)),
        ("tiertop_exporter_refused_total", "counter", "Pieces that the service refused for good.", |it| {
            Some(it.refused as f64)
        }),
        (
            "tiertop_exporter_maybe_twice_total",
            "counter",
            "Pieces sent again because no answer came: they may count twice.",
            |it| Some(it.maybe_twice as f64),
        ),
        ("tiertop_exporter_waiting", "gauge", "Pieces that wait to be sent.", |it| Some(it.waiting as f64)),
        ("tiertop_exporter_spool_bytes", "gauge", "Bytes in the spool on disk.", |it| {
            it.spool.map(|spool| spool.bytes as f64)
        }),
        ("tiertop_exporter_spool_capacity_bytes", "gauge", "Bytes that the spool may hold.", |it| {
            it.spool.map(|spool| spool.capacity_bytes as f64)
        }),
        ("tiertop_exporter_series", "gauge", "Series that are paid for.", |it| {
            it.series.map(|series| series.used as f64)
        }),
        ("tiertop_exporter_last_success_seconds", "gauge", "When the service last took anything, Unix time.", |it| {
            it.last_success_unix_ms.map(|at| seconds(at as f64))
        }),
        ("tiertop_exporter_failing", "gauge", "1 while attempts fail.", |it| {
            Some(f64::from(u8::from(it.trouble.is_some())))
        }),
        ("tiertop_exporter_cost_month_usd", "gauge", "List price of a month at the present rate, US dollars.", |it| {
            it.cost.map(|cost| cost.month_usd)
        }),
    ];
    for (name, kind, help, figure) in families {
        page.family(name, kind, help);
        for exporter in exporters {
            if let Some(value) = figure(exporter) {
                page.sample(name, &[("exporter", &exporter.name)], value);
            }
        }
    }
    let name = "tiertop_exporter_dropped_total";
    page.family(name, "counter", "Pieces given up, the refused ones among them.");
    for exporter in exporters {
        for ReasonCount { reason, count } in &exporter.dropped {
            page.sample(name, &[("exporter", &exporter.name), ("reason", reason)], count);
        }
    }
}

fn refusals(page: &mut Page, counts: &IngestCounts) {
    page.counter("tiertop_spans_refused_total", "Spans refused as invalid or over a limit.", counts.spans_refused);
    page.counter(
        "tiertop_points_refused_total",
        "Metric points refused as invalid or over a limit.",
        counts.points_refused,
    );
    page.counter(
        "tiertop_requests_refused_total",
        "Requests refused as malformed or over a limit.",
        counts.requests_refused,
    );
    page.counter(
        "tiertop_requests_turned_away_total",
        "Requests told to come back because the agent was full.",
        counts.requests_turned_away,
    );
    page.reasons("tiertop_refusals_total", "Spans, points and requests refused, by reason.", &counts.refusals);
    page.gauge("tiertop_queue_bytes", "Bytes of telemetry on the way to the engine.", counts.queued_bytes);
    page.gauge(
        "tiertop_queue_capacity_bytes",
        "Bytes of telemetry that may be on the way to the engine.",
        counts.queue_capacity_bytes,
    );
}

/// A figure of a tier, unknown for some.
type TierFigure = fn(&TierView) -> Option<f64>;

fn tiers(page: &mut Page, tiers: &[TierView]) {
    let figures: [(&str, &str, TierFigure); 4] = [
        ("tiertop_tier_requests_per_second", "Requests a second.", |tier| tier.requests_per_second),
        ("tiertop_tier_error_ratio", "Failed requests over all, 0 to 1.", |tier| tier.error_ratio),
        ("tiertop_tier_latency_max_seconds", "Greatest latency.", |tier| tier.max_ms.map(seconds)),
        ("tiertop_tier_instances", "Instances seen.", |tier| Some(tier.instances.len() as f64)),
    ];
    for (name, help, figure) in figures {
        page.family(name, "gauge", help);
        for tier in tiers {
            if let Some(value) = figure(tier) {
                page.sample(name, &[("kind", &tier.kind), ("member", &tier.member)], value);
            }
        }
    }
    let name = "tiertop_tier_in_flight";
    page.family(name, "gauge", "Requests in progress; inferred ones are a lower bound.");
    for tier in tiers {
        if let Some(in_flight) = tier.in_flight {
            let labels: [Label<'_>; 3] =
                [("kind", &tier.kind), ("member", &tier.member), ("inferred", &in_flight.inferred)];
            page.sample(name, &labels, in_flight.value);
        }
    }
    let name = "tiertop_tier_latency_seconds";
    page.family(name, "gauge", "Quantiles of latency over the last seconds.");
    for tier in tiers {
        let quantiles = [("0.5", tier.p50_ms), ("0.9", tier.p90_ms), ("0.95", tier.p95_ms), ("0.99", tier.p99_ms)];
        for (quantile, value) in quantiles {
            if let Some(value) = value {
                let labels: [Label<'_>; 3] = [("kind", &tier.kind), ("member", &tier.member), ("quantile", &quantile)];
                page.sample(name, &labels, seconds(value));
            }
        }
    }
}

/// A figure of an edge, unknown for some.
type EdgeFigure = fn(&EdgeView) -> Option<f64>;

fn edges(page: &mut Page, edges: &[EdgeView]) {
    let figures: [(&str, &str, EdgeFigure); 4] = [
        ("tiertop_edge_requests_per_second", "Calls a second.", |edge| Some(edge.requests_per_second)),
        ("tiertop_edge_error_ratio", "Failed calls over all, 0 to 1.", |edge| Some(edge.error_ratio)),
        ("tiertop_edge_latency_p95_seconds", "95th percentile as the caller saw it.", |edge| edge.p95_ms.map(seconds)),
        (
            "tiertop_edge_gap_seconds",
            "Mean of the caller's time less the callee's: network, accept queue, pool.",
            |edge| edge.gap_mean_ms.map(seconds),
        ),
    ];
    for (name, help, figure) in figures {
        page.family(name, "gauge", help);
        for edge in edges {
            if let Some(value) = figure(edge) {
                page.sample(name, &[("from", &edge.from), ("to", &edge.to)], value);
            }
        }
    }
}

fn signals_and_warnings(page: &mut Page, snapshot: &Snapshot) {
    let name = "tiertop_signal";
    page.family(name, "gauge", "Other figures of tiers; the kind says the unit.");
    for signal in &snapshot.signals {
        if let Some(value) = signal.value {
            let labels: [Label<'_>; 4] = [
                ("kind", &signal_name(signal.kind)),
                ("tier", &signal.tier),
                ("part", &signal.part),
                ("inferred", &signal.inferred),
            ];
            page.sample(name, &labels, value);
        }
    }
    let name = "tiertop_warning_open";
    page.family(name, "gauge", "1 for each open warning.");
    for warning in snapshot.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none()) {
        let severity = match warning.severity {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let labels: [Label<'_>; 3] = [("rule", &warning.rule), ("tier", &warning.tier), ("severity", &severity)];
        page.sample(name, &labels, 1);
    }
}

fn diagnosis(page: &mut Page, snapshot: &Snapshot) {
    page.gauge(
        "tiertop_incidents_open",
        "Open incidents, with a verdict or without.",
        snapshot.diagnosis.open().count(),
    );
    let name = "tiertop_verdict_confidence";
    page.family(name, "gauge", "How sure the verdict of an open incident is, 0 to 1.");
    let mut named = HashSet::new();
    for verdict in snapshot.diagnosis.open().filter_map(|incident| incident.verdict.as_ref()) {
        let class = verdict.class.as_deref().unwrap_or_default();
        // Two incidents may come to one verdict, and a series may stand here once.
        if named.insert((&verdict.tier.id, class)) {
            let phase = verdict.phase.map(|phase| phase.number().to_string()).unwrap_or_default();
            let labels: [Label<'_>; 3] = [("tier", &verdict.tier.id), ("class", &class), ("phase", &phase)];
            page.sample(name, &labels, verdict.confidence);
        }
    }
    let stalls = snapshot.stalls.iter().filter(|stall| stall.ongoing).count();
    page.gauge("tiertop_stalls_ongoing", "Stalls that last.", stalls);
}

fn capacity(page: &mut Page, capacity: &CapacityView) {
    let name = "tiertop_utilisation_ratio";
    page.family(name, "gauge", "Busy over what there is, 0 to 1.");
    for headroom in &capacity.headroom {
        if let Some(busy) = headroom.utilisation {
            page.sample(name, &[("tier", &headroom.tier)], busy);
        }
    }
    let name = "tiertop_next_wall_requests_per_second";
    page.family(name, "gauge", "Requests a second at the front at which the next wall comes.");
    if let Some(wall) = &capacity.next_wall
        && let Some(at) = wall.at_requests_per_second
    {
        page.sample(name, &[("tier", &wall.tier), ("phase", &wall.phase.number())], at);
    }
}

fn signal_name(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::CacheHitRatio => "cache_hit_ratio",
        SignalKind::ReplicaLagSeconds => "replica_lag_seconds",
        SignalKind::QueueDepth => "queue_depth",
        SignalKind::QueueOldestAgeSeconds => "queue_oldest_age_seconds",
        SignalKind::QueueInFlight => "queue_in_flight",
        SignalKind::PoolUsed => "pool_used",
        SignalKind::PoolMax => "pool_max",
        SignalKind::PoolPending => "pool_pending",
        SignalKind::PoolWaitSeconds => "pool_wait_seconds",
        SignalKind::CpuRatio => "cpu_ratio",
        SignalKind::MemoryBytes => "memory_bytes",
        SignalKind::EvictionsPerSecond => "evictions_per_second",
        SignalKind::WorkersBusy => "workers_busy",
        SignalKind::WorkersMax => "workers_max",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiertop_core::snapshot::{IncidentView, SignalView, WarningView};

    /// A snapshot with one of everything, read from JSON as users write it.
    fn snapshot() -> Snapshot {
        let mut snapshot: Snapshot =
            serde_json::from_str(include_str!("../../tests/fixtures/admin/snapshot.json")).unwrap();
        snapshot.signals.push(SignalView {
            kind: SignalKind::QueueDepth,
            tier: "queue/thumbnails".to_owned(),
            part: String::new(),
            value: None,
            inferred: false,
            source: String::new(),
            slope_per_second: None,
            age_s: None,
            trend: Vec::new(),
            hint: None,
        });
        let verdict = snapshot.diagnosis.incidents[0].clone();
        snapshot.diagnosis.incidents.push(verdict.clone());
        snapshot.diagnosis.incidents.push(IncidentView { ended_unix_ms: Some(1), ..verdict });
        snapshot.warnings.push(WarningView { ended_unix_ms: Some(1), ..WarningView::default() });
        snapshot
    }

    #[test]
    fn the_page_is_as_it_was() {
        let counts = IngestCounts {
            spans_refused: 3,
            requests_refused: 1,
            refusals: vec![ReasonCount { reason: "a \"b\"\\\nc".to_owned(), count: 3 }],
            queued_bytes: 10,
            queue_capacity_bytes: 100,
            ..IngestCounts::default()
        };
        let page = encode(&snapshot(), &counts);
        let golden = include_str!("../../tests/fixtures/admin/metrics.txt");
        let golden = golden.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(page, golden);
    }

    #[test]
    fn every_sample_follows_its_help_and_type_and_is_there_once() {
        let page = encode(&snapshot(), &IngestCounts::default());
        let mut family = "";
        let mut seen = HashSet::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(seen.insert(family.to_owned()), "{family} twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert!(kind.starts_with(family));
                assert_eq!(kind.ends_with(" counter"), family.ends_with("_total"), "{family}");
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, family);
                let series = line.rsplit_once(' ').unwrap().0;
                assert!(seen.insert(format!("sample {series}")), "{series} twice");
            }
        }
    }
}
