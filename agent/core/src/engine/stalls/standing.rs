//! Where requests stood during a gap: the deepest span of each that was open through it.

use std::collections::BTreeMap;

use super::super::naming::Known;
use super::super::processes::ProcessId;
use super::{Engine, HeldUp, target};
use crate::classify::PeerClass;
use crate::engine::count::CHILDREN_MET;
use crate::engine::members::MemberId;
use crate::engine::ring::RecentSpan;
use crate::engine::routes::Plan;
use crate::stalls::Gap;

/// Requests that are walked for one stall.
const WALKED: usize = 64;
/// How deep a request is walked.
const DEEPEST: usize = 64;

/// Where most of the requests stood.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) member: Option<MemberId>,
    /// Caller and callee, if they stood in between.
    pub(super) edge: Option<(MemberId, MemberId)>,
    /// What ended first of that in which requests stood.
    pub(super) first_moved: Option<RecentSpan>,
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
        Standing { member, edge, first_moved }
    }

    /// Down from a span, always to the child that was open through most of the gap.
    fn deepest_open(&self, span: RecentSpan, gap: &Gap) -> RecentSpan {
        let mut at = span;
        for _ in 0..DEEPEST {
            let overlap = |span: &RecentSpan| gap.overlap(span.start, span.end);
            let children = self.ring.children(&at).take(CHILDREN_MET).map(|(_, child)| child);
            let through = children.filter(|child| 2 * overlap(child) >= overlap(&at) && overlap(child) > 0);
            let Some(child) = through.max_by_key(|child| overlap(child)) else { break };
            at = *child;
        }
        at
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

    /// What moved, such as "db-primary/content: INSERT content".
    pub(super) fn moved_text(&self, span: &RecentSpan, known: &Known) -> Option<String> {
        let plan = self.routes.get(span.route).plan;
        let member = self.spot(span).0.or_else(|| target(&plan).map(|target| target.member))?;
        Some(format!("{}: {}", self.tier_id(member, known)?, self.routes.operation(span.route)))
    }
}
