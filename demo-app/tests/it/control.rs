//! The control API: faults begin and end while the demo runs, and refusals say what to do.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tiertop_demo::{Demo, Role};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::Api;
use crate::{NOBODY, demo, eventually};

/// A running demo and a client of its control API.
async fn controlled() -> (Demo, Api) {
    let demo = demo(NOBODY).await;
    let address = demo.open_control(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    (demo, Api::new(address))
}

async fn begin(api: &Api, body: Value) -> (StatusCode, Value) {
    api.call(Method::POST, "/faults", body.to_string()).await
}

async fn active(api: &Api) -> usize {
    let (_, faults) = api.call(Method::GET, "/faults", "").await;
    faults["active"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_fault_begins_shows_in_the_nodes_and_ends_when_told() {
    let (demo, api) = controlled().await;
    let (status, begun) = begin(&api, json!({ "fault": "worker-loss", "intensity": "medium", "for": "5m" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let down = async || {
        let (_, nodes) = api.call(Method::GET, "/nodes", "").await;
        nodes.as_array().unwrap().iter().filter(|node| node["state"] == "down" && node["role"] == "worker").count()
    };
    eventually("workers to be gone", async || (down().await == 2).then_some(())).await;
    assert_eq!(active(&api).await, 1);

    let (status, conflict) = begin(&api, json!({ "fault": "worker-loss", "intensity": "low" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(conflict["error"].as_str().unwrap().contains("end that one first"), "{conflict}");

    let path = format!("/faults/{}", begun["id"]);
    assert_eq!(api.call(Method::DELETE, &path, "").await.0, StatusCode::OK);
    assert_eq!((down().await, active(&api).await), (0, 0));
    assert_eq!(api.call(Method::DELETE, &path, "").await.0, StatusCode::NOT_FOUND);
    let (_, truth) = api.call(Method::GET, "/truth", "").await;
    assert_eq!((&truth[0]["class"], &truth[0]["tier"]), (&json!("worker-loss"), &json!("worker")));
    assert!(truth[0]["ended_unix_nanos"].as_u64() > truth[0]["began_unix_nanos"].as_u64());
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_ends_by_itself_after_its_time() {
    let (demo, api) = controlled().await;
    let (status, _) = begin(&api, json!({ "fault": "gc-stalls", "for": "300ms" })).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    eventually("the end", async || (active(&api).await == 0).then_some(())).await;
    assert_eq!(demo.truth().borrow().len(), 1);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_fault_that_has_its_time_and_ends() {
    let mut options = crate::options(NOBODY);
    options.settings.autoscaled = false;
    let demo = Demo::start(options).await.unwrap();
    let address = demo.open_control(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let api = Api::new(address);
    let apps = || demo.nodes().iter().filter(|node| node.role == Role::App).count();
    let before = apps();

    let body = json!({ "fault": "over-provisioned", "intensity": "high", "for": "1s" }).to_string();
    let mut hasty = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /faults HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
    hasty.write_all((head + &body).as_bytes()).await.unwrap();
    eventually("more instances", async || (apps() > before).then_some(())).await;
    drop(hasty);

    eventually("the fault to be told", async || (active(&api).await == 1).then_some(())).await;
    eventually("its end", async || (active(&api).await == 0).then_some(())).await;
    assert_eq!(apps(), before, "a fault is told until it has been put back");
    assert_eq!(demo.truth().borrow().len(), 1);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn the_load_is_turned_and_refusals_say_what_to_do() {
    let (demo, api) = controlled().await;
    let dial = demo.dial();
    let turned = api.call(Method::POST, "/load", json!({ "rate": 240.0 }).to_string()).await;
    assert_eq!(turned.0, StatusCode::OK);
    assert!((dial.borrow().factor - 3.0).abs() < 1e-9, "{:?}", *dial.borrow());

    for (method, path, body, status, why) in [
        (Method::POST, "/faults", "{", StatusCode::BAD_REQUEST, "EOF"),
        (Method::POST, "/faults", r#"{"fault": "flood"}"#, StatusCode::BAD_REQUEST, "cache-flush"),
        (Method::POST, "/faults", r#"{"fault": "memory-leak", "for": "1"}"#, StatusCode::BAD_REQUEST, "no duration"),
        (Method::DELETE, "/faults/99", "", StatusCode::NOT_FOUND, "GET /faults"),
        (Method::DELETE, "/nodes", "", StatusCode::METHOD_NOT_ALLOWED, "takes no DELETE"),
        (Method::GET, "/elsewhere", "", StatusCode::NOT_FOUND, "/faults"),
        (Method::POST, "/load", r#"{"rate": -1}"#, StatusCode::UNPROCESSABLE_ENTITY, "such as 200"),
    ] {
        let (found, answer) = api.call(method, path, body).await;
        assert_eq!(found, status, "{path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(why), "{answer}");
    }
    assert_eq!(api.call(Method::DELETE, "/faults", "").await.0, StatusCode::OK);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_fault_that_the_phase_has_nothing_for_names_the_phase_that_has() {
    let mut options = crate::options(NOBODY);
    options.phase = tiertop_demo::Phase::WEB_TIER;
    let demo = Demo::start(options).await.unwrap();
    let api = Api::new(demo.open_control(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap());
    let (status, answer) = begin(&api, json!({ "fault": "cache-flush" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer["error"].as_str().unwrap().contains("--phase 3"), "{answer}");
    demo.stop().await.unwrap();
}
