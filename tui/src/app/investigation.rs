//! The screens that look into what was wrong: cursors on findings and traces, and the open trace.

use std::sync::Arc;

use tiertop_core::snapshot::{IncidentView, Snapshot, StallView, TraceView};

use super::selection::Cursor;

/// A row of the diagnosis screen's list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding<'a> {
    /// An incident, open or over.
    Incident(&'a IncidentView),
    /// A stall.
    Stall(&'a StallView),
}

impl Finding<'_> {
    /// A name that it keeps from snapshot to snapshot.
    pub fn id(self) -> String {
        match self {
            Self::Incident(incident) => format!("incident {}", incident.id),
            Self::Stall(stall) => format!("stall {}", stall.start_unix_ms),
        }
    }
}

/// Which part of the diagnosis screen has the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The list of incidents and stalls.
    #[default]
    Findings,
    /// All about the selected one.
    Detail,
    /// The phase, headroom and the checklist.
    Capacity,
}

impl Part {
    /// All of them, in the order of Tab.
    pub const ALL: [Self; 3] = [Self::Findings, Self::Detail, Self::Capacity];

    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The one before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

/// The order of the list of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceOrder {
    /// Slowest first.
    #[default]
    Duration,
    /// Newest first.
    Time,
}

/// Where the user is on these screens.
#[derive(Clone, Debug, Default)]
pub struct Investigation {
    /// The part of the diagnosis screen that has the keys.
    pub part: Part,
    /// The first line that shows of the part that scrolls.
    pub scroll: usize,
    /// The row under the cursor of the list of findings.
    pub finding: Cursor,
    /// The row under the cursor of the list of traces.
    pub trace: Cursor,
    /// The order of the list of traces.
    pub order: TraceOrder,
    /// Only traces that went through this tier are listed, while there are any.
    pub through: Option<String>,
    /// The trace that is open: held, since the agent may keep others by now.
    pub opened: Option<Arc<TraceView>>,
    /// The row under the cursor in the open trace.
    pub span: usize,
}

impl Investigation {
    /// The traces of the list, in its order.
    pub fn traces<'a>(&self, shown: &'a Snapshot) -> Vec<&'a Arc<TraceView>> {
        let mut traces: Vec<_> = shown.traces.iter().collect();
        if let Some(through) = self.filter(shown) {
            traces.retain(|trace| went_through(trace, through));
        }
        match self.order {
            TraceOrder::Duration => traces.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms)),
            TraceOrder::Time => traces.sort_by_key(|trace| std::cmp::Reverse(trace.start_unix_ms)),
        }
        traces
    }

    /// The tier that the list is narrowed to: none where no trace went through it.
    pub fn filter(&self, shown: &Snapshot) -> Option<&str> {
        let through = self.through.as_deref()?;
        shown.traces.iter().any(|trace| went_through(trace, through)).then_some(through)
    }

    /// The row of the cursor among findings.
    pub fn finding_place(&self, findings: &[Finding<'_>]) -> usize {
        self.finding.among(findings.iter().map(|finding| finding.id()))
    }

    /// The row of the cursor among traces.
    pub fn trace_place(&self, traces: &[&Arc<TraceView>]) -> usize {
        self.trace.among(traces.iter().map(|trace| trace.id.clone()))
    }

    /// Keeps cursors on something that is there.
    pub(super) fn settle(&mut self, shown: &Snapshot) {
        let place = self.finding_place(&findings(shown));
        self.finding.keep(place);
        let place = self.trace_place(&self.traces(shown));
        self.trace.keep(place);
    }
}

fn went_through(trace: &TraceView, tier: &str) -> bool {
    trace.tier == tier || trace.spans.iter().any(|span| span.tier == tier)
}

/// Incidents, open ones first, then stalls.
pub fn findings(shown: &Snapshot) -> Vec<Finding<'_>> {
    let incidents = shown.diagnosis.incidents.iter().map(Finding::Incident);
    incidents.chain(shown.stalls.iter().map(Finding::Stall)).collect()
}

/// The first of a stall's traces that was kept.
pub fn trace_of<'a>(stall: &StallView, shown: &'a Snapshot) -> Option<&'a Arc<TraceView>> {
    stall.traces.iter().find_map(|id| shown.traces.iter().find(|trace| trace.id == *id))
}
