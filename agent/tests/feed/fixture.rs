//! Snapshots in which every field says something.
//!
//! Every struct is written out in full: a field added to the snapshot does not compile until the
//! round trip covers it. Values come from a seed, so that no two fields are alike.

use std::sync::Arc;

use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{
    BucketView, CapacityView, ChargeView, CheckView, ClosedSecondView, ClosedSignalView, ClosedTierView,
    DiagnosisState, DiagnosisView, EdgeView, ExporterState, ExporterTrouble, ExporterView, FiguresFrom, HeadroomView,
    IncidentView, Inferable, InstanceView, KeptFor, LatencyView, OperationView, PipelineView, ReasonCount,
    SNAPSHOT_VERSION, ScalabilityView, SeriesView, Severity, ShippingCost, SignalKind, SignalView, Snapshot,
    SourceView, SpoolView, StallView, TREND_SECONDS, TierState, TierView, TraceSpanView, TraceView, TrendView,
    WallView, WarningView, Window,
};
use tiertop_core::tier::TierKind;
use tiertop_core::verdict::{Alternative, TierRef, Verdict};

pub(crate) const FIGURES_FROM: [FiguresFrom; 4] =
    [FiguresFrom::OwnSpans, FiguresFrom::CallerSpans, FiguresFrom::Metrics, FiguresFrom::SpansAndMetrics];

pub(crate) const STATES: [TierState; 3] = [TierState::Fine, TierState::Warning, TierState::Critical];

pub(crate) const SIGNALS: [SignalKind; 14] = [
    SignalKind::CacheHitRatio,
    SignalKind::ReplicaLagSeconds,
    SignalKind::QueueDepth,
    SignalKind::QueueOldestAgeSeconds,
    SignalKind::QueueInFlight,
    SignalKind::PoolUsed,
    SignalKind::PoolMax,
    SignalKind::PoolPending,
    SignalKind::PoolWaitSeconds,
    SignalKind::CpuRatio,
    SignalKind::MemoryBytes,
    SignalKind::EvictionsPerSecond,
    SignalKind::WorkersBusy,
    SignalKind::WorkersMax,
];

pub(crate) const PHASES: [Phase; 6] =
    [Phase::SingleBox, Phase::WebTier, Phase::DatabaseReads, Phase::Spikes, Phase::Writes, Phase::Regions];

pub(crate) const DIAGNOSIS_STATES: [DiagnosisState; 5] = [
    DiagnosisState::Learning,
    DiagnosisState::TooFew,
    DiagnosisState::Healthy,
    DiagnosisState::Unexplained,
    DiagnosisState::Named,
];

pub(crate) const EXPORTER_STATES: [ExporterState; 4] =
    [ExporterState::Starting, ExporterState::Shipping, ExporterState::Retrying, ExporterState::Blocked];

pub(crate) const KEPT_FOR: [KeptFor; 4] = [KeptFor::Slowest, KeptFor::Failed, KeptFor::Stalled, KeptFor::Sample];

/// How much of everything a snapshot holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) tiers: usize,
    pub(crate) instances: usize,
    pub(crate) operations: usize,
    pub(crate) buckets: usize,
    pub(crate) traces: usize,
    pub(crate) spans: usize,
}

/// A small system.
pub(crate) const SMALL: Extent = Extent { tiers: 5, instances: 2, operations: 3, buckets: 8, traces: 2, spans: 4 };

/// A snapshot of that extent, the same for the same seed.
pub(crate) fn snapshot(seed: u64, extent: Extent) -> Snapshot {
    let mut dice = Dice(seed);
    let d = &mut dice;
    Snapshot {
        version: SNAPSHOT_VERSION,
        at_unix_ms: d.count() + 1,
        environment: d.name("environment"),
        region: d.name("region"),
        window: Window { from_unix_s: d.count(), to_unix_s: d.count() },
        tiers: d.list(extent.tiers, |d| tier(d, extent)),
        edges: d.list(extent.tiers * 2, edge),
        signals: d.list(extent.tiers * 3, signal),
        warnings: d.list(4, warning),
        diagnosis: DiagnosisView {
            state: d.one_of(&DIAGNOSIS_STATES),
            summary: d.name("replica lag"),
            traces: d.count(),
            incidents: d.list(3, incident),
        },
        capacity: capacity(d),
        stalls: d.list(2, stall),
        traces: d.list(extent.traces, |d| Arc::new(trace(d, extent))),
        closed_seconds: d.list(2, |d| closed_second(d, extent)),
        pipeline: pipeline(d, extent),
    }
}

fn closed_second(d: &mut Dice, extent: Extent) -> ClosedSecondView {
    ClosedSecondView {
        unix_s: d.count(),
        phase: d.maybe(|d| d.one_of(&PHASES)),
        incidents_open: d.maybe(Dice::count),
        tiers: d.list(extent.tiers, |d| ClosedTierView {
            id: d.name("app/checkout"),
            kind: d.one_of(&TierKind::ALL),
            member: d.name("checkout"),
            requests: d.maybe(Dice::count),
            errors: d.maybe(Dice::count),
            latency: d.maybe(|d| LatencyView {
                count: d.count(),
                sum_ms: d.figure(),
                min_ms: d.figure(),
                max_ms: d.figure(),
                buckets: d.list(extent.buckets, bucket),
            }),
            in_flight: d.maybe(Dice::figure),
            is_bottleneck: d.maybe(Dice::coin),
            signals: d.list(2, |d| ClosedSignalView {
                kind: d.one_of(&SIGNALS),
                part: d.name("orders-pool"),
                value: d.figure(),
            }),
        }),
    }
}

fn bucket(d: &mut Dice) -> BucketView {
    BucketView { lower_ms: d.figure(), upper_ms: d.figure(), count: d.count() }
}

fn exporter(d: &mut Dice) -> ExporterView {
    ExporterView {
        name: d.name("cloudwatch"),
        target: d.name("eu-central-1"),
        state: d.one_of(&EXPORTER_STATES),
        pieces: d.name("datums"),
        waiting: d.count(),
        spool: d.maybe(|d| SpoolView { bytes: d.count(), capacity_bytes: d.count() }),
        series: d.maybe(|d| SeriesView { used: d.count(), ceiling: d.count(), folded_tiers: d.count() }),
        sent: d.count(),
        refused: d.count(),
        dropped: d.list(2, reason),
        maybe_twice: d.count(),
        last_success_unix_ms: d.maybe(Dice::count),
        trouble: d.maybe(|d| ExporterTrouble {
            what: d.name("the token expired"),
            remedy: d.name("sign in"),
            since_unix_ms: d.count(),
            attempts: d.count(),
        }),
        cost: d.maybe(|d| ShippingCost { so_far_usd: d.figure(), month_usd: d.figure() }),
    }
}

fn reason(d: &mut Dice) -> ReasonCount {
    ReasonCount { reason: d.name("too long"), count: d.count() }
}

fn tier(d: &mut Dice, extent: Extent) -> TierView {
    TierView {
        id: d.name("app/checkout"),
        kind: d.one_of(&TierKind::ALL),
        member: d.name("checkout"),
        kind_reason: d.name("only reads here"),
        requests_per_second: d.maybe(Dice::figure),
        error_ratio: d.maybe(Dice::figure),
        p50_ms: d.maybe(Dice::figure),
        p90_ms: d.maybe(Dice::figure),
        p95_ms: d.maybe(Dice::figure),
        p99_ms: d.maybe(Dice::figure),
        max_ms: d.maybe(Dice::figure),
        quantile_error: d.figure(),
        figures_from: d.one_of(&FIGURES_FROM),
        sampled_ratio: d.maybe(Dice::figure),
        sampling_unknown: d.coin(),
        in_flight: d.maybe(|d| Inferable { value: d.figure(), inferred: d.coin() }),
        instances: d.list(extent.instances, |d| InstanceView {
            name: d.name("checkout-7d9f6c5b4-x2x7k"),
            zone: d.maybe(|d| d.name("eu-central-1a")),
            region: d.maybe(|d| d.name("eu-central-1")),
            version: d.maybe(|d| d.name("1.12.0")),
            requests_per_second: d.maybe(Dice::figure),
            error_ratio: d.maybe(Dice::figure),
            p95_ms: d.maybe(Dice::figure),
            silent_for_s: d.maybe(Dice::count),
        }),
        zones: d.list(2, |d| d.name("eu-central-1a")),
        operations: d.list(extent.operations, |d| OperationView {
            name: d.name("GET /articles/{id}/comments"),
            requests_per_second: d.figure(),
            error_ratio: d.figure(),
            p50_ms: d.maybe(Dice::figure),
            p95_ms: d.maybe(Dice::figure),
            p99_ms: d.maybe(Dice::figure),
            max_ms: d.maybe(Dice::figure),
            time_share: d.figure(),
        }),
        distribution: d.list(extent.buckets, bucket),
        trend: TrendView {
            ends_unix_s: d.count(),
            requests_per_second: d.trend(),
            p95_ms: d.trend(),
            error_ratio: d.trend(),
        },
        state: d.one_of(&STATES),
        silent_for_s: d.maybe(Dice::count),
    }
}

fn edge(d: &mut Dice) -> EdgeView {
    EdgeView {
        from: d.name("app/checkout"),
        to: d.name("db-primary/orders"),
        requests_per_second: d.figure(),
        error_ratio: d.figure(),
        p95_ms: d.maybe(Dice::figure),
        gap_mean_ms: d.maybe(Dice::figure),
        gap_p95_ms: d.maybe(Dice::figure),
    }
}

fn signal(d: &mut Dice) -> SignalView {
    SignalView {
        kind: d.one_of(&SIGNALS),
        tier: d.name("cache/sessions"),
        part: d.name("pool"),
        value: d.maybe(Dice::figure),
        inferred: d.coin(),
        source: d.name("db.client.connection.count"),
        slope_per_second: d.maybe(Dice::figure),
        age_s: d.maybe(Dice::figure),
        trend: d.trend(),
        hint: d.maybe(|d| d.name("switch on the receiver")),
    }
}

fn warning(d: &mut Dice) -> WarningView {
    WarningView {
        rule: d.name("replica-lag"),
        tier: d.name("db-replica/orders"),
        title: d.name("replica lag"),
        severity: d.one_of(&[Severity::Warning, Severity::Critical]),
        phase: d.maybe(|d| d.one_of(&PHASES)),
        evidence: d.list(3, |d| d.name("lag 12 s, was 0.2 s")),
        remedy_now: d.name("send reads to the primary"),
        remedy_for_good: d.name("add a replica"),
        since_unix_ms: d.count(),
        ended_unix_ms: d.maybe(Dice::count),
    }
}

fn incident(d: &mut Dice) -> IncidentView {
    IncidentView {
        id: d.count(),
        onset_unix_ms: d.count(),
        opened_unix_ms: d.count(),
        peak_unix_ms: d.count(),
        ended_unix_ms: d.maybe(Dice::count),
        usual_ms: d.maybe(Dice::figure),
        excess_ms: d.maybe(Dice::figure),
        peak_excess_ms: d.maybe(Dice::figure),
        failed_ratio: d.maybe(Dice::figure),
        verdict: d.maybe(verdict),
        unexplained: d.name("41 % attributed"),
        changes: d.count(),
        victims: d.list(2, |d| d.name("app/checkout")),
        new_versions: d.list(2, |d| d.name("app/checkout 1.4.2")),
    }
}

fn verdict(d: &mut Dice) -> Verdict {
    Verdict {
        tier: tier_ref(d),
        class: d.maybe(|d| d.name("replica-lag")),
        title: d.name("replica lag"),
        phase: d.maybe(|d| d.one_of(&PHASES)),
        confidence: d.figure(),
        explained_share: d.maybe(Dice::figure),
        alternatives: d.list(2, |d| Alternative { tier: tier_ref(d), explained_share: d.figure() }),
        onset: d.maybe(Dice::count),
        evidence: d.list(3, |d| d.name("lag 12 s, was 0.2 s")),
        remedy_now: d.maybe(|d| d.name("send reads to the primary")),
        remedy_for_good: d.maybe(|d| d.name("add a replica")),
    }
}

fn tier_ref(d: &mut Dice) -> TierRef {
    TierRef { id: d.name("db-replica/orders"), kind: d.one_of(&TierKind::ALL), member: d.name("orders") }
}

fn capacity(d: &mut Dice) -> CapacityView {
    CapacityView {
        phase: d.maybe(|d| d.one_of(&PHASES)),
        because: d.name("two instances of app"),
        next_wall: d.maybe(|d| WallView {
            phase: d.one_of(&PHASES),
            tier: d.name("db-primary/orders"),
            because: d.name("busy 66 %"),
            at_requests_per_second: d.maybe(Dice::figure),
        }),
        checklist: d.list(3, |d| CheckView {
            phase: d.one_of(&PHASES),
            question: d.name("are there two zones"),
            answer: d.maybe(Dice::coin),
            evidence: d.name("zones a and b"),
        }),
        headroom: d.list(3, |d| HeadroomView {
            tier: d.name("app/checkout"),
            utilisation: d.maybe(Dice::figure),
            source: d.name("CPU of 3 instances"),
            full_at_requests_per_second: d.maybe(Dice::figure),
        }),
        requests_per_second: d.maybe(Dice::figure),
        users_worth: d.maybe(Dice::figure),
        scalability: d.maybe(|d| ScalabilityView {
            levels: d.count(),
            per_one: d.figure(),
            contention: d.figure(),
            coherency: d.figure(),
            peak_in_flight: d.maybe(Dice::figure),
            peak_requests_per_second: d.maybe(Dice::figure),
        }),
    }
}

fn stall(d: &mut Dice) -> StallView {
    StallView {
        start_unix_ms: d.count(),
        length_ms: d.count(),
        ongoing: d.coin(),
        summary: d.name("no completions at lb for 1.8 s"),
        tier: d.maybe(|d| d.name("db-primary/orders")),
        instance: d.maybe(|d| d.name("db1")),
        edge: d.maybe(|d| (d.name("app/checkout"), d.name("db-primary/orders"))),
        requests: d.count(),
        first_moved: d.maybe(|d| d.name("INSERT orders")),
        traces: d.list(2, |d| d.name("4bf92f3577b34da6a3ce929d0e0e4736")),
    }
}

fn trace(d: &mut Dice, extent: Extent) -> TraceView {
    TraceView {
        id: d.name("4bf92f3577b34da6a3ce929d0e0e4736"),
        tier: d.name("lb/front"),
        operation: d.name("GET /articles/{id}"),
        start_unix_ms: d.count(),
        duration_ms: d.figure(),
        failed: d.coin(),
        kept_for: d.one_of(&KEPT_FOR),
        incomplete: d.coin(),
        spans: d.list(extent.spans, |d| TraceSpanView {
            parent: d.maybe(|d| d.count() as u32),
            depth: d.count() as u16,
            name: d.name("SELECT orders"),
            tier: d.name("db-primary/orders"),
            instance: d.name("app-1"),
            start_ms: d.figure(),
            duration_ms: d.figure(),
            failed: d.coin(),
            call: d.coin(),
            moved_ms: d.maybe(Dice::figure),
            critical: d.list(2, |d| (d.figure(), d.figure())),
        }),
        spans_left_out: d.count(),
        charges: d.list(3, |d| ChargeView { tier: d.name("db-primary/orders"), gap: d.coin(), charged_ms: d.figure() }),
    }
}

fn pipeline(d: &mut Dice, extent: Extent) -> PipelineView {
    PipelineView {
        started_unix_ms: d.count(),
        listening: d.list(2, |d| d.name("grpc 127.0.0.1:4317")),
        spans_accepted: d.count(),
        spans_per_second: d.figure(),
        points_accepted: d.count(),
        points_unused: d.count(),
        logs_accepted: d.count(),
        spans_refused: d.count(),
        points_refused: d.count(),
        requests_turned_away: d.count(),
        requests_refused: d.count(),
        refusals: d.list(2, reason),
        spans_late: d.count(),
        spans_future: d.count(),
        spans_detail: d.count(),
        evictions: d.list(2, reason),
        queued_bytes: d.count(),
        queue_capacity_bytes: d.count(),
        engine_bytes: d.count(),
        sources: d.list(extent.tiers * extent.instances, |d| SourceView {
            service: d.name("checkout"),
            instance: d.maybe(|d| d.name("checkout-7d9f6c5b4-x2x7k")),
            spans: d.count(),
            points: d.count(),
            late: d.count(),
            delay_ms: d.maybe(Dice::figure),
            last_seen_s: d.figure(),
            silent: d.coin(),
        }),
        exporters: d.list(2, exporter),
    }
}

/// Numbers that look random and are the same each time (Steele et al., "Fast splittable
/// pseudorandom number generators", 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.roll().is_multiple_of(2)
    }

    fn count(&mut self) -> u64 {
        self.roll() >> (self.roll() % 64)
    }

    fn figure(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / 1e12
    }

    fn name(&mut self, stem: &str) -> String {
        format!("{stem}-{}", self.roll() % 1000)
    }

    /// Known seven times in eight.
    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.roll().is_multiple_of(8)).then(|| make(self))
    }

    fn list<T>(&mut self, length: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..length).map(|_| make(self)).collect()
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.roll() as usize % items.len()]
    }

    fn trend(&mut self) -> Vec<Option<f32>> {
        self.list(TREND_SECONDS, |d| d.maybe(|d| d.figure() as f32))
    }
}
