//! What members are called, for those who know a service or a peer but no row: the analysis of traces.
//!
//! The same names as on the screen, so that a verdict and a row speak of the same tier, for every
//! member whose kind was learned, however long ago it was last heard of.

use std::collections::BTreeMap;

use super::Engine;
use super::members::{Facet, Identity, MemberId};
use super::processes::ProcessId;
use super::roles::store_kind;
use super::routes::identity_of;
use super::view::{address, peer_name};
use crate::classify::Peer;
use crate::tier::TierKind;
use crate::verdict::TierRef;

/// A side of a service, or somebody who is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// A side of a service that sends spans of its own.
    Service {
        /// `service.namespace`, or empty.
        namespace: Box<str>,
        /// `service.name`.
        name: Box<str>,
        /// Which side of it.
        side: Side,
    },
    /// Somebody who is known from the callers' spans.
    Peer(Peer),
}

/// Which side of a service: one process may both serve and consume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// It takes requests.
    Serves,
    /// It takes messages.
    Processes,
    /// It works without being asked.
    Background,
}

/// What a party is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TierName {
    /// The kind of tier.
    pub kind: TierKind,
    /// The member's name.
    pub member: String,
}

impl From<&TierName> for TierRef {
    fn from(name: &TierName) -> Self {
        Self { id: format!("{}/{}", name.kind, name.member), kind: name.kind, member: name.member.clone() }
    }
}

impl Party {
    /// The peer as the engine tells peers apart: a queue or bucket is itself wherever it is reached.
    pub fn peer(peer: Peer) -> Self {
        Self::Peer(identity_of(peer))
    }

    /// What to call it while its kind was not learned.
    pub fn presumed(&self) -> TierName {
        match self {
            Self::Service { name, side, .. } => {
                let kind = if *side == Side::Serves { TierKind::App } else { TierKind::Worker };
                TierName { kind, member: name.to_string() }
            }
            Self::Peer(peer) => {
                let kind = store_kind(peer.class);
                TierName { kind, member: peer_name(peer, kind) }
            }
        }
    }
}

/// The members whose kind is known, with how it was told.
pub(super) type Known = Vec<(MemberId, TierKind, &'static str)>;

impl Engine {
    /// The members whose kind is known.
    pub(super) fn known(&self) -> Known {
        let all = self.members.all();
        all.filter_map(|(id, member)| member.role.known.map(|(kind, reason)| (id, kind, reason))).collect()
    }

    /// The id of the row that a member is shown in; `None` while its kind is not known.
    pub(super) fn tier_id(&self, id: MemberId, known: &Known) -> Option<String> {
        let (kind, _) = self.members.get(id).role.known?;
        Some(format!("{kind}/{}", self.group_name(id, kind, known)))
    }

    /// Where a peer is reached; empty for a service.
    pub(super) fn peer_address(&self, id: MemberId) -> String {
        match self.members.get(id).identity() {
            Identity::Peer(peer) => address(peer),
            _ => String::new(),
        }
    }

    /// What a process is called: as an instance, or by its service.
    pub(super) fn process_name(&self, id: ProcessId) -> String {
        let process = self.processes.get(id);
        let service = || self.processes.get_service(process.service).name.to_string();
        process.resource.instance.as_deref().map_or_else(service, str::to_owned)
    }

    /// The names of all members whose kind is known.
    pub fn tier_names(&self) -> BTreeMap<Party, TierName> {
        let known = self.known();
        let named = known.iter().filter_map(|(id, kind, _)| {
            let party = self.party(*id)?;
            Some((party, TierName { kind: *kind, member: self.group_name(*id, *kind, &known) }))
        });
        named.collect()
    }

    fn party(&self, id: MemberId) -> Option<Party> {
        match self.members.get(id).identity() {
            Identity::Service(service, facet) => {
                let service = self.processes.get_service(*service);
                let side = match facet {
                    Facet::Serves => Side::Serves,
                    Facet::Processes => Side::Processes,
                    Facet::Background => Side::Background,
                };
                Some(Party::Service { namespace: service.namespace.clone(), name: service.name.clone(), side })
            }
            Identity::Peer(peer) => Some(Party::Peer(peer.clone())),
            Identity::Folded(_) => None,
        }
    }
}

/// What services that are instances of one thing share of their names: `app` of `app-1`, `cart` of
/// `cart-5c95b49cff-tdsdz`. Whether it is one thing is told by there being another.
pub(crate) fn shared_stem(name: &str) -> Option<&str> {
    numbered_stem(name).or_else(|| pod_stem(name))
}

/// `app` of `app-1`: the name less a trailing number of at most three digits and its separator.
fn numbered_stem(name: &str) -> Option<&str> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.len() - stem.len();
    let stem = stem.strip_suffix(['-', '_', '.'])?;
    ((1..=3).contains(&digits) && !stem.is_empty()).then_some(stem)
}

/// The deployment of a pod in Kubernetes: the name less a template's hash and five letters, both of an alphabet
/// that spells no words.
pub fn pod_stem(name: &str) -> Option<&str> {
    let mut parts = name.rsplitn(3, '-');
    let (pod, hash, stem) = (parts.next()?, parts.next()?, parts.next()?);
    let is_random = |text: &str| text.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    let has_digits = hash.bytes().filter(u8::is_ascii_digit).count() >= 2;
    (pod.len() == 5
        && (6..=10).contains(&hash.len())
        && is_random(hash)
        && is_random(pod)
        && has_digits
        && !stem.is_empty())
    .then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_number_is_an_instances() {
        assert_eq!(shared_stem("tt-app-1"), Some("tt-app"));
        assert_eq!(shared_stem("app_02"), Some("app"));
        assert_eq!(shared_stem("s3"), None);
        assert_eq!(shared_stem("app-2026"), None);
        assert_eq!(shared_stem("app"), None);
    }

    #[test]
    fn what_kubernetes_puts_after_a_name_is_a_pods() {
        assert_eq!(pod_stem("ts-order-other-service-6cdbf9b4cc-swvb5"), Some("ts-order-other-service"));
        assert_eq!(pod_stem("cart-579f59597d-wc2lz"), Some("cart"));
        assert_eq!(pod_stem("orders-service1-front"), None);
        assert_eq!(pod_stem("579f59597d-wc2lz"), None);
        assert_eq!(pod_stem("payment-gateway-proxy"), None);
    }
}
