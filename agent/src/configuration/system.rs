//! `[time]` and `[capacity]`: what is known of the watched system beforehand.

use serde::{Deserialize, Serialize};
use tiertop_core::config::{CapacityRules, TimeRules};

use super::ranges::{positive, whole};

/// `[time]`: how far event times may be from the clock, and what figures cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Time {
    /// A second is closed so many seconds after it ended.
    #[serde(deserialize_with = "whole::<1, 60, _, _>")]
    pub lateness_s: u64,
    /// A span that ends so many seconds ahead has a clock that is wrong.
    #[serde(deserialize_with = "whole::<0, 60, _, _>")]
    pub future_s: u64,
    /// Seconds that figures cover.
    #[serde(deserialize_with = "whole::<1, 60, _, _>")]
    pub window_s: u64,
    /// Seconds from which what is usual is told.
    #[serde(deserialize_with = "whole::<60, 3600, _, _>")]
    pub usual_s: u64,
}

impl Default for Time {
    fn default() -> Self {
        let TimeRules { lateness_s, future_s, window_s, usual_s } = TimeRules::default();
        Self { lateness_s, future_s, window_s, usual_s }
    }
}

/// `[capacity]`: what load is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Users that a request a second at the front stands for.
    #[serde(deserialize_with = "positive")]
    pub users_per_rps: f64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { users_per_rps: CapacityRules::default().users_per_request_per_second }
    }
}

/// `[time]` as it is printed.
pub(super) const TIME: &str = "\
# How far event times may be from the clock of this machine, and what figures cover, in seconds.
[time]
# A second is closed so long after it ended; spans that come later count as late. 1 to 60.
lateness_s = 10
# A span that ends so far ahead is counted now: its clock is wrong. 0 to 60.
future_s = 2
# What the figures on the screen cover. 1 to 60.
window_s = 10
# From how long what is usual is told, less the newest half minute. 60 to 3600; longer takes more memory.
usual_s = 300
";

/// `[capacity]` as it is printed.
pub(super) const CAPACITY: &str = "\
# What load is worth.
[capacity]
# How many users a request a second at the front stands for (--users-per-rps): users of a month over mean requests a
# second. The default is that of the reference system of ten million users.
users_per_rps = 250.0
";
