//! Which members share a row, and what the row is called.

use std::collections::BTreeMap;

use super::Engine;
use super::place::Placed;
use crate::classify::{Peer, PeerClass};
use crate::engine::edges::Caller;
use crate::engine::members::{Identity, MemberId};
use crate::engine::naming::shared_stem;
use crate::tier::TierKind;

/// One row: a tier.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: TierKind,
    pub(super) reason: &'static str,
    pub(super) name: String,
    pub(super) members: Vec<MemberId>,
}

/// All rows, in request order, and the row of each member.
pub(super) struct Rows {
    pub(super) list: Vec<Row>,
    by_member: BTreeMap<MemberId, usize>,
}

impl Rows {
    /// The row that a member is in, if it is shown.
    pub(super) fn of(&self, member: MemberId) -> Option<&Row> {
        self.by_member.get(&member).map(|index| &self.list[*index])
    }
}

impl Engine {
    /// Sorts the members that are shown into rows.
    pub(super) fn rows(&self, placed: &Placed) -> Rows {
        let shown: Vec<(MemberId, TierKind, &'static str)> = self
            .members
            .all()
            .filter(|(id, _)| self.is_shown(*id) || placed.iter().any(|(_, member)| member == id))
            .filter_map(|(id, member)| member.role.known.map(|(kind, reason)| (id, kind, reason)))
            .collect();
        let mut groups: BTreeMap<(TierKind, String), Row> = BTreeMap::new();
        for &(member, kind, reason) in &shown {
            let name = self.group_name(member, kind, &shown);
            let row = groups.entry((kind, name.clone())).or_insert_with(|| Row {
                id: format!("{kind}/{name}"),
                kind,
                reason,
                name,
                members: Vec::new(),
            });
            row.members.push(member);
        }
        let mut list: Vec<Row> = groups.into_values().collect();
        for row in &mut list {
            if let ([only], TierKind::DbReplica) = (&row.members[..], row.kind)
                && let Identity::Peer(peer) = self.members.get(*only).identity()
            {
                row.name = at_address(&row.name, peer);
            }
        }
        let traffic = |row: &Row| -> u64 {
            let of_member = |id: &MemberId| {
                let member = self.members.get(*id);
                let (from, to) = self.window(member);
                member.history.sum(from, to).count()
            };
            row.members.iter().map(of_member).sum()
        };
        // Within a kind callers first, then the busiest, but in steps, so that rows do not swap places all the time.
        let order: Vec<_> = list
            .iter()
            .map(|row| {
                (row.kind, self.callers_of_same_kind(row, &list), std::cmp::Reverse(traffic(row).max(1).ilog2() / 2))
            })
            .collect();
        let mut numbered: Vec<(usize, Row)> = list.into_iter().enumerate().collect();
        numbered.sort_by_cached_key(|(place, row)| (order[*place], row.id.clone()));
        let list: Vec<Row> = numbered.into_iter().map(|(_, row)| row).collect();
        let by_member = list
            .iter()
            .enumerate()
            .flat_map(|(index, row)| row.members.iter().map(move |member| (*member, index)))
            .collect();
        Rows { list, by_member }
    }

    /// How many rows of its own kind call a row, by whatever way: a service stands after those that call it.
    fn callers_of_same_kind(&self, row: &Row, rows: &[Row]) -> usize {
        let calls = |from: &Row, to: &Row| {
            from.members.iter().any(|member| match self.members.get(*member).identity() {
                Identity::Service(service, _) => {
                    self.edges.all().any(|edge| edge.from == Caller::Service(*service) && to.members.contains(&edge.to))
                }
                _ => false,
            })
        };
        let same: Vec<&Row> = rows.iter().filter(|other| other.kind == row.kind).collect();
        let mut callers: Vec<&str> = Vec::new();
        let mut open = vec![row];
        while let Some(at) = open.pop() {
            for &other in same.iter().filter(|other| other.id != at.id && calls(other, at)) {
                if other.id != row.id && !callers.contains(&other.id.as_str()) {
                    callers.push(&other.id);
                    open.push(other);
                }
            }
        }
        callers.len()
    }

    /// The name under which a member is shown, shared by all members of its row.
    pub(in crate::engine) fn group_name(
        &self,
        id: MemberId,
        kind: TierKind,
        shown: &[(MemberId, TierKind, &'static str)],
    ) -> String {
        match self.members.get(id).identity() {
            Identity::Folded(_) => "other".to_owned(),
            Identity::Peer(peer) => peer_name(peer, kind),
            Identity::Service(service, facet) => {
                let own = self.processes.get_service(*service);
                let stem = shared_stem(&own.name);
                let has_sibling = stem.is_some_and(|stem| {
                    shown.iter().any(|(other, other_kind, _)| match self.members.get(*other).identity() {
                        Identity::Service(other, other_facet) if other != service => {
                            let other = self.processes.get_service(*other);
                            *other_kind == kind
                                && other_facet == facet
                                && other.namespace == own.namespace
                                && shared_stem(&other.name) == Some(stem)
                        }
                        _ => false,
                    })
                });
                stem.filter(|_| has_sibling).unwrap_or(&own.name).to_owned()
            }
        }
    }
}

/// What a peer is called. Replicas of one database share a name; every other address has its own.
pub(in crate::engine) fn peer_name(peer: &Peer, kind: TierKind) -> String {
    let named = if peer.name.is_empty() { &peer.system } else { &peer.name };
    match peer.class {
        PeerClass::Database if kind == TierKind::DbReplica => {
            if named.is_empty() {
                address(peer)
            } else {
                named.to_string()
            }
        }
        PeerClass::Service => {
            if peer.name.is_empty() {
                address(peer)
            } else {
                peer.name.to_string()
            }
        }
        _ => at_address(named, peer),
    }
}

fn at_address(name: &str, peer: &Peer) -> String {
    match (name.is_empty(), peer.address.is_empty()) {
        (_, true) => name.to_owned(),
        (true, false) => address(peer),
        (false, false) => format!("{name}@{}", address(peer)),
    }
}

/// `host:port`, without the port where it is the usual one.
pub(in crate::engine) fn address(peer: &Peer) -> String {
    match peer.port {
        0 | 80 | 443 => peer.address.to_string(),
        port => format!("{}:{port}", peer.address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_by_what_they_hold_and_where_they_are() {
        let db = Peer {
            class: PeerClass::Database,
            system: "postgresql".into(),
            name: "orders".into(),
            address: "db1".into(),
            port: 5432,
        };
        assert_eq!(peer_name(&db, TierKind::DbPrimary), "orders@db1:5432");
        assert_eq!(peer_name(&db, TierKind::DbReplica), "orders");
        let cache = Peer { class: PeerClass::Cache, system: "redis".into(), name: "".into(), ..db.clone() };
        assert_eq!(peer_name(&cache, TierKind::Cache), "redis@db1:5432");
        let api =
            Peer { class: PeerClass::Service, name: "".into(), address: "api.example.com".into(), port: 443, ..db };
        assert_eq!(peer_name(&api, TierKind::External), "api.example.com");
    }
}
