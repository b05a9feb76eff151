//! The blocks of the last hour, under a ceiling of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use tiertop_core::snapshot::Snapshot;

use super::block::{Block, BlockError, Packer, Traces};

/// See the module's text.
#[derive(Debug)]
pub struct Shelf {
    blocks: VecDeque<Arc<Block>>,
    packer: Packer,
    bytes: usize,
    most_bytes: usize,
    most_ms: u64,
}

impl Shelf {
    /// A shelf for so many milliseconds, and so many bytes of blocks.
    pub fn new(most_ms: u64, most_bytes: usize) -> Self {
        Self { blocks: VecDeque::new(), packer: Packer::default(), bytes: 0, most_bytes, most_ms }
    }

    /// Takes in a second; gives the block that is full with it.
    pub fn push(&mut self, snapshot: Arc<Snapshot>) -> Option<Arc<Block>> {
        let block = self.packer.push(snapshot)?;
        Some(self.put(block))
    }

    /// Makes a block of the seconds that none holds yet, if any.
    pub fn flush(&mut self) -> Option<Arc<Block>> {
        let block = self.packer.flush()?;
        Some(self.put(block))
    }

    fn put(&mut self, block: Block) -> Arc<Block> {
        let block = Arc::new(block);
        self.bytes += block.payload.len();
        self.blocks.push_back(Arc::clone(&block));
        let too_old = block.last_unix_ms.saturating_sub(self.most_ms);
        while self.blocks.len() > 1
            && let Some(oldest) = self.blocks.front()
            && (self.bytes > self.most_bytes || oldest.last_unix_ms < too_old)
        {
            self.bytes -= oldest.payload.len();
            self.blocks.pop_front();
        }
        block
    }

    /// The blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter()
    }

    /// The next block will be whole: it may be the first that somebody reads.
    pub fn begin_anew(&mut self) {
        self.packer.begin_anew();
    }

    /// Seconds that are in no block yet.
    pub fn open(&self) -> &[Arc<Snapshot>] {
        self.packer.open()
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first second that is kept was, and the last.
    pub fn reach(&self) -> Option<(u64, u64)> {
        let first_open = self.open().first().map(|snapshot| snapshot.at_unix_ms);
        let first = self.blocks.front().map(|block| block.first_unix_ms).or(first_open)?;
        let last_open = self.open().last().map(|snapshot| snapshot.at_unix_ms);
        Some((first, last_open.or_else(|| self.blocks.back().map(|block| block.last_unix_ms))?))
    }

    /// What must be read for one moment: the block that holds it, or the one before, with those since the
    /// last whole one.
    pub fn around(&self, unix_ms: u64) -> Vec<Arc<Block>> {
        let holds = self.blocks.partition_point(|block| block.first_unix_ms <= unix_ms).saturating_sub(1);
        let whole = (0..=holds).rev().find(|at| self.blocks.get(*at).is_some_and(|block| block.is_whole));
        self.blocks
            .range(whole.unwrap_or(0).min(self.blocks.len())..)
            .take(holds + 1 - whole.unwrap_or(0))
            .cloned()
            .collect()
    }
}

/// The snapshots of the last of some blocks that follow each other.
pub(super) fn read_last(blocks: &[Arc<Block>]) -> Result<Vec<Arc<Snapshot>>, BlockError> {
    let mut traces = Traces::new();
    let mut last = Vec::new();
    for block in blocks {
        last = block.read(&mut traces)?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at_s: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { version: 1, at_unix_ms: at_s * 1_000, ..Snapshot::default() })
    }

    fn filled(most_ms: u64, most_bytes: usize, seconds: u64) -> Shelf {
        let mut shelf = Shelf::new(most_ms, most_bytes);
        for at in 1..=seconds {
            shelf.push(second(at));
        }
        shelf
    }

    #[test]
    fn what_is_older_than_it_may_be_goes() {
        let shelf = filled(60_000, usize::MAX, 205);
        assert_eq!(shelf.reach(), Some((131_000, 205_000)));
        assert_eq!(shelf.open().len(), 5);
    }

    #[test]
    fn over_the_ceiling_the_oldest_go() {
        let ample = filled(u64::MAX, usize::MAX, 200);
        let tight = filled(u64::MAX, ample.bytes() / 2, 200);
        assert!(tight.bytes() <= ample.bytes() / 2);
        assert_eq!(tight.reach().unwrap().1, 200_000);
        assert!(tight.reach().unwrap().0 > 80_000, "{:?}", tight.reach());
    }

    #[test]
    fn a_moment_is_read_from_the_last_whole_block_on() {
        let shelf = filled(u64::MAX, usize::MAX, 200);
        let blocks = shelf.around(85_500);
        assert_eq!(blocks.iter().map(|block| block.first_unix_ms / 1_000).collect::<Vec<_>>(), [61, 71, 81]);
        assert_eq!(read_last(&blocks).unwrap()[4].at_unix_ms, 85_000);
        assert_eq!(shelf.around(0).len(), 1);
        assert_eq!(Shelf::new(1, 1).around(7).len(), 0);
    }
}
