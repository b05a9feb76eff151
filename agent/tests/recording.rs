//! Recordings on a real disk, through the task that keeps history.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tiertop_agent::history::{History, HistoryOptions, RecordOptions, keep};
use tiertop_agent::recording::{Recording, RecordingError};
use tiertop_core::snapshot::Snapshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(30);

fn second(at_s: u64) -> Arc<Snapshot> {
    Arc::new(Snapshot {
        version: 1,
        at_unix_ms: at_s * 1_000,
        environment: format!("second {at_s}"),
        ..Snapshot::default()
    })
}

/// A system that lives one second after the other.
struct System {
    publish: watch::Sender<Arc<Snapshot>>,
    history: History,
    keeper: JoinHandle<()>,
}

impl System {
    fn start(options: HistoryOptions) -> Self {
        let (publish, snapshots) = watch::channel(Arc::default());
        let (history, keeper) = keep(options, snapshots).unwrap();
        Self { publish, history, keeper: tokio::spawn(keeper) }
    }

    async fn live(&self, seconds: impl IntoIterator<Item = u64>) {
        for at in seconds {
            self.publish.send_replace(second(at));
            let kept = async {
                while self.history.reach().is_none_or(|(_, last)| last < at * 1_000) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, kept).await.unwrap();
        }
    }

    async fn end(self) {
        drop(self.publish);
        tokio::time::timeout(PATIENCE, self.keeper).await.unwrap().unwrap();
    }
}

fn seconds_of(path: &Path) -> Vec<u64> {
    let mut recording = Recording::open(path).unwrap();
    let blocks = recording.blocks();
    (0..blocks).flat_map(|block| recording.read(block).unwrap()).map(|second| second.at_unix_ms / 1_000).collect()
}

fn to(file: &Path) -> RecordOptions {
    RecordOptions { file: file.to_owned(), most_bytes: 1 << 20, with_history: false }
}

#[tokio::test]
async fn every_second_from_start_to_end_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("night.tiertop");
    let system = System::start(HistoryOptions { record: Some(to(&file)), ..HistoryOptions::default() });
    system.live(1..=47).await;
    assert_eq!(system.history.at(33_400).unwrap().unwrap().environment, "second 33");
    system.end().await;
    assert_eq!(seconds_of(&file), (1..=47).collect::<Vec<_>>());
    let mut recording = Recording::open(&file).unwrap();
    assert_eq!((recording.reach(), recording.seconds(), recording.cut_bytes()), ((1_000, 47_000), 47, 0));
    let block = recording.block_at(25_900);
    assert_eq!(recording.read(block).unwrap()[4].environment, "second 25");
}

#[tokio::test]
async fn a_recording_may_begin_with_what_was_before_it_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    let system = System::start(HistoryOptions::default());
    system.live(1..=25).await;
    system.history.record(RecordOptions { with_history: true, ..to(&with) }).await.unwrap();
    system.live(26..=31).await;
    assert!(system.history.stop_recording().await.bytes > 0);
    system.live(32..=33).await;
    system.history.record(to(&without)).await.unwrap();
    system.live(34..=40).await;
    system.end().await;
    assert_eq!(seconds_of(&with), (1..=31).collect::<Vec<_>>());
    assert_eq!(seconds_of(&without), (34..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("precious");
    std::fs::write(&file, "do not touch").unwrap();
    let system = System::start(HistoryOptions::default());
    let refused = system.history.record(to(&file)).await;
    assert!(matches!(refused, Err(RecordingError::Exists(_))), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "do not touch");
    system.end().await;
}

#[tokio::test]
async fn a_recording_ends_before_it_is_longer_than_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short");
    let options = RecordOptions { most_bytes: 2_000, ..to(&file) };
    let system = System::start(HistoryOptions { record: Some(options), ..HistoryOptions::default() });
    system.live(1..=300).await;
    let mut state = system.history.recording();
    let ended = tokio::time::timeout(PATIENCE, state.wait_for(|state| state.ended.is_some())).await.unwrap().unwrap();
    assert!(ended.ended.as_ref().unwrap().contains("as long as it may be"));
    drop(ended);
    system.end().await;
    assert!(file.metadata().unwrap().len() <= 2_000);
    let seconds = seconds_of(&file);
    assert!(seconds.len() >= 10 && seconds.len() < 300, "{}", seconds.len());
}

#[tokio::test]
async fn what_a_crash_cut_off_is_left_out_and_the_rest_opens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut");
    let system = System::start(HistoryOptions { record: Some(to(&file)), ..HistoryOptions::default() });
    system.live(1..=40).await;
    system.end().await;
    let whole = std::fs::read(&file).unwrap();
    let starts: Vec<usize> = whole.windows(4).enumerate().filter(|(_, at)| at == b"BLCK").map(|(at, _)| at).collect();
    for length in 0..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let blocks = starts.iter().filter(|start| **start < length).count();
        let ends_at_block = starts.contains(&length);
        let complete = if ends_at_block { blocks } else { blocks.saturating_sub(1) };
        match Recording::open(&file) {
            Ok(recording) => assert_eq!(recording.blocks(), complete, "cut at {length}"),
            Err(RecordingError::Empty(_) | RecordingError::NotARecording(_)) => assert_eq!(complete, 0, "at {length}"),
            Err(error) => panic!("cut at {length}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_block_with_a_flipped_bit_is_told_and_the_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flipped");
    let system = System::start(HistoryOptions { record: Some(to(&file)), ..HistoryOptions::default() });
    system.live(1..=30).await;
    system.end().await;
    let mut bytes = std::fs::read(&file).unwrap();
    let second_block = bytes.windows(4).enumerate().filter(|(_, at)| at == b"BLCK").nth(1).unwrap().0;
    bytes[second_block + 60] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let mut recording = Recording::open(&file).unwrap();
    assert!(recording.read(0).is_ok());
    let error = recording.read(1).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_ring_holds_the_last_seconds_over_restarts_within_its_size() {
    const MOST: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("ring");
    let mut reached = Vec::new();
    for life in 0..4 {
        let options = HistoryOptions { ring: Some((ring.clone(), MOST)), ..HistoryOptions::default() };
        let system = System::start(options);
        system.live(life * 1_000 + 1..=life * 1_000 + 400).await;
        system.end().await;
        let bytes: u64 = std::fs::read_dir(&ring).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= MOST, "{bytes}");
        reached.push(Recording::open(&ring).unwrap().reach());
    }
    assert_eq!(reached[0].1, 400_000);
    assert_eq!(reached[3].1, 3_400_000);
    assert!(reached[3].0 > reached[0].0, "the oldest went: {reached:?}");
    assert!(reached[3].0 < 3_001_000, "what was before the restart is there: {reached:?}");
    assert!(seconds_of(&ring).is_sorted());
}

#[test]
fn what_is_no_recording_or_of_a_newer_format_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "{\"resourceSpans\":[]}").unwrap();
    let error = Recording::open(&file).unwrap_err().to_string();
    assert!(error.contains("is not a recording") && error.contains("analyze"), "{error}");
    let mut newer = b"TIERTOPR\x02\x00\x07\x00".to_vec();
    newer.extend_from_slice(&2_u32.to_le_bytes());
    newer.extend_from_slice(b"{}");
    std::fs::write(&file, newer).unwrap();
    let error = Recording::open(&file).unwrap_err().to_string();
    assert!(error.contains("format 2.7") && error.contains("update"), "{error}");
    let error = Recording::open(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}
