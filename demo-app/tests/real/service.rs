//! The service is the same on real servers, and its telemetry says what they are.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tiertop_demo::{Demo, Phase};

use crate::client::Api;
use crate::sink::{Attributes, Sink};
use crate::stack::Stack;
use crate::{NOBODY, connect, demo, demo_in, eventually, options};

fn is_at(attributes: &Attributes, address: SocketAddr) -> bool {
    attributes.get("server.address") == Some(&format!("\"{}\"", address.ip()))
        && attributes.get("server.port") == Some(&address.port().to_string())
}

fn says(attributes: &Attributes, key: &str, text: &str) -> bool {
    attributes.get(key) == Some(&format!("{text:?}"))
}

#[tokio::test]
async fn the_api_keeps_its_contract_and_the_spans_name_the_servers() {
    let (sink, endpoint) = Sink::start();
    let stack = Stack::start().await;
    let demo = demo(&stack.servers, &endpoint).await;
    let api = Api::new(demo.front_address());

    let id = api.post(7, "some words").await;
    assert!(!demo.content_ids().contains(&id), "{id} was there from the start");
    let content = eventually("the content", async || api.processed(id).await).await;
    assert_eq!((&content["content_id"], &content["payload"]), (&json!(id), &json!("some words")));
    assert_eq!((&content["metadata"]["bytes"], &content["metadata"]["user_id"]), (&json!(10), &json!(7)));
    let created = content["metadata"]["created_at"].as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z'), "{created}");
    let (_, seeded) = api.get(demo.content_ids()[0]).await;
    assert_eq!(seeded["metadata"]["created_at"], "2026-01-01T00:00:00.000Z");
    for &id in demo.content_ids() {
        assert_eq!(api.get(id).await.0, StatusCode::OK);
    }

    let upload = api.upload(7, &[255, 0, 1]).await;
    let upload = eventually("the upload", async || api.processed(upload).await).await;
    assert_eq!(upload["payload"], "/wAB");
    let cookie = api.begin_session(5).await;
    let who = api.fetch("/api/v1/session", &[("cookie", &cookie)]).await;
    assert_eq!((who.status, who.json()), (StatusCode::OK, json!({ "user_id": 5 })));

    let list = "/api/v1/content?user_id=7";
    let newest = eventually("a list with the content", async || {
        let (status, list) = api.call(Method::GET, list, "").await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list["contents"].as_array()?.first().cloned().filter(|first| first["content_id"] == upload["content_id"])
    })
    .await;
    assert_eq!(newest["metadata"]["user_id"], 7);

    let collection = "/api/v1/content";
    for (method, path, body, expected) in [
        (Method::POST, collection, "{", StatusCode::BAD_REQUEST),
        (Method::POST, collection, r#"{"payload":"p"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (Method::GET, "/api/v1/content/99999999", "", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/content/one", "", StatusCode::BAD_REQUEST),
    ] {
        let (status, answer) = api.call(method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        assert!(answer["error"].is_string(), "{method} {path} {body} says no reason");
    }

    demo.stop().await.unwrap();
    let spans = sink.spans();
    let calls = |system: &str, address: SocketAddr| {
        let calls = spans
            .iter()
            .filter(|span| span.kind == SpanKind::Client && says(&span.attributes, "db.system.name", system));
        calls.filter(|span| is_at(&span.attributes, address)).count()
    };
    let servers = &stack.servers;
    assert!(calls("postgresql", servers.primary) > 0);
    for &address in &servers.replicas {
        assert!(calls("postgresql", address) > 0, "nothing was read from {address}");
    }
    for &address in &servers.caches {
        assert!(calls("redis", address) > 0, "nothing was asked of {address}");
    }
    assert!(!spans.iter().any(|span| says(&span.attributes, "db.system.name", "sqlite")));
}

#[tokio::test]
async fn without_a_cache_the_real_database_keeps_the_sessions() {
    let (sink, endpoint) = Sink::start();
    let stack = Stack::start().await;
    let demo = demo_in(Phase::WEB_TIER, &stack.servers, &endpoint).await;
    let api = Api::new(demo.front_address());
    let cookie = api.begin_session(5).await;
    let who = api.fetch("/api/v1/session", &[("cookie", &cookie)]).await;
    assert_eq!((who.status, who.json()), (StatusCode::OK, json!({ "user_id": 5 })));
    let nobody = api.fetch("/api/v1/session", &[("cookie", "session=unknown")]).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    demo.stop().await.unwrap();
    let asked = "SELECT user_id FROM session WHERE id = $1";
    assert!(sink.spans().iter().any(|span| says(&span.attributes, "db.query.text", asked)));
}

#[tokio::test]
async fn sidecars_tell_what_their_servers_have() {
    let (sink, endpoint) = Sink::start();
    let stack = Stack::start().await;
    let demo = demo(&stack.servers, &endpoint).await;
    let servers = &stack.servers;
    let told = async |metric: &str, address: SocketAddr| {
        eventually(metric, async || {
            let of = |point: &&crate::sink::SeenPoint| point.metric == metric && is_at(&point.attributes, address);
            sink.points().iter().rev().find(of).map(|point| point.value)
        })
        .await
    };
    for &address in &servers.caches {
        for metric in ["redis.keyspace.hits", "redis.keyspace.misses", "redis.keys.evicted", "redis.clients.blocked"] {
            told(metric, address).await;
        }
        assert!(told("redis.memory.used", address).await > 100_000.0);
        assert!(told("redis.db.keys", address).await > 0.0, "the cache at {address} was not filled");
    }
    for address in [servers.primary, servers.standby].into_iter().chain(servers.replicas.clone()) {
        assert!(told("postgresql.backends", address).await >= 1.0);
        assert!((told("postgresql.connection.max", address).await - 200.0).abs() < 1e-9);
    }
    for address in [servers.standby].into_iter().chain(servers.replicas.clone()) {
        told("db.replica.lag", address).await;
    }
    let behind = |point: &crate::sink::SeenPoint| point.metric == "db.replica.lag";
    assert!(!sink.points().iter().any(|point| behind(point) && is_at(&point.attributes, servers.primary)));
    // What the sidecar's own process needs would pass for the server's.
    assert!(
        !sink.points().iter().any(|point| point.service() == "content-cache" && point.metric.starts_with("process."))
    );
    demo.stop().await.unwrap();
}

const SESSIONS: &str = "CREATE TABLE IF NOT EXISTS session (id text PRIMARY KEY, user_id bigint NOT NULL)";

#[tokio::test]
async fn servers_that_are_not_marked_as_the_demos_are_left_as_they_are() {
    let stack = Stack::start().await;
    let client = connect(&stack.servers).await;
    let named = format!("\"{}\"", stack.servers.database);
    client.batch_execute(SESSIONS).await.unwrap();
    client.batch_execute("INSERT INTO session VALUES ('precious', 1) ON CONFLICT DO NOTHING").await.unwrap();
    client.batch_execute(&format!("ALTER DATABASE {named} SET tiertop.demo = 'off'")).await.unwrap();
    let refused = Demo::start(options(Phase::WEB_TIER, &stack.servers, NOBODY)).await.unwrap_err().to_string();
    assert!(refused.contains("not marked") && refused.contains("ALTER DATABASE"), "{refused}");
    let kept = client.query_one("SELECT count(*) FROM session WHERE id = 'precious'", &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 1);

    // What was marked again is emptied.
    client.batch_execute(&format!("ALTER DATABASE {named} RESET tiertop.demo")).await.unwrap();
    let demo = demo_in(Phase::WEB_TIER, &stack.servers, NOBODY).await;
    let kept = client.query_one("SELECT count(*) FROM session WHERE id = 'precious'", &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 0);
    demo.stop().await.unwrap();
}
