//! What can be turned in every process, whatever its role.

use std::sync::Arc;

use crate::node::Control;
use crate::store::service_time::Servers;
use crate::wire::Wires;

/// What every process has that can be turned.
pub(super) struct Process {
    pub(super) servers: Arc<Servers>,
    pub(super) wires: Wires,
}

impl Process {
    /// Turns something, or returns the control that is not about the process as such.
    pub(super) fn turn(&self, control: Control) -> Option<Control> {
        match control {
            Control::Slow { by, refused } => self.servers.slow(by, refused),
            Control::WireDelay { to, by } => self.wires.delay(to, by),
            other => return Some(other),
        }
        None
    }
}
