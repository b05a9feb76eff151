//! The walk over an `ExportTraceServiceRequest`.

use tiertop_core::id::{SpanId, TraceId};
use tiertop_core::observation::{ParentPlace, Span, SpanKind, SpanLink, SpanStatus};
use tiertop_core::time::UnixNanos;

use super::attributes::{Scalar, Slot, Slots};
use super::fold::{Scope, SpanParts};
use super::resource;
use super::sampling::weight;
use super::shapes::Shapes;
use super::{Decoded, LINKS, Limits, Reason};
use crate::wire::{Field, Fields, Malformed};

/// Bytes that the least valid span takes on the wire: two ids and a time, each with key and length.
const LEAST_SPAN_BYTES: usize = 37;

/// Decodes an `ExportTraceServiceRequest`.
pub(super) fn decode(body: &[u8], limits: &Limits) -> Result<Decoded, Malformed> {
    let begin = body.as_ptr() as usize;
    let mut walk = Walk { decoded: Decoded::default(), shapes: Shapes::default(), limits, begin };
    let mut slots = Slots::new();
    let mut request = Fields::new(body);
    while let Some(field) = request.next()? {
        if field.number == 1 {
            walk.resource_spans(field.bytes()?, &mut slots)?;
        }
    }
    let mut decoded = walk.decoded;
    decoded.batch.shapes = walk.shapes.into_vec();
    Ok(decoded)
}

struct Walk<'l> {
    decoded: Decoded,
    shapes: Shapes,
    limits: &'l Limits,
    /// Where the body begins in memory.
    begin: usize,
}

/// The fields of one span that are not attributes.
#[derive(Default)]
struct Header<'a> {
    trace: &'a [u8],
    id: &'a [u8],
    parent: &'a [u8],
    tracestate: &'a [u8],
    name: &'a [u8],
    kind: u64,
    status: u64,
    start: u64,
    end: u64,
    flags: u32,
    attributes: usize,
}

impl Walk<'_> {
    fn resource_spans<'a>(&mut self, message: &'a [u8], slots: &mut Slots<'a>) -> Result<(), Malformed> {
        let resources = &mut self.decoded.batch.resources;
        let resource = resource::intern(message, resource::Sender::OfSpans, resources)?;
        let fingerprint = resources[resource as usize].fingerprint;
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                let message = field.bytes()?;
                let scope = Scope::new(resource, fingerprint, scope_name(message)?);
                self.scope_spans(&scope, message, slots)?;
            }
        }
        Ok(())
    }

    fn scope_spans<'a>(
        &mut self,
        scope: &Scope<'_>,
        message: &'a [u8],
        slots: &mut Slots<'a>,
    ) -> Result<(), Malformed> {
        let mut left = message.len();
        let mut fields = Fields::new(message);
        loop {
            let offset = (fields.rest().as_ptr() as usize).wrapping_sub(self.begin) as u32;
            let Some(field) = fields.next()? else { break };
            if field.number == 2 {
                let span = field.bytes()?;
                let spans = &mut self.decoded.batch.spans;
                if spans.len() == spans.capacity() {
                    // Spans of one client are much of a size.
                    spans.reserve(left / span.len().max(LEAST_SPAN_BYTES) + 1);
                }
                left = left.saturating_sub(span.len());
                self.span(scope, (span, offset), slots)?;
            }
        }
        Ok(())
    }

    fn span<'a>(
        &mut self,
        scope: &Scope<'_>,
        (message, offset): (&'a [u8], u32),
        slots: &mut Slots<'a>,
    ) -> Result<(), Malformed> {
        slots.clear();
        let links_start = self.decoded.batch.links.len();
        let mut header = Header::default();
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                9 => {
                    slots.put(field.bytes()?)?;
                    header.attributes += 1;
                }
                13 => self.link(field, links_start)?,
                15 => header.status = status(field.bytes()?)?,
                _ => header.take(field)?,
            }
        }
        if is_inner_working(header.kind, slots) {
            self.decoded.batch.links.truncate(links_start);
            self.decoded.batch.spans_ignored += 1;
            return Ok(());
        }
        match header.check(self.limits) {
            Ok(span) => self.keep(scope, &header, Span { offset, ..span }, links_start, slots),
            Err(reason) => {
                self.decoded.batch.links.truncate(links_start);
                self.decoded.refused.span(reason);
            }
        }
        Ok(())
    }

    fn keep(&mut self, scope: &Scope<'_>, header: &Header<'_>, span: Span, links_start: usize, slots: &Slots<'_>) {
        let parts =
            SpanParts { kind: span_kind(header.kind), status: span_status(header.status), name: header.name, slots };
        let place = self.shapes.place(scope, &parts);
        let batch = &mut self.decoded.batch;
        batch.spans.push(Span {
            shape: place.shape,
            path_hash: place.path_hash,
            links_start: links_start as u32,
            links_len: (batch.links.len() - links_start) as u16,
            ..span
        });
    }

    fn link(&mut self, field: Field<'_>, links_start: usize) -> Result<(), Malformed> {
        let (mut trace, mut span) = (None, None);
        let mut fields = Fields::new(field.bytes()?);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => trace = TraceId::from_bytes(field.bytes()?),
                2 => span = SpanId::from_bytes(field.bytes()?),
                _ => {}
            }
        }
        let links = &mut self.decoded.batch.links;
        if let (Some(trace), Some(span)) = (trace, span)
            && links.len() - links_start < LINKS
        {
            links.push(SpanLink { trace, span });
        }
        Ok(())
    }
}

impl<'a> Header<'a> {
    #[inline]
    fn take(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.trace = field.bytes()?,
            2 => self.id = field.bytes()?,
            3 => self.tracestate = field.bytes()?,
            4 => self.parent = field.bytes()?,
            5 => self.name = field.bytes()?,
            6 => self.kind = field.varint()?,
            7 => self.start = field.fixed64()?,
            8 => self.end = field.fixed64()?,
            16 => self.flags = field.fixed32()?,
            _ => {}
        }
        Ok(())
    }

    /// The span, its shape and links not yet filled in, or why it is refused.
    fn check(&self, limits: &Limits) -> Result<Span, Reason> {
        let trace = TraceId::from_bytes(self.trace).ok_or(Reason::TraceId)?;
        let id = SpanId::from_bytes(self.id).ok_or(Reason::SpanId)?;
        if !matches!(self.parent.len(), 0 | 8) {
            return Err(Reason::ParentId);
        }
        if self.start == 0 && self.end == 0 {
            return Err(Reason::SpanTimes);
        }
        if self.attributes > limits.span_attributes {
            return Err(Reason::SpanAttributes);
        }
        let start = if self.start == 0 { self.end } else { self.start };
        Ok(Span {
            trace,
            id,
            parent: SpanId::from_bytes(self.parent).unwrap_or(SpanId::NONE),
            start: UnixNanos(start),
            end: UnixNanos(self.end.max(start)),
            path_hash: 0,
            weight: if self.tracestate.is_empty() { 0.0 } else { weight(self.tracestate) },
            shape: 0,
            links_start: 0,
            links_len: 0,
            offset: 0,
            parent_place: match self.flags & 0x300 {
                0x100 => ParentPlace::Local,
                0x300 => ParentPlace::Remote,
                _ => ParentPlace::Unknown,
            },
        })
    }
}

fn scope_name(scope_spans: &[u8]) -> Result<&[u8], Malformed> {
    let mut name: &[u8] = &[];
    let mut fields = Fields::new(scope_spans);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            let mut scope = Fields::new(field.bytes()?);
            while let Some(field) = scope.next()? {
                if field.number == 1 {
                    name = field.bytes()?;
                }
            }
            // All clients send the scope before its spans.
            if !name.is_empty() {
                break;
            }
        }
    }
    Ok(name)
}

fn status(message: &[u8]) -> Result<u64, Malformed> {
    let mut code = 0;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        if field.number == 3 {
            code = field.varint()?;
        }
    }
    Ok(code)
}

fn span_kind(number: u64) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn span_status(number: u64) -> SpanStatus {
    match number {
        1 => SpanStatus::Ok,
        2 => SpanStatus::Error,
        _ => SpanStatus::Unset,
    }
}

/// Whether the span shows the inside of an HTTP library, as Rust's `tracing` exports when nobody
/// filters it: those are about the exporter more often than about a request.
fn is_inner_working(kind: u64, slots: &Slots<'_>) -> bool {
    if kind > 1 {
        return false;
    }
    let Some(Scalar::Text(target)) = slots.raw(Slot::Target).and_then(Scalar::read) else {
        return false;
    };
    let module = target.split(|byte| *byte == b':').next().unwrap_or(target);
    matches!(module, b"h2" | b"hyper" | b"hyper_util" | b"tonic" | b"tower" | b"tower_http")
}
