//! One tier in full: how it does, whom it calls, and what it reports besides.

use serde_json::Value;
use tiertop_core::snapshot::SignalKind;

use super::panel::{Row, Unit, bands, graph, number};
use super::{dashboard, of, signal, variable};

/// Conditions of the chosen tier, in families that name kind and member apart, and in those that do not.
const CHOSEN: [&str; 2] = [r#"kind="$kind""#, r#"member="$member""#];
const TOGETHER: &str = r#"tier="$kind/$member""#;

/// Each signal with what a panel calls it.
const SIGNALS: [(SignalKind, &str, Unit); 14] = [
    (SignalKind::CacheHitRatio, "Cache hit rate", Unit::Ratio),
    (SignalKind::EvictionsPerSecond, "Evictions", Unit::PerSecond),
    (SignalKind::ReplicaLagSeconds, "Replica lag", Unit::Seconds),
    (SignalKind::QueueDepth, "Messages that wait", Unit::Count),
    (SignalKind::QueueOldestAgeSeconds, "Age of the oldest message", Unit::Seconds),
    (SignalKind::QueueInFlight, "Messages at work", Unit::Count),
    (SignalKind::PoolUsed, "Connections in use", Unit::Count),
    (SignalKind::PoolMax, "Connections there may be", Unit::Count),
    (SignalKind::PoolPending, "Requests that wait for a connection", Unit::Count),
    (SignalKind::PoolWaitSeconds, "How long they wait", Unit::Seconds),
    (SignalKind::WorkersBusy, "Busy workers", Unit::Count),
    (SignalKind::WorkersMax, "Workers there are", Unit::Count),
    (SignalKind::CpuRatio, "CPU", Unit::Ratio),
    (SignalKind::MemoryBytes, "Memory", Unit::Bytes),
];

pub(in crate::dashboards) fn tier() -> Value {
    let mut rows = vec![first(), course(), neighbours()];
    for some in SIGNALS.chunks(4) {
        let panel = |(kind, title, unit): &(SignalKind, &str, Unit)| {
            (6, graph(title, *unit, &[(&signal(*kind, &[TOGETHER]), "{{part}}")]))
        };
        rows.push(Row { height: 6, panels: some.iter().map(panel).collect() });
    }
    let kinds = format!("label_values({}, kind)", of("tiertop_tier_instances", &[]));
    let members = format!("label_values({}, member)", of("tiertop_tier_instances", &[CHOSEN[0]]));
    let variables = vec![variable("kind", "Tier", &kinds, false), variable("member", "Service", &members, false)];
    dashboard("tiertop-tier", "tiertop: tier", rows, variables)
}

/// How it does now, and since when a verdict names it.
fn first() -> Row {
    Row {
        height: 6,
        panels: vec![
            (
                9,
                bands(
                    "Named by a verdict",
                    Unit::Ratio,
                    &[(&of("tiertop_verdict_confidence", &[TOGETHER]), "{{class}}")],
                    "no verdict",
                ),
            ),
            (5, number("p99", Unit::Seconds, &[(&quantile("0.99"), "")], None)),
            (5, number("Failed", Unit::Ratio, &[(&figure("tiertop_tier_error_ratio"), "")], Some(0.02))),
            (5, number("Requests", Unit::PerSecond, &[(&figure("tiertop_tier_requests_per_second"), "")], None)),
        ],
    }
}

/// How it did.
fn course() -> Row {
    Row {
        height: 8,
        panels: vec![
            (
                12,
                graph(
                    "Latency",
                    Unit::Seconds,
                    &[
                        (&quantile("0.5"), "p50"),
                        (&quantile("0.9"), "p90"),
                        (&quantile("0.95"), "p95"),
                        (&quantile("0.99"), "p99"),
                        (&figure("tiertop_tier_latency_max_seconds"), "greatest"),
                    ],
                ),
            ),
            (6, graph("Failed", Unit::Ratio, &[(&figure("tiertop_tier_error_ratio"), "failed")])),
            (
                6,
                graph(
                    "In progress, and instances",
                    Unit::Count,
                    &[
                        (&figure("tiertop_tier_in_flight"), "in progress"),
                        (&figure("tiertop_tier_instances"), "instances"),
                    ],
                ),
            ),
        ],
    }
}

/// Who calls it, and whom it calls.
fn neighbours() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                8,
                graph(
                    "Who calls it",
                    Unit::PerSecond,
                    &[(&edges("tiertop_edge_requests_per_second", "to"), "{{from}}")],
                ),
            ),
            (
                8,
                graph(
                    "Whom it calls: p95",
                    Unit::Seconds,
                    &[(&edges("tiertop_edge_latency_p95_seconds", "from"), "{{to}}")],
                ),
            ),
            (8, graph("Whom it calls: failed", Unit::Ratio, &[(&edges("tiertop_edge_error_ratio", "from"), "{{to}}")])),
        ],
    }
}

fn figure(name: &str) -> String {
    of(name, &CHOSEN)
}

fn quantile(quantile: &str) -> String {
    let condition = format!(r#"quantile="{quantile}""#);
    of("tiertop_tier_latency_seconds", &[CHOSEN[0], CHOSEN[1], &condition])
}

/// A figure of the edges of which the tier is this end.
fn edges(name: &str, end: &str) -> String {
    of(name, &[&format!(r#"{end}="$kind/$member""#)])
}
