//! Which traces are handed out whole: the rules for choosing, and what is chosen.
//!
//! A trace is chosen when it has settled and for one [`Reason`]. What may be chosen each second is a
//! [`Budget`]; what was worth choosing and went over it is counted by reason. The same trace is chosen
//! everywhere or nowhere as far as its id decides: the uniform share and, over the budget, which of those
//! that are alike are taken, go by a hash of the id.

mod budget;

use std::sync::Arc;

use crate::config::glob;
use crate::id::{SpanId, TraceId};
use crate::observation::DetailRef;
use crate::time::UnixNanos;

pub use budget::Budget;

/// Why a trace is chosen, most telling first: it is chosen for the first that holds and has budget left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It stood in a stall.
    Stalled,
    /// It is known to wait: parts of it came, and what they are part of has not ended.
    Waiting,
    /// A span of it failed.
    Failed,
    /// It went through the tier at fault while the incident was open.
    Incident,
    /// It took longer than 99 % of its operation usually do.
    Slow,
    /// It is one of the uniform share.
    Uniform,
}

impl Reason {
    /// All, in order.
    pub const ALL: [Self; 6] = [Self::Stalled, Self::Waiting, Self::Failed, Self::Incident, Self::Slow, Self::Uniform];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Incident => "incident",
            Self::Slow => "slow",
            Self::Uniform => "uniform",
        }
    }
}

/// What is to be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceRules {
    /// Traces a second, for all reasons together.
    pub traces_per_second: f64,
    /// The uniform share; the first rule that matches a trace's root says how much.
    pub uniform: Vec<UniformRule>,
    /// A request of which only parts have come is told as waiting after this many seconds.
    pub waiting_after_s: f64,
}

impl Default for ChoiceRules {
    /// Five traces a second are 13 million a month, the price of some 65 dollars.
    fn default() -> Self {
        Self { traces_per_second: 5.0, uniform: vec![UniformRule::default()], waiting_after_s: 5.0 }
    }
}

/// How much of some traces is chosen uniformly. Patterns know `*` and `?`.
#[derive(Clone, Debug, PartialEq)]
pub struct UniformRule {
    /// What the rule is called.
    pub name: String,
    /// The service that took the request.
    pub service: String,
    /// Its HTTP method.
    pub method: String,
    /// Its path, as a template.
    pub path: String,
    /// Traces a second that are chosen in any case.
    pub reservoir_per_second: f64,
    /// The share of all others, 0 to 1.
    pub rate: f64,
}

impl Default for UniformRule {
    /// One trace a second and 5 % of the rest, as X-Ray's own default rule.
    fn default() -> Self {
        let any = || "*".to_owned();
        Self {
            name: "Default".to_owned(),
            service: any(),
            method: any(),
            path: any(),
            reservoir_per_second: 1.0,
            rate: 0.05,
        }
    }
}

impl UniformRule {
    /// Whether the rule is about requests of an operation, such as `GET /content/{id}`.
    pub(crate) fn matches(&self, service: &str, operation: &str) -> bool {
        let (method, path) = operation.split_once(' ').unwrap_or(("", operation));
        let matches = |pattern: &str, text: &str| pattern == "*" || glob(pattern.as_bytes(), text.as_bytes());
        matches(&self.service, service) && matches(&self.method, method) && matches(&self.path, path)
    }
}

/// What was chosen since it was last asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// Traces, or parts of them that came after their trace was chosen.
    pub traces: Vec<ChosenTrace>,
    /// Requests that are under way.
    pub waiting: Vec<WaitingRequest>,
    /// Traces worth choosing that were over the budget, in the order of [`Reason::ALL`].
    pub over_budget: [u64; Reason::ALL.len()],
    /// Spans of chosen traces that were left out, because a trace had too many or they had been overwritten.
    pub spans_left_out: u64,
    /// For each rule of the uniform share: the traces that it is about, and those of them that were chosen by it.
    pub by_rule: Vec<RuleCount>,
}

/// How often a rule of the uniform share was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Traces that it is about.
    pub matched: u64,
    /// Those that were chosen by it.
    pub chosen: u64,
}

/// Spans of one chosen trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ChosenTrace {
    /// The trace.
    pub trace: TraceId,
    /// Why it was chosen.
    pub reason: Reason,
    /// It was chosen before, and these came later.
    pub is_rest: bool,
    /// The verdict of the incident that it is part of, such as `db-primary/content: lock contention`.
    pub verdict: Option<Arc<str>>,
    /// Where it stood, if in a stall.
    pub stall: Option<Arc<str>>,
    /// Its spans, parents before children as far as they are linked.
    pub spans: Vec<ChosenSpan>,
}

/// One span of a chosen trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ChosenSpan {
    /// The span.
    pub id: SpanId,
    /// Where all of it is kept.
    pub detail: DetailRef,
    /// Id of the tier that it belongs to, or that it calls.
    pub tier: Option<Arc<str>>,
}

/// A request that has not ended: its parts came, it has not.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingRequest {
    /// The trace.
    pub trace: TraceId,
    /// The id that its span will have.
    pub id: SpanId,
    /// When the first of its parts began; it began no later.
    pub start: UnixNanos,
    /// What it is, as its operation is usually called.
    pub operation: String,
    /// Id of the tier that it waits in.
    pub tier: Option<Arc<str>>,
    /// Where it stands, if in a stall.
    pub stall: Option<Arc<str>>,
    /// A part of it, of the same process.
    pub part: ChosenSpan,
}
