//! What stands on each dashboard.

use serde_json::{Value, json};
use tiertop_core::tier::TierKind;

use super::Board;
use super::widget::{
    Mark, Row, SERVICE_PLACE, TIER_PLACE, body, computed, environment_variable, graph, number, of_chosen,
    of_chosen_with, of_system, of_tiers, region_variable, row, search, text, tier_variable,
};
use crate::dashboards::{Placement, alarms};
use crate::ship::metrics::{
    BOTTLENECK, CACHE_HIT_RATE, ERRORS, IN_FLIGHT, LATENCY, METRICS, MetricRow, OPEN_INCIDENTS, PHASE, POOL_PENDING,
    POOL_UTILISATION, QUEUE_DEPTH, QUEUE_OLDEST_AGE, REPLICA_LAG, REQUESTS, SERVICE, Subject, TIER as TIER_DIMENSION,
    Unit,
};

/// The whole system.
pub const OVERVIEW: Board = Board { name: "overview", body: overview };
/// One tier.
pub const TIER: Board = Board { name: "tier", body: tier };
/// Queues and workers.
pub const QUEUE: Board = Board { name: "queue", body: queue };
/// Databases.
pub const DATABASE: Board = Board { name: "database", body: database };

const DATABASES: &[TierKind] = &[TierKind::DbPrimary, TierKind::DbReplica, TierKind::Nosql, TierKind::Warehouse];
const CALLERS: &[TierKind] = &[TierKind::Web, TierKind::App, TierKind::Worker];
const FRONT: &[TierKind] = &[TierKind::Edge, TierKind::Lb, TierKind::Web];
const BEHIND: &[TierKind] = &[
    TierKind::App,
    TierKind::Cache,
    TierKind::DbPrimary,
    TierKind::DbReplica,
    TierKind::Nosql,
    TierKind::ObjectStore,
    TierKind::External,
];

/// A graph of a metric with a line for each tier.
fn tiers(at: &Placement, title: &str, name: &str, kinds: &[TierKind]) -> Value {
    marked(at, title, name, kinds, &[])
}

fn marked(at: &Placement, title: &str, name: &str, kinds: &[TierKind], marks: &[Mark]) -> Value {
    graph(at, title, row(name).unit, &[of_tiers(at, name, kinds)], marks)
}

/// The same with the threshold at which an alarm goes off.
fn guarded(at: &Placement, title: &str, name: &str, kinds: &[TierKind], alarm: &str) -> Value {
    let alarm = alarms::alarm(alarm).expect("dashboards name alarms of the table");
    marked(at, title, name, kinds, &[Mark { value: alarm.threshold.usual, label: "alarm" }])
}

/// The worst of all tiers, as one number.
fn worst(at: &Placement, title: &str, name: &str, kinds: &[TierKind]) -> Value {
    let of_all = search(at, name, row(name).statistic, kinds);
    number(at, title, &[computed(&format!("MAX({of_all})"), title)])
}

fn overview(at: &Placement) -> Value {
    let (errors, requests) = (search(at, ERRORS, "Sum", &[]), search(at, REQUESTS, "Sum", &[]));
    let share = computed(&format!("100 * SUM({errors}) / SUM({requests})"), "failed, of the calls of all tiers");
    let rows = vec![
        Row {
            height: 6,
            widgets: vec![
                (5, number(at, "Is something wrong: open incidents", &[of_system(at, OPEN_INCIDENTS, "incidents")])),
                (14, tiers(at, "Where, since when: 1 while a verdict names the tier", BOTTLENECK, &[])),
                (5, number(at, "Phase of the ladder, 1 to 6", &[of_system(at, PHASE, "phase")])),
            ],
        },
        Row {
            height: 7,
            widgets: vec![
                (8, tiers(at, "What users feel: p99 at the front", LATENCY, FRONT)),
                (8, tiers(at, "p99 behind the front", LATENCY, BEHIND)),
                (8, graph(at, "Failed calls, percent", Unit::Percent, &[share], &[])),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (8, tiers(at, "Requests a minute", REQUESTS, &[])),
                (8, tiers(at, "Failed requests a minute", ERRORS, &[])),
                (8, tiers(at, "Requests in progress", IN_FLIGHT, &[])),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (6, tiers(at, "Cache hit rate", CACHE_HIT_RATE, &[])),
                (6, guarded(at, "Replica lag", REPLICA_LAG, &[], "replica-lag")),
                (6, guarded(at, "Age of the oldest message", QUEUE_OLDEST_AGE, &[], "queue-age")),
                (6, guarded(at, "Connections in use", POOL_UTILISATION, &[], "pool")),
            ],
        },
        Row { height: 2, widgets: vec![(24, text(ABSENT))] },
    ];
    body(rows, &[environment_variable(at), region_variable(at)])
}

const ABSENT: &str = "A line that is missing is unknown, not zero: nothing was called, or nothing reports it. \
                      If all lines end, the agent is gone: the alarm *silent* says so.";

fn tier(at: &Placement) -> Value {
    let quantile = |statistic: &str| of_chosen(at, LATENCY, statistic, statistic);
    let hidden = |name: &str, id: &str| of_chosen_with(at, name, &json!({ "stat": "Sum", "id": id, "visible": false }));
    let share = [
        hidden(ERRORS, "errors"),
        hidden(REQUESTS, "requests"),
        computed("100 * errors / requests", "failed, percent"),
    ];
    let a_second = [hidden(REQUESTS, "requests"), computed("requests / PERIOD(requests)", "requests a second")];
    let own = |row: &MetricRow| {
        graph(at, &capitalised(row.meaning), row.unit, &[of_chosen(at, row.name, row.statistic, row.name)], &[])
    };
    let mut rows = vec![
        Row {
            height: 5,
            widgets: vec![
                (6, number(at, "Named by a verdict: 1 is yes", &[of_chosen(at, BOTTLENECK, "Maximum", "bottleneck")])),
                (6, number(at, "p99", &[quantile("p99")])),
                (6, number(at, "Failed", &share)),
                (6, number(at, "Requests a second", &a_second)),
            ],
        },
        Row {
            height: 7,
            widgets: vec![
                (12, graph(at, "Latency", Unit::Milliseconds, &["p50", "p90", "p99", "Maximum"].map(quantile), &[])),
                (6, graph(at, "Failed, percent", Unit::Percent, &share, &[])),
                (6, graph(at, "Named by a verdict", Unit::None, &[of_chosen(at, BOTTLENECK, "Maximum", "named")], &[])),
            ],
        },
    ];
    // All that some tier has beyond this; what the chosen one has not stays empty.
    let shown = [REQUESTS, ERRORS, LATENCY, BOTTLENECK];
    let more: Vec<&MetricRow> =
        METRICS.iter().filter(|row| row.of != Subject::System && !shown.contains(&row.name)).collect();
    for some in more.chunks(4) {
        rows.push(Row { height: 6, widgets: some.iter().map(|row| (6, own(row))).collect() });
    }
    let words = "Graphs of what this kind of tier does not have stay empty.";
    rows.push(Row { height: 2, widgets: vec![(24, text(words))] });
    let variables = [
        environment_variable(at),
        tier_variable(at, TIER_PLACE, "tier", TIER_DIMENSION),
        tier_variable(at, SERVICE_PLACE, "service", SERVICE),
        region_variable(at),
    ];
    body(rows, &variables)
}

fn queue(at: &Placement) -> Value {
    let both = &[TierKind::Queue, TierKind::Worker];
    let (queues, workers) = (&[TierKind::Queue], &[TierKind::Worker]);
    let rows = vec![
        Row {
            height: 6,
            widgets: vec![
                (5, worst(at, "Age of the oldest message, seconds", QUEUE_OLDEST_AGE, queues)),
                (5, worst(at, "Messages that wait in the fullest queue", QUEUE_DEPTH, queues)),
                (14, tiers(at, "Where, since when: 1 while a verdict names it", BOTTLENECK, both)),
            ],
        },
        Row {
            height: 7,
            widgets: vec![
                (12, guarded(at, "Age of the oldest message", QUEUE_OLDEST_AGE, queues, "queue-age")),
                (12, tiers(at, "Messages that wait", QUEUE_DEPTH, queues)),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (8, tiers(at, "In: calls of queues a minute", REQUESTS, queues)),
                (8, tiers(at, "Out: messages that workers did a minute", REQUESTS, workers)),
                (8, tiers(at, "Messages at work", IN_FLIGHT, workers)),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (8, tiers(at, "How long a message takes, p99", LATENCY, workers)),
                (8, tiers(at, "Failed a minute", ERRORS, both)),
                (8, guarded(at, "Connections of workers in use", POOL_UTILISATION, workers, "pool")),
            ],
        },
    ];
    body(rows, &[environment_variable(at), region_variable(at)])
}

fn database(at: &Placement) -> Value {
    let (primaries, replicas) = (&[TierKind::DbPrimary], &[TierKind::DbReplica]);
    let rows = vec![
        Row {
            height: 6,
            widgets: vec![
                (5, worst(at, "Slowest primary, p99 in milliseconds", LATENCY, primaries)),
                (5, worst(at, "Greatest replica lag, seconds", REPLICA_LAG, replicas)),
                (14, tiers(at, "Where, since when: 1 while a verdict names it", BOTTLENECK, DATABASES)),
            ],
        },
        Row {
            height: 7,
            widgets: vec![
                (
                    8,
                    tiers(
                        at,
                        "p99 of primaries and stores",
                        LATENCY,
                        &[TierKind::DbPrimary, TierKind::Nosql, TierKind::Warehouse],
                    ),
                ),
                (8, tiers(at, "p99 of replicas", LATENCY, replicas)),
                (8, guarded(at, "Replica lag", REPLICA_LAG, replicas, "replica-lag")),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (8, tiers(at, "Calls a minute", REQUESTS, DATABASES)),
                (8, tiers(at, "Failed calls a minute", ERRORS, DATABASES)),
                (8, tiers(at, "Cache hit rate: what misses comes here", CACHE_HIT_RATE, &[TierKind::Cache])),
            ],
        },
        Row {
            height: 6,
            widgets: vec![
                (12, guarded(at, "Connections in use, by caller", POOL_UTILISATION, CALLERS, "pool")),
                (12, tiers(at, "Requests that wait for a connection", POOL_PENDING, CALLERS)),
            ],
        },
    ];
    body(rows, &[environment_variable(at), region_variable(at)])
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
