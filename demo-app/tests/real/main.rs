//! The demo on real servers, end to end. A machine without PostgreSQL or Redis fails these tests.

#![expect(clippy::unwrap_used, reason = "also the helpers here are tests")]

#[path = "../it/client.rs"]
mod client;
mod faults;
#[path = "../support/receiver.rs"]
mod receiver;
mod service;
#[path = "../it/sink.rs"]
#[expect(dead_code, reason = "the other tests look at more of what was received")]
mod sink;
mod stack;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use tiertop_demo::{Backends, Demo, DemoOptions, Phase, Servers};

/// Longest wait for something that should happen soon; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// Starts a small demo of phase 3 that reports to `endpoint`.
async fn demo(servers: &Servers, endpoint: &str) -> Demo {
    demo_in(Phase::DATABASE_READS, servers, endpoint).await
}

async fn demo_in(phase: Phase, servers: &Servers, endpoint: &str) -> Demo {
    Demo::start(options(phase, servers, endpoint)).await.expect("the demo starts")
}

/// An endpoint where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

fn options(phase: Phase, servers: &Servers, endpoint: &str) -> DemoOptions {
    let program = env!("CARGO_BIN_EXE_tiertop-demo");
    let mut options = DemoOptions::new(vec![OsString::from(program), OsString::from("node")], phase);
    endpoint.clone_into(&mut options.otlp_endpoint);
    options.load.items = 200;
    options.backends = Backends::Real(servers.clone());
    options
}

/// Opens a connection to the database of the primary, as nothing of the demo.
async fn connect(servers: &Servers) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    config.host(servers.primary.ip().to_string()).port(servers.primary.port());
    config.user(&servers.user).dbname(&servers.database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
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
