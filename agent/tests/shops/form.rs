//! How a play is written down: with what names and kinds, by which clocks, and what is missing of it.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::play::{Part, Spanned};

/// When millisecond 0 is.
const BEGIN_NANOS: u64 = 1_795_456_800_000_000_000;
/// What the random ends of pods' names are made of.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How spans say what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// As the specification wants it.
    Given,
    /// Unspecified, all of them.
    Missing,
    /// Internal, all of them.
    Inside,
    /// Callers have no spans of their calls, as where a mesh reports.
    ServersOnly,
}

/// What resources are told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// `service.name`.
    Service,
    /// `k8s.deployment.name` and the pod's.
    Deployment,
    /// The pod's name as `service.name`.
    Pod,
}

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) kinds: Kinds,
    pub(crate) names: Names,
    /// Clocks of pods are apart by up to this.
    pub(crate) clocks_ms: f64,
    /// This share of the traces is there.
    pub(crate) kept: f64,
    /// This share of the spans is missing.
    pub(crate) lost: f64,
    /// This share of what is asked for goes on after it was answered, for up to 100 ms.
    pub(crate) outlasts: f64,
    /// The first and last traces are cut.
    pub(crate) cut: bool,
}

/// Everything there and well marked.
pub(crate) const PLAIN: Form = Form {
    name: "as it should be",
    kinds: Kinds::Given,
    names: Names::Service,
    clocks_ms: 0.0,
    kept: 1.0,
    lost: 0.0,
    outlasts: 0.0,
    cut: false,
};

/// The forms that captures come in.
pub(crate) const FORMS: [Form; 10] = [
    PLAIN,
    Form { name: "clocks 5 ms apart", clocks_ms: 5.0, ..PLAIN },
    Form { name: "clocks 100 ms apart", clocks_ms: 100.0, ..PLAIN },
    Form { name: "half of the traces", kept: 0.5, ..PLAIN },
    Form { name: "no kinds", kinds: Kinds::Missing, ..PLAIN },
    Form { name: "all kinds internal", kinds: Kinds::Inside, ..PLAIN },
    Form { name: "no spans of callers", kinds: Kinds::ServersOnly, ..PLAIN },
    Form { name: "named by deployment", names: Names::Deployment, ..PLAIN },
    Form { name: "named by pod", names: Names::Pod, ..PLAIN },
    Form { name: "worn", clocks_ms: 30.0, lost: 0.01, outlasts: 0.15, cut: true, kinds: Kinds::Missing, ..PLAIN },
];

/// Writes spans as one request.
pub(crate) fn write(spans: &[Spanned], form: &Form, seed: u64) -> ExportTraceServiceRequest {
    let mut dice = StdRng::seed_from_u64(seed ^ 0x5bd1_e995);
    let mut clocks: BTreeMap<(&str, usize), f64> = BTreeMap::new();
    let mut by_pod: BTreeMap<(&str, usize), Vec<Span>> = BTreeMap::new();
    let parents: BTreeMap<u64, &Spanned> = spans.iter().map(|span| (span.id, span)).collect();
    let from = spans.iter().map(|span| span.from_ms).fold(f64::INFINITY, f64::min);
    let to = spans.iter().map(|span| span.to_ms).fold(0.0, f64::max);
    let (mut trace, mut is_kept) = (0, true);
    for span in spans {
        if span.trace != trace {
            (trace, is_kept) = (span.trace, dice.random_bool(form.kept));
        }
        let is_cut = form.cut && (span.to_ms < from + 2_000.0 || span.from_ms > to - 1_000.0) && dice.random_bool(0.5);
        let is_hidden = form.kinds == Kinds::ServersOnly && span.part == Part::Called;
        let is_lost = span.parent != 0 && dice.random_bool(form.lost);
        let goes_on = span.part == Part::Served && span.parent != 0 && dice.random_bool(form.outlasts);
        let longer_ms = if goes_on { dice.random_range(0.0..100.0) } else { 0.0 };
        if !is_kept || is_cut || is_hidden || is_lost {
            continue;
        }
        let place = (span.service, span.pod);
        let ahead = *clocks.entry(place).or_insert_with(|| dice.random_range(-form.clocks_ms..=form.clocks_ms));
        let nanos = |ms: f64| BEGIN_NANOS + ((ms + ahead + 1_000.0) * 1e6) as u64;
        let above =
            parents.get(&span.parent).filter(|above| form.kinds == Kinds::ServersOnly && above.part == Part::Called);
        let parent = above.map_or(span.parent, |above| above.parent);
        let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
        by_pod.entry(place).or_default().push(Span {
            trace_id: u128::from(span.trace).to_be_bytes().to_vec(),
            span_id: bytes(span.id),
            parent_span_id: bytes(parent),
            name: span.name.clone(),
            kind: kind(form.kinds, span.part),
            start_time_unix_nano: nanos(span.from_ms),
            end_time_unix_nano: nanos(span.to_ms + longer_ms),
            status: span.failed.then(|| Status { code: 2, ..Status::default() }),
            ..Span::default()
        });
    }
    let resource_spans = by_pod.into_iter().map(|((service, pod), spans)| ResourceSpans {
        resource: Some(Resource { attributes: resource(service, pod, form.names, seed), ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn kind(kinds: Kinds, part: Part) -> i32 {
    match (kinds, part) {
        (Kinds::Missing, _) => 0,
        (Kinds::Inside, _) | (_, Part::Inside) => 1,
        (_, Part::Served) => 2,
        (_, Part::Called) => 3,
    }
}

fn resource(service: &str, pod: usize, names: Names, seed: u64) -> Vec<KeyValue> {
    let mut dice = StdRng::seed_from_u64(seed + pod as u64);
    let mut letters = |count: usize| -> String {
        (0..count).map(|_| char::from(LETTERS[dice.random_range(0..LETTERS.len())])).collect()
    };
    let pod = format!("{service}-5{}7b-{}", letters(6), letters(5));
    let says: &[(&str, &str)] = match names {
        Names::Service => &[("service.name", service), ("service.instance.id", &pod), ("k8s.pod.name", &pod)],
        Names::Deployment => &[("k8s.deployment.name", service), ("k8s.pod.name", &pod)],
        Names::Pod => &[("service.name", &pod)],
    };
    let fixed = [("k8s.namespace.name", "shop"), ("telemetry.sdk.name", "opentelemetry")];
    let pair = |(key, value): &(&str, &str)| {
        let value = Some(AnyValue { value: Some(Value::StringValue((*value).to_owned())) });
        KeyValue { key: (*key).to_owned(), value, ..KeyValue::default() }
    };
    says.iter().chain(&fixed).map(pair).collect()
}
