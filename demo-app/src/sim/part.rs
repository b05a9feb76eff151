//! What a simulated process holds by its role: caches, pools, locks, and what it knows of others.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::node::Replay;
use crate::settings::Settings;
use crate::sim::clock::Time;
use crate::sim::contents::Contents;
use crate::sim::expiring::Expiring;
use crate::sim::pool::Pool;
use crate::topology::Role;

/// Most answers that an instance keeps to give again while a store is down.
const STALE: usize = 256;

/// Most answers that the edge keeps.
const EDGE_ENTRIES: usize = 4_096;

/// The parts of a process; a role has some of them.
#[derive(Default)]
pub(super) struct Part {
    pub(super) upstreams: Option<Upstreams>,
    pub(super) edge: Option<Edge>,
    pub(super) clients: Option<Clients>,
    pub(super) cache: Option<CacheNode>,
    pub(super) database: Option<DatabaseNode>,
    pub(super) objects_written: Cell<u64>,
}

impl Part {
    pub(super) fn of(role: Role, settings: &Settings) -> Self {
        let mut part = Self::default();
        match role {
            Role::LoadBalancer | Role::Web => part.upstreams = Some(Upstreams::default()),
            Role::Edge => {
                part.upstreams = Some(Upstreams::default());
                part.edge = Some(Edge::default());
            }
            Role::App | Role::Worker => part.clients = Some(Clients::new(settings)),
            Role::Box => {
                part.clients = Some(Clients::new(settings));
                part.database = Some(DatabaseNode::default());
            }
            Role::Cache => part.cache = Some(CacheNode::new(settings.cache_capacity)),
            Role::Primary | Role::Standby | Role::Replica => part.database = Some(DatabaseNode::default()),
            Role::Queue | Role::ObjectStore | Role::External => {}
        }
        part
    }
}

/// What a proxy knows of the next tier.
#[derive(Default)]
pub(super) struct Upstreams {
    pub(super) known: RefCell<BTreeMap<String, Upstream>>,
    pub(super) turn: Cell<usize>,
    /// Requests that the balancer may still take, and when that was counted.
    pub(super) bucket: Cell<Option<(f64, Time)>>,
}

/// One instance of the next tier, as a proxy sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Upstream {
    pub(super) outstanding: u64,
    /// Checks failed in a row, or passed in a row.
    pub(super) failed: u32,
    pub(super) passed: u32,
    pub(super) out: bool,
    pub(super) rests_until: Time,
}

/// What the edge keeps of answers.
pub(super) struct Edge {
    pub(super) answers: RefCell<Expiring>,
    pub(super) hits: Cell<u64>,
    pub(super) misses: Cell<u64>,
}

impl Default for Edge {
    fn default() -> Self {
        let answers = RefCell::new(Expiring::new(EDGE_ENTRIES));
        Self { answers, hits: Cell::new(0), misses: Cell::new(0) }
    }
}

/// What application and worker hold to talk to the stores.
pub(super) struct Clients {
    pub(super) memory: RefCell<Expiring>,
    pub(super) stale: RefCell<Expiring>,
    pub(super) pools: RefCell<BTreeMap<String, Rc<Pool>>>,
    /// How far each replica is behind, as it said last; `None` where it did not answer.
    pub(super) lags: RefCell<BTreeMap<String, Option<Duration>>>,
    pub(super) turn: Cell<usize>,
    /// Until when a cache node that did not answer in time is not asked.
    pub(super) cache_rests: RefCell<BTreeMap<String, Time>>,
}

impl Clients {
    fn new(settings: &Settings) -> Self {
        Self {
            memory: RefCell::new(Expiring::new(settings.memory_cache_entries)),
            stale: RefCell::new(Expiring::new(if settings.stale_while_down { STALE } else { 0 })),
            pools: RefCell::default(),
            lags: RefCell::default(),
            cache_rests: RefCell::default(),
            turn: Cell::new(0),
        }
    }
}

/// A cache node.
pub(super) struct CacheNode {
    pub(super) entries: RefCell<Expiring>,
    pub(super) hits: Cell<u64>,
    pub(super) misses: Cell<u64>,
    pub(super) evictions: Cell<u64>,
    pub(super) sent: Cell<u64>,
    /// Large values leave one after the other.
    pub(super) line: Semaphore,
}

impl CacheNode {
    fn new(capacity: usize) -> Self {
        Self {
            entries: RefCell::new(Expiring::new(capacity)),
            hits: Cell::new(0),
            misses: Cell::new(0),
            evictions: Cell::new(0),
            sent: Cell::new(0),
            line: Semaphore::new(1),
        }
    }
}

/// A database node.
pub(super) struct DatabaseNode {
    /// The lock that writers wait for, and how many wait.
    pub(super) lock: Semaphore,
    pub(super) lock_waiting: Cell<u64>,
    /// The one core that burning queries share.
    pub(super) core: Semaphore,
    /// How changes are applied, and up to when they were when that was turned.
    pub(super) replay: Cell<(Replay, Time)>,
    /// How long a scanned row takes, where the index on users is gone.
    pub(super) scanned_row: Cell<Option<Duration>>,
    /// Since when the disk fills, and how long that takes.
    pub(super) filling: Cell<Option<(Time, Duration)>>,
}

impl Default for DatabaseNode {
    fn default() -> Self {
        Self {
            lock: Semaphore::new(1),
            lock_waiting: Cell::new(0),
            core: Semaphore::new(1),
            replay: Cell::new((Replay::Running, Time::ZERO)),
            scanned_row: Cell::new(None),
            filling: Cell::new(None),
        }
    }
}

/// How long a change travels to a replica that applies as changes come.
const TRAVEL: Duration = Duration::from_millis(1);

impl DatabaseNode {
    /// Returns up to when changes are applied in a replica.
    pub(super) fn applied(&self, now: Time) -> Time {
        let (replay, then) = self.replay.get();
        match replay {
            Replay::Running => now.saturating_sub(TRAVEL),
            Replay::Late(by) => now.saturating_sub(by).max(then),
            Replay::Paused => then,
        }
    }

    /// Turns how changes are applied.
    pub(super) fn turn(&self, replay: Replay, now: Time) {
        self.replay.set((replay, self.applied(now)));
    }

    /// Bytes that a primary's disk holds besides the contents.
    pub(super) fn ballast(&self, contents: &Contents, quota: u64, now: Time) -> u64 {
        let Some((since, within)) = self.filling.get() else { return 0 };
        let room = quota.saturating_sub(contents.bytes());
        let done = now.saturating_sub(since).as_secs_f64() / within.as_secs_f64().max(1e-9);
        (room as f64 * done.min(1.0)) as u64
    }
}
