//! OTLP/gRPC, with tonic's client where it can say what is to be said.

use ::http::Request;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use tiertop_agent::receive::{Limits, Protocol};
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::{Agent, bomb, full, partly_invalid, request, send, span};

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn channel(agent: &Agent) -> Channel {
    Endpoint::from_shared(format!("http://{}", agent.address)).unwrap().connect().await.unwrap()
}

/// `google.rpc.RetryInfo` out of a status's details, in seconds.
fn retry_seconds(status: &Status) -> Option<u64> {
    const TYPE: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";
    let details = status.details();
    let place = details.windows(TYPE.len()).position(|window| window == TYPE)?;
    // After the type's name: value (field 2) of 4 bytes, in it the delay (field 1) of 2 bytes, in
    // it the seconds (field 1).
    match details[place + TYPE.len()..] {
        [0x12, 4, 0x0a, 2, 0x08, seconds] => Some(u64::from(seconds)),
        _ => None,
    }
}

#[tokio::test]
async fn spans_arrive_plain_and_compressed() {
    let agent = Agent::start(Protocol::Grpc);
    let plain = TraceServiceClient::new(channel(&agent).await);
    let clients = [
        plain.clone(),
        plain.clone().send_compressed(CompressionEncoding::Gzip),
        plain.send_compressed(CompressionEncoding::Zstd),
    ];
    for mut client in clients {
        let response = client.export(request(vec![span(1), span(2)])).await.unwrap();
        assert_eq!(response.into_inner().partial_success, None);
        let received = agent.received();
        assert_eq!(received.batch.spans.len(), 2);
        assert!(received.received_at.0 > 0);
        drop(received);
        agent.nothing_received();
    }
}

#[tokio::test]
async fn a_body_of_many_frames_arrives_whole() {
    let agent = Agent::start(Protocol::Grpc);
    let mut client = TraceServiceClient::new(channel(&agent).await);
    let spans = (0..20_000_u32).map(|number| span((number % 255) as u8 + 1)).collect();
    client.export(request(spans)).await.unwrap();
    assert_eq!(agent.received().batch.spans.len(), 20_000);
}

#[tokio::test]
async fn metrics_and_logs_arrive() {
    let agent = Agent::start(Protocol::Grpc);
    let body = include_bytes!("../fixtures/otlp/new-app.metrics.pb");
    let metrics = ExportMetricsServiceRequest::decode(&body[..]).unwrap();
    MetricsServiceClient::new(channel(&agent).await).export(metrics).await.unwrap();
    assert!(agent.received().batch.point_count() > 0);
    let log_records = vec![LogRecord::default(), LogRecord::default()];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    let logs = ExportLogsServiceRequest { resource_logs };
    LogsServiceClient::new(channel(&agent).await).export(logs).await.unwrap();
    assert_eq!(agent.received().batch.log_records, 2);
}

#[tokio::test]
async fn what_is_refused_is_told_with_count_and_reason() {
    let agent = Agent::start(Protocol::Grpc);
    let mut client = TraceServiceClient::new(channel(&agent).await);
    let response = client.export(partly_invalid()).await.unwrap().into_inner();
    let partial = response.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(partial.error_message, "1: span id is not 8 bytes or is zero");
    assert_eq!(agent.received().batch.spans.len(), 2);
    assert_eq!(agent.intake.counts().spans_refused, 1);
    assert_eq!(agent.reasons(), [("span id is not 8 bytes or is zero".to_owned(), 1)]);
}

#[tokio::test]
async fn a_full_agent_says_when_to_come_back() {
    for capacity in [0, 100] {
        let agent = Agent::with(Protocol::Grpc, capacity, Limits::default());
        let mut client = TraceServiceClient::new(channel(&agent).await);
        let status = client.export(request(vec![span(1)])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(retry_seconds(&status), Some(1), "{status:?}");
        agent.nothing_received();
        assert_eq!(agent.intake.counts().requests_turned_away, 1);
        assert_eq!(agent.intake.counts().requests_refused, 0);
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let limits = Limits { requests: 0, ..Limits::default() };
    let agent = Agent::with(Protocol::Grpc, 1 << 20, limits);
    let mut client = TraceServiceClient::new(channel(&agent).await);
    let status = client.export(request(vec![span(1)])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(retry_seconds(&status), Some(1));
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_for_good() {
    let limits = Limits { message_bytes: 100, ..Limits::default() };
    let agent = Agent::with(Protocol::Grpc, 1 << 20, limits);
    let plain = TraceServiceClient::new(channel(&agent).await);
    let spans = || vec![span(1); 50];
    for mut client in [plain.clone(), plain.send_compressed(CompressionEncoding::Gzip)] {
        let status = client.export(request(spans())).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(retry_seconds(&status), None);
    }
    agent.nothing_received();
    assert_eq!(agent.intake.counts().requests_refused, 2);
}

/// One message as gRPC frames it.
fn framed(compressed: u8, message: &[u8]) -> Vec<u8> {
    let mut framed = vec![compressed];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

async fn raw_status(agent: &Agent, encoding: &str, body: Vec<u8>) -> (u16, Code, String) {
    let request = Request::post(format!("http://{}{TRACES}", agent.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(full(body))
        .unwrap();
    let response = send(request, true).await;
    let status = Status::from_header_map(response.headers()).expect("a status in the headers");
    (response.status().as_u16(), status.code(), status.message().to_owned())
}

#[tokio::test]
async fn malformed_requests_are_refused_for_good() {
    let agent = Agent::start(Protocol::Grpc);
    let table = [
        ("identity", framed(0, &[0x0a, 0x05, 0x01]), Code::InvalidArgument),
        ("identity", framed(2, &[]), Code::InvalidArgument),
        ("identity", framed(1, &[]), Code::InvalidArgument),
        ("identity", [framed(0, &[]), framed(0, &[])].concat(), Code::InvalidArgument),
        ("identity", vec![0, 0], Code::InvalidArgument),
        ("gzip", framed(1, b"not gzip"), Code::InvalidArgument),
        ("zstd", framed(1, b"not zstd"), Code::InvalidArgument),
        ("snappy", framed(1, b"x"), Code::Unimplemented),
        ("gzip", framed(1, &bomb()), Code::ResourceExhausted),
        ("identity", vec![0, 0xff, 0xff, 0xff, 0xff, 0], Code::ResourceExhausted),
    ];
    let count = table.len() as u64;
    for (encoding, body, code) in table {
        let answer = raw_status(&agent, encoding, body).await;
        assert_eq!((answer.0, answer.1), (200, code), "{}", answer.2);
        agent.nothing_received();
    }
    assert_eq!(agent.intake.counts().requests_refused, count);
}

#[tokio::test]
async fn clients_of_the_other_protocol_are_told_so() {
    let agent = Agent::start(Protocol::Grpc);
    let request = Request::post(format!("http://{}/v1/traces", agent.address))
        .header("content-type", "application/x-protobuf")
        .body(full(Bytes::new()))
        .unwrap();
    let response = send(request, false).await;
    assert_eq!(response.status(), 415);
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    assert!(text.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), "{text}");
    assert!(text.contains("--otlp-http"), "{text}");
}

#[tokio::test]
async fn other_services_are_unimplemented() {
    let agent = Agent::start(Protocol::Grpc);
    let request = Request::post(format!("http://{}/grpc.health.v1.Health/Check", agent.address))
        .header("content-type", "application/grpc")
        .body(full(framed(0, &[])))
        .unwrap();
    let response = send(request, true).await;
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::Unimplemented);
}
