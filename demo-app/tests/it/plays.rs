//! Faults by their names, and scenario files: all of them can be played, and the truth of them is told.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::play::Play;
use tiertop_demo::scenario::Scenario;
use tiertop_demo::{Demo, NodeInfo, NodeState, Phase, Role};

use crate::{NOBODY, eventually, options};

fn tiertop_demo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiertop-demo"));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY).args(arguments).output().unwrap()
}

/// Who is in a demo, and whether they run.
fn seats(demo: &Demo) -> Vec<(String, NodeState)> {
    let seat = |node: NodeInfo| (node.name, node.state);
    let mut seats: Vec<_> = demo.nodes().into_iter().map(seat).collect();
    seats.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    seats
}

/// Begins and ends each fault that is usually played in a phase, at each intensity.
async fn begin_and_end_all(phase: Phase) {
    let mut options = options(NOBODY);
    (options.phase, options.settings) = (phase, tiertop_demo::Settings::of(phase));
    let demo = Demo::start(options).await.unwrap();
    let before = seats(&demo);
    for fault in Fault::all().filter(|fault| fault.usual_phase() == phase) {
        for intensity in [Intensity::Low, Intensity::Medium, Intensity::High] {
            let what = format!("{} at {intensity:?}", fault.name());
            let begun = demo.begin(&fault.effects(intensity)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            demo.end(begun).await.unwrap_or_else(|error| panic!("{what} does not end: {error}"));
            eventually(&what, async || (seats(&demo) == before).then_some(())).await;
        }
    }
    let dial = *demo.dial().borrow();
    assert_eq!(dial, tiertop_demo::load::Dial::default());
    demo.stop().await.unwrap();
}

#[tokio::test]
async fn faults_of_a_single_box_begin_and_end() {
    begin_and_end_all(Phase::SINGLE_BOX).await;
}

#[tokio::test]
async fn faults_of_a_web_tier_begin_and_end() {
    begin_and_end_all(Phase::WEB_TIER).await;
}

#[tokio::test]
async fn faults_of_database_reads_begin_and_end() {
    begin_and_end_all(Phase::DATABASE_READS).await;
}

#[tokio::test]
async fn faults_of_spikes_begin_and_end() {
    begin_and_end_all(Phase::SPIKES).await;
}

#[tokio::test]
async fn faults_of_writes_begin_and_end() {
    begin_and_end_all(Phase::WRITES).await;
}

/// Plays a fault until `over` completes; returns how many application instances there are right after.
async fn apps_after(demo: &Demo, over: impl Future<Output = ()>) -> usize {
    let (healthy, lasting) = (Duration::from_millis(100), Duration::from_millis(300));
    let mut scenario = Scenario::of(Fault::OverProvisioned, Intensity::High, healthy, lasting, Duration::ZERO);
    scenario.load.rate = 0.0;
    let play = Play { duration: None, ..Play::of(scenario) };
    play.run(demo, over).await.unwrap();
    apps(demo)
}

fn apps(demo: &Demo) -> usize {
    demo.nodes().iter().filter(|node| node.role == Role::App).count()
}

#[tokio::test]
async fn a_play_that_is_over_while_a_fault_begins_or_ends_puts_it_back_whole() {
    let mut options = options(NOBODY);
    options.settings.autoscaled = false;
    let demo = Demo::start(options).await.unwrap();
    let before = apps(&demo);
    let begins = eventually("its begin", async || (apps(&demo) > before).then_some(()));
    assert_eq!(apps_after(&demo, begins).await, before);

    let mut truth = demo.truth();
    let told = truth.borrow_and_update().len();
    let ends = async {
        // The truth is told when what was changed starts to be put back.
        truth.wait_for(|lines| lines.len() > told).await.unwrap();
    };
    assert_eq!(apps_after(&demo, ends).await, before);
    demo.stop().await.unwrap();
}

const SHORT: &str = r#"
    name = "short"
    phase = 3
    duration = "2s"
    [load]
    rate = 20.0
    [[fault]]
    fault = "replica-lag"
    at = "300ms"
    for = "500ms"
    [[fault]]
    fault = "traffic-spike"
    at = "500ms"
    for = "500ms"
    truth = { tier = "app", class = "traffic-spike", phase = [4] }
"#;

#[test]
fn a_scenario_file_is_played_and_its_truth_written_as_each_fault_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("short.toml");
    std::fs::write(&file, SHORT).unwrap();
    let file = file.to_str().unwrap();
    let output = tiertop_demo(&["run", file, "--truth", "-"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines: Vec<Value> =
        output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let classes: Vec<&str> = lines.iter().map(|line| line["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["replica-lag", "traffic-spike"], "{said}");
    assert_eq!((&lines[0]["scenario"], &lines[0]["tier"]), (&"short".into(), &"db-replica".into()));
    let lasted = |line: &Value| {
        let at = |which: &str| line[which].as_u64().unwrap() as f64 / 1e9;
        at("ended_unix_nanos") - at("began_unix_nanos")
    };
    assert!(lines.iter().all(|line| (0.5..1.5).contains(&lasted(line))), "{lines:?}");

    let output = tiertop_demo(&["run", file, "--rate", "5"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("cannot be used with"), "{said}");
    let output = tiertop_demo(&["run", "--fault", "cache-flush", "--phase", "2"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("try --phase 3"), "{said}");
    let output = tiertop_demo(&["run", "--fault", "cache-flush", "--duration", "60s"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("try a shorter --fault-after"), "{said}");
}

#[test]
fn the_faults_are_listed_with_their_phase_and_truth() {
    let text = String::from_utf8(tiertop_demo(&["faults"]).stdout).unwrap();
    for fault in Fault::all() {
        let line = text.lines().find(|line| line.starts_with(&format!("{} ", fault.name()))).unwrap();
        assert!(line.contains(&fault.description()), "{line}");
    }
}
