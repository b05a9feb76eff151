//! How application and worker talk to the stores: pooled connections, one CLIENT span a call.

pub(crate) mod cache;
pub(crate) mod database;
pub(crate) mod link;
pub(crate) mod objects;
pub(crate) mod pool;
pub(crate) mod queue;

use std::future::Future;
use std::time::Duration;

use tracing::{Instrument, Span};

use crate::telemetry::spans;
use crate::wire::WireError;

/// Longest wait for a store's answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a call inside its span and marks the span when the call fails.
async fn traced<R>(span: Span, call: impl Future<Output = Result<R, WireError>>) -> Result<R, WireError> {
    let result = call.instrument(span.clone()).await;
    if let Err(error) = &result {
        spans::fail(&span, error.kind(), format!("failed to {error}"));
    }
    result
}
