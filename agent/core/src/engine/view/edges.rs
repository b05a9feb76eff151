//! Edges between rows.

use std::collections::BTreeMap;

use super::rows::{Row, Rows};
use super::{Engine, covered_s};
use crate::engine::edges::Caller;
use crate::engine::members::MemberId;
use crate::slots::Slot;
use crate::snapshot::EdgeView;

impl Engine {
    pub(super) fn edge_views(&self, rows: &Rows) -> Vec<EdgeView> {
        let mut sums: BTreeMap<(&str, &str), (Slot, Slot, f64)> = BTreeMap::new();
        for edge in self.edges.all() {
            let (Some(from), Some(to)) = (self.caller_row(edge.from, rows), rows.of(edge.to)) else { continue };
            if from.id == to.id {
                continue;
            }
            let callee = self.members.get(edge.to);
            let (first, last) = self.window(callee);
            let calls = edge.calls.sum(first, last);
            let rate = calls.count() as f64 / covered_s(callee, first, last);
            let sum = sums.entry((&from.id, &to.id)).or_default();
            sum.0.merge(&calls);
            sum.1.merge(&edge.gaps.sum(first, last));
            sum.2 += rate;
        }
        let mut views: Vec<EdgeView> = sums
            .into_iter()
            .filter(|(_, (calls, ..))| calls.count() > 0)
            .map(|((from, to), (calls, gaps, rate))| EdgeView {
                from: from.to_owned(),
                to: to.to_owned(),
                requests_per_second: rate,
                error_ratio: calls.error_ratio().unwrap_or_default(),
                p95_ms: calls.latency.quantile_ms(0.95),
                gap_mean_ms: gaps.latency.mean_ms(),
                gap_p95_ms: gaps.latency.quantile_ms(0.95),
            })
            .collect();
        views.sort_by(|one, other| other.requests_per_second.total_cmp(&one.requests_per_second));
        views
    }

    /// The row of a caller: of a service, the side of it that is shown.
    fn caller_row<'a>(&self, caller: Caller, rows: &'a Rows) -> Option<&'a Row> {
        match caller {
            Caller::Queue(member) => rows.of(member),
            Caller::Service(service) => {
                let service = self.processes.get_service(service);
                let sides: [Option<MemberId>; 3] = [service.serves, service.processes, service.background];
                sides.into_iter().flatten().find_map(|member| rows.of(member))
            }
        }
    }
}
