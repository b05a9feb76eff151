//! The shapes of a stream of telemetry: which spans and metrics there are, and what they say of themselves.
//!
//! It is fed with OTLP requests of whatever origin, so the shapes of the simulation can be held against those
//! of the real demo: they are meant to be the same.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::sim::Export;

/// Names of attributes, in order.
pub type Keys = BTreeSet<String>;

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shapes {
    /// Service, kind, name and attributes of spans.
    pub spans: BTreeSet<(String, i32, String, Keys)>,
    /// Service, name, unit, kind and attributes of metrics.
    pub metrics: BTreeSet<(String, String, String, &'static str, Keys)>,
}

impl Shapes {
    /// Takes what a process sent.
    pub fn take(&mut self, export: &Export) {
        match export {
            Export::Traces { request, .. } => {
                for of in &request.resource_spans {
                    let service = service(of.resource.as_ref());
                    for span in of.scope_spans.iter().flat_map(|scope| &scope.spans) {
                        let shape = (service.clone(), span.kind, span.name.clone(), keys(&span.attributes));
                        self.spans.insert(shape);
                    }
                }
            }
            Export::Metrics { request, .. } => {
                for of in &request.resource_metrics {
                    let service = service(of.resource.as_ref());
                    for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                        self.metric(&service, metric);
                    }
                }
            }
        }
    }

    fn metric(&mut self, service: &str, metric: &Metric) {
        let (kind, sets): (_, Vec<Keys>) = match &metric.data {
            Some(Data::Gauge(of)) => ("gauge", of.data_points.iter().map(|p| keys(&p.attributes)).collect()),
            Some(Data::Sum(of)) => {
                let kind = if of.is_monotonic { "counter" } else { "level" };
                (kind, of.data_points.iter().map(|p| keys(&p.attributes)).collect())
            }
            Some(Data::Histogram(of)) => ("histogram", of.data_points.iter().map(|p| keys(&p.attributes)).collect()),
            _ => return,
        };
        for keys in sets {
            self.metrics.insert((service.to_owned(), metric.name.clone(), metric.unit.clone(), kind, keys));
        }
    }
}

fn keys(attributes: &[KeyValue]) -> Keys {
    attributes.iter().map(|attribute| attribute.key.clone()).collect()
}

fn service(resource: Option<&Resource>) -> String {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let name = attributes.iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|name| name.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(name)) => name.clone(),
        _ => String::new(),
    }
}
