//! Faults: what goes wrong in the demo on purpose, by the names of the fault classes.
//!
//! A fault is a list of [`Effect`]s: things that are changed in the running system, each the real thing,
//! and put back at its end. Two players read the same list: the demo with its processes, and the
//! simulation in virtual time. Nothing in the telemetry names a fault; it shows through what it does.

mod doses;
mod effect;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::human;
use crate::topology::{Phase, Role};
pub use effect::Effect;

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

    /// How long after its begin it is true that this is wrong: a disk that is being filled is not full yet.
    pub fn true_after(self, intensity: Intensity) -> Duration {
        let took = |effect: &Effect| match *effect {
            Effect::FillDisk { within } => within,
            _ => Duration::ZERO,
        };
        self.effects(intensity).iter().map(took).max().unwrap_or_default()
    }

    /// Says why a system of a phase cannot play it, and after the words of `hint`, which phase's can; `None` where
    /// it can.
    pub(crate) fn misfit(self, phase: Phase, hint: &str) -> Option<String> {
        let (name, usual) = (self.name(), self.usual_phase());
        (!self.fits(phase)).then(|| format!("phase {phase} has nothing for {name} to go wrong in; {hint}{usual}"))
    }

    /// Whether a system of a phase has what the fault changes.
    pub fn fits(self, phase: Phase) -> bool {
        self.effects(Intensity::Medium).iter().all(|effect| effect.fits(phase))
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
