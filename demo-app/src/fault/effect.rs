//! Effects: the single things that faults change in a running system, each the real thing.

use std::time::Duration;

use crate::topology::{Phase, Role, Zone};

/// One thing that is changed in the running system while a fault lasts.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Every cache node forgets a share of its entries (0 to 1), again and again.
    ForgetCache {
        /// Share of the entries, 0 to 1.
        share: f64,
        /// How often.
        every: Duration,
    },
    /// A share of the reads is for one content, whose payload is made this large.
    HotKey {
        /// Share of all reads, 0 to 1.
        share: f64,
        /// Size of its payload.
        bytes: usize,
    },
    /// The first replicas apply changes this late, or not at all.
    HoldReplay {
        /// How many replicas.
        replicas: usize,
        /// How late; `None` for not at all.
        late: Option<Duration>,
    },
    /// The first instances of a role are killed (SIGKILL), and not replaced before the end.
    Kill {
        /// Of which role.
        role: Role,
        /// How many.
        count: usize,
    },
    /// The first instances of a role are stopped (SIGSTOP) until the end.
    Freeze {
        /// Of which role.
        role: Role,
        /// How many.
        count: usize,
    },
    /// All instances in a zone are killed, and not replaced before the end.
    KillZone(Zone),
    /// All instances in a zone are stopped (SIGSTOP) until the end.
    FreezeZone(Zone),
    /// The last instance of a role is stopped for a while and goes on, again and again.
    Pauses {
        /// Of which role.
        role: Role,
        /// For how long.
        length: Duration,
        /// How often.
        every: Duration,
    },
    /// Sessions that run nothing but a query which computes this long.
    BurningQueries {
        /// How many sessions.
        sessions: usize,
        /// Processor time of one query.
        cpu: Duration,
    },
    /// A session of the primary takes the write lock, again and again.
    HoldLock {
        /// For how long.
        held: Duration,
        /// How long it leaves it free in between.
        free: Duration,
    },
    /// Each pool of the application to the databases has fewer connections, and a job that takes them
    /// all, again and again.
    ShrinkPool {
        /// How many connections are left.
        size: usize,
        /// For how long the job holds them.
        held: Duration,
        /// How long it leaves them free in between.
        free: Duration,
    },
    /// The index that finds a user's contents is gone, and a scanned row takes this long.
    DropIndex {
        /// How long a scanned row takes.
        row: Duration,
    },
    /// Messages arrive whose processing always fails.
    Poison {
        /// How many a second.
        per_second: f64,
    },
    /// Every instance of a role computes for this share of the time and does nothing else meanwhile.
    BurnCpu {
        /// Of which role.
        role: Role,
        /// Share of the time, 0 to 1.
        share: f64,
    },
    /// A balancer sends this share of the requests to its first instance.
    Uneven {
        /// Share of the requests, 0 to 1.
        share: f64,
    },
    /// The load is this many times what it would be.
    Spike {
        /// How many times.
        factor: f64,
    },
    /// What travels from one role to another arrives this much later, both ways together.
    WireDelay {
        /// Who asks.
        from: Role,
        /// Who is asked.
        to: Role,
        /// How much later.
        by: Duration,
    },
    /// Instances of a role take longer for each request, and refuse some.
    Slow {
        /// Of which role.
        role: Role,
        /// How much longer.
        by: Duration,
        /// Share of requests that are refused, 0 to 1.
        refused: f64,
    },
    /// The primary's disk is filled up to its quota, within this time.
    FillDisk {
        /// How long it takes to be full.
        within: Duration,
    },
    /// The last instances of a role are replaced, one after the other, by another version.
    Deploy {
        /// Of which role.
        role: Role,
        /// How many.
        count: usize,
        /// How much longer that version takes for each request.
        slower: Duration,
    },
    /// The primary is killed, and after this time the standby is promoted.
    Failover {
        /// How long nobody takes writes.
        away: Duration,
    },
    /// There are this many instances of a role.
    Scale {
        /// Of which role.
        role: Role,
        /// How many.
        count: usize,
    },
    /// Instances of a role take memory and do not give it back.
    Leak {
        /// Of which role.
        role: Role,
        /// How many bytes a second, each.
        bytes_per_second: u64,
    },
    /// The load swings around what it would be.
    Wave {
        /// How far it swings, as a share: 0.3 is from 0.7 to 1.3 times.
        share: f64,
        /// From crest to crest.
        period: Duration,
    },
    /// Users ask for other things: this share of all requests moves from single contents to lists.
    ShiftMix {
        /// Share of the requests, 0 to 1.
        share: f64,
    },
    /// Only this share of new traces is kept, and their spans say so.
    Sample {
        /// Share of the traces, 0 to 1.
        share: f64,
    },
}

impl Effect {
    /// The `service.version` that a deploy brings.
    pub(crate) const NEXT_RELEASE: &str = concat!(env!("CARGO_PKG_VERSION"), ".1");

    /// Whether a system of a phase has what this changes.
    pub fn fits(&self, phase: Phase) -> bool {
        let app = |role: Role| role == Role::App && phase == Phase::SINGLE_BOX;
        match self {
            Self::ForgetCache { .. } | Self::HotKey { .. } => phase.has(Role::Cache),
            Self::HoldReplay { .. } => phase.has(Role::Replica),
            Self::Kill { role, .. }
            | Self::Freeze { role, .. }
            | Self::Pauses { role, .. }
            | Self::Deploy { role, .. }
            | Self::Scale { role, .. } => phase.has(*role),
            // On one box the application is the box.
            Self::BurnCpu { role, .. } | Self::Leak { role, .. } | Self::Slow { role, .. } => {
                phase.has(*role) || app(*role)
            }
            Self::WireDelay { from, to, .. } => phase.has(*from) && phase.has(*to),
            Self::KillZone(_) | Self::FreezeZone(_) | Self::Uneven { .. } => phase.has(Role::LoadBalancer),
            Self::Poison { .. } => phase.has(Role::Queue),
            Self::Failover { .. } => phase.has(Role::Standby),
            Self::BurningQueries { .. }
            | Self::HoldLock { .. }
            | Self::ShrinkPool { .. }
            | Self::DropIndex { .. }
            | Self::FillDisk { .. }
            | Self::Spike { .. }
            | Self::Wave { .. }
            | Self::ShiftMix { .. }
            | Self::Sample { .. } => true,
        }
    }
}
