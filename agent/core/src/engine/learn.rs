//! Learning roles: once a second, what the evidence says each member is.

use super::Engine;
use super::edges::Caller;
use super::members::{Facet, Identity, Member, MemberId};
use super::roles::{self, Surroundings};
use crate::classify::{Peer, PeerClass};
use crate::config::{TierRule, Whom};
use crate::tier::TierKind;

/// A finding: the kind and how it was told.
type Finding = Option<(TierKind, &'static str)>;

impl Engine {
    /// Looks at the evidence of every member and lets its role follow.
    pub(super) fn learn_roles(&mut self) {
        let findings: Vec<(MemberId, Finding)> =
            self.members.all().map(|(id, member)| (id, self.finding(id, member))).collect();
        for (id, finding) in findings {
            let member = self.members.get_mut(id);
            let unasked = matches!(member.identity(), Identity::Service(_, Facet::Background));
            if finding.is_none() && (member.evidence.is_answered() || unasked) {
                // It is another member seen from the outside, or what a service did before it was asked.
                member.role = roles::Role::default();
            }
            member.role.learn(finding);
            member.evidence.decay();
        }
    }

    fn finding(&self, id: MemberId, member: &Member) -> Finding {
        if let Some(kind) = self.ruled(member) {
            return Some((kind, "configuration"));
        }
        if let Some(kind) = member.evidence.said {
            return Some((kind, "tiertop.tier"));
        }
        match member.identity() {
            Identity::Service(service, Facet::Serves) => {
                let name = &self.processes.get_service(*service).name;
                roles::service_kind(name, &member.evidence, self.surroundings(id, *service))
            }
            Identity::Service(_, Facet::Processes) => Some((TierKind::Worker, "takes messages")),
            Identity::Service(service, Facet::Background) => {
                let known = self.processes.get_service(*service);
                let asked = known.serves.is_some() || known.processes.is_some();
                let reason = if member.evidence.settles { "takes messages" } else { "works without being asked" };
                (!asked && member.evidence.age_ticks >= 3).then_some((TierKind::Worker, reason))
            }
            Identity::Peer(_) if member.evidence.is_answered() => None,
            Identity::Peer(peer) => match peer.class {
                PeerClass::Service => roles::service_peer_kind(&member.evidence),
                PeerClass::Database => self.database_kind(id, peer, member),
                class => Some((roles::store_kind(class), "its callers' spans")),
            },
            Identity::Folded(_) => member.role.known,
        }
    }

    /// What the user's rules say of a member.
    fn ruled(&self, member: &Member) -> Option<TierKind> {
        let rules = &self.config.tiers;
        let matches = |name: &str| rules.iter().find(|rule| rule.says(name)).map(|rule| rule.kind);
        match member.identity() {
            // Messages taken stay the worker's, whatever the service's requests are said to be.
            Identity::Service(service, Facet::Serves) => {
                let name = &self.processes.get_service(*service).name;
                let resources = || self.processes.resources_of(*service);
                let speaks = |rule: &&TierRule| match &rule.whom {
                    Whom::Named(_) => rule.says(name),
                    Whom::Sends { .. } => resources().any(|sent| rule.says_by_attribute(sent)),
                };
                rules.iter().find(speaks).map(|rule| rule.kind)
            }
            Identity::Peer(peer) => matches(&format!("{}:{}", peer.address, peer.port))
                .or_else(|| matches(&peer.address))
                .or_else(|| matches(&peer.name)),
            _ => None,
        }
    }

    fn surroundings(&self, id: MemberId, service: super::processes::ServiceId) -> Surroundings {
        let mut around = Surroundings::default();
        for edge in self.edges.all() {
            match edge.from {
                Caller::Service(from) if from == service && edge.to != id => {
                    around.calls_proxy |= self.is_proxy(edge.to);
                }
                Caller::Service(from) if from != service && edge.to == id => around.has_caller = true,
                _ => {}
            }
        }
        around
    }

    fn is_proxy(&self, id: MemberId) -> bool {
        let member = self.members.get(id);
        matches!(member.identity(), Identity::Service(_, Facet::Serves))
            && member.evidence.proxy_share().is_some_and(|share| share >= roles::PROXY_SHARE)
    }

    fn database_kind(&self, id: MemberId, peer: &Peer, member: &Member) -> Finding {
        if member.evidence.reports_lag && member.evidence.writes < 0.5 {
            return Some((TierKind::DbReplica, "reports replica lag"));
        }
        let others_write = self.members.all().any(|(other, candidate)| {
            other != id
                && candidate.evidence.writes >= 0.5
                && matches!(candidate.identity(), Identity::Peer(other) if same_database(peer, other))
        });
        roles::database_kind(&format!("{}:{}", peer.address, peer.port), &member.evidence, others_write)
    }
}

/// Whether two addresses are of one database, as far as the callers say.
fn same_database(one: &Peer, other: &Peer) -> bool {
    let name_fits = one.name == other.name || one.name.is_empty() || other.name.is_empty();
    one.class == other.class && one.system == other.system && name_fits
}
