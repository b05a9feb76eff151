//! Where requests stood during a gap: the deepest span of each that was open through it.

use std::collections::BTreeMap;

use super::super::processes::ProcessId;
use super::{Engine, HeldUp};
use crate::classify::PeerClass;
use crate::engine::count::CHILDREN_MET;
use crate::engine::members::MemberId;
use crate::engine::ring::RecentSpan;
use crate::engine::routes::Plan;
use crate::stalls::Gap;
use crate::time::UnixNanos;

/// Requests that are walked for one stall.
const WALKED: usize = 64;
/// How deep a request is walked.
const DEEPEST: usize = 64;

/// Where most of the requests stood.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) member: Option<MemberId>,
    /// Caller and callee, if they stood in between.
    pub(super) edge: Option<(MemberId, MemberId)>,
    /// What ended first of that in which requests stood: whose it is, and what was done.
    pub(super) first_moved: Option<(MemberId, String)>,
}

/// Where one request stood.
type Spot = (Option<MemberId>, Option<(MemberId, MemberId)>);

impl Engine {
    pub(super) fn standing(&self, held: &HeldUp, gap: &Gap) -> Standing {
        let mut spots: BTreeMap<Spot, usize> = BTreeMap::new();
        let mut first_moved: Option<RecentSpan> = None;
        for (_, span) in held.spans.iter().take(WALKED) {
            let deepest = self.deepest_open(*span, gap);
            *spots.entry(self.spot(&deepest)).or_default() += 1;
            if first_moved.is_none_or(|first| deepest.end < first.end) {
                first_moved = Some(deepest);
            }
        }
        let most = spots.into_iter().max_by_key(|(_, requests)| *requests);
        let (member, edge) = most.map_or((None, None), |(spot, _)| spot);
        let first_moved = first_moved.and_then(|span| {
            let operation = self.routes.operation(span.route).to_owned();
            Some((self.spot(&span).0?, operation))
        });
        Standing { member, edge, first_moved }
    }

    /// Down from a span, always to the child that was open through most of the gap. A gateway's call may stand
    /// beside the callee's span instead of above it: then the callee is the deeper one.
    fn deepest_open(&self, span: RecentSpan, gap: &Gap) -> RecentSpan {
        let mut at = (span, span.start, span.end);
        for _ in 0..DEEPEST {
            let overlap = |start, end| gap.overlap(start, end);
            let least = overlap(at.1, at.2).div_ceil(2).max(1);
            let children = self.ring.children(&at.0).take(CHILDREN_MET).map(|(_, child)| fitted(child, &at));
            let through = children.filter(|(_, start, end)| overlap(*start, *end) >= least);
            let depth = |(child, start, end): &Fitted| (child.process != at.0.process, overlap(*start, *end));
            let Some(child) = through.max_by_key(depth) else { break };
            at = child;
        }
        at.0
    }

    fn spot(&self, span: &RecentSpan) -> Spot {
        match self.routes.get(span.route).plan {
            Plan::Call { target, class: PeerClass::Service, .. } => {
                let callee = self.callee(span, target.member);
                (Some(callee), self.member_of(span.process).map(|caller| (caller, callee)))
            }
            Plan::Call { target, .. } | Plan::Entry { target, .. } => (Some(target.member), None),
            Plan::Inside => (self.member_of(span.process), None),
        }
    }

    /// Who answers a call: the service whose span is there, or the one that otherwise does.
    pub(in crate::engine) fn callee(&self, call: &RecentSpan, peer: MemberId) -> MemberId {
        let answer = self.ring.children(call).find_map(|(_, child)| match self.routes.get(child.route).plan {
            Plan::Entry { target, .. } if child.process != call.process => Some(target.member),
            _ => None,
        });
        let paired = &self.members.get(peer).evidence.paired;
        let usual = || paired.iter().max_by(|one, other| one.1.total_cmp(&other.1)).map(|(member, _)| *member);
        answer.or_else(usual).unwrap_or(peer)
    }

    /// The side of a process's service that is shown.
    pub(in crate::engine) fn member_of(&self, process: u32) -> Option<MemberId> {
        let service = self.processes.service_of(ProcessId(process));
        service.serves.or(service.processes).or(service.background)
    }
}

/// A span with its start and end by the clock of the span at the top.
type Fitted = (RecentSpan, UnixNanos, UnixNanos);

/// A child by its parent's clock. One of another process that does not fit is put into the middle.
fn fitted(child: &RecentSpan, (parent, start, end): &Fitted) -> Fitted {
    let at = |own: UnixNanos| UnixNanos(own.0.wrapping_add(start.0.wrapping_sub(parent.start.0)));
    let (own_start, own_end) = (at(child.start), at(child.end));
    if child.process == parent.process || (*start <= own_start && own_end <= *end) {
        return (*child, own_start, own_end);
    }
    let spare = end.nanos_since(*start).saturating_sub(child.nanos());
    let middle = start.plus_nanos(spare / 2);
    (*child, middle, middle.plus_nanos(child.nanos()))
}
