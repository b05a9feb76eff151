//! What was acknowledged is never lost and never answers 404, while instances of every tier are killed and
//! the standby takes over from the primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tiertop_demo::fault::Effect;
use tiertop_demo::{Demo, Role};
use tokio::sync::mpsc;

use crate::client::Api;
use crate::{NOBODY, demo, eventually};

/// What was acknowledged: a content's id and its payload.
type Acknowledged = (i64, String);

/// How many writes are acknowledged between one kill and the next, so that kills hit different moments.
const IN_BETWEEN: usize = 10;

/// How long a writer waits that nobody answered.
const RETRY: Duration = Duration::from_millis(10);

/// What the writer and the test share.
#[derive(Default)]
struct Writing {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

/// Writes as fast as it is answered, until it is told to stop; some are uploads.
async fn write(api: Arc<Api>, writing: Arc<Writing>, acknowledged: mpsc::UnboundedSender<Acknowledged>) {
    for number in 0.. {
        if writing.stop.load(Ordering::Relaxed) {
            return;
        }
        let payload = format!("payload {number}");
        let sent = if number % 4 == 0 {
            api.send(Method::POST, "/api/v1/upload", &[("x-user-id", "7")], payload.clone()).await
        } else {
            let body = json!({ "user_id": 7, "payload": payload }).to_string();
            api.send(Method::POST, "/api/v1/content", &[], body).await
        };
        // What was refused was not acknowledged; it may be tried again.
        match sent {
            Some(answer) if answer.status.is_success() => {
                let id = answer.json()["content_id"].as_i64().unwrap();
                acknowledged.send((id, payload)).unwrap();
                writing.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
            None => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Reads what was acknowledged, the newest at once, for as long as it is written; returns all of it.
async fn read(api: Arc<Api>, mut acknowledged: mpsc::UnboundedReceiver<Acknowledged>) -> Vec<Acknowledged> {
    let mut all = Vec::new();
    while let Some((id, payload)) = acknowledged.recv().await {
        all.push((id, payload));
        let older = &all[all.len() / 2];
        for id in [id, older.0] {
            let path = format!("/api/v1/content/{id}");
            if let Some(answer) = api.send(Method::GET, &path, &[], "").await {
                is_not_lost(id, answer.status, &answer.json());
            }
        }
    }
    all
}

/// A read may fail while stores are away. It may not say that there is no such content.
fn is_not_lost(id: i64, status: StatusCode, answer: &Value) {
    assert!(status == StatusCode::OK || status.is_server_error(), "content {id}: {status} {answer}");
    assert!(status != StatusCode::OK || answer["content_id"] == id, "content {id}: {answer}");
}

/// Kills the first instance of a role and waits until there is another process in its place.
async fn kill_and_await_the_next(demo: &Demo, role: Role) {
    let first = || demo.nodes().into_iter().find(|node| node.role == role);
    let killed = first().unwrap();
    kill_process(Pid::from_raw(killed.pid as i32).unwrap(), Signal::KILL).unwrap();
    eventually("the supervision", async || first().filter(|next| next.pid != killed.pid)).await;
}

/// Lets the standby take over, and returns when it is the primary.
async fn fail_over(demo: &Demo) {
    let primary = || demo.nodes().into_iter().find(|node| node.role == Role::Primary);
    let before = primary().unwrap().name;
    let failover = demo.begin(&[Effect::Failover { away: Duration::from_millis(300) }]).await.unwrap();
    eventually("another primary", async || primary().filter(|next| next.name != before)).await;
    demo.end(failover).await.unwrap();
}

/// Waits until some more writes are acknowledged.
async fn some_writes(writing: &Writing) {
    let enough = writing.acknowledged.load(Ordering::Relaxed) + IN_BETWEEN;
    eventually("writes to go on", async || (writing.acknowledged.load(Ordering::Relaxed) >= enough).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_never_lost_while_instances_are_killed() {
    let demo = demo(NOBODY).await;
    let api = Arc::new(Api::new(demo.front_address()));
    let writing = Arc::new(Writing::default());
    let (acknowledged, reader) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write(Arc::clone(&api), Arc::clone(&writing), acknowledged));
    let reader = tokio::spawn(read(Arc::clone(&api), reader));

    for role in [
        Role::App,
        Role::Worker,
        Role::Replica,
        Role::Cache,
        Role::Queue,
        Role::Primary,
        Role::ObjectStore,
        Role::Web,
        Role::LoadBalancer,
        Role::Edge,
        Role::External,
        Role::Standby,
        Role::App,
    ] {
        some_writes(&writing).await;
        kill_and_await_the_next(&demo, role).await;
    }
    some_writes(&writing).await;
    fail_over(&demo).await;
    some_writes(&writing).await;
    kill_and_await_the_next(&demo, Role::Primary).await;
    some_writes(&writing).await;
    writing.stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let all = reader.await.unwrap();
    assert!(all.len() > 50, "only {} were acknowledged", all.len());

    for (id, payload) in all {
        let content = eventually("all to be processed", async || {
            let (status, answer) = api.get(id).await;
            is_not_lost(id, status, &answer);
            answer.get("payload").is_some().then_some(answer)
        })
        .await;
        assert_eq!(content["payload"], payload, "content {id}");
    }
    demo.stop().await.unwrap();
}
