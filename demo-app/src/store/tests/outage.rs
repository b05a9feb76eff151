//! An outage of the stores behind the worker costs time and no message.

use super::*;
use crate::clients::queue::Job;
use crate::store::messages::{Depth, Messages};
use crate::store::unix_millis;

/// Sends the queue a message.
async fn send(queue: &Node, body: String) {
    let _: queue::Reply = queue.call(queue::Request::Send { body, traceparent: None }).await.unwrap();
}

#[tokio::test]
async fn an_outage_longer_than_all_receives_buries_only_what_cannot_be_processed() {
    let settings = Settings { visibility_timeout: Duration::from_millis(150), most_receives: 2, ..settings() };
    let folders = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let queue = Node::start(Role::Queue, folders[0].path(), &settings, &[]).await;
    let primary = Node::start(Role::Primary, folders[1].path(), &settings, &[]).await;
    let objects = Node::start(Role::ObjectStore, folders[2].path(), &settings, &[]).await;
    // The object store is away: nobody has said where it is.
    let worker = Node::start(Role::Worker, folders[3].path(), &settings, &[&queue, &primary]).await;
    let messages = Messages::open(&folders[0].path().join("queue.db"), Duration::ZERO, 0).unwrap();
    let depth = || messages.depth(unix_millis()).unwrap();

    let content_id = primary.insert(7).await.unwrap();
    let job = Job::Payload { content_id, payload: "some words".to_owned() };
    send(&queue, serde_json::to_string(&job).unwrap()).await;
    send(&queue, "poison".to_owned()).await;
    until("the poisoned one is given up", async || depth().dead == 1).await;
    let spent = settings.visibility_timeout * settings.most_receives as u32;
    // How long the outage lasts is what matters here.
    tokio::time::sleep(3 * spent).await;
    let held = depth();
    assert_eq!((held.visible, held.in_flight, held.dead), (0, 1, 1), "the worker holds its message");

    worker.tell(&[&queue, &primary, &objects]);
    until("the content is processed", async || {
        matches!(primary.ask(Request::Select { id: content_id }).await, Ok(Reply::Row(Some(row))) if row.asset_url.is_some())
    })
    .await;
    let empty = Depth { visible: 0, in_flight: 0, oldest: Duration::ZERO, dead: 1 };
    until("the message is acknowledged", async || depth() == empty).await;
}
