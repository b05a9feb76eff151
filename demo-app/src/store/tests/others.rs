//! Queue, object store and cache over their sockets.

use super::*;

#[tokio::test]
async fn an_acknowledged_send_outlives_the_queue_and_poison_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { most_receives: 2, ..settings() };
    let queue = Node::start(Role::Queue, folder.path(), &settings, &[]).await;
    let send = |body: &str| queue::Request::Send { body: body.to_owned(), traceparent: None };
    queue.call::<_, queue::Reply>(send("poison")).await.unwrap();
    queue.call::<_, queue::Reply>(send("sound")).await.unwrap();

    let queue = Node::start(Role::Queue, &queue.kill(), &settings, &[]).await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let Ok(queue::Reply::Received(Some(message))) = queue.call(queue::Request::Receive).await else {
            panic!("nothing was received")
        };
        if message.body == "poison" {
            queue.call::<_, queue::Reply>(queue::Request::Release { id: message.id }).await.unwrap();
        }
        bodies.push(message.body);
    }
    assert_eq!(bodies, ["poison", "poison", "sound"]);
}

#[tokio::test]
async fn a_slowed_object_store_says_slow_down() {
    let folder = tempfile::tempdir().unwrap();
    let store = Node::start(Role::ObjectStore, folder.path(), &governed(4), &[]).await;
    let get = || objects::Request::Get { key: "content-1".to_owned() };
    assert!(store.call::<_, objects::Reply>(get()).await.is_ok());
    store.servers.slow(Duration::ZERO, 1.0);
    let refused = store.call::<_, objects::Reply>(get()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.to_string().as_str()), ("refused", "be served: slow down"));
    store.servers.slow(Duration::from_millis(80), 0.0);
    let since = Instant::now();
    store.call::<_, objects::Reply>(get()).await.unwrap();
    assert!(since.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_large_hot_value_keeps_a_cache_node_busy() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { governed: true, cache_bytes_per_second: 1_000_000, ..settings() };
    let node = Node::start(Role::Cache, folder.path(), &settings, &[]).await;
    for (key, bytes) in [("hot", 100_000), ("cold", 10)] {
        let (key, value) = (key.to_owned(), "x".repeat(bytes));
        node.call::<_, cache::Reply>(cache::Request::Set { key, value, ttl: SOON }).await.unwrap();
    }
    let get = |key: &str| node.call::<_, cache::Reply>(cache::Request::Get { key: key.to_owned() });
    let since = Instant::now();
    get("cold").await.unwrap();
    let alone = since.elapsed();
    let since = Instant::now();
    let (first, second, third) = tokio::join!(get("hot"), get("hot"), get("hot"));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert!(since.elapsed() >= Duration::from_millis(290), "{:?}", since.elapsed());
    assert!(alone < Duration::from_millis(100), "{alone:?}");
}
