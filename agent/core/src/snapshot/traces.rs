//! What a snapshot says of single requests: stalls, and the traces that were kept.

use serde::{Deserialize, Serialize};

/// An interval in which the front completed nothing, or hardly anything, while requests waited; or in
/// which one instance among several stood still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StallView {
    /// When completions stopped, milliseconds since the Unix epoch.
    pub start_unix_ms: u64,
    /// How long it lasted, or lasts up to now.
    pub length_ms: u64,
    /// It still lasts.
    pub ongoing: bool,
    /// In a line, such as "no completions at lb for 1.8 s, sources still report".
    pub summary: String,
    /// Id of the tier in which the requests stood; `None` while that is not known.
    pub tier: Option<String>,
    /// The one instance that stood, where only one did.
    pub instance: Option<String>,
    /// Ids of caller and callee, where requests stood between two tiers.
    pub edge: Option<(String, String)>,
    /// Requests that stood in it.
    pub requests: u64,
    /// The first thing that moved again, such as "db-primary/content: INSERT content".
    pub first_moved: Option<String>,
    /// Ids of traces that stood in it.
    pub traces: Vec<String>,
}

/// Why a trace was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptFor {
    /// It is among the slowest of its operation.
    Slowest,
    /// It failed.
    Failed,
    /// It stood in a stall.
    Stalled,
    /// It is one of a uniform sample of its operation.
    Sample,
}

/// One request, with its spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceView {
    /// The trace's id, 32 hex digits.
    pub id: String,
    /// Id of the tier that its root belongs to.
    pub tier: String,
    /// What was asked for.
    pub operation: String,
    /// When it started, milliseconds since the Unix epoch.
    pub start_unix_ms: u64,
    /// How long it took.
    pub duration_ms: f64,
    /// It failed.
    pub failed: bool,
    /// Why it was kept.
    pub kept_for: KeptFor,
    /// Spans are missing from it.
    pub incomplete: bool,
    /// Its spans, parents before children, in order of their start.
    pub spans: Vec<TraceSpanView>,
    /// Spans over the limit, which are left out.
    pub spans_left_out: u64,
    /// Where its time went on the critical path, most first.
    pub charges: Vec<ChargeView>,
}

/// Time of a trace that one tier, or the way to it, took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChargeView {
    /// Id of the tier.
    pub tier: String,
    /// Between its caller and it, rather than in it.
    pub gap: bool,
    /// Milliseconds of the critical path.
    pub charged_ms: f64,
}

/// One span of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceSpanView {
    /// Place of its parent in the list; `None` for a root, or when the parent is missing.
    pub parent: Option<u32>,
    /// How deep it stands.
    pub depth: u16,
    /// What it did.
    pub name: String,
    /// Id of the tier that it belongs to, or that it calls.
    pub tier: String,
    /// The instance that sent it.
    pub instance: String,
    /// Milliseconds from the trace's start to its own, as drawn.
    pub start_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// It failed.
    pub failed: bool,
    /// A call: what its children do not cover is waiting.
    pub call: bool,
    /// By how many milliseconds it was moved, because its clock differs from its parent's.
    pub moved_ms: Option<f64>,
    /// Its part of the critical path: from and to, milliseconds from the trace's start.
    pub critical: Vec<(f64, f64)>,
}
