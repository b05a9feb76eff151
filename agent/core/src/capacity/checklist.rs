//! The questions that a system of any size is measured by, and how each is answered from what was seen.
//!
//! An answer is yes or no only where telemetry shows it; else it says what would have to be sent to tell.

use std::collections::BTreeSet;

use super::facts::{Facts, front};
use super::fleet::Following;
use super::shape;
use crate::phase::Phase;
use crate::snapshot::{CheckView, FiguresFrom, SignalKind, TierView};
use crate::tier::TierKind;

/// Yes, no or, `None`, unknown; and from what, or what would have to be sent.
type Answer = (Option<bool>, String);

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The phase that asks it.
    pub phase: Phase,
    /// The question, answered by yes where all is well.
    pub question: &'static str,
    answer: fn(&Facts<'_>) -> Answer,
}

const fn check(phase: Phase, question: &'static str, answer: fn(&Facts<'_>) -> Answer) -> Check {
    Check { phase, question, answer }
}

/// The questions, in the order of the ladder.
pub const CHECKS: &[Check] = &[
    check(Phase::SingleBox, "Do application and database run apart?", apart),
    check(Phase::WebTier, "Is there a balancer in front?", balancer),
    check(Phase::WebTier, "Has every service more than one instance?", no_single_point),
    check(Phase::WebTier, "Does every service run in more than one zone?", zones),
    check(Phase::WebTier, "Are instances stateless?", stateless),
    check(Phase::DatabaseReads, "Does a cache take reads off the database?", cache),
    check(Phase::DatabaseReads, "Do replicas take reads?", replicas),
    check(Phase::DatabaseReads, "Is there a cache at the edge?", edge),
    check(Phase::DatabaseReads, "Is there a cache in the application's memory?", memory),
    check(Phase::Spikes, "Does the count of instances follow load?", follows_load),
    check(Phase::Spikes, "Is availability at least 99.99 %?", availability),
    check(Phase::Writes, "Is heavy work done off the request?", asynchronous),
    check(Phase::Writes, "Do workers keep up with the queue?", keeps_up),
    check(Phase::Writes, "Are writes spread over several stores?", writes_spread),
    check(Phase::Regions, "Is tracing on in every service?", tracing),
    check(Phase::Regions, "Does it run in more than one region?", regions),
];

/// Every question with its answer.
pub(super) fn answers(facts: &Facts<'_>) -> Vec<CheckView> {
    let answered = CHECKS.iter().map(|check| {
        let (answer, evidence) = (check.answer)(facts);
        CheckView { phase: check.phase, question: check.question.to_owned(), answer, evidence }
    });
    answered.collect()
}

fn yes(evidence: impl Into<String>) -> Answer {
    (Some(true), evidence.into())
}

fn no(evidence: impl Into<String>) -> Answer {
    (Some(false), evidence.into())
}

fn unknown(to_tell: impl Into<String>) -> Answer {
    (None, to_tell.into())
}

fn apart(facts: &Facts<'_>) -> Answer {
    match (shape::tiers_apart(facts), facts.databases().next()) {
        (Some(words), _) => yes(words),
        (None, Some(database)) => no(format!("{} is on the one service's own machine", database.id)),
        (None, None) => unknown("no database was seen: trace the calls to it"),
    }
}

fn balancer(facts: &Facts<'_>) -> Answer {
    if let Some(balancer) = facts.of_kind(TierKind::Lb).next() {
        return yes(format!("{} spreads requests", balancer.id));
    }
    match front(&facts.snapshot.tiers) {
        None => unknown("no service was seen yet"),
        Some(front) if front.live_instances().count() > 1 => unknown(format!(
            "something spreads requests over {} instances of {}: trace it, or name it by --tier lb=NAME",
            front.live_instances().count(),
            front.id
        )),
        Some(front) => no(format!("{} takes requests alone", front.id)),
    }
}

fn no_single_point(facts: &Facts<'_>) -> Answer {
    let fleets: Vec<&TierView> = facts.services().collect();
    if fleets.is_empty() || fleets.iter().any(|tier| tier.instances.is_empty()) {
        return unknown("send service.instance.id with every service");
    }
    let alone = named(fleets.iter().copied().filter(|tier| tier.live_instances().count() < 2));
    if alone.is_empty() { yes(format!("{} services, each with several", fleets.len())) } else { no(alone) }
}

fn zones(facts: &Facts<'_>) -> Answer {
    let zones_of = |tier: &TierView| -> BTreeSet<String> {
        tier.live_instances().filter_map(|instance| instance.zone.clone()).collect()
    };
    let fleets: Vec<(&TierView, BTreeSet<String>)> = facts.services().map(|tier| (tier, zones_of(tier))).collect();
    if fleets.is_empty() || fleets.iter().any(|(_, zones)| zones.is_empty()) {
        return unknown("send cloud.availability_zone with every service");
    }
    let in_one = named(fleets.iter().filter(|(_, zones)| zones.len() < 2).map(|(tier, _)| *tier));
    let all: BTreeSet<&String> = fleets.iter().flat_map(|(_, zones)| zones).collect();
    if in_one.is_empty() { yes(format!("{} zones", all.len())) } else { no(format!("in one zone: {in_one}")) }
}

fn stateless(_: &Facts<'_>) -> Answer {
    unknown("telemetry does not show where sessions lie: keep them in a cache or a store, off the instances")
}

/// A cache that finds less than this takes too little off the database.
const GOOD_HIT_RATIO: f64 = 0.8;

fn cache(facts: &Facts<'_>) -> Answer {
    let Some(cache) = facts.of_kind(TierKind::Cache).next() else {
        return match facts.databases().next() {
            Some(database) => no(format!("no cache was seen beside {}", database.id)),
            None => unknown("no database was seen: trace the calls to it"),
        };
    };
    match signals(facts, SignalKind::CacheHitRatio).map(|(_, ratio, _)| ratio).reduce(f64::min) {
        Some(ratio) if ratio >= GOOD_HIT_RATIO => yes(format!("{} hits {:.1} %", cache.id, ratio * 100.0)),
        Some(ratio) => no(format!("{} hits only {:.1} %", cache.id, ratio * 100.0)),
        None => unknown(format!("{} says no hit rate: send cache.hits and cache.misses", cache.id)),
    }
}

fn replicas(facts: &Facts<'_>) -> Answer {
    let replica = facts.of_kind(TierKind::DbReplica).find(|tier| tier.requests_per_second > Some(0.0));
    match (replica, facts.of_kind(TierKind::DbPrimary).next()) {
        (Some(replica), _) => yes(format!("{:.0} reads/s", replica.requests_per_second.unwrap_or_default())),
        (None, Some(primary)) => no(format!("{} takes reads and writes", primary.id)),
        (None, None) => unknown("no database with a primary was seen"),
    }
}

fn edge(facts: &Facts<'_>) -> Answer {
    match facts.of_kind(TierKind::Edge).next() {
        Some(edge) => yes(edge.id.clone()),
        None => unknown("a CDN sends no spans: if there is one that does, name it by --tier edge=NAME"),
    }
}

fn memory(_: &Facts<'_>) -> Answer {
    unknown("a look into a service's own memory leaves no span")
}

fn follows_load(facts: &Facts<'_>) -> Answer {
    match facts.fleets.following() {
        Following::Yes(words) => yes(words),
        Following::No(words) => no(words),
        Following::Unknown => unknown("load has not swung enough yet to tell"),
    }
}

fn availability(facts: &Facts<'_>) -> Answer {
    facts.availability.met()
}

fn asynchronous(facts: &Facts<'_>) -> Answer {
    match (shape::work_off_the_request(facts), facts.of_kind(TierKind::Queue).next()) {
        (Some(words), _) => yes(words),
        (None, Some(queue)) => unknown(format!("nobody is seen to take from {}: trace its consumers", queue.id)),
        (None, None) => no("no queue was seen"),
    }
}

/// Share of its depth, and messages, by which a queue may grow a second and still be kept up with.
const GROWTH: (f64, f64) = (0.01, 0.5);

fn keeps_up(facts: &Facts<'_>) -> Answer {
    let grows = |depth: f64, slope: f64| slope > GROWTH.1.max(depth * GROWTH.0);
    let depths: Vec<(&str, f64, Option<f64>)> = signals(facts, SignalKind::QueueDepth).collect();
    let growing = depths.iter().find(|(_, depth, slope)| slope.is_some_and(|slope| grows(*depth, slope)));
    match (growing, &depths[..]) {
        (Some((queue, depth, slope)), _) => {
            let slope = slope.unwrap_or_default();
            no(format!("{queue} grows by {slope:.1} messages/s, {depth:.0} wait"))
        }
        (None, []) => match facts.of_kind(TierKind::Queue).next() {
            Some(queue) => unknown(format!("send queue.depth of {}", queue.id)),
            None => unknown("no queue was seen"),
        },
        (None, depths) if depths.iter().any(|(.., slope)| slope.is_none()) => {
            unknown("how fast the queue grows is not known yet")
        }
        (None, depths) => yes(format!("{:.0} messages wait", depths.iter().map(|(_, depth, _)| depth).sum::<f64>())),
    }
}

fn writes_spread(facts: &Facts<'_>) -> Answer {
    let stores: Vec<&TierView> = facts.databases().collect();
    let instances: usize = stores.iter().map(|tier| tier.instances.len().max(1)).sum();
    match stores[..] {
        [] => unknown("no database was seen: trace the calls to it"),
        [only] if instances == 1 => no(format!("{} takes them all", only.id)),
        _ => yes(named(stores.iter().copied())),
    }
}

fn tracing(facts: &Facts<'_>) -> Answer {
    let without = named(facts.services().filter(|tier| tier.figures_from == FiguresFrom::Metrics));
    match (facts.services().count(), without.is_empty()) {
        (0, _) => unknown("no service was seen yet"),
        (count, true) => yes(format!("all {count} services send spans")),
        (_, false) => no(format!("metrics alone from {without}")),
    }
}

fn regions(facts: &Facts<'_>) -> Answer {
    let regions: Vec<&str> = shape::regions(facts).into_iter().collect();
    match regions[..] {
        [] => unknown("send cloud.region with every service"),
        [only] => no(format!("all in {only}")),
        _ => yes(regions.join(", ")),
    }
}

/// Tier, value and slope of the signals of a kind that are known.
fn signals<'a>(facts: &Facts<'a>, kind: SignalKind) -> impl Iterator<Item = (&'a str, f64, Option<f64>)> {
    let of_kind = facts.snapshot.signals.iter().filter(move |signal| signal.kind == kind);
    of_kind.filter_map(|signal| Some((signal.tier.as_str(), signal.value?, signal.slope_per_second)))
}

fn named<'a>(tiers: impl Iterator<Item = &'a TierView>) -> String {
    tiers.map(|tier| tier.id.as_str()).collect::<Vec<_>>().join(", ")
}
