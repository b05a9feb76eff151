//! The one table of what `/metrics` tells: the page is written by it, and dashboards are made from it.

use tiertop_core::snapshot::SignalKind;

/// A family of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, which ends in its unit.
    pub name: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// The labels of its samples, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// How samples of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up, from zero at each start.
    Counter,
}

impl Kind {
    /// As Prometheus writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

/// All of them, in the order of the page.
pub const FAMILIES: [Family; 48] = [
    gauge("tiertop_build_info", &["version", "environment"], "The agent's version."),
    gauge("tiertop_start_time_seconds", &[], "When the agent started, Unix time."),
    gauge("tiertop_snapshot_time_seconds", &[], "When the figures on this page were taken, Unix time."),
    gauge("tiertop_engine_bytes", &[], "Bytes that the engine's tables are estimated to hold."),
    counter("tiertop_spans_accepted_total", &[], "Spans accepted."),
    counter("tiertop_spans_late_total", &[], "Spans accepted that came after their second was closed."),
    counter("tiertop_spans_future_total", &[], "Spans accepted that ended in the future."),
    counter("tiertop_spans_detail_total", &[], "Spans accepted that were transport detail of another call."),
    counter("tiertop_points_accepted_total", &[], "Metric points accepted."),
    counter("tiertop_points_unused_total", &[], "Metric points accepted of metrics that nothing reads."),
    counter("tiertop_log_records_accepted_total", &[], "Log records accepted; they are only counted."),
    counter("tiertop_evictions_total", &["reason"], "Details given up to stay under a ceiling."),
    counter("tiertop_exporter_sent_total", &["exporter"], "Pieces that the service took."),
    counter("tiertop_exporter_refused_total", &["exporter"], "Pieces that the service refused for good."),
    counter(
        "tiertop_exporter_maybe_twice_total",
        &["exporter"],
        "Pieces sent again because no answer came: they may count twice.",
    ),
    gauge("tiertop_exporter_waiting", &["exporter"], "Pieces that wait to be sent."),
    gauge("tiertop_exporter_spool_bytes", &["exporter"], "Bytes in the spool on disk."),
    gauge("tiertop_exporter_spool_capacity_bytes", &["exporter"], "Bytes that the spool may hold."),
    gauge("tiertop_exporter_series", &["exporter"], "Series that are paid for."),
    gauge("tiertop_exporter_last_success_seconds", &["exporter"], "When the service last took anything, Unix time."),
    gauge("tiertop_exporter_failing", &["exporter"], "1 while attempts fail."),
    gauge("tiertop_exporter_cost_month_usd", &["exporter"], "List price of a month at the present rate, US dollars."),
    counter("tiertop_exporter_dropped_total", &["exporter", "reason"], "Pieces given up, the refused ones among them."),
    counter("tiertop_spans_refused_total", &[], "Spans refused as invalid or over a limit."),
    counter("tiertop_points_refused_total", &[], "Metric points refused as invalid or over a limit."),
    counter("tiertop_requests_refused_total", &[], "Requests refused as malformed or over a limit."),
    counter("tiertop_requests_turned_away_total", &[], "Requests told to come back because the agent was full."),
    counter("tiertop_refusals_total", &["reason"], "Spans, points and requests refused, by reason."),
    gauge("tiertop_queue_bytes", &[], "Bytes of telemetry on the way to the engine."),
    gauge("tiertop_queue_capacity_bytes", &[], "Bytes of telemetry that may be on the way to the engine."),
    gauge("tiertop_tier_requests_per_second", &["kind", "member"], "Requests a second."),
    gauge("tiertop_tier_error_ratio", &["kind", "member"], "Failed requests over all, 0 to 1."),
    gauge("tiertop_tier_latency_max_seconds", &["kind", "member"], "Greatest latency."),
    gauge("tiertop_tier_instances", &["kind", "member"], "Instances seen."),
    gauge(
        "tiertop_tier_in_flight",
        &["kind", "member", "inferred"],
        "Requests in progress; inferred ones are a lower bound.",
    ),
    gauge(
        "tiertop_tier_latency_seconds",
        &["kind", "member", "quantile"],
        "Quantiles of latency over the last seconds.",
    ),
    gauge("tiertop_edge_requests_per_second", &["from", "to"], "Calls a second."),
    gauge("tiertop_edge_error_ratio", &["from", "to"], "Failed calls over all, 0 to 1."),
    gauge("tiertop_edge_latency_p95_seconds", &["from", "to"], "95th percentile as the caller saw it."),
    gauge(
        "tiertop_edge_gap_seconds",
        &["from", "to"],
        "Mean of the caller's time less the callee's: network, accept queue, pool.",
    ),
    gauge("tiertop_signal", &["kind", "tier", "part", "inferred"], "Other figures of tiers; the kind says the unit."),
    gauge("tiertop_warning_open", &["rule", "tier", "severity"], "1 for each open warning."),
    gauge("tiertop_incidents_open", &[], "Open incidents, with a verdict or without."),
    gauge(
        "tiertop_verdict_confidence",
        &["tier", "class", "phase"],
        "How sure the verdict of an open incident is, 0 to 1.",
    ),
    gauge("tiertop_stalls_ongoing", &[], "Stalls that last."),
    gauge("tiertop_phase", &[], "The phase of the ladder that the system is in, 1 to 6."),
    gauge("tiertop_utilisation_ratio", &["tier"], "Busy over what there is, 0 to 1."),
    gauge(
        "tiertop_next_wall_requests_per_second",
        &["tier", "phase"],
        "Requests a second at the front at which the next wall comes.",
    ),
];

/// The family of this name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// The label `kind` of `tiertop_signal`, which names the unit.
pub const fn signal_name(kind: SignalKind) -> &'static str {
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
