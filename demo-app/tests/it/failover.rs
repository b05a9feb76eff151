//! The standby takes over: with everything that was acknowledged, or not at all.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tiertop_demo::fault::Effect;
use tiertop_demo::{Demo, NodeInfo, NodeState, Role};

use crate::client::Api;
use crate::{NOBODY, demo, eventually};

const PRIMARY: &str = "db-primary-a";
const STANDBY: &str = "db-standby-b";

fn node(demo: &Demo, name: &str) -> NodeInfo {
    demo.nodes().into_iter().find(|node| node.name == name).unwrap()
}

/// Signals a process that the demo knows nothing of.
fn signal(node: &NodeInfo, signal: Signal) {
    kill_process(Pid::from_raw(node.pid.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn the_standby_takes_over_and_the_old_primary_stands_by() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let id = api.post(1, "before").await;
    let away = Duration::from_millis(500);
    let failover = demo.begin(&[Effect::Failover { away }]).await.unwrap();
    eventually("another primary", async || (node(&demo, STANDBY).role == Role::Primary).then_some(())).await;
    demo.end(failover).await.unwrap();
    let old = node(&demo, PRIMARY);
    assert_eq!((old.role, old.state), (Role::Standby, NodeState::Running));
    assert_eq!(api.get(id).await.0, StatusCode::OK);
    let written = api.post(1, "after").await;
    assert!(written > id);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_primary_is_not_taken_down_before_its_standby_has_what_was_acknowledged() {
    const WATCHED: Duration = Duration::from_millis(700);
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    signal(&node(&demo, STANDBY), Signal::STOP);
    // The primary goes on alone after its patience.
    let id = api.post(1, "the standby does not have it").await;
    let failover = demo.begin(&[Effect::Failover { away: Duration::from_millis(200) }]).await.unwrap();
    let since = Instant::now();
    while since.elapsed() < WATCHED {
        assert_eq!(node(&demo, PRIMARY).state, NodeState::Running);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    signal(&node(&demo, STANDBY), Signal::CONT);
    eventually("another primary", async || (node(&demo, STANDBY).role == Role::Primary).then_some(())).await;
    demo.end(failover).await.unwrap();
    eventually("the content", async || api.processed(id).await).await;
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_standby_that_cannot_take_over_is_an_error_and_the_old_primary_comes_back() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let id = api.post(1, "before").await;
    let failover = demo.begin(&[Effect::Failover { away: Duration::from_millis(500) }]).await.unwrap();
    eventually("no primary", async || (node(&demo, PRIMARY).state == NodeState::Down).then_some(())).await;
    let silent = node(&demo, STANDBY);
    signal(&silent, Signal::STOP);
    eventually("another standby", async || (node(&demo, STANDBY).pid != silent.pid).then_some(())).await;

    let ended = demo.end(failover).await;
    assert!(ended.is_err(), "nobody took over");
    let roles = [PRIMARY, STANDBY].map(|name| node(&demo, name)).map(|node| (node.role, node.state));
    assert_eq!(roles, [(Role::Primary, NodeState::Running), (Role::Standby, NodeState::Running)]);
    assert_eq!(api.get(id).await.0, StatusCode::OK);
    eventually("writes again", async || {
        let (status, _) = api.call(Method::POST, "/api/v1/content", r#"{"user_id": 1, "payload": "after"}"#).await;
        status.is_success().then_some(())
    })
    .await;
    demo.stop().await.unwrap();
}
