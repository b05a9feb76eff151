//! What the embedded service serves on this machine, and what tracing costs it.
//!
//! Starts the system of phase 3 without its governor three times: with every trace kept, with one in ten, and
//! with none. First a closed loop that never thinks tells how much is served; then processes may drop spans
//! that they cannot send in time, as the SDK does. Then an open loop at a steady rate tells what a request
//! costs; spans dropped there, if any, are not counted. A receiver in this process counts the spans and throws them away. CPU is that of the
//! service's processes alone.
//!
//! ```sh
//! cargo run --release -p tiertop-demo --example serving
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// How many clients ask at once: enough to keep two cores busy.
const CLIENTS: usize = 32;

/// How long each way is warmed up, and then measured under each load.
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(8);

/// Requests a second of the open loop: far less than is served.
const STEADY: f64 = 1_000.0;

/// How often each way is measured, in turns: the least CPU is that of the calmest moment.
const ROUNDS: usize = 3;

/// The ways to trace: a name, and the sampler by the usual variables.
const WAYS: [(&str, &str, &str); 3] = [
    ("all traces", "parentbased_always_on", "1"),
    ("10 %", "parentbased_traceidratio", "0.1"),
    ("none", "always_off", "0"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "node" => {
            let matches = NodeArgs::augment_args(clap::Command::new("node"))
                .get_matches_from(std::iter::once(OsString::from("node")).chain(arguments));
            Ok(node::run(&NodeArgs::from_arg_matches(&matches)?)?)
        }
        Some(first) if first == "measure" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let figures = runtime.block_on(measure())?;
            println!(
                "{} {} {} {} {}",
                figures.rate, figures.cpu_micros, figures.spans, figures.start_millis, figures.memory
            );
            Ok(())
        }
        _ => compare(),
    }
}

/// What one way of tracing gave.
#[derive(Clone, Copy)]
struct Figures {
    /// Most requests per second.
    rate: f64,
    /// CPU of the service for a request at the steady rate, in microseconds.
    cpu_micros: f64,
    /// Spans of a request at the steady rate.
    spans: f64,
    /// From the start until all processes serve, in milliseconds.
    start_millis: f64,
    /// Resident memory of all processes, in megabytes.
    memory: f64,
}

/// Measures the ways in turns and prints the best of each.
fn compare() -> Result<(), Box<dyn Error>> {
    let mut best: [Option<Figures>; WAYS.len()] = [None; WAYS.len()];
    for _ in 0..ROUNDS {
        for ((_, sampler, argument), best) in WAYS.iter().zip(&mut best) {
            let figures = measured_apart(sampler, argument)?;
            *best = Some(best.map_or(figures, |other| figures.better_of(&other)));
        }
    }
    println!(
        "| traces kept | most requests/s | CPU a request at {STEADY}/s | spans a request | ready after | memory |"
    );
    println!("|---|---|---|---|---|---|");
    for ((name, ..), figures) in WAYS.iter().zip(&best) {
        let Some(Figures { rate, cpu_micros, spans, start_millis, memory }) = figures else { continue };
        println!("| {name} | {rate:.0} | {cpu_micros:.0} us | {spans:.1} | {start_millis:.0} ms | {memory:.0} MB |");
    }
    if let [Some(with), .., Some(without)] = &best {
        println!(
            "\nall traces cost {:.1} us of CPU a span more than none, exports and noise included",
            (with.cpu_micros - without.cpu_micros) / with.spans
        );
    }
    Ok(())
}

/// Measures one way in a process of its own, which gives its sampler to its nodes.
fn measured_apart(sampler: &str, argument: &str) -> Result<Figures, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .arg("measure")
        .env("OTEL_TRACES_SAMPLER", sampler)
        .env("OTEL_TRACES_SAMPLER_ARG", argument)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let &[rate, cpu_micros, spans, start_millis, memory] = &figures[..] else {
        return Err(format!("{sampler} could not be measured").into());
    };
    Ok(Figures { rate, cpu_micros, spans, start_millis, memory })
}

impl Figures {
    /// The better of each figure.
    fn better_of(&self, other: &Self) -> Self {
        Self {
            rate: self.rate.max(other.rate),
            cpu_micros: self.cpu_micros.min(other.cpu_micros),
            spans: self.spans.max(other.spans),
            start_millis: self.start_millis.min(other.start_millis),
            memory: self.memory.max(other.memory),
        }
    }
}

async fn measure() -> Result<Figures, Box<dyn Error>> {
    let (sink, endpoint) = Sink::start()?;
    let mut options =
        DemoOptions::new(vec![std::env::current_exe()?.into(), OsString::from("node")], Phase::DATABASE_READS);
    options.otlp_endpoint = endpoint;
    options.settings.governed = false;
    let began = Instant::now();
    let demo = Demo::start(options).await?;
    let start_millis = began.elapsed().as_secs_f64() * 1e3;

    let usual = LoadPlan::of(Phase::DATABASE_READS);
    let closed = LoadPlan { closed: Some(ClosedLoop { clients: CLIENTS, think: Duration::ZERO }), ..usual.clone() };
    let steady = LoadPlan { rate: STEADY, ..usual };
    let load = |plan: &LoadPlan, duration| {
        let mut options = LoadOptions::new(demo.front_address(), plan.clone(), demo.content_ids().to_vec());
        options.duration = Some(duration);
        load::run(options, std::future::pending())
    };
    load(&closed, WARM_UP).await;
    let report = load(&closed, MEASURED).await;
    let rate = report.counts.ok as f64 / report.elapsed.as_secs_f64();

    // What the closed loop left to be sent is not the steady load's.
    load(&steady, WARM_UP).await;
    let pids: Vec<u32> = demo.nodes().iter().map(|node| node.pid).collect();
    let (cpu, spans) = (cpu_seconds(&pids)?, sink.0.load(Ordering::Relaxed));
    let report = load(&steady, MEASURED).await;
    let (cpu, spans) = (cpu_seconds(&pids)? - cpu, sink.0.load(Ordering::Relaxed) - spans);
    let memory = resident_bytes(&pids)? / 1e6;
    demo.stop().await?;
    let requests = report.counts.ok as f64;
    Ok(Figures { rate, cpu_micros: cpu * 1e6 / requests, spans: spans as f64 / requests, start_millis, memory })
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

/// An OTLP receiver that counts spans.
#[derive(Clone, Default)]
struct Sink(Arc<AtomicU64>);

impl Sink {
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
        let groups = request.into_inner().resource_spans;
        let spans: usize = groups.iter().flat_map(|group| &group.scope_spans).map(|scoped| scoped.spans.len()).sum();
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
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
