//! X-Ray in this process, stricter than any emulator: it holds documents against the service's limits, and
//! can throttle, leave documents unprocessed, be at fault, drop answers, never answer, and refuse credentials.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

/// What the next call meets.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// 429 for the whole call.
    Throttle,
    /// 500 for the whole call.
    Fault,
    /// The credentials expired.
    Expired,
    /// Of every second document: this code instead of taking it.
    Unprocessed(&'static str),
    /// All is taken, and the connection breaks off within the answer.
    Dropped,
    /// Nothing is taken, and no answer comes.
    Never,
}

/// What the service has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answers: VecDeque<Answer>,
    /// Documents by the id of their segment.
    pub(super) taken: BTreeMap<String, Value>,
    /// How many documents each call had.
    pub(super) calls: Vec<usize>,
    /// Documents that were taken a second time.
    pub(super) again: usize,
    /// What broke a rule.
    pub(super) violations: Vec<String>,
    /// What is answered to who asks for sampling rules.
    pub(super) rules: Option<Value>,
    /// What clients told of their use.
    pub(super) told: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let router = Router::new()
            .route("/TraceSegments", post(take))
            .route("/GetSamplingRules", post(rules))
            .route("/SamplingTargets", post(targets))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

fn answer(status: StatusCode, error: Option<&str>, body: &Value) -> Response {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(error) = error {
        response = response.header("x-amzn-errortype", error);
    }
    response.body(Body::from(body.to_string())).unwrap()
}

async fn take(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let plan = fake.seen().answers.pop_front();
    if matches!(plan, Some(Answer::Never)) {
        return std::future::pending().await;
    }
    let mut seen = fake.seen();
    let refuse = |status, error: &str| answer(status, Some(error), &json!({"message": "because"}));
    match plan {
        Some(Answer::Throttle) => return refuse(StatusCode::TOO_MANY_REQUESTS, "ThrottledException"),
        Some(Answer::Fault) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        Some(Answer::Expired) => return refuse(StatusCode::FORBIDDEN, "ExpiredTokenException"),
        _ => {}
    }
    let signed = headers.get("authorization").is_some_and(|text| text.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "));
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let documents: Vec<&str> =
        body["TraceSegmentDocuments"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    seen.calls.push(documents.len());
    if !signed || documents.is_empty() || documents.len() > 50 {
        seen.violations.push(format!("signed: {signed}, {} documents", documents.len()));
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequestException");
    }
    let mut unprocessed: Vec<Value> = Vec::new();
    for (place, text) in documents.into_iter().enumerate() {
        let document: Value = serde_json::from_str(text).unwrap_or_default();
        let id = document["id"].as_str().unwrap_or_default().to_owned();
        let mut leave = |code: &str| unprocessed.push(json!({"Id": id, "ErrorCode": code, "Message": "because"}));
        if let Some(violation) = violation(text, &document) {
            leave("InvalidSegment");
            seen.violations.push(violation);
        } else if let (Some(Answer::Unprocessed(code)), 1) = (&plan, place % 2) {
            leave(code);
        } else if seen.taken.insert(id, document).is_some() {
            seen.again += 1;
        }
    }
    drop(seen);
    if matches!(plan, Some(Answer::Dropped)) {
        let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("broken")) });
        return Response::new(Body::from_stream(broken));
    }
    answer(StatusCode::OK, None, &json!({"UnprocessedTraceSegments": unprocessed}))
}

/// What of a document breaks the service's rules.
fn violation(text: &str, document: &Value) -> Option<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let hex = |text: Option<&str>, digits: usize| {
        text.is_some_and(|text| text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let trace = document["trace_id"].as_str().unwrap_or_default();
    let mut parts = trace.split('-');
    let is_trace = parts.next() == Some("1") && hex(parts.next(), 8) && hex(parts.next(), 24) && parts.next().is_none();
    let start = document["start_time"].as_f64().unwrap_or_default();
    let ends = document["end_time"].as_f64().is_some_and(|end| end >= start) || document["in_progress"] == true;
    let is_part = document["type"] == "subsegment";
    let name = document["name"].as_str().unwrap_or_default();
    [
        (text.len() > 64_000, "too long"),
        (!is_trace, "no trace id"),
        (!hex(document["id"].as_str(), 16), "no id"),
        (is_part && !hex(document["parent_id"].as_str(), 16), "a part of nothing"),
        (start < now_s - 28.0 * 86_400.0 || start > now_s + 300.0, "the time is out of range"),
        (!ends, "it does not end"),
        (name.is_empty() || name.chars().count() > 200, "no name"),
    ]
    .into_iter()
    .find(|(is_broken, _)| *is_broken)
    .map(|(_, what)| format!("{what}: {text}"))
}

async fn rules(State(fake): State<Fake>) -> Response {
    match &fake.seen().rules {
        Some(rules) => answer(StatusCode::OK, None, rules),
        None => answer(StatusCode::NOT_FOUND, None, &json!({})),
    }
}

async fn targets(State(fake): State<Fake>, body: Bytes) -> Response {
    fake.seen().told.push(serde_json::from_slice(&body).unwrap_or_default());
    answer(StatusCode::OK, None, &json!({"SamplingTargetDocuments": [], "UnprocessedStatistics": []}))
}
