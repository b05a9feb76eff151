//! From which level on something is bad: the numbers of warnings and of the diagnosis, as a user may set them.
//!
//! What is written in `Default` here is what holds unless somebody says otherwise. Each number is for all
//! tiers, or for those of a kind or a name.

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::TierPattern;
use crate::tier::TierKind;

/// Bounds for all tiers, and others for some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// For all tiers.
    pub all: Bounds,
    /// For some; the first that matches.
    pub only: Vec<(TierPattern, Bounds)>,
}

impl Thresholds {
    /// The bounds of a tier.
    pub fn of(&self, kind: TierKind, member: &str) -> &Bounds {
        self.only.iter().find(|(pattern, _)| pattern.matches(kind, member)).map_or(&self.all, |(_, bounds)| bounds)
    }

    /// The bounds of a tier by its id, such as `app/checkout`.
    pub fn of_id(&self, id: &str) -> &Bounds {
        let tier = id.split_once('/').and_then(|(kind, member)| Some((TierKind::from_name(kind)?, member)));
        tier.map_or(&self.all, |(kind, member)| self.of(kind, member))
    }
}

/// All numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// How far a replica may be behind.
    pub replica_lag: ReplicaLag,
    /// How messages may wait.
    pub queue: Queue,
    /// What share of reads must be hits.
    pub cache: Cache,
    /// How much longer requests may take than is usual.
    pub latency: Latency,
    /// How many more requests may fail than is usual.
    pub errors: Errors,
    /// How load may be spread.
    pub balance: Balance,
    /// From when on something is a bottleneck.
    pub verdict: Effect,
}

/// How far a replica may be behind, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplicaLag {
    /// Bad above this.
    #[serde(deserialize_with = "level")]
    pub above_s: f64,
    /// Critical above this.
    #[serde(deserialize_with = "level")]
    pub critical_s: f64,
    /// Bad above this while it grows.
    #[serde(deserialize_with = "level")]
    pub growing_above_s: f64,
}

impl Default for ReplicaLag {
    fn default() -> Self {
        Self { above_s: 5.0, critical_s: 30.0, growing_above_s: 1.5 }
    }
}

/// How old the oldest message of a queue may be, and how many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Bad above this age, in seconds.
    #[serde(deserialize_with = "level")]
    pub age_s: f64,
    /// Critical above this age.
    #[serde(deserialize_with = "level")]
    pub age_critical_s: f64,
    /// Bad above this age while it grows.
    #[serde(deserialize_with = "level")]
    pub age_growing_s: f64,
    /// Bad above this number of messages; infinite where the number alone says nothing.
    #[serde(deserialize_with = "level")]
    pub depth: f64,
    /// Critical above this number.
    #[serde(deserialize_with = "level")]
    pub depth_critical: f64,
    /// Bad above this number while it grows.
    #[serde(deserialize_with = "level")]
    pub depth_growing: f64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            age_s: 60.0,
            age_critical_s: 300.0,
            age_growing_s: 8.0,
            depth: f64::INFINITY,
            depth_critical: f64::INFINITY,
            depth_growing: 20.0,
        }
    }
}

/// What share of a cache's reads must be hits, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bad when so far under what is usual.
    #[serde(deserialize_with = "share")]
    pub fall: f64,
    /// Critical when so far.
    #[serde(deserialize_with = "share")]
    pub fall_critical: f64,
    /// Bad under this, whatever is usual.
    #[serde(deserialize_with = "share")]
    pub below: f64,
    /// Critical under this.
    #[serde(deserialize_with = "share")]
    pub below_critical: f64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { fall: 0.15, fall_critical: 0.4, below: 0.5, below_critical: 0.2 }
    }
}

/// How much longer requests may take than is usual: at the 90th and at the 95th percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Bad at so many times the usual.
    #[serde(deserialize_with = "times")]
    pub times: f64,
    /// Critical at so many times the usual.
    #[serde(deserialize_with = "times")]
    pub critical_times: f64,
    /// And by at least so many milliseconds.
    #[serde(deserialize_with = "level")]
    pub by_ms: f64,
    /// Critical only by at least so many milliseconds: less, nobody feels.
    #[serde(deserialize_with = "level")]
    pub critical_by_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { times: 1.6, critical_times: 4.0, by_ms: 5.0, critical_by_ms: 100.0 }
    }
}

/// How many more requests may fail than is usual, as a share of all, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Errors {
    /// Bad from so many more on.
    #[serde(deserialize_with = "share")]
    pub by: f64,
    /// Critical from so many more on.
    #[serde(deserialize_with = "share")]
    pub critical: f64,
}

impl Default for Errors {
    fn default() -> Self {
        Self { by: 0.02, critical: 0.2 }
    }
}

/// How load may be spread over instances and zones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// One of several carries all from this share of the requests on, 0 to 1.
    #[serde(deserialize_with = "share")]
    pub carries_all: f64,
}

impl Default for Balance {
    fn default() -> Self {
        Self { carries_all: 0.95 }
    }
}

/// From when on what is not as usual is a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Effect {
    /// Requests that take longer by less, in milliseconds, are no incident.
    #[serde(deserialize_with = "level")]
    pub least_ms: f64,
    /// The same in usual durations.
    #[serde(deserialize_with = "level")]
    pub least_times: f64,
    /// Requests that wait for a connection: fewer are none.
    #[serde(deserialize_with = "level")]
    pub pool_pending: f64,
    /// A processor in use for this share of the time is busy, 0 to 1.
    #[serde(deserialize_with = "share")]
    pub cpu_busy: f64,
    /// Memory that rose by this share of itself fills up.
    #[serde(deserialize_with = "level")]
    pub memory_rise: f64,
    /// So many times the usual requests are a spike.
    #[serde(deserialize_with = "times")]
    pub spike_times: f64,
    /// So many times the usual instances, with no more requests, are too many.
    #[serde(deserialize_with = "times")]
    pub fleet_times: f64,
}

impl Default for Effect {
    fn default() -> Self {
        Self {
            least_ms: 0.0,
            least_times: 0.0,
            pool_pending: 1.0,
            cpu_busy: 0.6,
            memory_rise: 0.25,
            spike_times: 2.2,
            fleet_times: 2.5,
        }
    }
}

/// A number from 0 on, without end.
fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, 0.0, f64::INFINITY, "not 0 or more")
}

/// A share of a whole.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, 0.0, 1.0, "not a share from 0 to 1")
}

/// A multiple of what is usual.
fn times<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, 1.0, f64::INFINITY, "not 1 or more")
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, least: f64, most: f64, wrong: &str) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    let is_within = (least..=most).contains(&number);
    if is_within { Ok(number) } else { Err(serde::de::Error::custom(format!("{number} is {wrong}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let only = |kind, member: &str, above_s| {
            let bounds = Bounds { replica_lag: ReplicaLag { above_s, ..ReplicaLag::default() }, ..Bounds::default() };
            (TierPattern { kind, member: member.to_owned() }, bounds)
        };
        let thresholds = Thresholds {
            only: vec![only(None, "reports*", 60.0), only(Some(TierKind::DbReplica), "*", 10.0)],
            ..Thresholds::default()
        };
        let lag = |id| thresholds.of_id(id).replica_lag.above_s.to_bits();
        assert_eq!(lag("db-replica/reports@db7"), 60.0_f64.to_bits());
        assert_eq!(lag("db-replica/orders@db1:5432"), 10.0_f64.to_bits());
        assert_eq!(lag("cache/orders"), 5.0_f64.to_bits());
        assert_eq!(lag("no tier"), 5.0_f64.to_bits());
    }
}
