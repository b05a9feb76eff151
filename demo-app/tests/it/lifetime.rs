//! The demo leaves nothing behind, however it ends.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tiertop_demo::fault::Effect;
use tiertop_demo::{Demo, DemoOptions, NodeInfo, NodeState, Phase, Role};

use crate::{NOBODY, demo, eventually, options};

/// Whether a process has ended; one that only waits to be collected by its parent has.
fn ended(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

fn pids(demo: &Demo) -> Vec<u32> {
    demo.nodes().iter().map(|node| node.pid).collect()
}

async fn all_end(pids: &[u32]) {
    eventually("all nodes to end", async || pids.iter().all(|&pid| ended(pid)).then_some(())).await;
}

/// Starts the binary as a parent of its own, with its files in `folder`; returns the nodes' pids.
fn parent(folder: &Path) -> (Child, Vec<(String, u32)>) {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_tiertop-demo"))
        .args(["run", "--rate", "20", "--duration", "1m", "--otlp-endpoint", NOBODY])
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let mut nodes = Vec::new();
    for line in lines {
        let line = line.unwrap();
        let mut words = line.split_whitespace();
        if let (Some(name), Some("pid"), Some(pid)) = (words.next(), words.next(), words.next()) {
            nodes.push((name.to_owned(), pid.parse().unwrap()));
        }
        if line.trim_start().starts_with("edge-a") {
            break;
        }
    }
    assert_eq!(nodes.len(), Phase::WRITES.seats().len());
    (parent, nodes)
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test]
async fn nodes_end_and_clean_up_when_the_parent_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut parent, nodes) = parent(folder.path());
    assert!(!is_empty(folder.path()));
    // A stopped node ends as well.
    let worker = nodes.iter().find(|(name, _)| name == "worker-a").unwrap().1;
    kill(worker, Signal::STOP);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let pids: Vec<u32> = nodes.iter().map(|(_, pid)| *pid).collect();
    all_end(&pids).await;
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn the_binary_ends_in_good_order_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (mut parent, nodes) = parent(folder.path());
    kill(parent.id(), Signal::TERM);
    let status = eventually("the parent to end", async || parent.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    assert!(nodes.iter().all(|(_, pid)| ended(*pid)));
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn a_demo_that_is_stopped_or_dropped_leaves_nothing() {
    let stopped = demo(NOBODY).await;
    let (pids_, folder) = (pids(&stopped), stopped.folder().to_owned());
    let frozen = stopped.begin(&[Effect::Freeze { role: Role::Worker, count: 2 }]).await.unwrap();
    stopped.stop().await.unwrap();
    drop(frozen);
    assert!(pids_.iter().all(|&pid| ended(pid)));
    assert!(!folder.exists());

    let dropped = demo(NOBODY).await;
    let (pids_, folder) = (pids(&dropped), dropped.folder().to_owned());
    drop(dropped);
    assert!(!folder.exists());
    all_end(&pids_).await;
}

/// Waits until a node runs in another process than before.
async fn back(demo: &Demo, name: &str, before: u32) -> NodeInfo {
    let again = |node: &NodeInfo| node.name == name && node.pid != before && node.state == NodeState::Running;
    eventually("the node to come back", async || demo.nodes().into_iter().find(again)).await
}

#[tokio::test]
async fn a_node_that_ends_by_itself_comes_back_at_its_port() {
    let demo = demo(NOBODY).await;
    let node = demo.nodes().into_iter().find(|node| node.role == Role::Cache).unwrap();
    kill(node.pid, Signal::KILL);
    let again = back(&demo, &node.name, node.pid).await;
    assert_eq!((again.address, again.zone), (node.address, node.zone));
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_ends_again_and_again_is_told() {
    let demo = demo(NOBODY).await;
    let mut node = demo.nodes().into_iter().find(|node| node.role == Role::Cache).unwrap();
    for _ in 0..3 {
        kill(node.pid, Signal::KILL);
        node = back(&demo, &node.name, node.pid).await;
    }
    kill(node.pid, Signal::KILL);
    let exit = demo.wait_any_exit().await;
    assert_eq!(exit.name, "cache-a");
    assert!(exit.why.contains("signal: 9"), "{}", exit.why);
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn what_keeps_a_node_from_starting_reaches_the_caller() {
    let error = Demo::start(options("not an endpoint")).await.unwrap_err().to_string();
    assert!(error.contains("set up telemetry for not an endpoint"), "{error}");

    let wrong = |program: &str| Demo::start(DemoOptions::new(vec![OsString::from(program)], Phase::WRITES));
    let error = wrong("/does/not/exist").await.unwrap_err().to_string();
    assert!(error.contains("/does/not/exist"), "{error}");
    let error = wrong("false").await.unwrap_err().to_string();
    assert!(error.contains("cache-a"), "{error}");
    assert!(Demo::start(DemoOptions::new(Vec::new(), Phase::WRITES)).await.is_err());
}

#[test]
fn a_load_without_failures_is_reported_and_bad_arguments_say_what_to_do() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiertop-demo"));
        command.arg("run").env("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY).args(arguments);
        command.output().unwrap()
    };
    let output = run(&["--rate", "50", "--duration", "2s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 0 failed, 0 timed out"), "{text}");

    for (arguments, expected) in [
        (["--duration", "20"], "time unit needed"),
        (["--rate", "-1"], "try --rate 80"),
        (["--otlp-endpoint", "localhost 4317"], "try --otlp-endpoint http://127.0.0.1:4317"),
        (["--fault", "flood"], "cache-flush, cache-hot-key, replica-lag"),
        (["--curve", "wave"], "spike:TO:AT:FOR"),
        (["--control", "0.0.0.0:7070"], "not an address on loopback"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
