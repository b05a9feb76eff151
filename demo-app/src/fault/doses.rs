//! What each fault changes at each intensity.

use std::time::Duration;

use crate::fault::{Effect, Fault, Intensity};
use crate::topology::{Role, Zone};

/// Picks one of three by intensity.
fn by<T>(intensity: Intensity, [low, medium, high]: [T; 3]) -> T {
    match intensity {
        Intensity::Low => low,
        Intensity::Medium => medium,
        Intensity::High => high,
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn effects(fault: Fault, intensity: Intensity) -> Vec<Effect> {
    let of_duration = |millis: [u64; 3]| ms(by(intensity, millis));
    let share = |shares: [f64; 3]| by(intensity, shares);
    match fault {
        Fault::CacheFlush => {
            vec![Effect::ForgetCache { share: share([0.8, 1.0, 1.0]), every: of_duration([4_000, 2_000, 500]) }]
        }
        Fault::CacheHotKey => {
            vec![Effect::HotKey { share: share([0.5, 0.7, 0.9]), bytes: by(intensity, [150_000, 180_000, 200_000]) }]
        }
        Fault::ReplicaLag => {
            let (replicas, late) = by(intensity, [(1, Some(ms(8_000))), (2, Some(ms(20_000))), (2, None)]);
            vec![Effect::HoldReplay { replicas, late }]
        }
        Fault::ReplicaLoss => by(
            intensity,
            [
                vec![Effect::Kill { role: Role::Replica, count: 1 }],
                vec![Effect::Kill { role: Role::Replica, count: 2 }],
                vec![Effect::Freeze { role: Role::Replica, count: 2 }],
            ],
        ),
        Fault::PrimaryCpu => {
            vec![Effect::BurningQueries { sessions: by(intensity, [4, 8, 16]), cpu: of_duration([10, 20, 30]) }]
        }
        Fault::LockContention => {
            // A second, at which metrics are read, is no multiple of the two together, or each reading would find
            // the lock alike: always taken, or always free. So it is with the pools.
            vec![Effect::HoldLock { held: of_duration([150, 470, 850]), free: of_duration([130, 110, 80]) }]
        }
        Fault::PoolExhaustion => vec![Effect::ShrinkPool {
            size: by(intensity, [2, 1, 1]),
            held: of_duration([120, 270, 500]),
            free: of_duration([70, 90, 60]),
        }],
        Fault::SlowQuery => vec![Effect::DropIndex { row: Duration::from_micros(by(intensity, [150, 300, 600])) }],
        Fault::WorkerLoss => by(
            intensity,
            [
                vec![Effect::Freeze { role: Role::Worker, count: 2 }],
                vec![Effect::Kill { role: Role::Worker, count: 2 }],
                vec![Effect::Kill { role: Role::Worker, count: 2 }, Effect::Spike { factor: 1.5 }],
            ],
        ),
        Fault::PoisonMessage => vec![Effect::Poison { per_second: by(intensity, [2.0, 10.0, 30.0]) }],
        Fault::AppCpu => vec![Effect::BurnCpu { role: Role::App, share: share([0.6, 0.75, 0.9]) }],
        Fault::GcStalls => vec![Effect::Pauses {
            role: Role::App,
            length: of_duration([350, 600, 1_000]),
            every: of_duration([5_000, 4_000, 3_000]),
        }],
        Fault::ZoneLoss => by(
            intensity,
            [
                vec![Effect::KillZone(Zone::B)],
                vec![Effect::FreezeZone(Zone::B)],
                vec![Effect::FreezeZone(Zone::B), Effect::Spike { factor: 1.5 }],
            ],
        ),
        Fault::UnevenBalance => vec![Effect::Uneven { share: share([0.9, 0.97, 1.0]) }],
        Fault::TrafficSpike => vec![Effect::Spike { factor: by(intensity, [6.0, 9.0, 12.0]) }],
        Fault::NetworkDelay => {
            vec![Effect::WireDelay { from: Role::Web, to: Role::App, by: of_duration([20, 60, 150]) }]
        }
        Fault::ObjectStoreSlow => vec![Effect::Slow {
            role: Role::ObjectStore,
            by: of_duration([60, 200, 500]),
            refused: share([0.0, 0.05, 0.1]),
        }],
        Fault::DiskFull => vec![Effect::FillDisk { within: of_duration([30_000, 15_000, 3_000]) }],
        Fault::DeployRegression => {
            vec![Effect::Deploy { role: Role::App, count: by(intensity, [1, 1, 2]), slower: of_duration([20, 40, 80]) }]
        }
        Fault::ExternalSlow => vec![Effect::Slow {
            role: Role::External,
            by: of_duration([100, 300, 800]),
            refused: share([0.0, 0.0, 0.1]),
        }],
        Fault::PrimaryFailover => vec![Effect::Failover { away: of_duration([5_000, 10_000, 20_000]) }],
        Fault::OverProvisioned => {
            vec![Effect::Scale { role: Role::App, count: by(intensity, [4, 6, 8]) }, Effect::Spike { factor: 0.25 }]
        }
        Fault::MemoryLeak => {
            vec![Effect::Leak { role: Role::App, bytes_per_second: by(intensity, [2 << 20, 4 << 20, 8 << 20]) }]
        }
        Fault::HealthyNoise => vec![
            Effect::Wave { share: share([0.2, 0.35, 0.5]), period: ms(60_000) },
            Effect::Pauses { role: Role::App, length: of_duration([300, 600, 1_000]), every: ms(45_000) },
            Effect::ShiftMix { share: share([0.05, 0.1, 0.2]) },
            Effect::ForgetCache { share: share([0.02, 0.05, 0.1]), every: ms(5_000) },
            Effect::Deploy { role: Role::App, count: 1, slower: Duration::ZERO },
            Effect::Sample { share: share([0.8, 0.5, 0.3]) },
        ],
    }
}
