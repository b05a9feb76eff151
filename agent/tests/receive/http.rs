//! OTLP/HTTP over HTTP/1.1, and over HTTP/2 where a client chooses that.

use std::time::Duration;

use ::http::request::Builder;
use ::http::{Request, Response};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::{Value, json};
use tiertop_agent::receive::{Limits, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Agent, bomb, full, gzip, partly_invalid, request, send, span};

const PROTOBUF: &str = "application/x-protobuf";

fn post(agent: &Agent, path: &str, content_type: &str) -> Builder {
    Request::post(format!("http://{}{path}", agent.address)).header("content-type", content_type)
}

async fn post_spans(agent: &Agent, encoding: &str, body: Vec<u8>) -> Response<Bytes> {
    let request = post(agent, "/v1/traces", PROTOBUF).header("content-encoding", encoding);
    send(request.body(full(body)).unwrap(), false).await
}

/// Code and message of the `google.rpc.Status` in a response.
fn rpc_status(response: &Response<Bytes>) -> (i32, String) {
    #[derive(Clone, PartialEq, Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let status = Status::decode(&response.body()[..]).unwrap();
    (status.code, status.message)
}

#[tokio::test]
async fn spans_arrive_plain_and_compressed() {
    let agent = Agent::start(Protocol::Http);
    let body = request(vec![span(1), span(2)]).encode_to_vec();
    let zlib = {
        use std::io::Read;
        let mut out = Vec::new();
        flate2::bufread::ZlibEncoder::new(&body[..], flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        out
    };
    let bodies = [
        ("identity", body.clone()),
        ("gzip", gzip(&body)),
        ("zstd", zstd::encode_all(&body[..], 3).unwrap()),
        ("deflate", zlib),
    ];
    for (encoding, body) in bodies {
        let response = post_spans(&agent, encoding, body).await;
        assert_eq!(response.status(), 200, "{encoding}");
        assert_eq!(response.headers()["content-type"], PROTOBUF);
        assert!(response.body().is_empty());
        assert_eq!(agent.received().batch.spans.len(), 2);
        agent.nothing_received();
    }
}

#[tokio::test]
async fn http2_is_spoken_too() {
    let agent = Agent::start(Protocol::Http);
    let body = request(vec![span(1)]).encode_to_vec();
    let request = post(&agent, "/v1/traces", PROTOBUF).body(full(body)).unwrap();
    assert_eq!(send(request, true).await.status(), 200);
    assert_eq!(agent.received().batch.spans.len(), 1);
}

#[tokio::test]
async fn chunked_bodies_arrive_whole() {
    let agent = Agent::start(Protocol::Http);
    let body = request((1..=200).map(span).collect()).encode_to_vec();
    let chunks: Vec<_> = body
        .chunks(100)
        .map(|chunk| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    assert!(chunks.len() > 50);
    let request = post(&agent, "/v1/traces", PROTOBUF).body(StreamBody::new(stream::iter(chunks))).unwrap();
    assert_eq!(send(request, false).await.status(), 200);
    assert_eq!(agent.received().batch.spans.len(), 200);
}

#[tokio::test]
async fn json_is_taken_with_integers_as_numbers_and_as_text() {
    let agent = Agent::start(Protocol::Http);
    let body = |start: Value, count: Value| {
        json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "b7ad6b7169203331",
            "name": "tt-events receive",
            "kind": 5,
            "startTimeUnixNano": start,
            "endTimeUnixNano": "2000",
            "attributes": [{"key": "messaging.batch.message_count", "value": {"intValue": count}}],
        }]}]}]})
    };
    for body in [body(json!(1000), json!(0)), body(json!("1000"), json!("0"))] {
        let request =
            post(&agent, "/v1/traces", "application/json; charset=utf-8").body(full(body.to_string())).unwrap();
        let response = send(request, false).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(&response.body()[..], b"{}");
        let batch = agent.received().batch;
        assert_eq!(batch.spans[0].start.0, 1_000);
        assert!(batch.shapes[0].messaging_empty);
    }
}

#[tokio::test]
async fn metrics_and_logs_arrive_as_json() {
    let agent = Agent::start(Protocol::Http);
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{
        "name": "http.server.request.duration",
        "unit": "s",
        "histogram": {"aggregationTemporality": 1, "dataPoints": [{
            "timeUnixNano": "2000", "count": 3, "sum": 0.5,
            "bucketCounts": ["1", 2], "explicitBounds": [0.1],
        }]},
    }]}]}]});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityNumber": 9}]}]}]});
    for (path, body) in [("/v1/metrics", metrics), ("/v1/logs/", logs)] {
        let request = post(&agent, path, "application/json").body(full(body.to_string())).unwrap();
        assert_eq!(send(request, false).await.status(), 200, "{path}");
    }
    assert_eq!(agent.received().batch.point_count(), 1);
    assert_eq!(agent.received().batch.log_records, 1);
}

#[tokio::test]
async fn what_is_refused_is_told_in_the_requests_format() {
    let agent = Agent::start(Protocol::Http);
    let response = post_spans(&agent, "", partly_invalid().encode_to_vec()).await;
    assert_eq!(response.status(), 200);
    let partial = ExportTraceServiceResponse::decode(&response.body()[..]).unwrap();
    let partial = partial.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(partial.error_message, "1: span id is not 8 bytes or is zero");
    let request = post(&agent, "/v1/traces", "application/json")
        .body(full(serde_json::to_vec(&partly_invalid()).unwrap()))
        .unwrap();
    let response = send(request, false).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    let message = "1: span id is not 8 bytes or is zero";
    assert_eq!(answer, json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": message}}));
    assert_eq!(agent.intake.counts().spans_refused, 2);
}

#[tokio::test]
async fn a_full_agent_says_when_to_come_back() {
    let body = request(vec![span(1)]).encode_to_vec();
    for capacity in [0, body.len() as u64 + 1] {
        let agent = Agent::with(Protocol::Http, capacity, Limits::default());
        let response = post_spans(&agent, "", body.clone()).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(rpc_status(&response).0, tonic::Code::Unavailable as i32);
        agent.nothing_received();
        assert_eq!(agent.intake.counts().requests_turned_away, 1);
    }
}

/// Many clients read the answer only after they have sent all of the body.
#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_answer() {
    let agent = Agent::with(Protocol::Http, 0, Limits::default());
    let mut stream = TcpStream::connect(agent.address).await.unwrap();
    let body = vec![0; 4 << 20];
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = [0; 64];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 503 "));
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let limits = Limits { requests: 0, ..Limits::default() };
    let agent = Agent::with(Protocol::Http, 1 << 20, limits);
    let response = post_spans(&agent, "", Vec::new()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_inflated_or_not() {
    let agent = Agent::start(Protocol::Http);
    let limit = Limits::default().message_bytes;
    let response = post_spans(&agent, "gzip", bomb()).await;
    assert_eq!(response.status(), 413);
    assert!(rpc_status(&response).1.starts_with(&format!("message is larger than {limit} bytes")));
    let zeros = vec![0; limit + 1];
    let zstd_bomb = zstd::encode_all(&zeros[..], 3).unwrap();
    assert_eq!(post_spans(&agent, "zstd", zstd_bomb).await.status(), 413);
    agent.nothing_received();
    assert_eq!(agent.intake.counts().requests_refused, 2);

    let small = Limits { message_bytes: 100, ..Limits::default() };
    let agent = Agent::with(Protocol::Http, 1 << 20, small);
    assert_eq!(post_spans(&agent, "", vec![0; 101]).await.status(), 413);
    let chunks = (0..5).map(|_| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(&[0; 40]))));
    let request = post(&agent, "/v1/traces", PROTOBUF).body(StreamBody::new(stream::iter(chunks))).unwrap();
    assert_eq!(send(request, false).await.status(), 413);
    agent.nothing_received();
}

#[tokio::test]
async fn malformed_bodies_are_answered_in_their_own_format() {
    let agent = Agent::start(Protocol::Http);
    let response = post_spans(&agent, "", vec![0x0a, 0x05, 0x01]).await;
    assert_eq!(response.status(), 400);
    let (code, message) = rpc_status(&response);
    assert_eq!(code, tonic::Code::InvalidArgument as i32);
    assert_eq!(message, "malformed protobuf: a field ends after the end of the message");
    let request = post(&agent, "/v1/traces", "application/json").body(full("{\"resourceSpans\":")).unwrap();
    let response = send(request, false).await;
    assert_eq!(response.status(), 400);
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(answer["code"], 3);
    assert!(answer["message"].as_str().unwrap().starts_with("malformed JSON: "));
    assert_eq!(post_spans(&agent, "gzip", b"not gzip".to_vec()).await.status(), 400);
    let response = post_spans(&agent, "br", Vec::new()).await;
    assert_eq!(response.status(), 415);
    assert_eq!(response.headers()["accept-encoding"], "gzip, zstd, deflate");
    agent.nothing_received();
    assert_eq!(agent.intake.counts().requests_refused, 4);
    let reasons: Vec<_> = agent.reasons().into_iter().map(|(reason, _)| reason).collect();
    let expected = ["malformed protobuf", "malformed JSON", "malformed gzip data", "encoding is not supported"];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let limits = Limits { body_timeout: Duration::from_millis(10), ..Limits::default() };
    let agent = Agent::with(Protocol::Http, 1 << 20, limits);
    let endless = stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>();
    let request = post(&agent, "/v1/traces", PROTOBUF).body(StreamBody::new(endless)).unwrap();
    assert_eq!(send(request, false).await.status(), 408);
    agent.nothing_received();
}

#[tokio::test]
async fn what_is_not_otlp_is_told_what_to_do() {
    let agent = Agent::start(Protocol::Http);
    let url = |path: &str| format!("http://{}{path}", agent.address);
    let table = [
        (Request::post(url("/")), 404, "/v1/traces"),
        (Request::get(url("/v1/traces")), 405, "POST"),
        (Request::post(url("/v1/traces")), 415, "application/x-protobuf"),
        (post(&agent, "/v1/traces", "text/plain"), 415, "application/json"),
    ];
    for (request, status, hint) in table {
        let response = send(request.body(full(Bytes::new())).unwrap(), false).await;
        assert_eq!(response.status(), status);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(text.contains(hint), "{text}");
    }
}

#[tokio::test]
async fn clients_of_the_other_protocol_are_told_so() {
    let agent = Agent::start(Protocol::Http);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let request = post(&agent, path, "application/grpc").body(full(Bytes::new())).unwrap();
    let response = send(request, true).await;
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(status.message().contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"));
    assert!(status.message().contains("--otlp-grpc"));
}
