//! Trace and span identifiers, as W3C Trace Context defines them.

/// A trace id: 16 bytes, read big-endian. Zero is not a valid id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// A span id: 8 bytes, read big-endian. Zero means "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

impl TraceId {
    /// Reads an id from its wire form, or `None` unless it is 16 bytes and not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }
}

impl SpanId {
    /// The id that stands for "no span".
    pub const NONE: Self = Self(0);

    /// Reads an id from its wire form, or `None` unless it is 8 bytes and not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = u64::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }

    /// Whether this names a span at all.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
