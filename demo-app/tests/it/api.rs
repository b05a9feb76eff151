//! The contract of the content API.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tiertop_demo::fault::Effect;
use tiertop_demo::load::{self, LoadOptions, LoadPlan, PAYLOAD_BYTES};
use tiertop_demo::{Demo, Phase, Role};

use crate::client::Api;
use crate::{NOBODY, demo, eventually, options_of};

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
        (Method::POST, collection, r#"{"user_id":-1,"payload":"p"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (
            Method::POST,
            collection,
            r#"{"user_id":9223372036854775808,"payload":"p"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (Method::POST, collection, r#"{"payload":"whose?"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (Method::GET, collection, "", StatusCode::UNPROCESSABLE_ENTITY),
        (Method::GET, "/api/v1/content?user_id=-1", "", StatusCode::UNPROCESSABLE_ENTITY),
        (Method::DELETE, collection, "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/api/v1/content/1", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/v1/upload", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/api/v1/upload", "whose?", StatusCode::UNPROCESSABLE_ENTITY),
        (Method::POST, "/api/v1/session", "{}", StatusCode::UNPROCESSABLE_ENTITY),
        (Method::GET, "/api/v1/session", "", StatusCode::UNAUTHORIZED),
        (Method::POST, "/static/asset-0.css", "", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/static/asset-12.css", "", StatusCode::NOT_FOUND),
        (Method::GET, "/api/v1/content/one", "", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/v1/content/-1", "", StatusCode::BAD_REQUEST),
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
async fn large_payloads_are_stored_before_the_start_and_taken_afterwards() {
    const BYTES: usize = 100_000;
    let mut options = options_of(Phase::DATABASE_READS, NOBODY);
    (options.load.payload_bytes, options.load.items) = (BYTES, 200);
    let demo = Demo::start(options).await.unwrap();
    let api = Api::new(demo.front_address());
    for id in [1, 200] {
        let (status, content) = api.get(id).await;
        assert_eq!((status, content["payload"].as_str().unwrap().len()), (StatusCode::OK, BYTES));
    }
    let plan =
        LoadPlan { payload_bytes: *PAYLOAD_BYTES.end(), rate: 20.0, reads_per_write: 1.0, ..LoadPlan::default() };
    let mut load = LoadOptions::new(demo.front_address(), plan, demo.content_ids().to_vec());
    load.duration = Some(Duration::from_secs(1));
    let report = load::run(load, std::future::pending()).await;
    assert!(report.writes.count() > 0 && report.counts.failed == 0, "{report}");
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

#[tokio::test]
async fn every_phase_serves_the_whole_api() {
    for phase in [Phase::SINGLE_BOX, Phase::WEB_TIER, Phase::DATABASE_READS, Phase::WRITES] {
        let demo = Demo::start(options_of(phase, NOBODY)).await.unwrap();
        let api = Api::new(demo.front_address());
        let cookie = api.begin_session(5).await;
        uploads_are_processed_as_they_were_sent(&api).await;
        a_session_says_who_it_is(&api, &cookie).await;
        lists_have_the_newest_first(&api).await;
        assets_are_sent_once(&api).await;
        let seeded = api.processed(demo.content_ids()[0]).await.unwrap();
        assert_eq!(seeded.get("rating").is_some(), phase.has(Role::External), "phase {phase}: {seeded}");
        demo.stop().await.unwrap();
    }
}

async fn uploads_are_processed_as_they_were_sent(api: &Api) {
    let text = api.upload(7, "naïve text".as_bytes()).await;
    let binary = api.upload(7, &[255, 0, 1]).await;
    let text = eventually("the upload", async || api.processed(text).await).await;
    assert_eq!((&text["payload"], &text["metadata"]["bytes"]), (&json!("naïve text"), &json!(11)));
    let binary = eventually("the upload", async || api.processed(binary).await).await;
    assert_eq!((&binary["payload"], &binary["metadata"]["encoding"]), (&json!("/wAB"), &json!("base64")));
    assert_eq!(binary["metadata"]["bytes"], 3);
}

async fn a_session_says_who_it_is(api: &Api, cookie: &str) {
    let who = api.fetch("/api/v1/session", &[("cookie", cookie)]).await;
    assert_eq!((who.status, who.json()), (StatusCode::OK, json!({ "user_id": 5 })));
    let body = json!({ "payload": "mine" }).to_string();
    let posted = api.send(Method::POST, "/api/v1/content", &[("cookie", cookie)], body).await.unwrap();
    let id = posted.json()["content_id"].as_i64().unwrap();
    let mine = eventually("the content", async || api.processed(id).await).await;
    assert_eq!(mine["metadata"]["user_id"], 5);

    let unknown = [("cookie", "theme=dark; session=00112233445566778899aabbccddeeff")];
    for path in ["/api/v1/session", "/api/v1/content/1"] {
        let refused = api.fetch(path, &unknown).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(refused.json()["error"].is_string());
    }
}

async fn lists_have_the_newest_first(api: &Api) {
    let mut written = Vec::new();
    for number in 0..22 {
        written.push(api.post(4_711, &number.to_string()).await);
    }
    written.reverse();
    written.truncate(20);
    // A list may be behind for a moment.
    eventually("the list", async || {
        let list = api.fetch("/api/v1/content?user_id=4711", &[]).await.json();
        let ids: Option<Vec<i64>> = list["contents"].as_array()?.iter().map(|one| one["content_id"].as_i64()).collect();
        (ids? == written).then_some(())
    })
    .await;
    let nobody = api.fetch("/api/v1/content?user_id=999999", &[]).await;
    assert_eq!((nobody.status, &nobody.json()["contents"]), (StatusCode::OK, &json!([])));
}

async fn assets_are_sent_once(api: &Api) {
    let asset = api.fetch("/static/asset-11.css", &[]).await;
    assert_eq!(asset.status, StatusCode::OK);
    assert!(asset.body.len() > 1_000);
    assert_eq!(asset.header("cache-control"), "public, max-age=60");
    assert_eq!(asset.header("content-type"), "text/css");
    let again = api.fetch("/static/asset-11.css", &[("if-none-match", asset.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn where_a_store_is_down_the_last_known_answer_is_better_than_none() {
    let demo = Demo::start(options_of(Phase::SPIKES, NOBODY)).await.unwrap();
    let api = Api::new(demo.front_address());
    let id = demo.content_ids()[0];
    let path = format!("/api/v1/content/{id}");
    // Each instance has to know it.
    for _ in 0..20 {
        let fresh = api.fetch(&path, &[]).await;
        assert!(fresh.json().get("stale").is_none());
    }
    let away = [Role::Cache, Role::Replica, Role::Primary, Role::Standby];
    let away = away.map(|role| Effect::Kill { role, count: 2 });
    let away = demo.begin(&away).await.unwrap();
    let stale = eventually("a stale answer", async || {
        let answer = api.fetch(&path, &[]).await;
        answer.json().get("stale").is_some().then_some(answer)
    })
    .await;
    assert_eq!(stale.status, StatusCode::OK);
    assert!(stale.header("warning").starts_with("110 "));
    assert_eq!(stale.json()["content_id"], id);
    assert_eq!(api.get(id + 1).await.0, StatusCode::SERVICE_UNAVAILABLE);

    demo.end(away).await.unwrap();
    eventually("a fresh answer", async || {
        let answer = api.fetch(&path, &[]).await;
        (answer.status == StatusCode::OK && answer.json().get("stale").is_none()).then_some(())
    })
    .await;
    demo.stop().await.unwrap();
}
