//! The receivers over real sockets, on ports that the system chooses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod grpc;
mod http;

use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tiertop_agent::intake::{Intake, Outlet, Received, intake};
use tiertop_agent::receive::listen::{Port, bind};
use tiertop_agent::receive::{Limits, Protocol, Receiver};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A receiver on a port of its own, with the engine's end in the test's hand.
struct Agent {
    address: SocketAddr,
    intake: Intake,
    outlet: Outlet,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Agent {
    fn start(protocol: Protocol) -> Self {
        Self::with(protocol, 64 << 20, Limits::default())
    }

    fn with(protocol: Protocol, capacity_bytes: u64, limits: Limits) -> Self {
        let listener = bind(Port::OtlpGrpc, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (intake, outlet) = intake(capacity_bytes);
        let (stop, stopped) = watch::channel(false);
        let receiver = Receiver::new(intake.clone(), limits);
        let serving = tokio::spawn(receiver.serve(listener, protocol, stopped));
        Self { address, intake, outlet, stop, serving }
    }

    fn received(&self) -> Received {
        self.outlet.try_recv().expect("what was acknowledged has been handed over")
    }

    fn nothing_received(&self) {
        assert!(self.outlet.try_recv().is_none());
        assert_eq!(self.intake.level().0, 0, "room was not given back");
    }

    fn reasons(&self) -> Vec<(String, u64)> {
        let refusals = self.intake.counts().refusals;
        refusals.into_iter().map(|reason| (reason.reason, reason.count)).collect()
    }
}

/// Sends one request and gives the whole response.
async fn send<B>(request: Request<B>, http2: bool) -> Response<Bytes>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).timer(TokioTimer::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body)
}

fn full(body: impl Into<Bytes>) -> Full<Bytes> {
    Full::new(body.into())
}

fn span(number: u8) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![number; 8],
        name: "GET /articles/{id}".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// Three spans, of which the last has no id.
fn partly_invalid() -> ExportTraceServiceRequest {
    request(vec![span(1), span(2), Span { span_id: Vec::new(), ..span(3) }])
}

fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut out = Vec::new();
    let mut encoder = flate2::bufread::GzEncoder::new(body, flate2::Compression::fast());
    encoder.read_to_end(&mut out).unwrap();
    out
}

/// A few kilobytes that inflate beyond the limit.
fn bomb() -> Vec<u8> {
    gzip(&vec![0; Limits::default().message_bytes + 1])
}

#[tokio::test]
async fn serving_ends_when_told_and_the_port_is_free_again() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let agent = Agent::start(protocol);
        agent.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(10), agent.serving).await.unwrap().unwrap();
        bind(Port::OtlpHttp, agent.address).unwrap();
    }
}
