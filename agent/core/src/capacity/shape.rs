//! The phase that a system is in, by what stands: its shape, never a head count.
//!
//! Each phase above the first has a mark, which is what the remedies of the wall below it leave behind. A
//! phase stands on all those below it; but that capacity follows load shows only when load swings, so
//! phase 4 may be passed over unseen.

use std::collections::BTreeSet;

use super::facts::{Facts, serves};
use super::fleet::Following;
use crate::phase::Phase;
use crate::snapshot::TierView;
use crate::tier::TierKind;

/// What marks a phase: in words, if it is there.
struct Mark {
    phase: Phase,
    /// It may be there and not show.
    may_be_unseen: bool,
    find: fn(&Facts<'_>) -> Option<String>,
}

const MARKS: [Mark; 5] = [
    Mark { phase: Phase::WebTier, may_be_unseen: false, find: tiers_apart },
    Mark { phase: Phase::DatabaseReads, may_be_unseen: false, find: reads_relieved },
    Mark { phase: Phase::Spikes, may_be_unseen: true, find: follows_load },
    Mark { phase: Phase::Writes, may_be_unseen: false, find: work_off_the_request },
    Mark { phase: Phase::Regions, may_be_unseen: false, find: services_and_regions },
];

/// The phase, and why in a line.
pub(super) fn phase(facts: &Facts<'_>) -> (Phase, String) {
    let mut phase = Phase::SingleBox;
    let mut standing = true;
    let mut because = Vec::new();
    let mut beyond = Vec::new();
    for mark in MARKS {
        match (mark.find)(facts) {
            Some(words) if standing => {
                phase = mark.phase;
                because.push(words);
            }
            Some(words) => beyond.push(words),
            None => standing &= mark.may_be_unseen,
        }
    }
    if because.is_empty() {
        because.push("one service with one instance".to_owned());
    }
    let mut because = because.join("; ");
    if !beyond.is_empty() {
        because = format!("{because}; ahead of its phase: {}", beyond.join("; "));
    }
    (phase, because)
}

/// Several services, several instances, or a database on another host.
pub(super) fn tiers_apart(facts: &Facts<'_>) -> Option<String> {
    let services: Vec<&TierView> = facts.snapshot.tiers.iter().filter(|tier| serves(tier)).collect();
    if let Some(several) = services.iter().find(|tier| tier.live_instances().count() > 1) {
        return Some(format!("{} has {} instances", several.id, several.live_instances().count()));
    }
    if services.len() > 1 {
        return Some(format!("{} services take requests", services.len()));
    }
    let apart = facts.databases().find(|tier| tier.instances.iter().any(|instance| !is_local(&instance.name)))?;
    Some(format!("{} is on a host of its own", apart.id))
}

/// Whether an address is of the caller's own machine.
fn is_local(address: &str) -> bool {
    let own = ["127.", "localhost", "::1", "[::1]"];
    address.starts_with('/') || own.iter().any(|own| address.starts_with(own))
}

fn reads_relieved(facts: &Facts<'_>) -> Option<String> {
    let takes_reads = |kind| facts.of_kind(kind).find(|tier| tier.requests_per_second > Some(0.0));
    let found: Vec<&str> = [TierKind::Cache, TierKind::DbReplica]
        .into_iter()
        .filter_map(takes_reads)
        .map(|tier| tier.id.as_str())
        .collect();
    (!found.is_empty()).then(|| format!("reads go to {}", found.join(" and ")))
}

fn follows_load(facts: &Facts<'_>) -> Option<String> {
    match facts.fleets.following() {
        Following::Yes(words) => Some(words),
        Following::No(_) | Following::Unknown => None,
    }
}

pub(super) fn work_off_the_request(facts: &Facts<'_>) -> Option<String> {
    let queue = facts.of_kind(TierKind::Queue).next()?;
    let worker = facts.of_kind(TierKind::Worker).next()?;
    Some(format!("{} feeds {}", queue.id, worker.id))
}

/// Applications that call each other, from which on a system counts as made of services.
const SERVICES: usize = 3;

fn services_and_regions(facts: &Facts<'_>) -> Option<String> {
    let regions = regions(facts);
    if regions.len() > 1 {
        return Some(format!("services in {} regions", regions.len()));
    }
    let is_fleet =
        |id: &str| facts.of_kind(TierKind::App).any(|tier| tier.id == id && tier.live_instances().count() > 1);
    let calls = facts.snapshot.edges.iter().filter(|edge| is_fleet(&edge.from) && is_fleet(&edge.to));
    let callers: BTreeSet<&str> = calls.flat_map(|edge| [edge.from.as_str(), edge.to.as_str()]).collect();
    (callers.len() >= SERVICES).then(|| format!("{} services, each a fleet, call each other", callers.len()))
}

/// Regions in which live instances run.
pub(super) fn regions<'a>(facts: &Facts<'a>) -> BTreeSet<&'a str> {
    let live = facts.snapshot.tiers.iter().flat_map(TierView::live_instances);
    live.filter_map(|instance| instance.region.as_deref()).collect()
}
