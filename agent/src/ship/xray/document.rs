//! One span as the inside of a segment or subsegment: its JSON without the braces.
//!
//! A document may have [`DOCUMENT_BYTES`]. What makes one span longer than that is given up in this order,
//! until it fits: metadata; stacks; the statement; links, other annotations and what AWS and HTTP say of it.
//! What then is left fits always.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::observation::SpanKind;

use super::blocks::{self, Aws, Http, Sql, TOLD};
use super::cause::{self, Blame, Cause, cut};
use super::names::{self, Called};
use super::otlp::{Any, Attributes, Event, Link, Span};

/// Largest document: 64 kB, read as the lesser of its two meanings.
pub const DOCUMENT_BYTES: usize = 64_000;
/// Annotations of one span: X-Ray indexes 50 of a trace.
const MOST_ANNOTATIONS: usize = 40;
/// Longest text of an annotation, in characters.
const ANNOTATION_CHARACTERS: usize = 1_000;
/// Longest key of an annotation.
const KEY_BYTES: usize = 500;
/// Links and events that are told of one span.
const MOST_LINKS: usize = 100;
const MOST_EVENTS: usize = 100;

/// What is given up of a span to make it fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shed {
    Nothing,
    Metadata,
    Stacks,
    Statement,
    AllElse,
}

impl Shed {
    const ORDER: [Self; 5] = [Self::Nothing, Self::Metadata, Self::Stacks, Self::Statement, Self::AllElse];
}

/// What is known of a span beside what was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Context<'a> {
    pub(super) tier: Option<Arc<str>>,
    pub(super) verdict: Option<Arc<str>>,
    pub(super) stall: Option<Arc<str>>,
    /// Why its trace was chosen.
    pub(super) chosen_for: &'static str,
    pub(super) scope: Cow<'a, str>,
}

/// How a span is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// As a segment, by the name of its service.
    Segment,
    /// As a part of one.
    Subsegment,
}

/// X-Ray's form of a trace's id.
pub(super) struct XrayTraceId(pub(super) TraceId);

impl std::fmt::Display for XrayTraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.0.0;
        write!(f, "1-{:08x}-{:024x}", id >> 96, id & ((1 << 96) - 1))
    }
}

#[derive(serde::Serialize)]
struct Body<'a> {
    id: Shown<SpanId>,
    name: Cow<'a, str>,
    start_time: f64,
    end_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    error: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fault: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    throttle: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<Sql<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Aws<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<LinkTold<'a>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
}

#[derive(serde::Serialize)]
struct Service<'a> {
    version: Cow<'a, str>,
}

/// What is written as text.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(serde::Serialize)]
struct LinkTold<'a> {
    trace_id: Shown<XrayTraceId>,
    id: Shown<SpanId>,
    #[serde(skip_serializing_if = "no_attributes")]
    attributes: &'a Attributes<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn no_attributes(attributes: &&Attributes<'_>) -> bool {
    attributes.0.is_empty()
}

/// Texts, numbers and flags that traces can be found by.
struct Annotations<'a>(Vec<(Cow<'a, str>, Scalar<'a>)>);

enum Scalar<'a> {
    Text(Cow<'a, str>),
    Other(Any<'a>),
}

impl<'a> Annotations<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, key: &'a str, value: Scalar<'a>) {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        let key = if key.chars().all(is_fine) {
            Cow::Borrowed(key)
        } else {
            Cow::Owned(key.chars().map(|c| if is_fine(c) { c } else { '_' }).collect())
        };
        let key = cut(key, KEY_BYTES);
        if !key.is_empty() && self.0.len() < MOST_ANNOTATIONS && !self.0.iter().any(|(known, _)| *known == key) {
            self.0.push((key, value));
        }
    }

    fn push_known(&mut self, key: &'static str, text: Option<&'a Arc<str>>) {
        if let Some(text) = text {
            self.push(key, Scalar::Text(Cow::Borrowed(text)));
        }
    }

    fn push_attribute(&mut self, key: &'a str, value: Any<'a>) {
        match value {
            Any::Text(_) => {
                let text = value.as_text().unwrap_or_default();
                let text = match text.char_indices().nth(ANNOTATION_CHARACTERS) {
                    Some((end, _)) => cut(text, end),
                    None => text,
                };
                self.push(key, Scalar::Text(text));
            }
            Any::Number(number) if !number.is_finite() => {}
            Any::Flag(_) | Any::Integer(_) | Any::Number(_) => self.push(key, Scalar::Other(value)),
            Any::Empty | Any::Bytes(_) | Any::Array(_) | Any::Map(_) => {}
        }
    }
}

impl Serialize for Annotations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            match value {
                Scalar::Text(text) => map.serialize_entry(key, text)?,
                Scalar::Other(value) => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// All that has no place of its own.
struct Metadata<'a> {
    span: &'a Span<'a>,
    resource: Option<&'a Attributes<'a>>,
    context: &'a Context<'a>,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("default", Default(self))])
    }
}

/// The one namespace of metadata that is used.
struct Default<'a>(&'a Metadata<'a>);

impl Serialize for Default<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Metadata { span, resource, context } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("otel.span.name", &span.name)?;
        map.serialize_entry("otel.span.kind", kind_name(span.kind))?;
        if !context.scope.is_empty() {
            map.serialize_entry("otel.scope.name", &context.scope)?;
        }
        for (key, value) in &span.attributes.0 {
            if !TOLD.contains(&&**key) {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(resource) = resource {
            map.serialize_entry("tiertop.chosen_for", context.chosen_for)?;
            for (key, value) in &resource.0 {
                map.serialize_entry(&format_args!("otel.resource.{key}").to_string(), value)?;
            }
        }
        let is_told = |event: &&Event<'_>| event.name != "exception";
        let events: Vec<EventTold<'_>> =
            span.events.iter().filter(is_told).take(MOST_EVENTS).map(EventTold::of).collect();
        if !events.is_empty() {
            map.serialize_entry("otel.events", &events)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct EventTold<'a> {
    time: f64,
    name: &'a str,
    #[serde(skip_serializing_if = "no_attributes")]
    attributes: &'a Attributes<'a>,
}

impl<'a> EventTold<'a> {
    fn of(event: &'a Event<'a>) -> Self {
        Self { time: seconds(event.nanos), name: &event.name, attributes: &event.attributes }
    }
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified | SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// Seconds since the epoch; a double tells them apart to a quarter of a microsecond.
pub(super) fn seconds(nanos: u64) -> f64 {
    (nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9
}

/// The inside of a span's document, and what had to be given up. At most so many bytes long.
pub(super) fn inside(
    span: &Span<'_>,
    resource: &Attributes<'_>,
    (role, context): (Role, &Context<'_>),
    annotated: &[String],
    most_bytes: usize,
) -> (String, Shed) {
    let mut last = (String::new(), Shed::Nothing);
    for shed in Shed::ORDER {
        let body = body(span, resource, (role, context), annotated, shed);
        let json = serde_json::to_string(&body).expect("texts, numbers and maps with text keys are JSON");
        last = (json[1..json.len() - 1].to_owned(), shed);
        if last.0.len() <= most_bytes {
            break;
        }
    }
    last
}

fn body<'a>(
    span: &'a Span<'a>,
    resource: &'a Attributes<'a>,
    (role, context): (Role, &'a Context<'a>),
    annotated: &'a [String],
    shed: Shed,
) -> Body<'a> {
    let is_segment = role == Role::Segment;
    let at = &span.attributes;
    let Called { name, namespace } = if is_segment {
        Called { name: names::service(resource, Some(span)), namespace: None }
    } else {
        names::called(span)
    };
    let is_all = shed < Shed::AllElse;
    let Blame { error, fault, throttle } = cause::blame(span);
    let language = resource.text(&["telemetry.sdk.language"]).unwrap_or_default();
    let aws = if is_segment { blocks::aws_host(resource) } else { blocks::aws_call(at) };
    let mut annotations = Annotations(Vec::new());
    annotations.push_known("tier", context.tier.as_ref());
    if is_segment {
        annotations.push_known("verdict", context.verdict.as_ref());
        annotations.push_known("stall", context.stall.as_ref());
    }
    if is_all {
        let said = at.texts("aws.xray.annotations");
        let is_annotated =
            |key: &str| annotated.iter().any(|one| one == key || one == "*") || said.iter().any(|one| one == key);
        let of_resource = resource.0.iter().filter(|_| is_segment);
        for (key, value) in at.0.iter().chain(of_resource).filter(|(key, _)| is_annotated(key)) {
            annotations.push_attribute(key, *value);
        }
    }
    let version = resource.text(&["service.version"]).filter(|_| is_segment);
    Body {
        id: Shown(span.id),
        name,
        start_time: seconds(span.start_nanos),
        end_time: seconds(span.end_nanos),
        namespace,
        origin: names::origin(resource).filter(|_| is_segment),
        error,
        fault,
        throttle,
        user: at.text(&["user.id", "enduser.id"]).filter(|_| is_segment).map(|user| cut(user, 250)),
        service: version.map(|version| Service { version: cut(version, 250) }),
        http: blocks::http(span).filter(|_| is_all),
        cause: cause::cause(span, &language, shed < Shed::Stacks).filter(|_| is_all),
        sql: blocks::sql(at).filter(|_| shed < Shed::Statement && !is_segment),
        aws: aws.filter(|_| is_all),
        links: span.links.iter().filter(|_| is_all).take(MOST_LINKS).map(LinkTold::of).collect(),
        annotations,
        metadata: (shed < Shed::Metadata).then_some(Metadata {
            span,
            resource: is_segment.then_some(resource),
            context,
        }),
    }
}

impl<'a> LinkTold<'a> {
    fn of(link: &'a Link<'a>) -> Self {
        Self { trace_id: Shown(XrayTraceId(link.trace)), id: Shown(link.span), attributes: &link.attributes }
    }
}
