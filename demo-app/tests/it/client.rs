//! A client of the content API.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

pub(crate) struct Api {
    front: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    pub(crate) fn new(front: SocketAddr) -> Self {
        Self { front, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.front))
            .body(Full::new(body.into()))
            .expect("a valid request");
        let response = self.client.request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn post(&self, user_id: i64, payload: &str) -> i64 {
        let body = json!({ "user_id": user_id, "payload": payload }).to_string();
        let (status, answer) = self.call(Method::POST, "/api/v1/content", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["status"], "processing");
        answer["content_id"].as_i64().expect("a content_id")
    }

    pub(crate) async fn get(&self, id: i64) -> (StatusCode, Value) {
        self.call(Method::GET, &format!("/api/v1/content/{id}"), "").await
    }

    /// Reads a content once; answers its body when it is processed.
    pub(crate) async fn processed(&self, id: i64) -> Option<Value> {
        let (status, answer) = self.get(id).await;
        assert_eq!(status, StatusCode::OK, "an acknowledged content answers {answer}");
        answer.get("payload").is_some().then_some(answer)
    }
}
