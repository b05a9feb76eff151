//! A block: some seconds of snapshots, compressed together.
//!
//! One second says nearly what the one before said, so ten together take little more than one alone. Traces
//! that were kept stay in the snapshots for minutes: a block holds those that are new since the last *whole*
//! block, which holds all that its seconds name. To read a second one starts at the last whole block.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use prost::Message;
use tiertop_core::snapshot::{Snapshot, TraceView};

use crate::feed::convert::{self, ConvertError};
use crate::feed::{Detail, wire};

/// Seconds of a full block. What a recording loses when the program is killed is at most so much.
pub const SECONDS_PER_BLOCK: usize = 10;
/// One block in so many is whole.
const WHOLE_EVERY: u32 = 6;
/// How hard zstd tries.
const LEVEL: i32 = 3;
/// A block that says that it holds more than this is not one of ours.
const MOST_BYTES: usize = 256 << 20;

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Its bytes are not those that were written.
    #[error("a block is damaged: {0}")]
    Damaged(String),
    /// It was made by a newer program.
    #[error(transparent)]
    Newer(#[from] ConvertError),
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When its first snapshot was taken.
    pub first_unix_ms: u64,
    /// When its last one was.
    pub last_unix_ms: u64,
    /// How many it holds.
    pub seconds: u32,
    /// It holds all traces that its seconds name.
    pub is_whole: bool,
    /// The compressed message.
    pub payload: Bytes,
}

/// The traces that were read so far, by key.
pub type Traces = HashMap<u64, Arc<TraceView>>;

impl Block {
    /// The snapshots of the block. `traces` are those of the blocks since the last whole one, in order, and takes in
    /// those of this one.
    pub fn read(&self, traces: &mut Traces) -> Result<Vec<Arc<Snapshot>>, BlockError> {
        let damaged = |error: &dyn std::fmt::Display| BlockError::Damaged(error.to_string());
        let bytes = unpack(&self.payload).map_err(|error| damaged(&error))?;
        let block = wire::Block::decode(&bytes[..]).map_err(|error| damaged(&error))?;
        if self.is_whole {
            traces.clear();
        }
        for kept in block.traces {
            traces.insert(kept.key, Arc::new(convert::trace_from_wire(kept.trace.unwrap_or_default())));
        }
        let seconds = block.seconds.into_iter().map(|second| {
            let mut snapshot = convert::from_wire(second.snapshot.unwrap_or_default())?;
            snapshot.traces = second.traces.iter().filter_map(|key| traces.get(key).cloned()).collect();
            Ok(Arc::new(snapshot))
        });
        seconds.collect()
    }
}

fn unpack(payload: &[u8]) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    let read = zstd::Decoder::new(payload)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if read > MOST_BYTES { Err(io::Error::other("it is larger than any block")) } else { Ok(bytes) }
}

/// Makes blocks of seconds as they come.
#[derive(Debug, Default)]
pub struct Packer {
    /// Seconds that no block holds yet.
    open: Vec<Arc<Snapshot>>,
    /// Keys of the traces that blocks hold since the last whole one.
    held: HashSet<u64>,
    /// Blocks since the last whole one.
    since_whole: u32,
}

impl Packer {
    /// Takes in a second; gives the block that is full with it.
    pub fn push(&mut self, snapshot: Arc<Snapshot>) -> Option<Block> {
        self.open.push(snapshot);
        if self.open.len() >= SECONDS_PER_BLOCK { self.flush() } else { None }
    }

    /// Seconds that no block holds yet.
    pub fn open(&self) -> &[Arc<Snapshot>] {
        &self.open
    }

    /// Makes a block of what there is, if anything.
    pub fn flush(&mut self) -> Option<Block> {
        let (first, last) = (self.open.first()?.at_unix_ms, self.open.last()?.at_unix_ms);
        let is_whole = self.since_whole == 0;
        self.since_whole = (self.since_whole + 1) % WHOLE_EVERY;
        if is_whole {
            self.held.clear();
        }
        let mut message = wire::Block::default();
        for snapshot in &self.open {
            let mut second = convert::to_wire(snapshot, Detail::Full);
            let mut keys = Vec::with_capacity(second.traces.len());
            for trace in second.traces.drain(..) {
                let key = key(&trace);
                keys.push(key);
                if self.held.insert(key) {
                    message.traces.push(wire::KeptTrace { key, trace: Some(trace) });
                }
            }
            message.seconds.push(wire::Second { snapshot: Some(second), traces: keys });
        }
        let seconds = self.open.len() as u32;
        self.open.clear();
        let payload = pack(&message.encode_to_vec());
        Some(Block { first_unix_ms: first, last_unix_ms: last, seconds, is_whole, payload })
    }

    /// The next block will be whole: it may be the first that somebody reads.
    pub fn begin_anew(&mut self) {
        self.since_whole = 0;
    }
}

fn pack(bytes: &[u8]) -> Bytes {
    zstd::encode_all(bytes, LEVEL).expect("writing to memory does not fail").into()
}

fn key(trace: &wire::Trace) -> u64 {
    FixedState::default().hash_one(trace.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiertop_core::snapshot::KeptFor;

    fn trace(id: &str) -> Arc<TraceView> {
        Arc::new(TraceView {
            id: id.to_owned(),
            tier: "app/checkout".to_owned(),
            operation: "GET /".to_owned(),
            start_unix_ms: 1,
            duration_ms: 20.0,
            failed: false,
            kept_for: KeptFor::Sample,
            incomplete: false,
            spans: Vec::new(),
            spans_left_out: 0,
            charges: Vec::new(),
        })
    }

    fn second(at_s: u64, traces: &[&str]) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            version: 1,
            at_unix_ms: at_s * 1_000,
            traces: traces.iter().map(|id| trace(id)).collect(),
            ..Snapshot::default()
        })
    }

    fn packed(seconds: impl IntoIterator<Item = Arc<Snapshot>>) -> Vec<Block> {
        let mut packer = Packer::default();
        let mut blocks: Vec<Block> = seconds.into_iter().filter_map(|second| packer.push(second)).collect();
        blocks.extend(packer.flush());
        blocks
    }

    #[test]
    fn what_is_read_is_what_was_put_in_traces_included() {
        let put: Vec<_> = (1..=25).map(|at| second(at, if at < 20 { &["a", "b"] } else { &["b", "c"] })).collect();
        let blocks = packed(put.iter().cloned());
        assert_eq!(blocks.iter().map(|block| block.seconds).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!((blocks[1].first_unix_ms, blocks[1].last_unix_ms), (11_000, 20_000));
        let mut traces = Traces::new();
        let read: Vec<_> = blocks.iter().flat_map(|block| block.read(&mut traces).unwrap()).collect();
        assert_eq!(read, put);
    }

    #[test]
    fn a_trace_is_held_once_until_the_next_whole_block() {
        let blocks = packed((1..=70).map(|at| second(at, &["a"])));
        let whole: Vec<bool> = blocks.iter().map(|block| block.is_whole).collect();
        assert_eq!(whole, [true, false, false, false, false, false, true]);
        let read = |block: &Block| block.read(&mut Traces::new()).unwrap()[0].traces.len();
        assert_eq!((read(&blocks[0]), read(&blocks[1]), read(&blocks[6])), (1, 0, 1), "each by itself");
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        let mut block = packed([second(1, &[])]).remove(0);
        let mut bytes = block.payload.to_vec();
        bytes.truncate(bytes.len() - 3);
        block.payload = bytes.into();
        assert!(matches!(block.read(&mut Traces::new()), Err(BlockError::Damaged(_))));
    }
}
