//! One snapshot on its way to all who watch: encoded at most once for each detail.
//!
//! The generated server would encode each message for each client. So it is generated with
//! [`EncodedSnapshot`] in place of the message: bytes that were made once and are shared. A detail
//! that nobody watches is never encoded.

use std::sync::{Arc, OnceLock};

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, skip_field};
use tiertop_core::snapshot::Snapshot;

use super::{Detail, convert};

/// A snapshot with its encoded forms.
pub(super) struct Frame {
    snapshot: Arc<Snapshot>,
    overview: OnceLock<Bytes>,
    full: OnceLock<Bytes>,
}

impl Frame {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, overview: OnceLock::new(), full: OnceLock::new() }
    }

    /// Whether the snapshot was taken at all: before its first tick an engine has only an empty one.
    pub(super) fn is_taken(&self) -> bool {
        self.snapshot.at_unix_ms > 0
    }

    /// The message for this detail; who comes second waits for the first or finds it done.
    pub(super) fn encoded(&self, detail: Detail) -> EncodedSnapshot {
        let place = match detail {
            Detail::Overview => &self.overview,
            Detail::Full => &self.full,
        };
        let bytes = place.get_or_init(|| convert::to_wire(&self.snapshot, detail).encode_to_vec().into()).clone();
        EncodedSnapshot { bytes }
    }
}

/// The bytes of a `Snapshot` message. It is only ever sent.
#[derive(Clone, Debug, Default)]
pub(super) struct EncodedSnapshot {
    bytes: Bytes,
}

impl prost::Message for EncodedSnapshot {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.bytes);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::wire;

    #[test]
    fn a_detail_is_encoded_once_and_says_what_the_message_says() {
        let snapshot = Arc::new(Snapshot { at_unix_ms: 7, environment: "demo".to_owned(), ..Snapshot::default() });
        let frame = Frame::new(Arc::clone(&snapshot));
        let (first, second) = (frame.encoded(Detail::Full), frame.encoded(Detail::Full));
        assert_eq!(first.bytes.as_ptr(), second.bytes.as_ptr());
        assert!(frame.overview.get().is_none(), "nobody asked for it");
        let message = wire::Snapshot::decode(first.encode_to_vec().as_slice()).unwrap();
        assert_eq!(convert::from_wire(message).unwrap(), *snapshot);
    }
}
