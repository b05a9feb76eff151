//! What a process knows of itself: processor time, memory, and how late its runtime is.
//!
//! All is read from the operating system, so it is what the process really uses; what a governor holds
//! requests back for is no processor time and is not in here (see [`super::workers`]). What a system
//! does not tell is left out.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry::{KeyValue, global};
use rustix::time::{ClockId, clock_gettime};

use crate::store::lock;
use crate::telemetry::instruments;

/// How often the runtime's timer is tried. It counts in milliseconds and rounds up (`tokio::time`), so that an
/// idle process is up to one late as well.
const TICK: Duration = Duration::from_millis(10);

/// A shorter time, as before the last report of a process that ends, says nothing of a share.
const SHORTEST: Duration = Duration::from_millis(100);

/// Bucket bounds of delays, in seconds: from the timer's own millisecond up to a long pause.
const DELAY_SECONDS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5];

/// Bytes that this process has in memory, if the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Seconds that this process computed, for itself and in the kernel, if the system tells them apart.
fn cpu_seconds() -> Option<(f64, f64)> {
    #[cfg(target_os = "linux")]
    {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let (user, system) = ticks(&stat)?;
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Some((user as f64 / per_second, system as f64 / per_second))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Reads `utime` and `stime`, fields 14 and 15, from `/proc/self/stat` (proc(5)).
#[cfg(any(target_os = "linux", test))]
fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The name, field 2, is in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// All that this process computed, to the nanosecond.
fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

/// Reports the process, as long as it lives; called once, inside its runtime.
pub(crate) fn measure(memory_limit_bytes: u64) {
    measure_cpu();
    measure_memory(memory_limit_bytes);
    measure_delay();
}

fn measure_cpu() {
    let meter = global::meter("process");
    meter
        .f64_observable_counter("process.cpu.time")
        .with_description("Processor time of this process.")
        .with_unit("s")
        .with_callback(|observer| {
            if let Some((user, system)) = cpu_seconds() {
                observer.observe(user, &[KeyValue::new("cpu.mode", "user")]);
                observer.observe(system, &[KeyValue::new("cpu.mode", "system")]);
            }
        })
        .build();
    let before = Mutex::new((Instant::now(), cpu_time()));
    meter
        .f64_observable_gauge("process.cpu.utilization")
        .with_description("Processor time of this process since the last report, as a share of one core.")
        .with_unit("1")
        .with_callback(move |observer| {
            let mut before = lock(&before);
            let (now, spent) = (Instant::now(), cpu_time());
            let passed = now.duration_since(before.0);
            if passed >= SHORTEST {
                observer.observe(spent.saturating_sub(before.1).as_secs_f64() / passed.as_secs_f64(), &[]);
                *before = (now, spent);
            }
        })
        .build();
}

fn measure_memory(limit: u64) {
    let meter = global::meter("process");
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_description("Memory of this process that is resident.")
        .with_unit("By")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes as i64, &[]);
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter("process.memory.limit")
        .with_description("Memory that this process may have: with more it is killed.")
        .with_unit("By")
        .with_callback(move |observer| observer.observe(limit as i64, &[]))
        .build();
}

fn measure_delay() {
    let delay = instruments::histogram(
        "process",
        "process.scheduling.delay",
        "How late a 10 ms timer of this process's runtime fires; its grain of a millisecond is in it.",
        &DELAY_SECONDS,
    );
    tokio::spawn(async move {
        loop {
            let due = tokio::time::Instant::now() + TICK;
            tokio::time::sleep_until(due).await;
            delay.record(due.elapsed().as_secs_f64(), &[]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_also_of_a_program_with_an_odd_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 17 5 0 0 20 0 3 0 100 1000 200";
        assert_eq!(ticks(stat), Some((17, 5)));
        assert_eq!(ticks(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_this_process_uses_is_seen() {
        let before = resident_bytes().unwrap();
        let block = vec![1_u8; 64 << 20];
        let grown = resident_bytes().unwrap() - before;
        assert!(grown > 32 << 20, "{} of {} bytes are seen", grown, block.len());

        let before = cpu_time();
        while cpu_time().saturating_sub(before) < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let (user, system) = cpu_seconds().unwrap();
        assert!((user + system - cpu_time().as_secs_f64()).abs() < 0.5);
    }
}
