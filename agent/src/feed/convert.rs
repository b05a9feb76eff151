//! A snapshot as a message of the feed, and back.
//!
//! Every struct is taken apart field by field, in both directions: a field added to the snapshot
//! or to the proto does not compile until it is carried here. To the wire nothing can fail. From
//! the wire, what a newer agent says is read as follows:
//!
//! 1. A newer [`SNAPSHOT_VERSION`] is refused: fields may mean something else.
//! 2. A tier of an unknown kind is left out, with the edges and signals that name it; so is a
//!    signal of an unknown kind, also where these stand in a closed second. What was left out is counted under
//!    [`PipelineView::evictions`](tiertop_core::snapshot::PipelineView::evictions), where the
//!    screen shows it. Warnings stay: they are words.
//! 3. A verdict on a tier of an unknown kind is left out, and its incident says so in words; an
//!    alternative of an unknown kind, a question or a wall of an unknown phase is left out. All
//!    are counted as the tiers are.
//! 4. An unknown state or severity is a warning, an unknown origin of figures is the tier's own
//!    spans, an unknown phase is none, an unknown state of the diagnosis is an unexplained one, a
//!    trace that was kept for an unknown reason is of the sample, and an exporter in an unknown state
//!    is starting.
//!
//! A trend value that is not a number is unknown, on either side.

mod capacity;
mod closed;
mod diagnosis;
mod enums;
mod exporter;
mod pipeline;
mod signal;
mod tier;
mod traces;

use std::collections::HashSet;
use std::sync::Arc;

use tiertop_core::snapshot::{CapacityView, DiagnosisView, ReasonCount, SNAPSHOT_VERSION, Snapshot, TraceView, Window};

use super::{Detail, wire};

/// Why a message of the feed cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// It was made by a newer agent.
    #[error("the snapshots are of version {theirs}, this tiertop reads up to {ours}: update tiertop")]
    Newer {
        /// The message's version.
        theirs: u32,
        /// [`SNAPSHOT_VERSION`].
        ours: u32,
    },
}

/// The message that says `snapshot`, with as much of each tier as `detail` asks for.
pub fn to_wire(snapshot: &Snapshot, detail: Detail) -> wire::Snapshot {
    let Snapshot {
        version,
        at_unix_ms,
        environment,
        region,
        window,
        tiers,
        edges,
        signals,
        warnings,
        diagnosis,
        capacity,
        stalls,
        traces,
        closed_seconds,
        pipeline,
    } = snapshot;
    wire::Snapshot {
        version: *version,
        at_unix_ms: *at_unix_ms,
        environment: environment.clone(),
        region: region.clone(),
        window: Some(window_to_wire(*window)),
        tiers: tiers.iter().map(|t| tier::to_wire(t, detail)).collect(),
        edges: edges.iter().map(tier::edge_to_wire).collect(),
        signals: signals.iter().map(signal::to_wire).collect(),
        warnings: warnings.iter().map(signal::warning_to_wire).collect(),
        diagnosis: Some(diagnosis::to_wire(diagnosis)),
        capacity: Some(capacity::to_wire(capacity)),
        stalls: stalls.iter().map(traces::stall_to_wire).collect(),
        traces: listed(traces, detail, |trace| traces::to_wire(trace)),
        closed_seconds: listed(closed_seconds, detail, closed::to_wire),
        pipeline: Some(pipeline::to_wire(pipeline)),
    }
}

/// The snapshot that a message says.
pub fn from_wire(message: wire::Snapshot) -> Result<Snapshot, ConvertError> {
    check_version(message.version)?;
    let wire::Snapshot {
        version,
        at_unix_ms,
        environment,
        region,
        window,
        tiers,
        edges,
        signals,
        warnings,
        diagnosis,
        capacity,
        stalls,
        traces,
        closed_seconds,
        pipeline,
    } = message;

    let mut left_out = LeftOut::default();
    let tiers =
        tiers.into_iter().filter_map(|tier| tier::from_wire(tier).map_err(|id| left_out.tier(id)).ok()).collect();
    let edges =
        edges.into_iter().map(tier::edge_from_wire).filter(|edge| left_out.keeps_edge(&edge.from, &edge.to)).collect();
    let signals = signals.into_iter().filter(|signal| left_out.keeps_signal_of(&signal.tier)).collect::<Vec<_>>();
    let signals =
        signals.into_iter().filter_map(|signal| signal::from_wire(signal).or_else(|| left_out.signal())).collect();
    let diagnosis = diagnosis.map_or_else(DiagnosisView::default, |d| diagnosis::from_wire(d, &mut left_out));
    let capacity = capacity.map_or_else(CapacityView::default, |c| capacity::from_wire(c, &mut left_out));
    let closed_seconds = closed_seconds.into_iter().map(|second| closed::from_wire(second, &mut left_out)).collect();
    let mut pipeline = pipeline::from_wire(pipeline.unwrap_or_default());
    pipeline.evictions.extend(left_out.reasons());

    Ok(Snapshot {
        version,
        at_unix_ms,
        environment,
        region,
        window: window_from_wire(window.unwrap_or_default()),
        tiers,
        edges,
        signals,
        warnings: warnings.into_iter().map(signal::warning_from_wire).collect(),
        diagnosis,
        capacity,
        stalls: stalls.into_iter().map(traces::stall_from_wire).collect(),
        traces: traces.into_iter().map(|trace| Arc::new(traces::from_wire(trace))).collect(),
        closed_seconds,
        pipeline,
    })
}

/// The trace that a message says.
pub fn trace_from_wire(message: wire::Trace) -> TraceView {
    traces::from_wire(message)
}

/// Refuses the snapshots of a newer version than this code knows.
pub fn check_version(theirs: u32) -> Result<(), ConvertError> {
    if theirs > SNAPSHOT_VERSION {
        return Err(ConvertError::Newer { theirs, ours: SNAPSHOT_VERSION });
    }
    Ok(())
}

/// What a newer agent sent and this code has no name for.
#[derive(Default)]
struct LeftOut {
    tiers: HashSet<String>,
    edges: u64,
    signals: u64,
    verdicts: u64,
    alternatives: u64,
    walls: u64,
    questions: u64,
}

impl LeftOut {
    fn tier(&mut self, id: String) {
        self.tiers.insert(id);
    }

    fn signal<T>(&mut self) -> Option<T> {
        self.signals += 1;
        None
    }

    fn verdict<T>(&mut self) -> Option<T> {
        self.verdicts += 1;
        None
    }

    fn alternative<T>(&mut self) -> Option<T> {
        self.alternatives += 1;
        None
    }

    fn wall<T>(&mut self) -> Option<T> {
        self.walls += 1;
        None
    }

    fn check<T>(&mut self) -> Option<T> {
        self.questions += 1;
        None
    }

    fn keeps_edge(&mut self, from: &str, to: &str) -> bool {
        let keeps = !self.tiers.contains(from) && !self.tiers.contains(to);
        self.edges += u64::from(!keeps);
        keeps
    }

    fn keeps_signal_of(&mut self, tier: &str) -> bool {
        let keeps = !self.tiers.contains(tier);
        self.signals += u64::from(!keeps);
        keeps
    }

    fn reasons(self) -> impl Iterator<Item = ReasonCount> {
        let counts = [
            ("tiers", self.tiers.len() as u64),
            ("edges", self.edges),
            ("signals", self.signals),
            ("verdicts", self.verdicts),
            ("alternatives", self.alternatives),
            ("walls", self.walls),
            ("questions", self.questions),
        ];
        counts.into_iter().filter(|&(_, count)| count > 0).map(|(what, count)| ReasonCount {
            reason: format!("{what} of a kind newer than this tiertop: update it"),
            count,
        })
    }
}

/// A list that an overview leaves out.
fn listed<T, W>(items: &[T], detail: Detail, convert: fn(&T) -> W) -> Vec<W> {
    match detail {
        Detail::Overview => Vec::new(),
        Detail::Full => items.iter().map(convert).collect(),
    }
}

fn window_to_wire(window: Window) -> wire::Window {
    let Window { from_unix_s, to_unix_s } = window;
    wire::Window { from_unix_s, to_unix_s }
}

fn window_from_wire(window: wire::Window) -> Window {
    let wire::Window { from_unix_s, to_unix_s } = window;
    Window { from_unix_s, to_unix_s }
}

/// A trend on the wire: protobuf has no list of optional numbers.
fn trend_to_wire(values: &[Option<f32>]) -> Vec<f32> {
    values.iter().map(|v| v.unwrap_or(f32::NAN)).collect()
}

fn trend_from_wire(values: Vec<f32>) -> Vec<Option<f32>> {
    values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect()
}
