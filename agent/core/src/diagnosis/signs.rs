//! Which signs are seen of a tier: what tells one class of faults from another.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Comparison, Pair, Part, Seen, Share, Spot};
use super::cover::Covered;
use super::signals::Signals;
use super::table::Sign;
use crate::classify::{Act, PeerClass};
use crate::engine::naming::TierName;
use crate::tier::TierKind;
use crate::traces::{Key, Place, Traces};

/// Requests under which their number says nothing of the load: a capture may be a sample.
const COUNTED: usize = 200;

/// An operation stands out that is slower by so many times what the next one is.
const STANDS_OUT: f64 = 4.0;

/// Writes that wait take so many times longer than the reads behind them.
const MUCH_SLOWER: f64 = 2.0;

/// Visits under which one instance may get them all by chance.
const SHARED_OUT: f64 = 12.0;

/// So many times the usual requests are a spike.
const MORE: f64 = 1.8;

/// Why it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Something of a running system is not as usual: what is named wakes somebody.
    ByAlarm,
    /// Somebody asks, and has a reason: what is certain is told though it is small.
    BySomebody,
}

/// What there is to look at.
pub(super) struct Scene<'a> {
    pub(super) asked: Asked,
    pub(super) traces: &'a Traces,
    pub(super) tiers: &'a [TierName],
    pub(super) before: &'a Part<'a>,
    pub(super) after: &'a Part<'a>,
    /// The requests that are in trouble, compared.
    pub(super) comparison: &'a Comparison,
    /// All requests compared, so that what is well can be seen beside what is not.
    pub(super) wide: &'a Comparison,
    pub(super) signals: (&'a Signals, &'a Signals),
    /// Requests a second at the front, before and now, where they were counted.
    pub(super) load: Option<(f64, f64)>,
}

/// What a tier was found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symptom {
    /// It takes longer.
    Slower,
    /// It fails.
    Failing,
}

/// The signs of a tier that was charged with time or failures.
pub(super) fn signs(scene: &Scene<'_>, covered: Covered, symptom: Symptom) -> BTreeSet<Sign> {
    let tier = covered.tier;
    let own: Vec<&Pair> = scene.wide.pairs.iter().filter(|pair| pair.spot == Spot::At(tier)).collect();
    let known: Vec<&Pair> =
        own.iter().copied().filter(|pair| pair.before.charged_ms.len().min(pair.after.charged_ms.len()) >= 3).collect();
    let slower = symptom == Symptom::Slower;
    let counted =
        |pairs: &mut dyn Iterator<Item = &&Pair>| pairs.map(|pair| pair.after.charged_ms.len()).sum::<usize>();
    let slow_share = counted(&mut known.iter().filter(|pair| pair.slower)) as f64 / counted(&mut known.iter()) as f64;
    let slow_count = known.iter().filter(|pair| pair.slower).count();
    let instances = Instances::of(&own, symptom);
    let seen = [
        (Sign::Slower, slower),
        (Sign::Failing, !slower),
        (Sign::InTheGap, covered.in_gaps >= 0.7 * covered.score),
        (Sign::OwnWork, covered.in_gaps <= 0.4 * covered.score),
        (Sign::EveryOperation, slow_share >= 0.7),
        (Sign::OneOperation, (slow_count == 1 && known.len() > 1 && slow_share < 0.7) || one_stands_out(&known)),
        (Sign::WritesOnly, writes_only(&own, symptom)),
        (Sign::OneInstance, instances.one_is_worse()),
        (Sign::NewVersion, instances.only_new_versions(scene.traces)),
        (Sign::CpuBusy, busy(scene, tier) == Some(true)),
        (Sign::CpuFree, busy(scene, tier) == Some(false)),
        (Sign::WritesMost, slower && writes_most(&own)),
        (Sign::NowAndThen, slower && now_and_then(scene, tier, &instances)),
        (Sign::MoreRequests, more_requests(scene)),
        (Sign::CacheMisses, cache_misses(scene).is_some()),
        (Sign::PoolWaits, pool_waits(scene, tier)),
        (Sign::ZoneGone, zone_gone(scene, &own).is_some()),
        (Sign::OneCarriesAll, instances.one_carries_all()),
    ];
    seen.into_iter().filter(|(_, is_seen)| *is_seen).map(|(sign, _)| sign).collect()
}

/// Whether requests wait for a connection, and not because the database is slower.
fn pool_waits(scene: &Scene<'_>, tier: usize) -> bool {
    let is_slow_database = matches!(scene.tiers[tier].kind, TierKind::DbPrimary | TierKind::DbReplica)
        && (scene.wide.pairs.iter().any(|pair| pair.spot == Spot::At(tier) && pair.slower)
            || busy(scene, tier) == Some(true));
    scene.signals.1.pool_waits(scene.signals.0).is_some() && !is_slow_database
}

/// Whether one kind of visits is slower by far more than any other: what waits behind it is slower too.
fn one_stands_out(known: &[&Pair]) -> bool {
    let mut times: Vec<f64> = known.iter().map(|pair| pair.mean_ms / pair.usual_ms.max(0.05)).collect();
    times.sort_unstable_by(|one, other| other.total_cmp(one));
    matches!(times[..], [most, next, ..] if most >= STANDS_OUT * next.max(1.0))
}

fn writes_only(own: &[&Pair], symptom: Symptom) -> bool {
    let shifted = |pair: &&&Pair| match symptom {
        Symptom::Slower => pair.slower,
        Symptom::Failing => pair.failures > 0.0,
    };
    let of_act = |act: Act| own.iter().filter(move |pair| pair.act == Some(act) && pair.after.charged_ms.len() >= 3);
    let writes_shift = of_act(Act::Write).any(|pair| shifted(&pair));
    if of_act(Act::Read).count() == 0 {
        // Nobody reads there: some writes then wait long, and others not at all, as behind a lock.
        return writes_shift && symptom == Symptom::Slower && some_as_ever(of_act(Act::Write));
    }
    writes_shift && !of_act(Act::Read).any(|pair| shifted(&pair))
}

/// Whether a part of the slower visits is as quick as half of them ever were.
fn some_as_ever<'p>(slower: impl Iterator<Item = &'p &'p Pair>) -> bool {
    let (mut quick, mut all) = (0, 0);
    for pair in slower.filter(|pair| pair.slower) {
        let mut before = pair.before.charged_ms.clone();
        before.sort_unstable_by(f64::total_cmp);
        let middle = before.get(before.len() / 2).copied().unwrap_or_default();
        quick += pair.after.charged_ms.iter().filter(|took| **took <= middle * 1.1).count();
        all += pair.after.charged_ms.len();
    }
    quick as f64 >= 0.08 * all as f64 && quick >= 1
}

/// Whether writes are slower by far more than reads are.
fn writes_most(own: &[&Pair]) -> bool {
    let times = |act: Act| {
        let shifted = own.iter().filter(|pair| pair.act == Some(act) && pair.slower);
        shifted.map(|pair| pair.mean_ms / pair.usual_ms.max(0.05)).fold(0.0, f64::max)
    };
    times(Act::Write) >= MUCH_SLOWER * times(Act::Read).max(1.0)
}

/// Whether the tier's processors are busy, and busier than they were, or are free; `None` where nothing tells.
pub(super) fn busy(scene: &Scene<'_>, tier: usize) -> Option<bool> {
    let id = format!("{}/{}", scene.tiers[tier].kind, scene.tiers[tier].member);
    scene.signals.1.busier(scene.signals.0, &id)
}

/// Most visits are as fast as ever, and so is most of the way to them; some are much slower. Where one instance is
/// worse, it is its visits that are looked at.
fn now_and_then(scene: &Scene<'_>, tier: usize, instances: &Instances) -> bool {
    let is_there = |spot: Spot| spot == Spot::At(tier) || matches!(spot, Spot::Gap(_, to) if to == tier);
    let slow: Vec<&Pair> = scene.wide.pairs.iter().filter(|pair| is_there(pair.spot) && pair.slower).collect();
    let worse = instances.worse().next().filter(|_| instances.one_is_worse());
    let median = |seen: &Seen, of: Option<u32>| {
        let visits = seen.charged_ms.iter().zip(&seen.processes);
        let own = visits.filter(|(_, process)| of.is_none_or(|of| **process == of));
        let mut sorted: Vec<f64> = own.map(|(charged_ms, _)| *charged_ms).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let as_ever = |pair: &&Pair| {
        let of = worse.filter(|_| pair.spot == Spot::At(tier));
        median(&pair.after, of) < 1.3 * median(&pair.before, None) + 0.05
    };
    slow.iter().any(|pair| pair.spot == Spot::At(tier)) && slow.iter().all(as_ever)
}

/// Whether much more comes in, by the clock.
fn more_requests(scene: &Scene<'_>) -> bool {
    if let Some((before, after)) = scene.load {
        return before > 0.0 && after >= MORE * before;
    }
    let rate = |part: &Part<'_>| {
        let chosen = part.requests.list.iter().zip(&part.chosen).filter(|(_, chosen)| **chosen);
        let starts: Vec<u64> = chosen.map(|(request, _)| request.start.0).collect();
        let (first, last) = (starts.iter().min().unwrap_or(&0), starts.iter().max().unwrap_or(&0));
        starts.len() as f64 / ((last - first) as f64 / 1e9).max(1.0)
    };
    let (before, after) = (scene.before, scene.after);
    before.len() >= COUNTED && after.len() >= COUNTED && rate(after) >= MORE * rate(before)
}

/// Store reads for each cache read, in requests that ask a cache, before and now, if they became more.
pub(super) fn cache_misses(scene: &Scene<'_>) -> Option<(f64, f64)> {
    let (before, after) = (lookups(scene.traces, scene.before), lookups(scene.traces, scene.after));
    let per_lookup = |(cache, stores): (usize, usize)| stores as f64 / cache as f64;
    let more = after.1 as f64 > 1.5 * per_lookup(before) * after.0 as f64 + 5.0;
    (before.0 > 0 && after.0 > 0 && more).then(|| (per_lookup(before), per_lookup(after)))
}

/// Reads of caches, and of stores in the same requests.
fn lookups(traces: &Traces, part: &Part<'_>) -> (usize, usize) {
    let (mut cache, mut stores) = (0, 0);
    for request in part.requests.visits.chunk_by(|one, other| one.request == other.request) {
        if !part.chosen[request[0].request as usize] {
            continue;
        }
        let reads = |of: fn(PeerClass) -> bool| {
            let classes = request.iter().filter_map(|visit| match part.requests.keys[visit.key as usize] {
                Key { place: Place::At(party), act: Some(Act::Read), .. } => traces.peer_class(party),
                _ => None,
            });
            classes.filter(|class| of(*class)).count()
        };
        let of_cache = reads(|class| class == PeerClass::Cache);
        if of_cache > 0 {
            cache += of_cache;
            stores += reads(|class| matches!(class, PeerClass::Database | PeerClass::Nosql | PeerClass::ObjectStore));
        }
    }
    (cache, stores)
}

/// A zone in which the tier worked before and does not now.
pub(super) fn zone_gone<'t>(scene: &Scene<'t>, own: &[&Pair]) -> Option<&'t str> {
    let zones = |side: fn(&Pair) -> &BTreeMap<u32, Share>| {
        let mut visits: BTreeMap<&str, usize> = BTreeMap::new();
        for (process, share) in own.iter().filter(|pair| pair.act.is_none()).flat_map(|pair| side(pair)) {
            if let Some(zone) = scene.traces.process(*process).zone.as_deref() {
                *visits.entry(zone).or_default() += share.visits;
            }
        }
        visits
    };
    let (before, after) = (zones(|pair| &pair.before.by_process), zones(|pair| &pair.after.by_process));
    let all: usize = before.values().sum();
    let is_gone = |(zone, visits): &(&&str, &usize)| **visits * 10 >= all && !after.contains_key(**zone);
    if after.is_empty() { None } else { before.iter().find(is_gone).map(|(zone, _)| *zone) }
}

/// How the instances of a tier compare.
struct Instances {
    /// Process, how it does against what is usual, and its share of the visits now.
    now: Vec<(u32, f64, f64)>,
    before: BTreeMap<u32, f64>,
    /// Visits now.
    visits: f64,
    bound: f64,
}

impl Instances {
    fn of(own: &[&Pair], symptom: Symptom) -> Self {
        let mut sums: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
        let (mut before, mut total): (BTreeMap<u32, f64>, f64) = (BTreeMap::new(), 0.0);
        // The visits of a store are told of by its callers, whose processes are not its instances.
        for pair in own.iter().filter(|pair| pair.act.is_none()) {
            for (process, share) in &pair.after.by_process {
                let sum = sums.entry(*process).or_default();
                let visits = share.visits as f64;
                sum.0 += visits;
                sum.1 += if symptom == Symptom::Slower { share.charged_ms } else { share.failed as f64 };
                sum.2 += if symptom == Symptom::Slower { visits * pair.usual_ms } else { visits };
                total += visits;
            }
            for (process, share) in &pair.before.by_process {
                *before.entry(*process).or_default() += share.visits as f64;
            }
        }
        let now = sums.into_iter().filter(|(_, sum)| sum.0 >= 3.0);
        let now = now.map(|(process, sum)| (process, sum.1 / sum.2.max(1e-6), sum.0 / total)).collect();
        Self { now, before, visits: total, bound: if symptom == Symptom::Slower { 1.3 } else { 0.02 } }
    }

    /// Those that do badly where others do not, or all if all do.
    fn worse(&self) -> impl Iterator<Item = u32> {
        let least = self.now.iter().map(|(_, times, _)| *times).fold(f64::INFINITY, f64::min);
        let most = self.now.iter().map(|(_, times, _)| *times).fold(0.0, f64::max);
        let bound = if least < self.bound { self.bound.max(f64::midpoint(least, most)) } else { self.bound };
        self.now.iter().filter(move |(_, times, _)| *times >= bound).map(|(process, ..)| *process)
    }

    fn one_is_worse(&self) -> bool {
        self.now.len() > 1 && self.worse().count() == 1
    }

    fn only_new_versions(&self, traces: &Traces) -> bool {
        let version = |process: u32| traces.process(process).version.as_deref();
        let known: BTreeSet<&str> = self.before.keys().filter_map(|process| version(*process)).collect();
        let mut worse = self.worse().peekable();
        !known.is_empty()
            && worse.peek().is_some()
            && worse.all(|process| version(process).is_some_and(|version| !known.contains(version)))
    }

    fn one_carries_all(&self) -> bool {
        let total: f64 = self.before.values().sum();
        let shared = self.before.values().filter(|visits| **visits >= 0.15 * total).count() > 1;
        self.visits >= SHARED_OUT && shared && self.now.iter().any(|(_, _, share)| *share >= 0.85)
    }
}
