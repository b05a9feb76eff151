//! Seconds that take nothing more: exact counts, as exporters ship them.
//!
//! A second closes once telemetry for it counts as late. From then on its figures never change, so
//! what was shipped of it can be compared with what was shown. A tier that becomes known only after its
//! first seconds closed is handed on with them then: such a second comes again, with what was missing.

use serde::{Deserialize, Serialize};

use super::{BucketView, SignalKind};
use crate::phase::Phase;
use crate::tier::TierKind;

/// One closed second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClosedSecondView {
    /// The second, Unix time.
    pub unix_s: u64,
    /// The phase as it stood.
    pub phase: Option<Phase>,
    /// Open incidents as they stood; `None` for a second that nobody watched.
    pub incidents_open: Option<u64>,
    /// The tiers of which anything is known for it, in request order.
    pub tiers: Vec<ClosedTierView>,
}

/// One tier in a closed second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedTierView {
    /// Kind and member, such as `app/checkout`.
    pub id: String,
    /// The kind.
    pub kind: TierKind,
    /// The member's name.
    pub member: String,
    /// Requests that ended in it, counted exactly: sampled ones by their weight. A tier's own histogram
    /// is counted in the second in which its interval ended.
    pub requests: Option<u64>,
    /// Of these, failed ones.
    pub errors: Option<u64>,
    /// How long they took; `None` without requests.
    pub latency: Option<LatencyView>,
    /// Requests in progress, as they stood.
    pub in_flight: Option<f64>,
    /// Whether the verdict of an open incident named it, as it stood; `None` for a second that nobody watched.
    pub is_bottleneck: Option<bool>,
    /// Its signals as they stood, one entry a part.
    pub signals: Vec<ClosedSignalView>,
}

/// How long requests took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyView {
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// All of them, ascending, empty buckets left out.
    pub buckets: Vec<BucketView>,
}

/// One part's signal as it stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedSignalView {
    /// What it says, with its unit.
    pub kind: SignalKind,
    /// Which part of the tier; empty for all of it.
    pub part: String,
    /// The figure.
    pub value: f64,
}
