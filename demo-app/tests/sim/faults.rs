//! One test for each class of fault: the intended effect is there, and without the fault it is not.

use std::time::Duration;

use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::summary::Figures;
use tiertop_demo::{Phase, Settings};

use crate::{Outcome, play, play_without, scenario};

const APP: &str = "content-app";
const WORKER: &str = "content-worker";
const SELECT: &str = "SELECT user_content";
const LIST: &str = "SELECT user_content by user";
const INSERT: &str = "INSERT user_content";

/// How far a figure moves without a fault, at the few requests of a short scenario.
const NOISE: f64 = 1.5;

fn medium(fault: Fault) -> Scenario {
    scenario(fault, Intensity::Medium)
}

/// A scenario with so many reads to a write, and so many requests a second.
fn loaded(fault: Fault, intensity: Intensity, rate: f64, reads_per_write: f64) -> Scenario {
    let mut scenario = scenario(fault, intensity);
    (scenario.load.rate, scenario.load.reads_per_write) = (rate, reads_per_write);
    scenario
}

fn millis(figures: &Figures, service: &str, operation: &str, share: f64) -> f64 {
    figures.quantile(service, operation, share).as_secs_f64() * 1_000.0
}

fn p95(service: &'static str, operation: &'static str) -> impl Fn(&Figures) -> f64 {
    move |figures| millis(figures, service, operation, 0.95)
}

fn p50(service: &'static str, operation: &'static str) -> impl Fn(&Figures) -> f64 {
    move |figures| millis(figures, service, operation, 0.5)
}

/// Plays a scenario with and without its fault: a figure grows at least so many times by the fault, and moves
/// within the noise without it.
fn grows(scenario: &Scenario, times: f64, figure: impl Fn(&Figures) -> f64) -> Outcome {
    let (with, without) = (play(scenario), play_without(scenario));
    let (fault, noise) = (with.ratio(&figure), without.ratio(&figure));
    assert!(fault > times, "{fault} times with {}", scenario.name);
    assert!(noise < NOISE.min(times), "{noise} times without {}", scenario.name);
    with
}

/// A figure that stands still: the fault is not there.
fn stays(outcome: &Outcome, figure: impl Fn(&Figures) -> f64) {
    let ratio = outcome.ratio(figure);
    assert!((1.0 / NOISE..NOISE).contains(&ratio), "{ratio} times");
}

/// Database reads to a request.
fn reads_per_request(figures: &Figures) -> f64 {
    figures.count(APP, SELECT) as f64 / figures.count(APP, "") as f64
}

#[test]
fn cache_flush_lowers_the_hit_rate_and_raises_database_reads_per_request() {
    let outcome = grows(&medium(Fault::CacheFlush), 2.0, reads_per_request);
    let (before, during) = (outcome.healthy().hit_rate().unwrap(), outcome.faulty().hit_rate().unwrap());
    assert!(before > 0.8 && during < 0.6, "{before} before, {during} during");
}

#[test]
fn cache_hot_key_makes_gets_wait_while_hits_stay() {
    let scenario = loaded(Fault::CacheHotKey, Intensity::High, 250.0, 100.0);
    let outcome = grows(&scenario, 3.0, p95(APP, "GET"));
    assert!(outcome.faulty().hit_rate() > Some(0.8));
    stays(&outcome, p95(APP, SELECT));
    assert!(outcome.ratio(|figures| figures.grown("cache.sent") / figures.grown("cache.hits")) > 10.0);
}

#[test]
fn replica_lag_is_told_and_the_primary_is_read_instead() {
    let outcome = grows(&medium(Fault::ReplicaLag), 10.0, |figures| figures.most("db.replica.lag").unwrap());
    assert!(outcome.faulty().most("db.replica.lag") > Some(10.0));
    assert_eq!(outcome.report.counts.failed, 0, "reads go on");
    assert!(asked(&outcome, "db-replica", SELECT) < 0.2);
}

#[test]
fn replica_loss_leaves_the_reads_to_the_primary() {
    let scenario = medium(Fault::ReplicaLoss);
    assert!(asked(&play(&scenario), "db-replica", SELECT) < 0.1);
    assert!(asked(&play_without(&scenario), "db-replica", SELECT) > 0.6);
}

#[test]
fn primary_cpu_slows_all_statements_and_uses_processor_time() {
    let outcome = grows(&medium(Fault::PrimaryCpu), 5.0, p50(APP, SELECT));
    assert!(outcome.ratio(p50(APP, INSERT)) > 5.0);
    assert!(outcome.faulty().most("process.cpu.utilization") > Some(0.8));
    assert!(outcome.healthy().most("process.cpu.utilization") < Some(0.3));
}

#[test]
fn lock_contention_slows_writes_and_not_reads() {
    let scenario = loaded(Fault::LockContention, Intensity::Medium, 40.0, 5.0);
    let outcome = grows(&scenario, 10.0, p95(APP, INSERT));
    stays(&outcome, p50(APP, SELECT));
    assert!(outcome.faulty().most("process.cpu.utilization") < Some(0.3));
    assert!(outcome.faulty().most("db.lock.waiting") > Some(0.0));
}

#[test]
fn pool_exhaustion_makes_callers_wait_for_connections_and_not_for_the_database() {
    let scenario = medium(Fault::PoolExhaustion);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().count(APP, "pool.acquire") > 20 && without.faulty().count(APP, "pool.acquire") < 5);
    assert!(millis(with.faulty(), APP, "pool.acquire", 0.95) > 100.0);
    stays(&with, p50(APP, SELECT));
}

#[test]
fn slow_query_slows_one_statement_and_not_the_others() {
    let outcome = grows(&medium(Fault::SlowQuery), 10.0, p50(APP, LIST));
    stays(&outcome, p50(APP, SELECT));
}

#[test]
fn worker_loss_lets_messages_pile_up_while_the_front_is_well() {
    let scenario = loaded(Fault::WorkerLoss, Intensity::Medium, 80.0, 10.0);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().last("queue.depth") > Some(50.0));
    assert!(with.faulty().last("queue.oldest_message.age") > Some(12.0));
    assert_eq!(with.faulty().count(WORKER, ""), 0);
    assert!(without.faulty().most("queue.depth") < Some(5.0));
    stays(&with, p50("content-edge", ""));
}

#[test]
fn poison_messages_fail_again_and_again_and_end_as_dead_letters() {
    let scenario = medium(Fault::PoisonMessage);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().failed(WORKER, "") > 0.5);
    assert!(with.faulty().grown("queue.redeliveries") > 100.0);
    assert!(with.faulty().last("queue.depth content-dead-letters") > Some(50.0));
    assert!(without.faulty().grown("queue.redeliveries") < 1.0);
    assert_eq!(without.faulty().last("queue.depth content-dead-letters"), Some(0.0));
}

#[test]
fn an_outage_longer_than_all_receives_sends_no_message_to_the_dead_letters() {
    let mut scenario = loaded(Fault::PrimaryFailover, Intensity::Low, 40.0, 3.0);
    scenario.phase = Phase::WRITES;
    scenario.settings = Settings::of(Phase::WRITES);
    scenario.settings.visibility_timeout = Duration::from_secs(1);
    scenario.settings.most_receives = 1;
    // So messages are under way when the primary goes.
    scenario.settings.worker.mean = Duration::from_millis(400);
    let outcome = play(&scenario);
    assert!(outcome.faulty().most("queue.oldest_message.age") > Some(4.0), "messages wait for the primary");
    assert_eq!(outcome.faulty().last("queue.depth content-dead-letters"), Some(0.0));
}

#[test]
fn app_cpu_uses_processor_time_and_slows_the_application_on_all_routes() {
    let outcome = grows(&scenario(Fault::AppCpu, Intensity::High), 2.0, p50(APP, ""));
    assert!(outcome.faulty().most("process.cpu.utilization") > Some(0.85));
    assert!(outcome.healthy().most("process.cpu.utilization") < Some(0.3));
}

#[test]
fn gc_stalls_stretch_the_slowest_requests_and_not_the_usual_ones() {
    let outcome =
        grows(&scenario(Fault::GcStalls, Intensity::High), 3.0, |figures| millis(figures, "content-web", "", 0.995));
    stays(&outcome, p50("content-web", ""));
}

#[test]
fn zone_loss_takes_instances_away_and_the_rest_serves_on() {
    let scenario = medium(Fault::ZoneLoss);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().most("upstream.instances.unhealthy") >= Some(1.0));
    assert_eq!(without.faulty().most("upstream.instances.unhealthy"), Some(0.0));
    assert_eq!(alive(&with, APP), 1);
    assert_eq!(alive(&without, APP), 2);
    assert!(with.faulty().count("content-lb", "") as f64 > 0.9 * without.faulty().count("content-lb", "") as f64);
}

#[test]
fn uneven_balance_leaves_one_instance_with_nearly_all() {
    let scenario = medium(Fault::UnevenBalance);
    assert!(share_of_busiest(&play(&scenario), "content-web") > 0.9);
    assert!(share_of_busiest(&play_without(&scenario), "content-web") < 0.6);
}

#[test]
fn traffic_spike_raises_the_rate_of_all_tiers_until_the_application_is_slow() {
    let scenario = scenario(Fault::TrafficSpike, Intensity::High);
    let outcome = grows(&scenario, 5.0, |figures| figures.count("content-edge", "") as f64);
    assert!(outcome.ratio(|figures| figures.count(APP, "") as f64) > 3.0);
    assert!(outcome.ratio(p95(APP, "")) > 1.5);
}

#[test]
fn network_delay_lies_between_web_and_app() {
    let scenario = medium(Fault::NetworkDelay);
    let outcome = grows(&scenario, 2.0, p50("content-web", ""));
    stays(&outcome, p50(APP, ""));
}

#[test]
fn a_slow_object_store_is_slow_for_its_callers_and_nothing_else_is() {
    let outcome = grows(&medium(Fault::ObjectStoreSlow), 10.0, p50(APP, "S3.GetObject"));
    assert!(outcome.faulty().failed(APP, "S3.GetObject") > 0.01);
    stays(&outcome, p50(APP, SELECT));
}

#[test]
fn a_full_disk_refuses_writes_and_not_reads() {
    let scenario = loaded(Fault::DiskFull, Intensity::High, 40.0, 5.0);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().failed(APP, INSERT) > 0.8, "{}", with.faulty().failed(APP, INSERT));
    assert_eq!((with.faulty().failed(APP, SELECT), without.faulty().failed(APP, INSERT)), (0.0, 0.0));
    let used = |outcome: &Outcome| outcome.faulty().most("db.file.size").unwrap();
    assert!(used(&with) > 60e6 && used(&without) < 10e6);
    assert!(with.faulty().most("db.replica.lag") > Some(5.0), "there is no room for a heartbeat either");
}

#[test]
fn a_deploy_regression_is_slow_where_the_version_is_new() {
    let outcome = grows(&scenario(Fault::DeployRegression, Intensity::High), 3.0, p50(APP, ""));
    stays(&outcome, p50(APP, SELECT));
    assert_eq!(
        (versions(&outcome.exports, APP), versions(&play_without(&medium(Fault::DeployRegression)).exports, APP)),
        (2, 1)
    );
}

#[test]
fn a_slow_third_party_is_slow_for_its_callers_and_nothing_else_is() {
    let outcome = grows(&medium(Fault::ExternalSlow), 5.0, p50(APP, "GET /ratings/{content_id}"));
    stays(&outcome, p50(APP, "S3.GetObject"));
}

#[test]
fn a_failover_refuses_writes_for_a_while_and_then_another_one_takes_them() {
    let mut scenario = loaded(Fault::PrimaryFailover, Intensity::Low, 40.0, 3.0);
    scenario.duration += Duration::from_secs(10);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert!(with.faulty().failed(APP, INSERT) > 0.1 && without.faulty().failed(APP, INSERT) == 0.0);
    assert!(asked(&with, "db-primary", INSERT) < 0.9, "the standby takes writes");
    assert!(with.faulty().count(APP, INSERT) > 50);
}

#[test]
fn an_over_provisioned_fleet_has_instances_that_hardly_work() {
    let scenario = medium(Fault::OverProvisioned);
    let (with, without) = (play(&scenario), play_without(&scenario));
    assert_eq!((alive(&with, APP), alive(&without, APP)), (6, 2));
    assert!(with.faulty().mean("service.workers.busy") < without.faulty().mean("service.workers.busy"));
    assert!(millis(with.faulty(), APP, "", 0.95) < 2.0 * millis(without.faulty(), APP, "", 0.95));
}

#[test]
fn a_memory_leak_rises_towards_the_limit_and_the_process_dies_there() {
    let mut scenario = medium(Fault::MemoryLeak);
    scenario.settings.memory_limit_bytes = 64 << 20;
    let outcome = grows(&scenario, 2.0, |figures| figures.most("process.memory.usage").unwrap());
    let limit = 67_108_864.0;
    assert!(outcome.faulty().most("process.memory.usage") < Some(limit));
    assert!(outcome.report.counts.failed > 0, "a dead process answers nobody");
    assert!(outcome.faulty().last("process.memory.usage") < Some(limit / 1.5), "its successor begins anew");
}

#[test]
fn healthy_noise_moves_no_tier_beyond_noise() {
    let outcome = play(&medium(Fault::HealthyNoise));
    assert_eq!(outcome.report.counts.failed + outcome.report.counts.timeouts, 0);
    for (service, operation) in
        [("content-edge", ""), ("content-lb", ""), (APP, ""), (APP, SELECT), (APP, "S3.GetObject")]
    {
        stays(&outcome, p50(service, operation));
    }
    assert!(outcome.faulty().hit_rate() > Some(0.6));
    assert!(outcome.faulty().most("db.replica.lag") < Some(0.5));
}

/// Share of a statement's calls in the faulty stretch that went to instances of a role.
fn asked(outcome: &Outcome, instances: &str, statement: &str) -> f64 {
    let mut calls = outcome.faulty_calls(statement);
    let all = calls.len();
    calls.retain(|port| outcome.ports_of(instances).contains(port));
    calls.len() as f64 / all.max(1) as f64
}

/// How many instances of a service sent spans at the end of the faulty stretch.
fn alive(outcome: &Outcome, service: &str) -> usize {
    outcome.served(service).len()
}

/// Share of a service's spans in the faulty stretch that its busiest instance served.
fn share_of_busiest(outcome: &Outcome, service: &str) -> f64 {
    let served = outcome.served(service);
    let most = served.values().max().copied().unwrap_or(0);
    most as f64 / served.values().sum::<usize>().max(1) as f64
}

/// How many versions of a service sent spans.
fn versions(exports: &[tiertop_demo::sim::Export], service: &str) -> usize {
    crate::resources(exports, service, "service.version").len()
}
