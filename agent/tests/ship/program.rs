//! The agent's own program in a process of its own, with telemetry that is sent to it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tiertop_agent::feed::client::{self, ClientOptions, FeedEvent};
use tiertop_core::snapshot::Snapshot;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Receiver;
use tonic::transport::Channel;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The secret key that the program is given.
pub(crate) const SECRET: &str = "a-secret-that-nobody-may-see";

/// A running agent.
pub(crate) struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    otlp: SocketAddr,
    feed: SocketAddr,
}

impl Program {
    /// Starts it on free ports, shipping by the second to an endpoint; seconds close after one.
    pub(crate) async fn start(endpoint: &str, spool: &Path) -> Self {
        let file = spool.with_extension("toml");
        std::fs::write(&file, "[time]\nlateness_s = 2\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tiertop-agent"))
            .args(["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--feed", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0", "--ship", "cloudwatch", "--cloudwatch-resolution", "1"])
            .args(["--cloudwatch-endpoint", endpoint, "--aws-region", "eu-central-1"])
            .args([Path::new("--config"), &file, Path::new("--spool"), spool])
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env("RUST_LOG", "debug")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (otlp, feed) = read_addresses(&mut child, &said).await;
        Self { child, said, otlp, feed }
    }

    /// Everything that it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A client that sends traces to it.
    pub(crate) async fn sender(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(format!("http://{}", self.otlp)).await.unwrap()
    }

    /// What its feed tells.
    pub(crate) fn watch(&self) -> Receiver<FeedEvent> {
        client::watch(ClientOptions { address: self.feed.to_string().parse().unwrap(), ..ClientOptions::default() })
    }

    /// Kills it, as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends when asked");
        assert!(ended.unwrap().success(), "{}", self.said());
        self.said()
    }
}

async fn read_addresses(child: &mut Child, said: &Arc<Mutex<String>>) -> (SocketAddr, SocketAddr) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut otlp, mut feed) = (None, None);
    let read = async {
        while otlp.is_none() || feed.is_none() {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("{}", said.lock().unwrap()));
            let word_after = |words: &str| {
                let rest = line.split_once(words)?.1;
                rest.split([',', '`', ' ']).next()?.parse().ok()
            };
            otlp = otlp.or_else(|| word_after("OTLP gRPC on "));
            feed = feed.or_else(|| word_after("tiertop attach "));
            said.lock().unwrap().push_str(&(line + "\n"));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("it says where it listens");
    let said = Arc::clone(said);
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    (otlp.unwrap(), feed.unwrap())
}

/// The next snapshot that is as wanted.
pub(crate) async fn snapshot(
    events: &mut Receiver<FeedEvent>,
    mut wanted: impl FnMut(&Snapshot) -> bool,
) -> Arc<Snapshot> {
    let found = async {
        loop {
            match events.recv().await.expect("the feed goes on") {
                FeedEvent::Snapshot(snapshot) if wanted(&snapshot) => return snapshot,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("a snapshot as wanted")
}

/// Requests to a shop that took so many milliseconds and ended just now; every seventh failed.
pub(crate) fn requests(milliseconds: impl Iterator<Item = u64>) -> ExportTraceServiceRequest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let span = |(number, ms): (usize, u64)| {
        let id = now.wrapping_add(number as u64);
        Span {
            trace_id: u128::from(id).to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            kind: SpanKind::Server.into(),
            name: "GET /orders".to_owned(),
            start_time_unix_nano: now - ms * 1_000_000,
            end_time_unix_nano: now,
            attributes: vec![
                text("http.request.method", "GET"),
                text("http.route", "/orders"),
                number_of("http.response.status_code", if number % 7 == 6 { 500 } else { 200 }),
            ],
            ..Span::default()
        }
    };
    let spans = milliseconds.enumerate().map(span).collect();
    let attributes = vec![text("service.name", "shop"), text("deployment.environment.name", "test")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number_of(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
