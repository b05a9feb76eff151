//! What each simulated process measures of itself when its metrics are read.

use std::time::Duration;

use crate::sim::clients::Caller;
use crate::sim::instance::Instance;
use crate::sim::measures::{Labels, Measure};
use crate::sim::names::{self, text};
use crate::sim::proxy;
use crate::sim::world::World;
use crate::topology::Role;

/// Bytes of memory of a process that has done nothing yet.
const MEMORY: u64 = 14 << 20;

/// Brings all observed metrics of a process up to date.
pub(super) fn all(world: &std::rc::Rc<World>, of: &std::rc::Rc<Instance>) {
    process(world, of);
    proxy::observe(world, of);
    edge(of);
    cache(of);
    database(world, of);
    if of.part.clients.is_some() {
        let caller = Caller { world: std::rc::Rc::clone(world), of: std::rc::Rc::clone(of), context: None };
        caller.open_pools();
        for pool in caller.clients().pools.borrow().values() {
            pool.observe(of);
        }
    }
    if of.role.get() == Role::Queue {
        queue(world, of);
    }
    if of.role.get() == Role::ObjectStore {
        set(of, &names::OBJECTS_WRITTEN, of.part.objects_written.get() as f64);
    }
}

/// Sets a metric whose attributes are the node's own.
fn set(of: &Instance, measure: &'static Measure, value: f64) {
    of.series.borrow_mut().set(measure, Labels::default(), value, || of.peer.clone());
}

/// Bytes of memory that a process has.
pub(super) fn memory(of: &Instance) -> u64 {
    let kept = of.part.cache.as_ref().map_or(0, |node| node.entries.borrow().bytes());
    MEMORY + of.leaked.get() as u64 + kept
}

fn process(world: &World, of: &Instance) {
    // Telemetry and timers cost a little also where nothing is served.
    of.spend(Duration::from_millis(4));
    let (used, share, late) = of.processor();
    let memory = memory(of);
    let mut series = of.series.borrow_mut();
    // Of what a service computes, the kernel's part is about a third.
    for (mode, part) in [("user", 0.65), ("system", 0.35)] {
        let used = used.as_secs_f64() * part;
        series.set(&names::CPU_TIME, Labels::of(mode), used, || vec![text("cpu.mode", mode)]);
    }
    series.set(&names::CPU_SHARE, Labels::default(), share, Vec::new);
    series.set(&names::MEMORY, Labels::default(), memory as f64, Vec::new);
    series.set(&names::MEMORY_LIMIT, Labels::default(), world.settings.memory_limit_bytes as f64, Vec::new);
    for late in late {
        series.record(&names::LATE, Labels::default(), late, Vec::new);
    }
    if let Some((max, busy, pending)) = of.servers.state() {
        for (measure, value) in
            [(&names::WORKERS_MAX, max), (&names::WORKERS_BUSY, busy), (&names::WORKERS_PENDING, pending)]
        {
            series.set(measure, Labels::default(), value as f64, Vec::new);
        }
    }
}

fn edge(of: &Instance) {
    let Some(edge) = &of.part.edge else { return };
    let mut series = of.series.borrow_mut();
    for (measure, count) in [(&names::EDGE_HITS, &edge.hits), (&names::EDGE_MISSES, &edge.misses)] {
        series.set(measure, Labels::default(), count.get() as f64, Vec::new);
    }
}

fn cache(of: &Instance) {
    let Some(node) = &of.part.cache else { return };
    let (items, bytes) = node.entries.borrow_mut().sweep(of.clock().now());
    for (measure, value) in [
        (&names::CACHE_HITS, node.hits.get()),
        (&names::CACHE_MISSES, node.misses.get()),
        (&names::CACHE_EVICTIONS, node.evictions.get()),
        (&names::CACHE_ITEMS, items),
        (&names::CACHE_MEMORY, bytes),
        (&names::CACHE_SENT, node.sent.get()),
    ] {
        set(of, measure, value as f64);
    }
}

fn database(world: &World, of: &Instance) {
    let Some(database) = &of.part.database else { return };
    let (now, contents) = (of.clock().now(), &world.contents);
    let node = || names::node(Role::Primary, of.database_address());
    if matches!(of.role.get(), Role::Replica | Role::Standby) {
        let lag = now.saturating_sub(contents.beat(database.applied(now))).as_secs_f64();
        let mut series = of.series.borrow_mut();
        series.set(&names::LAG, Labels::default(), lag, node);
        // What it lags behind by is small beside what it has.
        series.set(&names::FILE_SIZE, Labels::default(), contents.bytes() as f64, node);
        return;
    }
    let quota = world.settings.disk_quota_bytes;
    let used = contents.bytes() + database.ballast(contents, quota, now);
    let mut series = of.series.borrow_mut();
    for (measure, value) in [
        (&names::LOG_WRITTEN, contents.changes(now)),
        (&names::FILE_SIZE, used),
        (&names::LOCK_WAITING, database.lock_waiting.get()),
    ] {
        series.set(measure, Labels::default(), value as f64, node);
    }
    let mount = || names::with(&node(), [text("system.filesystem.mountpoint", "content-db")]);
    for (state, bytes) in [("used", used), ("free", quota.saturating_sub(used))] {
        series.set(&names::DISK_USED, Labels::of(state), bytes as f64, || {
            names::with(&mount(), [text("system.filesystem.state", state)])
        });
    }
    series.set(&names::DISK_LIMIT, Labels::default(), quota as f64, mount);
}

fn queue(world: &World, of: &Instance) {
    let mut messages = world.queue.borrow_mut();
    let depth = messages.depth(of.clock().now());
    for (measure, value) in [
        (&names::DEPTH, depth.visible as f64),
        (&names::IN_FLIGHT, depth.in_flight as f64),
        (&names::OLDEST, depth.oldest.as_secs_f64()),
        (&names::RECEIVES, messages.receives as f64),
        (&names::REDELIVERIES, messages.redeliveries as f64),
    ] {
        set(of, measure, value);
    }
    let dead = messages.dead_letters.len() as f64;
    let node = || names::encoded(crate::telemetry::attributes::dead_letters_node(of.address));
    of.series.borrow_mut().set(&names::DEPTH, Labels::of("dead letters"), dead, node);
}
