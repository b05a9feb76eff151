//! A client of the content API.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

pub(crate) struct Api {
    front: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of text"))
    }
}

impl Api {
    pub(crate) fn new(front: SocketAddr) -> Self {
        Self { front, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request with headers; none where the connection broke.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Seen> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.front));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(body.into())).expect("a valid request");
        let (parts, body) = self.client.request(request).await.ok()?.into_parts();
        Some(Seen { status: parts.status, headers: parts.headers, body: body.collect().await.ok()?.to_bytes() })
    }

    /// Sends a GET request with headers.
    pub(crate) async fn fetch(&self, path: &str, headers: &[(&'static str, &str)]) -> Seen {
        self.send(Method::GET, path, headers, "").await.expect("an answer")
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> (StatusCode, Value) {
        let seen = self.send(method, path, &[], body).await.expect("an answer");
        (seen.status, seen.json())
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

    /// Uploads bytes for a user; returns the content's id.
    pub(crate) async fn upload(&self, user_id: i64, bytes: &[u8]) -> i64 {
        let user_id = user_id.to_string();
        let bytes = Bytes::copy_from_slice(bytes);
        let seen = self.send(Method::POST, "/api/v1/upload", &[("x-user-id", &user_id)], bytes).await;
        let seen = seen.expect("an answer");
        assert_eq!(seen.status, StatusCode::ACCEPTED, "{seen:?}");
        let id = seen.json()["content_id"].as_i64().expect("a content_id");
        assert_eq!(seen.header("location"), format!("/api/v1/content/{id}"));
        id
    }

    /// Begins a session; returns the cookie.
    pub(crate) async fn begin_session(&self, user_id: i64) -> String {
        let body = json!({ "user_id": user_id }).to_string();
        let seen = self.send(Method::POST, "/api/v1/session", &[], body).await.expect("an answer");
        assert_eq!(seen.status, StatusCode::OK, "{seen:?}");
        let cookie = format!("session={}", seen.json()["session_id"].as_str().expect("a session_id"));
        assert_eq!(seen.header("set-cookie"), format!("{cookie}; HttpOnly; Path=/"));
        cookie
    }
}
