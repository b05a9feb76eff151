//! The thread that writes recordings, where a slow disk holds nobody up.
//!
//! What it is handed waits in a bounded channel. A disk that falls ten minutes behind loses seconds, one that refuses
//! ends the recording; both are told, and neither ends the agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use super::block::Block;
use super::keeper::{RecordOptions, RecordingState};
use crate::recording::{Head, RecordingError, Ring, Writer, now_unix_ms};

/// Blocks and questions that may wait.
const WAITING: usize = 64;

/// What is being written.
pub(super) struct Recorder {
    writer: Option<Writer>,
    ring: Option<Ring>,
    publish: watch::Sender<RecordingState>,
}

enum Task {
    Write(Arc<Block>),
    Begin(RecordOptions, Vec<Arc<Block>>, oneshot::Sender<Result<(), RecordingError>>),
    Stop(oneshot::Sender<RecordingState>),
}

/// The thread, as the keeper of history sees it.
pub(super) struct RecorderThread {
    tasks: SyncSender<Task>,
    publish: watch::Sender<RecordingState>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// A recorder that writes a file and a ring from the start, where they are asked for.
    pub(super) fn new(
        record: Option<&RecordOptions>,
        ring: Option<(PathBuf, u64)>,
        publish: watch::Sender<RecordingState>,
    ) -> Result<Self, RecordingError> {
        let ring = ring.map(|(folder, bytes)| Ring::open(&folder, bytes)).transpose()?;
        let mut recorder = Self { writer: None, ring, publish };
        if let Some(record) = record {
            recorder.begin(record, &[])?;
        }
        Ok(recorder)
    }

    pub(super) fn start(mut self) -> Result<RecorderThread, RecordingError> {
        let (tasks, tasked) = sync_channel(WAITING);
        let publish = self.publish.clone();
        let run = move || self.run(&tasked);
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(run).map_err(RecordingError::Thread)?;
        Ok(RecorderThread { tasks, publish, thread })
    }

    fn run(&mut self, tasks: &Receiver<Task>) {
        // Whoever asked may have left: then there is nobody to answer.
        for task in tasks {
            match task {
                Task::Write(block) => self.write(&block),
                Task::Begin(options, before, answer) => drop(answer.send(self.begin(&options, &before))),
                Task::Stop(answer) => {
                    let state = self.publish.borrow().clone();
                    self.writer = None;
                    self.publish.send_modify(|state| state.file = None);
                    drop(answer.send(state));
                }
            }
        }
    }

    fn write(&mut self, block: &Block) {
        if let Some(ring) = &mut self.ring
            && let Err(error) = ring.write(block, &head(block.first_unix_ms))
        {
            error!(%error, "the ring of recordings ended");
            self.ring = None;
            self.publish.send_modify(|state| state.ended = Some(error.to_string()));
        }
        let Some(writer) = &mut self.writer else { return };
        let ended = if writer.has_room_for(block) {
            writer.write(block).err().map(|error| error.to_string())
        } else {
            Some(format!("{} is as long as it may be", writer.path().display()))
        };
        let bytes = writer.bytes();
        if let Some(reason) = ended {
            error!(%reason, "recording ended");
            self.writer = None;
            self.publish.send_replace(RecordingState { file: None, bytes, ended: Some(reason) });
        } else {
            self.publish.send_modify(|state| state.bytes = bytes);
        }
    }

    fn begin(&mut self, options: &RecordOptions, before: &[Arc<Block>]) -> Result<(), RecordingError> {
        // The newest of what was, and room for as much that comes.
        let (mut left, spare) = (options.most_bytes / 2, 64);
        let fits = |block: &&Arc<Block>| {
            left = left.saturating_sub(block.payload.len() as u64 + spare);
            left > 0
        };
        let with_room = before.iter().rev().take_while(fits).count();
        let before = &before[before.len() - with_room..];
        let started_unix_ms = before.first().map_or_else(now_unix_ms, |block| block.first_unix_ms);
        let mut writer = Writer::create(&options.file, &head(started_unix_ms), options.most_bytes)?;
        for block in before {
            writer.write(block)?;
        }
        info!(file = %options.file.display(), "recording");
        let bytes = writer.bytes();
        self.publish.send_replace(RecordingState { file: Some(options.file.clone()), bytes, ended: None });
        self.writer = Some(writer);
        Ok(())
    }
}

impl RecorderThread {
    pub(super) fn write(&self, block: Arc<Block>) {
        if self.tasks.try_send(Task::Write(block)).is_err() {
            error!("the disk does not keep up with recording: seconds are missing from it");
            let reason = "the disk does not keep up: seconds are missing from the recording".to_owned();
            self.publish.send_modify(|state| state.ended = Some(reason));
        }
    }

    pub(super) fn begin(
        &self,
        options: RecordOptions,
        before: Vec<Arc<Block>>,
        answer: oneshot::Sender<Result<(), RecordingError>>,
    ) {
        // Where there is no room the answer is dropped with the question, and the asker told that nobody answers.
        drop(self.tasks.try_send(Task::Begin(options, before, answer)));
    }

    pub(super) fn stop(&self, answer: oneshot::Sender<RecordingState>) {
        drop(self.tasks.try_send(Task::Stop(answer)));
    }

    /// Waits until all that was handed over is written.
    pub(super) async fn end(self) {
        drop(self.tasks);
        let thread = self.thread;
        if tokio::task::spawn_blocking(move || thread.join().is_err()).await.unwrap_or(true) {
            error!("the recorder's thread panicked");
        }
    }
}

fn head(started_unix_ms: u64) -> Head {
    Head { program: env!("CARGO_PKG_VERSION").to_owned(), started_unix_ms }
}
