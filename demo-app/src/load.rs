//! The load: an open loop of scheduled requests against the front of the demo, or a closed loop of clients.
//!
//! In the open loop requests leave when the schedule says so, however many are unanswered, and latency is
//! counted from the scheduled time. So a system that stalls is charged for those who would have come
//! meanwhile (no coordinated omission). The generator is the client, and is not instrumented.

mod client;
mod closed;
mod plan;
mod report;
mod schedule;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use client::Client;
pub(crate) use client::Outcome;
pub(crate) use plan::taken_payload;
pub use plan::{ClosedLoop, Curve, Dial, LoadPlan, PAYLOAD_BYTES, READS_PER_USER};
pub use report::{Latencies, LoadCounts, LoadReport, LoopKind};
pub(crate) use schedule::{ASSETS, shares};
pub use schedule::{Action, Planned, Schedule};

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

    fn show(&self, report: &LoadReport) {
        if let Some(progress) = &self.progress {
            progress.send_replace(report.counts);
        }
    }
}

/// Runs the load until its duration is over or `shutdown` completes. Then requests that are still
/// unanswered are waited for, after a shutdown they are given up.
pub async fn run(options: LoadOptions, shutdown: impl Future<Output = ()>) -> LoadReport {
    let start = Instant::now();
    let end = options.duration.map(|duration| start + duration);
    let mut report = LoadReport::default();
    let shutdown = std::pin::pin!(shutdown);
    if let Some(closed) = options.plan.closed {
        report.loop_kind = LoopKind::Closed;
        closed::run(&options, closed, start, end, shutdown, &mut report).await;
        let asked = start.elapsed();
        report.sending = options.duration.map_or(asked, |duration| asked.min(duration));
    } else {
        open(&options, start, end, shutdown, &mut report).await;
    }
    options.show(&report);
    report.elapsed = start.elapsed();
    report
}

async fn open(
    options: &LoadOptions,
    start: Instant,
    end: Option<Instant>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    report: &mut LoadReport,
) {
    let mut requests = JoinSet::new();
    let until = send_all(options, start, end, shutdown.as_mut(), &mut requests, report).await;
    report.sending = start.elapsed();
    match until {
        Until::Due => drain(&mut requests, shutdown, report).await,
        Until::Shutdown => requests.shutdown().await,
    }
}

/// Sends what the schedule has up to the end.
async fn send_all(
    options: &LoadOptions,
    start: Instant,
    end: Option<Instant>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    requests: &mut Requests,
    report: &mut LoadReport,
) -> Until {
    let mut schedule = Schedule::new(options.plan.clone(), options.seed);
    let client = Arc::new(Client::new(options));
    loop {
        let dial = *options.dial.borrow();
        let Some(Planned { at, action, session }) = schedule.next(dial) else { break };
        let due = start + at;
        if end.is_some_and(|end| due >= end) {
            break;
        }
        if let Until::Shutdown = wait(due, shutdown.as_mut(), requests, report).await {
            return Until::Shutdown;
        }
        report.sent(requests.len() as u64 + 1);
        if requests.len() as u64 >= MAX_IN_FLIGHT {
            report.record(action, Outcome::Failed, due.elapsed());
        } else {
            let client = Arc::clone(&client);
            requests.spawn(async move { (action, client.send(action, session, due).await, due.elapsed()) });
        }
        options.show(report);
    }
    match end {
        Some(end) => wait(end, shutdown, requests, report).await,
        None => Until::Due,
    }
}

/// A request that ended, how, and how long after it was due.
type Answered = (Action, Outcome, Duration);

type Requests = JoinSet<Answered>;

/// What was waited for came, or a shutdown did.
enum Until {
    Due,
    Shutdown,
}

/// Waits for the time of the next request, and meanwhile records those that are answered. Also those that
/// were answered before a time that is already over: a generator that is behind must not take them for open.
async fn wait(
    due: Instant,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    requests: &mut Requests,
    report: &mut LoadReport,
) -> Until {
    while let Some(answered) = requests.try_join_next() {
        record(&answered, report);
    }
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return Until::Shutdown,
            () = tokio::time::sleep_until(due) => return Until::Due,
            Some(answered) = requests.join_next() => record(&answered, report),
        }
    }
}

/// Records a request that ended; one whose task ended otherwise was given up with the load.
fn record(answered: &Result<Answered, JoinError>, report: &mut LoadReport) {
    if let &Ok((action, outcome, latency)) = answered {
        report.record(action, outcome, latency);
    }
}

/// Records the requests that are still unanswered, up to a shutdown.
async fn drain(requests: &mut Requests, mut shutdown: Pin<&mut impl Future<Output = ()>>, report: &mut LoadReport) {
    loop {
        tokio::select! {
            biased;
            answered = requests.join_next() => match answered {
                Some(answered) => record(&answered, report),
                None => return,
            },
            () = &mut shutdown => return,
        }
    }
}

#[cfg(test)]
mod tests;
