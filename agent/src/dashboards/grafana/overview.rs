//! The whole system: is something wrong, where, since when; then what bears it out.

use serde_json::Value;
use tiertop_core::snapshot::SignalKind;

use super::panel::{Row, Unit, bands, graph, number};
use super::{dashboard, of, signal};

const TIER: &str = "{{kind}}/{{member}}";
const PART: &str = "{{tier}} {{part}}";

pub(in crate::dashboards) fn overview() -> Value {
    let rows = vec![first(), felt(), busy(), signals(), walls()];
    dashboard("tiertop-overview", "tiertop: overview", rows, Vec::new())
}

/// Is something wrong, where, since when.
fn first() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                4,
                number(
                    "Is something wrong: open incidents",
                    Unit::Count,
                    &[(&sum("tiertop_incidents_open"), "")],
                    Some(1.0),
                ),
            ),
            (
                12,
                bands(
                    "Where, since when: verdicts, by how sure they are",
                    Unit::Ratio,
                    &[(
                        &format!("max by (tier, class) ({})", of("tiertop_verdict_confidence", &[])),
                        "{{tier}}: {{class}}",
                    )],
                    "no verdict",
                ),
            ),
            (4, number("Stalls that last", Unit::Count, &[(&sum("tiertop_stalls_ongoing"), "")], Some(1.0))),
            (4, number("Phase of the ladder, 1 to 6", Unit::Count, &[(&of("tiertop_phase", &[]), "")], None)),
        ],
    }
}

/// What users and tiers feel.
fn felt() -> Row {
    let at_front = r#"kind=~"edge|lb|web""#;
    let behind = r#"kind!~"edge|lb|web|queue|worker""#;
    let p99 = |kinds: &str| of("tiertop_tier_latency_seconds", &[r#"quantile="0.99""#, kinds]);
    Row {
        height: 8,
        panels: vec![
            (8, graph("What users feel: p99 at the front", Unit::Seconds, &[(&p99(at_front), TIER)])),
            (8, graph("p99 behind the front", Unit::Seconds, &[(&p99(behind), TIER)])),
            (8, graph("Failed", Unit::Ratio, &[(&of("tiertop_tier_error_ratio", &[]), TIER)])),
        ],
    }
}

/// How much there is to do, and what warns.
fn busy() -> Row {
    Row {
        height: 7,
        panels: vec![
            (8, graph("Requests", Unit::PerSecond, &[(&of("tiertop_tier_requests_per_second", &[]), TIER)])),
            (8, graph("Busy of what there is", Unit::Ratio, &[(&of("tiertop_utilisation_ratio", &[]), "{{tier}}")])),
            (
                8,
                bands(
                    "Warnings",
                    Unit::Count,
                    &[(
                        &format!("max by (tier, rule, severity) ({})", of("tiertop_warning_open", &[])),
                        "{{tier}}: {{rule}}, {{severity}}",
                    )],
                    "no warning",
                ),
            ),
        ],
    }
}

/// The headline figures.
fn signals() -> Row {
    Row {
        height: 7,
        panels: vec![
            (6, graph("Cache hit rate", Unit::Ratio, &[(&signal(SignalKind::CacheHitRatio, &[]), PART)])),
            (6, graph("Replica lag", Unit::Seconds, &[(&signal(SignalKind::ReplicaLagSeconds, &[]), PART)])),
            (6, graph("Messages that wait", Unit::Count, &[(&signal(SignalKind::QueueDepth, &[]), PART)])),
            (
                6,
                graph(
                    "Age of the oldest message",
                    Unit::Seconds,
                    &[(&signal(SignalKind::QueueOldestAgeSeconds, &[]), PART)],
                ),
            ),
        ],
    }
}

/// What comes next.
fn walls() -> Row {
    Row {
        height: 7,
        panels: vec![
            (
                12,
                graph(
                    "Delay between tiers: network, accept queue, pool",
                    Unit::Seconds,
                    &[(&of("tiertop_edge_gap_seconds", &[]), "{{from}} to {{to}}")],
                ),
            ),
            (
                12,
                graph(
                    "Next wall, in requests at the front",
                    Unit::PerSecond,
                    &[(&of("tiertop_next_wall_requests_per_second", &[]), "{{tier}}, phase {{phase}}")],
                ),
            ),
        ],
    }
}

fn sum(name: &str) -> String {
    format!("sum({})", of(name, &[]))
}
