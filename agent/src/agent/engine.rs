//! The engine's thread: takes batches as they come, and ticks once a second.
//!
//! The tick falls where the last second has just settled, so that a figure is shown as early as its
//! telemetry allows: see [`tiertop_core::engine::Engine::next_tick`].

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiertop_core::config::Config;
use tiertop_core::engine::Engine;
use tiertop_core::snapshot::{IngestCounts, Snapshot};
use tiertop_core::time::UnixNanos;
use tokio::sync::watch;

use crate::intake::Outlet;

/// The longest wait before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Starts the thread, which hands each snapshot to `publish`. It ends when `finish` turns true or its sender is gone, after what waits is
/// counted. What is delivered later finds nobody, so those who deliver should have ended before.
pub(super) fn start(
    config: Config,
    outlet: Outlet,
    counts: impl Fn() -> IngestCounts + Send + 'static,
    publish: impl Fn(Arc<Snapshot>) + Send + 'static,
    finish: watch::Receiver<bool>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let mut engine = Engine::new(config, now());
        let tick = |engine: &mut Engine| {
            publish(Arc::new(engine.tick(now(), &counts())));
        };
        tick(&mut engine);
        let mut next = engine.next_tick(now());
        while !*finish.borrow() && finish.has_changed().is_ok() {
            let until_tick = Duration::from_nanos(next.nanos_since(now()));
            if let Some(received) = outlet.recv_timeout(until_tick.min(PATIENCE)) {
                engine.handle(&received.batch, received.received_at);
            }
            if now() >= next {
                tick(&mut engine);
                next = engine.next_tick(now());
            }
        }
        while let Some(received) = outlet.recv_timeout(Duration::ZERO) {
            engine.handle(&received.batch, received.received_at);
        }
        publish(Arc::new(engine.finish(now(), &counts())));
    })
}

/// This machine's clock.
fn now() -> UnixNanos {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
