//! Supervision: a node that ends unasked is started again in its place, after a moment. One that ends
//! again and again cannot be kept running, which ends the demo: then something is wrong with the demo
//! itself, and not on purpose.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::demo::child::Ended;
use crate::demo::fleet::Fleet;

/// How long a place stays empty after its process ended.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a node may end within [`WITHIN`] before it is given up.
const MOST_ENDS: usize = 4;

/// The time that those ends are counted over.
const WITHIN: Duration = Duration::from_secs(20);

/// Starts ended nodes again, for as long as it is polled.
pub(super) async fn supervise(fleet: Arc<Fleet>, mut ends: mpsc::Receiver<Ended>) {
    let mut starts = JoinSet::new();
    while let Some(ended) = ends.recv().await {
        let now = Instant::now();
        let Some(before) = fleet.note_end(&ended, now) else { continue };
        if is_hopeless(&before, now) {
            fleet.give_up(ended);
            continue;
        }
        let fleet = Arc::clone(&fleet);
        starts.spawn(async move {
            tokio::time::sleep(PAUSE).await;
            // A node that does not start ends, which is told as any other end.
            let _ = fleet.start_again(&[ended.name]).await;
        });
    }
}

/// Whether a node that ended at these times, the last one included, is not worth another start.
fn is_hopeless(ends: &[Instant], now: Instant) -> bool {
    ends.iter().filter(|&&end| now.duration_since(end) < WITHIN).count() >= MOST_ENDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_given_up_when_it_ends_four_times_within_twenty_seconds() {
        let start = Instant::now();
        let at = |seconds: &[u64]| -> Vec<Instant> {
            seconds.iter().map(|&second| start + Duration::from_secs(second)).collect()
        };
        let hopeless = |seconds: &[u64]| {
            let ends = at(seconds);
            is_hopeless(&ends, ends[ends.len() - 1])
        };
        assert!(!hopeless(&[0, 1, 2]));
        assert!(hopeless(&[0, 1, 2, 3]));
        assert!(!hopeless(&[0, 10, 20, 30, 40]), "one that ends now and then is worth it");
    }
}
