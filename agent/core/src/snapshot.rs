//! What a screen shows for one second: plain data with units in its names.
//!
//! A snapshot is also the documented JSON of `--once --json` and, converted, a message of the feed.
//! Everywhere `None` means "unknown", which is never the same as zero.
//!
//! Figures of tiers, edges and instances cover [`Window`], the last seconds that have had time to
//! arrive, and those of operations the last 30 settled seconds; trends go on to the present second,
//! whose last values are provisional.

mod capacity;
mod closed;
mod diagnosis;
mod shipping;
mod traces;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use capacity::{CapacityView, CheckView, HeadroomView, ScalabilityView, WallView};
pub use closed::{ClosedSecondView, ClosedSignalView, ClosedTierView, LatencyView};
pub use diagnosis::{DiagnosisState, DiagnosisView, IncidentView};
pub use shipping::{ExporterState, ExporterTrouble, ExporterView, SeriesView, ShippingCost, SpoolView};
pub use traces::{ChargeView, KeptFor, StallView, TraceSpanView, TraceView};

use crate::phase::Phase;
use crate::tier::TierKind;

/// Version of the shape of [`Snapshot`]: grows when a field changes its meaning or goes away.
pub const SNAPSHOT_VERSION: u32 = 1;

/// Seconds of figures that it takes to know what is usual for a tier.
pub const LEARNING_SECONDS: u64 = 50;

/// How many seconds a trend covers.
pub const TREND_SECONDS: usize = 60;

/// Everything known about the watched system at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_VERSION`].
    pub version: u32,
    /// When it was taken, milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// What is watched: the environments seen, such as "demo", or empty.
    pub environment: String,
    /// The regions seen, such as "eu-central-1", or empty.
    pub region: String,
    /// What the figures cover.
    pub window: Window,
    /// The tiers, in request order, busiest first within a kind.
    pub tiers: Vec<TierView>,
    /// Who calls whom, busiest first.
    pub edges: Vec<EdgeView>,
    /// Figures other than rate, errors and latency. The headline kinds come first and are always
    /// present, with `value` `None` and a hint where nothing is known.
    pub signals: Vec<SignalView>,
    /// Open warnings, worst and oldest first, then those that ended in the last minutes.
    pub warnings: Vec<WarningView>,
    /// Incidents with their verdicts.
    pub diagnosis: DiagnosisView,
    /// The phase, and how far the next wall is.
    pub capacity: CapacityView,
    /// Stalls, those that last first, then the newest first.
    pub stalls: Vec<StallView>,
    /// Traces that were kept, slowest first.
    pub traces: Vec<Arc<TraceView>>,
    /// The seconds that closed since the snapshot before, oldest first: normally one.
    pub closed_seconds: Vec<ClosedSecondView>,
    /// What arrived and what became of it.
    pub pipeline: PipelineView,
}

impl Snapshot {
    /// Seconds until enough was seen to know what is usual, or `None` once it was: see
    /// [`LEARNING_SECONDS`]. Warnings that compare with what is usual are silent until then.
    pub fn learning_left_s(&self) -> Option<u64> {
        let seen = |tier: &TierView| tier.trend.requests_per_second.iter().flatten().count() as u64;
        let longest = self.tiers.iter().map(seen).max().unwrap_or_default();
        LEARNING_SECONDS.checked_sub(longest).filter(|left| *left > 0)
    }

    /// Seconds for which every service that ever took a request has been silent, if all are.
    pub fn all_silent_for_s(&self) -> Option<u64> {
        let services = || self.tiers.iter().filter(|tier| tier.figures_from != FiguresFrom::CallerSpans);
        let silent = services().map(|tier| tier.silent_for_s).collect::<Option<Vec<u64>>>()?;
        silent.into_iter().min()
    }
}

/// The seconds that figures cover: `from_unix_s` up to and including `to_unix_s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First second, Unix time.
    pub from_unix_s: u64,
    /// Last second, Unix time.
    pub to_unix_s: u64,
}

/// One tier: a kind and a member, with its instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierView {
    /// Kind and member, such as `app/checkout`: unique in a snapshot and stable over time, but for a role learned late.
    pub id: String,
    /// The kind.
    pub kind: TierKind,
    /// The member's name: a service, or a peer such as `orders@db1:5432`.
    pub member: String,
    /// How the kind was told, such as "spans", "address says replica", "only reads here", "configuration".
    pub kind_reason: String,
    /// Requests a second.
    pub requests_per_second: Option<f64>,
    /// Failed requests over all requests, 0 to 1.
    pub error_ratio: Option<f64>,
    /// Median latency.
    pub p50_ms: Option<f64>,
    /// 90th percentile of latency.
    pub p90_ms: Option<f64>,
    /// 95th percentile of latency.
    pub p95_ms: Option<f64>,
    /// 99th percentile of latency.
    pub p99_ms: Option<f64>,
    /// Greatest latency.
    pub max_ms: Option<f64>,
    /// Relative error bound of the quantiles: 0.011 from spans, more from a service's own coarse histogram.
    pub quantile_error: f64,
    /// Where rate and latency come from.
    pub figures_from: FiguresFrom,
    /// Share of requests that arrive as spans, where sampling is known to be at work; 0 to 1.
    pub sampled_ratio: Option<f64>,
    /// Spans are sampled but nobody says how strongly: rates are too low by an unknown factor.
    pub sampling_unknown: bool,
    /// Requests in progress.
    pub in_flight: Option<Inferable>,
    /// The instances seen in the last minutes, by zone and name.
    pub instances: Vec<InstanceView>,
    /// Zones in which instances run, sorted; empty when nobody says.
    pub zones: Vec<String>,
    /// The busiest operations, most time first; the last may be "other".
    pub operations: Vec<OperationView>,
    /// Latencies in the window, ascending, empty buckets left out.
    pub distribution: Vec<BucketView>,
    /// The last minute.
    pub trend: TrendView,
    /// Whether a warning is open on it.
    pub state: TierState,
    /// Seconds since anything arrived about it, when that is longer than its usual interval.
    pub silent_for_s: Option<u64>,
}

impl TierView {
    /// A tier of which nothing is known but its name.
    pub fn named(kind: TierKind, member: &str) -> Self {
        Self {
            id: format!("{kind}/{member}"),
            kind,
            member: member.to_owned(),
            kind_reason: String::new(),
            requests_per_second: None,
            error_ratio: None,
            p50_ms: None,
            p90_ms: None,
            p95_ms: None,
            p99_ms: None,
            max_ms: None,
            quantile_error: 0.0,
            figures_from: FiguresFrom::default(),
            sampled_ratio: None,
            sampling_unknown: false,
            in_flight: None,
            instances: Vec::new(),
            zones: Vec::new(),
            operations: Vec::new(),
            distribution: Vec::new(),
            trend: TrendView::default(),
            state: TierState::default(),
            silent_for_s: None,
        }
    }

    /// The instances that are not silent.
    pub fn live_instances(&self) -> impl DoubleEndedIterator<Item = &InstanceView> {
        self.instances.iter().filter(|instance| instance.silent_for_s.is_none())
    }
}

/// Whether a tier has an open warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierState {
    /// None.
    #[default]
    Fine,
    /// A warning is open.
    Warning,
    /// A critical warning is open.
    Critical,
}

/// Where a tier's rate and latency come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FiguresFrom {
    /// Its own spans.
    #[default]
    OwnSpans,
    /// Its callers' client spans: it has none of its own.
    CallerSpans,
    /// Its own duration histograms: no spans arrive.
    Metrics,
    /// Spans for latency, its own metrics for the rate, because spans are sampled.
    SpansAndMetrics,
}

/// A figure that may be inferred rather than reported.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inferable {
    /// The figure.
    pub value: f64,
    /// Worked out from spans, not reported; for in-flight a lower bound.
    pub inferred: bool,
}

/// One process or node of a tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its id: `service.instance.id`, a host, or an address.
    pub name: String,
    /// Availability zone, where known.
    pub zone: Option<String>,
    /// Region, where known.
    pub region: Option<String>,
    /// `service.version`, where known.
    pub version: Option<String>,
    /// Requests a second.
    pub requests_per_second: Option<f64>,
    /// Failed over all, 0 to 1.
    pub error_ratio: Option<f64>,
    /// 95th percentile of latency.
    pub p95_ms: Option<f64>,
    /// Seconds since anything arrived from it, when that is longer than its usual interval.
    pub silent_for_s: Option<u64>,
}

/// What a tier was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationView {
    /// Route, statement summary, queue name; never a raw URL or statement.
    pub name: String,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Failed over all, 0 to 1.
    pub error_ratio: f64,
    /// Median latency.
    pub p50_ms: Option<f64>,
    /// 95th percentile of latency.
    pub p95_ms: Option<f64>,
    /// 99th percentile of latency.
    pub p99_ms: Option<f64>,
    /// Greatest latency.
    pub max_ms: Option<f64>,
    /// Its share of all the time this tier's requests took, 0 to 1.
    pub time_share: f64,
}

/// One bucket of a latency distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BucketView {
    /// Latencies above this ...
    pub lower_ms: f64,
    /// ... up to and including this.
    pub upper_ms: f64,
    /// How many.
    pub count: u64,
}

/// The last [`TREND_SECONDS`], one value a second, oldest first; `None` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrendView {
    /// The second of the last value, Unix time.
    pub ends_unix_s: u64,
    /// Requests a second.
    pub requests_per_second: Vec<Option<f32>>,
    /// 95th percentile of latency.
    pub p95_ms: Vec<Option<f32>>,
    /// Failed over all, 0 to 1.
    pub error_ratio: Vec<Option<f32>>,
}

/// Caller tier to callee tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeView {
    /// [`TierView::id`] of the caller.
    pub from: String,
    /// [`TierView::id`] of the callee.
    pub to: String,
    /// Calls a second.
    pub requests_per_second: f64,
    /// Failed over all, as the caller saw it, 0 to 1.
    pub error_ratio: f64,
    /// 95th percentile of the call as the caller saw it.
    pub p95_ms: Option<f64>,
    /// Mean of caller's duration less callee's: network, accept queue, pool. `None` for a callee without spans of its own.
    pub gap_mean_ms: Option<f64>,
    /// 95th percentile of the gap.
    pub gap_p95_ms: Option<f64>,
}

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalKind {
    /// Hits over hits and misses, 0 to 1. A headline.
    CacheHitRatio,
    /// How far a replica's data is behind the primary's, seconds. A headline.
    ReplicaLagSeconds,
    /// Messages waiting. A headline.
    QueueDepth,
    /// Age of the oldest waiting message, seconds. A headline.
    QueueOldestAgeSeconds,
    /// Messages taken and not yet done.
    QueueInFlight,
    /// Connections in use.
    PoolUsed,
    /// Connections there may be.
    PoolMax,
    /// Requests waiting for a connection.
    PoolPending,
    /// Mean wait for a connection, seconds.
    PoolWaitSeconds,
    /// CPU in use over CPU there is, 0 to 1.
    CpuRatio,
    /// Memory in use, bytes.
    MemoryBytes,
    /// Keys thrown out a second to make room.
    EvictionsPerSecond,
    /// Requests that a service works for now, of those it can at once.
    WorkersBusy,
    /// Requests that a service works for at once, at most.
    WorkersMax,
}

impl SignalKind {
    /// The kinds that the overview always shows, known or not.
    pub const HEADLINES: [Self; 4] =
        [Self::CacheHitRatio, Self::ReplicaLagSeconds, Self::QueueDepth, Self::QueueOldestAgeSeconds];
}

/// A figure other than rate, errors and latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// What it says, with its unit.
    pub kind: SignalKind,
    /// [`TierView::id`] of the tier it belongs to, or empty for a headline that nothing is known about.
    pub tier: String,
    /// Which part of the tier, such as an instance, a queue or a pool; empty for all of it.
    pub part: String,
    /// The figure, in the unit its kind names; `None` when unknown.
    pub value: Option<f64>,
    /// Worked out from spans because no metric says it.
    pub inferred: bool,
    /// The metric it comes from, or how it was inferred.
    pub source: String,
    /// How fast it has been changing, per second, over the last half minute; `None` when too little is known.
    pub slope_per_second: Option<f64>,
    /// Seconds since the value was measured.
    pub age_s: Option<f64>,
    /// The last minute, one value a second, oldest first, held between reports.
    pub trend: Vec<Option<f32>>,
    /// What to switch on when the value is unknown.
    pub hint: Option<String>,
}

/// How bad a warning is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Look at it.
    #[default]
    Warning,
    /// Users feel it, or will soon.
    Critical,
}

/// Something gone bad, with the phase that it is the wall of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WarningView {
    /// The rule's name, kebab-case, such as `replica-lag`.
    pub rule: String,
    /// [`TierView::id`] of the tier it is about.
    pub tier: String,
    /// What is wrong, in a few words, such as "replica lag".
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// The phase this is the wall of.
    pub phase: Option<Phase>,
    /// What was measured, most telling first.
    pub evidence: Vec<String>,
    /// What to do now.
    pub remedy_now: String,
    /// What to do for good.
    pub remedy_for_good: String,
    /// When it began, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// When it ended, if it did.
    pub ended_unix_ms: Option<u64>,
}

/// What arrived and what became of it. Counts are since the agent started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineView {
    /// When the agent started, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Addresses it listens on for OTLP, such as `grpc 127.0.0.1:4317`.
    pub listening: Vec<String>,
    /// Spans accepted.
    pub spans_accepted: u64,
    /// Spans accepted in the last second, averaged over a few.
    pub spans_per_second: f64,
    /// Metric points accepted.
    pub points_accepted: u64,
    /// Metric points accepted that are of names nothing here reads.
    pub points_unused: u64,
    /// Log records accepted; they are only counted.
    pub logs_accepted: u64,
    /// Spans refused as invalid or over a limit (the client was told).
    pub spans_refused: u64,
    /// Metric points refused as invalid or over a limit (the client was told).
    pub points_refused: u64,
    /// Whole requests turned away because the agent was full (the client was told to try again).
    pub requests_turned_away: u64,
    /// Whole requests refused as malformed or over a limit.
    pub requests_refused: u64,
    /// Why things were refused, with counts.
    pub refusals: Vec<ReasonCount>,
    /// Spans that came after their second was closed: counted here, in no window.
    pub spans_late: u64,
    /// Spans that ended in the future by more than a clock may differ.
    pub spans_future: u64,
    /// Spans that were transport detail of another call (counted once, with that call).
    pub spans_detail: u64,
    /// Details given up to stay under a ceiling, with counts: operations folded into "other", and the like.
    pub evictions: Vec<ReasonCount>,
    /// Bytes waiting for the engine, and how many may wait.
    pub queued_bytes: u64,
    /// See `queued_bytes`.
    pub queue_capacity_bytes: u64,
    /// Bytes that the engine's own tables are estimated to hold.
    pub engine_bytes: u64,
    /// Who sends.
    pub sources: Vec<SourceView>,
    /// The exporters that were asked for.
    pub exporters: Vec<ExporterView>,
}

/// A reason and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The reason, in words.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// One process that sends telemetry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceView {
    /// Service name.
    pub service: String,
    /// Instance, where known.
    pub instance: Option<String>,
    /// Spans accepted from it.
    pub spans: u64,
    /// Metric points accepted from it.
    pub points: u64,
    /// Spans that came too late.
    pub late: u64,
    /// How long after their end its spans arrive: the longest of late, forgotten slowly.
    pub delay_ms: Option<f64>,
    /// Seconds since anything came from it.
    pub last_seen_s: f64,
    /// It has been silent for much longer than its usual interval.
    pub silent: bool,
}

/// What receivers and exporters counted, handed to the engine at each tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngestCounts {
    /// Addresses listened on, such as `grpc 127.0.0.1:4317`.
    pub listening: Vec<String>,
    /// Spans refused as invalid or over a limit.
    pub spans_refused: u64,
    /// Points refused as invalid or over a limit.
    pub points_refused: u64,
    /// Requests turned away because full.
    pub requests_turned_away: u64,
    /// Requests refused as malformed or over a limit.
    pub requests_refused: u64,
    /// Reasons with counts.
    pub refusals: Vec<ReasonCount>,
    /// Bytes waiting for the engine.
    pub queued_bytes: u64,
    /// How many bytes may wait.
    pub queue_capacity_bytes: u64,
    /// How the exporters are.
    pub exporters: Vec<ExporterView>,
}
