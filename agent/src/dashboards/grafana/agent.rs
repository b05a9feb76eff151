//! The agent itself: whether what the other dashboards show can be trusted.

use serde_json::Value;

use super::panel::{Row, Unit, graph, number};
use super::{dashboard, of};

pub(in crate::dashboards) fn agent() -> Value {
    let rows = vec![trust(), taken_in(), held(), shipped(), bill()];
    dashboard("tiertop-agent", "tiertop: the agent itself", rows, Vec::new())
}

/// Whether the figures can be trusted at all.
fn trust() -> Row {
    Row {
        height: 5,
        panels: vec![
            (
                6,
                number(
                    "Age of the figures",
                    Unit::Seconds,
                    &[(&format!("time() - {}", of("tiertop_snapshot_time_seconds", &[])), "")],
                    Some(15.0),
                ),
            ),
            (
                6,
                number(
                    "Refused in the last 5 minutes",
                    Unit::Count,
                    &[
                        (&lately("tiertop_spans_refused_total"), "spans"),
                        (&lately("tiertop_points_refused_total"), "points"),
                        (&lately("tiertop_requests_turned_away_total"), "requests turned away"),
                    ],
                    Some(1.0),
                ),
            ),
            (
                6,
                number(
                    "Exporters that fail",
                    Unit::Count,
                    &[(&each("tiertop_exporter_failing"), "{{exporter}}")],
                    Some(1.0),
                ),
            ),
            (
                6,
                number(
                    "Taken last",
                    Unit::Ago,
                    &[(&format!("1000 * {}", each("tiertop_exporter_last_success_seconds")), "{{exporter}}")],
                    None,
                ),
            ),
        ],
    }
}

/// What came in, and what did not.
fn taken_in() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                8,
                graph(
                    "Accepted a second",
                    Unit::Count,
                    &[
                        (&rate("tiertop_spans_accepted_total"), "spans"),
                        (&rate("tiertop_points_accepted_total"), "points"),
                        (&rate("tiertop_log_records_accepted_total"), "log records"),
                    ],
                ),
            ),
            (
                8,
                graph(
                    "Of these not in figures of their second, a second",
                    Unit::Count,
                    &[
                        (&rate("tiertop_spans_late_total"), "late spans"),
                        (&rate("tiertop_spans_future_total"), "spans of the future"),
                        (&rate("tiertop_spans_detail_total"), "spans that are detail"),
                        (&rate("tiertop_points_unused_total"), "points that nothing reads"),
                    ],
                ),
            ),
            (
                8,
                graph(
                    "Refusals a second",
                    Unit::Count,
                    &[
                        (&rate("tiertop_refusals_total"), "{{reason}}"),
                        (&rate("tiertop_requests_refused_total"), "requests"),
                        (&rate("tiertop_requests_turned_away_total"), "requests turned away"),
                    ],
                ),
            ),
        ],
    }
}

/// What waits and what is held.
fn held() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                8,
                graph(
                    "On the way to the engine",
                    Unit::Bytes,
                    &[
                        (&of("tiertop_queue_bytes", &[]), "waits"),
                        (&of("tiertop_queue_capacity_bytes", &[]), "may wait"),
                    ],
                ),
            ),
            (8, graph("Held by the engine", Unit::Bytes, &[(&of("tiertop_engine_bytes", &[]), "{{instance}}")])),
            (8, graph("Details given up a second", Unit::Count, &[(&rate("tiertop_evictions_total"), "{{reason}}")])),
        ],
    }
}

/// What exporters took, hold and lost.
fn shipped() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                6,
                graph(
                    "Exporters: taken a second",
                    Unit::Count,
                    &[(&rate("tiertop_exporter_sent_total"), "{{exporter}}")],
                ),
            ),
            (6, graph("Exporters: waits", Unit::Count, &[(&of("tiertop_exporter_waiting", &[]), "{{exporter}}")])),
            (
                6,
                graph(
                    "Exporters: spool",
                    Unit::Bytes,
                    &[
                        (&of("tiertop_exporter_spool_bytes", &[]), "{{exporter}}"),
                        (&of("tiertop_exporter_spool_capacity_bytes", &[]), "{{exporter}}: may be"),
                    ],
                ),
            ),
            (
                6,
                graph(
                    "Exporters: lost, or counted twice, a second",
                    Unit::Count,
                    &[
                        (&rate("tiertop_exporter_dropped_total"), "{{exporter}}: {{reason}}"),
                        (&rate("tiertop_exporter_refused_total"), "{{exporter}}: refused"),
                        (&rate("tiertop_exporter_maybe_twice_total"), "{{exporter}}: perhaps twice"),
                    ],
                ),
            ),
        ],
    }
}

/// What it costs, and which agents these are.
fn bill() -> Row {
    Row {
        height: 5,
        panels: vec![
            (
                6,
                number(
                    "Series that are paid for",
                    Unit::Count,
                    &[(&each("tiertop_exporter_series"), "{{exporter}}")],
                    None,
                ),
            ),
            (
                6,
                number(
                    "List price of a month",
                    Unit::UsDollars,
                    &[(&each("tiertop_exporter_cost_month_usd"), "{{exporter}}")],
                    None,
                ),
            ),
            (
                6,
                number(
                    "Running since",
                    Unit::Ago,
                    &[(&format!("1000 * {}", of("tiertop_start_time_seconds", &[])), "{{instance}}")],
                    None,
                ),
            ),
            (
                6,
                number(
                    "Version",
                    Unit::Count,
                    &[(&of("tiertop_build_info", &[]), "{{version}} {{environment}}")],
                    None,
                ),
            ),
        ],
    }
}

fn each(name: &str) -> String {
    of(name, &[])
}

fn rate(name: &str) -> String {
    format!("rate({}[$__rate_interval])", of(name, &[]))
}

fn lately(name: &str) -> String {
    format!("increase({}[5m])", of(name, &[]))
}
