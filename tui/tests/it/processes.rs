//! Other processes, as `/proc` tells of them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;

/// What a process is doing, as a letter, and its parent.
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, but the last bracket is its end.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process has ended; one that only waits to be collected by its parent has.
pub(crate) fn ended(pid: u32) -> bool {
    state(pid).is_none_or(|(state, _)| state == 'Z')
}

/// The processes that a process has started and that still run.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| state(*pid).is_some_and(|(state, its)| its == parent && state != 'Z')).collect()
}

/// The arguments of a process, with blanks between.
pub(crate) fn arguments(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

pub(crate) fn all_end(pids: &[u32]) {
    eventually("all processes to end", || pids.iter().all(|pid| ended(*pid)).then_some(()));
}

pub(crate) fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
