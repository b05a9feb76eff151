//! OTLP/HTTP: `POST` to `/v1/traces`, `/v1/metrics` and `/v1/logs`, protobuf or JSON.
//!
//! Refusals are answered with a `google.rpc.Status` in the request's own format; requests that are
//! not OTLP at all with a line of text that says what to do.

use ::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use prost::Message;
use tonic::{Code, Status};

use super::answer::{AnswerBody, export_response, export_response_json};
use super::body::{self, Compression};
use super::{Format, Receiver, Trouble, grpc};
use crate::decode::{Refused, Signal};

/// What is said to a client of OTLP/gRPC.
const WRONG_PROTOCOL: &str = "this port speaks OTLP/HTTP. Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, \
    or send OTLP/gRPC to the other port: 4317, unless --otlp-grpc says otherwise";

const PATHS: &str = "send OTLP to /v1/traces, /v1/metrics or /v1/logs\n";

const METHODS: &str = "send OTLP with POST\n";

const CONTENT_TYPES: &str = "send OTLP with the content type application/x-protobuf or application/json\n";

/// Answers one request.
pub(super) async fn answer(receiver: Receiver, request: Request<Incoming>) -> Response<AnswerBody> {
    if grpc::is_grpc(request.headers()) {
        return Status::new(Code::Unimplemented, WRONG_PROTOCOL).into_http();
    }
    let Some(signal) = signal(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, PATHS);
    };
    if request.method() != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, METHODS);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Some(format) = format(request.headers()) else {
        receiver.intake.counters().request_refused("content type is not OTLP's");
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, CONTENT_TYPES);
    };
    let (head, mut body) = request.into_parts();
    match export(&receiver, signal, format, &head.headers, &mut body).await {
        Ok(refused) => accepted(signal, format, &refused),
        Err(trouble) => {
            receiver.count(&trouble);
            if head.version < Version::HTTP_2 && !matches!(trouble, Trouble::Slow) {
                body::drain(body, &receiver.limits).await;
            }
            refuse(format, &trouble)
        }
    }
}

fn signal(path: &str) -> Option<Signal> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/v1/traces" => Some(Signal::Traces),
        "/v1/metrics" => Some(Signal::Metrics),
        "/v1/logs" => Some(Signal::Logs),
        _ => None,
    }
}

fn format(headers: &HeaderMap) -> Option<Format> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next()?.trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Some(Format::Protobuf),
        "application/json" => Some(Format::Json),
        _ => None,
    }
}

async fn export(
    receiver: &Receiver,
    signal: Signal,
    format: Format,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Refused, Trouble> {
    let _under_way = receiver.enter()?;
    let compression = Compression::from_header(headers.get(CONTENT_ENCODING))?;
    let length = content_length(headers);
    let limits = &receiver.limits;
    if length.is_some_and(|length| length > limits.message_bytes) {
        return Err(Trouble::TooLarge(limits.message_bytes));
    }
    let mut room = receiver.intake.reserve(length.unwrap_or(0) as u64)?;
    let body = body::gather(body, limits, &mut room, |_| length).await?;
    let body = body::inflate(compression, body, limits, &mut room)?;
    receiver.take(signal, format, body, room)
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn accepted(signal: Signal, format: Format, refused: &Refused) -> Response<AnswerBody> {
    let body = match format {
        Format::Protobuf => export_response(refused).encode_to_vec(),
        Format::Json => export_response_json(signal, refused).to_string().into_bytes(),
    };
    response(StatusCode::OK, format, body)
}

fn refuse(format: Format, trouble: &Trouble) -> Response<AnswerBody> {
    let status = match trouble {
        Trouble::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        Trouble::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
        Trouble::Malformed(_) | Trouble::Framing(_) | Trouble::Inflate(_) | Trouble::Broken => StatusCode::BAD_REQUEST,
        Trouble::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Trouble::Slow => StatusCode::REQUEST_TIMEOUT,
        Trouble::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    let body = match format {
        Format::Protobuf => trouble.rpc_status().encode_to_vec(),
        Format::Json => {
            let (code, message) = (trouble.code() as i32, trouble.to_string());
            serde_json::json!({"code": code, "message": message}).to_string().into_bytes()
        }
    };
    let mut response = response(status, format, body);
    let headers = response.headers_mut();
    if let Some(delay) = trouble.retry_after() {
        headers.insert(RETRY_AFTER, delay.as_secs().max(1).into());
    }
    if matches!(trouble, Trouble::Encoding(_)) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, deflate"));
    }
    response
}

fn response(status: StatusCode, format: Format, body: Vec<u8>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(body, None));
    *response.status_mut() = status;
    let content_type = match format {
        Format::Protobuf => "application/x-protobuf",
        Format::Json => "application/json",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn text(status: StatusCode, line: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::new(line, None));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
