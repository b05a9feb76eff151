//! The engine alone: counting spans that are decoded already, and drawing a snapshot.
//!
//! `cargo bench -p tiertop-core --bench engine`. Items are spans for `handle`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tiertop_core::config::Config;
use tiertop_core::engine::Engine;
use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::observation::{Batch, ParentPlace, Resource, Span, SpanKind, SpanShape};
use tiertop_core::snapshot::IngestCounts;
use tiertop_core::time::UnixNanos;

/// Requests in a batch; each is seven spans through lb, web, app, cache and database.
const REQUESTS: u64 = 100;
const SPANS_PER_REQUEST: u64 = 7;
const BEGIN_S: u64 = 1_800_000_000;

fn main() {
    divan::main();
}

/// A batch of whole requests, whose ids begin at `first`.
fn batch(first: u64, now: UnixNanos) -> Batch {
    let services = ["lb", "web", "app"];
    let resources = services
        .iter()
        .enumerate()
        .map(|(place, name)| Resource {
            fingerprint: place as u64 + 1,
            service_name: (*name).into(),
            instance: Some(format!("{name}-1").into()),
            ..Resource::default()
        })
        .collect();
    let shape = |fingerprint, resource, kind| SpanShape { fingerprint, resource, kind, ..SpanShape::default() };
    let call = |fingerprint, resource, address: &str| SpanShape {
        peer_address: Some(address.into()),
        http_method: Some("GET".into()),
        ..shape(fingerprint, resource, SpanKind::Client)
    };
    let store = |fingerprint, system: &str, operation: &str| SpanShape {
        db_system: Some(system.into()),
        db_operation: Some(operation.into()),
        peer_address: Some(system.into()),
        ..shape(fingerprint, 2, SpanKind::Client)
    };
    let shapes = vec![
        shape(11, 0, SpanKind::Server),
        call(12, 0, "web"),
        shape(13, 1, SpanKind::Server),
        call(14, 1, "app"),
        shape(15, 2, SpanKind::Server),
        store(16, "redis", "GET"),
        store(17, "postgresql", "SELECT"),
    ];
    let mut spans = Vec::new();
    for request in 0..REQUESTS {
        let base = first + request * SPANS_PER_REQUEST;
        for place in (0..SPANS_PER_REQUEST).rev() {
            let parent = match place {
                0 => 0,
                6 => base + 4,
                place => base + place - 1,
            };
            let start = now.minus_nanos(50_000_000 - place * 1_000_000);
            spans.push(Span {
                trace: TraceId(u128::from(base)),
                id: SpanId(base + place),
                parent: SpanId(parent),
                start,
                end: start.plus_nanos(30_000_000 - place * 3_000_000 + base % 1_000_000),
                path_hash: 7,
                weight: 0.0,
                shape: place as u32,
                links_start: 0,
                links_len: 0,
                parent_place: ParentPlace::Unknown,
                offset: 0,
            });
        }
    }
    Batch { resources, shapes, spans, ..Batch::default() }
}

/// An engine that has seen a minute of traffic, and the next free id.
fn warm() -> (Engine, u64, UnixNanos) {
    let mut engine = Engine::new(Config::default(), UnixNanos::from_seconds(BEGIN_S));
    let mut id = 1;
    let mut now = UnixNanos::from_seconds(BEGIN_S);
    for second in 1..=60 {
        now = UnixNanos::from_seconds(BEGIN_S + second);
        engine.handle(&batch(id, now), now);
        engine.tick(now, &IngestCounts::default());
        id += REQUESTS * SPANS_PER_REQUEST;
    }
    (engine, id, now)
}

#[divan::bench]
fn handle(bencher: Bencher) {
    let (mut engine, mut id, now) = warm();
    bencher
        .counter(ItemsCount::new(REQUESTS * SPANS_PER_REQUEST))
        .with_inputs(|| {
            id += REQUESTS * SPANS_PER_REQUEST;
            batch(id, now)
        })
        .bench_local_values(|batch| engine.handle(black_box(&batch), now));
}

#[divan::bench]
fn tick(bencher: Bencher) {
    let (mut engine, _, mut now) = warm();
    bencher.bench_local(|| {
        now = now.plus_nanos(1_000_000);
        black_box(engine.tick(now, &IngestCounts::default()))
    });
}
