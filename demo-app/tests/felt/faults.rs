//! One test for each class of fault: before it begins its effect is not there, then it is.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::sim::summary::Figures;

use crate::{Outcome, median, millis, play, scenario, served, text};

const APP: &str = "content-app";
const SELECT: &str = "SELECT user_content";
const LIST: &str = "SELECT user_content by user";
const INSERT: &str = "INSERT user_content";

fn p50(service: &'static str, operation: &'static str) -> impl Fn(&Figures) -> f64 {
    move |figures| figures.quantile(service, operation, 0.5).as_secs_f64() * 1e3
}

fn p95(service: &'static str, operation: &'static str) -> impl Fn(&Figures) -> f64 {
    move |figures| figures.quantile(service, operation, 0.95).as_secs_f64() * 1e3
}

/// A duration in milliseconds that the fault leaves alone, but for what a busy machine does.
fn stays(outcome: &Outcome, millis: impl Fn(&Figures) -> f64) {
    let (before, during) = outcome.both(millis);
    assert!(during < 2.0 * before + 5.0, "{before} ms before, {during} ms during");
}

/// A duration in milliseconds that grows by so much.
fn grows(outcome: &Outcome, by: f64, millis: impl Fn(&Figures) -> f64) {
    let (before, during) = outcome.both(millis);
    assert!(during > before + by, "{before} ms before, {during} ms during");
}

#[tokio::test]
async fn cache_flush_lowers_the_hit_rate_and_raises_database_reads_per_request() {
    let outcome = play(&scenario(Fault::CacheFlush)).await;
    let (before, during) = outcome.both(|figures| figures.hit_rate().unwrap());
    assert!(before > 0.7 && during < before - 0.15, "hits: {before} before, {during} during");
    let (before, during) = outcome.both(|figures| figures.count(APP, SELECT) as f64 / figures.count(APP, "") as f64);
    assert!(during > 2.0 * before && during > 0.1, "reads a request: {before} before, {during} during");
}

#[tokio::test]
async fn replica_lag_is_told_and_the_primary_is_read_instead() {
    let outcome = play(&scenario(Fault::ReplicaLag)).await;
    let (before, during) = outcome.both(|figures| figures.most("db.replica.lag").unwrap());
    assert!(before < 1.0 && during > 6.0, "{before} s before, {during} s during");
    let (before, during) = outcome.asked("db-replica", SELECT);
    assert!(before > 0.6 && during < before / 2.0, "reads of replicas: {before} before, {during} during");
    assert_eq!(outcome.report.counts.failed, 0, "reads go on");
}

#[tokio::test]
async fn replica_loss_leaves_the_reads_to_the_primary() {
    let outcome = play(&scenario(Fault::ReplicaLoss)).await;
    let (before, during) = outcome.asked("db-replica", SELECT);
    assert!(before > 0.6 && during < 0.2, "reads of replicas: {before} before, {during} during");
    assert_eq!(outcome.report.counts.failed, 0, "reads go on");
}

#[tokio::test]
async fn pool_exhaustion_makes_callers_wait_for_connections_and_not_for_the_database() {
    let outcome = play(&scenario(Fault::PoolExhaustion)).await;
    let pending = |figures: &Figures| figures.most("db.client.connection.pending_requests").unwrap_or(0.0);
    let (before, during) = outcome.both(pending);
    assert!(before < 1.0 && during >= 1.0, "waiting: {before} before, {during} during");
    grows(&outcome, 60.0, p95(APP, "pool.acquire"));
    stays(&outcome, p50(APP, SELECT));
}

#[tokio::test]
async fn slow_query_slows_one_statement_and_not_the_others() {
    let outcome = play(&scenario(Fault::SlowQuery)).await;
    grows(&outcome, 60.0, p50(APP, LIST));
    stays(&outcome, p50(APP, SELECT));
}

#[tokio::test]
async fn lock_contention_slows_writes_and_not_reads() {
    let outcome = play(&scenario(Fault::LockContention)).await;
    grows(&outcome, 150.0, p95(APP, INSERT));
    stays(&outcome, p50(APP, SELECT));
    let (before, during) = outcome.both(|figures| figures.most("db.lock.waiting").unwrap());
    assert!(before < during && during >= 1.0, "waiting: {before} before, {during} during");
}

#[tokio::test]
async fn a_failover_refuses_writes_for_a_while_and_then_the_standby_takes_them() {
    let mut scenario = scenario(Fault::PrimaryFailover);
    scenario.faults[0].plan.intensity = Intensity::Low;
    scenario.load.reads_per_write = 3.0;
    let outcome = play(&scenario).await;
    let (before, during) = outcome.both(|figures| figures.failed(APP, INSERT));
    assert!(before < 0.01 && during > 0.1, "refused: {before} before, {during} during");
    let (before, during) = outcome.asked("db-standby", INSERT);
    assert!(before < 0.01 && during > 0.05, "the standby's writes: {before} before, {during} during");
}

#[tokio::test]
async fn worker_loss_lets_messages_pile_up_while_the_front_is_well() {
    let outcome = play(&scenario(Fault::WorkerLoss)).await;
    let (before, during) = outcome.both(|figures| figures.last("queue.depth").unwrap());
    assert!(before < 10.0 && during > before + 10.0, "depth: {before} before, {during} during");
    let (before, during) = outcome.both(|figures| figures.last("queue.oldest_message.age").unwrap());
    assert!(before < 2.0 && during > 5.0, "age: {before} s before, {during} s during");
    let (before, during) = outcome.both(|figures| figures.count("content-worker", ""));
    assert!(before > 5 && during == 0, "processed: {before} before, {during} during");
    stays(&outcome, p50("content-edge", ""));
}

#[tokio::test]
async fn network_delay_lies_between_web_and_app() {
    let outcome = play(&scenario(Fault::NetworkDelay)).await;
    let (before, during) = outcome.both_spans(between_web_and_app);
    assert!(before < 20.0 && (55.0..90.0).contains(&(during - before)), "{before} ms before, {during} ms during");
    stays(&outcome, p50(APP, ""));
}

/// The median of what a web proxy waits for an application beyond what that one takes, in milliseconds.
fn between_web_and_app(spans: &[(&Resource, &Span)]) -> f64 {
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|(_, span)| (&span.span_id[..], *span)).collect();
    let of_app = |(resource, span): &&(&Resource, &Span)| {
        span.kind() == SpanKind::Server && text(&resource.attributes, "service.name") == APP
    };
    let gaps = spans.iter().filter(of_app).filter_map(|(_, span)| {
        let asked = by_id.get(&span.parent_span_id[..])?;
        Some(millis(asked) - millis(span))
    });
    median(gaps.collect())
}

#[tokio::test]
async fn a_slow_object_store_is_slow_for_its_callers_and_nothing_else_is() {
    let outcome = play(&scenario(Fault::ObjectStoreSlow)).await;
    grows(&outcome, 150.0, p50(APP, "S3.GetObject"));
    stays(&outcome, p50(APP, SELECT));
}

#[tokio::test]
async fn a_slow_third_party_is_slow_for_its_callers_and_nothing_else_is() {
    let outcome = play(&scenario(Fault::ExternalSlow)).await;
    grows(&outcome, 200.0, p50(APP, "GET /ratings/{content_id}"));
    stays(&outcome, p50(APP, "S3.GetObject"));
}

#[tokio::test]
async fn gc_stalls_stretch_the_slowest_requests_of_one_instance() {
    // Often and long enough, and with enough requests, that some are caught by a pause.
    let mut scenario = scenario(Fault::GcStalls);
    scenario.faults[0].plan.intensity = Intensity::High;
    scenario.load.rate = 120.0;
    let outcome = play(&scenario).await;
    let stretched = |spans: &[(&Resource, &Span)]| {
        let served = served(spans, APP, "service.instance.id");
        ["app-a", "app-b"].map(|name| served[name].iter().filter(|&&millis| millis > 300.0).count())
    };
    let (before, during) = outcome.both_spans(stretched);
    assert!(during[1] > 2 * (before[0] + before[1] + during[0]), "{before:?} before, {during:?} during");
    stays(&outcome, p50(APP, ""));
}

#[tokio::test]
async fn a_deploy_regression_is_slow_where_the_version_is_new() {
    let outcome = play(&scenario(Fault::DeployRegression)).await;
    let versions = |spans: &[(&Resource, &Span)]| served(spans, APP, "service.version");
    let (before, during) = outcome.both_spans(versions);
    assert_eq!((before.len(), during.len()), (1, 2));
    let [old, new] = during.into_values().map(median).collect::<Vec<_>>()[..] else { panic!("two versions") };
    assert!(new > old + 25.0, "{old} ms, and {new} ms where it is new");
}

#[tokio::test]
async fn zone_loss_takes_instances_away_and_the_rest_serves_on() {
    let outcome = play(&scenario(Fault::ZoneLoss)).await;
    let (before, during) = outcome.both(|figures| figures.most("upstream.instances.unhealthy").unwrap());
    assert!(before < 1.0 && during >= 1.0, "unhealthy: {before} before, {during} during");
    let (before, during) = outcome.both_spans(|spans| served(spans, APP, "service.instance.id").len());
    assert_eq!((before, during), (2, 1));
    let (before, during) = outcome.both(|figures| figures.count("content-web", "") as f64);
    let longer = (outcome.faulty.to_unix_nanos - outcome.faulty.from_unix_nanos) as f64
        / (outcome.healthy.to_unix_nanos - outcome.healthy.from_unix_nanos) as f64;
    assert!(during > 0.7 * longer * before, "served: {before} before, {during} during");
}

#[tokio::test]
async fn uneven_balance_leaves_one_instance_with_nearly_all() {
    let outcome = play(&scenario(Fault::UnevenBalance)).await;
    let busiest = |spans: &[(&Resource, &Span)]| {
        let counts: Vec<f64> =
            served(spans, "content-web", "service.instance.id").values().map(|of| of.len() as f64).collect();
        counts.iter().copied().fold(0.0, f64::max) / counts.iter().sum::<f64>()
    };
    let (before, during) = outcome.both_spans(busiest);
    assert!(before < 0.75 && during > 0.9, "the busiest's share: {before} before, {during} during");
}
