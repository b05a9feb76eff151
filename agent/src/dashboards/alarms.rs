//! The alarms, as data: what each watches, from when on it goes off, and what silence means.
//!
//! Absent is not zero. A figure that is not there is unknown, so an alarm without data says
//! `INSUFFICIENT_DATA` and not "OK"; one alarm, `silent`, goes off if nothing comes at all. A metric of any
//! tier is watched through a query over all tiers, so that a new tier needs no new alarm; CloudWatch asks the
//! price of an alarm for each series that such a query goes through.

use serde_json::{Value, json};

use super::Placement;
use crate::ship::metrics::{
    BOTTLENECK, ENVIRONMENT, ERRORS, LATENCY, OPEN_INCIDENTS, POOL_UTILISATION, QUEUE_OLDEST_AGE, REPLICA_LAG,
    REQUESTS, SERVICE, TIER,
};

/// Seconds of one datapoint.
pub const PERIOD_S: u32 = 60;
/// A minute with fewer requests says nothing of the share that failed.
const LEAST_REQUESTS: u32 = 20;

/// An alarm.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    /// Its name.
    pub name: &'static str,
    /// What has happened, and what to do first.
    pub meaning: &'static str,
    /// What it watches.
    pub watched: Watched,
    /// From when on it goes off.
    pub threshold: Threshold,
    /// How the figure compares with the threshold.
    pub comparison: Comparison,
    /// Datapoints that must be so, of how many.
    pub datapoints: (u32, u32),
    /// What a missing datapoint means.
    pub missing: Missing,
}

/// What an alarm watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A statistic of a metric of the whole system.
    System(&'static str, &'static str),
    /// The greatest figure of any tier.
    AnyTier(&'static str),
    /// A statistic of the tier where users come in.
    Front(&'static str, &'static str),
    /// Failed requests there, in percent.
    FrontErrorShare,
}

impl Watched {
    /// Whether it needs to be told where users come in.
    pub const fn is_of_front(self) -> bool {
        matches!(self, Self::Front(..) | Self::FrontErrorShare)
    }
}

/// A threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Its value, unless told otherwise.
    pub usual: f64,
    /// The parameter that tells otherwise, and its meaning.
    pub parameter: Option<(&'static str, &'static str)>,
}

/// How a figure compares with its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is as great or greater.
    AtLeast,
    /// It is less.
    Below,
}

/// What a missing datapoint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// That nothing is known.
    Unknown,
    /// Trouble in itself.
    Trouble,
}

const fn fixed(usual: f64) -> Threshold {
    Threshold { usual, parameter: None }
}

const fn told(usual: f64, parameter: &'static str, meaning: &'static str) -> Threshold {
    Threshold { usual, parameter: Some((parameter, meaning)) }
}

/// All of them.
pub const ALARMS: [Alarm; 8] = [
    Alarm {
        name: "silent",
        meaning: "Nothing is shipped: the agent is down, or it cannot reach CloudWatch. `tiertop attach` shows its exporters.",
        watched: Watched::System(OPEN_INCIDENTS, "SampleCount"),
        threshold: fixed(1.0),
        comparison: Comparison::Below,
        datapoints: (5, 5),
        missing: Missing::Trouble,
    },
    Alarm {
        name: "incident",
        meaning: "Requests are slower or fail more than usual. The overview and `tiertop attach` show where.",
        watched: Watched::System(OPEN_INCIDENTS, "Maximum"),
        threshold: fixed(1.0),
        comparison: Comparison::AtLeast,
        datapoints: (2, 3),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "bottleneck",
        meaning: "A verdict names a tier that holds the system back. The overview shows which.",
        watched: Watched::AnyTier(BOTTLENECK),
        threshold: fixed(1.0),
        comparison: Comparison::AtLeast,
        datapoints: (2, 3),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "latency",
        meaning: "Users wait: p99 at the front.",
        watched: Watched::Front(LATENCY, "p99"),
        threshold: told(1_000.0, "LatencyThresholdMilliseconds", "p99 at the front from which on users wait too long"),
        comparison: Comparison::AtLeast,
        datapoints: (3, 5),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "errors",
        meaning: "Requests of users fail. A minute with fewer than 20 requests counts as none failed.",
        watched: Watched::FrontErrorShare,
        threshold: told(2.0, "ErrorThresholdPercent", "Share of failed requests at the front, in percent"),
        comparison: Comparison::AtLeast,
        datapoints: (3, 5),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "queue-age",
        meaning: "Messages wait too long: workers are too few, too slow or stuck. The queue dashboard shows which.",
        watched: Watched::AnyTier(QUEUE_OLDEST_AGE),
        threshold: told(300.0, "QueueAgeThresholdSeconds", "Age of the oldest message of any queue"),
        comparison: Comparison::AtLeast,
        datapoints: (5, 5),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "replica-lag",
        meaning: "Reads are stale: a replica is far behind. The database dashboard shows which.",
        watched: Watched::AnyTier(REPLICA_LAG),
        threshold: told(10.0, "ReplicaLagThresholdSeconds", "Lag of any replica"),
        comparison: Comparison::AtLeast,
        datapoints: (3, 5),
        missing: Missing::Unknown,
    },
    Alarm {
        name: "pool",
        meaning: "Connections run out; requests will wait for one. The database dashboard shows whose.",
        watched: Watched::AnyTier(POOL_UTILISATION),
        threshold: told(90.0, "PoolThresholdPercent", "Connections in use of those there may be, in percent"),
        comparison: Comparison::AtLeast,
        datapoints: (5, 5),
        missing: Missing::Unknown,
    },
];

/// The alarm of this name.
pub fn alarm(name: &str) -> Option<&'static Alarm> {
    ALARMS.iter().find(|alarm| alarm.name == name)
}

/// The words for what differs from one system to the next: values, or the names of parameters.
pub(super) struct Words<'a> {
    /// Namespace and environment.
    pub(super) at: &'a Placement,
    /// Kind and member of the tier where users come in.
    pub(super) front: (&'a str, &'a str),
}

impl Alarm {
    /// `Metrics` of `PutMetricAlarm`.
    pub(super) fn queries(&self, words: &Words<'_>) -> Value {
        match self.watched {
            Watched::System(name, statistic) => json!([stat("watched", words, name, statistic, false, true)]),
            Watched::Front(name, statistic) => json!([stat("watched", words, name, statistic, true, true)]),
            Watched::FrontErrorShare => json!([
                stat("errors", words, ERRORS, "Sum", true, false),
                stat("requests", words, REQUESTS, "Sum", true, false),
                {
                    "Id": "watched",
                    "Expression": format!("IF(requests >= {LEAST_REQUESTS}, 100 * errors / requests, 0)"),
                    "Label": "failed, percent",
                    "ReturnData": true,
                },
            ]),
            Watched::AnyTier(name) => {
                let Placement { namespace, environment, .. } = words.at;
                let schema = format!(r#"SCHEMA("{namespace}", {ENVIRONMENT}, {SERVICE}, {TIER})"#);
                let query = format!("SELECT MAX({name}) FROM {schema} WHERE {ENVIRONMENT} = '{environment}'");
                json!([{
                    "Id": "watched",
                    "Expression": query,
                    "Label": name,
                    "Period": PERIOD_S,
                    "ReturnData": true,
                }])
            }
        }
    }

    /// `ComparisonOperator` of `PutMetricAlarm`.
    pub(super) const fn operator(&self) -> &'static str {
        match self.comparison {
            Comparison::AtLeast => "GreaterThanOrEqualToThreshold",
            Comparison::Below => "LessThanThreshold",
        }
    }

    /// `TreatMissingData` of `PutMetricAlarm`.
    pub(super) const fn treat_missing_data(&self) -> &'static str {
        match self.missing {
            Missing::Unknown => "missing",
            Missing::Trouble => "breaching",
        }
    }
}

fn stat(id: &str, words: &Words<'_>, name: &str, statistic: &str, of_front: bool, returned: bool) -> Value {
    let dimension = |name: &str, value: &str| json!({ "Name": name, "Value": value });
    let mut dimensions = vec![dimension(ENVIRONMENT, &words.at.environment)];
    if of_front {
        dimensions.extend([dimension(TIER, words.front.0), dimension(SERVICE, words.front.1)]);
    }
    json!({
        "Id": id,
        "MetricStat": {
            "Metric": { "Namespace": words.at.namespace, "MetricName": name, "Dimensions": dimensions },
            "Period": PERIOD_S,
            "Stat": statistic,
        },
        "ReturnData": returned,
    })
}

/// The alarms as `PutMetricAlarm` takes them, with the usual thresholds. Those of the front name an edge called
/// `front`, which is to be replaced.
pub(super) fn with_usual_thresholds(at: &Placement) -> Value {
    let words = Words { at, front: ("edge", "front") };
    let alarms: Vec<Value> = ALARMS
        .iter()
        .map(|alarm| {
            json!({
                "AlarmName": format!("tiertop-{}-{}", at.environment, alarm.name),
                "AlarmDescription": alarm.meaning,
                "Metrics": alarm.queries(&words),
                "Threshold": alarm.threshold.usual,
                "ComparisonOperator": alarm.operator(),
                "DatapointsToAlarm": alarm.datapoints.0,
                "EvaluationPeriods": alarm.datapoints.1,
                "TreatMissingData": alarm.treat_missing_data(),
            })
        })
        .collect();
    Value::Array(alarms)
}
