//! What the standby has confirmed, for which a write waits before it is acknowledged.
//!
//! 1. A standby confirms a position by asking for what comes after it, unless it has so much to catch up
//!    with that nobody should wait for it.
//! 2. A write is acknowledged when its position is confirmed, so that it outlives the primary.
//! 3. When no standby has asked for [`PATIENCE`], the primary goes on alone: writes are acknowledged at
//!    once, and one that the standby never got is lost with the primary. A primary that starts waits as long
//!    for the standby that there is.
//! 4. Replicas are shown no more than is confirmed, so that none is ahead of a promoted standby.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long a standby may be silent before the primary goes on alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last that was heard of a standby.
#[derive(Clone, Copy, Debug)]
struct Heard {
    position: i64,
    at: Instant,
}

/// What the standby has confirmed.
pub(super) struct Confirmed(watch::Sender<Option<Heard>>);

impl Confirmed {
    pub(super) fn nothing() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Expects a standby that has not asked yet at a time.
    pub(super) fn expect(&self, at: Instant) {
        self.note(0, at);
    }

    /// Notes that the standby said at a time that it has everything up to a position; returns whether that
    /// is news.
    pub(super) fn note(&self, position: i64, at: Instant) -> bool {
        let before = self.0.send_replace(Some(Heard { position, at }));
        before.is_none_or(|before| before.position != position)
    }

    /// Up to which position others may see the log at `now`.
    pub(super) fn shown(&self, now: Instant) -> i64 {
        match *self.0.borrow() {
            Some(heard) if now < heard.at + PATIENCE => heard.position,
            _ => i64::MAX,
        }
    }

    /// Waits until a position is confirmed, or the standby has been silent for too long.
    pub(super) async fn covers(&self, position: i64) {
        let mut heard = self.0.subscribe();
        loop {
            let last = *heard.borrow_and_update();
            let Some(last) = last.filter(|last| last.position < position) else { return };
            let silent = tokio::time::sleep_until((last.at + PATIENCE).into());
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return },
                () = silent => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_waits_for_a_standby_that_asks_and_not_for_one_that_is_gone() {
        let confirmed = Confirmed::nothing();
        confirmed.covers(9).await;

        confirmed.note(8, Instant::now());
        assert_eq!(confirmed.shown(Instant::now()), 8);
        let ((), ()) = tokio::join!(confirmed.covers(9), async {
            tokio::task::yield_now().await;
            confirmed.note(9, Instant::now());
        });

        let since = Instant::now();
        confirmed.note(9, since);
        confirmed.covers(10).await;
        assert!(since.elapsed() >= PATIENCE);
        assert_eq!(confirmed.shown(Instant::now()), i64::MAX);
    }
}
