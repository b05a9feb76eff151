//! Faults that show in who is asked how much, while no request need be slow or fail: several times the
//! load, a replica that is not asked any more, a fleet far beyond the load, memory that fills.

use super::super::table::CLASSES;
use super::burners::Burning;
use super::levels::{Figure, Levels, instance_key};
use crate::snapshot::{SignalKind, Snapshot, TierView};
use crate::tier::TierKind;
use crate::time::UnixSecond;

/// Seconds in which it must show all the time.
const SHOWN_S: u64 = 8;
/// Requests a second under which times say little.
const LEAST_RATE: f64 = 2.0;
/// A replica with less than this share of what it usually takes is lost.
const LOST: f64 = 0.2;
/// A replica that is so far behind is left out of reading, not lost.
const LAG_S: f64 = 1.0;
/// So many times the usual calls to stores for each request come from misses.
const FALL_THROUGH: f64 = 1.4;
/// So many times the usual instances, by the load of each, are too many only if there are so many times the usual.
const GROWN: f64 = 1.5;
/// An instance that takes this share of its tier's requests, and so many times the usual share, carries too much.
const CARRIES: (f64, f64) = (0.8, 1.4);
/// Seconds in which it must.
const CARRIES_SHOWN_S: u64 = 15;
/// Seconds in which a fleet must be too large.
const FLEET_SHOWN_S: u64 = 30;
/// Seconds over which memory must rise.
const FILLING_S: u64 = 60;

/// Who takes the reads that a replica no longer takes.
const DATABASES: [TierKind; 2] = [TierKind::DbPrimary, TierKind::DbReplica];

/// What is usual, and now.
pub(super) struct Times<'s> {
    /// The seconds that were as usual, in order.
    pub(super) usual: &'s [UnixSecond],
    pub(super) now: UnixSecond,
}

/// What shows in the traffic.
pub(super) fn burning(snapshot: &Snapshot, levels: &Levels, times: &Times<'_>) -> Vec<Burning> {
    let watched = Watched { snapshot, levels, times };
    let spike = watched.spike();
    let mut found: Vec<Burning> = watched.lost_replicas().collect();
    if spike.is_none() {
        found.extend(watched.large_fleets());
    }
    found.extend(watched.uneven());
    found.extend(watched.filling());
    found.extend(spike);
    found
}

/// Whether more reads reach the databases for each request than usual: what a cache that misses lets through.
pub(super) fn reads_fall_through(snapshot: &Snapshot, levels: &Levels, times: &Times<'_>) -> bool {
    let watched = Watched { snapshot, levels, times };
    // Caches in the memory of instances that are new are empty.
    let has_grown = |tier: &TierView| {
        let usual = watched.usual(Figure::Instances, &tier.id)?;
        let (_, most) = watched.lately(Figure::Instances, &tier.id, FILLING_S)?;
        Some(matches!(tier.kind, TierKind::Web | TierKind::App) && most >= 1.5 * usual.max(1.0))
    };
    if snapshot.tiers.iter().any(|tier| has_grown(tier).unwrap_or_default()) {
        return false;
    }
    let stores = [TierKind::DbPrimary, TierKind::DbReplica, TierKind::Nosql, TierKind::ObjectStore];
    let tiers = || snapshot.tiers.iter().filter(|tier| stores.contains(&tier.kind));
    let usual: f64 = tiers().filter_map(|tier| watched.usual(Figure::Rate, &tier.id)).sum();
    let from = times.now.minus(SHOWN_S - 1);
    let now: f64 = tiers().filter_map(|tier| levels.mean(Figure::Rate, &tier.id, from, times.now)).sum();
    let (Some(usual_load), Some(load)) =
        (watched.usual(Figure::Rate, levels.front()), levels.mean(Figure::Rate, levels.front(), from, times.now))
    else {
        return false;
    };
    now / load.max(0.1) >= FALL_THROUGH * usual / usual_load.max(0.1)
}

struct Watched<'s> {
    snapshot: &'s Snapshot,
    levels: &'s Levels,
    times: &'s Times<'s>,
}

impl Watched<'_> {
    fn usual(&self, figure: Figure, name: &str) -> Option<f64> {
        self.levels.median(figure, name, self.times.usual)
    }

    /// The least and the most of a figure in the last seconds.
    fn lately(&self, figure: Figure, name: &str, seconds: u64) -> Option<(f64, f64)> {
        let now = self.times.now;
        let from = now.minus(seconds - 1);
        Some((self.levels.least(figure, name, from, now)?, self.levels.most(figure, name, from, now)?))
    }

    fn spike(&self) -> Option<Burning> {
        let usual = self.usual(Figure::Rate, self.levels.front())?;
        let (least, _) = self.lately(Figure::Rate, self.levels.front(), SHOWN_S)?;
        let tier =
            self.snapshot.tiers.iter().find(|tier| tier.kind == TierKind::App).or(self.snapshot.tiers.first())?;
        let line = format!("{least:.0} requests/s come in, usually {usual:.0}");
        // A system that hardly took requests so far is now in use, which is no spike.
        let least_spike = self.levels.bounds(tier).spike_times * usual.max(LEAST_RATE);
        (usual >= LEAST_RATE / 2.0 && least >= least_spike).then(|| self.fault("traffic-spike", tier, SHOWN_S, line))?
    }

    fn lost_replicas(&self) -> impl Iterator<Item = Burning> {
        let replicas = self.snapshot.tiers.iter().filter(|tier| tier.kind == TierKind::DbReplica);
        replicas.filter_map(|tier| {
            let load = self.usual(Figure::Rate, self.levels.front())?;
            let (front, _) = self.lately(Figure::Rate, self.levels.front(), SHOWN_S)?;
            let lags = self.lately(Figure::Signal(SignalKind::ReplicaLagSeconds), &tier.id, SHOWN_S);
            if front < 0.6 * load || lags.is_some_and(|(_, most)| most > LAG_S) {
                return None;
            }
            // Reads that are asked of nobody else either are not wanted.
            let databases = || self.snapshot.tiers.iter().filter(|tier| DATABASES.contains(&tier.kind));
            let usually: f64 = databases().filter_map(|tier| self.usual(Figure::Rate, &tier.id)).sum();
            let now: f64 = databases().filter_map(|tier| tier.requests_per_second).sum();
            if now < 0.6 * usually {
                return None;
            }
            let is_lost = |figure, name: &str| {
                let usual = self.usual(figure, name)?;
                let (_, most) = self.lately(figure, name, SHOWN_S)?;
                (usual >= LEAST_RATE / 2.0 && most < LOST * usual).then_some((usual, most))
            };
            if let Some((usual, most)) = is_lost(Figure::Rate, &tier.id) {
                let line = format!("takes {most:.1} reads/s, usually {usual:.1}, while requests come in as usual");
                return self.fault("replica-loss", tier, SHOWN_S, line);
            }
            let lost = tier.instances.iter().find_map(|instance| {
                let (usual, _) = is_lost(Figure::InstanceRate, &instance_key(&tier.id, &instance.name))?;
                Some(format!("{} takes no reads, usually {usual:.1}/s", instance.name))
            });
            self.fault("replica-loss", tier, SHOWN_S, lost?)
        })
    }

    fn large_fleets(&self) -> impl Iterator<Item = Burning> {
        let services = self.snapshot.tiers.iter().filter(|tier| matches!(tier.kind, TierKind::Web | TierKind::App));
        services.filter_map(|tier| {
            let (usual, load) = (self.usual(Figure::Instances, &tier.id)?, self.usual(Figure::Rate, &tier.id)?);
            let (least, _) = self.lately(Figure::Instances, &tier.id, FLEET_SHOWN_S)?;
            let (_, most) = self.lately(Figure::Rate, &tier.id, FLEET_SHOWN_S)?;
            let line = format!("{least:.0} instances, usually {usual:.0}, for {most:.0} requests/s, usually {load:.0}");
            let times = self.levels.bounds(tier).fleet_times;
            let is_large = usual >= 1.0 && least >= GROWN * usual && least * load >= times * usual * most;
            is_large.then(|| self.fault("over-provisioned", tier, FLEET_SHOWN_S, line))?
        })
    }

    /// The balancer in front of a tier of which one instance takes nearly all, while the others are there.
    fn uneven(&self) -> impl Iterator<Item = Burning> {
        let services = self.snapshot.tiers.iter().filter(|tier| matches!(tier.kind, TierKind::Web | TierKind::App));
        services.filter_map(|tier| {
            if tier.instances.len() < 2 || tier.instances.iter().any(|instance| instance.silent_for_s.is_some()) {
                return None;
            }
            let from = self.times.now.minus(CARRIES_SHOWN_S - 1);
            let lately = |name: &str| {
                self.levels.mean(Figure::InstanceRate, &instance_key(&tier.id, name), from, self.times.now)
            };
            let usual = |name: &str| self.usual(Figure::InstanceRate, &instance_key(&tier.id, name));
            let names = || tier.instances.iter().map(|instance| instance.name.as_str());
            let (all, usually) = (names().filter_map(lately).sum::<f64>(), names().filter_map(usual).sum::<f64>());
            if all < LEAST_RATE || names().any(|name| usual(name).is_none()) {
                return None;
            }
            let (share, times) = CARRIES;
            let shares = names().filter_map(|name| Some((name, lately(name)? / all, usual(name)? / usually.max(0.1))));
            let (name, now, before) = shares.max_by(|one, other| one.1.total_cmp(&other.1))?;
            let line = format!(
                "{name} takes {:.0} % of the requests, usually {:.0} %; {} others are there",
                now * 100.0,
                before * 100.0,
                tier.instances.len() - 1
            );
            let front = self.snapshot.tiers.iter().find(|tier| tier.kind == TierKind::Lb).unwrap_or(tier);
            let carries = now >= share && now >= times * before;
            carries.then(|| self.fault("uneven-balance", front, CARRIES_SHOWN_S, line))?
        })
    }

    fn filling(&self) -> impl Iterator<Item = Burning> {
        let seconds = FILLING_S;
        let kind = Figure::Signal(SignalKind::MemoryBytes);
        self.snapshot.tiers.iter().filter_map(move |tier| {
            let (now, share) = (self.times.now, self.levels.bounds(tier).memory_rise);
            let quarter = |place: u64| {
                let from = now.minus(seconds * (4 - place) / 4);
                self.levels.mean(kind, &tier.id, from, from.plus(seconds / 4 - 1))
            };
            let quarters = [quarter(0)?, quarter(1)?, quarter(2)?, quarter(3)?];
            let rises = quarters.windows(2).all(|pair| pair[1] > pair[0] * (1.0 + share / 8.0));
            let usual = self.usual(kind, &tier.id)?;
            let grown = quarters[3] - quarters[0];
            let line = format!(
                "{:.0} MB in use, usually {:.0} MB; {:.1} MB/s more for a minute",
                quarters[3] / 1e6,
                usual / 1e6,
                grown / 1e6 / (seconds as f64 * 0.75)
            );
            (rises && quarters[3] >= (1.0 + share) * usual).then(|| self.fault("memory-leak", tier, seconds, line))?
        })
    }

    fn fault(&self, class: &str, tier: &TierView, lasting_s: u64, line: String) -> Option<Burning> {
        let class = CLASSES.iter().find(|known| known.name == class)?;
        let since_ms = self.snapshot.at_unix_ms.saturating_sub(lasting_s * 1_000);
        Some(Burning::of_class(class, class.name, tier, since_ms, vec![line]))
    }
}
