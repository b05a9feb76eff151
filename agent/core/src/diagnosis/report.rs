//! What an analysis says: plain data with units in its names, which is also the documented JSON.
//!
//! `None` means "unknown", which is never the same as zero.

use serde::Serialize;

use crate::snapshot::{IncidentView, StallView};
use crate::verdict::{TierRef, Verdict};

/// Version of the shape of [`Report`]: grows when a field changes its meaning or goes away.
pub const REPORT_VERSION: u32 = 1;

/// Everything that an analysis found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The result in a line.
    pub summary: String,
    /// The bottlenecks, best first; empty when nothing is wrong, or nothing can be said.
    pub verdicts: Vec<Verdict>,
    /// Incidents that came and went, by their onset: in a capture of more than three minutes.
    pub incidents: Vec<IncidentView>,
    /// The tiers, most time first.
    pub tiers: Vec<TierCharge>,
    /// Stalls of the capture that was judged, in order of time.
    pub stalls: Vec<StallView>,
    /// The requests that were judged.
    pub window: Stretch,
    /// The requests that they were compared with.
    pub baseline: Stretch,
    /// Mean duration of a request, milliseconds, by the baseline.
    pub usual_ms: Option<f64>,
    /// By how much the average request takes longer, milliseconds, route by route.
    pub excess_ms: Option<f64>,
    /// What the capture held.
    pub traces: TraceCounts,
    /// What was read of all files.
    pub read: ReadCounts,
}

/// What was read, the baseline included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadCounts {
    /// Spans that were accepted.
    pub spans: u64,
    /// Metric points that were accepted.
    pub points: u64,
    /// Spans and points that were refused as invalid.
    pub refused: u64,
}

/// A stretch of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// When the first began, milliseconds since the Unix epoch.
    pub from_unix_ms: Option<u64>,
    /// When the last began.
    pub to_unix_ms: Option<u64>,
    /// How many.
    pub requests: u64,
}

/// What the capture that was judged held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TraceCounts {
    /// Traces.
    pub traces: u64,
    /// Of these, traces of which spans are missing.
    pub incomplete: u64,
    /// Spans whose parent is missing, with what hangs below them: in no request.
    pub orphans: u64,
    /// One trace in so many was looked at; the others were over the ceiling of memory.
    pub kept_one_in: u64,
}

/// What requests spent in a tier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TierCharge {
    /// The tier.
    pub tier: TierRef,
    /// Visits in the window.
    pub visits: u64,
    /// Milliseconds of an average request on its critical path, in the baseline.
    pub usual_ms: f64,
    /// The same in the window.
    pub now_ms: f64,
    /// Its share of the critical path in the window, 0 to 1.
    pub path_share: f64,
    /// Milliseconds of an average request between its callers and it, in the window; `None` without such spans.
    pub gap_ms: Option<f64>,
    /// Visits in which a failure began, over visits, 0 to 1.
    pub failed_ratio: f64,
}
