//! How an exporter is: written by the exporter, read by the engine's thread into each snapshot.

use std::time::{SystemTime, UNIX_EPOCH};

use tiertop_core::snapshot::{ExporterState, ExporterTrouble, ExporterView, ReasonCount};
use tokio::sync::watch;

use super::failure::Failure;

/// Most distinct reasons kept; all further ones are counted together.
const REASONS: usize = 16;
const OTHER_REASONS: &str = "other reasons";

/// The exporter's end.
#[derive(Debug)]
pub struct Status {
    view: watch::Sender<ExporterView>,
}

/// The reader's end: the newest state, without waiting.
pub type StatusReader = watch::Receiver<ExporterView>;

impl Status {
    /// The status of an exporter that has sent nothing yet. `pieces` names what it counts.
    pub fn new(name: &str, target: &str, pieces: &str) -> (Self, StatusReader) {
        let view = ExporterView {
            name: name.to_owned(),
            target: target.to_owned(),
            pieces: pieces.to_owned(),
            ..ExporterView::default()
        };
        let (view, reader) = watch::channel(view);
        (Self { view }, reader)
    }

    /// Changes what is told besides the counts below.
    pub fn update(&self, change: impl FnOnce(&mut ExporterView)) {
        self.view.send_modify(change);
    }

    /// The service took so many pieces.
    pub fn took(&self, pieces: u64) {
        self.update(|view| {
            view.state = ExporterState::Shipping;
            view.sent += pieces;
            view.last_success_unix_ms = Some(now_ms());
            view.trouble = None;
        });
    }

    /// An attempt failed and is made again: now as before, until it is taken.
    pub fn failed(&self, failure: &Failure) {
        self.update(|view| {
            let before = view.trouble.take();
            view.state = if failure.is_blocked() { ExporterState::Blocked } else { ExporterState::Retrying };
            view.trouble = Some(ExporterTrouble {
                what: failure.what.clone(),
                remedy: failure.remedy.clone(),
                since_unix_ms: before.as_ref().map_or_else(now_ms, |before| before.since_unix_ms),
                attempts: before.map_or(0, |before| before.attempts) + 1,
            });
        });
    }

    /// The service refused so many pieces for good.
    pub fn refused(&self, pieces: u64, failure: &Failure) {
        self.update(|view| {
            view.refused += pieces;
            count(&mut view.dropped, &format!("refused: {}", failure.what), pieces);
        });
    }

    /// So many pieces were given up.
    pub fn dropped(&self, reason: &str, pieces: u64) {
        if pieces > 0 {
            self.update(|view| count(&mut view.dropped, reason, pieces));
        }
    }

    /// So many pieces may have been taken although no answer came, and are sent again.
    pub fn maybe_twice(&self, pieces: u64) {
        self.update(|view| view.maybe_twice += pieces);
    }
}

fn count(reasons: &mut Vec<ReasonCount>, reason: &str, pieces: u64) {
    let place = |reasons: &[ReasonCount], words: &str| reasons.iter().position(|known| known.reason == words);
    let words = if reasons.len() < REASONS { reason } else { OTHER_REASONS };
    match place(reasons, reason).or_else(|| place(reasons, words)) {
        Some(place) => reasons[place].count += pieces,
        None => reasons.push(ReasonCount { reason: words.to_owned(), count: pieces }),
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::failure::FailureKind;

    #[test]
    fn trouble_lasts_from_its_first_failure_until_something_is_taken() {
        let (status, reader) = Status::new("cloudwatch", "eu-central-1", "datums");
        let failure = Failure::new(FailureKind::Throttled, "throttled", "nothing: it goes on by itself");
        status.failed(&failure);
        let since = reader.borrow().trouble.clone().unwrap().since_unix_ms;
        status.failed(&failure);
        let trouble = reader.borrow().trouble.clone().unwrap();
        assert_eq!((trouble.since_unix_ms, trouble.attempts), (since, 2));
        assert_eq!(reader.borrow().state, ExporterState::Retrying);
        status.took(7);
        assert_eq!((reader.borrow().sent, &reader.borrow().trouble), (7, &None));
    }

    #[test]
    fn what_is_given_up_is_counted_by_reason_and_the_reasons_are_bounded() {
        let (status, reader) = Status::new("xray", "eu-central-1", "documents");
        for number in 0..100 {
            status.dropped(&format!("reason {number}"), 2);
        }
        assert_eq!(reader.borrow().dropped.len(), REASONS + 1);
        assert_eq!(reader.borrow().dropped_in_all(), 200);
    }
}
