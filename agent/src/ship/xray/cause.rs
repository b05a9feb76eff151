//! Whether a span failed, whose fault that is, and why.
//!
//! 1. By the HTTP status: 4xx is an error of who asked, 429 is throttling too, 5xx a fault.
//! 2. Without one, by gRPC's status: the codes that blame the caller are errors, `RESOURCE_EXHAUSTED` is throttling.
//! 3. Without either, a span that says it failed is a fault.
//!
//! The cause is in the exceptions that were recorded as events, or else in the status's message.

use std::borrow::Cow;

use serde::Serialize;

use super::otlp::{Attributes, Event, Span};
use super::stack::{self, Frame};

/// Exceptions that are told of one span.
const MOST_EXCEPTIONS: usize = 10;
/// Longest message, in bytes.
const MESSAGE_BYTES: usize = 4_000;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    pub(super) error: bool,
    pub(super) fault: bool,
    pub(super) throttle: bool,
}

/// What is told of a failure.
#[derive(Debug, Serialize)]
pub(super) struct Cause<'a> {
    exceptions: Vec<Exception<'a>>,
}

#[derive(Debug, Serialize)]
struct Exception<'a> {
    id: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remote: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<Frame>,
    #[serde(skip_serializing_if = "is_zero")]
    truncated: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The status of the HTTP response.
pub(super) fn http_status(at: &Attributes<'_>) -> Option<u16> {
    let status = at.integer(&["http.response.status_code", "http.status_code"])?;
    u16::try_from(status).ok().filter(|status| (100..600).contains(status))
}

pub(super) fn blame(span: &Span<'_>) -> Blame {
    let none = Blame::default();
    match http_status(&span.attributes) {
        Some(429) => return Blame { error: true, throttle: true, ..none },
        Some(400..500) => return Blame { error: true, ..none },
        Some(500..600) => return Blame { fault: true, ..none },
        _ if !span.failed => return none,
        _ => {}
    }
    let grpc = ["rpc.response.status_code", "rpc.grpc.status_code", "grpc.status_code"];
    let code = span.attributes.integer(&grpc);
    let word = span.attributes.text(&grpc[..1]);
    match (code, word.as_deref()) {
        (Some(8), _) | (_, Some("RESOURCE_EXHAUSTED")) => Blame { error: true, throttle: true, ..none },
        (Some(1 | 3 | 5 | 6 | 7 | 9 | 11 | 16), _)
        | (
            _,
            Some(
                "CANCELLED"
                | "INVALID_ARGUMENT"
                | "NOT_FOUND"
                | "ALREADY_EXISTS"
                | "PERMISSION_DENIED"
                | "FAILED_PRECONDITION"
                | "OUT_OF_RANGE"
                | "UNAUTHENTICATED",
            ),
        ) => Blame { error: true, ..none },
        _ => Blame { fault: true, ..none },
    }
}

/// Why a span failed; `None` if it did not, or nothing was said. `language` is its SDK's.
pub(super) fn cause<'a>(span: &Span<'a>, language: &str, with_stacks: bool) -> Option<Cause<'a>> {
    let events: Vec<&Event<'a>> = span.events.iter().filter(|event| event.name == "exception").collect();
    let id = |place: usize| format!("{:016x}", mixed(span.id.0, place as u64));
    let exceptions: Vec<Exception<'a>> = events
        .iter()
        .take(MOST_EXCEPTIONS)
        .enumerate()
        .map(|(place, event)| {
            let text = event.attributes.text(&["exception.stacktrace"]).filter(|_| with_stacks);
            let (stack, truncated) = text.map(|text| stack::frames(language, &text)).unwrap_or_default();
            Exception {
                id: id(place),
                kind: event.attributes.text(&["exception.type"]).map(|kind| cut(kind, 200)),
                message: cut(event.attributes.text(&["exception.message"]).unwrap_or_default(), MESSAGE_BYTES),
                remote: span.is_call(),
                stack,
                truncated,
            }
        })
        .collect();
    if !exceptions.is_empty() {
        return Some(Cause { exceptions });
    }
    let kind = span.attributes.text(&["error.type"]).map(|kind| cut(kind, 200));
    let is_told = span.failed && (!span.status_message.is_empty() || kind.is_some());
    is_told.then(|| {
        let message = cut(span.status_message.clone(), MESSAGE_BYTES);
        let only = Exception { id: id(0), kind, message, remote: span.is_call(), stack: Vec::new(), truncated: 0 };
        Cause { exceptions: vec![only] }
    })
}

/// The start of a text that is not longer than so many bytes.
pub(super) fn cut(text: Cow<'_, str>, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes { text } else { Cow::Owned(tiertop_core::text::cut(&text, bytes).to_owned()) }
}

/// An id for what belongs to a span and has none of its own, the same whenever the span is encoded.
pub(super) fn mixed(id: u64, place: u64) -> u64 {
    let value = id ^ (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (value ^ (value >> 27)).max(1)
}
