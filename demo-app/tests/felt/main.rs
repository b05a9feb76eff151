//! What faults do in real time: the intended effect is in the telemetry of the real services, and before the
//! fault it is not.
//!
//! Each test plays a scenario file, shortened, and compares a healthy window with one of the fault in the same
//! run. Tests wait for each other, since a machine that plays several at once is busy enough to be felt.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod faults;
#[path = "../support/receiver.rs"]
mod receiver;
mod shapes;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use receiver::{Received, unix_nanos};
use tiertop_demo::Demo;
use tiertop_demo::fault::Fault;
use tiertop_demo::load::LoadReport;
use tiertop_demo::play::Play;
use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::Export;
use tiertop_demo::sim::summary::{Figures, Summary, Window};
use tokio::sync::Mutex;

/// All is well for so long, then it is not.
const HEALTHY: Duration = Duration::from_secs(7);
const LASTING: Duration = Duration::from_secs(9);

/// What the windows begin without: connections open, queues fill, answers that began before come in.
const EDGE: Duration = Duration::from_secs(2);

/// Held by the test whose demo runs.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// What came of a scenario.
struct Outcome {
    summary: Summary,
    report: LoadReport,
    healthy: Window,
    faulty: Window,
    exports: Vec<Export>,
    /// The port of each instance that there was at the start.
    ports: BTreeMap<i64, String>,
}

/// Returns a fault's scenario file with shorter times and a rate that any machine serves.
fn scenario(fault: Fault) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenario = Scenario::read(&folder.join(fault.name()).with_extension("toml")).unwrap();
    scenario.load.rate = 40.0;
    for fault in &mut scenario.faults {
        (fault.plan.after, fault.plan.lasting) = (HEALTHY, LASTING);
    }
    scenario.duration = HEALTHY + LASTING + Duration::from_millis(500);
    scenario
}

/// Plays a scenario in real time; returns when it began, what was received, and what came of the load.
async fn received(scenario: &Scenario) -> (u64, Vec<Export>, LoadReport, Demo) {
    let (received, endpoint) = Received::listen().unwrap();
    let play = Play::of(scenario.clone());
    let program = env!("CARGO_BIN_EXE_tiertop-demo");
    let mut options = play.options(vec![OsString::from(program), OsString::from("node")]);
    options.otlp_endpoint = endpoint;
    let demo = Demo::start(options).await.unwrap();
    let began = unix_nanos();
    let report = play.run(&demo, std::future::pending()).await.unwrap().unwrap();
    // The last spans are on their way for half a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    (began, received.take(), report, demo)
}

/// Plays a scenario in real time, and summarizes what its services sent.
async fn play(scenario: &Scenario) -> Outcome {
    let _alone = MACHINE.lock().await;
    let (began, exports, report, demo) = received(scenario).await;
    let ports = demo.nodes().into_iter().filter_map(|node| Some((i64::from(node.address?.port()), node.name)));
    let ports = ports.collect();
    let line = demo.truth().borrow()[0].clone();
    demo.stop().await.unwrap();
    let edge = EDGE.as_nanos() as u64;
    let window = |name: &str, from, to| Window { name: name.to_owned(), from_unix_nanos: from, to_unix_nanos: to };
    let healthy = window("healthy", began + edge, line.began_unix_nanos);
    let faulty = window("faulty", line.began_unix_nanos + edge, line.ended_unix_nanos);
    let mut summary = Summary::new([healthy.clone(), faulty.clone()]);
    for export in &exports {
        summary.export(export);
    }
    // Shown where the test fails.
    println!("{}\n{report}{summary}", scenario.name);
    Outcome { summary, report, healthy, faulty, exports, ports }
}

impl Outcome {
    fn healthy(&self) -> &Figures {
        self.summary.window("healthy").unwrap()
    }

    fn faulty(&self) -> &Figures {
        self.summary.window("faulty").unwrap()
    }

    /// A figure before the fault and during it.
    fn both<T>(&self, figure: impl Fn(&Figures) -> T) -> (T, T) {
        (figure(self.healthy()), figure(self.faulty()))
    }

    /// Figures of the spans before the fault and during it.
    fn both_spans<T>(&self, figure: impl Fn(&[(&Resource, &Span)]) -> T) -> (T, T) {
        let within = |window: &Window| {
            let window = window.from_unix_nanos..window.to_unix_nanos;
            let spans: Vec<_> =
                spans(&self.exports).filter(|(_, span)| window.contains(&span.end_time_unix_nano)).collect();
            figure(&spans)
        };
        (within(&self.healthy), within(&self.faulty))
    }

    /// Share of a statement's calls before the fault and during it that went to instances whose names begin so.
    fn asked(&self, instances: &str, statement: &str) -> (f64, f64) {
        self.both_spans(|spans| {
            let calls = spans.iter().filter(|(_, span)| span.name == statement);
            let names = calls.filter_map(|(_, span)| self.ports.get(&number(&span.attributes, "server.port")?));
            share(names.map(|name| name.starts_with(instances)))
        })
    }
}

/// All spans, with the resources that sent them.
fn spans(exports: &[Export]) -> impl Iterator<Item = (&Resource, &Span)> {
    exports
        .iter()
        .flat_map(|export| match export {
            Export::Traces { request, .. } => &request.resource_spans[..],
            Export::Metrics { .. } => &[],
        })
        .flat_map(|of| {
            let resource = of.resource.as_ref().unwrap();
            of.scope_spans.iter().flat_map(|scope| &scope.spans).map(move |span| (resource, span))
        })
}

/// What a service served: the spans' durations in milliseconds, by an attribute of the resource.
fn served(spans: &[(&Resource, &Span)], service: &str, by: &str) -> BTreeMap<String, Vec<f64>> {
    let mut served: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for (resource, span) in spans {
        if span.kind() == SpanKind::Server && text(&resource.attributes, "service.name") == service {
            served.entry(text(&resource.attributes, by)).or_default().push(millis(span));
        }
    }
    served
}

/// How long a span took, in milliseconds.
fn millis(span: &Span) -> f64 {
    span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Share of what is so.
fn share(which: impl Iterator<Item = bool>) -> f64 {
    let which: Vec<bool> = which.collect();
    which.iter().filter(|so| **so).count() as f64 / which.len() as f64
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value(attributes, key)? {
        any_value::Value::IntValue(number) => Some(*number),
        _ => None,
    }
}
