//! From the bytes of one OTLP request to a [`Batch`] for the engine.
//!
//! Protobuf is walked in place ([`crate::wire`]): a span costs a few slices and one hash. Strings
//! are made only when a batch meets a new *shape* (see [`tiertop_core::observation`]), so a thousand
//! spans of one request type cost the strings of one. JSON, the slow path, becomes protobuf first,
//! so that old and new attribute names are folded in one place.
//!
//! What a request holds is either in the batch, or counted as refused with a [`Reason`], or the
//! whole request is refused as malformed:
//! 1. malformed bytes refuse the request: nothing of it is kept;
//! 2. a span or point that is invalid, or over a limit of [`Limits`], is refused by itself;
//! 3. the inner workings of client libraries, points of metrics that nothing reads, and log records
//!    are accepted and counted.
//!
//! A span that ends before it starts is kept and ends when it starts: clocks step.

mod address;
mod attributes;
mod fingerprint;
mod fold;
mod json;
mod logs;
mod metrics;
mod points;
mod resource;
mod sampling;
mod shapes;
mod traces;

use tiertop_core::observation::Batch;

use crate::wire::{Fields, Malformed, Value};

pub(crate) use resource::keeps as keeps_of_resources;

/// Which of OTLP's three requests the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest`.
    Logs,
}

/// How much one span or point may carry. Sizes of whole messages are the receivers' business.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most attributes of a span: eight times the default limit of the SDKs (128).
    pub span_attributes: usize,
    /// Most attributes of a metric point: each is kept, so this is tighter.
    pub point_attributes: usize,
    /// Most buckets of a histogram point: SDKs make 160, hand-made ones a few hundred.
    pub buckets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { span_attributes: 1024, point_attributes: 128, buckets: 4096 }
    }
}

/// Longest text that is kept of any attribute or name, in bytes.
pub const TEXT_BYTES: usize = 256;

/// Most links kept of a span; consumers of batches send one per message.
pub const LINKS: usize = 32;

/// What became of one request.
#[derive(Debug, Default)]
pub struct Decoded {
    /// What was accepted.
    pub batch: Batch,
    /// What was not, and why.
    pub refused: Refused,
}

/// What was refused of a request that was otherwise accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Spans refused.
    pub spans: u64,
    /// Metric points refused.
    pub points: u64,
    /// Each reason once, with how often.
    pub reasons: Vec<(Reason, u64)>,
}

impl Refused {
    /// Whether anything was refused.
    pub fn any(&self) -> bool {
        self.spans + self.points > 0
    }

    /// The reasons in words, for the client's log.
    pub fn message(&self) -> String {
        let words: Vec<_> = self.reasons.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
        words.join("; ")
    }

    fn span(&mut self, reason: Reason) {
        self.spans += 1;
        self.reason(reason);
    }

    fn point(&mut self, reason: Reason) {
        self.points += 1;
        self.reason(reason);
    }

    fn reason(&mut self, reason: Reason) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
    }
}

/// Why a span or a metric point was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A trace id that is not one.
    #[error("trace id is not 16 bytes or is zero")]
    TraceId,
    /// A span id that is not one.
    #[error("span id is not 8 bytes or is zero")]
    SpanId,
    /// A parent id that is neither empty nor an id.
    #[error("parent span id is not 8 bytes")]
    ParentId,
    /// Neither a start nor an end.
    #[error("span has neither a start nor an end time")]
    SpanTimes,
    /// [`Limits::span_attributes`].
    #[error("span has too many attributes")]
    SpanAttributes,
    /// No time.
    #[error("metric point has no time")]
    PointTime,
    /// [`Limits::point_attributes`].
    #[error("metric point has too many attributes")]
    PointAttributes,
    /// Bucket counts and bounds that do not belong together.
    #[error("histogram buckets do not fit their bounds")]
    Buckets,
    /// [`Limits::buckets`].
    #[error("histogram has too many buckets")]
    TooManyBuckets,
}

/// Why a whole request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The protobuf is malformed.
    #[error("malformed protobuf: {0}")]
    Protobuf(#[from] Malformed),
    /// The JSON is malformed, or is not OTLP's.
    #[error("malformed JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Decodes a request sent as protobuf.
pub fn protobuf(signal: Signal, body: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    Ok(match signal {
        Signal::Traces => traces::decode(body, limits)?,
        Signal::Metrics => metrics::decode(body, limits)?,
        Signal::Logs => logs::decode(body)?,
    })
}

/// Decodes a request sent as JSON.
pub fn json(signal: Signal, body: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
    protobuf(signal, &json_to_protobuf(signal, body)?, limits)
}

/// Makes protobuf of a request sent as JSON.
pub fn json_to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(json::to_protobuf(signal, body)?)
}

/// Decodes a JSON object that holds any of the requests; nothing comes back if it holds none.
pub fn any_json(body: &[u8], limits: &Limits) -> Result<Vec<Decoded>, DecodeError> {
    json::any_to_protobuf(body)?.iter().map(|(signal, body)| protobuf(*signal, body, limits)).collect()
}

/// Tells which request protobuf is by the first thing that it holds; `None` if it holds nothing that tells.
///
/// All three have resources in field 1, scopes in their field 2 and items in theirs. Of items only spans
/// have eight fixed bytes in field 7 or 8, and only log records in 1 or 11.
pub fn signal_of(body: &[u8]) -> Result<Option<Signal>, DecodeError> {
    Ok(first_item(body, 0)?)
}

fn first_item(message: &[u8], depth: u32) -> Result<Option<Signal>, Malformed> {
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        if let (0, 1, Value::Bytes(inner)) | (1, 2, Value::Bytes(inner)) = (depth, field.number, field.value)
            && let Some(found) = first_item(inner, depth + 1)?
        {
            return Ok(Some(found));
        }
        if let (2, 2, Value::Bytes(item)) = (depth, field.number, field.value) {
            return kind_of_item(item).map(Some);
        }
    }
    Ok(None)
}

fn kind_of_item(item: &[u8]) -> Result<Signal, Malformed> {
    let mut fields = Fields::new(item);
    while let Some(field) = fields.next()? {
        match (field.number, field.value) {
            (7 | 8, Value::Fixed64(_)) => return Ok(Signal::Traces),
            (1 | 11, Value::Fixed64(_)) => return Ok(Signal::Logs),
            _ => {}
        }
    }
    Ok(Signal::Metrics)
}
