//! What shipping metrics costs before the network: a second of twelve tiers, encoded, compressed and spooled.

use std::collections::BTreeMap;
use std::hint::black_box;

use divan::{Bencher, counter::ItemsCount};
use tiertop_agent::ship::cloudwatch::Spooled;
use tiertop_agent::ship::cloudwatch::datum::{Datum, requests};
use tiertop_agent::ship::cloudwatch::encode::{Encoder, EncoderOptions};
use tiertop_core::distribution::{Bucket, Distribution};
use tiertop_core::snapshot::{BucketView, ClosedSecondView, ClosedTierView, LatencyView};
use tiertop_core::tier::TierKind;

fn main() {
    divan::main();
}

/// A second in which each of twelve tiers took four hundred requests of 2 to 40 ms.
fn second(unix_s: u64) -> ClosedSecondView {
    let mut all = Distribution::default();
    for number in 0..400_u64 {
        let nanos = 2_000_000 + number * number * 240;
        all.record(Bucket::of_nanos(nanos), nanos, 1);
    }
    let bucket = |(bucket, count): (Bucket, u64)| BucketView {
        lower_ms: bucket.lower_seconds() * 1e3,
        upper_ms: bucket.upper_seconds() * 1e3,
        count,
    };
    let latency = LatencyView {
        count: all.count(),
        sum_ms: all.sum_seconds() * 1e3,
        min_ms: all.min_ms().unwrap_or_default(),
        max_ms: all.max_ms().unwrap_or_default(),
        buckets: all.buckets().map(bucket).collect(),
    };
    let tier = |number: usize| {
        let kind = TierKind::ALL[number];
        ClosedTierView {
            id: format!("{kind}/content-{number}"),
            kind,
            member: format!("content-{number}"),
            requests: Some(400),
            errors: Some(2),
            latency: Some(latency.clone()),
            in_flight: Some(7.0),
            is_bottleneck: Some(false),
            signals: Vec::new(),
        }
    };
    ClosedSecondView { unix_s, phase: None, incidents_open: Some(0), tiers: (0..12).map(tier).collect() }
}

/// Encodes a minute of seconds; returns what would be spooled.
fn encode(resolution_s: u32, seconds: &BTreeMap<u64, ClosedSecondView>) -> Vec<Datum> {
    let mut encoder = Encoder::new(EncoderOptions { resolution_s, ..EncoderOptions::default() });
    let mut datums: Vec<Datum> = seconds.values().flat_map(|second| encoder.take("demo", second)).collect();
    datums.extend(encoder.finish());
    datums
}

#[divan::bench(args = [1, 60])]
fn a_minute_of_twelve_tiers(bencher: Bencher, resolution_s: u32) {
    let seconds: BTreeMap<u64, ClosedSecondView> = (0..60).map(|unix_s| (unix_s, second(unix_s))).collect();
    bencher.counter(ItemsCount::new(60_u32)).bench(|| {
        for datums in requests(encode(resolution_s, &seconds)) {
            let spooled = Spooled { namespace: "Tiertop".to_owned(), datums };
            black_box(spooled.to_bytes().expect("it is written to memory"));
        }
    });
}
