//! What is changed in a running demo shows in its telemetry, truly, and is put back.

use std::time::Duration;

use tiertop_demo::fault::Effect;
use tiertop_demo::{Demo, DemoError, NodeState, Role, Zone};

use crate::client::Api;
use crate::sink::Sink;
use crate::{NOBODY, demo, eventually};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn replica_lag_grows_a_second_each_second_and_comes_back() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    eventually("a small lag", async || sink.largest("db.replica.lag").filter(|&lag| lag < 0.7)).await;

    let paused = demo.begin(&[Effect::HoldReplay { replicas: 2, late: None }]).await.unwrap();
    let (first, last) = eventually("a growing lag", async || {
        let values = sink.values_of("db.replica.lag", "db-replica-a");
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

    demo.end(paused).await.unwrap();
    eventually("the lag to come back", async || sink.largest("db.replica.lag").filter(|&lag| lag < 0.7)).await;
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_worker_the_queue_grows_in_depth_and_age_and_drains_after() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    let api = Api::new(demo.front_address());
    let stopped = demo.begin(&[Effect::Freeze { role: Role::Worker, count: 2 }]).await.unwrap();
    for user in 0..30 {
        api.post(user, "nobody works").await;
    }
    // Some may have been handed to connections of the stopped workers: they are in flight.
    eventually("a full queue", async || {
        let held = sink.latest("queue.depth")? + sink.latest("queue.in_flight")?;
        let age = sink.latest("queue.oldest_message.age")?;
        (held >= 30.0 && age > 1.0).then_some(())
    })
    .await;
    demo.end(stopped).await.unwrap();
    eventually("an empty queue", async || {
        let held = sink.latest("queue.depth")? + sink.latest("queue.in_flight")?;
        (held < 0.5 && sink.latest("queue.oldest_message.age")? < 0.5).then_some(())
    })
    .await;
    demo.stop().await.unwrap();
}

fn state(demo: &Demo, name: &str) -> NodeState {
    demo.nodes().into_iter().find(|node| node.name == name).unwrap().state
}

#[tokio::test]
async fn killed_instances_are_passed_over_and_stay_away_until_the_end() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let killed = demo.begin(&[Effect::Kill { role: Role::App, count: 1 }]).await.unwrap();
    eventually("the end", async || (state(&demo, "app-a") == NodeState::Down).then_some(())).await;
    for &id in demo.content_ids() {
        assert_eq!(api.get(id).await.0, http::StatusCode::OK);
    }
    assert_eq!(state(&demo, "app-a"), NodeState::Down);
    demo.end(killed).await.unwrap();
    assert_eq!(state(&demo, "app-a"), NodeState::Running);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_zone_goes_as_a_whole_and_comes_back() {
    let demo = demo(NOBODY).await;
    let frozen = demo.begin(&[Effect::FreezeZone(Zone::B)]).await.unwrap();
    let stopped = |node: &tiertop_demo::NodeInfo| node.state == NodeState::Stopped;
    assert!(demo.nodes().iter().all(|node| stopped(node) == (node.zone == Zone::B)));
    demo.end(frozen).await.unwrap();
    assert!(!demo.nodes().iter().any(stopped));
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn two_faults_do_not_change_the_same_thing_and_others_overlap() {
    let demo = demo(NOBODY).await;
    let spike = demo.begin(&[Effect::Spike { factor: 3.0 }]).await.unwrap();
    let again = demo.begin(&[Effect::ShiftMix { share: 0.5 }, Effect::Spike { factor: 2.0 }]).await;
    assert!(matches!(&again, Err(DemoError::Taken { .. })), "{again:?}");
    assert!(again.unwrap_err().to_string().contains("the load's size, which fault 1 has changed"));
    let mix = demo.begin(&[Effect::ShiftMix { share: 0.5 }]).await.unwrap();
    let dial = demo.dial();
    let turned = || (dial.borrow().factor, dial.borrow().list_share);
    assert_eq!(turned(), (3.0, 0.5));
    demo.end(spike).await.unwrap();
    assert_eq!(turned(), (1.0, 0.5));
    demo.end(mix).await.unwrap();
    assert_eq!(turned(), (1.0, 0.0));

    let paused = demo.begin(&[Effect::Pauses { role: Role::App, length: MINUTE, every: 2 * MINUTE }]).await.unwrap();
    let killed = demo.begin(&[Effect::KillZone(Zone::B)]).await;
    assert!(killed.unwrap_err().to_string().contains("the process of app-b"));
    demo.end(paused).await.unwrap();
    assert_eq!(state(&demo, "app-b"), NodeState::Running);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn instances_are_added_and_removed_without_an_error() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let apps = || demo.nodes().iter().filter(|node| node.role == Role::App).count();
    let scaled = demo.begin(&[Effect::Scale { role: Role::App, count: 4 }]).await.unwrap();
    assert_eq!(apps(), 4);
    assert_eq!(state(&demo, "app-d"), NodeState::Running);
    let reads = async {
        loop {
            assert_eq!(api.get(1).await.0, http::StatusCode::OK);
        }
    };
    tokio::select! {
        () = reads => {}
        ended = demo.end(scaled) => ended.unwrap(),
    }
    assert_eq!(apps(), 2);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_deploy_replaces_an_instance_and_is_rolled_back() {
    let demo = demo(NOBODY).await;
    let pid = || demo.nodes().into_iter().find(|node| node.name == "app-b").unwrap().pid;
    let before = pid();
    let slower = Duration::from_millis(5);
    let deployed = demo.begin(&[Effect::Deploy { role: Role::App, count: 1, slower }]).await.unwrap();
    let next = eventually("another process", async || {
        (pid() != before && state(&demo, "app-b") == NodeState::Running).then(pid)
    })
    .await;
    demo.end(deployed).await.unwrap();
    assert!(pid() != next && state(&demo, "app-b") == NodeState::Running);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_flushed_cache_misses_and_fills_again() {
    let (sink, endpoint) = Sink::start();
    let demo = demo(&endpoint).await;
    let api = Api::new(demo.front_address());
    eventually("entries", async || sink.latest("cache.items").filter(|&items| items > 0.0)).await;
    let flushed = demo.begin(&[Effect::ForgetCache { share: 1.0, every: MINUTE }]).await.unwrap();
    eventually("an empty cache", async || sink.latest("cache.items").filter(|&items| items < 1.0)).await;
    let before = sink.latest("cache.misses").unwrap();
    for &id in demo.content_ids() {
        api.get(id).await;
    }
    eventually("misses", async || sink.latest("cache.misses").filter(|&misses| misses > before)).await;
    eventually("entries again", async || sink.latest("cache.items").filter(|&items| items > 0.0)).await;
    demo.end(flushed).await.unwrap();
    demo.stop().await.unwrap();
}
