//! Reading the OTLP messages of one span, leniently: what is malformed within is left out, the span is not.
//!
//! Texts are borrowed where they are UTF-8, and otherwise have `U+FFFD` where they are not.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::observation::SpanKind;

use crate::wire::{Field, Fields, Value};

/// How deep arrays and maps are followed; what lies deeper is left out.
const DEEPEST: u8 = 8;

/// A span's fields.
#[derive(Debug, Default)]
pub(super) struct Span<'a> {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: SpanId,
    pub(super) name: Cow<'a, str>,
    pub(super) kind: SpanKind,
    pub(super) start_nanos: u64,
    pub(super) end_nanos: u64,
    pub(super) attributes: Attributes<'a>,
    pub(super) events: Vec<Event<'a>>,
    pub(super) links: Vec<Link<'a>>,
    pub(super) failed: bool,
    pub(super) status_message: Cow<'a, str>,
}

/// Something that happened during a span.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) nanos: u64,
    pub(super) name: Cow<'a, str>,
    pub(super) attributes: Attributes<'a>,
}

/// A span that this one belongs with.
#[derive(Debug, Default)]
pub(super) struct Link<'a> {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) attributes: Attributes<'a>,
}

/// Attributes in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a>(pub(super) Vec<(Cow<'a, str>, Any<'a>)>);

/// A value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Any<'a> {
    Empty,
    Text(&'a [u8]),
    Flag(bool),
    Integer(i64),
    Number(f64),
    Bytes(&'a [u8]),
    Array(&'a [u8]),
    Map(&'a [u8]),
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The fields of a message up to its end, or to where it is malformed.
fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || fields.next().ok().flatten())
}

impl<'a> Span<'a> {
    pub(super) fn read(message: &'a [u8]) -> Self {
        let mut span = Self::default();
        for field in fields(message) {
            match (field.number, field.value) {
                (1, Value::Bytes(id)) => span.trace = TraceId::from_bytes(id).unwrap_or_default(),
                (2, Value::Bytes(id)) => span.id = SpanId::from_bytes(id).unwrap_or_default(),
                (4, Value::Bytes(id)) => span.parent = SpanId::from_bytes(id).unwrap_or_default(),
                (5, Value::Bytes(name)) => span.name = text(name),
                (6, Value::Varint(kind)) => span.kind = kind_of(kind),
                (7, Value::Fixed64(nanos)) => span.start_nanos = nanos,
                (8, Value::Fixed64(nanos)) => span.end_nanos = nanos,
                (9, Value::Bytes(pair)) => span.attributes.push(pair),
                (11, Value::Bytes(event)) => span.events.push(Event::read(event)),
                (13, Value::Bytes(link)) => span.links.extend(Link::read(link)),
                (15, Value::Bytes(status)) => span.read_status(status),
                _ => {}
            }
        }
        if span.start_nanos == 0 {
            span.start_nanos = span.end_nanos;
        }
        span.end_nanos = span.end_nanos.max(span.start_nanos);
        span
    }

    fn read_status(&mut self, message: &'a [u8]) {
        for field in fields(message) {
            match (field.number, field.value) {
                (2, Value::Bytes(message)) => self.status_message = text(message),
                (3, Value::Varint(code)) => self.failed = code == 2,
                _ => {}
            }
        }
    }

    /// It was sent to somebody else, or asked of them.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind, SpanKind::Client | SpanKind::Producer)
    }
}

fn kind_of(number: u64) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

impl<'a> Event<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut event = Self::default();
        for field in fields(message) {
            match (field.number, field.value) {
                (1, Value::Fixed64(nanos)) => event.nanos = nanos,
                (2, Value::Bytes(name)) => event.name = text(name),
                (3, Value::Bytes(pair)) => event.attributes.push(pair),
                _ => {}
            }
        }
        event
    }
}

impl<'a> Link<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut link = Self::default();
        for field in fields(message) {
            match (field.number, field.value) {
                (1, Value::Bytes(id)) => link.trace = TraceId::from_bytes(id)?,
                (2, Value::Bytes(id)) => link.span = SpanId::from_bytes(id)?,
                (4, Value::Bytes(pair)) => link.attributes.push(pair),
                _ => {}
            }
        }
        (link.trace.0 != 0 && link.span.is_some()).then_some(link)
    }
}

impl<'a> Attributes<'a> {
    /// Those of a `Resource` message.
    pub(super) fn of_resource(message: &'a [u8]) -> Self {
        let mut attributes = Self::default();
        for field in fields(message) {
            if let (1, Value::Bytes(pair)) = (field.number, field.value) {
                attributes.push(pair);
            }
        }
        attributes
    }

    fn push(&mut self, pair: &'a [u8]) {
        let (key, value) = key_and_value(pair);
        self.0.push((key, value));
    }

    pub(super) fn get(&self, key: &str) -> Option<Any<'a>> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| *value).filter(|value| *value != Any::Empty)
    }

    /// The first of some attributes that is text and not empty: current names stand before older ones.
    pub(super) fn text(&self, keys: &[&str]) -> Option<Cow<'a, str>> {
        keys.iter().filter_map(|key| self.get(key)?.as_text()).find(|text| !text.is_empty())
    }

    /// The first of some attributes that is a whole number, be it sent as one or as text.
    pub(super) fn integer(&self, keys: &[&str]) -> Option<i64> {
        keys.iter().find_map(|key| match self.get(key)? {
            Any::Integer(number) => Some(number),
            Any::Number(number) if number.fract() == 0.0 => Some(number as i64),
            Any::Text(digits) => text(digits).trim().parse().ok(),
            _ => None,
        })
    }

    /// The texts of an attribute that is a list, or its text.
    pub(super) fn texts(&self, key: &str) -> Vec<Cow<'a, str>> {
        match self.get(key) {
            Some(Any::Array(list)) => {
                let values = fields(list).filter_map(|field| field.bytes().ok().map(Any::read));
                values.filter_map(Any::as_text).collect()
            }
            Some(value) => value.as_text().into_iter().collect(),
            None => Vec::new(),
        }
    }
}

/// The name in an `InstrumentationScope` message.
pub(super) fn scope_name(message: &[u8]) -> Cow<'_, str> {
    let name = fields(message).find(|field| field.number == 1).and_then(|field| field.bytes().ok());
    text(name.unwrap_or_default())
}

fn key_and_value(pair: &[u8]) -> (Cow<'_, str>, Any<'_>) {
    let (mut key, mut value) = (Cow::Borrowed(""), Any::Empty);
    for field in fields(pair) {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => key = text(bytes),
            (2, Value::Bytes(message)) => value = Any::read(message),
            _ => {}
        }
    }
    (key, value)
}

impl<'a> Any<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut value = Self::Empty;
        for field in fields(message) {
            value = match (field.number, field.value) {
                (1, Value::Bytes(text)) => Self::Text(text),
                (2, Value::Varint(flag)) => Self::Flag(flag != 0),
                (3, Value::Varint(number)) => Self::Integer(number as i64),
                (4, Value::Fixed64(bits)) => Self::Number(f64::from_bits(bits)),
                (5, Value::Bytes(list)) => Self::Array(list),
                (6, Value::Bytes(map)) => Self::Map(map),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                _ => value,
            };
        }
        value
    }

    pub(super) fn as_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(bytes) => Some(text(bytes)),
            _ => None,
        }
    }
}

impl Serialize for Any<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Deep(*self, 0).serialize(serializer)
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A value, and how deep it lies.
struct Deep<'a>(Any<'a>, u8);

impl Serialize for Deep<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, depth) = *self;
        match value {
            Any::Text(bytes) => serializer.serialize_str(&text(bytes)),
            Any::Flag(flag) => serializer.serialize_bool(flag),
            Any::Integer(number) => serializer.serialize_i64(number),
            Any::Number(number) if number.is_finite() => serializer.serialize_f64(number),
            Any::Number(number) => serializer.collect_str(&number),
            Any::Bytes(bytes) => serializer.serialize_str(&base64(bytes)),
            Any::Array(list) if depth < DEEPEST => {
                let mut sequence = serializer.serialize_seq(None)?;
                for item in fields(list).filter_map(|field| field.bytes().ok()) {
                    sequence.serialize_element(&Self(Any::read(item), depth + 1))?;
                }
                sequence.end()
            }
            Any::Map(pairs) if depth < DEEPEST => {
                let mut map = serializer.serialize_map(None)?;
                for pair in fields(pairs).filter_map(|field| field.bytes().ok()) {
                    let (key, value) = key_and_value(pair);
                    map.serialize_entry(&key, &Self(value, depth + 1))?;
                }
                map.end()
            }
            Any::Empty | Any::Array(_) | Any::Map(_) => serializer.serialize_unit(),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
