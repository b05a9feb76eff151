//! Shipping to AWS: exporters that take what the engine has closed and send it on.
//!
//! Each exporter is a thread of its own with a bounded way to it, so that a service which is slow,
//! refuses or is gone never slows what comes in. What an exporter is told, what waits, what was lost
//! and why stands in its status, which is a part of each snapshot.
//!
//! [`metrics`] is the table of what CloudWatch gets. [`aws`] says how AWS is reached, [`failure`] what
//! a failed call means, [`backoff`] when it is made again, [`spool`] keeps what waits, [`status`] is how all
//! of it is told, and [`cost`] what it costs.

pub mod args;
pub mod aws;
pub mod backoff;
pub mod cloudwatch;
pub mod cost;
pub mod failure;
pub mod metrics;
pub mod spool;
pub mod status;
pub mod xray;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use tiertop_core::choice::ChoiceRules;
use tiertop_core::snapshot::Snapshot;
use tokio::sync::mpsc;
use tracing::error;

use crate::configuration::Exporter;
use crate::details::TraceOutlet;
use aws::{AwsError, AwsOptions};
use cloudwatch::CloudwatchOptions;
use spool::SpoolError;
use status::StatusReader;
use xray::XrayOptions;

/// Snapshots that may wait for an exporter whose disk is slow: a minute of them.
const WAITING_SNAPSHOTS: usize = 60;

/// What to ship, and how.
#[derive(Clone, Debug, Default)]
pub struct ShipOptions {
    /// Which exporters run.
    pub exporters: Vec<Exporter>,
    /// Print what would be sent, as lines of JSON, instead of sending it.
    pub dry_run: bool,
    /// How AWS is reached.
    pub aws: AwsOptions,
    /// How metrics are shipped.
    pub cloudwatch: CloudwatchOptions,
    /// What of traces.
    pub xray: XrayOptions,
}

/// Why shipping does not start.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// AWS cannot be reached at all.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What waits cannot be kept.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The system gives no thread.
    #[error("cannot start an exporter's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Exporters that run and wait for an agent's snapshots: see
/// [`Agent::start_shipping`](crate::agent::Agent::start_shipping).
#[derive(Debug, Default)]
pub struct Shipping {
    /// What sees each snapshot.
    pub(crate) tap: Tap,
    /// How each exporter is.
    pub(crate) statuses: Vec<StatusReader>,
    /// Their threads.
    pub(crate) exporters: Exporters,
    /// Which traces are chosen, and where they go.
    pub(crate) traces: Option<(ChoiceRules, TraceOutlet)>,
}

impl Shipping {
    /// Starts the exporters that are asked for.
    pub async fn start(options: ShipOptions) -> Result<Self, ShipError> {
        let mut shipping = Self::default();
        let ShipOptions { exporters, dry_run, aws, cloudwatch, xray } = options;
        if exporters.is_empty() {
            return Ok(shipping);
        }
        if dry_run {
            if exporters.contains(&Exporter::Cloudwatch) {
                cloudwatch::start_dry(cloudwatch, &mut shipping)?;
            }
            if exporters.contains(&Exporter::Xray) {
                xray::start_dry(xray, &mut shipping)?;
            }
            return Ok(shipping);
        }
        let config = Box::pin(aws::load(&aws)).await?;
        if exporters.contains(&Exporter::Cloudwatch) {
            cloudwatch::start(cloudwatch, &config, &mut shipping)?;
        }
        if exporters.contains(&Exporter::Xray) {
            xray::start(xray, &config, &mut shipping)?;
        }
        Ok(shipping)
    }
}

/// The ways from the engine's thread to the exporters that take snapshots.
#[derive(Debug, Default)]
pub struct Tap {
    ways: Vec<Way>,
}

/// One exporter's way, with room for some snapshots.
#[derive(Debug)]
struct Way {
    snapshots: mpsc::Sender<Arc<Snapshot>>,
    missed_seconds: Arc<AtomicU64>,
}

/// An exporter's end of its way.
#[derive(Debug)]
pub struct Intake {
    /// The snapshots, in order; they end when the agent stops.
    pub snapshots: mpsc::Receiver<Arc<Snapshot>>,
    /// Closed seconds that found no room.
    pub missed_seconds: Arc<AtomicU64>,
}

impl Tap {
    /// A way to one more exporter.
    pub fn way(&mut self) -> Intake {
        let (sender, snapshots) = mpsc::channel(WAITING_SNAPSHOTS);
        let missed_seconds = Arc::new(AtomicU64::new(0));
        self.ways.push(Way { snapshots: sender, missed_seconds: Arc::clone(&missed_seconds) });
        Intake { snapshots, missed_seconds }
    }

    /// Hands a snapshot to every exporter, without waiting; what finds no room is counted.
    pub fn offer(&self, snapshot: &Arc<Snapshot>) {
        for way in &self.ways {
            if way.snapshots.try_send(Arc::clone(snapshot)).is_err() {
                way.missed_seconds.fetch_add(snapshot.closed_seconds.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

/// The threads of the exporters. They end by themselves once the agent's snapshots end.
#[derive(Debug, Default)]
pub struct Exporters {
    threads: Vec<JoinHandle<()>>,
}

impl Exporters {
    /// Runs an exporter on a thread of its own with a runtime of its own, away from what comes in.
    pub fn run<F: Future<Output = ()>>(
        &mut self,
        name: &str,
        exporter: impl FnOnce() -> F + Send + 'static,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(exporter()))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Waits until all have ended, each after a last attempt; what is spooled stays for the next start.
    pub async fn ended(self) {
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        if joined.await.unwrap_or(1) > 0 {
            error!("an exporter's thread panicked");
        }
    }
}
