//! Two captures beside each other: what takes longer, is asked more often or fails more than before,
//! by tier and operation, and by the gap between two tiers.
//!
//! A key counts as *shifted* when all of this holds, so that neither noise nor one outlier makes a verdict:
//! 1. its mean is at least [`LEAST_TIMES`] the usual mean, whose largest 2 % were cut off;
//! 2. `log(mean / usual) / MAD` of the logarithms is over 3, or Welch's t of the logarithms is over 4;
//! 3. more visits are over what the baseline hardly ever exceeds than its own share makes likely.
//!
//! A tier's operation may take longer for one route than for another: where the baseline has enough visits of a route,
//! each visit is measured by those, so that another mix of routes is no shift.
//!
//! The shift's *weight* is its mean excess times how often it comes in a request: the milliseconds of an
//! average request that it explains.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::routes::{self, Durations, Routes};
use crate::classify::Act;
use crate::traces::{OperationId, PartyId, Place, Requests};

/// Least effect, as a ratio of means.
const LEAST_TIMES: f64 = 1.3;
/// Least spread of logarithms that is believed: a tenth, or one in ten.
const LEAST_SPREAD: f64 = 0.1;
/// Added before taking logarithms, so that what takes no time has one: 50 microseconds.
const FLOOR_MS: f64 = 0.05;
/// Visits of a key without which nothing is said of it.
const LEAST_VISITS: usize = 3;
/// Visits of the baseline without which those of one route are not measured by themselves.
const LEAST_OF_ROUTE: usize = 8;
/// Share of the baseline's visits that is cut off its mean.
const CUT: f64 = 0.02;

/// Where a shift is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Spot {
    /// In a tier.
    At(usize),
    /// Between two.
    Gap(usize, usize),
}

impl Spot {
    /// Whether a tier is there, or at one of its ends.
    pub(super) fn touches(self, tier: usize) -> bool {
        match self {
            Self::At(at) => at == tier,
            Self::Gap(from, to) => from == tier || to == tier,
        }
    }
}

/// Some requests of a capture.
#[derive(Clone, Debug)]
pub(super) struct Part<'r> {
    pub(super) requests: &'r Requests,
    /// Which of them, by their place in the list.
    pub(super) chosen: Vec<bool>,
}

impl Part<'_> {
    /// How many requests.
    pub(super) fn len(&self) -> usize {
        self.chosen.iter().filter(|chosen| **chosen).count()
    }
}

/// A process's share of the visits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) visits: usize,
    pub(super) charged_ms: f64,
    pub(super) failed: usize,
}

/// What was seen of a key on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Milliseconds charged, a value a visit.
    pub(super) charged_ms: Vec<f64>,
    /// The process of each visit.
    pub(super) processes: Vec<u32>,
    /// The route of each visit's request.
    routes: Vec<u32>,
    /// Requests with such a visit that have a usual duration, and the sum of those, milliseconds.
    asking: (usize, f64),
    /// The request of the last visit.
    last_request: Option<u32>,
    /// Visits in which a failure began.
    pub(super) failed: usize,
    /// The same by process.
    pub(super) by_process: BTreeMap<u32, Share>,
}

/// One key on both sides.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) spot: Spot,
    pub(super) operation: OperationId,
    pub(super) act: Option<Act>,
    pub(super) before: Seen,
    pub(super) after: Seen,
    /// Mean of the baseline, its largest values cut off.
    pub(super) usual_ms: f64,
    /// Mean now.
    pub(super) mean_ms: f64,
    /// It takes longer.
    pub(super) slower: bool,
    /// The ordinary visit does, not only some.
    pub(super) sure: bool,
    /// Milliseconds of an average request by which it takes longer, shifted or not.
    pub(super) excess_ms: f64,
    /// Milliseconds of an average request for calls that were not made before, if that is a shift.
    pub(super) extra_ms: f64,
    /// Failures for each request that were not there before, if that is a shift.
    pub(super) failures: f64,
}

impl Pair {
    /// Milliseconds of an average request that its shifts explain.
    pub(super) fn weight_ms(&self) -> f64 {
        self.extra_ms + if self.slower { self.excess_ms } else { 0.0 }
    }

    /// By how much it makes those requests longer that come here, as a share of what these usually take.
    pub(super) fn effect(&self) -> f64 {
        let (requests, usual_ms) = self.after.asking;
        let visits = self.after.charged_ms.len() as f64;
        if requests == 0 { 0.0 } else { (self.mean_ms - self.usual_ms) * visits / usual_ms.max(1e-6) }
    }

    /// Visits for each request: before and now.
    pub(super) fn rates(&self, requests: (usize, usize)) -> (f64, f64) {
        let rate = |seen: &Seen, of: usize| seen.charged_ms.len() as f64 / of.max(1) as f64;
        (rate(&self.before, requests.0), rate(&self.after, requests.1))
    }
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) pairs: Vec<Pair>,
    /// How deep in a request each tier stands, on average.
    pub(super) depth: Vec<f64>,
    /// Requests: before and now.
    pub(super) requests: (usize, usize),
    /// Mean duration of requests, before; by the mix of now.
    pub(super) usual_ms: f64,
    /// Milliseconds by which the average request takes longer, route by route.
    pub(super) excess_ms: f64,
    /// Requests as a whole take longer, and not by chance.
    pub(super) longer: bool,
    /// Share of requests that failed: before and now.
    pub(super) failed: (f64, f64),
}

impl Comparison {
    /// Whether more requests fail than before, beyond chance.
    pub(super) fn fails_more(&self) -> bool {
        let count = |share: f64| share * self.requests.1 as f64;
        is_more(count(self.failed.1), count(self.failed.0))
    }
}

/// What visits are told apart by, besides their tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// What was asked for there.
    Operation,
    /// That, and what the request as a whole asked for: one statement may do different work for each route.
    OperationAndRoute,
}

/// Compares some requests with others. `tier_of` says to which tier a party belongs.
pub(super) fn compare(before: &Part<'_>, after: &Part<'_>, tier_of: &BTreeMap<PartyId, usize>, by: By) -> Comparison {
    let routes = Routes::find(before, after, tier_of);
    let usual_ms = routes.usual_ms();
    let mut pairs = Pairs { by_route: by == By::OperationAndRoute, ..Pairs::default() };
    let mut depth = vec![(0.0, 0.0); tier_of.values().max().map_or(0, |most| most + 1)];
    pairs.gather(before, tier_of, (&routes.before, &usual_ms), &mut depth, |pair| &mut pair.before);
    pairs.gather(after, tier_of, (&routes.after, &usual_ms), &mut depth, |pair| &mut pair.after);
    let requests = (before.len(), after.len());
    for pair in &mut pairs.list {
        judge(pair, requests);
    }
    let Durations { usual_ms, excess_ms, longer } = routes::durations(before, after, &routes);
    Comparison {
        pairs: pairs.list,
        depth: depth.iter().map(|(sum, count): &(f64, f64)| sum / count.max(1.0)).collect(),
        requests,
        usual_ms,
        excess_ms,
        longer,
        failed: (failed_share(before), failed_share(after)),
    }
}

/// A key that both captures share.
type Common = (Spot, OperationId, Option<Act>, Option<(Spot, OperationId)>);

#[derive(Default)]
struct Pairs {
    by_route: bool,
    list: Vec<Pair>,
    by_key: HashMap<Common, usize, FixedState>,
}

impl Pairs {
    fn gather(
        &mut self,
        part: &Part<'_>,
        tier_of: &BTreeMap<PartyId, usize>,
        (routes, usual_ms): (&[u32], &[Option<f64>]),
        depth: &mut [(f64, f64)],
        side: impl Fn(&mut Pair) -> &mut Seen,
    ) {
        let spots: Vec<Spot> = part
            .requests
            .keys
            .iter()
            .map(|key| match key.place {
                Place::At(party) => Spot::At(tier_of[&party]),
                Place::Gap(from, to) => Spot::Gap(tier_of[&from], tier_of[&to]),
            })
            .collect();
        // Found once a key, or once a key and route, and then remembered.
        let mut places: HashMap<(u32, u32), usize, FixedState> = HashMap::default();
        for visit in part.requests.visits.iter().filter(|visit| part.chosen[visit.request as usize]) {
            let root = part.requests.list[visit.request as usize].key;
            let route = if self.by_route { root } else { 0 };
            let place = *places.entry((visit.key, route)).or_insert_with(|| {
                let key = part.requests.keys[visit.key as usize];
                let asked = part.requests.keys[root as usize];
                let of_route = self.by_route.then_some((spots[root as usize], asked.operation));
                self.place((spots[visit.key as usize], key.operation, key.act, of_route))
            });
            let pair = &mut self.list[place];
            if let Spot::At(tier) = pair.spot {
                // A store stands one deeper than the service that calls it.
                depth[tier].0 += f64::from(visit.depth) + f64::from(u8::from(pair.act.is_some()));
                depth[tier].1 += 1.0;
            }
            let seen = side(pair);
            let charged_ms = visit.nanos as f64 / 1e6;
            seen.charged_ms.push(charged_ms);
            seen.processes.push(visit.process);
            let route = routes[visit.request as usize];
            seen.routes.push(route);
            if seen.last_request.replace(visit.request) != Some(visit.request)
                && let Some(usual_ms) = usual_ms[route as usize]
            {
                seen.asking.0 += 1;
                seen.asking.1 += usual_ms;
            }
            seen.failed += usize::from(visit.failed);
            let of_process = seen.by_process.entry(visit.process).or_default();
            of_process.visits += 1;
            of_process.charged_ms += charged_ms;
            of_process.failed += usize::from(visit.failed);
        }
    }

    fn place(&mut self, common: Common) -> usize {
        let list = &mut self.list;
        *self.by_key.entry(common).or_insert_with(|| {
            let (spot, operation, act, _) = common;
            list.push(Pair {
                spot,
                operation,
                act,
                before: Seen::default(),
                after: Seen::default(),
                usual_ms: 0.0,
                mean_ms: 0.0,
                slower: false,
                sure: false,
                excess_ms: 0.0,
                extra_ms: 0.0,
                failures: 0.0,
            });
            list.len() - 1
        })
    }
}

fn judge(pair: &mut Pair, requests: (usize, usize)) {
    let (rate_before, rate) = pair.rates(requests);
    let strata = Strata::of(&pair.before);
    pair.mean_ms = mean(&pair.after.charged_ms);
    pair.usual_ms = strata.usual_ms(&pair.after);
    let enough = pair.before.charged_ms.len().min(pair.after.charged_ms.len()) >= LEAST_VISITS;
    if enough {
        pair.excess_ms = (pair.mean_ms - pair.usual_ms) * rate;
        let times = (pair.mean_ms + FLOOR_MS) / (pair.usual_ms + FLOOR_MS);
        let (before, after) = (strata.apart(&pair.before), strata.apart(&pair.after));
        pair.slower = pair.excess_ms > 0.0 && is_slower(&before, &after, times);
        let (middle, spread) = spread(&before);
        pair.sure = pair.slower && mean(&after) - middle > 3.0 * spread;
    }
    let count = pair.after.charged_ms.len() as f64;
    let expected = rate_before * requests.1 as f64;
    if pair.act.is_some() && rate >= 1.5 * rate_before && is_more(count, expected) {
        let each_ms = if pair.before.charged_ms.is_empty() { pair.mean_ms } else { pair.usual_ms };
        pair.extra_ms = (rate - rate_before) * each_ms;
    }
    let failed = pair.after.failed as f64;
    let usually = pair.before.failed as f64 * requests.1 as f64 / requests.0.max(1) as f64;
    if failed >= 3.0 && is_more(failed, usually) {
        pair.failures = (failed - usually) / requests.1.max(1) as f64;
    }
}

/// What is usual of a key, by route where that is known.
struct Strata {
    /// Middle of the logarithms, and mean.
    all: (f64, f64),
    by_route: BTreeMap<u32, (f64, f64)>,
}

impl Strata {
    fn of(before: &Seen) -> Self {
        let level = |values: &[f64]| {
            let mut logarithms: Vec<f64> = values.iter().map(|value| logarithm(*value)).collect();
            logarithms.sort_unstable_by(f64::total_cmp);
            (logarithms.get(logarithms.len() / 2).copied().unwrap_or_default(), usual(values))
        };
        let mut by_route: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (route, charged_ms) in before.routes.iter().zip(&before.charged_ms) {
            by_route.entry(*route).or_default().push(*charged_ms);
        }
        let known = by_route.into_iter().filter(|(_, values)| values.len() >= LEAST_OF_ROUTE);
        Self {
            all: level(&before.charged_ms),
            by_route: known.map(|(route, values)| (route, level(&values))).collect(),
        }
    }

    fn level(&self, route: u32) -> (f64, f64) {
        self.by_route.get(&route).copied().unwrap_or(self.all)
    }

    /// What visits would usually take, on average.
    fn usual_ms(&self, seen: &Seen) -> f64 {
        if seen.routes.is_empty() {
            return self.all.1;
        }
        mean(&seen.routes.iter().map(|route| self.level(*route).1).collect::<Vec<f64>>())
    }

    /// How far the logarithm of each visit is from the usual one.
    fn apart(&self, seen: &Seen) -> Vec<f64> {
        let visits = seen.routes.iter().zip(&seen.charged_ms);
        visits.map(|(route, charged_ms)| logarithm(*charged_ms) - self.level(*route).0).collect()
    }
}

/// The logarithm of a duration in milliseconds.
pub(super) fn logarithm(ms: f64) -> f64 {
    (ms + FLOOR_MS).ln()
}

/// Whether logarithms are higher than those before. `times` is the ratio of the means.
pub(super) fn is_slower(before: &[f64], after: &[f64], times: f64) -> bool {
    let mut before = before.to_vec();
    before.sort_unstable_by(f64::total_cmp);
    let (middle, spread) = spread(&before);
    let is_far = times.ln() / spread > 3.0 || welch(&before, after) > 4.0;
    let rarely = [middle + 3.0 * spread, before[before.len() * 9 / 10] + LEAST_SPREAD];
    let is_often = rarely.into_iter().any(|bound| {
        let over = |values: &[f64]| values.iter().filter(|value| **value > bound).count() as f64;
        let share = (over(&before) / before.len() as f64).max(0.01);
        is_more(over(after), share * after.len() as f64)
    });
    times >= LEAST_TIMES && is_far && is_often
}

/// The middle of logarithms, and how far they are from it, in the middle.
fn spread(logarithms: &[f64]) -> (f64, f64) {
    let median = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let middle = median(logarithms.to_vec());
    (middle, median(logarithms.iter().map(|value| (value - middle).abs()).collect()).max(LEAST_SPREAD))
}

/// Whether a count is more than chance makes of what is expected.
fn is_more(count: f64, expected: f64) -> bool {
    count > expected + 3.0 * expected.sqrt() + 2.0
}

/// Welch's t for two means.
fn welch(before: &[f64], after: &[f64]) -> f64 {
    let part = |values: &[f64]| {
        let middle = mean(values);
        let square: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
        let count = values.len() as f64;
        (middle, square / (count - 1.0).max(1.0) / count)
    };
    let ((usual, one), (now, other)) = (part(before), part(after));
    (now - usual) / (one + other).sqrt().max(LEAST_SPREAD / (after.len() as f64).sqrt())
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The mean less the largest values, so that a hiccup of the baseline is not its measure.
pub(super) fn usual(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let kept = sorted.len() - (sorted.len() as f64 * CUT).ceil() as usize;
    mean(&sorted[..kept.max(1).min(sorted.len())])
}

fn failed_share(part: &Part<'_>) -> f64 {
    let chosen = part.requests.list.iter().zip(&part.chosen).filter(|(_, chosen)| **chosen);
    chosen.filter(|(request, _)| request.failed).count() as f64 / part.len().max(1) as f64
}
