//! The demo as a whole: real processes, real sockets, and a small OTLP receiver of the tests' own.

#![expect(clippy::unwrap_used, reason = "also the helpers here are tests")]

mod api;
mod client;
mod control;
mod failover;
mod faults;
mod kills;
mod lifetime;
mod metrics;
mod node;
mod plays;
#[path = "../support/receiver.rs"]
mod receiver;
mod sink;
mod spans;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use tiertop_demo::{Demo, DemoOptions, Phase};

/// Longest wait for something that should happen soon; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// The options of a small demo that reports to `endpoint`.
fn options(endpoint: &str) -> DemoOptions {
    options_of(Phase::WRITES, endpoint)
}

/// The options of a phase's system, with few contents, that reports to `endpoint`.
fn options_of(phase: Phase, endpoint: &str) -> DemoOptions {
    let program = env!("CARGO_BIN_EXE_tiertop-demo");
    let mut options = DemoOptions::new(vec![OsString::from(program), OsString::from("node")], phase);
    endpoint.clone_into(&mut options.otlp_endpoint);
    options.load.items = 50;
    options
}

/// An endpoint where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

async fn demo(endpoint: &str) -> Demo {
    Demo::start(options(endpoint)).await.expect("the demo starts")
}

/// Asks again and again until there is an answer.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
