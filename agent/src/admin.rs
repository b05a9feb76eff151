//! The admin port: how the agent itself is, for probes and for Prometheus.
//!
//! `/healthz` answers while the process lives. `/readyz` answers 200 when telemetry is listened for
//! and the engine makes snapshots, else 503 and why. `/metrics` is the Prometheus text format.

pub mod prometheus;

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tiertop_core::snapshot::{IngestCounts, Snapshot};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::intake::Intake;

pub use prometheus::encode;

/// A snapshot older than this means that the engine has stopped; it makes one a second.
const STALE_AFTER_MS: u64 = 5_000;

/// What the admin port tells of.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The latest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where the receivers count.
    pub intake: Intake,
}

/// Serves the admin port until `stop` turns true or its sender is gone.
pub async fn serve(listener: TcpListener, admin: Admin, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    axum::serve(listener, router(admin))
        .with_graceful_shutdown(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
}

/// The admin port's pages.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    match readiness(&snapshot, &admin.intake.counts(), now_ms()) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    let page = encode(&snapshot, &admin.intake.counts());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
}

/// Whether telemetry is listened for and the engine makes snapshots, or what is missing.
pub fn readiness(snapshot: &Snapshot, counts: &IngestCounts, now_ms: u64) -> Result<(), String> {
    if counts.listening.is_empty() {
        return Err("no port is listened on".to_owned());
    }
    if snapshot.at_unix_ms == 0 {
        return Err("the engine has made no snapshot yet".to_owned());
    }
    let age_ms = now_ms.saturating_sub(snapshot.at_unix_ms);
    if age_ms > STALE_AFTER_MS {
        return Err(format!("the engine's last snapshot is {} s old", age_ms / 1000));
    }
    Ok(())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing() {
        let listening = IngestCounts { listening: vec!["grpc 127.0.0.1:4317".to_owned()], ..Default::default() };
        let fresh = Snapshot { at_unix_ms: 10_000, ..Snapshot::default() };
        assert_eq!(readiness(&fresh, &listening, 11_000), Ok(()));
        let table = [
            (readiness(&fresh, &IngestCounts::default(), 11_000), "no port is listened on"),
            (readiness(&Snapshot::default(), &listening, 11_000), "the engine has made no snapshot yet"),
            (readiness(&fresh, &listening, 17_000), "the engine's last snapshot is 7 s old"),
        ];
        for (answer, why) in table {
            assert_eq!(answer.unwrap_err(), why);
        }
    }
}
