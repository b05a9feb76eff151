//! Which parties are one tier, and what it is called.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::naming::{Party, Side, TierName, shared_stem};
use crate::tier::TierKind;
use crate::traces::{Key, PartyId, Place, Traces};

/// The tiers of all parties, and each party's place among them. Services that differ in what tells instances
/// apart are one tier: the pods of a baseline have gone when an incident begins.
pub(super) fn tiers<'k>(
    keys: impl Iterator<Item = &'k Key>,
    traces: &Traces,
    names: &BTreeMap<Party, TierName>,
) -> (Vec<TierName>, BTreeMap<PartyId, usize>) {
    let parties: BTreeSet<PartyId> = keys
        .flat_map(|key| match key.place {
            Place::At(party) => [party, party],
            Place::Gap(from, to) => [from, to],
        })
        .collect();
    let mut called: Vec<(PartyId, TierName)> =
        parties.into_iter().map(|party| (party, name(traces.party(party), names))).collect();
    let mut by_stem: BTreeMap<(TierKind, String), BTreeSet<String>> = BTreeMap::new();
    let stem = |name: &TierName| Some((name.kind, shared_stem(&name.member)?.to_owned()));
    for (_, name) in &called {
        if let Some(stem) = stem(name) {
            by_stem.entry(stem).or_default().insert(name.member.clone());
        }
    }
    for (_, name) in &mut called {
        if let Some(stem) = stem(name).filter(|stem| by_stem[stem].len() > 1) {
            name.member = stem.1;
        }
    }
    let (mut tiers, mut tier_of): (Vec<TierName>, BTreeMap<PartyId, usize>) = (Vec::new(), BTreeMap::new());
    for (party, name) in called {
        let place = tiers.iter().position(|known| *known == name).unwrap_or_else(|| {
            tiers.push(name);
            tiers.len() - 1
        });
        tier_of.insert(party, place);
    }
    (tiers, tier_of)
}

/// What a party is called. A side of a service that was never seen as a tier is the service's other one.
pub(super) fn name(party: &Party, names: &BTreeMap<Party, TierName>) -> TierName {
    let other_sides = match party {
        Party::Service { namespace, name, .. } => [Side::Serves, Side::Processes, Side::Background]
            .map(|side| Party::Service { namespace: namespace.clone(), name: name.clone(), side })
            .to_vec(),
        Party::Peer(_) => Vec::new(),
    };
    let mut candidates = std::iter::once(party).chain(&other_sides);
    candidates.find_map(|candidate| names.get(candidate)).cloned().unwrap_or_else(|| party.presumed())
}
