//! OTLP/gRPC: one message in, one message out, over HTTP/2.
//!
//! A message is framed by a flag (compressed or not) and its length in four bytes. Errors go out
//! as the status in the headers, as gRPC calls "trailers only".

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Incoming;
use prost::Message;
use tonic::{Code, Status};

use super::answer::{AnswerBody, export_response};
use super::body::{self, Compression};
use super::{Format, Receiver, Trouble};
use crate::decode::{Refused, Signal};

/// Flag and length before a message.
const PREFIX: usize = 5;

/// What is said to a client of OTLP/HTTP.
const WRONG_PROTOCOL: &str = "this port speaks OTLP/gRPC. Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, \
    or send OTLP/HTTP to the other port: 4318, unless --otlp-http says otherwise\n";

/// Answers one request.
pub(super) async fn answer(receiver: Receiver, request: Request<Incoming>) -> Response<AnswerBody> {
    if !is_grpc(request.headers()) {
        let mut response = Response::new(AnswerBody::new(WRONG_PROTOCOL, None));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return response;
    }
    let Some(signal) = signal(request.method(), request.uri().path()) else {
        let path = request.uri().path();
        return Status::new(Code::Unimplemented, format!("{path} is not part of OTLP")).into_http();
    };
    match export(&receiver, signal, request).await {
        Ok(refused) => accepted(&refused),
        Err(trouble) => {
            receiver.count(&trouble);
            refused(&trouble)
        }
    }
}

/// Whether the request is gRPC's, by its content type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/grpc") && !content_type.starts_with(b"application/grpc-web")
}

fn signal(method: &Method, path: &str) -> Option<Signal> {
    if method != Method::POST {
        return None;
    }
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Traces),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        _ => None,
    }
}

async fn export(receiver: &Receiver, signal: Signal, request: Request<Incoming>) -> Result<Refused, Trouble> {
    let _under_way = receiver.enter()?;
    let compression = Compression::from_header(request.headers().get("grpc-encoding"))?;
    let mut room = receiver.intake.reserve(0)?;
    let limits = &receiver.limits;
    let mut body = request.into_body();
    let framed = body::gather(&mut body, limits, &mut room, framed_length).await?;
    let (compressed, message) = unframe(framed)?;
    let message = match (compressed, compression) {
        (false, _) => message,
        (true, Compression::None) => {
            return Err(Trouble::Framing("message is compressed, but grpc-encoding is not set"));
        }
        (true, compression) => body::inflate(compression, message, limits, &mut room)?,
    };
    receiver.take(signal, Format::Protobuf, message, room)
}

/// How long prefix and message are together, from the first bytes.
fn framed_length(start: &[u8]) -> Option<usize> {
    let length = start.get(1..PREFIX)?.try_into().ok()?;
    Some(u32::from_be_bytes(length) as usize + PREFIX)
}

fn unframe(mut framed: Bytes) -> Result<(bool, Bytes), Trouble> {
    if framed_length(&framed) != Some(framed.len()) {
        return Err(Trouble::Framing("the body is not one gRPC message"));
    }
    let compressed = match framed[0] {
        0 => false,
        1 => true,
        _ => {
            return Err(Trouble::Framing("the message's compression flag is neither 0 nor 1"));
        }
    };
    Ok((compressed, framed.split_off(PREFIX)))
}

fn accepted(refused: &Refused) -> Response<AnswerBody> {
    let response = export_response(refused).encode_to_vec();
    let mut framed = Vec::with_capacity(PREFIX + response.len());
    framed.push(0);
    framed.extend_from_slice(&(response.len() as u32).to_be_bytes());
    framed.extend_from_slice(&response);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(AnswerBody::new(framed, Some(trailers)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn refused(trouble: &Trouble) -> Response<AnswerBody> {
    let details = trouble.rpc_status().encode_to_vec().into();
    let status = Status::with_details(trouble.code(), trouble.to_string(), details);
    let mut response = status.into_http::<AnswerBody>();
    if matches!(trouble, Trouble::Encoding(_)) {
        let encodings = HeaderValue::from_static("identity,gzip,zstd,deflate");
        response.headers_mut().insert("grpc-accept-encoding", encodings);
    }
    response
}
