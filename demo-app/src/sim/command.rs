//! What the command does with a simulation: it writes the telemetry to a file, or sends it to a receiver.
//!
//! As JSON it writes lines as the OpenTelemetry Collector's file exporter does: one object a line, either
//! `{"resourceSpans": [..]}` or `{"resourceMetrics": [..]}`. As protobuf it writes each request behind a
//! byte that says what it is (1 for spans, 2 for metrics) and its length as a big-endian 32-bit number.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::transport::Channel;

use crate::scenario::Scenario;
use crate::sim::summary::{Summary, Window};
use crate::sim::{Export, Simulation, SimulationError};

/// How a scenario is simulated, and where its telemetry goes.
#[derive(Clone, Debug, clap::Args)]
pub struct VirtualArgs {
    /// Simulate the scenario in virtual time, far faster than real time; a model, not the real services.
    #[arg(long = "virtual")]
    pub virtual_time: bool,
    /// Where the simulation's telemetry goes, - for standard output [default: to --otlp-endpoint].
    #[arg(long, value_name = "PATH", requires = "virtual_time")]
    pub output: Option<PathBuf>,
    /// How it is written there.
    #[arg(long, value_enum, default_value_t = Format::Json, requires = "output")]
    pub format: Format,
    /// When the simulation begins, such as 2026-01-01T00:00:00Z [default: now].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak, requires = "virtual_time")]
    pub start: Option<SystemTime>,
}

/// How telemetry is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line of OTLP as JSON for each request.
    Json,
    /// OTLP as protobuf, each request behind its length in four bytes, as the Collector writes it. What a
    /// request is, traces or metrics, its content tells.
    Proto,
}

/// Why a simulation could not be run; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The scenario cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A file could not be written.
    #[error("write {path}: {source}")]
    Write {
        /// Which file.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The receiver's address is none.
    #[error("understand the endpoint {endpoint:?}; try http://127.0.0.1:4317")]
    NoEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// The receiver was not reached.
    #[error("reach {endpoint}: {source}")]
    Connect {
        /// Where it was to be.
        endpoint: String,
        /// What was wrong.
        source: tonic::transport::Error,
    },
    /// The receiver did not take what was sent.
    #[error("send to {endpoint}: {source}")]
    Send {
        /// Where it is.
        endpoint: String,
        /// What it said.
        source: Box<tonic::Status>,
    },
}

/// Simulates a scenario; the figures and the course of it go to standard error.
///
/// Needs a tokio runtime for sending; where a file is written it is not used.
pub async fn run(
    scenario: &Scenario,
    args: &VirtualArgs,
    otlp_endpoint: &str,
    truth: Option<&Path>,
) -> Result<(), CommandError> {
    let start = args.start.unwrap_or_else(SystemTime::now);
    say(&format!(
        "simulation: {} for {} of virtual time, by a model of the services; no process is started",
        scenario.name,
        humantime::format_duration(scenario.duration)
    ));
    let mut simulation = Simulation::new(scenario, start)?;
    let mut summary = Summary::new(windows(scenario, start));
    let mut sink = Sink::open(args, otlp_endpoint).await?;
    let began = Instant::now();
    for export in &mut simulation {
        summary.export(&export);
        sink.take(export).await?;
    }
    sink.finish()?;
    if let Some(path) = truth {
        write_truth(&simulation, path)?;
    }
    say(&format!("{}{summary}took {:.1} s of real time", simulation.report(), began.elapsed().as_secs_f64()));
    Ok(())
}

/// The healthy stretch, and each fault.
fn windows(scenario: &Scenario, start: SystemTime) -> Vec<Window> {
    let start = start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let at = |time: std::time::Duration| start + time.as_nanos() as u64;
    let healthy = scenario.faults.iter().map(|fault| fault.plan.after).min().unwrap_or(scenario.duration);
    let window = |name: String, from, to| Window { name, from_unix_nanos: at(from), to_unix_nanos: at(to) };
    let mut windows = vec![window("healthy".to_owned(), std::time::Duration::ZERO, healthy)];
    for fault in &scenario.faults {
        let plan = &fault.plan;
        windows.push(window(format!("during {}", plan.fault.name()), plan.after, plan.after + plan.lasting));
    }
    windows
}

/// Where telemetry goes.
enum Sink {
    File { out: BufWriter<Box<dyn Write>>, path: String, format: Format },
    Receiver(Box<Receiver>),
}

/// A receiver of OTLP over gRPC.
struct Receiver {
    traces: TraceServiceClient<Channel>,
    metrics: MetricsServiceClient<Channel>,
    endpoint: String,
}

impl Sink {
    async fn open(args: &VirtualArgs, endpoint: &str) -> Result<Self, CommandError> {
        if let Some(path) = &args.output {
            let out = BufWriter::new(create(path)?);
            return Ok(Self::File { out, path: path.display().to_string(), format: args.format });
        }
        let endpoint = endpoint.to_owned();
        let channel = Channel::from_shared(endpoint.clone());
        let channel = channel.map_err(|_| CommandError::NoEndpoint { endpoint: endpoint.clone() })?.connect().await;
        let channel = channel.map_err(|source| CommandError::Connect { endpoint: endpoint.clone(), source })?;
        let traces = TraceServiceClient::new(channel.clone());
        Ok(Self::Receiver(Box::new(Receiver { traces, metrics: MetricsServiceClient::new(channel), endpoint })))
    }

    async fn take(&mut self, export: Export) -> Result<(), CommandError> {
        match self {
            Self::File { out, path, format } => {
                let written = match format {
                    Format::Json => write_json(out, &export),
                    Format::Proto => write_proto(out, &export),
                };
                written.map_err(|source| CommandError::Write { path: path.clone(), source })
            }
            Self::Receiver(receiver) => {
                let Receiver { traces, metrics, endpoint } = &mut **receiver;
                let sent = match export {
                    Export::Traces { request, .. } => traces.export(request).await.map(|_| ()),
                    Export::Metrics { request, .. } => metrics.export(request).await.map(|_| ()),
                };
                sent.map_err(|status| CommandError::Send { endpoint: endpoint.clone(), source: Box::new(status) })
            }
        }
    }

    fn finish(self) -> Result<(), CommandError> {
        match self {
            Self::File { mut out, path, .. } => out.flush().map_err(|source| CommandError::Write { path, source }),
            Self::Receiver(_) => Ok(()),
        }
    }
}

/// Writes what a process sent as a line of OTLP/JSON.
pub fn write_json(out: &mut impl Write, export: &Export) -> io::Result<()> {
    match export {
        Export::Traces { request, .. } => serde_json::to_writer(&mut *out, request)?,
        Export::Metrics { request, .. } => serde_json::to_writer(&mut *out, request)?,
    }
    out.write_all(b"\n")
}

fn write_proto(out: &mut impl Write, export: &Export) -> io::Result<()> {
    let message = export.to_protobuf();
    let length = u32::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&message)
}

fn write_truth(simulation: &Simulation, path: &Path) -> Result<(), CommandError> {
    let mut out = create(path)?;
    let written = simulation.truth().iter().try_for_each(|line| {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")
    });
    written.map_err(|source| CommandError::Write { path: path.display().to_string(), source })
}

/// Opens a file for writing; - is standard output.
fn create(path: &Path) -> Result<Box<dyn Write>, CommandError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    let file = File::create(path);
    let file = file.map_err(|source| CommandError::Write { path: path.display().to_string(), source })?;
    Ok(Box::new(file))
}

/// Writes to standard error; a reader that is gone ends nothing.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
