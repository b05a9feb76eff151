//! Traces to X-Ray.
//!
//! 1. What the engine chose comes once a second, with all that was sent of it (see [`crate::details`]), and
//!    becomes segment documents ([`encode`]).
//! 2. These wait in memory, bounded, the oldest going first ([`outbox`]), and are sent by `PutTraceSegments`, one
//!    call at a time, for as long as it takes.
//! 3. X-Ray's own sampling rules say how much of all traces is shipped uniformly, where it offers any (`rules`).
//!
//! A trace that is chosen and does not get there is counted, by reason: over the budget, detail gone, too long,
//! refused.

pub mod args;
mod blocks;
mod cause;
mod document;
pub mod encode;
mod names;
mod otlp;
pub mod outbox;
mod rules;
mod stack;

use std::io::Write;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_xray::Client;
use futures_util::future::BoxFuture;
use tiertop_core::choice::{ChoiceRules, Reason};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Shipping;
use super::aws;
use super::failure::Failure;
use super::status::Status;
use crate::details::{DetailedTraces, trace_outlet};
pub use document::DOCUMENT_BYTES;
use encode::Document;
use outbox::{Outbox, Unprocessed};
use rules::Rules;

/// What the calls need.
const PERMISSION: &str = "xray:PutTraceSegments";
/// How long is waited at the end for what is left to be sent.
const LAST_ATTEMPT: Duration = Duration::from_secs(5);
/// How long nothing may be due before the sender looks again.
const IDLE: Duration = Duration::from_secs(1);

/// What is shipped to X-Ray, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct XrayOptions {
    /// Which traces.
    pub rules: ChoiceRules,
    /// Attributes that become annotations beside tier, verdict and stall; `*` is all.
    pub annotations: Vec<String>,
    /// Bytes of recent requests that are kept to take spans from.
    pub detail_bytes: usize,
    /// Bytes of documents that may wait.
    pub queue_bytes: usize,
    /// Where the service is, if not at AWS.
    pub endpoint: Option<String>,
}

impl Default for XrayOptions {
    fn default() -> Self {
        Self {
            rules: ChoiceRules::default(),
            annotations: Vec::new(),
            detail_bytes: 32 << 20,
            queue_bytes: 32 << 20,
            endpoint: None,
        }
    }
}

/// Starts the exporter.
pub(super) fn start(options: XrayOptions, config: &SdkConfig, shipping: &mut Shipping) -> std::io::Result<()> {
    let own = aws_sdk_xray::config::Builder::from(config);
    let own = match &options.endpoint {
        Some(endpoint) => own.endpoint_url(endpoint),
        None => own,
    };
    let client = Client::from_conf(own.build());
    let target = aws::target(config, options.endpoint.as_deref());
    let (taken, change, status) = ways(&options, &target, shipping);
    shipping.exporters.run("xray", move || async move { ship(client, taken, (options, change), &status).await })
}

/// Starts an exporter that prints documents instead of sending them.
pub(super) fn start_dry(options: XrayOptions, shipping: &mut Shipping) -> std::io::Result<()> {
    let (taken, _, status) = ways(&options, "dry run", shipping);
    shipping.exporters.run("xray", move || async move { print(taken, &options, &status).await })
}

/// The exporter's ends of the ways between it and the engine.
fn ways(
    options: &XrayOptions,
    target: &str,
    shipping: &mut Shipping,
) -> (mpsc::Receiver<DetailedTraces>, watch::Sender<ChoiceRules>, Status) {
    let (outlet, taken, change) = trace_outlet(options.detail_bytes, options.rules.clone());
    let (status, reader) = Status::new("xray", target, "documents");
    shipping.statuses.push(reader);
    shipping.traces = Some((options.rules.clone(), outlet));
    (taken, change, status)
}

/// Prints documents, one a line.
async fn print(mut taken: mpsc::Receiver<DetailedTraces>, options: &XrayOptions, status: &Status) {
    while let Some(traces) = taken.recv().await {
        let documents = documents(&traces, options, status);
        let mut out = std::io::stdout().lock();
        for document in &documents {
            // Whoever reads may be gone, as `head` soon is.
            let _ = writeln!(out, "{}", document.json);
        }
        drop(out);
        status.took(documents.len() as u64);
    }
}

/// The documents of what was chosen; what did not get so far is counted.
fn documents(traces: &DetailedTraces, options: &XrayOptions, status: &Status) -> Vec<Document> {
    for (reason, count) in Reason::ALL.into_iter().zip(traces.over_budget) {
        status.dropped(&format!("{} traces over the budget", reason.name()), count);
    }
    status.dropped("spans whose detail was gone", traces.spans_gone);
    status.dropped("spans that the exporter did not take in time", traces.spans_not_taken);
    let mut documents: Vec<Document> = traces.waiting.iter().map(encode::in_progress).collect();
    for trace in &traces.traces {
        let encoded = encode::trace(trace, &options.annotations);
        status.dropped("details of spans over 64 kB", encoded.spans_cut);
        documents.extend(encoded.documents);
    }
    documents
}

/// The documents of a call, and those of them that were not processed.
type Answer = (Vec<Document>, Result<Vec<Unprocessed>, Failure>);

/// What the sender waits for.
enum Next {
    Traces(Option<DetailedTraces>),
    Answer(Answer),
    Due,
}

/// Ships until the engine has ended, and then what is left for a last while.
async fn ship(
    client: Client,
    mut taken: mpsc::Receiver<DetailedTraces>,
    (options, change): (XrayOptions, watch::Sender<ChoiceRules>),
    status: &Status,
) {
    let mut outbox = Outbox::new(options.queue_bytes);
    let rules = Rules::new(client.clone(), rand_id(), options.rules.clone(), change);
    let (count_use, used) = mpsc::channel(16);
    tokio::spawn(rules.follow(used));
    let mut call: Option<BoxFuture<'static, Answer>> = None;
    let mut under_way = 0;
    let mut ends_by: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let due = outbox.due(now);
        if call.is_none() && due.is_some_and(|due| due <= now) {
            let documents = outbox.next_call();
            under_way = documents.len() as u64;
            let client = client.clone();
            call = Some(Box::pin(async move {
                let answer = put(&client, &documents).await;
                (documents, answer)
            }));
        }
        let waiting = outbox.len() as u64 + under_way;
        status.update(|view| view.waiting = waiting);
        if ends_by.is_some_and(|at| now >= at || (call.is_none() && due.is_none_or(|due| due > at))) {
            break;
        }
        let wake = due.filter(|_| call.is_none()).unwrap_or(now + IDLE).min(ends_by.unwrap_or(now + IDLE));
        let next = tokio::select! {
            biased;
            answer = async { call.as_mut().expect("it is polled only while there is one").await }, if call.is_some() => {
                Next::Answer(answer)
            }
            traces = taken.recv(), if ends_by.is_none() => Next::Traces(traces),
            () = tokio::time::sleep_until(wake) => Next::Due,
        };
        match next {
            Next::Traces(Some(traces)) => {
                // Where the rules are asked for anew, what they were used for meanwhile may go.
                let _ = count_use.try_send(traces.by_rule.clone());
                let dropped = outbox.push(documents(&traces, &options, status));
                status.dropped("the queue was full", dropped);
            }
            Next::Traces(None) => ends_by = Some(Instant::now() + LAST_ATTEMPT),
            Next::Answer(answer) => {
                (call, under_way) = (None, 0);
                settle(&mut outbox, answer, status);
            }
            Next::Due => {}
        }
    }
    status.dropped("not sent before the end", outbox.len() as u64 + under_way);
}

fn settle(outbox: &mut Outbox, (call, answer): Answer, status: &Status) {
    let now = Instant::now();
    let settled = match &answer {
        Ok(unprocessed) => outbox.answered(call, unprocessed, now),
        Err(failure) => {
            status.failed(failure);
            outbox.failed(call, failure, now)
        }
    };
    for (why, count) in settled.refused {
        status.refused(count, &Failure::new(super::failure::FailureKind::Refused, why, "it is not sent again"));
    }
    if settled.taken > 0 {
        status.took(settled.taken);
    }
}

/// Sends documents, and says which were not processed.
async fn put(client: &Client, documents: &[Document]) -> Result<Vec<Unprocessed>, Failure> {
    let texts = documents.iter().map(|document| document.json.clone()).collect();
    let answer = client.put_trace_segments().set_trace_segment_documents(Some(texts)).send().await;
    let answer = answer.map_err(|error| Failure::of(&error, PERMISSION))?;
    let unprocessed = answer.unprocessed_trace_segments.unwrap_or_default().into_iter().map(|one| Unprocessed {
        id: one.id,
        code: one.error_code.unwrap_or_default(),
        message: one.message.unwrap_or_default(),
    });
    Ok(unprocessed.collect())
}

/// A number that no other agent has.
fn rand_id() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    u128::from(random.hash_one(1)) << 64 | u128::from(random.hash_one(2))
}

#[cfg(test)]
mod tests;
