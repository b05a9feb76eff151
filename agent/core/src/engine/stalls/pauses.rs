//! Pauses of a process by its own account: how late its runtime's timers were, or how long it collected garbage.
//!
//! They show what completions cannot where few requests come. A pause that most who tell of pauses had at the
//! same time is the machine's, not the process's, and one that completions showed already is told once.

use super::super::processes::ProcessId;
use super::{Engine, Found, Standing};
use crate::snapshot::StallView;
use crate::stalls::Gap;
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// Shortest pause that is told: what callers of a web service begin to feel.
const SHORTEST_NANOS: u64 = 100_000_000;
/// So long after a report those of the others have come.
const WAIT_NANOS: u64 = 2 * NANOS_PER_SECOND;
/// Reports of one second of different processes are so far apart at most; so are two accounts of one pause.
const APART_NANOS: u64 = 2 * NANOS_PER_SECOND + NANOS_PER_SECOND / 2;
/// Pauses that are kept.
const MOST_KEPT: usize = 1_024;

/// A pause as it was reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    process: ProcessId,
    /// When it was reported: it ended before.
    at: UnixNanos,
    /// At least so long.
    nanos: u64,
    told: bool,
}

impl super::Stalls {
    /// Takes note of the longest pause, in seconds, that a process reports for the time since its last report.
    pub(in crate::engine) fn paused(&mut self, process: ProcessId, at: UnixNanos, seconds: f64) {
        if !self.tell_of_pauses.contains(&process) {
            self.tell_of_pauses.push(process);
        }
        let nanos = (seconds * NANOS_PER_SECOND as f64) as u64;
        if nanos >= SHORTEST_NANOS && self.pauses.len() < MOST_KEPT {
            self.pauses.push(Pause { process, at, nanos, told: false });
        }
    }
}

impl Engine {
    /// Tells pauses of one process as stalls of it.
    pub(super) fn tell_pauses(&mut self) {
        let now = self.now;
        self.stalls.pauses.retain(|pause| pause.at.plus_nanos(3 * APART_NANOS) > now);
        let ready = |pause: &Pause| !pause.told && pause.at.plus_nanos(WAIT_NANOS) <= now;
        let due: Vec<Pause> = self.stalls.pauses.iter().copied().filter(ready).collect();
        self.stalls.pauses.iter_mut().filter(|pause| ready(pause)).for_each(|pause| pause.told = true);
        for pause in due {
            let near = |at: UnixNanos| pause.at.nanos_since(at).max(at.nanos_since(pause.at)) < APART_NANOS;
            let paused = |process: &&ProcessId| {
                self.stalls.pauses.iter().any(|other| other.process == **process && near(other.at))
            };
            let together = self.stalls.tell_of_pauses.iter().filter(paused).count();
            if together > 1 && 2 * together > self.stalls.tell_of_pauses.len() {
                continue;
            }
            let Some(member) = self.member_of(pause.process.0) else { continue };
            let instance = self.processes.get(pause.process).instance_name().to_owned();
            let is_known = |found: &Found| found.view.instance.as_ref() == Some(&instance) && near(found.gap.end);
            if self.stalls.found.iter().any(is_known) {
                continue;
            }
            let gap = Gap { start: pause.at.minus_nanos(pause.nanos), end: pause.at, usual_per_second: 0.0 };
            let view = StallView {
                start_unix_ms: gap.start.as_millis(),
                length_ms: pause.nanos / 1_000_000,
                instance: Some(instance),
                ..StallView::default()
            };
            let standing = Some(Standing { member: Some(member), edge: None, first_moved: None });
            self.stalls.found.push_front(Found { gap, traces: Vec::new(), standing, view });
            self.stalls.found.truncate(super::MOST_TOLD);
        }
    }
}
