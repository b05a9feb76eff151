//! How long after its end a span is in the figures, with a whole agent, real sockets and the real
//! clock. A client sends every half second the spans that ended in it, as an SDK does that is set
//! to; so half a second at most of each delay is the wait for the batch.
//!
//! `cargo run --release -p tiertop-agent --example span_to_snapshot`

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use color_eyre::eyre::{OptionExt, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tiertop_agent::agent::{Agent, AgentOptions};
use tiertop_core::snapshot::Snapshot;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until, timeout_at};

/// How often the client sends.
const EVERY: Duration = Duration::from_millis(500);
/// Spans in a batch.
const SPANS: u64 = 50;
/// Not measured: the agent learns how late spans come.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long spans are measured.
const MEASURED: Duration = Duration::from_secs(20);
/// How long the last of them may take.
const SETTLING: Duration = Duration::from_secs(5);

/// When a span ended, and how many of its second had ended with it.
struct Sent {
    end: Duration,
    rank: u32,
}

/// When a snapshot came, and what it said.
struct Seen {
    at: Duration,
    /// The last second that figures cover.
    window_to: u64,
    /// Spans of each second, by the trend.
    trend: BTreeMap<u64, f32>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let agent = Agent::start(AgentOptions::private())?;
    let start = Instant::now();
    let (since, until) = (now() + WARM_UP, now() + WARM_UP + MEASURED);
    let watching = tokio::spawn(watch_until(agent.snapshots(), start + WARM_UP + MEASURED + SETTLING));
    let mut sent = send_until(agent.addresses().otlp_grpc, start + WARM_UP + MEASURED).await?;
    let seen = watching.await?;
    agent.stop().await;

    sent.retain(|span| (since..until).contains(&span.end));
    println!("{} spans, {SPANS} sent every {EVERY:?}; {} snapshots; milliseconds", sent.len(), seen.len());
    println!("{:<36}{:>8}{:>8}{:>8}", "", "median", "p90", "max");
    print("span end -> in the figures' window", &sent, |span| {
        seen.iter().find(|snapshot| snapshot.window_to >= span.end.as_secs())
    })?;
    print("span end -> in the trend", &sent, |span| {
        let counted = |snapshot: &Seen| snapshot.trend.get(&span.end.as_secs()).copied().unwrap_or_default();
        seen.iter().find(|snapshot| counted(snapshot) >= span.rank as f32)
    })
}

async fn send_until(agent: SocketAddr, end: Instant) -> Result<Vec<Sent>> {
    let mut client = TraceServiceClient::connect(format!("http://{agent}")).await?;
    let mut sent: Vec<Sent> = Vec::new();
    let mut batches = interval(EVERY);
    while batches.tick().await < end {
        let from = sent.last().map_or_else(|| now().saturating_sub(EVERY), |last| last.end);
        let lasting = now().saturating_sub(from);
        for number in 1..=SPANS as u32 {
            let end = from + lasting * number / SPANS as u32;
            let rank = sent.last().filter(|last| last.end.as_secs() == end.as_secs()).map_or(0, |last| last.rank) + 1;
            sent.push(Sent { end, rank });
        }
        let spans = (1..=sent.len()).zip(&sent).skip(sent.len() - SPANS as usize).map(span).collect();
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        client.export(ExportTraceServiceRequest { resource_spans }).await?;
    }
    sleep_until(end).await;
    Ok(sent)
}

/// A request of 5 ms.
fn span((id, sent): (usize, &Sent)) -> Span {
    let end = sent.end.as_nanos() as u64;
    Span {
        trace_id: (id as u128).to_be_bytes().to_vec(),
        span_id: (id as u64).to_be_bytes().to_vec(),
        name: "GET /orders/{id}".to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: end - 5_000_000,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

async fn watch_until(mut snapshots: watch::Receiver<std::sync::Arc<Snapshot>>, end: Instant) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Ok(Ok(())) = timeout_at(end, snapshots.changed()).await {
        let at = now();
        let snapshot = snapshots.borrow_and_update();
        let mut trend = BTreeMap::new();
        for tier in &snapshot.tiers {
            let counts = &tier.trend.requests_per_second;
            let first = tier.trend.ends_unix_s + 1 - counts.len() as u64;
            trend.extend((first..).zip(counts).filter_map(|(second, count)| Some((second, (*count)?))));
        }
        seen.push(Seen { at, window_to: snapshot.window.to_unix_s, trend });
    }
    seen
}

/// Prints how long after the spans' ends the snapshots came that first had them.
fn print<'a>(what: &str, sent: &[Sent], first: impl Fn(&Sent) -> Option<&'a Seen>) -> Result<()> {
    let delay = |span: &Sent| Some(first(span)?.at.saturating_sub(span.end).as_millis());
    let mut delays: Vec<u128> = sent.iter().map(delay).collect::<Option<_>>().ok_or_eyre("a span never showed")?;
    delays.sort_unstable();
    let quantile = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!("{what:<36}{:>8}{:>8}{:>8}", quantile(0.5), quantile(0.9), quantile(1.0));
    Ok(())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
