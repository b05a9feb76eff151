//! What is turned in a running demo shows in its telemetry, truly.

use tiertop_demo::Perturbation;

use crate::client::Api;
use crate::sink::Sink;
use crate::{NOBODY, demo, eventually};

#[tokio::test]
async fn replica_lag_grows_a_second_each_second_and_comes_back() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    eventually("a small lag", async || sink.latest("db.replica.lag").filter(|&lag| lag < 0.7)).await;

    demo.control(Perturbation::PauseReplica).await.unwrap();
    let (first, last) = eventually("a growing lag", async || {
        let values = sink.values("db.replica.lag");
        let first = *values.iter().find(|(_, lag)| *lag > 1.0)?;
        let last = *values.last()?;
        (last.0 - first.0 > 1.8).then_some((first, last))
    })
    .await;
    let slope = (last.1 - first.1) / (last.0 - first.0);
    assert!((0.95..1.05).contains(&slope), "the lag grows {slope} s/s: {first:?} {last:?}");

    // While it is behind, what was written is read all the same.
    let api = Api::new(demo.front_address());
    let id = api.post(1, "behind").await;
    eventually("the primary", async || api.processed(id).await).await;

    demo.control(Perturbation::ResumeReplica).await.unwrap();
    eventually("the lag to come back", async || sink.latest("db.replica.lag").filter(|&lag| lag < 0.7)).await;
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_worker_the_queue_grows_in_depth_and_age_and_drains_after() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    let api = Api::new(demo.front_address());
    demo.control(Perturbation::PauseWorker).await.unwrap();
    for user in 0..30 {
        api.post(user, "nobody works").await;
    }
    // Some may have been handed to connections of the stopped worker: they are in flight.
    eventually("a full queue", async || {
        let held = sink.latest("queue.depth")? + sink.latest("queue.in_flight")?;
        let age = sink.latest("queue.oldest_message.age")?;
        (held >= 30.0 && age > 1.0).then_some(())
    })
    .await;
    demo.control(Perturbation::ResumeWorker).await.unwrap();
    eventually("an empty queue", async || {
        let held = sink.latest("queue.depth")? + sink.latest("queue.in_flight")?;
        (held < 0.5 && sink.latest("queue.oldest_message.age")? < 0.5).then_some(())
    })
    .await;
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_flushed_cache_misses_and_fills_again() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    let api = Api::new(demo.front_address());
    let id = api.post(1, "popular").await;
    eventually("the worker", async || api.processed(id).await).await;
    for _ in 0..10 {
        api.get(id).await;
    }
    eventually("hits", async || sink.latest("cache.hits").filter(|&hits| hits >= 10.0)).await;
    let before = sink.latest("cache.misses").unwrap();
    demo.control(Perturbation::FlushCache).await.unwrap();
    eventually("an empty cache", async || sink.latest("cache.items").filter(|&n| n == 0.0)).await;
    for _ in 0..10 {
        api.get(id).await;
    }
    eventually("hits", async || sink.latest("cache.hits").filter(|&hits| hits >= 19.0)).await;
    let missed = sink.latest("cache.misses").unwrap() - before;
    assert!((0.9..1.1).contains(&missed), "{missed} misses of one key");
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn an_instance_that_is_gone_is_passed_over() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let app = demo.nodes().into_iter().find(|node| node.name == "app-a").unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(app.pid as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(demo.wait_any_exit().await.name, "app-a");
    for &id in demo.content_ids() {
        assert_eq!(api.get(id).await.0, http::StatusCode::OK);
    }
    demo.stop().await.unwrap();
}
