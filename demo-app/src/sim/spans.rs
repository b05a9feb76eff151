//! Spans of simulated processes: made, ended and kept by the rules of the SDK and its sampler.

use std::rc::Rc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use rand::RngExt;

use crate::sim::instance::{Ground, Instance};
use crate::sim::names::text;

/// Flags of a span: sampled, and known whether its parent is of another process.
const SAMPLED_LOCAL: u32 = 0x101;

/// The same, of a span whose parent is of another process.
const SAMPLED_REMOTE: u32 = 0x301;

/// The trace and the span that something happens in, as it travels between processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    trace: u128,
    span: u64,
    /// The sampler's threshold in 56 bits, where fewer than all traces are kept.
    threshold: u64,
    kept: bool,
    remote: bool,
}

impl Context {
    /// The same, as another process gets it.
    pub(super) fn sent(self) -> Self {
        Self { remote: true, ..self }
    }

    fn state(self) -> String {
        if self.threshold == 0 {
            return String::new();
        }
        format!("ot=th:{}", format!("{:014x}", self.threshold).trim_end_matches('0'))
    }
}

/// Decides by the low 56 bits of a new trace's id, as consistent probability sampling does.
fn root(ground: &Ground) -> Context {
    let trace: u128 = ground.random.borrow_mut().random();
    let threshold = ((1.0 - ground.kept.get()).clamp(0.0, 1.0) * (1_u64 << 56) as f64) as u64;
    let draw = trace as u64 & ((1 << 56) - 1);
    Context { trace, span: 0, threshold, kept: draw >= threshold, remote: false }
}

/// A span that has not ended; it ends when it is dropped.
pub(super) struct OpenSpan {
    context: Context,
    of: Rc<Instance>,
    span: Option<Span>,
}

impl OpenSpan {
    /// Begins a span in a process; without a parent it begins a trace.
    pub(super) fn new(
        of: &Rc<Instance>,
        parent: Option<Context>,
        kind: SpanKind,
        name: &str,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let parent = parent.unwrap_or_else(|| root(&of.ground));
        let id: u64 = of.ground.random.borrow_mut().random_range(1..=u64::MAX);
        let context = Context { span: id, remote: false, ..parent };
        let span = context.kept.then(|| Span {
            trace_id: context.trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: if parent.span == 0 { Vec::new() } else { parent.span.to_be_bytes().to_vec() },
            trace_state: context.state(),
            flags: if parent.remote { SAMPLED_REMOTE } else { SAMPLED_LOCAL },
            name: name.to_owned(),
            kind: kind as i32,
            start_time_unix_nano: of.ground.unix_nanos(),
            attributes: attributes(),
            status: Some(Status::default()),
            ..Default::default()
        });
        Self { context, of: Rc::clone(of), span }
    }

    /// The context of what happens inside.
    pub(super) fn context(&self) -> Context {
        self.context
    }

    /// Adds an attribute.
    pub(super) fn set(&mut self, attribute: impl FnOnce() -> KeyValue) {
        if let Some(span) = &mut self.span {
            span.attributes.push(attribute());
        }
    }

    /// Marks the span as failed with a low-cardinality kind of error.
    pub(super) fn fail(&mut self, kind: &str, message: impl Into<String>) {
        if let Some(span) = &mut self.span {
            span.attributes.push(text("error.type", kind));
            span.status = Some(Status { message: message.into(), code: StatusCode::Error as i32 });
        }
    }

    /// Links to the span of another trace.
    pub(super) fn link(&mut self, to: Context) {
        if let Some(span) = &mut self.span {
            span.links.push(Link {
                trace_id: to.trace.to_be_bytes().to_vec(),
                span_id: to.span.to_be_bytes().to_vec(),
                flags: if to.kept { SAMPLED_REMOTE } else { SAMPLED_REMOTE - 1 },
                ..Default::default()
            });
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.end_time_unix_nano = self.of.ground.unix_nanos();
            self.of.ended(span);
        }
    }
}
