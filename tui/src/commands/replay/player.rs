//! Playing a recording: which second is due when.
//!
//! Time in the recording runs with the clock, times the speed. Where nothing was recorded for a while it does not
//! wait, and of seconds that are due together only the last is shown.

use std::sync::Arc;
use std::time::Duration;

use tiertop::source::{Ask, Playing, SourceUpdate, Speed};
use tiertop_agent::recording::{Recording, RecordingError};
use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

/// Least time between two seconds that are shown, however fast it plays.
const FRAME: Duration = Duration::from_millis(100);
/// A longer gap in a recording is left out.
const GAP_MS: u64 = 3_000;

/// A recording, and the place in it.
pub(super) struct Player {
    recording: Recording,
    /// The block that is unpacked, and its seconds.
    block: Option<(usize, Vec<Arc<Snapshot>>)>,
    /// The second that was shown last: its block, and its place there.
    at: (usize, usize),
    playing: bool,
    speed: Speed,
    /// When the second was shown that is shown.
    shown_at: Instant,
}

impl Player {
    pub(super) fn new(recording: Recording, now: Instant) -> Self {
        Self { recording, block: None, at: (0, 0), playing: true, speed: Speed::default(), shown_at: now }
    }

    pub(super) fn playing(&self) -> Playing {
        let (first_unix_ms, last_unix_ms) = self.recording.reach();
        Playing { on: self.playing, speed: self.speed, first_unix_ms, last_unix_ms }
    }

    /// Plays or stands still from now on, at a speed.
    pub(super) fn set(&mut self, playing: bool, speed: Speed, now: Instant) {
        (self.playing, self.speed, self.shown_at) = (playing, speed, now);
    }

    fn seconds(&mut self, block: usize) -> Result<&[Arc<Snapshot>], RecordingError> {
        if self.block.as_ref().is_none_or(|(known, _)| *known != block) {
            self.block = Some((block, self.recording.read(block)?));
        }
        Ok(self.block.as_ref().map_or(&[], |(_, seconds)| seconds))
    }

    /// Goes to a moment: to its second, or the last before it, or the first of all.
    pub(super) fn seek(&mut self, unix_ms: u64, now: Instant) -> Result<Option<Arc<Snapshot>>, RecordingError> {
        let block = self.recording.block_at(unix_ms);
        let seconds = self.seconds(block)?;
        let place = seconds.partition_point(|second| second.at_unix_ms <= unix_ms).saturating_sub(1);
        let found = seconds.get(place).cloned();
        (self.at, self.shown_at) = ((block, place), now);
        Ok(found)
    }

    fn current(&mut self) -> Result<Option<Arc<Snapshot>>, RecordingError> {
        let (block, place) = self.at;
        Ok(self.seconds(block)?.get(place).cloned())
    }

    fn after(&mut self, (block, place): (usize, usize)) -> Result<Option<(usize, usize)>, RecordingError> {
        if place + 1 < self.seconds(block)?.len() {
            return Ok(Some((block, place + 1)));
        }
        Ok((block + 1 < self.recording.blocks()).then_some((block + 1, 0)))
    }

    /// When there is something new to show; `None` while it stands still or at its end.
    pub(super) fn due(&mut self) -> Result<Option<Instant>, RecordingError> {
        let Some(next) = self.after(self.at)?.filter(|_| self.playing) else { return Ok(None) };
        let from = self.current()?.map_or(0, |second| second.at_unix_ms);
        let (block, place) = next;
        let to = self.seconds(block)?.get(place).map_or(from, |second| second.at_unix_ms);
        let gap_ms = to.saturating_sub(from);
        let gap_ms = if gap_ms > GAP_MS { 1_000 } else { gap_ms };
        let wait = Duration::from_secs_f64(gap_ms as f64 / 1_000.0 / self.speed.factor());
        Ok(Some(self.shown_at + wait.max(FRAME)))
    }

    /// Goes on to the last second that is due.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Option<Arc<Snapshot>>, RecordingError> {
        let mut left_ms = (now - self.shown_at).as_secs_f64() * self.speed.factor() * 1_000.0;
        let mut from = self.current()?.map_or(0, |second| second.at_unix_ms);
        let mut moved = false;
        while let Some(next) = self.after(self.at)? {
            let to = self.seconds(next.0)?.get(next.1).map_or(from, |second| second.at_unix_ms);
            let gap_ms = to.saturating_sub(from);
            let gap_ms = if gap_ms > GAP_MS { 1_000.0 } else { gap_ms as f64 };
            if gap_ms > left_ms && moved {
                break;
            }
            left_ms -= gap_ms;
            (self.at, from, moved) = (next, to, true);
        }
        self.shown_at = now;
        self.current()
    }

    /// Whether the last second is shown.
    fn is_over(&mut self) -> Result<bool, RecordingError> {
        Ok(self.after(self.at)?.is_none())
    }
}

/// Plays from a moment on, and does as it is asked, until the screen is gone.
pub(super) async fn play(
    player: &mut Player,
    from_unix_ms: u64,
    updates: &Sender<SourceUpdate>,
    mut asked: Receiver<Ask>,
) -> Result<(), RecordingError> {
    let mut shown = player.seek(from_unix_ms, Instant::now())?;
    let mut told = None;
    loop {
        // Nobody left to tell: the loop ends with the channel of questions.
        if told != Some(player.playing()) {
            told = Some(player.playing());
            let _ = updates.send(SourceUpdate::Playing(player.playing())).await;
        }
        if let Some(second) = shown.take() {
            let _ = updates.send(SourceUpdate::Snapshot(second)).await;
        }
        let due = player.due()?;
        tokio::select! {
            ask = asked.recv() => {
                let Some(mut ask) = ask else { return Ok(()) };
                // Of a key that is held down only the last counts.
                while let (Ask::At(_), Ok(newer)) = (ask, asked.try_recv()) {
                    ask = newer;
                }
                match ask {
                    Ask::At(unix_ms) => shown = player.seek(unix_ms, Instant::now())?,
                    Ask::Play { on, speed } => {
                        if on && player.is_over()? {
                            shown = player.seek(0, Instant::now())?;
                        }
                        player.set(on, speed, Instant::now());
                    }
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                shown = player.advance(Instant::now())?;
                if player.is_over()? {
                    player.set(false, player.speed, Instant::now());
                    let _ = updates.send(SourceUpdate::Note("the end of the recording".to_owned())).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tiertop_agent::history::{Packer, SECONDS_PER_BLOCK};
    use tiertop_agent::recording::{Head, Writer};

    use super::*;

    fn second(at_s: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { version: 1, at_unix_ms: at_s * 1_000, ..Snapshot::default() })
    }

    fn player(folder: &Path, seconds: impl IntoIterator<Item = u64>, now: Instant) -> Player {
        let file = folder.join("recording");
        let mut writer = Writer::create(&file, &Head::default(), 1 << 20).unwrap();
        let mut packer = Packer::default();
        for at in seconds {
            if let Some(block) = packer.push(second(at)) {
                writer.write(&block).unwrap();
            }
        }
        if let Some(block) = packer.flush() {
            writer.write(&block).unwrap();
        }
        Player::new(Recording::open(&file).unwrap(), now)
    }

    fn s(snapshot: Option<Arc<Snapshot>>) -> u64 {
        snapshot.unwrap().at_unix_ms / 1_000
    }

    #[test]
    fn seconds_are_due_as_they_were_recorded_times_the_speed() {
        let (folder, now) = (tempfile::tempdir().unwrap(), Instant::now());
        let mut player = player(folder.path(), 100..150, now);
        assert_eq!(s(player.seek(100_000, now).unwrap()), 100);
        assert_eq!(player.due().unwrap(), Some(now + Duration::from_secs(1)));
        player.set(true, Speed::default().changed(1), now);
        assert_eq!(player.due().unwrap(), Some(now + Duration::from_millis(500)));
        player.set(true, Speed::default().changed(6), now);
        assert_eq!(player.due().unwrap(), Some(now + FRAME), "64 pictures a second would only flicker");
        assert_eq!(s(player.advance(now + FRAME).unwrap()), 106);
        player.set(false, Speed::default(), now);
        assert_eq!(player.due().unwrap(), None);
    }

    #[test]
    fn every_second_is_shown_at_its_own_pace_over_the_bounds_of_blocks() {
        let (folder, mut now) = (tempfile::tempdir().unwrap(), Instant::now());
        let many = 3 * SECONDS_PER_BLOCK as u64;
        let mut player = player(folder.path(), 1..=many, now);
        let mut seen = vec![s(player.seek(0, now).unwrap())];
        while let Some(due) = player.due().unwrap() {
            now = due;
            seen.push(s(player.advance(now).unwrap()));
        }
        assert_eq!(seen, (1..=many).collect::<Vec<_>>());
    }

    #[test]
    fn where_nothing_was_recorded_it_does_not_wait() {
        let (folder, now) = (tempfile::tempdir().unwrap(), Instant::now());
        let mut player = player(folder.path(), [1, 2, 900, 901], now);
        player.seek(2_000, now).unwrap();
        assert_eq!(player.due().unwrap(), Some(now + Duration::from_secs(1)));
        assert_eq!(s(player.advance(now + Duration::from_secs(1)).unwrap()), 900);
    }

    #[test]
    fn a_moment_is_found_wherever_it_is() {
        let (folder, now) = (tempfile::tempdir().unwrap(), Instant::now());
        let mut player = player(folder.path(), 100..150, now);
        for (asked, found) in [(0, 100), (100_000, 100), (123_999, 123), (149_000, 149), (9_999_999, 149)] {
            assert_eq!(s(player.seek(asked, now).unwrap()), found);
        }
    }
}
