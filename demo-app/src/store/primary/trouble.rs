//! What other sessions do to the primary: burn its processor, hold its lock, fill its disk.
//!
//! Each is a session of its own that does the real thing to the same file; what comes of it for the
//! others is SQLite's and the governor's doing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::store::database::Database;
use crate::store::database::connections::Connections;
use crate::store::lock;
use crate::store::service_time::Servers;

/// Steps of the query by which the processor's pace is measured.
const MEASURED_STEPS: u64 = 50_000;

/// How often the disk is filled up to where it should be.
const FILL_PACE: Duration = Duration::from_millis(100);

/// How long a session that failed waits before it goes on.
const RETRY: Duration = Duration::from_millis(100);

/// The one core that all burning queries share, by the session that computes on it.
struct Core {
    database: Database,
    steps_per_second: Option<f64>,
}

/// Starts sessions that run a query of so much processor time again and again, each at one of the servers.
pub(super) fn burn(database: Database, servers: &Arc<Servers>, sessions: usize, cpu: Duration) -> JoinSet<()> {
    let core = Arc::new(tokio::sync::Mutex::new(Core { database, steps_per_second: None }));
    let mut burning = JoinSet::new();
    for _ in 0..sessions {
        let (core, servers) = (Arc::clone(&core), Arc::clone(servers));
        burning.spawn(async move {
            loop {
                if servers.occupy(compute(Arc::clone(&core), cpu)).await.is_err() {
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
    }
    burning
}

async fn compute(core: Arc<tokio::sync::Mutex<Core>>, cpu: Duration) -> Result<(), JoinError> {
    let mut core = core.lock_owned().await;
    spawn_blocking(move || core.compute(cpu)).await
}

impl Core {
    fn compute(&mut self, cpu: Duration) {
        let pace = *self.steps_per_second.get_or_insert_with(|| pace(&self.database));
        // A query that fails computes nothing, which the processor's time tells.
        let _ = self.database.compute((cpu.as_secs_f64() * pace) as u64);
    }
}

/// Measures how many steps of the burning query a second takes, by the fastest of some runs.
fn pace(database: &Database) -> f64 {
    let run = |_| {
        let since = Instant::now();
        let _ = database.compute(MEASURED_STEPS);
        since.elapsed()
    };
    let fastest = (0..3).map(run).min().unwrap_or_default();
    MEASURED_STEPS as f64 / fastest.as_secs_f64().max(1e-6)
}

/// Starts a session that holds the write lock and leaves it free, in turns.
pub(super) fn hold_lock(database: Database, held: Duration, free: Duration) -> JoinSet<()> {
    let database = Arc::new(Mutex::new(database));
    let mut holding = JoinSet::new();
    holding.spawn(async move {
        loop {
            let session = Arc::clone(&database);
            if matches!(spawn_blocking(move || lock(&session).take()).await, Ok(Ok(()))) {
                tokio::time::sleep(held).await;
                // A commit of nothing has nothing to wait for, and nothing to fail by.
                let _ = lock(&database).release();
            }
            tokio::time::sleep(free).await;
        }
    });
    holding
}

/// Starts a session that fills the file up to a quota, evenly within a time, and keeps it full.
pub(super) fn fill_disk(database: Database, quota: u64, within: Duration) -> JoinSet<()> {
    let database = Arc::new(Mutex::new(database));
    let mut filling = JoinSet::new();
    filling.spawn(async move {
        let mut ticks = tokio::time::interval(FILL_PACE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (began, mut at_first) = (Instant::now(), None);
        loop {
            ticks.tick().await;
            let session = Arc::clone(&database);
            let share = began.elapsed().as_secs_f64() / within.as_secs_f64().max(1e-3);
            let filled = spawn_blocking(move || {
                let session = lock(&session);
                let at_first = match at_first {
                    Some(bytes) => bytes,
                    None => session.begin_ballast().and_then(|()| session.used())?,
                };
                session.fill(goal(at_first, quota, share)).map(|()| at_first)
            });
            // A session that found the lock taken, or the table gone, tries again.
            if let Ok(Ok(bytes)) = filled.await {
                at_first = Some(bytes);
            }
        }
    });
    filling
}

/// Gives the room back that was filled, trying until it is done.
pub(super) fn give_room(connections: Arc<Connections>) -> JoinSet<()> {
    let mut giving = JoinSet::new();
    giving.spawn(async move {
        while connections.write(Database::drop_ballast).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    });
    giving
}

/// How many bytes are to be used when a share of the time is over.
fn goal(at_first: u64, quota: u64, share: f64) -> u64 {
    at_first + (quota.saturating_sub(at_first) as f64 * share.min(1.0)) as u64
}

#[cfg(test)]
mod tests {
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn the_disk_fills_evenly_and_no_further_than_its_quota() {
        assert_eq!(goal(100, 1_100, 0.0), 100);
        assert_eq!(goal(100, 1_100, 0.5), 600);
        assert_eq!(goal(100, 1_100, 7.0), 1_100);
        assert_eq!(goal(1_200, 1_100, 0.5), 1_200);
    }

    #[test]
    fn a_burning_query_takes_about_the_processor_time_it_should() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::session(&folder.path().join("content.db")).unwrap();
        let mut core = Core { database, steps_per_second: None };
        core.compute(Duration::ZERO);
        // By the thread's own time: others compute on this machine too.
        let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let run = |_| {
            let since = used();
            core.compute(Duration::from_millis(20));
            used().saturating_sub(since)
        };
        let fastest = (0..5).map(run).min().unwrap();
        assert!((5..60).contains(&fastest.as_millis()), "it took {fastest:?}");
    }
}
