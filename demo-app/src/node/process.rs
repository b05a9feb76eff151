//! What can be turned in every process, whatever its role.
//!
//! All of it is real: a process that is told to compute does so on the thread that also serves, so
//! everything it does is late and its processor time is truly used; one that is told to leak has the
//! memory. Whatever took the memory, at its limit a process ends as under a container's limit, by SIGKILL to
//! itself.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::node::Control;
use crate::store::lock;
use crate::store::service_time::Servers;
use crate::telemetry::process::resident_bytes;
use crate::telemetry::sampling::Share;
use crate::wire::Wires;

/// How often a process that burns its processor begins to.
const BURN_PERIOD: Duration = Duration::from_millis(20);

/// How often a process that leaks takes more.
const LEAK_PERIOD: Duration = Duration::from_millis(100);

/// How often a process looks whether it is over its limit.
const LIMIT_PERIOD: Duration = Duration::from_millis(250);

/// Memory is taken from the system in blocks of 64 MiB: they are over the 32 MiB up to which an
/// allocator may keep what is given back (glibc, `DEFAULT_MMAP_THRESHOLD_MAX`).
const LEAK_BLOCK: usize = 64 << 20;

/// What every process has that can be turned.
pub(super) struct Process {
    pub(super) servers: Arc<Servers>,
    wires: Wires,
    memory_limit_bytes: u64,
    sampling: Result<Share, &'static str>,
    burning: Task,
    leaking: Task,
}

/// Something that goes on until something else takes its place.
#[derive(Default)]
struct Task(Mutex<Option<AbortHandle>>);

impl Task {
    /// Ends what goes on, and begins something else.
    fn replace(&self, next: Option<AbortHandle>) {
        if let Some(before) = std::mem::replace(&mut *lock(&self.0), next) {
            before.abort();
        }
    }
}

impl Process {
    /// A process in which nothing is turned yet; without a share of traces, the reason.
    pub(super) fn new(
        servers: Arc<Servers>,
        wires: Wires,
        memory_limit_bytes: u64,
        sampling: Result<Share, &'static str>,
    ) -> Self {
        Self { servers, wires, memory_limit_bytes, sampling, burning: Task::default(), leaking: Task::default() }
    }

    /// Turns something, or returns the control that is not about the process as such. Called inside the
    /// runtime that serves.
    pub(super) fn turn(&self, control: Control) -> Result<Option<Control>, String> {
        match control {
            Control::Slow { by, refused } => self.servers.slow(by, refused),
            Control::WireDelay { to, by } => self.wires.delay(to, by),
            Control::Sample { share } => self.sampling.as_ref().map_err(|&why| why.to_owned())?.keep(share),
            Control::BurnCpu { share } => {
                self.burning.replace((share > 0.0).then(|| tokio::spawn(burn(share)).abort_handle()));
            }
            Control::Leak { bytes_per_second } => {
                let leak = leak(bytes_per_second, self.memory_limit_bytes);
                self.leaking.replace((bytes_per_second > 0).then(|| tokio::spawn(leak).abort_handle()));
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }
}

/// Computes for a share of the time, and lets nothing else of this process run meanwhile.
async fn burn(share: f64) {
    let slice = BURN_PERIOD.mul_f64(share.clamp(0.0, 1.0));
    let mut periods = tokio::time::interval(BURN_PERIOD);
    periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        periods.tick().await;
        let since = Instant::now();
        let mut number = 1_u64;
        while since.elapsed() < slice {
            for _ in 0..1_000 {
                number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    }
}

/// Ends the whole process once it has more memory than its limit, if the system tells what it has.
pub(super) async fn keep_within(limit: u64) {
    let mut periods = tokio::time::interval_at(tokio::time::Instant::now() + LIMIT_PERIOD, LIMIT_PERIOD);
    periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        periods.tick().await;
        if resident_bytes().is_some_and(|used| used > limit) {
            end_without_notice();
        }
    }
}

/// Ends this process as the kernel ends a container at its limit: with nothing flushed.
fn end_without_notice() {
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Takes memory and holds it; ends the whole process when that would pass the limit.
async fn leak(bytes_per_second: u64, limit: u64) {
    let step = (bytes_per_second as f64 * LEAK_PERIOD.as_secs_f64()) as usize;
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let mut periods = tokio::time::interval(LEAK_PERIOD);
    loop {
        periods.tick().await;
        // Where the system does not tell, at least what was taken here is known.
        let used = resident_bytes().unwrap_or_else(|| blocks.iter().map(|block| block.len() as u64).sum());
        if used + step as u64 > limit {
            end_without_notice();
        }
        take(&mut blocks, step);
    }
}

/// Takes so many bytes more. They are written to, since memory that nobody touched is not there.
fn take(blocks: &mut Vec<Vec<u8>>, bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        match blocks.last_mut() {
            Some(block) if block.len() < block.capacity() => {
                let some = left.min(block.capacity() - block.len());
                block.resize(block.len() + some, 1);
                left -= some;
            }
            _ => blocks.push(Vec::with_capacity(LEAK_BLOCK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(sampling: Result<Share, &'static str>) -> Process {
        Process::new(Arc::new(Servers::new(None, 1)), Wires::default(), u64::MAX, sampling)
    }

    #[tokio::test]
    async fn a_process_that_burns_is_late_until_it_is_put_back() {
        let process = process(Ok(Share::default()));
        let slowest = async || {
            let mut slowest = Duration::ZERO;
            for _ in 0..10 {
                let due = Instant::now() + Duration::from_millis(5);
                tokio::time::sleep_until(due.into()).await;
                slowest = slowest.max(due.elapsed());
            }
            slowest
        };
        process.turn(Control::BurnCpu { share: 0.9 }).unwrap();
        assert!(slowest().await > Duration::from_millis(8));
        process.turn(Control::BurnCpu { share: 0.0 }).unwrap();
        // The machine may be busy with something else at times, but not all the time.
        let put_back = async { while slowest().await > Duration::from_millis(8) {} };
        tokio::time::timeout(Duration::from_secs(20), put_back).await.unwrap();
    }

    #[tokio::test]
    async fn sampling_that_the_environment_sets_is_refused_with_the_reason() {
        let refused = process(Err("the environment sets it")).turn(Control::Sample { share: 0.5 });
        assert_eq!(refused, Err("the environment sets it".to_owned()));
        assert_eq!(process(Ok(Share::default())).turn(Control::Sample { share: 0.5 }), Ok(None));
        assert_eq!(process(Ok(Share::default())).turn(Control::Promote), Ok(Some(Control::Promote)));
    }
}
