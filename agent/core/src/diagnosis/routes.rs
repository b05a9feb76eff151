//! Routes: which requests ask for the same, so that another mix of them is no change.
//!
//! A route is what the front was asked for. Where a gateway calls all that it takes by one name, requests are told
//! apart by what was asked of the services behind it. Those of which the baseline has too few are
//! compared with all that the front calls so.

use std::collections::BTreeMap;

use super::compare::{Part, is_slower, logarithm, mean, usual};
use crate::traces::{OperationId, PartyId, Place};

/// Requests of the baseline without which a route is not told apart by what is behind the front.
const ENOUGH: usize = 8;
/// Requests of a route in the baseline without which nothing is usual of it.
const LEAST: usize = 3;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Routes {
    /// The route of each request of the baseline that was chosen.
    pub(super) before: Vec<u32>,
    /// The same of those that are asked about.
    pub(super) after: Vec<u32>,
    /// Durations in the baseline by route, milliseconds, sorted.
    durations_ms: Vec<Vec<f64>>,
}

impl Routes {
    /// The routes of two captures.
    pub(super) fn find(before: &Part<'_>, after: &Part<'_>, tier_of: &BTreeMap<PartyId, usize>) -> Self {
        let asked_of = |part: &Part<'_>| -> Vec<(usize, OperationId, u64)> {
            let asked = |request: &crate::traces::Request| {
                let key = part.requests.keys[request.key as usize];
                let (Place::At(party) | Place::Gap(_, party)) = key.place;
                (tier_of[&party], key.operation, request.asks)
            };
            part.requests.list.iter().map(asked).collect()
        };
        let (asked_before, asked_after) = (asked_of(before), asked_of(after));
        let mut counts: BTreeMap<(usize, OperationId, u64), usize> = BTreeMap::new();
        for (asked, _) in asked_before.iter().zip(&before.chosen).filter(|(_, chosen)| **chosen) {
            *counts.entry(*asked).or_default() += 1;
        }
        let mut ids: BTreeMap<(usize, OperationId, Option<u64>), u32> = BTreeMap::new();
        let mut id = |route: (usize, OperationId, Option<u64>)| {
            let next = ids.len() as u32;
            *ids.entry(route).or_insert(next)
        };
        let mut route = |(tier, operation, asks): (usize, OperationId, u64)| {
            let is_known = counts.get(&(tier, operation, asks)).is_some_and(|count| *count >= ENOUGH);
            id((tier, operation, is_known.then_some(asks)))
        };
        let routes_before: Vec<u32> = asked_before.iter().map(|asked| route(*asked)).collect();
        let routes_after: Vec<u32> = asked_after.iter().map(|asked| route(*asked)).collect();
        let mut durations_ms: Vec<Vec<f64>> = vec![Vec::new(); ids.len()];
        for place in (0..asked_before.len()).filter(|place| before.chosen[*place]) {
            let took_ms = before.requests.list[place].nanos as f64 / 1e6;
            let (tier, operation, _) = asked_before[place];
            let whole = ids.get(&(tier, operation, None)).copied();
            let own = routes_before[place];
            for route in whole.into_iter().chain((whole != Some(own)).then_some(own)) {
                durations_ms[route as usize].push(took_ms);
            }
        }
        for durations in &mut durations_ms {
            durations.sort_unstable_by(f64::total_cmp);
        }
        Self { before: routes_before, after: routes_after, durations_ms }
    }

    /// The middle of what requests of a route usually take.
    pub(super) fn median_ms(&self, route: u32) -> Option<f64> {
        let durations = &self.durations_ms[route as usize];
        durations.get(durations.len() / 2).copied()
    }

    /// What requests of each route usually take.
    pub(super) fn usual_ms(&self) -> Vec<Option<f64>> {
        let enough = |durations: &&Vec<f64>| durations.len() >= LEAST;
        self.durations_ms.iter().map(|durations| Some(durations).filter(enough).map(|known| usual(known))).collect()
    }
}

/// How long requests take beside what they usually take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Durations {
    /// Mean duration of requests, before; by the mix of now.
    pub(super) usual_ms: f64,
    /// Milliseconds by which the average request takes longer, route by route.
    pub(super) excess_ms: f64,
    /// Requests as a whole take longer, and not by chance.
    pub(super) longer: bool,
}

/// What the average request usually takes, and by how much it takes longer: route by route, so that
/// another mix of routes is no excess. Routes without a baseline say nothing.
pub(super) fn durations(before: &Part<'_>, after: &Part<'_>, routes: &Routes) -> Durations {
    let usual_ms = routes.usual_ms();
    let took = |part: &Part<'_>, routes: &[u32]| -> Vec<(f64, f64)> {
        let chosen = (0..part.chosen.len()).filter(|place| part.chosen[*place]);
        let known = chosen.filter_map(|place| {
            Some((part.requests.list[place].nanos as f64 / 1e6, usual_ms[routes[place] as usize]?))
        });
        known.collect()
    };
    let (then, now) = (took(before, &routes.before), took(after, &routes.after));
    let excess = now.iter().fold(0.0, |sum, (took, usual)| sum + took - usual);
    let relative =
        |requests: &[(f64, f64)]| -> Vec<f64> { requests.iter().map(|(took, usual)| took / usual.max(1e-6)).collect() };
    let (relative_then, relative_now) = (relative(&then), relative(&now));
    let times = mean(&relative_now) / usual(&relative_then).max(1e-6);
    let logarithms = |values: &[f64]| -> Vec<f64> { values.iter().map(|value| logarithm(*value)).collect() };
    Durations {
        usual_ms: now.iter().map(|(_, usual)| *usual).fold(0.0, |sum, usual| sum + usual) / now.len().max(1) as f64,
        excess_ms: excess / after.len().max(1) as f64,
        longer: then.len().min(now.len()) >= LEAST
            && is_slower(&logarithms(&relative_then), &logarithms(&relative_now), times),
    }
}
