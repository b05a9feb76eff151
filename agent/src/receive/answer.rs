//! What clients are told: responses of OTLP, `google.rpc.Status` and `RetryInfo`.
//!
//! The three `Export…ServiceResponse` messages are one message on the wire, so one does for all.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use prost::Message;
use tonic::Code;

use super::Trouble;
use crate::decode::{Refused, Signal};

/// The body of a response: some bytes, and for gRPC trailers.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl AnswerBody {
    pub(super) fn new(data: impl Into<Bytes>, trailers: Option<HeaderMap>) -> Self {
        let data = data.into();
        Self { data: (!data.is_empty()).then_some(data), trailers }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Any of OTLP's three responses.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

/// What was refused of a request that was otherwise accepted.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// The response to a request that was taken.
pub(super) fn export_response(refused: &Refused) -> ExportResponse {
    let partial_success = refused
        .any()
        .then(|| PartialSuccess { rejected: (refused.spans + refused.points) as i64, message: refused.message() });
    ExportResponse { partial_success }
}

/// The same as JSON, in which 64-bit integers are text.
pub(super) fn export_response_json(signal: Signal, refused: &Refused) -> serde_json::Value {
    let Some(partial) = export_response(refused).partial_success else {
        return serde_json::json!({});
    };
    let rejected = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    let count = partial.rejected.to_string();
    serde_json::json!({"partialSuccess": {rejected: count, "errorMessage": partial.message}})
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtoDuration {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl Trouble {
    /// gRPC's code. Only `Unavailable` makes clients send the same again.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Full(_) | Self::Busy(_) => Code::Unavailable,
            Self::Malformed(_) | Self::Framing(_) | Self::Inflate(_) => Code::InvalidArgument,
            Self::TooLarge(_) => Code::ResourceExhausted,
            Self::Slow => Code::DeadlineExceeded,
            Self::Broken => Code::Cancelled,
            Self::Encoding(_) => Code::Unimplemented,
        }
    }

    /// When to send the same again, if at all.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full(full) | Self::Busy(full) => Some(full.retry_after),
            _ => None,
        }
    }

    /// As `google.rpc.Status`, which OTLP/HTTP answers with and gRPC carries in its details.
    pub(super) fn rpc_status(&self) -> RpcStatus {
        let retry = self.retry_after().map(|delay| {
            let retry_delay =
                Some(ProtoDuration { seconds: delay.as_secs() as i64, nanos: delay.subsec_nanos() as i32 });
            Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { retry_delay }.encode_to_vec().into(),
            }
        });
        RpcStatus { code: self.code() as i32, message: self.to_string(), details: retry.into_iter().collect() }
    }
}
