//! A snapshot and the receivers' counts in the Prometheus text format, version 0.0.4.
//!
//! What is unknown is left out, as Prometheus has no word for it. Latencies are quantiles of the
//! last seconds, so they are gauges with a `quantile` label and not a summary.

pub mod families;

use std::collections::HashSet;
use std::fmt::{Display, Write};

use tiertop_core::snapshot::{
    CapacityView, EdgeView, ExporterView, IngestCounts, PipelineView, ReasonCount, Severity, Snapshot, TierView,
};

use families::Family;

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
    fn family(&mut self, name: &str) {
        let Family { kind, help, .. } = families::family(name).expect("the page tells what its table has");
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.name());
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

    fn figure(&mut self, name: &str, value: impl Display) {
        self.family(name);
        self.sample(name, &[], value);
    }

    fn reasons(&mut self, name: &str, reasons: &[ReasonCount]) {
        self.family(name);
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
    page.family("tiertop_build_info");
    let labels: [Label<'_>; 2] = [("version", &env!("CARGO_PKG_VERSION")), ("environment", &snapshot.environment)];
    page.sample("tiertop_build_info", &labels, 1);
    page.figure("tiertop_start_time_seconds", seconds(snapshot.pipeline.started_unix_ms as f64));
    page.figure("tiertop_snapshot_time_seconds", seconds(snapshot.at_unix_ms as f64));
    page.figure("tiertop_engine_bytes", snapshot.pipeline.engine_bytes);
}

fn arrivals(page: &mut Page, pipeline: &PipelineView) {
    page.figure("tiertop_spans_accepted_total", pipeline.spans_accepted);
    page.figure("tiertop_spans_late_total", pipeline.spans_late);
    page.figure("tiertop_spans_future_total", pipeline.spans_future);
    page.figure("tiertop_spans_detail_total", pipeline.spans_detail);
    page.figure("tiertop_points_accepted_total", pipeline.points_accepted);
    page.figure("tiertop_points_unused_total", pipeline.points_unused);
    page.figure("tiertop_log_records_accepted_total", pipeline.logs_accepted);
    page.reasons("tiertop_evictions_total", &pipeline.evictions);
}

fn exporters(page: &mut Page, exporters: &[ExporterView]) {
    type Figure = fn(&ExporterView) -> Option<f64>;
    let families: [(&str, Figure); 10] = [
        ("tiertop_exporter_sent_total", |it| Some(it.sent as f64)),
        ("tiertop_exporter_refused_total", |it| Some(it.refused as f64)),
        ("tiertop_exporter_maybe_twice_total", |it| Some(it.maybe_twice as f64)),
        ("tiertop_exporter_waiting", |it| Some(it.waiting as f64)),
        ("tiertop_exporter_spool_bytes", |it| it.spool.map(|spool| spool.bytes as f64)),
        ("tiertop_exporter_spool_capacity_bytes", |it| it.spool.map(|spool| spool.capacity_bytes as f64)),
        ("tiertop_exporter_series", |it| it.series.map(|series| series.used as f64)),
        ("tiertop_exporter_last_success_seconds", |it| it.last_success_unix_ms.map(|at| seconds(at as f64))),
        ("tiertop_exporter_failing", |it| Some(f64::from(u8::from(it.trouble.is_some())))),
        ("tiertop_exporter_cost_month_usd", |it| it.cost.map(|cost| cost.month_usd)),
    ];
    for (name, figure) in families {
        page.family(name);
        for exporter in exporters {
            if let Some(value) = figure(exporter) {
                page.sample(name, &[("exporter", &exporter.name)], value);
            }
        }
    }
    let name = "tiertop_exporter_dropped_total";
    page.family(name);
    for exporter in exporters {
        for ReasonCount { reason, count } in &exporter.dropped {
            page.sample(name, &[("exporter", &exporter.name), ("reason", reason)], count);
        }
    }
}

fn refusals(page: &mut Page, counts: &IngestCounts) {
    page.figure("tiertop_spans_refused_total", counts.spans_refused);
    page.figure("tiertop_points_refused_total", counts.points_refused);
    page.figure("tiertop_requests_refused_total", counts.requests_refused);
    page.figure("tiertop_requests_turned_away_total", counts.requests_turned_away);
    page.reasons("tiertop_refusals_total", &counts.refusals);
    page.figure("tiertop_queue_bytes", counts.queued_bytes);
    page.figure("tiertop_queue_capacity_bytes", counts.queue_capacity_bytes);
}

/// A figure of a tier, unknown for some.
type TierFigure = fn(&TierView) -> Option<f64>;

fn tiers(page: &mut Page, tiers: &[TierView]) {
    let figures: [(&str, TierFigure); 4] = [
        ("tiertop_tier_requests_per_second", |tier| tier.requests_per_second),
        ("tiertop_tier_error_ratio", |tier| tier.error_ratio),
        ("tiertop_tier_latency_max_seconds", |tier| tier.max_ms.map(seconds)),
        ("tiertop_tier_instances", |tier| Some(tier.instances.len() as f64)),
    ];
    for (name, figure) in figures {
        page.family(name);
        for tier in tiers {
            if let Some(value) = figure(tier) {
                page.sample(name, &[("kind", &tier.kind), ("member", &tier.member)], value);
            }
        }
    }
    let name = "tiertop_tier_in_flight";
    page.family(name);
    for tier in tiers {
        if let Some(in_flight) = tier.in_flight {
            let labels: [Label<'_>; 3] =
                [("kind", &tier.kind), ("member", &tier.member), ("inferred", &in_flight.inferred)];
            page.sample(name, &labels, in_flight.value);
        }
    }
    let name = "tiertop_tier_latency_seconds";
    page.family(name);
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
    let figures: [(&str, EdgeFigure); 4] = [
        ("tiertop_edge_requests_per_second", |edge| Some(edge.requests_per_second)),
        ("tiertop_edge_error_ratio", |edge| Some(edge.error_ratio)),
        ("tiertop_edge_latency_p95_seconds", |edge| edge.p95_ms.map(seconds)),
        ("tiertop_edge_gap_seconds", |edge| edge.gap_mean_ms.map(seconds)),
    ];
    for (name, figure) in figures {
        page.family(name);
        for edge in edges {
            if let Some(value) = figure(edge) {
                page.sample(name, &[("from", &edge.from), ("to", &edge.to)], value);
            }
        }
    }
}

fn signals_and_warnings(page: &mut Page, snapshot: &Snapshot) {
    let name = "tiertop_signal";
    page.family(name);
    for signal in &snapshot.signals {
        if let Some(value) = signal.value {
            let labels: [Label<'_>; 4] = [
                ("kind", &families::signal_name(signal.kind)),
                ("tier", &signal.tier),
                ("part", &signal.part),
                ("inferred", &signal.inferred),
            ];
            page.sample(name, &labels, value);
        }
    }
    let name = "tiertop_warning_open";
    page.family(name);
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
    page.figure("tiertop_incidents_open", snapshot.diagnosis.open().count());
    let name = "tiertop_verdict_confidence";
    page.family(name);
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
    page.figure("tiertop_stalls_ongoing", stalls);
}

fn capacity(page: &mut Page, capacity: &CapacityView) {
    let name = "tiertop_phase";
    page.family(name);
    if let Some(phase) = capacity.phase {
        page.sample(name, &[], phase.number());
    }
    let name = "tiertop_utilisation_ratio";
    page.family(name);
    for headroom in &capacity.headroom {
        if let Some(busy) = headroom.utilisation {
            page.sample(name, &[("tier", &headroom.tier)], busy);
        }
    }
    let name = "tiertop_next_wall_requests_per_second";
    page.family(name);
    if let Some(wall) = &capacity.next_wall
        && let Some(at) = wall.at_requests_per_second
    {
        page.sample(name, &[("tier", &wall.tier), ("phase", &wall.phase.number())], at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiertop_core::snapshot::{IncidentView, SignalKind, SignalView, WarningView};

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
    fn the_page_has_every_family_of_the_table_with_its_labels() {
        let page = encode(&snapshot(), &IngestCounts::default());
        let told: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(told, families::FAMILIES.map(|family| family.name));
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), ""));
            let labels: Vec<&str> = labels.split("=\"").filter_map(|part| part.rsplit([',', '{']).next()).collect();
            let labels = &labels[..labels.len() - 1];
            assert_eq!(labels, families::family(name).unwrap().labels, "{line}");
        }
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
