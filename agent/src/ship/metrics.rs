//! The one table of the metrics that are shipped to CloudWatch.
//!
//! The encoder emits what stands here and nothing else; dashboards, alarms, the estimate of cost and
//! the documentation are made from it. Each name with each set of dimension values is a series, and
//! each series is paid for: so dimensions are few, and most metrics are of some kinds of tier only.

use tiertop_core::tier::TierKind;

/// A metric as it is shipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricRow {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it is a figure of.
    pub of: Subject,
    /// The statistic to read it by, in CloudWatch's words.
    pub statistic: &'static str,
    /// What it says, in a line.
    pub meaning: &'static str,
}

/// The units in use, in CloudWatch's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// 0 to 100.
    Percent,
    /// A number without a unit.
    None,
}

impl Unit {
    /// As CloudWatch writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Seconds => "Seconds",
            Self::Percent => "Percent",
            Self::None => "None",
        }
    }
}

/// What a metric is a figure of, which gives its dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole system: the dimension [`ENVIRONMENT`].
    System,
    /// Each tier of these kinds: [`ENVIRONMENT`], [`TIER`] and [`SERVICE`].
    Tiers(&'static [TierKind]),
}

impl Subject {
    /// The dimensions, in the order in which they are sent.
    pub const fn dimensions(self) -> &'static [&'static str] {
        match self {
            Self::System => &[ENVIRONMENT],
            Self::Tiers(_) => &[ENVIRONMENT, TIER, SERVICE],
        }
    }

    /// Whether tiers of this kind have the metric.
    pub fn includes(self, kind: TierKind) -> bool {
        match self {
            Self::System => false,
            Self::Tiers(kinds) => kinds.contains(&kind),
        }
    }
}

/// The namespace, unless told otherwise.
pub const NAMESPACE: &str = "Tiertop";
/// The dimension whose value is the environment.
pub const ENVIRONMENT: &str = "Environment";
/// The dimension whose value is the kind of tier, such as `app`.
pub const TIER: &str = "Tier";
/// The dimension whose value is the member of the tier, such as `checkout`.
pub const SERVICE: &str = "Service";
/// The value of [`TIER`] and [`SERVICE`] for all tiers over the ceiling of series together.
pub const OTHER: &str = "other";
/// The value of [`ENVIRONMENT`] where telemetry names none.
pub const NO_ENVIRONMENT: &str = "default";

/// Requests that ended.
pub const REQUESTS: &str = "Requests";
/// Requests that failed.
pub const ERRORS: &str = "Errors";
/// How long requests took.
pub const LATENCY: &str = "Latency";
/// Requests in progress.
pub const IN_FLIGHT: &str = "InFlight";
/// Whether a tier is named by a verdict.
pub const BOTTLENECK: &str = "Bottleneck";
/// Cache hits over lookups.
pub const CACHE_HIT_RATE: &str = "CacheHitRate";
/// How far replicas are behind.
pub const REPLICA_LAG: &str = "ReplicaLag";
/// Messages that wait.
pub const QUEUE_DEPTH: &str = "QueueDepth";
/// Age of the oldest message.
pub const QUEUE_OLDEST_AGE: &str = "QueueOldestAge";
/// Connections in use over those there may be.
pub const POOL_UTILISATION: &str = "PoolUtilisation";
/// Requests that wait for a connection.
pub const POOL_PENDING: &str = "PoolPending";
/// The phase on the ladder.
pub const PHASE: &str = "Phase";
/// Incidents that are open.
pub const OPEN_INCIDENTS: &str = "OpenIncidents";

const SERVICES: &[TierKind] = &[TierKind::Edge, TierKind::Lb, TierKind::Web, TierKind::App, TierKind::Worker];
const POOLED: &[TierKind] = &[TierKind::Web, TierKind::App, TierKind::Worker];

const fn row(name: &'static str, unit: Unit, of: Subject, statistic: &'static str, meaning: &'static str) -> MetricRow {
    MetricRow { name, unit, of, statistic, meaning }
}

/// All of them.
pub const METRICS: [MetricRow; 13] = [
    row(REQUESTS, Unit::Count, Subject::Tiers(&TierKind::ALL), "Sum", "requests that ended"),
    row(ERRORS, Unit::Count, Subject::Tiers(&TierKind::ALL), "Sum", "of these, failed ones"),
    row(LATENCY, Unit::Milliseconds, Subject::Tiers(&TierKind::ALL), "p99", "how long requests took"),
    row(BOTTLENECK, Unit::None, Subject::Tiers(&TierKind::ALL), "Maximum", "1 while a verdict names the tier, else 0"),
    row(IN_FLIGHT, Unit::Count, Subject::Tiers(SERVICES), "Maximum", "requests in progress"),
    row(POOL_UTILISATION, Unit::Percent, Subject::Tiers(POOLED), "Maximum", "connections in use of those there may be"),
    row(POOL_PENDING, Unit::Count, Subject::Tiers(POOLED), "Maximum", "requests that wait for a connection"),
    row(CACHE_HIT_RATE, Unit::Percent, Subject::Tiers(&[TierKind::Cache]), "Average", "cache hits of all lookups"),
    row(
        REPLICA_LAG,
        Unit::Seconds,
        Subject::Tiers(&[TierKind::DbReplica]),
        "Maximum",
        "how far a replica's data is behind",
    ),
    row(QUEUE_DEPTH, Unit::Count, Subject::Tiers(&[TierKind::Queue]), "Maximum", "messages that wait"),
    row(QUEUE_OLDEST_AGE, Unit::Seconds, Subject::Tiers(&[TierKind::Queue]), "Maximum", "age of the oldest message"),
    row(PHASE, Unit::None, Subject::System, "Maximum", "the phase of the ladder, 1 to 6"),
    row(OPEN_INCIDENTS, Unit::Count, Subject::System, "Maximum", "incidents that are open"),
];

/// Metrics of all tiers over the ceiling together: those that can be added up.
pub const OF_OTHER: [&str; 3] = [REQUESTS, ERRORS, LATENCY];

/// The row of a metric.
pub fn metric(name: &str) -> Option<&'static MetricRow> {
    METRICS.iter().find(|row| row.name == name)
}

/// The metrics of a tier of this kind.
pub fn metrics_of(kind: TierKind) -> impl Iterator<Item = &'static MetricRow> {
    METRICS.iter().filter(move |row| row.of.includes(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_such_as_cloudwatch_takes() {
        for (place, row) in METRICS.iter().enumerate() {
            assert!(METRICS[..place].iter().all(|other| other.name != row.name), "{}", row.name);
            assert!(row.name.len() <= 255 && row.name.chars().all(|c| c.is_ascii_alphanumeric()), "{}", row.name);
            assert!(row.of.dimensions().len() <= 30);
        }
    }

    #[test]
    fn every_kind_of_tier_costs_few_series() {
        for kind in TierKind::ALL {
            let many = metrics_of(kind).count();
            assert!((4..=7).contains(&many), "{kind}: {many}");
        }
    }

    #[test]
    fn what_other_tiers_have_together_is_in_the_table() {
        assert!(OF_OTHER.iter().all(|name| metric(name).is_some()));
    }
}
