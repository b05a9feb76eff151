//! Where spans are sampled though nobody says how strongly: a service's own counts tell, and what it
//! calls is sampled with it.

use std::collections::HashSet;

use super::Engine;
use crate::engine::edges::Caller;
use crate::engine::members::{Member, MemberId};
use crate::time::UnixNanos;

/// Reports that ended in the last so many seconds are compared with spans.
const COMPARED_S: f64 = 60.0;
/// Reported requests below which a comparison with spans says nothing.
const ENOUGH_REPORTED: u64 = 50;
/// Spans arrive for less than this share of reported requests: they are sampled.
const SAMPLED_BELOW: f64 = 0.8;
/// Calls from a service that counts for itself, over which sampling is followed: a queue between
/// application and worker takes two.
const CALLS_FOLLOWED: usize = 4;

/// The members whose spans are sampled by an unknown factor.
pub(super) type Sampled = HashSet<MemberId>;

impl Engine {
    /// Finds them: those that count more requests than they send spans of, and whom they call.
    pub(super) fn sampled(&self) -> Sampled {
        let mut sampled = Sampled::new();
        let mut counted = HashSet::new();
        for (id, member) in self.members.all() {
            if let Some(ratio) = self.span_ratio(&[member]) {
                counted.insert(id);
                if ratio < SAMPLED_BELOW {
                    sampled.insert(id);
                }
            }
        }
        for _ in 0..CALLS_FOLLOWED {
            if sampled.is_empty() {
                break;
            }
            let is_sampled = |from: Caller| match from {
                Caller::Queue(queue) => sampled.contains(&queue),
                Caller::Service(service) => {
                    let service = self.processes.get_service(service);
                    let sides = [service.serves, service.processes, service.background];
                    sides.into_iter().flatten().any(|side| sampled.contains(&side))
                }
            };
            let edges = self.edges.all().filter(|edge| !counted.contains(&edge.to) && is_sampled(edge.from));
            let called: Vec<MemberId> = edges.map(|edge| edge.to).collect();
            sampled.extend(called);
        }
        sampled
    }

    /// The share of reported requests of which spans came, if that shows that spans are sampled.
    pub(super) fn sampled_ratio(&self, members: &[&Member]) -> Option<f64> {
        self.span_ratio(members).filter(|ratio| *ratio < SAMPLED_BELOW)
    }

    /// Spans over reported requests, in the same seconds, of which all spans should have come.
    fn span_ratio(&self, members: &[&Member]) -> Option<f64> {
        let (mut spans, mut reported) = (0, 0);
        for member in members {
            let settled = self.window(member).1;
            // What was counted before spans began to come says nothing: a service counts from its start.
            let Some(first) = member.first_second else { continue };
            let reports = member.reported.iter().filter(|report| {
                report.from.second() > first
                    && report.to.second() <= settled
                    && self.now.seconds_since(report.to) < COMPARED_S
            });
            let (mut from, mut to) = (None::<UnixNanos>, None::<UnixNanos>);
            for report in reports {
                reported += report.slot.count();
                from = Some(from.map_or(report.from, |from| from.min(report.from)));
                to = to.max(Some(report.to));
            }
            if let (Some(from), Some(to)) = (from, to) {
                spans += member.history.sum(from.second(), to.second()).count();
            }
        }
        (reported >= ENOUGH_REPORTED).then(|| spans as f64 / reported as f64)
    }
}
