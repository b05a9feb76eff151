//! What the embedded service serves on this machine, and what tracing costs it.
//!
//! Starts the systems of phases 3 and 5 without their governor, shedding and autoscaling, in pairs: with
//! every trace kept, and with none. An open loop at a steady rate, whose schedule is the same each time, makes
//! the service compute; the difference of the processor time of its processes within a pair, over the spans
//! that arrived, is what a span costs with its export. The pairs tell how far that varies. Which of a pair is first alternates, so
//! that a machine that becomes busier favours neither.
//!
//! A receiver in this process takes the spans. Where a process drops some that it cannot send in time, as the
//! SDK does, their children name a parent that never comes: those are told as the share that was lost. Last a
//! closed loop that never thinks tells how much is served at most.
//!
//! ```sh
//! cargo run --release -p tiertop-demo --example serving
//! ```

use std::collections::HashSet;
use std::error::Error;
use std::ffi::OsString;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, FromArgMatches};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tiertop_demo::load::{self, ClosedLoop, LoadOptions, LoadPlan};
use tiertop_demo::node::{self, NodeArgs};
use tiertop_demo::{Demo, DemoOptions, Phase};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// How many clients of the closed loop ask at once: enough to keep two cores busy.
const CLIENTS: usize = 32;

/// How long each system is warmed up, and how long it is measured under each load.
const WARM_UP: Duration = Duration::from_secs(2);
const STEADILY: Duration = Duration::from_secs(10);
const AT_MOST: Duration = Duration::from_secs(3);

/// How long the last spans and metrics of a load take until they are sent, and more.
const SETTLING: Duration = Duration::from_millis(1_500);

/// Requests a second of the open loop: far less than is served.
const STEADY: f64 = 800.0;

/// How many pairs are measured.
const PAIRS: usize = 5;

/// The systems that are measured.
const PHASES: [Phase; 2] = [Phase::DATABASE_READS, Phase::WRITES];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "node" => {
            let matches = NodeArgs::augment_args(clap::Command::new("node"))
                .get_matches_from(std::iter::once(OsString::from("node")).chain(arguments));
            Ok(node::run(&NodeArgs::from_arg_matches(&matches)?)?)
        }
        Some(first) if first == "measure" => {
            let phase = arguments.next().and_then(|phase| phase.to_str()?.parse().ok()).ok_or("which phase?")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let figures = runtime.block_on(measure(phase))?;
            println!("{}", figures.map(|figure| figure.to_string()).join(" "));
            Ok(())
        }
        _ => compare(),
    }
}

/// Whether traces are kept.
#[derive(Clone, Copy, PartialEq)]
enum Traces {
    All,
    None,
}

impl Traces {
    /// The sampler that does so, as the usual variable has it.
    fn sampler(self) -> &'static str {
        match self {
            Self::All => "parentbased_always_on",
            Self::None => "always_off",
        }
    }
}

/// What one system gave.
#[derive(Clone, Copy)]
struct Figures {
    /// Processor time of the service at the steady rate, in seconds.
    cpu: f64,
    /// Requests answered at the steady rate.
    requests: f64,
    /// Spans that arrived of them.
    spans: f64,
    /// Share of the parents of spans that never arrived.
    lost: f64,
    /// Most requests a second.
    rate: f64,
    /// From the start until the front answers, the first contents stored, in milliseconds.
    start_millis: f64,
    /// Resident memory of all processes after the steady load, in megabytes.
    memory: f64,
}

impl Figures {
    /// Processor time of a request, in microseconds.
    fn micros(&self) -> f64 {
        self.cpu * 1e6 / self.requests
    }
}

/// Measures the systems in pairs and prints a row for each.
fn compare() -> Result<(), Box<dyn Error>> {
    println!(
        "| phase | CPU a request, no traces | all traces | spans a request | lost | us of CPU a span | \
         most requests/s, no traces | all traces | start | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for phase in PHASES {
        let mut pairs = Vec::new();
        for number in 0..PAIRS {
            let first = if number % 2 == 0 { Traces::All } else { Traces::None };
            let second = if first == Traces::All { Traces::None } else { Traces::All };
            let (one, other) = (measured_apart(phase, first)?, measured_apart(phase, second)?);
            pairs.push(if first == Traces::All { (one, other) } else { (other, one) });
        }
        println!("{}", row(phase, &pairs));
    }
    Ok(())
}

/// Returns the row of a phase, from pairs with all traces and with none: medians, and where it says so the range.
fn row(phase: Phase, pairs: &[(Figures, Figures)]) -> String {
    let of = |figure: fn(&(Figures, Figures)) -> f64| {
        let mut sorted: Vec<f64> = pairs.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        (sorted[sorted.len() / 2], sorted[0], sorted[sorted.len() - 1])
    };
    let (without, ..) = of(|(_, none)| none.micros());
    let (with, ..) = of(|(all, _)| all.micros());
    let (spans, ..) = of(|(all, _)| all.spans / all.requests);
    let (.., lost) = of(|(all, _)| all.lost);
    let (span, least, most) = of(|(all, none)| (all.micros() - none.micros()) / (all.spans / all.requests));
    let (rate_without, ..) = of(|(_, none)| none.rate);
    let (rate_with, ..) = of(|(all, _)| all.rate);
    let (start, ..) = of(|(all, _)| all.start_millis);
    let (memory, ..) = of(|(all, _)| all.memory);
    format!(
        "| {phase} | {without:.0} us | {with:.0} us | {spans:.1} | {:.2} % | {span:.1} ({least:.1} to {most:.1}) | \
         {rate_without:.0} | {rate_with:.0} | {start:.0} ms | {memory:.0} MB |",
        lost * 100.0
    )
}

/// Measures one system in a process of its own, which gives its sampler to its nodes.
fn measured_apart(phase: Phase, traces: Traces) -> Result<Figures, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["measure", &phase.to_string()])
        .env("OTEL_TRACES_SAMPLER", traces.sampler())
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let &[cpu, requests, spans, lost, rate, start_millis, memory] = &figures[..] else {
        return Err(format!("phase {phase} could not be measured").into());
    };
    eprintln!(
        "phase {phase}, {}: {cpu:.2} s of CPU, {requests} requests, {spans} spans, {:.2} % lost, {rate:.0}/s at most",
        traces.sampler(),
        lost * 100.0
    );
    Ok(Figures { cpu, requests, spans, lost, rate, start_millis, memory })
}

/// Measures the system of a phase and returns the fields of its [`Figures`] in their order.
async fn measure(phase: Phase) -> Result<[f64; 7], Box<dyn Error>> {
    let (sink, endpoint) = Sink::start()?;
    let mut options = DemoOptions::new(vec![std::env::current_exe()?.into(), OsString::from("node")], phase);
    options.otlp_endpoint = endpoint;
    options.settings.governed = false;
    options.settings.autoscaled = false;
    options.settings.most_requests_per_second = None;
    let began = Instant::now();
    let demo = Demo::start(options).await?;
    let start_millis = began.elapsed().as_secs_f64() * 1e3;

    let usual = LoadPlan::of(phase);
    let closed = LoadPlan { closed: Some(ClosedLoop { clients: CLIENTS, think: Duration::ZERO }), ..usual.clone() };
    let steady = LoadPlan { rate: STEADY, ..usual };
    let load = |plan: &LoadPlan, duration| {
        let mut options = LoadOptions::new(demo.front_address(), plan.clone(), demo.content_ids().to_vec());
        options.duration = Some(duration);
        load::run(options, std::future::pending())
    };
    load(&steady, WARM_UP).await;
    tokio::time::sleep(SETTLING).await;
    let pids: Vec<u32> = demo.nodes().iter().map(|node| node.pid).collect();
    let (cpu, (before, _)) = (cpu_seconds(&pids)?, sink.so_far());
    let report = load(&steady, STEADILY).await;
    // What the load left to be sent is of it.
    tokio::time::sleep(SETTLING).await;
    let cpu = cpu_seconds(&pids)? - cpu;
    let (spans, lost) = sink.so_far();
    let spans = spans - before;
    let memory = resident_bytes(&pids)? / 1e6;

    let most = load(&closed, AT_MOST).await;
    let rate = most.counts.ok as f64 / most.sending.as_secs_f64();
    demo.stop().await?;
    Ok([cpu, report.counts.ok as f64, spans as f64, lost, rate, start_millis, memory])
}

/// CPU time that processes have used, in seconds.
fn cpu_seconds(pids: &[u32]) -> Result<f64, Box<dyn Error>> {
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut ticks = 0.0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which may have spaces, stands the state; user and system time are 11 further.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        for field in &fields[11..13] {
            ticks += field.parse::<f64>()?;
        }
    }
    Ok(ticks / ticks_per_second)
}

fn resident_bytes(pids: &[u32]) -> Result<f64, Box<dyn Error>> {
    let mut pages = 0.0;
    for pid in pids {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        pages += statm.split(' ').nth(1).unwrap_or_default().parse::<f64>()?;
    }
    Ok(pages * rustix::param::page_size() as f64)
}

/// The spans that were received, by their ids, and the parents that they name.
#[derive(Default)]
struct Seen {
    spans: HashSet<Vec<u8>>,
    parents: HashSet<Vec<u8>>,
}

impl Seen {
    /// The share of the named parents that did not come.
    fn lost(&self) -> f64 {
        let missing = self.parents.difference(&self.spans).count();
        if missing == 0 { 0.0 } else { missing as f64 / self.parents.len() as f64 }
    }
}

/// An OTLP receiver that keeps who is whose child.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Seen>>);

impl Sink {
    /// How many spans arrived, and the share of the named parents that did not.
    fn so_far(&self) -> (usize, f64) {
        let seen = self.seen();
        (seen.spans.len(), seen.lost())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start() -> Result<(Self, String), Box<dyn Error>> {
        let sink = Self::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
        let address = incoming.local_addr()?;
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        Ok((sink, format!("http://{address}")))
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let groups = request.into_inner().resource_spans.into_iter().flat_map(|group| group.scope_spans);
        let mut seen = self.seen();
        for span in groups.flat_map(|scoped| scoped.spans) {
            seen.spans.insert(span.span_id);
            if !span.parent_span_id.is_empty() {
                seen.parents.insert(span.parent_span_id);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
