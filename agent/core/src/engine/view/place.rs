//! Finding the member that a signal belongs to.
//!
//! 1. A signal of its sender belongs to the sender's service; if that takes no requests, to the store
//!    at the address that the sender says it watches or is the host of, or that its other signals are about.
//!    A signal of a host belongs to the store there alone: services tell of their own processes.
//! 2. A signal with an address belongs to the peer at that address.
//! 3. A signal with a name belongs to the queue or database of that name.
//! 4. Else, if there is one member of the right kind, it belongs there.
//! 5. Else the signal is all that is known of its tier, and a member is made for it.

use super::Engine;
use crate::catalogue::About;
use crate::classify::{Peer, PeerClass};
use crate::engine::members::{Identity, Member, MemberId};
use crate::engine::processes::ProcessId;
use crate::engine::signals::{SignalKey, Subject};
use crate::tier::TierKind;

/// Each signal with the member it belongs to.
pub(super) type Placed = Vec<(SignalKey, MemberId)>;

impl Engine {
    /// Finds the member of every signal, making members for tiers of which only signals are known.
    pub(super) fn place_signals(&mut self) -> Placed {
        let mut keys: Vec<SignalKey> = self.signals.all().map(|(key, _)| key.clone()).collect();
        // Signals about a store come first: they tell where their sender belongs.
        keys.sort_by(|one, other| {
            let order = |key: &SignalKey| {
                let of_process = matches!(key.subject.about, About::Sender | About::Host);
                (of_process, key.subject.process, key.kind)
            };
            order(one).cmp(&order(other)).then_with(|| one.part.cmp(&other.part))
        });
        let mut placed: Placed = Vec::new();
        for key in keys {
            let found = match key.subject.about {
                About::Sender => self.home_of(key.subject.process, &placed),
                About::Host => self.watched_by(key.subject.process),
                _ => Some(self.place_store(&key.subject)),
            };
            if let Some(member) = found {
                if key.subject.about == About::Replica {
                    self.members.get_mut(member).evidence.reports_lag = true;
                }
                placed.push((key, member));
            }
        }
        placed
    }

    fn home_of(&self, process: ProcessId, placed: &Placed) -> Option<MemberId> {
        let service = self.processes.service_of(process);
        let own = service.serves.or(service.processes).or(service.background);
        own.or_else(|| self.watched_by(process)).or_else(|| {
            let of_store = placed.iter().find(|(key, _)| key.subject.process == process);
            of_store.map(|(_, member)| *member)
        })
    }

    /// The one store at the address that a process's resource gives: an exporter beside a server gives the
    /// server's, an agent on its host gives the host's name.
    fn watched_by(&self, process: ProcessId) -> Option<MemberId> {
        let (address, port) = self.processes.get(process).resource.watches()?;
        let mut there = self.members.all().filter(|(_, member)| match member.identity() {
            Identity::Peer(peer) => {
                peer.class != PeerClass::Service && *peer.address == *address && (port == 0 || peer.port == port)
            }
            _ => false,
        });
        let (found, _) = there.next()?;
        there.next().is_none().then_some(found)
    }

    fn place_store(&mut self, subject: &Subject) -> MemberId {
        let mut candidates: Vec<MemberId> =
            self.members.all().filter(|(_, member)| may_be(subject.about, member)).map(|(id, _)| id).collect();
        // A member that has traffic wins over one that was made for a signal before the traffic came.
        candidates.sort_by_key(|id| self.members.get(*id).first_second.is_none());
        let peer_of = |id: &MemberId| match self.members.get(*id).identity() {
            Identity::Peer(peer) => Some(peer),
            _ => None,
        };
        let by_address = candidates.iter().find(|id| {
            !subject.address.is_empty()
                && peer_of(id).is_some_and(|peer| {
                    peer.address == subject.address && (peer.port == subject.port || subject.port == 0)
                })
        });
        // A replica that nobody asks reports its own address; its database's name is the primary's too.
        let takes_writes = |id: &MemberId| self.members.get(*id).evidence.writes >= 0.5;
        let is_another =
            |id: &MemberId| subject.about == About::Replica && !subject.address.is_empty() && takes_writes(id);
        let by_name = candidates.iter().find(|id| {
            !subject.name.is_empty()
                && !is_another(id)
                && peer_of(id).is_some_and(|peer| {
                    peer.name == subject.name || (!peer.address.is_empty() && peer.address.starts_with(&*subject.name))
                })
        });
        let has_traffic = |id: &&MemberId| self.members.get(**id).first_second.is_some();
        let of_kind: Vec<&MemberId> = candidates
            .iter()
            .filter(has_traffic)
            .filter(|id| self.members.get(**id).role.known.is_some_and(|(kind, _)| kind == kind_of(subject.about)))
            .collect();
        // A name that fits nothing speaks of something else, unless nothing else can be meant.
        let only = match of_kind[..] {
            [only] => Some(only),
            _ => None,
        };
        let found = match (by_address, by_name) {
            (Some(made), Some(named)) if !has_traffic(&made) && has_traffic(&named) => Some(named),
            (by_address, by_name) => by_address.or(by_name).or(only),
        };
        match found {
            Some(id) => *id,
            None => self.make_store(subject),
        }
    }

    fn make_store(&mut self, subject: &Subject) -> MemberId {
        let service = &self.processes.service_of(subject.process).name;
        let class = match subject.about {
            About::Cache => PeerClass::Cache,
            About::Queue => PeerClass::Queue,
            About::Replica | About::Sender | About::Host => PeerClass::Database,
        };
        let nameless = subject.name.is_empty() && subject.address.is_empty();
        let name = if nameless { service.clone() } else { subject.name.clone() };
        let peer = Peer { class, system: "".into(), name, address: subject.address.clone(), port: subject.port };
        let id = self.members.resolve(Identity::Peer(peer), self.config.limits.members, self.now);
        self.members.get_mut(id).last_seen = self.now;
        id
    }
}

/// Whether a member can be what a signal is about.
fn may_be(about: About, member: &Member) -> bool {
    let Identity::Peer(peer) = member.identity() else {
        return member.role.known.is_some_and(|(kind, _)| kind == kind_of(about));
    };
    match about {
        About::Cache => peer.class == PeerClass::Cache,
        About::Queue => peer.class == PeerClass::Queue,
        About::Replica => peer.class == PeerClass::Database,
        About::Sender | About::Host => false,
    }
}

fn kind_of(about: About) -> TierKind {
    match about {
        About::Cache => TierKind::Cache,
        About::Queue => TierKind::Queue,
        About::Replica | About::Sender | About::Host => TierKind::DbReplica,
    }
}
