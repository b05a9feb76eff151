//! How far the simulation is from the real services: the same scenarios both ways, figures side by side.
//!
//! Each scenario is shortened to a minute: 15 s healthy, 40 s of its fault, 5 s of recovery. It is played in
//! real time by processes that send to a receiver in this process, then in virtual time; both streams of
//! telemetry are summarized by the same code. Without arguments three scenarios are played, otherwise the
//! given files.
//!
//! ```sh
//! cargo run --release -p tiertop-demo --example distance [FILE..]
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, FromArgMatches};
use receiver::{Received, unix_nanos};
use tiertop_demo::Demo;
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::play::Play;
use tiertop_demo::scenario::{Scenario, TruthLine};
use tiertop_demo::sim::Simulation;
use tiertop_demo::sim::summary::{Figures, Summary, Window};

#[path = "../tests/support/receiver.rs"]
mod receiver;

const HEALTHY: Duration = Duration::from_secs(15);
const LASTING: Duration = Duration::from_secs(40);
const RECOVERY: Duration = Duration::from_secs(5);

/// What both windows begin without: connections open, queues fill, answers that began before come in.
const EDGE: Duration = Duration::from_secs(3);

/// The scenarios that are played without arguments.
const USUAL: [&str; 3] = ["cache-flush", "replica-lag", "pool-exhaustion"];

/// Rows: what is shown, whose spans, and which of them; those that it served where that is empty.
const TIERS: [(&str, &str, &str); 13] = [
    ("edge", "content-edge", ""),
    ("balancer", "content-lb", ""),
    ("web", "content-web", ""),
    ("app", "content-app", ""),
    ("box", "content", ""),
    ("cache, get", "content-app", "GET"),
    ("pool, acquire", "content-app", "pool.acquire"),
    ("database, select", "content-app", "SELECT user_content"),
    ("database, list", "content-app", "SELECT user_content by user"),
    ("database, insert", "content-app", "INSERT user_content"),
    ("object store, get", "content-app", "S3.GetObject"),
    ("third party", "content-app", "GET /ratings/{content_id}"),
    ("worker", "content-worker", ""),
];

/// Rows: what is shown, and a figure of a window.
type Row = (&'static str, fn(&Figures) -> Option<f64>);
const LEVELS: [Row; 10] = [
    ("cache hit rate, %", |figures| figures.hit_rate().map(|rate| 100.0 * rate)),
    ("replica lag at most, s", |figures| figures.most("db.replica.lag")),
    ("queue depth at last", |figures| figures.last("queue.depth")),
    ("oldest message at last, s", |figures| figures.last("queue.oldest_message.age")),
    ("dead letters at last", |figures| figures.last("queue.depth content-dead-letters")),
    ("pool, waiting at most", |figures| figures.most("db.client.connection.pending_requests")),
    ("waiting for the lock at most", |figures| figures.most("db.lock.waiting")),
    ("instances unhealthy at most", |figures| figures.most("upstream.instances.unhealthy")),
    ("busiest process, % of a core", |figures| figures.most("process.cpu.utilization").map(|share| 100.0 * share)),
    ("largest process, MB", |figures| figures.most("process.memory.usage").map(|bytes| bytes / 1e6)),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == "node").is_some() {
        let matches = NodeArgs::augment_args(clap::Command::new("node"))
            .get_matches_from(std::iter::once(OsString::from("node")).chain(arguments));
        return Ok(node::run(&NodeArgs::from_arg_matches(&matches)?)?);
    }
    let mut files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if files.is_empty() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        files = USUAL.map(|name| folder.join(name).with_extension("toml")).into();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for file in files {
        let scenario = shortened(Scenario::read(&file)?);
        let real = runtime.block_on(play(&scenario))?;
        let simulated = simulate(&scenario)?;
        println!("{}", table(&scenario, &real, &simulated));
    }
    Ok(())
}

/// Returns a scenario whose faults begin and end so that it takes a minute.
fn shortened(mut scenario: Scenario) -> Scenario {
    for fault in &mut scenario.faults {
        (fault.plan.after, fault.plan.lasting) = (HEALTHY, LASTING);
    }
    scenario.duration = HEALTHY + LASTING + RECOVERY;
    scenario
}

/// Plays in real time.
async fn play(scenario: &Scenario) -> Result<Summary, Box<dyn Error>> {
    let (received, endpoint) = Received::listen()?;
    let play = Play::of(scenario.clone());
    let mut options = play.options(vec![std::env::current_exe()?.into(), OsString::from("node")]);
    options.otlp_endpoint = endpoint;
    let demo = Demo::start(options).await?;
    let truth = demo.truth();
    let began = unix_nanos();
    let report = play.run(&demo, std::future::pending()).await?;
    demo.stop().await?;
    if let Some(report) = report {
        eprintln!("{} in real time\n{report}", scenario.name);
    }
    let mut summary = Summary::new(windows(began, &truth.borrow()));
    for export in received.take() {
        summary.export(&export);
    }
    Ok(summary)
}

/// Plays in virtual time.
fn simulate(scenario: &Scenario) -> Result<Summary, Box<dyn Error>> {
    let start = SystemTime::now();
    let began = unix_nanos();
    let mut simulation = Simulation::new(scenario, start)?;
    let exports: Vec<_> = simulation.by_ref().collect();
    let mut summary = Summary::new(windows(began, &simulation.truth()));
    for export in &exports {
        summary.export(export);
    }
    Ok(summary)
}

/// The windows of a play that began at a time: before its fault, and during it.
fn windows(began: u64, truth: &[TruthLine]) -> Vec<Window> {
    let edge = EDGE.as_nanos() as u64;
    let window = |name: &str, from, to| Window { name: name.to_owned(), from_unix_nanos: from, to_unix_nanos: to };
    let mut windows = Vec::new();
    if let Some(line) = truth.first() {
        windows.push(window("healthy", began + edge, line.began_unix_nanos));
        windows.push(window("fault", line.began_unix_nanos + edge, line.ended_unix_nanos));
    }
    windows
}

/// Returns a table in Markdown: each cell is the real figure, the simulated one, and how many times the first
/// the second is.
fn table(scenario: &Scenario, real: &Summary, simulated: &Summary) -> String {
    let mut lines = vec![
        format!("## {}, phase {}, {} requests/s\n", scenario.name, scenario.phase, scenario.load.rate),
        "| window | tier | requests/s | errors, % | p50, ms | p95, ms |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    let windows = [("healthy", HEALTHY.saturating_sub(EDGE)), ("fault", LASTING.saturating_sub(EDGE))];
    let both = |window: &str| Some((real.window(window)?, simulated.window(window)?));
    for (window, length) in windows {
        let Some((real, simulated)) = both(window) else { continue };
        for (tier, service, operation) in TIERS {
            if real.count(service, operation) + simulated.count(service, operation) == 0 {
                continue;
            }
            let cell = |figure: &dyn Fn(&Figures) -> f64| cell(figure(real), figure(simulated));
            let millis = |of: &Figures, share| of.quantile(service, operation, share).as_secs_f64() * 1e3;
            lines.push(format!(
                "| {window} | {tier} | {} | {} | {} | {} |",
                cell(&|of| of.count(service, operation) as f64 / length.as_secs_f64()),
                cell(&|of| 100.0 * of.failed(service, operation)),
                cell(&|of| millis(of, 0.5)),
                cell(&|of| millis(of, 0.95)),
            ));
        }
    }
    lines.extend(["\n| level | healthy | fault |".to_owned(), "|---|---|---|".to_owned()]);
    for (level, figure) in LEVELS {
        let of = |window: &str| both(window).and_then(|(real, simulated)| Some((figure(real)?, figure(simulated)?)));
        if let (Some(healthy), Some(fault)) = (of("healthy"), of("fault")) {
            lines.push(format!("| {level} | {} | {} |", cell(healthy.0, healthy.1), cell(fault.0, fault.1)));
        }
    }
    lines.join("\n") + "\n"
}

fn cell(real: f64, simulated: f64) -> String {
    let figures = format!("{real:.1} / {simulated:.1}");
    // A share of next to nothing says nothing.
    if real < 0.05 { figures } else { format!("{figures} ({:.2})", simulated / real) }
}
