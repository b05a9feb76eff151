//! Drawing the snapshot: what is kept, read as tiers, edges and signals.
//!
//! Members become *rows*: one row a kind and a name. Instances of a service, services that differ
//! only in a trailing number (`app-1`, `app-2`), and the replicas of one database share a row.
//!
//! A row's figures cover the last whole seconds that have had time to arrive, judged by how long
//! after their end its own spans lately came.

mod closed;
mod edges;
mod pipeline;
mod place;
mod rows;
mod sampling;
mod signals;
mod tier;

pub(super) use closed::Closing;
pub(super) use pipeline::SpanRate;
pub(super) use rows::{address, peer_name};

use super::Engine;
use super::members::{Member, MemberId};
use crate::snapshot::{CapacityView, DiagnosisView, IngestCounts, SNAPSHOT_VERSION, Snapshot, Window};
use crate::time::{NANOS_PER_SECOND, UnixNanos, UnixSecond};

/// Seconds after which a member without any news is left out.
const SHOWN_FOR_S: u64 = 300;

impl Engine {
    /// The snapshot of now, without warnings.
    pub(super) fn view(&mut self, ingest: &IngestCounts) -> Snapshot {
        let placed = self.place_signals();
        let rows = self.rows(&placed);
        let in_flight = self.awaited_by_process();
        let sampled = self.sampled();
        let tiers: Vec<_> = rows.list.iter().map(|row| self.tier_view(row, &in_flight, &sampled)).collect();
        let signals = self.signal_views(&rows, &placed, &sampled);
        let edges = self.edge_views(&rows);
        let closed_seconds = self.closed_seconds(&rows, &tiers, &signals);
        let resources = || self.processes.all().map(|(_, process)| &process.resource);
        let environment = distinct(resources().filter_map(|resource| resource.environment.as_deref()));
        let region = distinct(resources().filter_map(|resource| resource.region.as_deref()));
        let window = rows.list.iter().flat_map(|row| &row.members).map(|id| self.window(self.members.get(*id))).fold(
            Window { from_unix_s: 0, to_unix_s: 0 },
            |wide, (from, to)| Window {
                from_unix_s: if wide.from_unix_s == 0 { from.0 } else { wide.from_unix_s.min(from.0) },
                to_unix_s: wide.to_unix_s.max(to.0),
            },
        );
        Snapshot {
            version: SNAPSHOT_VERSION,
            at_unix_ms: self.now.as_millis(),
            environment,
            region,
            window,
            tiers,
            edges,
            signals,
            warnings: Vec::new(),
            diagnosis: DiagnosisView::default(),
            capacity: CapacityView::default(),
            stalls: self.stall_views(),
            traces: self.kept.views(),
            closed_seconds,
            pipeline: self.pipeline_view(ingest),
        }
    }

    /// The seconds that a member's figures cover: the last whole ones that have had time to arrive.
    pub(super) fn window(&self, member: &Member) -> (UnixSecond, UnixSecond) {
        let to = self.settled(member).second().minus(1);
        (to.minus(self.config.time.window_s - 1), to)
    }

    /// Until when all of a member's spans have had time to arrive.
    pub(super) fn settled(&self, member: &Member) -> UnixNanos {
        let delay_nanos = (member.delay.seconds().unwrap_or_default() * 1e9) as u64;
        self.now.minus_nanos(delay_nanos.min(self.config.time.lateness_s * NANOS_PER_SECOND))
    }

    /// Whether anything was heard of a member lately.
    fn is_shown(&self, id: MemberId) -> bool {
        let member = self.members.get(id);
        let has_figures = member.first_second.is_some() || !member.reported.is_empty();
        has_figures && self.now.seconds_since(member.last_seen) < SHOWN_FOR_S as f64
    }
}

/// How many of the seconds `from ..= to` a member has been there for.
fn covered_s(member: &Member, from: UnixSecond, to: UnixSecond) -> f64 {
    let first = member.first_second.map_or(from, |first| first.max(from));
    (to.0 + 1).saturating_sub(first.0).max(1) as f64
}

/// Distinct texts in order of first sight, with commas.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for text in texts {
        if !seen.contains(&text) && seen.len() < 4 {
            seen.push(text);
        }
    }
    seen.join(", ")
}
