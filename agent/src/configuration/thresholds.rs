//! `[thresholds]` and `[[tier_thresholds]]`: from which level on something is bad, for all tiers and for some.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use tiertop_core::config::TierPattern;
use tiertop_core::thresholds::{Bounds, Thresholds};
use tiertop_core::tier::TierKind;
use toml::{Table, Value};

use super::problem::in_words;

/// One `[[tier_thresholds]]`: what is other for some tiers than `[thresholds]` says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierThresholds {
    /// Their kind; `None` for any.
    pub tier: Option<TierKind>,
    /// Their name; `None` for any.
    pub member: Option<String>,
    /// What is said of them, in the shape of [`Bounds`]; the rest is as for all.
    #[serde(flatten)]
    said: Table,
}

impl<'de> Deserialize<'de> for TierThresholds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut said = Table::deserialize(deserializer)?;
        let tier = said.remove("tier").map(TierKind::deserialize).transpose();
        let tier = tier.map_err(|error| D::Error::custom(format!("tier: {}", in_words(error.message()))))?;
        let member = match said.remove("member") {
            None => None,
            Some(Value::String(member)) => Some(member),
            Some(other) => return Err(D::Error::custom(format!("member: expected a string, found {other}"))),
        };
        if tier.is_none() && member.is_none() {
            return Err(D::Error::custom("it needs `tier`, a kind, or `member`, a name, or both"));
        }
        for (group, bounds) in &said {
            let alone = Table::from_iter([(group.clone(), bounds.clone())]);
            if let Err(error) = Bounds::deserialize(alone) {
                return Err(D::Error::custom(format!("{group}: {}", in_words(error.message()))));
            }
        }
        Ok(Self { tier, member, said })
    }
}

/// The engine's thresholds.
pub(super) fn engine(all: &Bounds, some: &[TierThresholds]) -> Thresholds {
    let only = some.iter().map(|one| {
        let member = one.member.clone().unwrap_or_else(|| "*".to_owned());
        (TierPattern { kind: one.tier, member }, one.over(all))
    });
    Thresholds { all: *all, only: only.collect() }
}

impl TierThresholds {
    fn over(&self, all: &Bounds) -> Bounds {
        let mut table = Table::try_from(all).expect("bounds are tables of numbers");
        for (group, bounds) in &self.said {
            if let (Some(Value::Table(all)), Value::Table(bounds)) = (table.get_mut(group), bounds) {
                all.extend(bounds.clone());
            }
        }
        Bounds::deserialize(table).expect("each part was read as bounds before")
    }
}

/// Both sections as they are printed.
pub(super) const COMMENTED: &str = r#"# From which level on something is bad. `inf` is never. What is usual is told from the last minutes.
[thresholds.replica_lag]
# Warning above so many seconds behind the primary, and critical.
above_s = 5.0
critical_s = 30.0
# Warning above so many seconds while it grows by 0.3 s or more each second.
growing_above_s = 1.5

[thresholds.queue]
# Warning above this age of the oldest message in seconds, and critical.
age_s = 60.0
age_critical_s = 300.0
# Warning above this age while it grows by 0.4 s or more each second.
age_growing_s = 8.0
# Warning above so many messages, and critical.
depth = inf
depth_critical = inf
# Warning above so many messages while there are 0.5 or more of them more each second.
depth_growing = 20.0

[thresholds.cache]
# Warning when the share of reads that are hits, 0 to 1, is so far under the usual, and critical.
fall = 0.15
fall_critical = 0.4
# Warning under this share whatever is usual, and critical.
below = 0.5
below_critical = 0.2

[thresholds.latency]
# Warning when p90 and p95 are so many times the usual, and critical.
times = 1.6
critical_times = 4.0
# And p95 by at least so many milliseconds; critical only by at least so many.
by_ms = 5.0
critical_by_ms = 100.0

[thresholds.errors]
# Warning when the share of requests that fail, 0 to 1, is so far over the usual, and critical.
by = 0.02
critical = 0.2

[thresholds.balance]
# Warning when one of several instances or zones takes this share of the requests, 0 to 1.
carries_all = 0.95

[thresholds.verdict]
# Requests that take longer by less than this are no incident: milliseconds, and usual durations. Where the share that
# fails reaches `errors.by`, they are one all the same.
least_ms = 0.0
least_times = 0.0
# So many requests waiting for a connection of a pool are a sign.
pool_pending = 1.0
# A processor in use for this share of the time is busy, 0 to 1.
cpu_busy = 0.6
# Memory that rose by this share of itself, steadily for a minute, fills up.
memory_rise = 0.25
# So many times the usual requests are a spike; so many times the usual instances, with no more requests, are too many.
spike_times = 2.2
fleet_times = 2.5

# Other thresholds for some tiers, by kind, by name (`*` stands for anything), or both; the first that matches. What is
# not given here is as above.
#[[tier_thresholds]]
#tier = "db-replica"
#member = "reports*"
#replica_lag = { above_s = 60, critical_s = 600 }
"#;

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn what_is_said_of_some_tiers_is_laid_over_what_holds_for_all() {
        let text = "
            [thresholds.replica_lag]
            above_s = 10
            critical_s = 20
            [[tier_thresholds]]
            tier = \"db-replica\"
            member = \"reports*\"
            replica_lag = { above_s = 15 }
        ";
        let thresholds = read(text).unwrap().engine().thresholds;
        let lag = |id| {
            let lag = thresholds.of_id(id).replica_lag;
            [lag.above_s, lag.critical_s, lag.growing_above_s]
        };
        assert_eq!(lag("db-replica/orders").map(f64::to_bits), [10.0, 20.0, 1.5].map(f64::to_bits));
        assert_eq!(lag("db-replica/reports@db3").map(f64::to_bits), [15.0, 20.0, 1.5].map(f64::to_bits));
    }

    #[test]
    fn what_is_wrong_in_them_is_told_by_its_name() {
        let said = |text: &str| read(text).unwrap_err()[0].to_string();
        assert_eq!(
            said("[thresholds.cache]\nfall = 15\n"),
            "2:8: thresholds.cache.fall: 15 is not a share from 0 to 1"
        );
        assert_eq!(
            said("[[tier_thresholds]]\ntier = \"cache\"\ncache = { fal = 0.1 }\n"),
            "1:1: tier_thresholds: cache: there is no such key as `fal`; did you mean `fall`?"
        );
        assert!(said("[[tier_thresholds]]\nqueue = { age_s = 1 }\n").contains("it needs `tier`"));
        assert!(said("[[tier_thresholds]]\ntier = \"cahce\"\n").contains("did you mean `cache`?"));
    }
}
