//! Ties a node's life to its parent's: three ways to notice the end, whichever comes first.
//!
//! 1. The parent's end of our standard input closes.
//! 2. On Linux the kernel sends SIGHUP when the thread that started us ends. That is not SIGTERM,
//!    since who our parent is does not tell the two apart: a killed process loses its threads one
//!    by one, and is our parent until the last is gone.
//! 3. The parent itself sends SIGTERM: then it is alive and cleans up after us.
//!
//! A process that a fault has stopped handles none of these, so a node that lost its parent wakes
//! its siblings before it ends. The kernel would do so as well, since each node leads a process
//! group that the parent's end orphans (SIGHUP, SIGCONT), but not for one that is about to stop.

use std::io::{self, BufRead};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc;

use crate::node::Order;

/// How many orders may wait to be heard; more wait in the pipe.
const ORDERS: usize = 64;

/// Why a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The parent asked for it.
    Asked,
    /// The parent is gone.
    ParentLost,
}

/// Asks the kernel to end this process with its parent.
fn tie_to_parent() {
    #[cfg(target_os = "linux")]
    {
        // Where the kernel refuses, the closed standard input still tells.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::HUP));
    }
}

/// What a node hears from outside.
#[derive(Debug)]
pub(super) enum Heard {
    Order(Order),
    /// A line that is no order, and why.
    Nonsense(String),
    End(End),
}

/// The parent, as a node sees it.
pub(super) struct Parent {
    orders: mpsc::Receiver<Result<Order, String>>,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

impl Parent {
    /// Takes over the signals and standard input, and asks the kernel for its signal.
    pub(super) fn listen() -> io::Result<Self> {
        let parent = Self {
            orders: orders(),
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        };
        // Not before it would be heard: unheard it would end us with our files still there.
        tie_to_parent();
        Ok(parent)
    }

    /// Waits for the next order, or for the end.
    pub(super) async fn hear(&mut self) -> Heard {
        tokio::select! {
            order = self.orders.recv() => match order {
                Some(Ok(order)) => Heard::Order(order),
                Some(Err(why)) => Heard::Nonsense(why),
                None => Heard::End(End::ParentLost),
            },
            _ = self.terminate.recv() => Heard::End(End::Asked),
            _ = self.hang_up.recv() => Heard::End(End::ParentLost),
        }
    }
}

/// Wakes processes that may be stopped, so that they hear of their end. For one that runs, or for a
/// stranger that has been given the same number since, it changes nothing.
pub(super) fn wake(pids: &[u32]) {
    for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid.cast_signed())) {
        // One that is gone needs no waking.
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Returns the parent's orders; the channel closes when the parent is gone.
///
/// A thread reads them, since reading a pipe blocks. It does not hold up the end of the process.
fn orders() -> mpsc::Receiver<Result<Order, String>> {
    let (sender, receiver) = mpsc::channel(ORDERS);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let order = serde_json::from_str(&line).map_err(|error| error.to_string());
            if sender.blocking_send(order).is_err() {
                break;
            }
        }
    });
    receiver
}
