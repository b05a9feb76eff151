//! The contract of the content API.

use http::{Method, StatusCode};
use serde_json::json;
use tiertop_demo::Role;
use tiertop_demo::fault::Effect;

use crate::client::Api;
use crate::{NOBODY, demo, eventually};

#[tokio::test]
async fn the_api_keeps_its_contract_and_says_why_it_refuses() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());

    let id = api.post(7, "some words").await;
    let content = eventually("the worker", async || api.processed(id).await).await;
    assert_eq!(content["content_id"], id);
    assert_eq!(content["payload"], "some words");
    assert_eq!(content["metadata"]["bytes"], 10);
    assert_eq!(content["metadata"]["user_id"], 7);
    assert!(content["metadata"]["created_at"].is_string());

    let seeded = demo.content_ids()[0];
    assert_eq!(api.get(seeded).await.1["content_id"], seeded);

    let large = json!({ "user_id": 1, "payload": "x".repeat(300_000) }).to_string();
    let collection = "/api/v1/content";
    for (method, path, body, expected) in [
        (Method::POST, collection, "{", StatusCode::BAD_REQUEST),
        (Method::POST, collection, "", StatusCode::BAD_REQUEST),
        (Method::POST, collection, "{}", StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, collection, r#"{"user_id":1}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, collection, r#"{"user_id":"me","payload":"p"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, collection, r#"{"user_id":1,"payload":""}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, collection, &large, StatusCode::PAYLOAD_TOO_LARGE),
        (Method::GET, collection, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/content/1", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/v1/content/one", "", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/v1/content/99999999", "", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/content/99999999999999999999", "", StatusCode::BAD_REQUEST),
        (Method::GET, "/", "", StatusCode::NOT_FOUND),
    ] {
        let (status, answer) = api.call(method.clone(), path, body.to_owned()).await;
        let start: String = body.chars().take(40).collect();
        assert_eq!(status, expected, "{method} {path} {start}: {answer}");
        assert!(answer["error"].is_string(), "{method} {path} {start} says no reason");
    }
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn an_acknowledged_write_is_never_not_found() {
    let demo = demo(NOBODY).await;
    let api = Api::new(demo.front_address());
    let mut written = Vec::new();
    for user in 0..20 {
        let id = api.post(user, "at once").await;
        api.processed(id).await;
        written.push(id);
    }

    // The worst case: the replica knows nothing new, and nobody processes.
    let _behind = demo.begin(&[Effect::HoldReplay { replicas: 2, late: None }]).await.unwrap();
    let idle = demo.begin(&[Effect::Freeze { role: Role::Worker, count: 2 }]).await.unwrap();
    for user in 0..20 {
        let id = api.post(user, "while away").await;
        let (status, answer) = api.get(id).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer, json!({ "status": "processing", "content_id": id }));
        written.push(id);
    }
    demo.end(idle).await.unwrap();
    for &id in &written {
        eventually("all to be processed", async || api.processed(id).await).await;
    }
    demo.stop().await.unwrap();
}
