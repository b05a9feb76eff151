//! Made-up systems for tests and for a look at the screens: always the same, at 14:03:27 UTC.

mod incidents;
mod shipping;
mod tiers;
mod traces;
mod warnings;

use tiertop_core::snapshot::{
    EdgeView, FiguresFrom, InstanceView, PipelineView, ReasonCount, SNAPSHOT_VERSION, SignalKind, SignalView, Snapshot,
    SourceView, TierState, TierView, WarningView, Window,
};
use tiertop_core::tier::TierKind;

use incidents::{capacity, explained, healthy, over, past_stalls, present_stall, puzzling};
use tiers::{instance, scaled, tier, wave};
use warnings::{ended, primary_busy, queue_age, replica_lag};

/// 2026-03-14, 14:03:27 UTC, in seconds.
pub const NOW_S: u64 = 1_773_497_007;

const NOW_MS: u64 = NOW_S * 1000;

/// Twelve tiers and a replica that falls behind: a verdict, with two lesser warnings.
pub fn warning() -> Snapshot {
    let mut shown = system(9.0);
    shown.diagnosis = explained();
    shown.warnings = vec![replica_lag(), primary_busy(), queue_age(), ended()];
    for (member, state) in
        [("orders-ro", TierState::Critical), ("orders@db1", TierState::Warning), ("content-jobs", TierState::Warning)]
    {
        let mut of_member = shown.tiers.iter_mut();
        if let Some(tier) = of_member.find(|tier| tier.member.starts_with(member)) {
            tier.state = state;
        }
    }
    shown
}

/// The same system while nothing comes out of it, and nobody knows why.
pub fn stalled() -> Snapshot {
    let mut shown = system(5.0);
    shown.diagnosis = puzzling();
    shown.stalls.insert(0, present_stall());
    shown
}

/// The same system on a good day.
pub fn calm() -> Snapshot {
    let mut shown = system(1.0);
    shown.diagnosis = healthy();
    shown.warnings = vec![ended()];
    for signal in &mut shown.signals {
        if signal.kind == SignalKind::ReplicaLagSeconds {
            signal.value = Some(0.2);
            signal.slope_per_second = Some(0.0);
            signal.trend = wave(0.2, 1.0, 3);
        }
    }
    shown
}

/// The same on a good day, while CloudWatch is throttled.
pub fn throttled() -> Snapshot {
    let mut shown = calm();
    shown.pipeline.exporters = shipping::throttled();
    shown
}

/// An agent that has heard nothing.
pub fn waiting() -> Snapshot {
    Snapshot {
        version: SNAPSHOT_VERSION,
        at_unix_ms: NOW_MS,
        pipeline: PipelineView {
            started_unix_ms: NOW_MS - 4000,
            listening: vec!["grpc 127.0.0.1:4317".to_owned(), "http 127.0.0.1:4318".to_owned()],
            ..PipelineView::default()
        },
        ..Snapshot::default()
    }
}

/// Thirty tiers of which little is known, with names of all sorts, sampled and silent.
pub fn odd() -> Snapshot {
    let mut shown = waiting();
    shown.pipeline.spans_accepted = u64::MAX / 2;
    shown.pipeline.spans_refused = 123_456;
    shown.pipeline.requests_turned_away = 7;
    shown.pipeline.spans_late = 1_000_000;
    shown.pipeline.spans_per_second = 123_456.0;
    let names = ["注文サービス", "orders-with-a-very-long-name@db-17.internal.example:5432", "x", "é̂"];
    for number in 0..30_usize {
        let kind = TierKind::ALL[number * 13 / 30];
        let mut tier = tier(kind, &format!("{}{number}", names[number % 4]), None, None);
        match number % 5 {
            0 => tier.silent_for_s = Some(12 + number as u64 * 400),
            1 => tier.sampling_unknown = true,
            2 => tier.sampled_ratio = Some(0.1),
            3 => tier.quantile_error = 0.2,
            _ => {}
        }
        if number % 5 > 0 {
            tier.requests_per_second = Some(number as f64 * 1234.5);
            tier.p95_ms = Some(number as f64 * 9876.5);
            tier.error_ratio = Some(0.0004);
        }
        tier.state = if number == 17 { TierState::Warning } else { TierState::Fine };
        shown.tiers.push(tier);
    }
    shown.signals = SignalKind::HEADLINES
        .iter()
        .map(|kind| SignalView {
            hint: Some("switch on the metrics of the client library".to_owned()),
            ..signal(*kind, "", None, Vec::new())
        })
        .collect();
    shown.warnings = vec![WarningView {
        rule: "odd".to_owned(),
        tier: shown.tiers[17].id.clone(),
        title: "something without a phase, evidence or remedies".to_owned(),
        since_unix_ms: NOW_MS - 90_000_000,
        ..WarningView::default()
    }];
    shown
}

/// The same snapshot some seconds later: times move, figures stay.
pub fn later(mut shown: Snapshot, seconds: u64) -> Snapshot {
    shown.at_unix_ms += seconds * 1000;
    for tier in &mut shown.tiers {
        tier.trend.ends_unix_s += seconds;
        for values in [&mut tier.trend.p95_ms, &mut tier.trend.requests_per_second] {
            let many = values.len().max(1);
            values.rotate_left((seconds as usize) % many);
        }
    }
    shown
}

/// The system of the reference: `strain` multiplies the latencies that the replica causes.
fn system(strain: f64) -> Snapshot {
    let slow = Some(strain);
    let mut tiers = vec![
        tier(TierKind::Edge, "cdn", Some(402.0), Some((1.0, 4.1, 11.0))),
        tier(TierKind::Lb, "lb", Some(241.0), scaled(12.0, slow)),
        tier(TierKind::Web, "web", Some(241.0), scaled(11.0, slow)),
        tier(TierKind::App, "content", Some(241.0), scaled(10.0, slow)),
        tier(TierKind::Cache, "redis", Some(262.0), Some((0.3, 0.8, 1.9))),
        tier(TierKind::DbPrimary, "orders@db1:5432", Some(61.0), scaled(4.0, slow)),
        tier(TierKind::DbReplica, "orders-ro@db2:5432", Some(44.0), scaled(6.6, slow)),
        tier(TierKind::ObjectStore, "s3 content-assets", Some(2.4), Some((6.0, 12.0, 15.0))),
        tier(TierKind::Queue, "content-jobs", Some(2.4), None),
        tier(TierKind::Worker, "content-worker", Some(2.4), Some((31.0, 44.0, 61.0))),
        tier(TierKind::Warehouse, "redshift", Some(0.02), Some((900.0, 2400.0, 2400.0))),
        tier(TierKind::External, "api.payments.example", Some(12.0), Some((80.0, 140.0, 310.0))),
    ];
    for place in [2, 3, 9] {
        let member = tiers[place].member.clone();
        tiers[place].instances = vec![instance(&member, 'a', 1), instance(&member, 'b', 2)];
        tiers[place].zones = vec!["eu-central-1a".to_owned(), "eu-central-1b".to_owned()];
    }
    tiers[3].instances.push(InstanceView { silent_for_s: Some(42), ..instance("content", 'b', 3) });
    tiers[3].error_ratio = Some(0.0012);
    tiers[6].kind_reason = String::from("address says replica");
    tiers[4].sampled_ratio = Some(0.25);
    tiers[11].figures_from = FiguresFrom::Metrics;
    tiers[11].quantile_error = 0.15;
    tiers[10].silent_for_s = Some(47);
    let edges = edges(&tiers);
    Snapshot {
        version: SNAPSHOT_VERSION,
        at_unix_ms: NOW_MS,
        environment: "demo".to_owned(),
        region: "eu-central-1".to_owned(),
        window: Window { from_unix_s: NOW_S - 12, to_unix_s: NOW_S - 3 },
        edges,
        signals: signals(&tiers),
        warnings: Vec::new(),
        diagnosis: over(),
        capacity: capacity(),
        stalls: past_stalls(),
        traces: traces::kept(),
        closed_seconds: shipping::closed_seconds(),
        pipeline: pipeline(),
        tiers,
    }
}

fn edges(tiers: &[TierView]) -> Vec<EdgeView> {
    let calls = [
        (0, 1, Some((0.8, 2.0))),
        (1, 2, Some((0.4, 1.1))),
        (2, 3, Some((0.5, 1.4))),
        (3, 4, None),
        (3, 6, None),
        (3, 5, None),
        (3, 11, None),
        (3, 8, None),
        (9, 7, None),
    ];
    let each = calls.into_iter().map(|(from, to, gap): (usize, usize, Option<(f64, f64)>)| EdgeView {
        from: tiers[from].id.clone(),
        to: tiers[to].id.clone(),
        requests_per_second: tiers[to].requests_per_second.unwrap_or_default(),
        error_ratio: 0.0,
        p95_ms: tiers[to].p95_ms,
        gap_mean_ms: gap.map(|(mean, _)| mean),
        gap_p95_ms: gap.map(|(_, p95)| p95),
    });
    each.collect()
}

fn signals(tiers: &[TierView]) -> Vec<SignalView> {
    let mut cache = signal(SignalKind::CacheHitRatio, &tiers[4].id, Some(0.912), wave(0.912, 1.0, 2));
    cache.inferred = true;
    cache.source = String::from("cache reads followed by a database read");
    let mut lag = signal(SignalKind::ReplicaLagSeconds, &tiers[6].id, Some(8.4), wave(8.4, 20.0, 1));
    lag.slope_per_second = Some(0.9);
    lag.source = String::from("postgresql.wal.delay");
    let depth = signal(SignalKind::QueueDepth, &tiers[8].id, Some(124.0), wave(124.0, 2.0, 5));
    let age = signal(SignalKind::QueueOldestAgeSeconds, &tiers[8].id, Some(2.1), wave(2.1, 2.0, 4));
    let mut pool = signal(SignalKind::PoolUsed, &tiers[6].id, Some(18.0), wave(18.0, 2.0, 7));
    pool.part = String::from("reads");
    let mut most = signal(SignalKind::PoolMax, &tiers[6].id, Some(20.0), wave(20.0, 1.0, 11));
    most.part = String::from("reads");
    let cpu = signal(SignalKind::CpuRatio, &tiers[6].id, Some(0.83), wave(0.83, 2.0, 3));
    let memory = signal(SignalKind::MemoryBytes, &tiers[4].id, Some(1.5e9), wave(1.5e9, 1.0, 3));
    vec![cache, lag, depth, age, pool, most, cpu, memory]
}

fn signal(kind: SignalKind, tier: &str, value: Option<f64>, trend: Vec<Option<f32>>) -> SignalView {
    SignalView {
        kind,
        tier: tier.to_owned(),
        part: String::new(),
        value,
        inferred: false,
        source: "metrics".to_owned(),
        slope_per_second: None,
        age_s: value.map(|_| 4.0),
        trend,
        hint: None,
    }
}

fn pipeline() -> PipelineView {
    let source = |number: u32| SourceView {
        service: "content".to_owned(),
        instance: Some(format!("content-{number}")),
        spans: 104_000,
        points: 900,
        late: u64::from(number == 3),
        delay_ms: Some(620.0),
        last_seen_s: if number == 3 { 42.0 } else { 0.4 },
        silent: number == 3,
    };
    PipelineView {
        started_unix_ms: NOW_MS - 3_600_000,
        listening: waiting().pipeline.listening,
        spans_accepted: 1_248_000,
        spans_per_second: 2_412.0,
        points_accepted: 10_800,
        points_unused: 120,
        spans_late: 3,
        spans_detail: 88_000,
        refusals: vec![ReasonCount { reason: "span without a trace id".to_owned(), count: 0 }],
        evictions: vec![ReasonCount { reason: "operations folded into other".to_owned(), count: 12 }],
        queue_capacity_bytes: 64 << 20,
        engine_bytes: 31 << 20,
        sources: (1..=12).map(source).collect(),
        exporters: shipping::exporters(),
        ..PipelineView::default()
    }
}
