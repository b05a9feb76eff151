//! The load: an open loop of scheduled requests against the front of the demo.
//!
//! Requests leave when the schedule says so, however many are unanswered, and latency is counted
//! from the scheduled time. So a system that stalls is charged for those who would have come
//! meanwhile (no coordinated omission). The generator is the client, and is not instrumented.

mod plan;
mod report;
mod schedule;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::store::lock;
pub use plan::{ClosedLoop, Curve, Dial, LoadPlan, READS_PER_USER};
pub use report::{Latencies, LoadCounts, LoadReport};
pub(crate) use schedule::shares;
pub use schedule::{Action, Planned, Schedule};

/// How many of the contents written last are read again.
const RECENT: usize = 32;

/// Most requests unanswered at once: over it a request counts as failed without being sent, so
/// that a dead system does not exhaust the descriptors of its client.
const MAX_IN_FLIGHT: u64 = 4_096;

/// The load to put on a demo.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where requests go: [`crate::Demo::front_address`].
    pub front: SocketAddr,
    /// What arrives.
    pub plan: LoadPlan,
    /// What faults change in it while it runs.
    pub dial: watch::Receiver<Dial>,
    /// When to stop; without it, when told to.
    pub duration: Option<Duration>,
    /// The contents to read: [`crate::Demo::content_ids`]; the first is the most popular.
    pub content_ids: Vec<i64>,
    /// Longest wait for an answer, from the scheduled time on.
    pub timeout: Duration,
    /// Seed of the schedule: the same seed plans the same requests at the same times.
    pub seed: u64,
    /// Where to show the counts while the load runs.
    pub progress: Option<watch::Sender<LoadCounts>>,
}

impl LoadOptions {
    /// Returns a load on a front that nothing changes while it runs.
    pub fn new(front: SocketAddr, plan: LoadPlan, content_ids: Vec<i64>) -> Self {
        Self {
            front,
            plan,
            dial: watch::channel(Dial::default()).1,
            duration: None,
            content_ids,
            timeout: Duration::from_secs(5),
            seed: 1,
            progress: None,
        }
    }
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Failed,
    TimedOut,
}

/// Runs the load until its duration is over or `shutdown` completes. Then requests that are still
/// unanswered are waited for, after a shutdown they are given up.
pub async fn run(options: LoadOptions, shutdown: impl Future<Output = ()>) -> LoadReport {
    let start = Instant::now();
    let mut schedule = Schedule::new(options.plan.clone(), options.seed);
    let dial = options.dial.clone();
    let end = options.duration.map(|duration| start + duration);
    let progress = options.progress.clone();
    let load = Arc::new(Load::new(options));
    let mut report = LoadReport::default();
    let mut requests = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut ended = Until::Due;

    loop {
        let now = *dial.borrow();
        let Some(planned) = schedule.next(now) else { break };
        let due = start + planned.at;
        if end.is_some_and(|end| due >= end) {
            break;
        }
        if let Until::Shutdown = wait(due, shutdown.as_mut(), &mut requests, &mut report).await {
            requests.shutdown().await;
            ended = Until::Shutdown;
            break;
        }
        report.sent(requests.len() as u64 + 1);
        if requests.len() as u64 >= MAX_IN_FLIGHT {
            report.record(planned.action, Outcome::Failed, due.elapsed());
        } else {
            requests.spawn(Arc::clone(&load).send(planned.action, due));
        }
        if let Some(progress) = &progress {
            progress.send_replace(report.counts);
        }
    }
    if let Until::Due = ended {
        drain(&mut requests, shutdown, &mut report).await;
    }
    if let Some(progress) = &progress {
        progress.send_replace(report.counts);
    }
    report.elapsed = start.elapsed();
    report
}

type Requests = JoinSet<(Action, Outcome, Duration)>;

/// What was waited for came, or a shutdown did.
enum Until {
    Due,
    Shutdown,
}

/// Waits for the time of the next request, and meanwhile records those that are answered.
async fn wait(
    due: Instant,
    mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
    requests: &mut Requests,
    report: &mut LoadReport,
) -> Until {
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return Until::Shutdown,
            () = tokio::time::sleep_until(due) => return Until::Due,
            Some(Ok((action, outcome, latency))) = requests.join_next() => {
                report.record(action, outcome, latency);
            }
        }
    }
}

/// Records the requests that are still unanswered, up to a shutdown.
async fn drain(
    requests: &mut Requests,
    mut shutdown: std::pin::Pin<&mut impl Future<Output = ()>>,
    report: &mut LoadReport,
) {
    loop {
        tokio::select! {
            biased;
            answered = requests.join_next() => match answered {
                Some(Ok((action, outcome, latency))) => report.record(action, outcome, latency),
                Some(Err(_)) => {}
                None => return,
            },
            () = &mut shutdown => return,
        }
    }
}

struct Load {
    options: LoadOptions,
    client: Client<HttpConnector, Full<Bytes>>,
    /// The contents written last, the newest first.
    recent: Mutex<VecDeque<i64>>,
}

impl Load {
    fn new(options: LoadOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { options, client, recent: Mutex::new(VecDeque::new()) }
    }

    /// Sends one request and waits for its answer.
    async fn send(self: Arc<Self>, action: Action, due: Instant) -> (Action, Outcome, Duration) {
        let answered = tokio::time::timeout_at(due + self.options.timeout, self.exchange(action));
        let outcome = match answered.await {
            Ok(Some(())) => Outcome::Ok,
            Ok(None) => Outcome::Failed,
            Err(_) => Outcome::TimedOut,
        };
        (action, outcome, due.elapsed())
    }

    async fn exchange(&self, action: Action) -> Option<()> {
        let response = self.client.request(self.request(action)?).await.ok()?;
        let accepted = response.status().is_success();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        if accepted && action.writes() {
            let body: Value = serde_json::from_slice(&body).ok()?;
            self.remember(body["content_id"].as_i64()?);
        }
        accepted.then_some(())
    }

    fn request(&self, action: Action) -> Option<Request<Full<Bytes>>> {
        let collection = format!("http://{}/api/v1/content", self.options.front);
        let mut request = Request::new(Full::default());
        match action {
            Action::Read { .. } | Action::ReadRecent { .. } => {
                let id = self.content_id(action)?;
                *request.uri_mut() = format!("{collection}/{id}").parse::<Uri>().ok()?;
            }
            Action::List { .. } | Action::Asset { .. } => return None,
            Action::Write { user_id } | Action::Upload { user_id } => {
                let payload = "tiertop ".chars().cycle().take(self.options.plan.payload_bytes);
                let body = json!({ "user_id": user_id, "payload": payload.collect::<String>() });
                *request.method_mut() = http::Method::POST;
                *request.uri_mut() = collection.parse::<Uri>().ok()?;
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
                *request.body_mut() = Full::from(body.to_string());
            }
        }
        Some(request)
    }

    /// The content that a read is for. Until something was written, old contents stand in.
    fn content_id(&self, action: Action) -> Option<i64> {
        let ids = &self.options.content_ids;
        match action {
            Action::ReadRecent { rank } => {
                let recent = lock(&self.recent).get(rank % RECENT).copied();
                recent.or_else(|| ids.get(rank).copied())
            }
            Action::Read { rank } => ids.get(rank).copied(),
            _ => None,
        }
    }

    fn remember(&self, content_id: i64) {
        let mut recent = lock(&self.recent);
        recent.push_front(content_id);
        recent.truncate(RECENT);
    }
}
