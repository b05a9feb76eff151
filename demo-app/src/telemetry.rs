//! How the processes of the demo instrument themselves: as any Rust service would.
//!
//! Spans are made with `tracing` and leave through `tracing-opentelemetry`; metrics are made with
//! the OpenTelemetry SDK. Both go out over OTLP/gRPC, at the pace of a live demo unless the usual
//! `OTEL_*` variables say otherwise. Nothing here knows who listens, and when nobody does the
//! process works all the same.

pub(crate) mod attributes;
pub(crate) mod context;
pub(crate) mod instruments;
pub(crate) mod process;
pub(crate) mod sampling;
pub(crate) mod spans;
pub(crate) mod statements;
pub(crate) mod workers;

use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::topology::{REGION, Role, Zone};
use sampling::Share;

/// The variable that sets the SDK's own sampler.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

/// How long spans wait for their batch: half a second, where the SDK's own default is five.
const SPAN_DELAY: Duration = Duration::from_millis(500);

/// How often metrics are read: each second, where the SDK's own default is a minute.
const METRIC_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for an answer to an export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest wait for the last export of a process that ends.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(700);

/// Who sends the telemetry.
pub(crate) struct Identity<'a> {
    pub(crate) role: Role,
    pub(crate) name: &'a str,
    pub(crate) zone: Zone,
    /// The version of the software that it says it runs.
    pub(crate) release: &'a str,
    /// Where it is reached; said of stores, which are known by their address alone.
    pub(crate) address: SocketAddr,
}

/// The providers of this process.
pub(crate) struct Telemetry {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    share: Option<Share>,
}

impl Telemetry {
    /// Sets up spans and metrics for the whole process; called once, inside its runtime.
    pub(crate) fn start(identity: &Identity<'_>, endpoint: &str) -> Result<Self, ExporterBuildError> {
        let resource = resource(identity);
        let share = env::var_os(SAMPLER).is_none().then(Share::default);
        let tracers = tracers(endpoint, resource.clone(), share.as_ref())?;
        let meters = meters(endpoint, resource)?;
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_meter_provider(meters.clone());

        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer("content"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(without_transport());
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            // Standard error may be gone, and complaining about that there would panic.
            .log_internal_errors(false)
            .with_filter(EnvFilter::new("warn,opentelemetry=off,opentelemetry_sdk=off,opentelemetry_otlp=off"));
        // Only a host that set its own subscriber makes this fail, and then that one rules.
        let _ = tracing_subscriber::registry().with(spans).with(log).try_init();
        Ok(Self { tracers, meters, share })
    }

    /// What turns the share of traces that is kept; `None` where the environment sets the sampler.
    pub(crate) fn share(&self) -> Option<Share> {
        self.share.clone()
    }

    /// Sends what is left, for a short while at most.
    pub(crate) async fn finish(self) {
        let finished = tokio::task::spawn_blocking(move || {
            // The process ends either way.
            let _ = self.tracers.shutdown_with_timeout(FLUSH_TIMEOUT);
            let _ = self.meters.shutdown_with_timeout(FLUSH_TIMEOUT);
        });
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, finished).await;
    }
}

/// Keeps the exporter's own transport out of the spans, or each export would cause the next.
fn without_transport() -> Targets {
    ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"]
        .into_iter()
        .fold(Targets::new().with_default(LevelFilter::INFO), |targets, transport| {
            targets.with_target(transport, LevelFilter::OFF)
        })
}

fn tracers(endpoint: &str, resource: Resource, share: Option<&Share>) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()?;
    let mut batches = BatchConfigBuilder::default();
    if env::var_os("OTEL_BSP_SCHEDULE_DELAY").is_none() {
        batches = batches.with_scheduled_delay(SPAN_DELAY);
    }
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
    let builder = SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource);
    Ok(match share {
        Some(share) => builder.with_sampler(share.sampler()).build(),
        // The SDK's own sampler reads the variable.
        None => builder.build(),
    })
}

fn meters(endpoint: &str, resource: Resource) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter =
        MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()?;
    let mut reader = PeriodicReader::builder(exporter);
    if env::var_os("OTEL_METRIC_EXPORT_INTERVAL").is_none() {
        reader = reader.with_interval(METRIC_INTERVAL);
    }
    Ok(SdkMeterProvider::builder().with_reader(reader.build()).with_resource(resource).build())
}

fn resource(identity: &Identity<'_>) -> Resource {
    Resource::builder()
        .with_service_name(identity.role.service_name())
        .with_attributes([
            KeyValue::new("service.namespace", "content"),
            KeyValue::new("service.instance.id", identity.name.to_owned()),
            KeyValue::new("service.version", identity.release.to_owned()),
            KeyValue::new("cloud.region", REGION),
            KeyValue::new("cloud.availability_zone", identity.zone.name()),
            KeyValue::new("deployment.environment.name", "demo"),
        ])
        .with_attributes(if identity.role.is_store() { attributes::server(identity.address) } else { Vec::new() })
        .build()
}
