//! The task that keeps history, and records.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tiertop_core::snapshot::Snapshot;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use super::block::{Block, BlockError};
use super::shelf::{Shelf, read_last};
use crate::recording::{Head, RecordingError, Ring, Writer};

/// How much history is kept, and what is recorded from the start.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Seconds that are kept in memory.
    pub seconds: u64,
    /// Bytes of compressed blocks that are kept in memory.
    pub bytes: usize,
    /// A file that is written from the start.
    pub record: Option<RecordOptions>,
    /// A folder that always holds the last so many bytes.
    pub ring: Option<(PathBuf, u64)>,
}

impl Default for HistoryOptions {
    /// An hour, in at most 48 MiB.
    fn default() -> Self {
        Self { seconds: 3_600, bytes: 48 << 20, record: None, ring: None }
    }
}

/// A recording to begin.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// The file, which must not be there yet.
    pub file: PathBuf,
    /// It ends when it is so long.
    pub most_bytes: u64,
    /// What is in memory goes in first.
    pub with_history: bool,
}

/// What is being recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingState {
    /// The file, while one is written.
    pub file: Option<PathBuf>,
    /// How long it is.
    pub bytes: u64,
    /// Why the last one ended before it was told to.
    pub ended: Option<String>,
}

/// The history of a running agent, and what one can ask of it. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct History {
    shelf: Arc<Mutex<Shelf>>,
    asks: mpsc::Sender<Ask>,
    state: watch::Receiver<RecordingState>,
}

#[derive(Debug)]
enum Ask {
    Record(RecordOptions, oneshot::Sender<Result<(), RecordingError>>),
    Stop(oneshot::Sender<RecordingState>),
}

impl History {
    /// When the first second that is kept was, and the last; milliseconds since the Unix epoch.
    pub fn reach(&self) -> Option<(u64, u64)> {
        lock(&self.shelf).reach()
    }

    /// The snapshot of a moment, or the last one before it; the first for what is earlier.
    pub fn at(&self, unix_ms: u64) -> Result<Option<Arc<Snapshot>>, BlockError> {
        let (open, blocks) = {
            let shelf = lock(&self.shelf);
            (shelf.open().to_vec(), shelf.around(unix_ms))
        };
        if open.first().is_some_and(|first| first.at_unix_ms <= unix_ms || blocks.is_empty()) {
            return Ok(pick(&open, unix_ms));
        }
        Ok(pick(&read_last(&blocks)?, unix_ms))
    }

    /// All blocks, and the seconds that none holds yet: everything that is kept.
    pub fn all(&self) -> (Vec<Arc<Block>>, Vec<Arc<Snapshot>>) {
        let shelf = lock(&self.shelf);
        (shelf.blocks().cloned().collect(), shelf.open().to_vec())
    }

    /// What is being recorded.
    pub fn recording(&self) -> watch::Receiver<RecordingState> {
        self.state.clone()
    }

    /// Begins a recording; one that is being written ends.
    pub async fn record(&self, options: RecordOptions) -> Result<(), RecordingError> {
        let (answer, answered) = oneshot::channel();
        let file = options.file.clone();
        // Whoever does not take the question does not answer either.
        drop(self.asks.send(Ask::Record(options, answer)).await);
        answered.await.unwrap_or(Err(RecordingError::Stopped(file)))
    }

    /// Ends the recording, with all seconds up to now, and says what was written.
    pub async fn stop_recording(&self) -> RecordingState {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::Stop(answer)).await.is_err() {
            return RecordingState::default();
        }
        answered.await.unwrap_or_default()
    }
}

/// The last of some snapshots that is not later than a moment, or else the first.
fn pick(snapshots: &[Arc<Snapshot>], unix_ms: u64) -> Option<Arc<Snapshot>> {
    let until = snapshots.partition_point(|snapshot| snapshot.at_unix_ms <= unix_ms);
    snapshots.get(until.saturating_sub(1)).cloned()
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // Whoever panicked left at worst a block that is missing.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what `snapshots` holds, until its sender is gone; then what is recorded is brought to its end. A file or a
/// folder that cannot be written to is an error at once.
pub fn keep(
    options: HistoryOptions,
    snapshots: watch::Receiver<Arc<Snapshot>>,
) -> Result<(History, impl Future<Output = ()> + Send), RecordingError> {
    let shelf = Arc::new(Mutex::new(Shelf::new(options.seconds * 1_000, options.bytes)));
    let (asks, asked) = mpsc::channel(4);
    let (publish, state) = watch::channel(RecordingState::default());
    let ring = options.ring.map(|(folder, bytes)| Ring::open(&folder, bytes)).transpose()?;
    let mut keeper = Keeper { shelf: Arc::clone(&shelf), writer: None, ring, publish };
    if let Some(record) = options.record {
        keeper.begin(&record)?;
    }
    Ok((History { shelf, asks, state }, keeper.run(snapshots, asked)))
}

struct Keeper {
    shelf: Arc<Mutex<Shelf>>,
    writer: Option<Writer>,
    ring: Option<Ring>,
    publish: watch::Sender<RecordingState>,
}

impl Keeper {
    async fn run(mut self, mut snapshots: watch::Receiver<Arc<Snapshot>>, mut asked: mpsc::Receiver<Ask>) {
        loop {
            tokio::select! {
                changed = snapshots.changed() => {
                    let snapshot = Arc::clone(&snapshots.borrow_and_update());
                    let is_new = snapshot.at_unix_ms > lock(&self.shelf).reach().map_or(0, |(_, last)| last);
                    if is_new {
                        let block = lock(&self.shelf).push(snapshot);
                        self = self.write_apart(block).await;
                    }
                    if changed.is_err() {
                        break;
                    }
                }
                Some(ask) = asked.recv() => self.answer(ask),
            }
        }
        let block = lock(&self.shelf).flush();
        self.write_apart(block).await;
    }

    /// Writes on a thread where a slow disk holds nobody up.
    async fn write_apart(mut self, block: Option<Arc<Block>>) -> Self {
        let Some(block) = block.filter(|_| self.writer.is_some() || self.ring.is_some()) else { return self };
        let publish = self.publish.clone();
        let shelf = Arc::clone(&self.shelf);
        let written = tokio::task::spawn_blocking(move || {
            self.write(&block);
            self
        });
        written.await.unwrap_or_else(|error| {
            error!(%error, "recording ended");
            Self { shelf, writer: None, ring: None, publish }
        })
    }

    fn write(&mut self, block: &Block) {
        if let Some(ring) = &mut self.ring
            && let Err(error) = ring.write(block, &head(block.first_unix_ms))
        {
            error!(%error, "the ring of recordings ended");
            self.ring = None;
        }
        let Some(writer) = &mut self.writer else { return };
        let ended = if writer.has_room_for(block) {
            writer.write(block).err().map(|error| error.to_string())
        } else {
            Some(format!("{} is as long as it may be", writer.path().display()))
        };
        if let Some(reason) = ended {
            error!(%reason, "recording ended");
            self.writer = None;
            self.publish.send_modify(|state| (state.file, state.ended) = (None, Some(reason)));
        } else {
            let bytes = writer.bytes();
            self.publish.send_modify(|state| state.bytes = bytes);
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            // Whoever asked may have left.
            Ask::Record(options, answer) => drop(answer.send(self.begin(&options))),
            Ask::Stop(answer) => {
                let block = lock(&self.shelf).flush();
                if let Some(block) = block {
                    self.write(&block);
                }
                let state = self.publish.borrow().clone();
                self.writer = None;
                self.publish.send_modify(|state| state.file = None);
                drop(answer.send(state));
            }
        }
    }

    fn begin(&mut self, options: &RecordOptions) -> Result<(), RecordingError> {
        let (blocks, flushed) = {
            let mut shelf = lock(&self.shelf);
            let flushed = shelf.flush();
            let blocks = if options.with_history { shelf.blocks().cloned().collect() } else { Vec::new() };
            shelf.begin_anew();
            (blocks, flushed)
        };
        if let Some(block) = flushed {
            self.write(&block);
        }
        let started_unix_ms = blocks.first().map_or_else(crate::recording::now_unix_ms, |block| block.first_unix_ms);
        let mut writer = Writer::create(&options.file, &head(started_unix_ms), options.most_bytes)?;
        // The newest is what matters, where not all has room.
        let mut left = options.most_bytes;
        let fits = |block: &&Arc<Block>| {
            let size = block.payload.len() as u64 + 64;
            left = left.saturating_sub(size);
            left > 0
        };
        let with_room = blocks.iter().rev().take_while(fits).count();
        for block in &blocks[blocks.len() - with_room..] {
            writer.write(block)?;
        }
        info!(file = %options.file.display(), "recording");
        let bytes = writer.bytes();
        self.publish.send_replace(RecordingState { file: Some(options.file.clone()), bytes, ended: None });
        self.writer = Some(writer);
        Ok(())
    }
}

fn head(started_unix_ms: u64) -> Head {
    Head { program: env!("CARGO_PKG_VERSION").to_owned(), started_unix_ms }
}
