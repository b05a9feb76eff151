//! How application and worker talk to what they depend on: pooled connections, one CLIENT span a call.

pub(crate) mod cache;
pub(crate) mod database;
pub(crate) mod link;
pub(crate) mod objects;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod ratings;
pub(crate) mod replicas;
mod role_clients;

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{Instrument, Span};

use crate::telemetry::spans;
use crate::topology::{Peers, Role};
use crate::wire::{WireError, Wires};

/// Longest wait for a store's answer, unless its pool is less patient.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How this process reaches its peers.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) peers: watch::Receiver<Peers>,
    pub(crate) wires: Wires,
}

impl Network {
    /// Whether the system has an instance of a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.peers.borrow().has(role)
    }
}

/// Runs a call inside its span and marks the span when the call fails.
async fn traced<R>(span: Span, call: impl Future<Output = Result<R, WireError>>) -> Result<R, WireError> {
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result {
        spans::fail(&span, error.kind(), format!("failed to {error}"));
    }
    result
}
