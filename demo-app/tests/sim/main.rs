//! The simulation: what each fault does to the telemetry, and what its absence does not.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod engine;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::load::LoadReport;
use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::summary::{Figures, Summary, Window};
use tiertop_demo::sim::{Export, Simulation};

/// All is well for so long, then it is not.
pub(crate) const HEALTHY: Duration = Duration::from_secs(15);
pub(crate) const LASTING: Duration = Duration::from_secs(15);

/// What the start and the end of a stretch are left out by: pools open, queues fill.
const EDGE: Duration = Duration::from_secs(3);

/// When simulations begin: the first second of 2026.
pub(crate) const START: Duration = Duration::from_hours(490_896);

/// What came of a simulated scenario.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) report: LoadReport,
    pub(crate) exports: Vec<Export>,
}

impl Outcome {
    pub(crate) fn healthy(&self) -> &Figures {
        self.summary.window("healthy").unwrap()
    }

    pub(crate) fn faulty(&self) -> &Figures {
        self.summary.window("faulty").unwrap()
    }

    /// How much a figure grew by the fault: 1 for not at all.
    pub(crate) fn ratio(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        figure(self.faulty()) / figure(self.healthy())
    }
}

/// Returns the usual scenario of a fault, short.
pub(crate) fn scenario(fault: Fault, intensity: Intensity) -> Scenario {
    Scenario::of(fault, intensity, HEALTHY, LASTING, Duration::ZERO)
}

/// Plays a scenario, and summarizes it as if its fault were there, also where it is left out.
pub(crate) fn play(scenario: &Scenario) -> Outcome {
    let at = |time: Duration| (START + time).as_nanos() as u64;
    let window =
        |name: &str, from, to| Window { name: name.to_owned(), from_unix_nanos: at(from), to_unix_nanos: at(to) };
    let mut summary =
        Summary::new([window("healthy", EDGE, HEALTHY), window("faulty", HEALTHY + EDGE, HEALTHY + LASTING)]);
    let mut simulation = Simulation::new(scenario, SystemTime::UNIX_EPOCH + START).unwrap();
    let mut exports = Vec::new();
    for export in &mut simulation {
        summary.export(&export);
        exports.push(export);
    }
    let report = simulation.report();
    // Shown where the test fails.
    println!("{}\n{report}{summary}", scenario.name);
    Outcome { summary, report, exports }
}

/// Plays the same scenario without its faults.
pub(crate) fn play_without(scenario: &Scenario) -> Outcome {
    play(&Scenario { faults: Vec::new(), ..scenario.clone() })
}

impl Outcome {
    /// Spans that ended in the faulty stretch, with the resource that sent them.
    fn faulty_spans(&self) -> impl Iterator<Item = (&Resource, &Span)> {
        let from = (START + HEALTHY + EDGE).as_nanos() as u64;
        let to = (START + HEALTHY + LASTING).as_nanos() as u64;
        spans(&self.exports).filter(move |(_, span)| (from..to).contains(&span.end_time_unix_nano))
    }

    /// The ports that calls of a name went to.
    pub(crate) fn faulty_calls(&self, name: &str) -> Vec<i64> {
        let calls = self.faulty_spans().filter(|(_, span)| span.name == name);
        calls.filter_map(|(_, span)| number(&span.attributes, "server.port")).collect()
    }

    /// The ports of instances whose names begin so; they are told by the metrics of those instances.
    pub(crate) fn ports_of(&self, instances: &str) -> BTreeSet<i64> {
        let mut ports = BTreeSet::new();
        for export in &self.exports {
            let Export::Metrics { request, .. } = export else { continue };
            for of in &request.resource_metrics {
                let resource = of.resource.as_ref().unwrap();
                if !text(&resource.attributes, "service.instance.id").starts_with(instances) {
                    continue;
                }
                for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                    if let Some(Data::Gauge(gauge)) = &metric.data {
                        ports.extend(gauge.data_points.iter().filter_map(|p| number(&p.attributes, "server.port")));
                    }
                }
            }
        }
        ports
    }

    /// How many requests each instance of a service served in the faulty stretch.
    pub(crate) fn served(&self, service: &str) -> BTreeMap<String, usize> {
        let mut served = BTreeMap::new();
        for (resource, span) in self.faulty_spans() {
            if span.kind() == SpanKind::Server && text(&resource.attributes, "service.name") == service {
                *served.entry(text(&resource.attributes, "service.instance.id")).or_default() += 1;
            }
        }
        served
    }
}

/// The values that the resources of a service have of an attribute.
pub(crate) fn resources(exports: &[Export], service: &str, key: &str) -> BTreeSet<String> {
    let of = |(resource, _): &(&Resource, &Span)| text(&resource.attributes, "service.name") == service;
    spans(exports).filter(of).map(|(resource, _)| text(&resource.attributes, key)).collect()
}

/// All spans, with the resources that sent them.
pub(crate) fn spans(exports: &[Export]) -> impl Iterator<Item = (&Resource, &Span)> {
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

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

pub(crate) fn text(attributes: &[KeyValue], key: &str) -> String {
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
