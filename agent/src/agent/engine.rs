//! The engine's thread: takes batches as they come, and ticks once a second.
//!
//! The tick falls where the last second has just settled, so that a figure is shown as early as its
//! telemetry allows: see [`tiertop_core::engine::Engine::next_tick`]. If traces are chosen to be handed on, the
//! bodies that they came in are kept here, and what was chosen at a tick is looked up in them at once.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiertop_core::config::Config;
use tiertop_core::engine::Engine;
use tiertop_core::snapshot::{IngestCounts, Snapshot};
use tiertop_core::time::UnixNanos;
use tokio::sync::watch;

use crate::details::{Details, TraceOutlet};
use crate::intake::{Outlet, Received};

/// The longest wait before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Starts the thread, which hands each snapshot to `publish`. It ends when `finish` turns true or its sender is gone, after what waits is
/// counted. What is delivered later finds nobody, so those who deliver should have ended before.
pub(super) fn start(
    config: Config,
    outlet: Outlet,
    (counts, publish): (impl Fn() -> IngestCounts + Send + 'static, impl Fn(Arc<Snapshot>) + Send + 'static),
    mut traces: Option<TraceOutlet>,
    finish: watch::Receiver<bool>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("engine".to_owned()).spawn(move || {
        let mut engine = Engine::new(config, now());
        let mut details = Details::new(traces.as_ref().map_or(0, TraceOutlet::detail_bytes));
        let mut hand_on = |engine: &mut Engine, details: &Details| {
            if let Some(traces) = &mut traces {
                traces.hand_on(engine.take_chosen(), details);
                if let Some(rules) = traces.new_rules() {
                    engine.set_choice(rules);
                }
            }
        };
        let mut tick = |engine: &mut Engine, details: &Details| {
            publish(Arc::new(engine.tick(now(), &counts())));
            hand_on(engine, details);
        };
        tick(&mut engine, &details);
        let mut next = engine.next_tick(now());
        while !*finish.borrow() && finish.has_changed().is_ok() {
            let until_tick = Duration::from_nanos(next.nanos_since(now()));
            if let Some(received) = outlet.recv_timeout(until_tick.min(PATIENCE)) {
                handle(&mut engine, &mut details, received);
            }
            if now() >= next {
                tick(&mut engine, &details);
                next = engine.next_tick(now());
            }
        }
        while let Some(received) = outlet.recv_timeout(Duration::ZERO) {
            handle(&mut engine, &mut details, received);
        }
        publish(Arc::new(engine.finish(now(), &counts())));
        hand_on(&mut engine, &details);
    })
}

fn handle(engine: &mut Engine, details: &mut Details, received: Received) {
    let Received { mut batch, body, received_at, room } = received;
    if let Some(body) = body {
        batch.body = details.keep(body);
    }
    engine.handle(&batch, received_at);
    drop(room);
}

/// This machine's clock.
fn now() -> UnixNanos {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
