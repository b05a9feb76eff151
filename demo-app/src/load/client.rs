//! The client of the load: turns an action into an HTTP request, sends it, and judges the answer.
//!
//! Users who have a session log in when one of their requests is to carry it for the first time, and again
//! when the service no longer knows it, as browsers do; that time is part of the request's latency.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::load::{Action, LoadOptions};
use crate::store::lock;

/// How many of the contents written last are read again.
const RECENT: usize = 32;

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    TimedOut,
}

pub(super) struct Client {
    front: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    timeout: std::time::Duration,
    payload: String,
    content_ids: Vec<i64>,
    /// The contents written last, the newest first.
    recent: Mutex<VecDeque<i64>>,
    /// The session cookies of users who have logged in.
    sessions: Mutex<HashMap<i64, HeaderValue>>,
}

impl Client {
    pub(super) fn new(options: &LoadOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            front: options.front,
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            timeout: options.timeout,
            payload: "tiertop ".chars().cycle().take(options.plan.payload_bytes).collect(),
            content_ids: options.content_ids.clone(),
            recent: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// Sends one request that was due at a time, and waits for its answer.
    pub(super) async fn send(&self, action: Action, session: Option<i64>, due: Instant) -> Outcome {
        match tokio::time::timeout_at(due + self.timeout, self.exchange(action, session)).await {
            Ok(Some(())) => Outcome::Ok,
            Ok(None) => Outcome::Failed,
            Err(_) => Outcome::TimedOut,
        }
    }

    async fn exchange(&self, action: Action, user: Option<i64>) -> Option<()> {
        let cookie = match user {
            Some(user) => Some(self.session(user).await?),
            None => None,
        };
        let (mut status, mut body) = self.ask(self.request(action, cookie)?).await?;
        if let Some(user) = user.filter(|_| status == StatusCode::UNAUTHORIZED) {
            lock(&self.sessions).remove(&user);
            let cookie = self.session(user).await?;
            (status, body) = self.ask(self.request(action, Some(cookie))?).await?;
        }
        if status.is_success() && action.writes() {
            let body: Value = serde_json::from_slice(&body).ok()?;
            self.remember(body["content_id"].as_i64()?);
        }
        status.is_success().then_some(())
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
        let response = self.http.request(request).await.ok()?;
        let status = response.status();
        Some((status, response.into_body().collect().await.ok()?.to_bytes()))
    }

    /// Returns a user's session cookie, after logging in where there is none.
    async fn session(&self, user: i64) -> Option<HeaderValue> {
        if let Some(cookie) = lock(&self.sessions).get(&user) {
            return Some(cookie.clone());
        }
        let request = self.posted("/api/v1/session", &json!({ "user_id": user }))?;
        let (status, body) = self.ask(request).await?;
        let body: Value = serde_json::from_slice(&body).ok().filter(|_| status.is_success())?;
        let cookie = HeaderValue::try_from(format!("session={}", body["session_id"].as_str()?)).ok()?;
        lock(&self.sessions).insert(user, cookie.clone());
        Some(cookie)
    }

    fn request(&self, action: Action, cookie: Option<HeaderValue>) -> Option<Request<Full<Bytes>>> {
        let mut request = match action {
            Action::Read { .. } | Action::ReadRecent { .. } => {
                self.get(&format!("/api/v1/content/{}", self.content_id(action)?))
            }
            Action::List { user_id } => self.get(&format!("/api/v1/content?user_id={user_id}")),
            Action::Asset { rank } => self.get(&format!("/static/asset-{rank}.css")),
            Action::Write { user_id } => {
                self.posted("/api/v1/content", &json!({ "user_id": user_id, "payload": self.payload }))
            }
            Action::Upload { user_id } => self.upload(user_id),
        }?;
        request.headers_mut().extend(cookie.map(|cookie| (header::COOKIE, cookie)));
        Some(request)
    }

    fn get(&self, path: &str) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = format!("http://{}{path}", self.front).parse::<Uri>().ok()?;
        Some(request)
    }

    fn posted(&self, path: &str, body: &Value) -> Option<Request<Full<Bytes>>> {
        let mut request = self.get(path)?;
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Full::from(body.to_string());
        Some(request)
    }

    fn upload(&self, user_id: i64) -> Option<Request<Full<Bytes>>> {
        let mut request = self.get("/api/v1/upload")?;
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        request.headers_mut().insert("x-user-id", HeaderValue::from(user_id));
        *request.body_mut() = Full::from(self.payload.clone());
        Some(request)
    }

    /// The content that a read is for. Until something was written, old contents stand in.
    fn content_id(&self, action: Action) -> Option<i64> {
        let (rank, recent) = match action {
            Action::ReadRecent { rank } => (rank, lock(&self.recent).get(rank % RECENT).copied()),
            Action::Read { rank } => (rank, None),
            _ => return None,
        };
        recent.or_else(|| self.content_ids.get(rank).copied())
    }

    fn remember(&self, content_id: i64) {
        let mut recent = lock(&self.recent);
        recent.push_front(content_id);
        recent.truncate(RECENT);
    }
}
