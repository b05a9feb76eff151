//! Closed seconds to datums: pure, and never over a limit.
//!
//! 1. What is emitted stands in the table [`metrics`], each metric for the kinds
//!    of tier it is of, and only if it is known: unknown is not zero.
//! 2. At a resolution of 60 seconds, seconds are added up to minutes by the clock; a minute is emitted
//!    when the first second after it closes, or at the end. At 1 second each second is emitted.
//! 3. Counts are sums. Latencies are distributions (see `latency`). Figures that stand, such
//!    as a depth, are one sample a second and part, told as count, sum, least and greatest.
//! 4. Series are counted against a ceiling, first come first served; a tier that finds no room is added
//!    to the tier `other`, of the service `other`, with the metrics that can be added up. A tier that
//!    was silent for an hour gives its room back: CloudWatch asks money by the hour.

use std::collections::{BTreeMap, BTreeSet};

use tiertop_core::snapshot::{ClosedSecondView, ClosedTierView, SeriesView, SignalKind};
use tiertop_core::tier::TierKind;

use super::datum::{Datum, Dimension, Figures, StatisticSet};
use super::latency::Latency;
use crate::ship::metrics::{self, ENVIRONMENT, MetricRow, NO_ENVIRONMENT, OF_OTHER, OTHER, SERVICE, Subject, TIER};

/// The ceiling of series, unless told otherwise: 150 US dollars a month at list price.
pub const SERIES_CEILING: u64 = 500;
/// The least ceiling: what the system and "other" take.
pub const LEAST_CEILING: u64 = 5;
/// Room of a tier that was silent for so long is given back.
const ROOM_KEPT_S: u64 = 3_600;

/// How datums are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Seconds that a datum covers: 1 or 60.
    pub resolution_s: u32,
    /// The dimension "Environment", instead of what telemetry says.
    pub environment: Option<String>,
    /// Most series.
    pub series_ceiling: u64,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self { resolution_s: 60, environment: None, series_ceiling: SERIES_CEILING }
    }
}

/// Whose figures: the values of the dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    environment: String,
    /// Tier and service, or nothing for the system.
    tier: Option<(String, String)>,
}

/// What is known of one place in the present period.
#[derive(Clone, Debug, Default)]
struct Period {
    sums: BTreeMap<&'static str, f64>,
    standing: BTreeMap<&'static str, StatisticSet>,
    latency: Latency,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Encoder {
    options: EncoderOptions,
    /// The start of the present period.
    start: Option<u64>,
    present: BTreeMap<Place, Period>,
    /// Places with room: how many series each takes, and the second in which it was last heard of.
    room: BTreeMap<Place, (u64, u64)>,
    folded: BTreeSet<Place>,
    /// Datums left out because a figure is none that CloudWatch takes.
    out_of_range: u64,
}

impl Encoder {
    /// An encoder that has seen nothing.
    pub fn new(options: EncoderOptions) -> Self {
        Self {
            options,
            start: None,
            present: BTreeMap::new(),
            room: BTreeMap::new(),
            folded: BTreeSet::new(),
            out_of_range: 0,
        }
    }

    /// Takes in a closed second; returns the datums of the period that it ended, if it did.
    pub fn take(&mut self, environment: &str, second: &ClosedSecondView) -> Vec<Datum> {
        let resolution = u64::from(self.options.resolution_s);
        let start = second.unix_s - second.unix_s % resolution;
        let mut ready = if self.start.is_some_and(|present| present != start) { self.finish() } else { Vec::new() };
        self.start = Some(start);
        self.add(environment, second);
        if resolution == 1 {
            ready.extend(self.finish());
        }
        ready
    }

    /// Ends the present period, whole or not, and returns its datums.
    pub fn finish(&mut self) -> Vec<Datum> {
        let Some(start) = self.start.take() else { return Vec::new() };
        let places = std::mem::take(&mut self.present);
        let made: Vec<Datum> = places.iter().flat_map(|(place, period)| self.datums(start, place, period)).collect();
        let (fit, misfit): (Vec<Datum>, Vec<Datum>) = made.into_iter().partition(Datum::is_in_range);
        self.out_of_range += misfit.len() as u64;
        self.room.retain(|_, (_, heard)| *heard + ROOM_KEPT_S > start);
        fit
    }

    /// The series in use.
    pub fn series(&self) -> SeriesView {
        SeriesView { used: self.used(), ceiling: self.options.series_ceiling, folded_tiers: self.folded.len() as u64 }
    }

    /// Datums left out so far because a figure is none that CloudWatch takes.
    pub fn out_of_range(&self) -> u64 {
        self.out_of_range
    }

    fn used(&self) -> u64 {
        self.room.values().map(|(series, _)| series).sum()
    }

    fn add(&mut self, environment: &str, second: &ClosedSecondView) {
        let environment = self.options.environment.as_deref().unwrap_or(environment);
        let environment = if environment.trim().is_empty() { NO_ENVIRONMENT } else { environment };
        let system = Place { environment: environment.to_owned(), tier: None };
        let other = Place { tier: Some((OTHER.to_owned(), OTHER.to_owned())), ..system.clone() };
        // Room for what must never be missing is taken first.
        let system_has_room = self.find_room(&system, 2, second.unix_s);
        let other_has_room = self.find_room(&other, OF_OTHER.len() as u64, second.unix_s);
        // Of a system of which nothing is seen, nothing is known.
        if system_has_room && !second.tiers.is_empty() {
            let period = self.present.entry(system.clone()).or_default();
            if let Some(phase) = second.phase {
                period.stands(metrics::PHASE, f64::from(phase.number()));
            }
            if let Some(open) = second.incidents_open {
                period.stands(metrics::OPEN_INCIDENTS, open as f64);
            }
        }
        for tier in &second.tiers {
            let place = Place { tier: Some((tier.kind.name().to_owned(), tier.member.clone())), ..system.clone() };
            let series = metrics::metrics_of(tier.kind).count() as u64;
            if self.find_room(&place, series, second.unix_s) {
                self.folded.remove(&place);
                self.present.entry(place).or_default().add(tier);
            } else {
                self.folded.insert(place);
                if other_has_room {
                    self.present.entry(other.clone()).or_default().add(tier);
                }
            }
        }
    }

    /// Whether a place has room for its series, or finds it now.
    fn find_room(&mut self, place: &Place, series: u64, second: u64) -> bool {
        if let Some((_, heard)) = self.room.get_mut(place) {
            *heard = second;
            return true;
        }
        let fits = self.used() + series <= self.options.series_ceiling;
        if fits {
            self.room.insert(place.clone(), (series, second));
        }
        fits
    }

    fn datums(&self, start: u64, place: &Place, period: &Period) -> Vec<Datum> {
        let dimensions = place.dimensions();
        let has = |row: &&MetricRow| match &place.tier {
            None => row.of == Subject::System,
            Some((kind, _)) if kind == OTHER => OF_OTHER.contains(&row.name),
            Some((kind, _)) => TierKind::from_name(kind).is_some_and(|kind| row.of.includes(kind)),
        };
        let datum = |row: &MetricRow| {
            Some(Datum {
                metric_name: row.name.to_owned(),
                dimensions: dimensions.clone(),
                timestamp: start,
                unit: row.unit.name().to_owned(),
                storage_resolution: self.options.resolution_s,
                figures: period.figures(row.name)?,
            })
        };
        metrics::METRICS.iter().filter(has).filter_map(datum).collect()
    }
}

impl Place {
    fn dimensions(&self) -> Vec<Dimension> {
        let mut dimensions = vec![Dimension::new(ENVIRONMENT, &self.environment)];
        if let Some((tier, service)) = &self.tier {
            dimensions.extend([Dimension::new(TIER, tier), Dimension::new(SERVICE, service)]);
        }
        dimensions
    }
}

impl Period {
    fn add(&mut self, tier: &ClosedTierView) {
        let sums = [(metrics::REQUESTS, tier.requests), (metrics::ERRORS, tier.errors)];
        for (name, count) in sums.into_iter().filter_map(|(name, count)| Some((name, count?))) {
            *self.sums.entry(name).or_default() += count as f64;
        }
        if let Some(latency) = &tier.latency {
            self.latency.add(latency);
        }
        if let Some(named) = tier.is_bottleneck {
            self.stands(metrics::BOTTLENECK, f64::from(u8::from(named)));
        }
        if let Some(in_flight) = tier.in_flight {
            self.stands(metrics::IN_FLIGHT, in_flight);
        }
        for signal in &tier.signals {
            match signal.kind {
                SignalKind::CacheHitRatio => self.stands(metrics::CACHE_HIT_RATE, signal.value * 100.0),
                SignalKind::ReplicaLagSeconds => self.stands(metrics::REPLICA_LAG, signal.value),
                SignalKind::QueueDepth => self.stands(metrics::QUEUE_DEPTH, signal.value),
                SignalKind::QueueOldestAgeSeconds => self.stands(metrics::QUEUE_OLDEST_AGE, signal.value),
                SignalKind::PoolPending => self.stands(metrics::POOL_PENDING, signal.value),
                SignalKind::PoolUsed => {
                    let of_same_pool = |other: &&tiertop_core::snapshot::ClosedSignalView| {
                        other.kind == SignalKind::PoolMax && other.part == signal.part && other.value > 0.0
                    };
                    if let Some(max) = tier.signals.iter().find(of_same_pool) {
                        self.stands(metrics::POOL_UTILISATION, signal.value / max.value * 100.0);
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds one sample of a figure that stands.
    fn stands(&mut self, name: &'static str, value: f64) {
        let none = StatisticSet { sample_count: 0.0, sum: 0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY };
        let samples = self.standing.entry(name).or_insert(none);
        samples.sample_count += 1.0;
        samples.sum += value;
        samples.minimum = samples.minimum.min(value);
        samples.maximum = samples.maximum.max(value);
    }

    fn figures(&self, name: &str) -> Option<Figures> {
        if name == metrics::LATENCY {
            return self.latency.figures();
        }
        if let Some(&value) = self.sums.get(name) {
            return Some(Figures::One { value });
        }
        let statistic_values = *self.standing.get(name)?;
        if statistic_values.sample_count > 1.0 {
            Some(Figures::Statistics { statistic_values })
        } else {
            Some(Figures::One { value: statistic_values.sum })
        }
    }
}

#[cfg(test)]
mod tests;
