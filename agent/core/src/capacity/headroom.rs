//! How busy each tier is, and the load at which it is full.
//!
//! What is busy is smoothed over the last half minute, and so is the load. Only reported figures count:
//! CPU in use over CPU there is, workers busy and connections in use over those there may be. Of several,
//! the busiest speaks for the tier.

use std::collections::{BTreeMap, VecDeque};

use crate::snapshot::{HeadroomView, SignalKind, SignalView, Snapshot, TierView};
use crate::tier::TierKind;

/// Milliseconds over which utilisation and load are smoothed.
const SMOOTHED_OVER_MS: u64 = 30_000;
/// Readings that it takes to name the load at which a tier is full.
const ENOUGH_READINGS: usize = 10;
/// Utilisation below which what an idle process does would be taken for the cost of requests.
pub(super) const LEAST_UTILISATION: f64 = 0.05;
/// Requests a second below which the same holds.
const LEAST_LOAD: f64 = 1.0;

/// What of a tier can be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Processors.
    Cpu,
    /// Requests that a service takes on at once, as a thread pool or a governor of its own limits them.
    Workers,
    /// Connections of a pool.
    Connections,
}

/// What is measured: a tier, a gauge of it, and the pool's name where it is one of connections.
type Subject = (String, Gauge, String);

/// Readings of the last half minute.
#[derive(Debug, Default)]
pub(super) struct Headroom {
    tracks: BTreeMap<Subject, Track>,
}

#[derive(Debug, Default)]
struct Track {
    readings: VecDeque<Reading>,
    /// What the last reading was told from.
    source: String,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at_ms: u64,
    utilisation: f64,
    load: Option<f64>,
}

/// How busy a tier is, and by which gauge.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) view: HeadroomView,
    pub(super) gauge: Option<Gauge>,
}

/// How busy a tier is by one of its gauges.
#[derive(Clone, Debug)]
struct Busy {
    utilisation: f64,
    full_at: Option<f64>,
    gauge: Gauge,
    source: String,
}

impl Headroom {
    /// Takes note of what a snapshot reports as busy, under so much load.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, load: Option<f64>) {
        let at_ms = snapshot.at_unix_ms;
        let all = processors(&snapshot.signals)
            .chain(limited(&snapshot.signals, Gauge::Workers))
            .chain(limited(&snapshot.signals, Gauge::Connections));
        for (subject, (utilisation, source)) in all {
            let track = self.tracks.entry(subject).or_default();
            track.readings.push_back(Reading { at_ms, utilisation, load });
            track.source = source;
        }
        for track in self.tracks.values_mut() {
            while track.readings.front().is_some_and(|reading| reading.at_ms + SMOOTHED_OVER_MS <= at_ms) {
                track.readings.pop_front();
            }
        }
        self.tracks.retain(|_, track| !track.readings.is_empty());
    }

    /// Every tier but those of others, the busiest first, unknown ones last.
    pub(super) fn rows(&self, tiers: &[TierView]) -> Vec<Row> {
        let ours = tiers.iter().filter(|tier| tier.kind != TierKind::External);
        let mut rows: Vec<Row> = ours
            .map(|tier| {
                let busy = self.busiest(&tier.id);
                let source = busy.as_ref().map_or(what_to_send(tier.kind), |busy| &busy.source).to_owned();
                let view = HeadroomView {
                    tier: tier.id.clone(),
                    utilisation: busy.as_ref().map(|busy| busy.utilisation),
                    source,
                    full_at_requests_per_second: busy.as_ref().and_then(|busy| busy.full_at),
                };
                Row { view, gauge: busy.map(|busy| busy.gauge) }
            })
            .collect();
        let order = |row: &Row| row.view.utilisation.unwrap_or(-1.0);
        rows.sort_by(|one, other| order(other).total_cmp(&order(one)));
        rows
    }

    fn busiest(&self, tier: &str) -> Option<Busy> {
        let first = (tier.to_owned(), Gauge::Cpu, String::new());
        let of_tier = self.tracks.range(first..).take_while(|((id, ..), _)| id == tier);
        let all = of_tier.map(|((_, gauge, _), track)| track.busy(*gauge));
        all.max_by(|one, other| one.utilisation.total_cmp(&other.utilisation))
    }
}

impl Track {
    fn busy(&self, gauge: Gauge) -> Busy {
        let utilisation = mean(self.readings.iter().map(|reading| reading.utilisation)).unwrap_or_default();
        let loaded: Vec<(f64, f64)> =
            self.readings.iter().filter_map(|reading| Some((reading.utilisation, reading.load?))).collect();
        let full_at = mean(loaded.iter().map(|(busy, _)| *busy))
            .zip(mean(loaded.iter().map(|(_, load)| *load)))
            .filter(|_| loaded.len() >= ENOUGH_READINGS)
            .filter(|(busy, load)| *busy >= LEAST_UTILISATION && *load >= LEAST_LOAD)
            .map(|(busy, load)| load / busy);
        Busy { utilisation, full_at, gauge, source: self.source.clone() }
    }
}

/// The CPU of each tier: the mean of its instances, since load is spread over them.
fn processors(signals: &[SignalView]) -> impl Iterator<Item = (Subject, (f64, String))> {
    let mut by_tier: BTreeMap<&str, (Vec<f64>, &str)> = BTreeMap::new();
    for signal in signals.iter().filter(|signal| signal.kind == SignalKind::CpuRatio && !signal.tier.is_empty()) {
        if let Some(value) = signal.value {
            let (values, source) = by_tier.entry(&signal.tier).or_default();
            values.push(value);
            *source = &signal.source;
        }
    }
    by_tier.into_iter().filter_map(|(tier, (values, source))| {
        let busy = mean(values.iter().copied())?;
        let greatest = values.iter().copied().fold(0.0, f64::max);
        let source = match values.len() {
            1 => format!("CPU ({source})"),
            count => format!("CPU of {count} instances, the busiest {:.0} % ({source})", greatest * 100.0),
        };
        Some(((tier.to_owned(), Gauge::Cpu, String::new()), (busy, source)))
    })
}

/// What is in use of a limited number: workers, and the connections of each pool, over all instances.
fn limited(signals: &[SignalView], gauge: Gauge) -> impl Iterator<Item = (Subject, (f64, String))> {
    let place = |kind: SignalKind| match (gauge, kind) {
        (Gauge::Workers, SignalKind::WorkersBusy) | (Gauge::Connections, SignalKind::PoolUsed) => Some(0),
        (Gauge::Workers, SignalKind::WorkersMax) | (Gauge::Connections, SignalKind::PoolMax) => Some(1),
        _ => None,
    };
    let mut by_part: BTreeMap<(&str, &str), [Option<f64>; 2]> = BTreeMap::new();
    for signal in signals.iter().filter(|signal| !signal.tier.is_empty()) {
        if let Some(place) = place(signal.kind) {
            by_part.entry((&signal.tier, &signal.part)).or_default()[place] = signal.value;
        }
    }
    let mut by_pool: BTreeMap<(&str, &str), (f64, f64)> = BTreeMap::new();
    for ((tier, part), [used, most]) in by_part {
        if let (Some(used), Some(most)) = (used, most.filter(|most| *most > 0.0)) {
            // A pool's part is an instance and the pool's name; that of workers an instance alone.
            let pool = if gauge == Gauge::Connections { part.rsplit(' ').next().unwrap_or_default() } else { "" };
            let sum = by_pool.entry((tier, pool)).or_default();
            *sum = (sum.0 + used, sum.1 + most);
        }
    }
    by_pool.into_iter().map(move |((tier, pool), (used, most))| {
        let source = match gauge {
            Gauge::Connections => format!("{used:.0} of {most:.0} connections in use, pool {pool}"),
            Gauge::Cpu | Gauge::Workers => format!("{used:.0} of {most:.0} workers busy"),
        };
        ((tier.to_owned(), gauge, pool.to_owned()), (used / most, source))
    })
}

/// What would have to be sent to know how busy a tier of this kind is.
fn what_to_send(kind: TierKind) -> &'static str {
    match kind {
        TierKind::Edge | TierKind::Lb | TierKind::Web | TierKind::App | TierKind::Worker => {
            "unknown: send process.cpu.utilization"
        }
        TierKind::Nosql | TierKind::ObjectStore | TierKind::Queue | TierKind::Warehouse | TierKind::External => {
            "unknown: a managed service tells no utilisation"
        }
        TierKind::Cache | TierKind::DbPrimary | TierKind::DbReplica => {
            "unknown: send system.cpu.utilization from its host"
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
