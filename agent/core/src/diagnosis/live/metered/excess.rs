//! Own excess of each tier: what it takes longer, less what those that it calls do.

use std::collections::{BTreeMap, BTreeSet};

use super::Key;
use super::windows::{Series, Sum, Windows};
use crate::classify::{Act, Peer, PeerClass};
use crate::engine::naming::{Party, TierName};
use crate::verdict::TierRef;

/// Windows with calls, and calls in them, without which nothing is usual.
const ENOUGH: (usize, f64) = (3, 10.0);
/// So many times the usual calls for each request are more calls.
const MORE_CALLS: f64 = 1.4;
/// Least deviation that is believed, as a share of what the requests at the front usually take.
const LEAST_SPREAD: f64 = 0.05;
/// Operations that are told of.
const TOLD: usize = 3;

/// What a tier does that it usually does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symptom {
    Slower,
    Failing,
}

/// One kind of calls: whose, by whom, and how it went.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) tier: usize,
    pub(super) asked_by: Option<usize>,
    pub(super) operation: Box<str>,
    pub(super) act: Option<Act>,
    pub(super) now: Sum,
    past: Vec<Sum>,
    /// Milliseconds that one usually takes, and the share that usually fails; `None` if too few were seen.
    pub(super) usual: Option<(f64, f64)>,
}

/// One window's figures of a tier.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// Milliseconds more than usual, without those of others.
    ms: f64,
    /// Part of these between its callers and it.
    gap_ms: f64,
    /// Part of these for calls that are more than usual.
    more_ms: f64,
    failed: f64,
    /// Requests at the front above it.
    requests: f64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Costs {
    pub(super) tiers: Vec<TierName>,
    pub(super) calls: Vec<Calls>,
    now: Vec<Own>,
    past: Vec<Vec<Own>>,
    /// Milliseconds that the requests above a tier usually take, in this window.
    base_ms: Vec<f64>,
    /// Milliseconds that these take longer, and how many more of them fail.
    above: Vec<(f64, f64)>,
}

impl Calls {
    /// Milliseconds by which the calls of a window are over what is usual.
    fn excess_ms(&self, sum: Sum) -> f64 {
        self.usual.map_or(0.0, |(usual_ms, _)| sum.ms - usual_ms * sum.count)
    }

    fn failures(&self, sum: Sum) -> f64 {
        // What was never seen before and fails is more failures.
        sum.failed - self.usual.map_or(0.0, |(_, failed)| failed * sum.count)
    }

    /// Whether one takes longer by so much that it shows in the class.
    pub(super) fn is_slower(&self) -> bool {
        self.usual.is_some_and(|(usual_ms, _)| self.now.count > 0.0 && self.now.ms / self.now.count >= 1.3 * usual_ms)
    }
}

impl Costs {
    pub(super) fn of(series: &BTreeMap<Key, Series>, windows: &Windows, names: &BTreeMap<Party, TierName>) -> Self {
        let mut costs = Self::default();
        costs.read(series, windows, names);
        let callers = costs.callers();
        let roots: Vec<Vec<usize>> = (0..costs.tiers.len()).map(|tier| costs.roots(tier, &callers)).collect();
        let ratios = costs.usual_ratios(windows.usual.len());
        costs.now = costs.own(&roots, &ratios, |calls| calls.now);
        costs.past =
            (0..windows.usual.len()).map(|place| costs.own(&roots, &ratios, |calls| calls.past[place])).collect();
        let served = |roots: &[usize], figure: fn(&Calls) -> f64| -> f64 {
            let of_roots = costs.calls.iter().filter(|calls| calls.asked_by.is_none() && roots.contains(&calls.tier));
            of_roots.map(figure).sum()
        };
        let usual_ms = |calls: &Calls| calls.usual.map_or(0.0, |(usual_ms, _)| usual_ms * calls.now.count);
        costs.base_ms = roots.iter().map(|roots| served(roots, usual_ms)).collect();
        costs.above = roots
            .iter()
            .map(|roots| {
                (served(roots, |calls| calls.excess_ms(calls.now)), served(roots, |calls| calls.failures(calls.now)))
            })
            .collect();
        costs
    }

    fn read(&mut self, series: &BTreeMap<Key, Series>, windows: &Windows, names: &BTreeMap<Party, TierName>) {
        let servers: BTreeSet<&Party> =
            series.keys().filter(|key| key.asked_by.is_none()).map(|key| &key.who).collect();
        for (key, series) in series {
            let who = servers.iter().find(|server| answers(server, &key.who)).copied().unwrap_or(&key.who);
            let tier = self.tier(crate::diagnosis::name(who, names));
            let asked_by = key.asked_by.as_ref().map(|caller| self.tier(crate::diagnosis::name(caller, names)));
            if asked_by == Some(tier) {
                continue;
            }
            let now = series.within(windows.now);
            let past: Vec<Sum> = windows.usual.iter().map(|window| series.within(*window)).collect();
            let usual = usual(&past);
            let operation = key.operation.clone();
            self.calls.push(Calls { tier, asked_by, operation, act: series.act, now, past, usual });
        }
    }

    fn tier(&mut self, name: TierName) -> usize {
        self.tiers.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.tiers.push(name);
            self.tiers.len() - 1
        })
    }

    fn callers(&self) -> BTreeSet<(usize, usize)> {
        self.calls.iter().filter_map(|calls| Some((calls.asked_by?, calls.tier))).collect()
    }

    /// The tiers at the front above a tier: those that serve and that nobody calls.
    fn roots(&self, tier: usize, callers: &BTreeSet<(usize, usize)>) -> Vec<usize> {
        let (mut seen, mut open) = (BTreeSet::from([tier]), vec![tier]);
        while let Some(at) = open.pop() {
            let above = callers.iter().filter(|(_, to)| *to == at).map(|(from, _)| *from);
            open.extend(above.filter(|from| seen.insert(*from)));
        }
        let is_root = |tier: &usize| self.serves(*tier) && callers.iter().all(|(_, to)| to != tier);
        let roots: Vec<usize> = seen.iter().copied().filter(is_root).collect();
        // A ring of callers has no front: then each is its own.
        if roots.is_empty() { vec![tier] } else { roots }
    }

    fn serves(&self, tier: usize) -> bool {
        self.calls.iter().any(|calls| calls.tier == tier && calls.asked_by.is_none())
    }

    /// Calls that a tier makes to another for each request that it takes, usually.
    fn usual_ratios(&self, windows: usize) -> BTreeMap<(usize, usize), f64> {
        let ratio = |(from, to): (usize, usize), place: usize| {
            let (mut made, mut taken) = (0.0, 0.0);
            for calls in &self.calls {
                if calls.asked_by == Some(from) && calls.tier == to {
                    made += calls.past[place].count;
                } else if calls.asked_by.is_none() && calls.tier == from {
                    taken += calls.past[place].count;
                }
            }
            (taken > 0.0).then(|| made / taken)
        };
        let pairs = self.callers().into_iter();
        pairs.filter_map(|pair| Some((pair, median((0..windows).filter_map(|place| ratio(pair, place)))?))).collect()
    }

    /// The figures of all tiers in one window.
    fn own(
        &self,
        roots: &[Vec<usize>],
        ratios: &BTreeMap<(usize, usize), f64>,
        sum: impl Fn(&Calls) -> Sum,
    ) -> Vec<Own> {
        let count = self.tiers.len();
        let (mut served, mut excess, mut failures) = (vec![0.0; count], vec![0.0; count], vec![0.0; count]);
        // By caller and callee: calls, excess, failures.
        let mut called: BTreeMap<(usize, usize), (Sum, f64, f64)> = BTreeMap::new();
        for calls in &self.calls {
            let now = sum(calls);
            if let Some(caller) = calls.asked_by {
                let pair = called.entry((caller, calls.tier)).or_default();
                pair.0.add(now);
                pair.1 += calls.excess_ms(now);
                pair.2 += calls.failures(now);
            } else {
                served[calls.tier] += now.count;
                excess[calls.tier] += calls.excess_ms(now);
                failures[calls.tier] += calls.failures(now);
            }
        }
        let mut own: Vec<Own> = (0..count)
            .map(|tier| Own {
                ms: excess[tier],
                failed: failures[tier],
                requests: roots[tier].iter().map(|root| served[*root]).sum(),
                ..Own::default()
            })
            .collect();
        let taken_of: Vec<f64> = (0..count)
            .map(|tier| called.iter().filter(|((_, to), _)| *to == tier).map(|(_, (sum, ..))| sum.count).sum())
            .collect();
        for ((from, to), (made, longer_ms, failed)) in called {
            let usually = ratios.get(&(from, to)).map_or(0.0, |ratio| ratio * served[from]);
            let is_more = usually > 0.0 && made.count >= MORE_CALLS * usually && made.count >= usually + 10.0;
            let each_ms = (made.ms - longer_ms) / made.count.max(1.0);
            let more_ms = if is_more { (made.count - usually) * each_ms } else { 0.0 };
            own[from].ms -= longer_ms + more_ms;
            own[from].failed -= failed;
            own[to].more_ms += more_ms;
            if self.serves(to) {
                // What its callers measure beyond what it says itself is lost on the way to it.
                let share = made.count / taken_of[to].max(1.0);
                let gap_ms = (longer_ms - excess[to] * share).max(0.0);
                own[to].ms += gap_ms + more_ms;
                own[to].gap_ms += gap_ms;
                own[to].failed += (failed - failures[to] * share).max(0.0);
            } else {
                own[to].ms += longer_ms + more_ms;
                own[to].failed += failed;
            }
        }
        own
    }

    /// Requests at the front above a tier in the newest window.
    pub(super) fn requests(&self, tier: usize) -> f64 {
        self.now[tier].requests
    }

    /// How much it matters at the front: a share of the usual time, or of the requests.
    pub(super) fn effect(&self, tier: usize, symptom: Symptom) -> Option<f64> {
        let own = self.now[tier];
        let (part, whole) = match symptom {
            Symptom::Slower => (own.ms, self.base_ms[tier]),
            Symptom::Failing => (own.failed.min(self.above[tier].1), own.requests),
        };
        (whole > 0.0).then(|| part / whole)
    }

    /// Whether it is beyond so many robust deviations of its own past.
    pub(super) fn is_far(&self, tier: usize, symptom: Symptom, far: f64) -> bool {
        let each = |own: &Own| {
            let figure = if symptom == Symptom::Slower { own.ms } else { own.failed };
            (own.requests > 0.0).then(|| figure / own.requests)
        };
        let (Some(now), Some(middle)) =
            (each(&self.now[tier]), median(self.past.iter().filter_map(|own| each(&own[tier]))))
        else {
            return false;
        };
        let apart = median(self.past.iter().filter_map(|own| Some((each(&own[tier])? - middle).abs())));
        let requests = self.now[tier].requests.max(1.0);
        let floor = match symptom {
            Symptom::Slower => LEAST_SPREAD * self.base_ms[tier] / requests,
            // So few failures may be chance.
            Symptom::Failing => 1.0 / requests,
        };
        (now - middle) / (1.4826 * apart.unwrap_or_default()).max(floor) > far
    }

    /// The share of what is wrong at the front that a tier accounts for.
    pub(super) fn explained(&self, tier: usize, symptom: Symptom) -> f64 {
        let own = self.now[tier];
        let (part, whole) = match symptom {
            Symptom::Slower => (own.ms, self.above[tier].0),
            Symptom::Failing => (own.failed, self.above[tier].1),
        };
        if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// All tiers with any own excess, most first.
    pub(super) fn ranked(&self, symptom: Symptom) -> Vec<usize> {
        let mut ranked: Vec<usize> =
            (0..self.tiers.len()).filter(|tier| self.explained(*tier, symptom) > 0.0).collect();
        ranked.sort_by(|one, other| self.explained(*other, symptom).total_cmp(&self.explained(*one, symptom)));
        ranked
    }

    /// Share of a tier's own excess that lies between its callers and it.
    pub(super) fn gap_share(&self, tier: usize) -> f64 {
        self.now[tier].gap_ms / self.now[tier].ms.max(1e-9)
    }

    /// Share of a tier's own excess that is for calls that are more than usual.
    pub(super) fn more_share(&self, tier: usize) -> f64 {
        self.now[tier].more_ms / self.now[tier].ms.max(1e-9)
    }

    /// How many times the usual requests come in at the front above a tier.
    pub(super) fn times_the_load(&self, tier: usize) -> Option<f64> {
        let usual = median(self.past.iter().map(|own| own[tier].requests)).filter(|usual| *usual > 0.0)?;
        Some(self.now[tier].requests / usual)
    }

    /// What was measured, in words.
    pub(super) fn evidence(&self, tier: usize, symptom: Symptom) -> Vec<String> {
        let own = self.now[tier];
        let requests = own.requests.max(1.0);
        let mut lines = vec![match symptom {
            Symptom::Slower => format!(
                "requests take {:.0} ms more than the usual {:.0} ms; {:.0} ms of it is here",
                self.above[tier].0 / requests,
                self.base_ms[tier] / requests,
                own.ms / requests,
            ),
            Symptom::Failing => {
                format!(
                    "{:.1} more failures than usual begin here for each 100 requests",
                    own.failed / requests * 100.0
                )
            }
        }];
        let weight = |calls: &Calls| match symptom {
            Symptom::Slower => calls.excess_ms(calls.now),
            Symptom::Failing => calls.failures(calls.now),
        };
        let mut own: Vec<&Calls> =
            self.calls.iter().filter(|calls| calls.tier == tier && weight(calls) > 0.0).collect();
        own.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
        lines.extend(own.into_iter().take(TOLD).map(|calls| {
            let whom = calls.asked_by.map(|caller| format!(" from {}", TierRef::from(&self.tiers[caller]).id));
            let (what, count) = (format!("{}{}", calls.operation, whom.unwrap_or_default()), calls.now.count);
            match symptom {
                Symptom::Failing => format!("{what}: {:.0} of {count:.0} fail", calls.now.failed),
                Symptom::Slower => format!(
                    "{what}: {:.1} ms in each of {count:.0}, usually {:.1} ms",
                    calls.now.ms / count.max(1.0),
                    calls.usual.map_or(0.0, |(usual_ms, _)| usual_ms),
                ),
            }
        }));
        lines
    }
}

/// What a call usually takes, and the share that usually fails.
fn usual(past: &[Sum]) -> Option<(f64, f64)> {
    let mut all = Sum::default();
    for sum in past {
        all.add(*sum);
    }
    let with_calls = past.iter().filter(|sum| sum.count > 0.0);
    if with_calls.clone().count() < ENOUGH.0 || all.count < ENOUGH.1 {
        return None;
    }
    Some((median(with_calls.map(|sum| sum.ms / sum.count))?, all.failed / all.count))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Whether a service is the one that was called at a peer's address: by the first part of its host name.
fn answers(server: &Party, called: &Party) -> bool {
    match (server, called) {
        (Party::Service { name, .. }, Party::Peer(Peer { class: PeerClass::Service, name: said, address, .. })) => {
            let host = address.split('.').next().unwrap_or_default();
            !name.is_empty() && (**name == **said || **name == *host)
        }
        _ => server == called,
    }
}
