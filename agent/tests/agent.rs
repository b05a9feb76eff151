//! A whole agent in this process: telemetry in over real sockets, snapshots out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tiertop_agent::agent::{Agent, AgentOptions};
use tiertop_agent::feed::client::{self, ClientOptions};
use tiertop_agent::feed::server::FeedOptions;
use tiertop_core::snapshot::Snapshot;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Room for everything.
const AMPLE: u64 = 64 << 20;

fn agent(queue_bytes: u64) -> Agent {
    let feed = FeedOptions { address: SocketAddr::from(([127, 0, 0, 1], 0)), token: None };
    Agent::start(AgentOptions { feed: Some(feed), queue_bytes, ..AgentOptions::private() }).unwrap()
}

async fn connect(agent: SocketAddr) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{agent}")).await.unwrap()
}

/// The next snapshot that is as wanted.
async fn snapshot(agent: &Agent, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let mut snapshots = agent.snapshots();
    let found = tokio::time::timeout(PATIENCE, snapshots.wait_for(|snapshot| wanted(snapshot))).await;
    Arc::clone(&found.unwrap_or_else(|_| panic!("no snapshot with {what}")).unwrap())
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn batch(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

/// A span that ended just now, with an id that no other has.
fn span(kind: SpanKind, name: &str, attributes: Vec<KeyValue>) -> Span {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        kind: kind.into(),
        name: name.to_owned(),
        start_time_unix_nano: now - 20_000_000,
        end_time_unix_nano: now,
        attributes,
        ..Span::default()
    }
}

/// A request and the query within.
fn request() -> [Span; 2] {
    let server = span(
        SpanKind::Server,
        "GET /orders/{id}",
        vec![text("http.request.method", "GET"), text("http.route", "/orders/{id}")],
    );
    let client = span(
        SpanKind::Client,
        "INSERT orders",
        vec![text("db.system.name", "postgresql"), text("server.address", "db1"), text("db.operation.name", "INSERT")],
    );
    let within = Span { trace_id: server.trace_id.clone(), parent_span_id: server.span_id.clone(), ..client };
    [server, within]
}

#[tokio::test]
async fn what_comes_in_by_otlp_goes_out_as_tiers_and_over_the_feed() {
    let agent = agent(AMPLE);
    let mut client = connect(agent.addresses().otlp_grpc).await;
    let spans = (0..50).flat_map(|_| request()).collect();
    client.export(batch("checkout", spans)).await.unwrap();
    // Until its second is over the window does not cover it.
    let known = |snapshot: &Snapshot| {
        let app = snapshot.tiers.iter().find(|tier| tier.id == "app/checkout");
        app.is_some_and(|app| app.requests_per_second.is_some_and(|rate| rate > 0.0))
    };
    let seen = snapshot(&agent, "the application's rate", known).await;
    let ids: Vec<&str> = seen.tiers.iter().map(|tier| tier.id.as_str()).collect();
    assert_eq!(ids[0], "app/checkout");
    assert!(ids[1].starts_with("db-primary/"), "{ids:?}");
    assert!(seen.edges.iter().any(|edge| edge.from == ids[0] && edge.to == ids[1]), "{:?}", seen.edges);
    let p50 = seen.tiers[0].p50_ms.unwrap();
    assert!((19.7..20.3).contains(&p50), "{p50} ms");
    assert_eq!(seen.pipeline.spans_accepted, 100);

    let address = agent.addresses().feed.unwrap().to_string().parse().unwrap();
    let options = ClientOptions { address, ..ClientOptions::default() };
    // What watchers are given may be a tick behind.
    let fed = tokio::time::timeout(PATIENCE, async {
        loop {
            let fed = client::once(&options, PATIENCE).await.unwrap();
            if known(&fed) {
                break fed;
            }
        }
    });
    let fed = fed.await.unwrap();
    assert_eq!(fed.tiers.iter().map(|tier| &tier.id).collect::<Vec<_>>(), ids);
    drop(client);
    assert_eq!(agent.stop().await.pipeline.spans_accepted, 100);
}

/// What the clients of a test were told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Spans that were taken.
    accepted: u64,
    /// Spans that were refused in a request that was taken otherwise.
    refused: u64,
    /// Requests that were turned away.
    turned_away: u64,
    /// Spans of requests that got no answer.
    unanswered: u64,
}

impl Told {
    fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            refused: self.refused + other.refused,
            turned_away: self.turned_away + other.turned_away,
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

/// Sends spans, of which the last has no id, and returns what is said to that.
async fn send(client: &mut TraceServiceClient<Channel>, many: u64) -> Told {
    let mut spans: Vec<Span> = (1..many).map(|_| span(SpanKind::Server, "GET /", Vec::new())).collect();
    spans.push(Span { span_id: Vec::new(), ..span(SpanKind::Server, "GET /", Vec::new()) });
    match client.export(batch("checkout", spans)).await {
        Ok(response) => {
            let refused = response.into_inner().partial_success.map_or(0, |partial| partial.rejected_spans as u64);
            Told { accepted: many - refused, refused, ..Told::default() }
        }
        Err(status) if status.message().contains("the agent is full") => {
            assert_eq!(status.code(), Code::Unavailable);
            Told { turned_away: 1, ..Told::default() }
        }
        Err(_) => Told { unanswered: many, ..Told::default() },
    }
}

/// A client of its own connection that sends until `enough` says so.
async fn send_until(agent: SocketAddr, enough: impl Fn(u64, &Told) -> bool) -> Told {
    const SPANS_IN_A_BATCH: u64 = 400;
    let mut client = connect(agent).await;
    let mut told = Told::default();
    for sent in 0.. {
        if enough(sent, &told) {
            break;
        }
        told = told.plus(send(&mut client, SPANS_IN_A_BATCH).await);
    }
    told
}

async fn all_told(clients: JoinSet<Told>) -> Told {
    clients.join_all().await.into_iter().fold(Told::default(), Told::plus)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_counted_and_what_was_not_was_refused() {
    const CLIENTS: usize = 8;
    const BATCHES: u64 = 25;
    // Room for two or three batches: most find it taken.
    let agent = agent(150_000);
    let address = agent.addresses().otlp_grpc;
    // Larger than the queue: refused however quick the engine is.
    let mut told = send(&mut connect(address).await, 4_000).await;
    assert_eq!(told.turned_away, 1, "{told:?}");
    let clients: JoinSet<Told> = (0..CLIENTS).map(|_| send_until(address, |sent, _| sent == BATCHES)).collect();
    told = told.plus(all_told(clients).await);
    assert_eq!(told.unanswered, 0);
    assert!(told.accepted > 0 && told.refused > 0, "{told:?}");

    let last = agent.stop().await;
    let counted = &last.pipeline;
    assert_eq!(counted.spans_accepted, told.accepted);
    assert_eq!(counted.spans_refused, told.refused);
    assert_eq!(counted.requests_turned_away, told.turned_away);
    assert_eq!((counted.requests_refused, counted.queued_bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_while_the_agent_stops_is_counted_too() {
    for _ in 0..3 {
        let agent = agent(AMPLE);
        let address = agent.addresses().otlp_grpc;
        let clients: JoinSet<Told> = (0..4).map(|_| send_until(address, |_, told| told.unanswered > 0)).collect();
        snapshot(&agent, "some spans", |snapshot| snapshot.pipeline.spans_accepted > 0).await;
        let counted = agent.stop().await.pipeline.spans_accepted;
        let told = all_told(clients).await;
        // Of a connection that was cut nobody knows whether its last request was taken.
        let possible = told.accepted..=told.accepted + told.unanswered;
        assert!(possible.contains(&counted), "{counted} were counted: {told:?}");
    }
}

#[tokio::test]
async fn an_agent_that_is_dropped_stops() {
    let agent = agent(AMPLE);
    let (mut snapshots, address) = (agent.snapshots(), agent.addresses().otlp_http);
    drop(agent);
    // The engine's thread holds the other end.
    let ended = async { while snapshots.changed().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
}
