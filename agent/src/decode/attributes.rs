//! Attributes on the wire: which of a span's attributes are read, and what a value holds.
//!
//! While a span is walked, an attribute that matters is put into its [`Slot`] as the raw bytes of
//! its value; nothing is copied and nothing parsed. The slots of one meaning stand side by side,
//! the newest name first: reading takes the first that holds something, so the order in which a
//! client sends old and new names never matters, and the two are never added.

use std::borrow::Cow;

use tiertop_core::observation::AttributeValue;
use tiertop_core::text::cut;

use super::TEXT_BYTES;
use crate::wire::{Fields, Malformed, Value, text};

/// Declares the slots in order of preference, with the attribute names that fill each.
macro_rules! slots {
    ($($slot:ident: $($key:literal)|+;)+) => {
        /// Places for the attributes of a span that are read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Slot { $($slot),+ }

        impl Slot {
            /// How many there are.
            pub(super) const COUNT: usize = [$(Slot::$slot),+].len();

            /// The slot that an attribute of this name goes into.
            pub(super) fn of(key: &[u8]) -> Option<Self> {
                match key {
                    $($($key)|+ => Some(Slot::$slot),)+
                    _ => None,
                }
            }
        }
    };
}

slots! {
    HttpMethod: b"http.request.method";
    HttpMethodOld: b"http.method";
    HttpRoute: b"http.route";
    HttpStatus: b"http.response.status_code";
    HttpStatusOld: b"http.status_code";
    UrlPath: b"url.path";
    HttpTarget: b"http.target";
    UrlFull: b"url.full";
    HttpUrl: b"http.url";
    ServerAddress: b"server.address";
    NetPeerName: b"net.peer.name";
    HttpHost: b"http.host";
    NetworkPeerAddress: b"network.peer.address";
    NetSockPeerName: b"net.sock.peer.name";
    NetSockPeerAddress: b"net.sock.peer.addr";
    NetPeerIp: b"net.peer.ip";
    ServerPort: b"server.port";
    NetPeerPort: b"net.peer.port";
    NetworkPeerPort: b"network.peer.port";
    NetSockPeerPort: b"net.sock.peer.port";
    PeerService: b"peer.service";
    DbSystem: b"db.system.name";
    DbSystemOld: b"db.system";
    DbNamespace: b"db.namespace";
    DbName: b"db.name";
    DbRedisIndex: b"db.redis.database_index";
    DbOperation: b"db.operation.name";
    DbOperationOld: b"db.operation";
    DbQuerySummary: b"db.query.summary";
    DbQueryText: b"db.query.text";
    DbStatement: b"db.statement";
    DbCollection: b"db.collection.name";
    DbSqlTable: b"db.sql.table";
    DbCollectionOther: b"db.mongodb.collection" | b"db.cassandra.table" | b"aws.dynamodb.table_names";
    MessagingSystem: b"messaging.system";
    MessagingDestination: b"messaging.destination.name";
    MessagingDestinationOld: b"messaging.destination";
    SqsQueueUrl: b"aws.sqs.queue.url";
    MessagingUrl: b"messaging.url";
    AwsQueueUrl: b"aws.queue_url";
    SnsTopicArn: b"aws.sns.topic.arn";
    MessagingOperationType: b"messaging.operation.type";
    MessagingOperationOld: b"messaging.operation";
    MessagingOperationName: b"messaging.operation.name";
    MessagingBatchCount: b"messaging.batch.message_count";
    RpcSystem: b"rpc.system.name";
    RpcSystemOld: b"rpc.system";
    RpcService: b"rpc.service";
    RpcMethod: b"rpc.method";
    S3Bucket: b"aws.s3.bucket";
    FaasTrigger: b"faas.trigger";
    ErrorType: b"error.type";
    Tier: b"tiertop.tier";
    CacheStatus: b"http.response.header.x-cache" | b"http.response.header.cf-cache-status"
        | b"http.response.header.x-cache-status" | b"http.response.header.cache-status"
        | b"cache.status";
    CacheHit: b"cache.hit" | b"cache_hit";
    UserAgent: b"user_agent.original";
    UserAgentOld: b"http.user_agent";
    Target: b"target";
}

/// The attributes of one span that are read, as they lie on the wire.
#[derive(Clone, Debug)]
pub(super) struct Slots<'a> {
    values: [&'a [u8]; Slot::COUNT],
    present: u64,
    /// Any `celery.*` attribute was there.
    pub(super) celery: bool,
}

impl<'a> Slots<'a> {
    pub(super) fn new() -> Self {
        const { assert!(Slot::COUNT <= 64, "a slot is a bit of a u64") };
        Self { values: [&[]; Slot::COUNT], present: 0, celery: false }
    }

    /// Forgets the last span.
    pub(super) fn clear(&mut self) {
        self.present = 0;
        self.celery = false;
    }

    /// Takes in one `KeyValue`. Of two for one slot the lesser stays, whichever comes first.
    #[inline]
    pub(super) fn put(&mut self, key_value: &'a [u8]) -> Result<(), Malformed> {
        let (key, value) = split_key_value(key_value)?;
        if let Some(slot) = Slot::of(key) {
            let filled = self.present & slot.bit() != 0;
            if !filled || value < self.values[slot as usize] {
                self.values[slot as usize] = value;
                self.present |= slot.bit();
            }
        } else if key.starts_with(b"celery.") {
            self.celery = true;
        }
        Ok(())
    }

    /// The slots that are filled, as bits.
    pub(super) fn present(&self) -> u64 {
        self.present
    }

    /// The raw value at a bit's place, whether or not it is present.
    pub(super) fn at(&self, place: usize) -> &'a [u8] {
        self.values[place]
    }

    /// The raw value of a slot.
    #[inline]
    pub(super) fn raw(&self, slot: Slot) -> Option<&'a [u8]> {
        (self.present & slot.bit() != 0).then(|| self.values[slot as usize])
    }

    /// Whether a slot holds text that is not empty: the key of field 1, a length, and some more.
    pub(super) fn has_text(&self, slot: Slot) -> bool {
        matches!(self.raw(slot), Some([0x0a, length, _, ..]) if *length > 0)
    }

    /// The value of the first of `slots` that holds one.
    pub(super) fn scalar(&self, slots: &[Slot]) -> Option<Scalar<'a>> {
        slots.iter().find_map(|slot| Scalar::first(self.raw(*slot)?))
    }

    /// The same as text, and not empty.
    pub(super) fn text(&self, slots: &[Slot]) -> Option<Cow<'a, str>> {
        slots.iter().find_map(|slot| Scalar::first(self.raw(*slot)?)?.to_text())
    }

    /// The same as a whole number, be it sent as a number or as text.
    pub(super) fn integer(&self, slots: &[Slot]) -> Option<i64> {
        slots.iter().find_map(|slot| Scalar::first(self.raw(*slot)?)?.to_integer())
    }
}

impl Slot {
    /// This slot's bit in [`Slots::present`].
    pub(super) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// The bits of several slots.
pub(super) const fn bits(slots: &[Slot]) -> u64 {
    let mut bits = 0;
    let mut place = 0;
    while place < slots.len() {
        bits |= slots[place].bit();
        place += 1;
    }
    bits
}

/// Key and raw value of a `KeyValue`; an absent value is empty.
#[inline]
pub(super) fn split_key_value(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    // Nearly all are written so: key, then value, each shorter than 128 bytes.
    if let [0x0a, key_length @ 0..0x80, rest @ ..] = bytes
        && let Some((key, [0x12, length @ 0..0x80, value @ ..])) = rest.split_at_checked(usize::from(*key_length))
        && value.len() == usize::from(*length)
    {
        return Ok((key, value));
    }
    split_any_key_value(bytes)
}

fn split_any_key_value(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// What an `AnyValue` holds, if it is something that figures can be keyed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(&'a [u8]),
    Flag(bool),
    Integer(i64),
    Number(f64),
    /// An array, with its message.
    Array(&'a [u8]),
    /// A list of key-values, with its message.
    Map(&'a [u8]),
}

impl<'a> Scalar<'a> {
    /// Reads an `AnyValue`; `None` if it holds nothing that is read here or is malformed.
    pub(super) fn read(any_value: &'a [u8]) -> Option<Self> {
        let mut scalar = None;
        let mut fields = Fields::new(any_value);
        while let Some(field) = fields.next().ok()? {
            scalar = match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => Some(Self::Text(bytes)),
                (2, Value::Varint(flag)) => Some(Self::Flag(flag != 0)),
                (3, Value::Varint(number)) => Some(Self::Integer(number as i64)),
                (4, Value::Fixed64(bits)) => Some(Self::Number(f64::from_bits(bits))),
                (5, Value::Bytes(array)) => Some(Self::Array(array)),
                (6, Value::Bytes(map)) => Some(Self::Map(map)),
                (7, _) => None,
                _ => scalar,
            };
        }
        scalar
    }

    /// As [`Scalar::read`], but of an array the first element: headers are sent as arrays.
    pub(super) fn first(any_value: &'a [u8]) -> Option<Self> {
        match Self::read(any_value)? {
            Self::Array(array) => match Fields::new(array).next() {
                Ok(Some(element)) => Self::read(element.bytes().ok()?),
                _ => None,
            },
            other => Some(other),
        }
    }

    /// The value as text, if it is a scalar and the text is not empty.
    pub(super) fn to_text(self) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Text(bytes) => text(bytes),
            Self::Flag(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Array(_) | Self::Map(_) => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// The value as a whole number, if it is one or is the text of one.
    pub(super) fn to_integer(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Text(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            Self::Number(number) if number.fract() == 0.0 => Some(number as i64),
            _ => None,
        }
    }

    /// The value to keep with a point or a resource, if it is a scalar.
    pub(super) fn to_kept(self) -> Option<AttributeValue> {
        Some(match self {
            Self::Text(bytes) => AttributeValue::Text(kept(&text(bytes))),
            Self::Flag(flag) => AttributeValue::Flag(flag),
            Self::Integer(number) => AttributeValue::Integer(number),
            Self::Number(number) => AttributeValue::Number(number),
            Self::Array(_) | Self::Map(_) => return None,
        })
    }
}

/// The text that is kept of a name or value: at most [`TEXT_BYTES`].
pub(super) fn kept(text: &str) -> Box<str> {
    cut(text, TEXT_BYTES).into()
}
