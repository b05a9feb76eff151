//! The real binary, from outside: what it draws in a pseudo-terminal, what it prints, how it ends,
//! and that nothing is left behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod agent;
mod agent_process;
mod analyze;
mod config;
#[cfg(feature = "demo")]
mod demo;
/// Only debug builds have the made-up data.
#[cfg(debug_assertions)]
mod fixture;
mod processes;
mod refusals;
mod replay;
#[cfg(feature = "demo")]
mod scorecard;
mod session;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: builders are slow at times.
const PATIENCE: Duration = Duration::from_secs(30);

/// Any free port of this machine.
const ANY_PORT: &str = "127.0.0.1:0";

/// The binary without a terminal, and with nothing in its environment that could change its mind.
fn tiertop(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiertop"));
    command.env_clear().env("RUST_BACKTRACE", "1").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it wrote to standard output.
fn printed(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

/// What it wrote to standard error.
fn said(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// Asks again and again until there is an answer.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
