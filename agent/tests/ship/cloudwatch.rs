//! Metrics through the shipper: what is fed in comes out on the other side, whatever happens on the way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::config::{Credentials, Region};
use tiertop_agent::ship::backoff::Backoff;
use tiertop_agent::ship::cloudwatch::encode::EncoderOptions;
use tiertop_agent::ship::cloudwatch::shipper::{Pace, Shipper};
use tiertop_agent::ship::cloudwatch::{CloudwatchOptions, send};
use tiertop_agent::ship::spool::{LEAST_CAPACITY, Spool};
use tiertop_agent::ship::status::{Status, StatusReader};
use tiertop_agent::ship::{Exporters, Tap};
use tiertop_core::snapshot::{
    BucketView, ClosedSecondView, ClosedTierView, ExporterState, ExporterView, LatencyView, Snapshot,
};
use tiertop_core::tier::TierKind;

use crate::fake::{Fake, Mood, Taken};

/// When scenarios play, by all clocks but that of one scenario.
const NOW: u64 = 1_800_000_000;
/// How long a scenario may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may take here.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits of milliseconds, so that long outages pass quickly.
const PACE: Pace = Pace {
    linger: Duration::from_millis(1),
    soon: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(5) },
    slowly: Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(10) },
    farewell: Duration::from_secs(30),
};

async fn config(fake: &Fake) -> SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(fake.url())
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ANSWER_TIMEOUT).build())
        .load()
        .await
}

/// A shipper that runs, and the ends of what it is fed and what it tells.
struct Shipped {
    tap: Tap,
    /// Datums fed in so far, or left by the last owner of the spool.
    fed: u64,
    status: StatusReader,
    exporters: Exporters,
}

impl Shipped {
    async fn start(fake: &Fake, spool: &Path, spool_bytes: u64, now: fn() -> u64) -> Self {
        let encoder = EncoderOptions { resolution_s: 1, ..EncoderOptions::default() };
        let options =
            CloudwatchOptions { encoder, spool: spool.to_owned(), spool_bytes, ..CloudwatchOptions::default() };
        let (spool, found) = Spool::open(spool, spool_bytes).unwrap();
        assert_eq!(found.set_aside, None);
        let (status, reader) = Status::new("cloudwatch", "fake", "datums");
        let client = send::client(&config(fake).await, None);
        let mut tap = Tap::default();
        let intake = tap.way();
        let mut exporters = Exporters::default();
        let shipper = Shipper::new(options, spool, client, status, PACE, now);
        exporters.run("shipper", move || shipper.run(intake)).unwrap();
        Self { tap, fed: 0, status: reader, exporters }
    }

    async fn plain(fake: &Fake, spool: &Path) -> Self {
        Self::start(fake, spool, 64 << 20, || NOW).await
    }

    fn view(&self) -> ExporterView {
        self.status.borrow().clone()
    }

    /// Feeds closed seconds of one tier, no faster than they are spooled.
    async fn feed(&mut self, seconds: impl Iterator<Item = u64>, member: &str) {
        self.feed_many(seconds, &[member]).await;
    }

    /// The same of several tiers.
    async fn feed_many(&mut self, seconds: impl Iterator<Item = u64>, members: &[&str]) {
        for unix_s in seconds {
            self.tap.offer(&snapshot(unix_s, members));
            self.fed += EACH * members.len() as u64;
            let fed = self.fed;
            self.until(|view| handled(view) >= fed).await;
        }
    }

    async fn until(&mut self, wanted: impl FnMut(&ExporterView) -> bool) -> ExporterView {
        let found =
            tokio::time::timeout(PATIENCE, self.status.wait_for(wanted)).await.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("stuck at {:?}", self.view()))
    }

    async fn stop(self) -> ExporterView {
        drop(self.tap);
        self.exporters.ended().await;
        self.status.borrow().clone()
    }
}

/// Datums that were spooled, whatever became of them.
fn handled(view: &ExporterView) -> u64 {
    view.waiting + view.sent + view.dropped_in_all()
}

/// Ten requests of each tier in one second.
fn snapshot(unix_s: u64, members: &[&str]) -> Arc<Snapshot> {
    let buckets = vec![BucketView { lower_ms: 9.8, upper_ms: 10.0, count: 10 }];
    let latency = LatencyView { count: 10, sum_ms: 99.0, min_ms: 9.81, max_ms: 9.99, buckets };
    let tier = |member: &&str| ClosedTierView {
        id: format!("app/{member}"),
        kind: TierKind::App,
        member: (*member).to_owned(),
        requests: Some(10),
        errors: Some(1),
        latency: Some(latency.clone()),
        in_flight: None,
        is_bottleneck: Some(false),
        signals: Vec::new(),
    };
    let tiers = members.iter().map(tier).collect();
    let second = ClosedSecondView { unix_s, phase: None, incidents_open: None, tiers };
    Arc::new(Snapshot { environment: "test".to_owned(), closed_seconds: vec![second], ..Snapshot::default() })
}

/// Datums a second: requests, errors, latency, bottleneck.
const EACH: u64 = 4;

/// Latencies in as many buckets as one datum tells apart.
fn wide_latency() -> LatencyView {
    let bucket = |number: i32| {
        let bound = |number: i32| 2_f64.powf(f64::from(number) / 32.0);
        BucketView { lower_ms: bound(number), upper_ms: bound(number + 1), count: 3 }
    };
    let buckets: Vec<BucketView> = (0..148).map(bucket).collect();
    let middle = |bucket: &BucketView| f64::midpoint(bucket.lower_ms, bucket.upper_ms) * bucket.count as f64;
    let (sum_ms, max_ms) = (buckets.iter().map(middle).sum(), buckets[147].upper_ms);
    LatencyView { count: 3 * 148, sum_ms, min_ms: 1.01, max_ms, buckets }
}

/// A name of 400 letters that is not like any other.
fn scrambled(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 59) as u8 % 26)
    };
    (0..400).map(|_| letter()).collect()
}

fn of_metric(taken: &[Taken], metric: &str) -> Vec<u64> {
    taken.iter().filter(|datum| datum.metric == metric).map(|datum| datum.unix_s).collect()
}

#[tokio::test]
async fn what_a_second_held_is_what_cloudwatch_gets() {
    let fake = Fake::start(NOW).await;
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(NOW..NOW + 3, "shop").await;
    shipped.until(|view| view.sent == 3 * EACH).await;
    let taken = fake.taken();
    let latency = taken.iter().find(|datum| datum.metric == "Latency").unwrap();
    assert_eq!((latency.count, latency.min, latency.max), (10.0, 9.81, 9.99));
    assert!((latency.sum - 99.0).abs() < 1e-9);
    assert_eq!(latency.namespace, "Tiertop");
    let requests = taken.iter().find(|datum| datum.metric == "Requests").unwrap();
    assert_eq!((requests.unix_s, requests.sum), (NOW, 10.0));
    let view = shipped.stop().await;
    assert_eq!((view.waiting, view.maybe_twice, view.dropped_in_all(), view.state), (0, 0, 0, ExporterState::Shipping));
}

#[tokio::test]
async fn an_outage_of_ten_minutes_loses_nothing_and_order_is_kept() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(NOW..NOW + 600, "shop").await;
    let view = shipped.until(|view| view.trouble.as_ref().is_some_and(|trouble| trouble.attempts > 3)).await;
    assert_eq!((view.waiting, view.state), (600 * EACH, ExporterState::Retrying));
    fake.turn(Mood::Well);
    let requests_before = fake.requests();
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!(of_metric(&fake.taken(), "Latency"), (NOW..NOW + 600).collect::<Vec<_>>());
    assert_eq!((view.sent, view.maybe_twice, view.trouble), (600 * EACH, 0, None));
    assert!(fake.requests() - requests_before < 10, "many seconds share a request");
    assert_eq!(fake.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn throttling_and_a_service_that_is_gone_are_waited_out() {
    for mood in [Mood::Throttling, Mood::Gone] {
        let fake = Fake::start(NOW).await;
        fake.turn(mood);
        let folder = tempfile::tempdir().unwrap();
        let mut shipped = Shipped::plain(&fake, folder.path()).await;
        shipped.feed(NOW..NOW + 5, "shop").await;
        let view = shipped.until(|view| view.trouble.as_ref().is_some_and(|trouble| trouble.attempts > 20)).await;
        assert_eq!((view.waiting, view.dropped_in_all(), view.state), (5 * EACH, 0, ExporterState::Retrying));
        fake.turn(Mood::Well);
        shipped.until(|view| view.waiting == 0).await;
        assert_eq!(of_metric(&fake.taken(), "Requests"), (NOW..NOW + 5).collect::<Vec<_>>(), "{mood:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_told_since_it_may_count_twice() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::LosingAnswers);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(std::iter::once(NOW), "shop").await;
    shipped.until(|view| view.maybe_twice >= 2 * EACH).await;
    fake.turn(Mood::Well);
    let view = shipped.until(|view| view.waiting == 0).await;
    let twice = fake.taken().len() as u64 - EACH;
    assert_eq!((view.sent, view.maybe_twice), (EACH, twice), "each that was counted again is told");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_told_too() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Silent);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(std::iter::once(NOW), "shop").await;
    let view = shipped.until(|view| view.maybe_twice > 0).await;
    assert_eq!(view.trouble.unwrap().what, "no answer in time");
    fake.turn(Mood::Well);
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!((view.sent, view.dropped_in_all()), (EACH, 0));
}

#[tokio::test]
async fn requests_as_large_as_they_get_keep_the_limits() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    let names: Vec<String> = (0..40).map(scrambled).collect();
    for unix_s in NOW..NOW + 12 {
        let mut snapshot = snapshot(unix_s, &names.iter().map(String::as_str).collect::<Vec<_>>());
        for tier in &mut Arc::make_mut(&mut snapshot).closed_seconds[0].tiers {
            tier.latency = Some(wide_latency());
        }
        shipped.tap.offer(&snapshot);
    }
    let all = 12 * 40 * EACH;
    shipped.until(|view| view.waiting == all).await;
    fake.turn(Mood::Well);
    let requests_before = fake.requests();
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!((view.sent, fake.refusals()), (all, Vec::new()));
    let requests = fake.requests() - requests_before;
    assert!((2..12).contains(&requests), "{requests} requests");
}

#[tokio::test]
async fn expired_credentials_and_a_missing_permission_are_told_and_nothing_is_lost() {
    for (mood, remedy) in [(Mood::Expired, "aws sso login"), (Mood::Denying, "cloudwatch:PutMetricData")] {
        let fake = Fake::start(NOW).await;
        fake.turn(mood);
        let folder = tempfile::tempdir().unwrap();
        let mut shipped = Shipped::plain(&fake, folder.path()).await;
        shipped.feed(NOW..NOW + 3, "shop").await;
        let view = shipped.until(|view| view.state == ExporterState::Blocked).await;
        let trouble = view.trouble.unwrap();
        assert!(trouble.remedy.contains(remedy), "{trouble:?}");
        fake.turn(Mood::Well);
        let view = shipped.until(|view| view.waiting == 0).await;
        assert_eq!((view.sent, view.dropped_in_all()), (3 * EACH, 0));
    }
}

#[tokio::test]
async fn a_record_that_is_refused_is_set_aside_and_takes_no_other_with_it() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Faulty);
    fake.hate("bad");
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(NOW..NOW + 5, "good").await;
    shipped.feed(std::iter::once(NOW + 5), "bad").await;
    shipped.feed(NOW + 6..NOW + 10, "good").await;
    fake.turn(Mood::Well);
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!((view.sent, view.refused, view.dropped_in_all()), (9 * EACH, EACH, EACH));
    let seconds: Vec<u64> = (NOW..NOW + 10).filter(|second| *second != NOW + 5).collect();
    assert_eq!(of_metric(&fake.taken(), "Requests"), seconds);
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("refused")).unwrap().collect();
    assert_eq!(kept.len(), 1);
}

#[tokio::test]
async fn what_is_older_than_cloudwatch_takes_is_dropped_and_counted() {
    static CLOCK: AtomicU64 = AtomicU64::new(NOW);
    let fake = Fake::start(NOW + 15 * 86_400).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::start(&fake, folder.path(), 64 << 20, || CLOCK.load(Ordering::Relaxed)).await;
    shipped.feed(NOW..NOW + 3, "shop").await;
    CLOCK.store(NOW + 15 * 86_400, Ordering::Relaxed);
    shipped.feed(NOW + 15 * 86_400 - 2..NOW + 15 * 86_400, "shop").await;
    fake.turn(Mood::Well);
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!((view.sent, view.dropped_in_all()), (2 * EACH, 3 * EACH));
    assert!(view.dropped[0].reason.contains("two weeks"), "{:?}", view.dropped);
    assert_eq!(fake.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn over_the_spools_capacity_the_oldest_go_and_are_counted() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::start(&fake, folder.path(), LEAST_CAPACITY, || NOW).await;
    // Names that do not compress.
    let names: Vec<String> = (0..50).map(scrambled).collect();
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    shipped.feed_many(NOW..NOW + 200, &members).await;
    let view = shipped.view();
    assert!(view.dropped_in_all() > 0, "{view:?}");
    assert!(view.spool.unwrap().bytes <= LEAST_CAPACITY);
    fake.turn(Mood::Well);
    let view = shipped.until(|view| view.waiting == 0).await;
    assert_eq!(view.sent + view.dropped_in_all(), 200 * 50 * EACH);
    let mut taken = of_metric(&fake.taken(), "Requests");
    taken.dedup();
    assert_eq!(taken.last(), Some(&(NOW + 199)));
    assert!(taken.windows(2).all(|pair| pair[1] == pair[0] + 1), "only the oldest are missing");
}

#[tokio::test]
async fn what_waits_when_an_agent_stops_is_sent_by_the_next() {
    let fake = Fake::start(NOW).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let mut shipped = Shipped::plain(&fake, folder.path()).await;
    shipped.feed(NOW..NOW + 20, "shop").await;
    shipped.until(|view| view.trouble.is_some()).await;
    let view = shipped.stop().await;
    assert_eq!(view.waiting, 20 * EACH);
    fake.turn(Mood::Well);
    let mut next = Shipped::plain(&fake, folder.path()).await;
    next.until(|view| view.sent == 20 * EACH).await;
    assert_eq!(of_metric(&fake.taken(), "Requests"), (NOW..NOW + 20).collect::<Vec<_>>());
}
