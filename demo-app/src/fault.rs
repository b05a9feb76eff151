//! Faults: what goes wrong in the demo on purpose, by the names of the fault classes.

use std::time::Duration;

use crate::demo::{Demo, DemoError, Perturbation};

/// How often a cache that is at fault forgets its entries.
const FLUSH_PACE: Duration = Duration::from_secs(2);

/// A fault that the demo can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The replica stops applying changes, so it falls behind by a second each second.
    ReplicaLag,
    /// The cache forgets its entries again and again, so reads fall through to the database.
    CacheFlush,
    /// The worker stops, so messages pile up in the queue.
    WorkerLoss,
}

/// When a fault begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// How long all is well before.
    pub after: Duration,
    /// How long it stays wrong.
    pub lasting: Duration,
}

/// Plays a fault in a running demo and returns once all is well again.
pub async fn play(demo: &Demo, plan: FaultPlan) -> Result<(), DemoError> {
    tokio::time::sleep(plan.after).await;
    match plan.fault {
        Fault::ReplicaLag => {
            demo.control(Perturbation::PauseReplica).await?;
            tokio::time::sleep(plan.lasting).await;
            demo.control(Perturbation::ResumeReplica).await
        }
        Fault::WorkerLoss => {
            demo.control(Perturbation::PauseWorker).await?;
            tokio::time::sleep(plan.lasting).await;
            demo.control(Perturbation::ResumeWorker).await
        }
        Fault::CacheFlush => {
            let end = tokio::time::Instant::now() + plan.lasting;
            let mut flushes = tokio::time::interval(FLUSH_PACE);
            while tokio::time::timeout_at(end, flushes.tick()).await.is_ok() {
                demo.control(Perturbation::FlushCache).await?;
            }
            Ok(())
        }
    }
}
