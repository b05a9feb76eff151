//! The scenario files of the repository, one for each fault, as they are compiled into the program.

use crate::fault::Fault;
use crate::scenario::Scenario;
use crate::settings::{ServiceTime, Settings};

/// Returns the text of a fault's file.
fn text(of: Fault) -> &'static str {
    match of {
        Fault::CacheFlush => include_str!("../../scenarios/cache-flush.toml"),
        Fault::CacheHotKey => include_str!("../../scenarios/cache-hot-key.toml"),
        Fault::ReplicaLag => include_str!("../../scenarios/replica-lag.toml"),
        Fault::ReplicaLoss => include_str!("../../scenarios/replica-loss.toml"),
        Fault::PrimaryCpu => include_str!("../../scenarios/primary-cpu.toml"),
        Fault::LockContention => include_str!("../../scenarios/lock-contention.toml"),
        Fault::PoolExhaustion => include_str!("../../scenarios/pool-exhaustion.toml"),
        Fault::SlowQuery => include_str!("../../scenarios/slow-query.toml"),
        Fault::WorkerLoss => include_str!("../../scenarios/worker-loss.toml"),
        Fault::PoisonMessage => include_str!("../../scenarios/poison-message.toml"),
        Fault::AppCpu => include_str!("../../scenarios/app-cpu.toml"),
        Fault::GcStalls => include_str!("../../scenarios/gc-stalls.toml"),
        Fault::ZoneLoss => include_str!("../../scenarios/zone-loss.toml"),
        Fault::UnevenBalance => include_str!("../../scenarios/uneven-balance.toml"),
        Fault::TrafficSpike => include_str!("../../scenarios/traffic-spike.toml"),
        Fault::NetworkDelay => include_str!("../../scenarios/network-delay.toml"),
        Fault::ObjectStoreSlow => include_str!("../../scenarios/object-store-slow.toml"),
        Fault::DiskFull => include_str!("../../scenarios/disk-full.toml"),
        Fault::DeployRegression => include_str!("../../scenarios/deploy-regression.toml"),
        Fault::ExternalSlow => include_str!("../../scenarios/external-slow.toml"),
        Fault::PrimaryFailover => include_str!("../../scenarios/primary-failover.toml"),
        Fault::OverProvisioned => include_str!("../../scenarios/over-provisioned.toml"),
        Fault::MemoryLeak => include_str!("../../scenarios/memory-leak.toml"),
        Fault::HealthyNoise => include_str!("../../scenarios/healthy-noise.toml"),
    }
}

impl Scenario {
    /// Returns the scenario of a fault's own file.
    pub fn stored(fault: Fault) -> Self {
        Self::parse(text(fault)).expect("a test reads each file")
    }

    /// Returns the scenario under another rate. Capacities that the file states because the load is to meet
    /// them, and those of the single box, which has no room to spare, grow and shrink with it.
    #[must_use]
    pub fn at_rate(mut self, rate: f64) -> Self {
        let factor = rate / self.load.rate;
        let usual = Settings::of(self.phase);
        let servers = |time: &mut ServiceTime| {
            time.concurrency = ((time.concurrency as f64 * factor).round() as usize).max(1);
        };
        servers(&mut self.settings.single_box);
        if self.settings.app != usual.app {
            servers(&mut self.settings.app);
        }
        if self.settings.cache_bytes_per_second != usual.cache_bytes_per_second {
            let bytes = self.settings.cache_bytes_per_second as f64 * factor;
            self.settings.cache_bytes_per_second = bytes as u64;
        }
        self.load.rate = rate;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_the_file_of_its_name() {
        for fault in Fault::all() {
            let scenario = Scenario::stored(fault);
            assert_eq!((scenario.name, scenario.phase), (fault.name(), fault.usual_phase()));
        }
    }

    #[test]
    fn what_the_load_is_to_meet_goes_with_the_rate_and_all_else_stays() {
        let at = |fault, rate| Scenario::stored(fault).at_rate(rate).settings;
        assert_eq!(at(Fault::TrafficSpike, 300.0).app.concurrency, 20);
        assert_eq!(at(Fault::TrafficSpike, 1.0).app.concurrency, 1);
        assert_eq!(at(Fault::CacheHotKey, 200.0).cache_bytes_per_second, 25_000_000);
        assert_eq!(at(Fault::MemoryLeak, 200.0).single_box.concurrency, 20);
        assert_eq!(at(Fault::AppCpu, 200.0).app, Scenario::stored(Fault::AppCpu).settings.app);
    }
}
