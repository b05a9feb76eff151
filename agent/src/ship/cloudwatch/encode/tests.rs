//! What is emitted, and laws that hold whatever comes in.
#![expect(clippy::float_cmp, reason = "counts and extremes are passed on as they are")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use tiertop_core::distribution::{Bucket, Distribution};
use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{BucketView, ClosedSignalView, LatencyView};

use super::*;
use crate::ship::cloudwatch::datum::{MOST_BYTES, MOST_CHARACTERS, MOST_DATUMS, MOST_VALUES, requests};
use crate::ship::metrics::{METRICS, metric};

/// The beginning of a minute.
const MINUTE: u64 = 1_800_000_000;

fn latency(milliseconds: &[u64]) -> LatencyView {
    let mut all = Distribution::default();
    for ms in milliseconds {
        all.record(Bucket::of_nanos(ms * 1_000_000), ms * 1_000_000, 1);
    }
    let bucket = |(bucket, count): (Bucket, u64)| BucketView {
        lower_ms: bucket.lower_seconds() * 1e3,
        upper_ms: bucket.upper_seconds() * 1e3,
        count,
    };
    LatencyView {
        count: all.count(),
        sum_ms: all.sum_seconds() * 1e3,
        min_ms: all.min_ms().unwrap_or_default(),
        max_ms: all.max_ms().unwrap_or_default(),
        buckets: all.buckets().map(bucket).collect(),
    }
}

fn tier(kind: TierKind, member: &str, milliseconds: &[u64]) -> ClosedTierView {
    ClosedTierView {
        id: format!("{kind}/{member}"),
        kind,
        member: member.to_owned(),
        requests: Some(milliseconds.len() as u64),
        errors: Some(0),
        latency: (!milliseconds.is_empty()).then(|| latency(milliseconds)),
        in_flight: None,
        is_bottleneck: Some(false),
        signals: Vec::new(),
    }
}

fn second(unix_s: u64, tiers: Vec<ClosedTierView>) -> ClosedSecondView {
    ClosedSecondView { unix_s, phase: Some(Phase::WebTier), incidents_open: Some(0), tiers }
}

fn signal(kind: SignalKind, part: &str, value: f64) -> ClosedSignalView {
    ClosedSignalView { kind, part: part.to_owned(), value }
}

fn find<'a>(datums: &'a [Datum], name: &str) -> &'a Datum {
    datums.iter().find(|datum| datum.metric_name == name).unwrap_or_else(|| panic!("no {name} in {datums:#?}"))
}

fn one(datum: &Datum) -> f64 {
    match datum.figures {
        Figures::One { value } => value,
        ref other => panic!("{other:?} is not one figure"),
    }
}

#[test]
fn a_minute_is_emitted_when_the_next_begins_and_holds_all_of_its_seconds() {
    let mut encoder = Encoder::new(EncoderOptions::default());
    for unix_s in MINUTE..MINUTE + 60 {
        assert_eq!(encoder.take("demo", &second(unix_s, vec![tier(TierKind::App, "shop", &[10, 30])])), []);
    }
    let datums = encoder.take("demo", &second(MINUTE + 60, vec![tier(TierKind::App, "shop", &[])]));
    let requests = find(&datums, "Requests");
    assert_eq!((one(requests), requests.timestamp, requests.storage_resolution), (120.0, MINUTE, 60));
    let named: Vec<(&str, &str)> = requests.dimensions.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(named, [("Environment", "demo"), ("Tier", "app"), ("Service", "shop")]);
    let Figures::Distribution { values, counts } = &find(&datums, "Latency").figures else { panic!() };
    assert_eq!((values.first(), values.last(), counts.iter().sum::<f64>()), (Some(&10.0), Some(&30.0), 120.0));
    let Figures::Statistics { statistic_values: named } = &find(&datums, "Bottleneck").figures else { panic!() };
    assert_eq!((named.sample_count, named.maximum), (60.0, 0.0));
    assert_eq!(find(&datums, "Phase").dimensions.len(), 1);
    assert_eq!(find(&encoder.finish(), "Phase").timestamp, MINUTE + 60, "the minute that is not over is not lost");
}

#[test]
fn nothing_is_said_of_a_system_of_which_nothing_was_seen() {
    let mut encoder = Encoder::new(EncoderOptions { resolution_s: 1, ..EncoderOptions::default() });
    assert_eq!(encoder.take("", &second(MINUTE, Vec::new())), []);
}

#[test]
fn at_high_resolution_each_second_is_emitted_at_once() {
    let mut encoder = Encoder::new(EncoderOptions { resolution_s: 1, ..EncoderOptions::default() });
    let datums = encoder.take("", &second(MINUTE + 7, vec![tier(TierKind::App, "shop", &[10])]));
    let latency = find(&datums, "Latency");
    assert_eq!((latency.timestamp, latency.storage_resolution), (MINUTE + 7, 1));
    assert_eq!(latency.dimensions[0].value, NO_ENVIRONMENT);
}

#[test]
fn what_stands_is_told_in_cloudwatchs_units_and_what_is_unknown_is_not_told() {
    let mut encoder = Encoder::new(EncoderOptions { resolution_s: 1, ..EncoderOptions::default() });
    let mut cache = tier(TierKind::Cache, "redis", &[]);
    cache.signals = vec![signal(SignalKind::CacheHitRatio, "", 0.875)];
    let mut queue = tier(TierKind::Queue, "jobs", &[]);
    queue.signals = vec![signal(SignalKind::QueueDepth, "", 12.0), signal(SignalKind::QueueOldestAgeSeconds, "", 3.5)];
    let mut app = tier(TierKind::App, "shop", &[]);
    app.in_flight = Some(4.0);
    app.signals = vec![
        signal(SignalKind::PoolUsed, "a", 8.0),
        signal(SignalKind::PoolMax, "a", 10.0),
        signal(SignalKind::PoolUsed, "b", 2.0),
    ];
    let replica = tier(TierKind::DbReplica, "orders", &[]);
    let datums = encoder.take("demo", &second(MINUTE, vec![app, cache, replica, queue]));
    assert_eq!(one(find(&datums, "CacheHitRate")), 87.5);
    assert_eq!((one(find(&datums, "QueueDepth")), one(find(&datums, "QueueOldestAge"))), (12.0, 3.5));
    assert_eq!((one(find(&datums, "InFlight")), one(find(&datums, "PoolUtilisation"))), (4.0, 80.0));
    assert!(datums.iter().all(|datum| datum.metric_name != "ReplicaLag" && datum.metric_name != "Latency"));
    assert!(datums.iter().all(|datum| metric(&datum.metric_name).unwrap().unit.name() == datum.unit));
}

#[test]
fn tiers_over_the_ceiling_are_shipped_together_and_counted() {
    let room_for_two = 5 + 2 * metrics::metrics_of(TierKind::External).count() as u64;
    let options = EncoderOptions { series_ceiling: room_for_two, resolution_s: 1, ..EncoderOptions::default() };
    let mut encoder = Encoder::new(options);
    let tiers = (0..6).map(|number| tier(TierKind::External, &format!("api-{number}"), &[10 + number])).collect();
    let datums = encoder.take("demo", &second(MINUTE, tiers));
    let other: Vec<&Datum> = datums.iter().filter(|datum| datum.dimensions.last().unwrap().value == OTHER).collect();
    assert_eq!(other.iter().map(|datum| datum.metric_name.as_str()).collect::<Vec<_>>(), OF_OTHER);
    assert_eq!(one(other[0]), 4.0);
    assert_eq!(encoder.series(), SeriesView { used: room_for_two, ceiling: room_for_two, folded_tiers: 4 });
}

#[test]
fn a_tier_that_is_silent_for_an_hour_gives_its_room_back() {
    let one_tier = 5 + metrics::metrics_of(TierKind::External).count() as u64;
    let options = EncoderOptions { series_ceiling: one_tier, resolution_s: 1, ..EncoderOptions::default() };
    let mut encoder = Encoder::new(options);
    encoder.take("demo", &second(MINUTE, vec![tier(TierKind::External, "old", &[1])]));
    encoder.take("demo", &second(MINUTE + 3_600, Vec::new()));
    let datums = encoder.take("demo", &second(MINUTE + 3_601, vec![tier(TierKind::External, "new", &[1])]));
    assert_eq!(find(&datums, "Requests").dimensions.last().unwrap().value, "new");
}

/// Any closed seconds: odd names, wild figures, times that jump.
fn any_second() -> impl Strategy<Value = ClosedSecondView> {
    let name = prop_oneof![".{0,8}", ":{0,3}", " {0,3}", "[a-d]", Just("é".repeat(2000)), Just("x".repeat(2000))];
    let figure = prop_oneof![any::<f64>(), 0.0..1e6_f64, Just(f64::NAN), Just(f64::INFINITY)];
    let kinds = prop::sample::select(TierKind::ALL.to_vec());
    let signals = prop::collection::vec((prop::sample::select(SIGNALS.to_vec()), figure.clone()), 0..5);
    let milliseconds = prop::collection::vec(0_u64..5_000_000, 0..60);
    let tier = (kinds, name, milliseconds, prop::option::of(figure), signals).prop_map(
        |(kind, member, milliseconds, in_flight, signals)| ClosedTierView {
            in_flight,
            signals: signals.into_iter().map(|(kind, value)| signal(kind, "", value)).collect(),
            ..tier(kind, &member, &milliseconds)
        },
    );
    (0_u64..200, prop::collection::vec(tier, 0..12)).prop_map(|(later, tiers)| second(MINUTE + later, tiers))
}

const SIGNALS: [SignalKind; 8] = [
    SignalKind::CacheHitRatio,
    SignalKind::ReplicaLagSeconds,
    SignalKind::QueueDepth,
    SignalKind::QueueOldestAgeSeconds,
    SignalKind::PoolUsed,
    SignalKind::PoolMax,
    SignalKind::PoolPending,
    SignalKind::CpuRatio,
];

fn is_value(text: &str) -> bool {
    !text.trim().is_empty()
        && text.len() <= MOST_CHARACTERS
        && !text.starts_with(':')
        && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_limit_is_ever_exceeded_and_no_request_is_lost(
        seconds in prop::collection::vec(any_second(), 1..12),
        environment in prop_oneof![".{0,6}", Just(String::new())],
        high in any::<bool>(),
        series_ceiling in 5_u64..80,
    ) {
        let resolution_s = if high { 1 } else { 60 };
        let mut encoder = Encoder::new(EncoderOptions { resolution_s, environment: None, series_ceiling });
        let mut datums: Vec<Datum> = Vec::new();
        for second in &seconds {
            datums.extend(encoder.take(&environment, second));
            prop_assert!(encoder.series().used <= series_ceiling);
        }
        datums.extend(encoder.finish());
        let mut series = BTreeSet::new();
        for datum in &datums {
            series.insert((datum.metric_name.clone(), datum.dimensions.clone()));
            let row = METRICS.iter().find(|row| row.name == datum.metric_name);
            prop_assert!(row.is_some(), "{} is not in the table", datum.metric_name);
            let names: Vec<&str> = datum.dimensions.iter().map(|it| it.name.as_str()).collect();
            prop_assert_eq!(names, row.unwrap().of.dimensions());
            prop_assert!(datum.dimensions.iter().all(|it| is_value(&it.value)), "{:?}", datum.dimensions);
            prop_assert!(datum.is_in_range());
            prop_assert_eq!(datum.timestamp % u64::from(resolution_s), 0);
            if let Figures::Distribution { values, counts } = &datum.figures {
                prop_assert!(values.len() == counts.len() && !values.is_empty() && values.len() <= MOST_VALUES);
                prop_assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
        prop_assert!(series.len() as u64 <= series_ceiling);
        let wanted: u64 = seconds.iter().flat_map(|second| &second.tiers).filter_map(|tier| tier.requests).sum();
        let emitted: f64 = datums.iter().filter(|datum| datum.metric_name == "Requests").map(one).sum();
        prop_assert_eq!(emitted, wanted as f64);
        for request in requests(datums) {
            prop_assert!(!request.is_empty() && request.len() <= MOST_DATUMS);
            prop_assert!(request.iter().map(Datum::bytes).sum::<usize>() <= MOST_BYTES);
        }
    }

    #[test]
    fn requests_are_as_large_as_the_limits_allow_and_keep_the_order(many in 0_usize..3000, values in 1_usize..150) {
        let datum = |number: usize| Datum {
            metric_name: "Latency".to_owned(),
            dimensions: vec![Dimension::new("Service", "shop")],
            timestamp: number as u64,
            unit: "Milliseconds".to_owned(),
            storage_resolution: 1,
            figures: Figures::Distribution { values: vec![1.0; values], counts: vec![1.0; values] },
        };
        let requests = requests((0..many).map(datum).collect());
        let order: Vec<u64> = requests.iter().flatten().map(|datum| datum.timestamp).collect();
        prop_assert_eq!(order, (0..many as u64).collect::<Vec<_>>());
        for pair in requests.windows(2) {
            let bytes: usize = pair[0].iter().map(Datum::bytes).sum();
            prop_assert!(pair[0].len() == MOST_DATUMS || bytes + pair[1][0].bytes() > MOST_BYTES);
        }
    }
}
