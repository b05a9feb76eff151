//! All that was sent of spans, for a while: recent requests as they came, and looking spans up in them.
//!
//! The engine keeps of a span what figures need. Whoever hands on a whole trace needs the rest: attributes,
//! events, links. So the bodies of recent requests are kept, the oldest going first under a ceiling, and each
//! span in the engine bears a reference: the number of its body and the place of its field in it.
//!
//! When a trace is chosen its spans are looked up at once and copied out, so that nothing that waits to be
//! sent holds a whole request. What comes out is OTLP as it was sent: the messages of the resource, of the
//! scope and of the span. A span whose body is gone is counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tiertop_core::choice::{ChoiceRules, Chosen, ChosenSpan, Reason, RuleCount};
use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::time::UnixNanos;
use tokio::sync::{mpsc, watch};

use crate::wire::{Fields, Malformed, Value};

/// What a kept body costs beyond its bytes.
const BODY_BYTES: usize = 64;

/// The recent requests.
#[derive(Debug)]
pub struct Details {
    ceiling: usize,
    bytes: usize,
    /// The number of the oldest that is kept.
    first: u64,
    bodies: VecDeque<Bytes>,
}

/// One span as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanDetail {
    /// The `Resource` message, shared among the spans of a process; empty if none was sent.
    pub resource: Bytes,
    /// The `InstrumentationScope` message.
    pub scope: Bytes,
    /// The `Span` message.
    pub span: Bytes,
    /// Id of the tier that it belongs to, or that it calls.
    pub tier: Option<Arc<str>>,
}

/// Spans of one chosen trace.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailedTrace {
    /// The trace.
    pub trace: TraceId,
    /// Why it was chosen.
    pub reason: Reason,
    /// It was chosen before, and these came later.
    pub is_rest: bool,
    /// The verdict of the incident that it is part of.
    pub verdict: Option<Arc<str>>,
    /// Where it stood, if in a stall.
    pub stall: Option<Arc<str>>,
    /// Its spans, parents before children as far as they are linked.
    pub spans: Vec<SpanDetail>,
}

/// A request that has not ended, with a span of the same process.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailedWaiting {
    /// The trace.
    pub trace: TraceId,
    /// The id that its span will have.
    pub id: SpanId,
    /// It began no later than this.
    pub start: UnixNanos,
    /// What it is.
    pub operation: String,
    /// Id of the tier that it waits in.
    pub tier: Option<Arc<str>>,
    /// Where it stands, if in a stall.
    pub stall: Option<Arc<str>>,
    /// A part of it, whose resource is its own.
    pub part: SpanDetail,
}

/// What was chosen at one tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetailedTraces {
    /// Traces, or parts of them that came later.
    pub traces: Vec<DetailedTrace>,
    /// Requests that are under way.
    pub waiting: Vec<DetailedWaiting>,
    /// Traces that were over the budget, in the order of [`Reason::ALL`].
    pub over_budget: [u64; Reason::ALL.len()],
    /// Spans of chosen traces of which no more is there.
    pub spans_gone: u64,
    /// Spans that were not taken, because too many ticks' traces waited.
    pub spans_not_taken: u64,
    /// Use of the rules of the uniform share.
    pub by_rule: Vec<RuleCount>,
}

impl DetailedTraces {
    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let spans = self.traces.iter().flat_map(|trace| &trace.spans).chain(self.waiting.iter().map(|one| &one.part));
        spans.map(|span| span.span.len() + span.scope.len() + size_of::<SpanDetail>() + BODY_BYTES).sum()
    }
}

impl Details {
    /// Keeps bodies of at most so many bytes together.
    pub fn new(ceiling: usize) -> Self {
        Self { ceiling, bytes: 0, first: 1, bodies: VecDeque::new() }
    }

    /// Keeps a body, as protobuf, and says its number.
    pub fn keep(&mut self, body: Bytes) -> u64 {
        self.bytes += body.len() + BODY_BYTES;
        self.bodies.push_back(body);
        let number = self.first + self.bodies.len() as u64 - 1;
        while self.bytes > self.ceiling
            && let Some(oldest) = self.bodies.pop_front()
        {
            self.bytes -= oldest.len() + BODY_BYTES;
            self.first += 1;
        }
        number
    }

    /// Looks up what was chosen.
    pub fn resolve(&self, chosen: Chosen) -> DetailedTraces {
        let mut looking = Looking { details: self, shared: HashMap::new(), gone: chosen.spans_left_out };
        let traces = chosen
            .traces
            .into_iter()
            .map(|trace| DetailedTrace {
                trace: trace.trace,
                reason: trace.reason,
                is_rest: trace.is_rest,
                verdict: trace.verdict,
                stall: trace.stall,
                spans: trace.spans.iter().filter_map(|span| looking.up(trace.trace, span)).collect(),
            })
            .filter(|trace| !trace.spans.is_empty());
        let traces = traces.collect();
        let waiting = chosen.waiting.into_iter().filter_map(|waiting| {
            Some(DetailedWaiting {
                part: looking.up(waiting.trace, &waiting.part)?,
                trace: waiting.trace,
                id: waiting.id,
                start: waiting.start,
                operation: waiting.operation,
                tier: waiting.tier,
                stall: waiting.stall,
            })
        });
        let waiting = waiting.collect();
        let (over_budget, by_rule) = (chosen.over_budget, chosen.by_rule);
        DetailedTraces { traces, waiting, over_budget, spans_gone: looking.gone, spans_not_taken: 0, by_rule }
    }

    fn body(&self, number: u64) -> Option<&Bytes> {
        self.bodies.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// Looking up spans, of which many share resource and scope.
struct Looking<'d> {
    details: &'d Details,
    /// Copies of resources and scopes, by body and place.
    shared: HashMap<(u64, usize), Bytes>,
    gone: u64,
}

impl Looking<'_> {
    fn up(&mut self, trace: TraceId, chosen: &ChosenSpan) -> Option<SpanDetail> {
        let found = self.look(trace, chosen);
        self.gone += u64::from(found.is_none());
        found
    }

    fn look(&mut self, trace: TraceId, chosen: &ChosenSpan) -> Option<SpanDetail> {
        let (number, offset) = chosen.detail.place()?;
        let body = self.details.body(number)?;
        let field = Fields::new(body.get(offset..)?).next().ok()??;
        let span = field.bytes().ok()?;
        if !is_span(span, trace, chosen.id).ok()? {
            return None;
        }
        let resource_spans = around(body, 1, offset, body).ok()??;
        let scope_spans = around(resource_spans, 2, offset, body).ok()??;
        Some(SpanDetail {
            resource: self.share(number, body, message(resource_spans, 1)),
            scope: self.share(number, body, message(scope_spans, 1)),
            span: Bytes::copy_from_slice(span),
            tier: chosen.tier.clone(),
        })
    }

    fn share(&mut self, number: u64, body: &[u8], message: &[u8]) -> Bytes {
        let at = (message.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
        self.shared.entry((number, at)).or_insert_with(|| Bytes::copy_from_slice(message)).clone()
    }
}

/// The message in fields of a number that lies around a place in the body.
fn around<'a>(parent: &'a [u8], number: u32, offset: usize, body: &[u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let mut fields = Fields::new(parent);
    while let Some(field) = fields.next()? {
        if let (true, Value::Bytes(bytes)) = (field.number == number, field.value) {
            let from = (bytes.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
            if (from..from + bytes.len()).contains(&offset) {
                return Ok(Some(bytes));
            }
        }
    }
    Ok(None)
}

/// The first message in a field of a number; empty if there is none.
fn message(parent: &[u8], number: u32) -> &[u8] {
    let mut fields = Fields::new(parent);
    while let Ok(Some(field)) = fields.next() {
        if field.number == number
            && let Value::Bytes(bytes) = field.value
        {
            return bytes;
        }
    }
    &[]
}

fn is_span(span: &[u8], trace: TraceId, id: SpanId) -> Result<bool, Malformed> {
    let (mut own_trace, mut own_id) = (None, None);
    let mut fields = Fields::new(span);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => own_trace = TraceId::from_bytes(field.bytes()?),
            2 => own_id = SpanId::from_bytes(field.bytes()?),
            _ => {}
        }
        if own_trace.is_some() && own_id.is_some() {
            break;
        }
    }
    Ok((own_trace, own_id) == (Some(trace), Some(id)))
}

/// The engine's end of the way on which chosen traces leave it.
#[derive(Clone, Debug)]
pub struct TraceOutlet {
    detail_bytes: usize,
    chosen: mpsc::Sender<DetailedTraces>,
    rules: watch::Receiver<ChoiceRules>,
    not_taken: u64,
}

/// Ticks whose traces may wait to be taken.
const WAITING_TICKS: usize = 16;

/// Makes both ends of the way: for the engine, which keeps so many bytes of requests, and for who takes the
/// traces and may change the rules.
pub fn trace_outlet(
    detail_bytes: usize,
    rules: ChoiceRules,
) -> (TraceOutlet, mpsc::Receiver<DetailedTraces>, watch::Sender<ChoiceRules>) {
    let (chosen, taken) = mpsc::channel(WAITING_TICKS);
    let (change, rules) = watch::channel(rules);
    (TraceOutlet { detail_bytes, chosen, rules, not_taken: 0 }, taken, change)
}

impl TraceOutlet {
    /// Bytes of requests to keep.
    pub(crate) fn detail_bytes(&self) -> usize {
        self.detail_bytes
    }

    /// The rules, if they changed since they were last asked for.
    pub(crate) fn new_rules(&mut self) -> Option<ChoiceRules> {
        self.rules.has_changed().unwrap_or(false).then(|| self.rules.borrow_and_update().clone())
    }

    /// Hands on what was chosen. Who takes it too slowly gets less, and is told so; the engine never waits.
    pub(crate) fn hand_on(&mut self, chosen: Chosen, details: &Details) {
        match self.chosen.try_reserve() {
            Ok(permit) => {
                let spans_not_taken = std::mem::take(&mut self.not_taken);
                permit.send(DetailedTraces { spans_not_taken, ..details.resolve(chosen) });
            }
            Err(_) => self.not_taken += chosen.traces.iter().map(|trace| trace.spans.len() as u64).sum::<u64>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    use tiertop_core::choice::ChosenTrace;
    use tiertop_core::observation::DetailRef;

    use super::*;
    use crate::decode::{Limits, Signal, protobuf};

    fn request(names: &[&str]) -> ExportTraceServiceRequest {
        let span = |name: &&str| Span {
            trace_id: vec![1; 16],
            span_id: vec![name.len() as u8; 8],
            name: (*name).to_owned(),
            end_time_unix_nano: 1,
            ..Span::default()
        };
        let scope = |name: &str| InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
        let resource = |dropped| Resource { dropped_attributes_count: dropped, ..Resource::default() };
        let scope_spans = |names: &[&str]| ScopeSpans {
            scope: names.first().map(|name| scope(name)),
            spans: names.iter().map(span).collect(),
            ..ScopeSpans::default()
        };
        let of = |dropped, names: &[&str]| ResourceSpans {
            resource: Some(resource(dropped)),
            scope_spans: names.chunks(2).map(scope_spans).collect(),
            ..ResourceSpans::default()
        };
        let (one, other) = names.split_at(names.len() / 2);
        ExportTraceServiceRequest { resource_spans: vec![of(7, one), of(8, other)] }
    }

    /// Chooses all spans of a request that is kept.
    fn choose(details: &mut Details, request: &ExportTraceServiceRequest) -> Chosen {
        let body = Bytes::from(request.encode_to_vec());
        let batch = protobuf(Signal::Traces, &body, &Limits::default()).unwrap().batch;
        let number = details.keep(body);
        let spans = batch.spans.iter().map(|span| ChosenSpan {
            id: span.id,
            detail: DetailRef::new(number, span.offset),
            tier: None,
        });
        let trace = ChosenTrace {
            trace: batch.spans[0].trace,
            reason: Reason::Failed,
            is_rest: false,
            verdict: None,
            stall: None,
            spans: spans.collect(),
        };
        Chosen { traces: vec![trace], ..Chosen::default() }
    }

    #[test]
    fn each_span_comes_back_as_it_was_sent_with_its_resource_and_scope() {
        let request = request(&["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"]);
        let mut details = Details::new(1 << 20);
        let chosen = choose(&mut details, &request);
        let found = details.resolve(chosen);
        assert_eq!(found.spans_gone, 0);
        let mut sent = request.resource_spans.iter().flat_map(|of_resource| {
            let resource = of_resource.resource.as_ref().unwrap();
            of_resource.scope_spans.iter().flat_map(move |of_scope| {
                let scope = of_scope.scope.as_ref().unwrap();
                of_scope.spans.iter().map(move |span| (resource, scope, span))
            })
        });
        for found in &found.traces[0].spans {
            let (resource, scope, span) = sent.next().unwrap();
            assert_eq!(Resource::decode(&*found.resource).unwrap(), *resource);
            assert_eq!(InstrumentationScope::decode(&*found.scope).unwrap(), *scope);
            assert_eq!(Span::decode(&*found.span).unwrap(), *span);
        }
        assert_eq!(sent.next(), None);
    }

    #[test]
    fn spans_of_bodies_that_had_to_go_are_counted_as_gone() {
        let request = request(&["a", "bb"]);
        let mut details = Details::new(request.encoded_len() * 3);
        let old = choose(&mut details, &request);
        for _ in 0..5 {
            let new = choose(&mut details, &request);
            assert_eq!(details.resolve(new).spans_gone, 0);
        }
        assert!(details.bytes <= details.ceiling);
        let found = details.resolve(old);
        assert_eq!((found.spans_gone, found.traces.len()), (2, 0));
    }

    #[test]
    fn a_reference_to_another_span_or_to_nothing_finds_nothing() {
        let mut details = Details::new(1 << 20);
        let chosen = choose(&mut details, &request(&["a", "bb"]));
        let mut wrong = chosen.clone();
        wrong.traces[0].spans[0].id = SpanId(99);
        wrong.traces[0].spans[1].detail = DetailRef::NONE;
        assert_eq!(details.resolve(wrong).spans_gone, 2);
        let mut beyond = chosen;
        for (span, offset) in beyond.traces[0].spans.iter_mut().zip([1, 1 << 20]) {
            span.detail = DetailRef::new(1, offset);
        }
        assert_eq!(details.resolve(beyond).spans_gone, 2);
    }

    #[test]
    fn who_takes_traces_too_slowly_is_told_what_was_not_taken() {
        let (mut outlet, mut taken, _rules) = trace_outlet(1 << 20, ChoiceRules::default());
        let mut details = Details::new(outlet.detail_bytes());
        for _ in 0..WAITING_TICKS + 3 {
            let chosen = choose(&mut details, &request(&["a", "bb"]));
            outlet.hand_on(chosen, &details);
        }
        assert_eq!(taken.try_recv().unwrap().spans_not_taken, 0);
        outlet.hand_on(Chosen::default(), &details);
        let all: u64 = std::iter::from_fn(|| taken.try_recv().ok()).map(|traces| traces.spans_not_taken).sum();
        assert_eq!(all, 6);
    }
}
