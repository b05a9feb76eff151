//! Faults: what goes wrong in the demo on purpose, by the names of the fault classes.
//!
//! A fault is a list of [`Effect`]s: things that are changed in the running system, each the real thing,
//! and put back at its end. Two players read the same list: the demo with its processes, and the
//! simulation in virtual time. Nothing in the telemetry names a fault; it shows through what it does.

mod doses;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;
use crate::topology::{Phase, Role, Zone};

/// A fault that the demo can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The cache forgets its entries again and again, so reads fall through to the database.
    CacheFlush,
    /// One content is read by everybody and has become large, so one cache node is busy sending it.
    CacheHotKey,
    /// Replicas apply changes late or not at all, so they fall behind.
    ReplicaLag,
    /// Replicas are killed, so the others and the primary take their reads.
    ReplicaLoss,
    /// Queries burn the primary's processor and hold its sessions.
    PrimaryCpu,
    /// Transactions hold the lock that writers wait for.
    LockContention,
    /// The application's connection pools shrink and their connections are held.
    PoolExhaustion,
    /// An index is gone, so one statement scans the table.
    SlowQuery,
    /// Workers stop, so messages pile up in the queue.
    WorkerLoss,
    /// Messages that can never be processed are taken again and again.
    PoisonMessage,
    /// The application's processes burn their processor.
    AppCpu,
    /// One application instance stands still again and again, as for a collection of garbage.
    GcStalls,
    /// A whole zone is killed, or frozen.
    ZoneLoss,
    /// The balancer sends most requests to one instance.
    UnevenBalance,
    /// Several times the requests arrive.
    TrafficSpike,
    /// Bytes between two tiers travel late.
    NetworkDelay,
    /// The object store answers late, and refuses some.
    ObjectStoreSlow,
    /// The primary's disk has no room left.
    DiskFull,
    /// Some application instances are replaced by a slower version.
    DeployRegression,
    /// The third party answers late.
    ExternalSlow,
    /// The primary is killed, and after a while the standby takes over.
    PrimaryFailover,
    /// There are far more instances than the load needs.
    OverProvisioned,
    /// The application's memory fills towards its limit.
    MemoryLeak,
    /// Nothing is wrong: the load waves, instances pause now and then, a deploy changes nothing.
    HealthyNoise,
}

/// How bad a fault is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Intensity {
    /// Just to be felt.
    Low,
    /// Plain.
    #[default]
    Medium,
    /// As bad as it gets.
    High,
}

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

/// When a fault begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// How bad it is.
    #[serde(default)]
    pub intensity: Intensity,
    /// How long all is well before.
    #[serde(rename = "at", with = "human")]
    pub after: Duration,
    /// How long it stays wrong.
    #[serde(rename = "for", with = "human")]
    pub lasting: Duration,
}

/// What a diagnosis of a fault should say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// The kind of the tier at fault, such as `db-replica`.
    pub tier: String,
    /// The class of the fault, by its name.
    pub class: String,
    /// The phases whose wall this is; empty where it is none's.
    pub phase: Vec<u8>,
}

impl Fault {
    /// All of them, in the order of the list of classes.
    pub fn all() -> impl Iterator<Item = Self> {
        <Self as clap::ValueEnum>::value_variants().iter().copied()
    }

    /// Its name, as on the command line and in files.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What goes wrong, in a sentence.
    pub fn description(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// What is changed while it lasts.
    pub fn effects(self, intensity: Intensity) -> Vec<Effect> {
        doses::effects(self, intensity)
    }

    /// The phase in which it is played unless told otherwise: one whose system has all it needs and feels it.
    pub fn usual_phase(self) -> Phase {
        match self {
            Self::PrimaryCpu | Self::PrimaryFailover | Self::ZoneLoss | Self::UnevenBalance | Self::NetworkDelay => {
                Phase::WEB_TIER
            }
            Self::MemoryLeak => Phase::SINGLE_BOX,
            Self::TrafficSpike
            | Self::AppCpu
            | Self::CacheFlush
            | Self::CacheHotKey
            | Self::ReplicaLag
            | Self::ReplicaLoss
            | Self::SlowQuery
            | Self::PoolExhaustion
            | Self::GcStalls
            | Self::ObjectStoreSlow
            | Self::DeployRegression
            | Self::ExternalSlow => Phase::DATABASE_READS,
            Self::OverProvisioned | Self::HealthyNoise => Phase::SPIKES,
            Self::WorkerLoss | Self::PoisonMessage | Self::LockContention | Self::DiskFull => Phase::WRITES,
        }
    }

    /// What a diagnosis should say in a system of a phase; `None` where it should stay silent.
    pub fn truth(self, phase: Phase) -> Option<Truth> {
        let reads_from = if phase.has(Role::Replica) { "db-replica" } else { "db-primary" };
        let (tier, phases): (&str, &[u8]) = match self {
            Self::CacheFlush | Self::CacheHotKey => ("cache", &[3]),
            Self::ReplicaLag => ("db-replica", &[3]),
            Self::ReplicaLoss => ("db-replica", &[2, 3]),
            Self::PrimaryCpu => ("db-primary", &[3, 5]),
            Self::LockContention | Self::DiskFull => ("db-primary", &[5]),
            Self::PoolExhaustion => ("app", &[3]),
            Self::SlowQuery => (reads_from, &[3]),
            Self::WorkerLoss => ("worker", &[4, 5]),
            Self::PoisonMessage => ("worker", &[5]),
            Self::AppCpu | Self::TrafficSpike => ("app", &[1, 4]),
            Self::GcStalls => ("app", &[2, 4]),
            Self::ZoneLoss | Self::UnevenBalance => ("lb", &[2]),
            Self::NetworkDelay => ("app", &[2]),
            Self::ObjectStoreSlow => ("object-store", &[3, 5]),
            Self::DeployRegression => ("app", &[]),
            Self::ExternalSlow => ("external", &[]),
            Self::PrimaryFailover => ("db-primary", &[2]),
            Self::OverProvisioned => ("app", &[4]),
            Self::MemoryLeak => ("app", &[1]),
            Self::HealthyNoise => return None,
        };
        Some(Truth { tier: tier.to_owned(), class: self.name(), phase: phases.to_vec() })
    }

    /// Whether a system of a phase has what the fault changes.
    pub fn fits(self, phase: Phase) -> bool {
        self.effects(Intensity::Medium).iter().all(|effect| effect.fits(phase))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_does_something_at_every_intensity_and_fits_where_it_is_usually_played() {
        for fault in Fault::all() {
            assert!(fault.fits(fault.usual_phase()), "{} does not fit", fault.name());
            let [low, medium, high] =
                [Intensity::Low, Intensity::Medium, Intensity::High].map(|intensity| fault.effects(intensity));
            assert!(!low.is_empty(), "{}", fault.name());
            assert!(low != medium && medium != high, "{} is the same at two intensities", fault.name());
        }
    }

    #[test]
    fn only_noise_has_nothing_to_be_found() {
        for fault in Fault::all() {
            let truth = fault.truth(fault.usual_phase());
            assert_eq!(truth.is_none(), fault == Fault::HealthyNoise);
        }
        assert_eq!(Fault::SlowQuery.truth(Phase::WEB_TIER).unwrap().tier, "db-primary");
        assert_eq!(Fault::CacheFlush.name(), "cache-flush");
    }

    #[test]
    fn a_phase_without_the_part_cannot_play_its_fault() {
        assert!(!Fault::CacheFlush.fits(Phase::WEB_TIER));
        assert!(!Fault::WorkerLoss.fits(Phase::SPIKES));
        assert!(!Fault::ZoneLoss.fits(Phase::SINGLE_BOX));
        assert!(Fault::AppCpu.fits(Phase::SINGLE_BOX));
    }
}
