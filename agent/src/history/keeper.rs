//! The task that keeps history, and what one can ask of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tiertop_core::snapshot::Snapshot;
use tokio::sync::{mpsc, oneshot, watch};

use super::block::{Block, BlockError};
use super::recorder::{Recorder, RecorderThread};
use super::shelf::{Shelf, read_last};
use crate::recording::RecordingError;

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
            let kept = lock(&self.shelf);
            (kept.open().to_vec(), kept.around(unix_ms))
        };
        if open.first().is_some_and(|first| first.at_unix_ms <= unix_ms || blocks.is_empty()) {
            return Ok(pick(&open, unix_ms));
        }
        Ok(pick(&read_last(&blocks)?, unix_ms))
    }

    /// All blocks, and the seconds that none holds yet: everything that is kept.
    pub fn all(&self) -> (Vec<Arc<Block>>, Vec<Arc<Snapshot>>) {
        let kept = lock(&self.shelf);
        (kept.blocks().cloned().collect(), kept.open().to_vec())
    }

    /// What is being recorded.
    pub fn recording(&self) -> watch::Receiver<RecordingState> {
        self.state.clone()
    }

    /// Begins a recording; one that is being written ends.
    pub async fn record(&self, options: RecordOptions) -> Result<(), RecordingError> {
        let (answer, reply) = oneshot::channel();
        let file = options.file.clone();
        // Whoever does not take the question does not answer either.
        drop(self.asks.send(Ask::Record(options, answer)).await);
        reply.await.unwrap_or(Err(RecordingError::Stopped(file)))
    }

    /// Ends the recording, with all seconds up to now, and says what was written.
    pub async fn stop_recording(&self) -> RecordingState {
        let (answer, reply) = oneshot::channel();
        if self.asks.send(Ask::Stop(answer)).await.is_err() {
            return RecordingState::default();
        }
        reply.await.unwrap_or_default()
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
    let (asks, questions) = mpsc::channel(4);
    let (publish, state) = watch::channel(RecordingState::default());
    let recorder = Recorder::new(options.record.as_ref(), options.ring, publish)?;
    let keeper = Keeper { shelf: Arc::clone(&shelf), recorder: recorder.start()? };
    Ok((History { shelf, asks, state }, keeper.run(snapshots, questions)))
}

struct Keeper {
    shelf: Arc<Mutex<Shelf>>,
    recorder: RecorderThread,
}

impl Keeper {
    async fn run(self, mut snapshots: watch::Receiver<Arc<Snapshot>>, mut questions: mpsc::Receiver<Ask>) {
        loop {
            tokio::select! {
                changed = snapshots.changed() => {
                    let snapshot = Arc::clone(&snapshots.borrow_and_update());
                    let mut kept = lock(&self.shelf);
                    if snapshot.at_unix_ms > kept.reach().map_or(0, |(_, last)| last)
                        && let Some(block) = kept.push(snapshot)
                    {
                        self.recorder.write(block);
                    }
                    if changed.is_err() {
                        break;
                    }
                }
                Some(ask) = questions.recv() => self.answer(ask),
            }
        }
        self.flush();
        self.recorder.end().await;
    }

    /// Hands on the seconds that no block holds yet.
    fn flush(&self) {
        if let Some(block) = lock(&self.shelf).flush() {
            self.recorder.write(block);
        }
    }

    fn answer(&self, ask: Ask) {
        self.flush();
        match ask {
            Ask::Record(options, answer) => {
                let before = {
                    let mut kept = lock(&self.shelf);
                    kept.begin_anew();
                    if options.with_history { kept.blocks().cloned().collect() } else { Vec::new() }
                };
                self.recorder.begin(options, before, answer);
            }
            Ask::Stop(answer) => self.recorder.stop(answer),
        }
    }
}
