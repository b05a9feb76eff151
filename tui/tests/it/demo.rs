//! `tiertop demo`: a whole system on the screen and in the report, of which nothing is left.

use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{all_end, arguments, children, ended, is_empty, signal};
use crate::session::Session;
use crate::{printed, said, tiertop};

/// The kinds of the reference system, in request order.
const KINDS: [&str; 11] =
    ["edge", "lb", "web", "app", "cache", "db-primary", "db-replica", "object-store", "queue", "worker", "external"];

/// The edge, the balancer, two web servers, two applications, two workers, two caches, the primary with its
/// standby and two replicas, the queue, the object store and the third party.
const PROCESSES: usize = 17;

/// A demo on the screen, with its processes and the folder that its files are in.
struct Demo {
    session: Session,
    folder: TempDir,
    processes: Vec<u32>,
}

impl Demo {
    /// Starts one and waits for all its tiers.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().to_str().unwrap();
        let mut session = Session::start(&["demo"], &[("TMPDIR", temporary), ("RUST_BACKTRACE", "1")]);
        session.until("all tiers", |screen| {
            let text = screen.contents();
            // Only in the table of tiers the name stands in a column of its own.
            KINDS.iter().all(|kind| {
                text.lines().any(|line| line.trim_start_matches(['▸', ' ']).starts_with(&format!("{kind:<12} ")))
            })
        });
        let processes = children(session.pid());
        assert_eq!(processes.len(), PROCESSES);
        assert!(!is_empty(folder.path()));
        Self { session, folder, processes }
    }

    /// Waits for the end and returns the exit code, nothing being left.
    fn ends(self, said: &str) -> u32 {
        let code = self.session.ends(said);
        assert!(self.processes.iter().all(|pid| ended(*pid)), "a process is left");
        assert!(is_empty(self.folder.path()), "files are left");
        code
    }
}

#[test]
fn all_tiers_show_and_keys_lead_through_the_screens() {
    let mut demo = Demo::start();
    let session = &mut demo.session;
    session.press("?");
    session.until_text("this help");
    session.press("\x1b");
    session.until_instead("Enter open  d", "this help");
    session.press("\r");
    session.until_instead("[operations", "Enter open  d");
    session.press("\x1b");
    session.until_instead("Enter open  d", "[operations");
    session.press(" ");
    session.until_text("PAUSED");
    session.press(" ");
    session.until_text("LIVE");
    session.press("q");
    assert_eq!(demo.ends(""), 0);
}

#[test]
fn signals_end_the_whole_demo() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let demo = Demo::start();
        demo.session.signal(signal);
        assert_eq!(demo.ends(""), code);
    }
}

#[test]
fn a_demo_that_is_killed_leaves_nothing() {
    let demo = Demo::start();
    demo.session.signal(Signal::KILL);
    all_end(&demo.processes);
    assert!(is_empty(demo.folder.path()));
}

/// The process of the balancer, once it is another than before.
fn balancer(demo: &Demo, before: Option<u32>) -> u32 {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let found = children(demo.session.pid()).into_iter().find(|pid| arguments(*pid).contains(" lb-a "));
        match found.filter(|&pid| Some(pid) != before && !ended(pid)) {
            Some(pid) => return pid,
            None => assert!(std::time::Instant::now() < deadline, "the balancer does not come back"),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_process_that_ends_again_and_again_ends_the_demo_and_is_named() {
    let demo = Demo::start();
    let mut before = None;
    for _ in 0..4 {
        let pid = balancer(&demo, before);
        signal(pid, Signal::KILL);
        before = Some(pid);
    }
    assert_eq!(demo.ends("tiertop: failed to keep lb-a running: signal: 9 (SIGKILL)"), 1);
}

fn headless(folder: &Path, more: &[&str]) -> std::process::Child {
    // Little load, with enough writes for every tier to be seen within seconds.
    tiertop(&["demo", "--headless", "--rate", "30", "--reads-per-write", "10"])
        .args(more)
        .env("TMPDIR", folder)
        .spawn()
        .unwrap()
}

fn succeeded(output: &Output) -> &str {
    assert!(output.status.success(), "{}", said(output));
    assert!(!said(output).contains("BACKTRACE"));
    printed(output)
}

#[test]
fn without_a_screen_it_reports_and_sigterm_ends_it_early_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let timed = headless(folder.path(), &["--duration", "16s"]);
    let stopped = headless(folder.path(), &["--duration", "10m", "--json"]);
    let timed = timed.wait_with_output().unwrap();
    let processes = children(stopped.id());
    signal(stopped.id(), Signal::TERM);
    let stopped = stopped.wait_with_output().unwrap();
    assert!(processes.iter().all(|pid| ended(*pid)) && is_empty(folder.path()));

    let text = succeeded(&timed);
    for kind in KINDS {
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(&format!("{kind:<12} "))),
            "no {kind} in\n{text}"
        );
    }
    for figure in ["cache hit rate", "replica lag", "queue depth", " requests in ", "no coordinated omission"] {
        assert!(text.contains(figure), "no {figure} in\n{text}");
    }
    assert!(!text.contains('\x1b'));
    assert_is_whole(&serde_json::from_str(succeeded(&stopped)).unwrap());
}

#[test]
fn without_a_screen_it_says_when_its_fault_began_and_ended_beside_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let times = ["--fault-after", "1s", "--fault-for", "1s", "--duration", "3s"];
    let played = headless(folder.path(), &[&["--fault", "replica-lag"], &times[..]].concat());
    let played = played.wait_with_output().unwrap();
    let figures = succeeded(&played);
    assert!(said(&played).contains("tiertop demo: replica-lag was wrong from "), "{}", said(&played));
    assert!(!figures.contains("was wrong"), "{figures}");
}

/// Asserts that a snapshot knows everything there is to know of the demo.
fn assert_is_whole(snapshot: &Value) {
    let tiers = snapshot["tiers"].as_array().unwrap();
    let mut kinds: Vec<&str> = tiers.iter().map(|tier| tier["kind"].as_str().unwrap()).collect();
    // Each node of the cache is a tier of its own.
    kinds.dedup();
    assert_eq!(kinds, KINDS);
    for tier in tiers {
        assert!(!tier["member"].as_str().unwrap().is_empty());
        // Of a store that has a name of its own nobody says how many there are.
        let wanted = match tier["kind"].as_str().unwrap() {
            "web" | "app" | "worker" => 2,
            "edge" | "lb" => 1,
            _ => 0,
        };
        let instances = tier["instances"].as_array().unwrap().len();
        assert!(instances >= wanted, "{} has {instances} instances", tier["id"]);
    }
    for kind in ["cache-hit-ratio", "replica-lag-seconds", "queue-depth", "queue-oldest-age-seconds"] {
        let mut signals = snapshot["signals"].as_array().unwrap().iter().filter(|signal| signal["kind"] == kind);
        assert!(signals.any(|signal| signal["value"].is_f64()), "{kind} is not known");
    }
    let pipeline = &snapshot["pipeline"];
    assert!(pipeline["spans_accepted"].as_u64() > Some(0) && pipeline["points_accepted"].as_u64() > Some(0));
    assert!(pipeline["spans_refused"] == 0 && pipeline["points_refused"] == 0, "{pipeline}");
}
