//! What a receiver hands to the engine: compact batches of what was observed.
//!
//! Most of a span repeats: a thousand spans of one request type differ in ids, times and little
//! else. So a batch holds few *shapes* (all that a tier, an operation and an outcome can be told
//! from) and many small spans that point at them. The engine classifies a shape once.
//!
//! Receivers fold old and new attribute names into these fields, new names first, and reduce what
//! has no bound (URLs, statements) before it gets here: see [`crate::text`].

use std::borrow::Cow;

use crate::id::{SpanId, TraceId};
use crate::time::UnixNanos;

/// What one accepted request of a client held.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The processes that the rest refers to by index.
    pub resources: Vec<Resource>,
    /// The distinct shapes that `spans` refer to by index.
    pub shapes: Vec<SpanShape>,
    /// Ended spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// Spans that were accepted but are a client library's own inner workings, which nothing reads.
    pub spans_ignored: u64,
    /// Links of all spans; a span names its range.
    pub links: Vec<SpanLink>,
    /// Metrics whose names the engine knows; all others are only counted, in `points_unused`.
    pub metrics: Vec<Metric>,
    /// Metric points that were accepted but are of names that nothing here reads.
    pub points_unused: u64,
    /// Log records, which are only counted.
    pub log_records: u64,
    /// Where the request's body is kept, if it is: its number, from 1.
    pub body: u64,
}

impl Batch {
    /// Metric points in this batch, read or only counted.
    pub fn point_count(&self) -> u64 {
        let used: usize = self.metrics.iter().map(|metric| metric.points.len()).sum();
        used as u64 + self.points_unused
    }
}

/// The process that sent something: one instance of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Hash over everything below: equal resources have equal fingerprints, in every batch.
    pub fingerprint: u64,
    /// `service.name`, or empty when the client set none.
    pub service_name: Box<str>,
    /// `service.namespace`.
    pub service_namespace: Option<Box<str>>,
    /// `service.instance.id`, else `host.name` with `process.pid`, else `host.name`, else `k8s.pod.name`.
    pub instance: Option<Box<str>>,
    /// `service.version`.
    pub version: Option<Box<str>>,
    /// `deployment.environment.name` or `deployment.environment`.
    pub environment: Option<Box<str>>,
    /// `cloud.availability_zone`.
    pub zone: Option<Box<str>>,
    /// `cloud.region`.
    pub region: Option<Box<str>>,
    /// `telemetry.sdk.language`.
    pub sdk_language: Option<Box<str>>,
    /// `tiertop.tier`: the owner says which tier this is.
    pub tier: Option<Box<str>>,
    /// `server.address`, `redis.server.address`, `mysql.instance.endpoint`, `rabbitmq.queue.name` and
    /// whatever else the collector's receivers put on the resource to say which server they watch.
    pub attributes: Vec<(Box<str>, AttributeValue)>,
}

impl Resource {
    /// An attribute as text, if it is kept.
    pub fn text_of(&self, attribute: &str) -> Option<Cow<'_, str>> {
        let own = match attribute {
            "service.name" => Some(&self.service_name).filter(|name| !name.is_empty()),
            "service.namespace" => self.service_namespace.as_ref(),
            "service.instance.id" => self.instance.as_ref(),
            "service.version" => self.version.as_ref(),
            "deployment.environment.name" => self.environment.as_ref(),
            "cloud.availability_zone" => self.zone.as_ref(),
            "cloud.region" => self.region.as_ref(),
            "telemetry.sdk.language" => self.sdk_language.as_ref(),
            _ => None,
        };
        let other = || self.attributes.iter().find(|(key, _)| **key == *attribute).map(|(_, value)| value);
        own.map(|text| Cow::Borrowed(&**text)).or_else(|| match other()? {
            AttributeValue::Text(text) => Some(Cow::Borrowed(&**text)),
            AttributeValue::Integer(number) => Some(number.to_string().into()),
            AttributeValue::Number(number) => Some(number.to_string().into()),
            AttributeValue::Flag(flag) => Some(flag.to_string().into()),
        })
    }
}

/// A span's kind, with OTLP's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Not given; read as internal.
    #[default]
    Unspecified = 0,
    /// Work inside a process.
    Internal = 1,
    /// A request taken.
    Server = 2,
    /// A request made.
    Client = 3,
    /// A message sent.
    Producer = 4,
    /// A message taken.
    Consumer = 5,
}

/// A span's status, with OTLP's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanStatus {
    /// Nobody said.
    #[default]
    Unset = 0,
    /// Said to be fine.
    Ok = 1,
    /// Said to have failed.
    Error = 2,
}

/// What a messaging span does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessagingOperation {
    /// `create`, `send`, `publish`.
    Send,
    /// `receive`: a poll, which may wait long and find nothing.
    Receive,
    /// `process`, `deliver`.
    Process,
    /// `settle`, `ack`, delete.
    Settle,
}

/// Whether a span's parent lives in another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ParentPlace {
    /// The client did not say (span flags bit 8 unset).
    #[default]
    Unknown,
    /// In the same process.
    Local,
    /// In another process: this is an entry span.
    Remote,
}

/// All that is equal among many spans: what tier, operation and outcome are told from.
///
/// A field is `None` when the client sent nothing for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags that clients send, independent of each other")]
pub struct SpanShape {
    /// Hash over the resource's fingerprint and everything below, equal in every batch.
    pub fingerprint: u64,
    /// Index into [`Batch::resources`].
    pub resource: u32,
    /// The span's kind.
    pub kind: SpanKind,
    /// The span's status.
    pub status: SpanStatus,
    /// The span's name, at most 256 bytes.
    pub name: Box<str>,
    /// The instrumentation scope's name.
    pub scope: Option<Box<str>>,
    /// `http.request.method` or `http.method`.
    pub http_method: Option<Box<str>>,
    /// `http.route`.
    pub http_route: Option<Box<str>>,
    /// `http.response.status_code` or `http.status_code`; 0 when absent.
    pub http_status: u16,
    /// The path with what looks like ids replaced, from `url.path`, `http.target` or the full URL.
    pub path_template: Option<Box<str>>,
    /// Whom a client span called, without the port: `server.address`, `net.peer.name`, the URL's host ...
    pub peer_address: Option<Box<str>>,
    /// The port that belongs to `peer_address`; 0 when absent.
    pub peer_port: u16,
    /// `peer.service`.
    pub peer_service: Option<Box<str>>,
    /// `db.system.name` or `db.system`, as sent.
    pub db_system: Option<Box<str>>,
    /// `db.namespace`, `db.name`.
    pub db_namespace: Option<Box<str>>,
    /// The command: `db.operation.name`, `db.operation`, or the statement's first word, upper case.
    pub db_operation: Option<Box<str>>,
    /// `db.collection.name`, `db.sql.table`, or the statement's first table.
    pub db_collection: Option<Box<str>>,
    /// Whether the statement or its keys show queue work on a key-value store.
    pub db_queue_work: bool,
    /// `messaging.system`, as sent.
    pub messaging_system: Option<Box<str>>,
    /// `messaging.destination.name`, `messaging.destination`, or the last part of the queue's URL.
    pub messaging_destination: Option<Box<str>>,
    /// What the messaging span does.
    pub messaging_operation: Option<MessagingOperation>,
    /// `messaging.batch.message_count` is zero: the poll found nothing.
    pub messaging_empty: bool,
    /// `rpc.system.name` or `rpc.system`.
    pub rpc_system: Option<Box<str>>,
    /// `rpc.service`, or the part of `rpc.method` before the slash.
    pub rpc_service: Option<Box<str>>,
    /// `rpc.method`, or the part of it after the slash.
    pub rpc_method: Option<Box<str>>,
    /// `aws.s3.bucket`.
    pub s3_bucket: Option<Box<str>>,
    /// `faas.trigger`.
    pub faas_trigger: Option<Box<str>>,
    /// Any `celery.*` attribute was there.
    pub celery: bool,
    /// `error.type`.
    pub error_type: Option<Box<str>>,
    /// `tiertop.tier` on the span.
    pub tier: Option<Box<str>>,
    /// `http.response.header.x-cache`, `cache.status` and the like: what a CDN said.
    pub cache_status: Option<Box<str>>,
    /// `cache.hit` or a like-named flag on a cache span, where a client sends one.
    pub cache_hit: Option<bool>,
    /// The user agent is a health checker's, or the path is a health check's.
    pub health_check: bool,
}

/// Where all that was sent of a span can be found, while it is kept: a body and a place in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DetailRef(u64);

impl DetailRef {
    /// Nothing is kept.
    pub const NONE: Self = Self(0);
    /// Bits of the place: a body has less than 1 GiB.
    const OFFSET_BITS: u32 = 30;

    /// The span that lies so many bytes into a body; bodies are numbered from 1.
    pub fn new(body: u64, offset: u32) -> Self {
        if body == 0 { Self::NONE } else { Self(body << Self::OFFSET_BITS | u64::from(offset)) }
    }

    /// The body's number and the place in it; `None` if nothing is kept.
    pub fn place(self) -> Option<(u64, usize)> {
        let offset = self.0 & ((1 << Self::OFFSET_BITS) - 1);
        (self.0 != 0).then_some((self.0 >> Self::OFFSET_BITS, offset as usize))
    }
}

/// One ended span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub id: SpanId,
    /// The parent, or [`SpanId::NONE`].
    pub parent: SpanId,
    /// When it started.
    pub start: UnixNanos,
    /// When it ended; never before `start` (receivers clamp).
    pub end: UnixNanos,
    /// Hash of the raw URL path without its query, for telling a proxy by its onward call; 0 when there is none.
    pub path_hash: u64,
    /// How many spans this one stands for: the inverse of the sampling probability in `tracestate`
    /// (`ot=th:`), or 0 when none was given.
    pub weight: f32,
    /// Index into [`Batch::shapes`].
    pub shape: u32,
    /// First of this span's links in [`Batch::links`].
    pub links_start: u32,
    /// How many links it has.
    pub links_len: u16,
    /// Where its parent lives.
    pub parent_place: ParentPlace,
    /// Where it lies in the request's body: how many bytes come before its field.
    pub offset: u32,
}

/// A link from a span to another, as a consumer's to its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// The linked trace.
    pub trace: TraceId,
    /// The linked span.
    pub span: SpanId,
}

/// A metric's points from one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Index into [`Batch::resources`].
    pub resource: u32,
    /// The name, as sent.
    pub name: Box<str>,
    /// The unit, as sent: normalise by this, never by the name.
    pub unit: Box<str>,
    /// How to read the points.
    pub kind: MetricKind,
    /// The points.
    pub points: Vec<Point>,
}

/// How a metric's points are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A level now.
    Gauge,
    /// A sum; a level if not monotonic, even when cumulative.
    Sum {
        /// Only ever grows between resets.
        monotonic: bool,
        /// What a point covers.
        temporality: Temporality,
    },
    /// A histogram with explicit bounds.
    Histogram(Temporality),
    /// A base-2 exponential histogram.
    ExponentialHistogram(Temporality),
    /// Quantiles made by the sender.
    Summary,
}

/// What a point covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// The client did not say; read as cumulative, the protocol's usual default.
    Unspecified,
    /// Since the last point.
    Delta,
    /// Since the start time.
    Cumulative,
}

/// One data point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its attributes, as sent.
    pub attributes: Vec<(Box<str>, AttributeValue)>,
    /// When counting began; zero when not given.
    pub start: UnixNanos,
    /// When it was measured.
    pub time: UnixNanos,
    /// What was measured.
    pub value: PointValue,
}

/// What a point measured.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// No value: the sender flags the point as without a recorded value.
    Missing,
    /// A gauge's or sum's number.
    Number(f64),
    /// Counts between explicit bounds.
    Histogram {
        /// Observations in all.
        count: u64,
        /// Their sum, where sent.
        sum: Option<f64>,
        /// The least, where sent.
        min: Option<f64>,
        /// The greatest, where sent.
        max: Option<f64>,
        /// Upper bounds, ascending; one fewer than `counts`, or both empty.
        bounds: Vec<f64>,
        /// Observations per bucket.
        counts: Vec<u64>,
    },
    /// Counts in base-2 exponential buckets.
    Exponential {
        /// Observations in all.
        count: u64,
        /// Their sum, where sent.
        sum: Option<f64>,
        /// The least, where sent.
        min: Option<f64>,
        /// The greatest, where sent.
        max: Option<f64>,
        /// The base is `2^(2^-scale)`.
        scale: i32,
        /// Observations at or below the zero threshold.
        zero_count: u64,
        /// Index of the first positive bucket.
        offset: i32,
        /// Observations per positive bucket.
        counts: Vec<u64>,
    },
    /// Quantiles made by the sender.
    Summary {
        /// Observations in all.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Pairs of quantile (0 to 1) and value.
        quantiles: Vec<(f64, f64)>,
    },
}

/// An attribute's value, reduced to what figures are keyed by.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// Text, and any value that is not one of the others, as text.
    Text(Box<str>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A flag.
    Flag(bool),
}

impl Eq for AttributeValue {}

impl AttributeValue {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, be it sent as a number or as text: clients send ports as both.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Number(number) if number.fract() == 0.0 => Some(*number as i64),
            _ => None,
        }
    }
}
