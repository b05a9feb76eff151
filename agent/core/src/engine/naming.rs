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
