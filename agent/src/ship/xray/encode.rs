//! Traces to segment documents.
//!
//! A trace is cut into segments, one for each request or message that a service took, with what the service
//! did for it as subsegments within. A root that is a call has a segment for its service put above it. What
//! does not fit into its segment's document is a document of its own, with the ids of the trace and of its
//! parent, and so is what comes later than the rest.
//!
//! Ids are those of the spans, so that sending a document again changes nothing, and a request that is told
//! as in progress is completed by its segment under the same id.

use std::collections::HashMap;
use std::fmt::Write;

use super::cause::mixed;
use super::document::{Context, DOCUMENT_BYTES, Role, Shed, XrayTraceId, inside, seconds};
use super::names;
use super::otlp::{Attributes, Span, scope_name};
use crate::details::{DetailedTrace, DetailedWaiting, SpanDetail};
use tiertop_core::id::{SpanId, TraceId};

/// What the ids, the type and the brackets of a document take at most.
const AROUND_BYTES: usize = 200;
/// How deep subsegments lie in one document; JSON readers follow some hundred levels.
const DEEPEST: u32 = 10;

/// One segment document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The id of its segment, or of its topmost subsegment.
    pub id: SpanId,
    /// The JSON.
    pub json: String,
    /// Spans that it tells.
    pub spans: u32,
}

/// What was made of traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The documents, segments before those that belong to them.
    pub documents: Vec<Document>,
    /// Spans that lost detail to fit.
    pub spans_cut: u64,
}

/// A span under way into a document.
struct Node<'a> {
    span: Span<'a>,
    parent: Option<usize>,
    role: Role,
    /// Its own JSON, without braces.
    inside: String,
    /// Documents of what it did, finished, with their bytes.
    parts: Vec<String>,
    bytes: usize,
    depth: u32,
    spans: u32,
}

/// Encodes the spans of one trace. Attributes of the names in `annotated` can be searched for; `*` is all.
pub fn trace(trace: &DetailedTrace, annotated: &[String]) -> Encoded {
    let mut encoded = Encoded::default();
    let mut resources: HashMap<*const u8, Attributes<'_>> = HashMap::new();
    for detail in &trace.spans {
        let read = || Attributes::of_resource(&detail.resource);
        resources.entry(detail.resource.as_ptr()).or_insert_with(read);
    }
    let mut nodes: Vec<Node<'_>> = Vec::with_capacity(trace.spans.len());
    let mut placed: HashMap<SpanId, usize> = HashMap::with_capacity(trace.spans.len());
    for (span, detail) in parents_first(&trace.spans) {
        let resource = &resources[&detail.resource.as_ptr()];
        let context = Context {
            tier: detail.tier.clone(),
            verdict: trace.verdict.clone(),
            stall: trace.stall.clone(),
            chosen_for: trace.reason.name(),
            scope: scope_name(&detail.scope),
        };
        let is_call_at_root = names::is_segment(&span) && span.is_call();
        let parent = if is_call_at_root {
            nodes.push(above(&span, resource, &context, annotated, &mut encoded.spans_cut));
            Some(nodes.len() - 1)
        } else {
            placed.get(&span.parent).copied()
        };
        let role = if names::is_segment(&span) && !is_call_at_root { Role::Segment } else { Role::Subsegment };
        placed.entry(span.id).or_insert(nodes.len());
        let node = node(span, resource, (role, &context), annotated, &mut encoded.spans_cut);
        nodes.push(Node { parent, ..node });
    }
    assemble(nodes, trace.trace, &mut encoded.documents);
    encoded
}

/// Encodes a request that has not ended, to be completed by its segment later.
pub fn in_progress(waiting: &DetailedWaiting) -> Document {
    let resource = Attributes::of_resource(&waiting.part.resource);
    let mut annotations = serde_json::Map::new();
    for (key, text) in [("tier", &waiting.tier), ("stall", &waiting.stall)] {
        if let Some(text) = text {
            annotations.insert(key.to_owned(), (**text).into());
        }
    }
    let json = serde_json::json!({
        "trace_id": XrayTraceId(waiting.trace).to_string(),
        "id": waiting.id.to_string(),
        "name": names::service(&resource, None),
        "start_time": seconds(waiting.start.0),
        "in_progress": true,
        "annotations": annotations,
        "metadata": {"default": {
            "otel.span.name": tiertop_core::text::cut(&waiting.operation, 1_000),
            "tiertop.chosen_for": "waiting",
        }},
    });
    Document { id: waiting.id, json: json.to_string(), spans: 0 }
}

/// The spans, each after its parent if that is among them.
fn parents_first(details: &[SpanDetail]) -> Vec<(Span<'_>, &SpanDetail)> {
    let read: Vec<(Span<'_>, &SpanDetail)> = details.iter().map(|detail| (Span::read(&detail.span), detail)).collect();
    let by_id: HashMap<SpanId, usize> =
        read.iter().enumerate().rev().map(|(place, (span, _))| (span.id, place)).collect();
    let mut depths: Vec<Option<u32>> = vec![None; read.len()];
    for place in 0..read.len() {
        let (mut way, mut at) = (vec![place], place);
        while depths[at].is_none()
            && let Some(&parent) = by_id.get(&read[at].0.parent)
            // Who claims to be its own forebear has none.
            && !way.contains(&parent)
        {
            way.push(parent);
            at = parent;
        }
        let mut depth = depths[at].unwrap_or(0);
        for step in way.into_iter().rev() {
            depth = *depths[step].get_or_insert(depth) + 1;
        }
    }
    let mut ordered: Vec<_> = read.into_iter().zip(depths).collect();
    ordered.sort_by_key(|((span, _), depth)| (*depth, span.start_nanos));
    ordered.into_iter().map(|(span, _)| span).collect()
}

fn node<'a>(
    span: Span<'a>,
    resource: &Attributes<'a>,
    (role, context): (Role, &Context<'_>),
    annotated: &[String],
    spans_cut: &mut u64,
) -> Node<'a> {
    let (inside, shed) = inside(&span, resource, (role, context), annotated, DOCUMENT_BYTES - AROUND_BYTES);
    *spans_cut += u64::from(shed != Shed::Nothing);
    let bytes = inside.len() + AROUND_BYTES;
    Node { span, parent: None, role, inside, parts: Vec::new(), bytes, depth: 0, spans: 1 }
}

/// The segment of a service whose trace begins with a call.
fn above<'a>(
    call: &Span<'a>,
    resource: &Attributes<'a>,
    context: &Context<'_>,
    annotated: &[String],
    spans_cut: &mut u64,
) -> Node<'a> {
    let span = Span {
        trace: call.trace,
        id: SpanId(mixed(call.id.0, u64::MAX / 2)),
        name: call.name.clone(),
        start_nanos: call.start_nanos,
        end_nanos: call.end_nanos,
        failed: call.failed,
        ..Span::default()
    };
    Node { spans: 0, ..node(span, resource, (Role::Segment, context), annotated, spans_cut) }
}

/// Puts subsegments into their parents from the leaves upwards, as far as these have room.
fn assemble(mut nodes: Vec<Node<'_>>, trace: TraceId, documents: &mut Vec<Document>) {
    let first = documents.len();
    while let Some(node) = nodes.pop() {
        // Parents stand before their children, so what is popped has all of its parts.
        let parent = node.parent.map(|parent| &mut nodes[parent]);
        match parent {
            Some(parent)
                if node.role == Role::Subsegment
                    && node.depth < DEEPEST
                    && parent.bytes + node.bytes <= DOCUMENT_BYTES =>
            {
                parent.bytes += node.bytes;
                parent.depth = parent.depth.max(node.depth + 1);
                parent.spans += node.spans;
                parent.parts.push(node.json(None));
            }
            parent => {
                let above = parent.map(|parent| parent.span.id).or(Some(node.span.parent));
                let above = above.filter(|parent| parent.is_some());
                documents.push(Document { id: node.span.id, json: node.json(Some((trace, above))), spans: node.spans });
            }
        }
    }
    documents[first..].reverse();
}

impl Node<'_> {
    /// The JSON of it and its parts; with the ids of the trace and the parent, a document by itself.
    fn json(&self, of: Option<(TraceId, Option<SpanId>)>) -> String {
        let mut json = String::with_capacity(self.bytes);
        json.push('{');
        if let Some((trace, parent)) = of {
            // Writing into a string cannot fail.
            let _ = write!(json, "\"trace_id\":\"{}\",", XrayTraceId(trace));
            if let Some(parent) = parent {
                let _ = write!(json, "\"parent_id\":\"{parent}\",");
            }
            if self.role == Role::Subsegment {
                json.push_str("\"type\":\"subsegment\",");
            }
        }
        json.push_str(&self.inside);
        if !self.parts.is_empty() {
            json.push_str(",\"subsegments\":[");
            // They were finished from the last to the first.
            for (place, part) in self.parts.iter().rev().enumerate() {
                if place > 0 {
                    json.push(',');
                }
                json.push_str(part);
            }
            json.push(']');
        }
        json.push('}');
        json
    }
}
