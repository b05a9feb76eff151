//! Signals: figures other than rate, errors and latency, as metrics report them.
//!
//! A report says *whose* figure it is only loosely: by an address, by a queue's name, by being sent
//! from the process itself. Which tier that is, is looked up when reading, because the tier may be
//! discovered later than its first report.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::processes::ProcessId;
use crate::catalogue::About;
use crate::observation::{AttributeValue, Resource};
use crate::snapshot::{SignalKind, TREND_SECONDS};
use crate::time::{NANOS_PER_SECOND, UnixNanos, UnixSecond};

/// Reports kept of each signal: an hour at one a second.
const REPORTS_KEPT: usize = 3600;
/// Reports that are left of each signal when memory is short.
const REPORTS_KEPT_WHEN_SHORT: usize = 120;
/// A signal that was not reported for so long is dropped.
const FORGOTTEN_AFTER_S: f64 = 600.0;
/// Hits and misses of the last so many seconds make a hit rate.
const HIT_WINDOW_S: f64 = 10.0;
/// Reports of the last so many seconds make a slope ...
const SLOPE_WINDOW_S: f64 = 10.0;
/// ... but always so many intervals of them.
const SLOPE_INTERVALS: f64 = 3.5;

/// Whose figure a report is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) about: About,
    pub(crate) process: ProcessId,
    /// Host of the watched server; empty when not said.
    pub(crate) address: Box<str>,
    /// Its port; 0 when not said.
    pub(crate) port: u16,
    /// Queue, database or cluster; empty when not said.
    pub(crate) name: Box<str>,
}

/// Attributes that name a queue, a database or a cluster, best first.
const NAMES: [&str; 15] = [
    "messaging.destination.name",
    "messaging.destination",
    "queue.name",
    "queue",
    "rabbitmq.queue.name",
    "topic",
    "Dimensions.QueueName",
    "QueueName",
    "Dimensions.CacheClusterId",
    "CacheClusterId",
    "Dimensions.DBInstanceIdentifier",
    "DBInstanceIdentifier",
    "replication_client",
    "db.namespace",
    "postgresql.database.name",
];

/// Attributes that give the watched server's address, best first.
const ADDRESSES: [&str; 5] =
    ["server.address", "redis.server.address", "mysql.instance.endpoint", "net.peer.name", "net.host.name"];

impl Subject {
    /// Reads from a point's attributes, then from its resource's, whose figure it is.
    pub(crate) fn of(
        about: About,
        process: ProcessId,
        resource: &Resource,
        attributes: &[(Box<str>, AttributeValue)],
    ) -> Self {
        let nobody = Self { about, process, address: "".into(), port: 0, name: "".into() };
        if matches!(about, About::Sender | About::Host) {
            return nobody;
        }
        let find = |key: &str| {
            let given = attributes.iter().chain(&resource.attributes).find(|(name, _)| &**name == key);
            given.map(|(_, value)| value)
        };
        let text = |keys: &[&str]| keys.iter().find_map(|key| find(key).and_then(AttributeValue::as_text));
        let (host, port) = address(find).unwrap_or_default();
        Self { address: host.into(), port, name: text(&NAMES).unwrap_or_default().into(), ..nobody }
    }
}

impl Resource {
    /// The server that a process with this resource watches, or the host that it runs on; the port is 0 when not said.
    pub(crate) fn watches(&self) -> Option<(&str, u16)> {
        let find = |key: &str| self.attributes.iter().find(|(name, _)| &**name == key).map(|(_, value)| value);
        address(find).or_else(|| Some((find("host.name")?.as_text()?, 0)))
    }
}

/// The address that attributes give, and its port, 0 when not said.
fn address<'a>(find: impl Fn(&str) -> Option<&'a AttributeValue>) -> Option<(&'a str, u16)> {
    let given = ADDRESSES.iter().find_map(|key| find(key).and_then(AttributeValue::as_text))?;
    let (host, port_in_text) = split_port(given);
    let port = ["server.port", "redis.server.port", "net.peer.port"]
        .iter()
        .find_map(|key| find(key).and_then(AttributeValue::as_integer))
        .and_then(|port| u16::try_from(port).ok())
        .or(port_in_text)
        .unwrap_or_default();
    Some((host, port))
}

/// Splits `host:port`; an IPv6 address without a port stays whole.
fn split_port(address: &str) -> (&str, Option<u16>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (address, None),
        },
        _ => (address, None),
    }
}

/// What names a signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignalKey {
    pub(crate) kind: SignalKind,
    pub(crate) subject: Subject,
    pub(crate) part: Box<str>,
}

/// The reports of one signal.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// The metric it comes from.
    pub(crate) source: &'static str,
    reports: VecDeque<(UnixNanos, f64)>,
}

/// Hits and misses of one subject, from which a rate is made.
#[derive(Clone, Debug, Default)]
struct HitCounts {
    source: &'static str,
    /// When, hits, misses.
    counts: VecDeque<(UnixNanos, f64, f64)>,
    fresh: bool,
}

/// All signals.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    tracks: HashMap<SignalKey, Track, FixedState>,
    hits: HashMap<Subject, HitCounts, FixedState>,
    /// Reports of signals over the limit.
    pub(crate) refused: u64,
}

impl Signals {
    /// Takes note of a report.
    pub(crate) fn report(&mut self, key: SignalKey, time: UnixNanos, value: f64, source: &'static str, limit: usize) {
        if !value.is_finite() {
            return;
        }
        if !self.tracks.contains_key(&key) && self.tracks.len() >= limit {
            self.refused += 1;
            return;
        }
        self.tracks.entry(key).or_insert_with(|| Track::new(source)).push(time, value);
    }

    /// Takes note of hits, or of misses, counted up to `time`.
    pub(crate) fn lookups(
        &mut self,
        subject: Subject,
        time: UnixNanos,
        count: f64,
        hit: bool,
        source: &'static str,
        limit: usize,
    ) {
        if !self.hits.contains_key(&subject) && self.hits.len() >= limit {
            self.refused += 1;
            return;
        }
        let hits = self.hits.entry(subject).or_default();
        let (hit_count, miss_count) = if hit { (count, 0.0) } else { (0.0, count) };
        match hits.counts.back_mut() {
            Some((last, hits, misses)) if *last == time => {
                *hits += hit_count;
                *misses += miss_count;
            }
            _ => hits.counts.push_back((time, hit_count, miss_count)),
        }
        if hit || hits.source.is_empty() {
            hits.source = source;
        }
        hits.fresh = true;
    }

    /// Makes hit rates of what was counted, and forgets what is no longer reported.
    pub(crate) fn tick(&mut self, now: UnixNanos, limit: usize) {
        let mut rates = Vec::new();
        for (subject, hits) in &mut self.hits {
            while hits.counts.len() > 2
                && hits.counts.front().is_some_and(|(time, ..)| now.seconds_since(*time) > 6.0 * HIT_WINDOW_S)
            {
                hits.counts.pop_front();
            }
            if std::mem::take(&mut hits.fresh)
                && let Some((latest, ..)) = hits.counts.back().copied()
            {
                let (found, missed) = hits
                    .counts
                    .iter()
                    .filter(|(time, ..)| latest.seconds_since(*time) < HIT_WINDOW_S)
                    .fold((0.0, 0.0), |sum, (_, found, missed)| (sum.0 + found, sum.1 + missed));
                if found + missed > 0.0 {
                    rates.push((subject.clone(), latest, found / (found + missed), hits.source));
                }
            }
        }
        for (subject, time, rate, source) in rates {
            let key = SignalKey { kind: SignalKind::CacheHitRatio, subject, part: "".into() };
            self.report(key, time, rate, source, limit);
        }
        self.tracks.retain(|_, track| track.age_s(now).is_some_and(|age| age < FORGOTTEN_AFTER_S));
        self.hits.retain(|_, hits| {
            hits.counts.back().is_some_and(|(time, ..)| now.seconds_since(*time) < FORGOTTEN_AFTER_S)
        });
    }

    /// Forgets the signals of processes that are gone.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(ProcessId) -> bool) {
        self.tracks.retain(|key, _| !is_gone(key.subject.process));
        self.hits.retain(|subject, _| !is_gone(subject.process));
    }

    /// Gives up all but the last minutes of reports. Returns how many went.
    pub(crate) fn shed(&mut self) -> u64 {
        self.tracks.values_mut().map(Track::shed).sum()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&SignalKey, &Track)> {
        self.tracks.iter()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let track = |track: &Track| track.heap_bytes() + size_of::<Track>() + 128;
        self.tracks.values().map(track).sum::<usize>()
            + self.hits.values().map(|hits| hits.counts.capacity() * 24 + 128).sum::<usize>()
    }
}

impl Track {
    pub(crate) fn new(source: &'static str) -> Self {
        Self { source, reports: VecDeque::new() }
    }

    /// Takes note of a report; one that is not newer than the last is left out.
    pub(crate) fn push(&mut self, time: UnixNanos, value: f64) {
        if self.reports.back().is_some_and(|(last, _)| *last >= time) {
            return;
        }
        self.reports.push_back((time, value));
        if self.reports.len() > REPORTS_KEPT {
            self.reports.pop_front();
        }
    }

    fn shed(&mut self) -> u64 {
        let old = self.reports.len().saturating_sub(REPORTS_KEPT_WHEN_SHORT);
        self.reports.drain(..old);
        self.reports.shrink_to_fit();
        old as u64
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.reports.capacity() * size_of::<(UnixNanos, f64)>()
    }

    /// The latest value.
    pub(crate) fn value(&self) -> Option<f64> {
        self.reports.back().map(|(_, value)| *value)
    }

    /// Seconds since the latest report.
    pub(crate) fn age_s(&self, now: UnixNanos) -> Option<f64> {
        self.reports.back().map(|(time, _)| now.seconds_since(*time))
    }

    /// Change per second of late: least squares over at least three reports that span at least 4 s.
    pub(crate) fn slope_per_second(&self) -> Option<f64> {
        let (latest, _) = *self.reports.back()?;
        let window = SLOPE_WINDOW_S.max(SLOPE_INTERVALS * self.interval_s() as f64);
        let recent = self.reports.iter().rev().take_while(|(time, _)| latest.seconds_since(*time) <= window);
        let points: Vec<(f64, f64)> = recent.map(|(time, value)| (-latest.seconds_since(*time), *value)).collect();
        slope(&points)
    }

    /// The last minute up to `now`, one value a second, each report held until the next, but no longer
    /// than twice the usual interval.
    pub(crate) fn trend(&self, now: UnixSecond) -> Vec<Option<f32>> {
        let hold = 2 * self.interval_s().max(2) + 1;
        let first = now.minus(TREND_SECONDS as u64 - 1);
        let mut reports = self.reports.iter().peekable();
        let mut last: Option<(UnixSecond, f64)> = None;
        (0..TREND_SECONDS as u64)
            .map(|step| {
                let second = first.plus(step);
                while let Some((time, value)) = reports.next_if(|(time, _)| time.second() <= second) {
                    last = Some((time.second(), *value));
                }
                last.filter(|(at, _)| at.plus(hold) >= second).map(|(_, value)| value as f32)
            })
            .collect()
    }

    /// Seconds between the last reports, rounded up.
    pub(crate) fn interval_s(&self) -> u64 {
        let mut newest_first = self.reports.iter().rev().map(|(time, _)| *time);
        let (Some(last), Some(before)) = (newest_first.next(), newest_first.next()) else { return 60 };
        last.nanos_since(before).div_ceil(NANOS_PER_SECOND)
    }
}

/// The slope of a line through points (seconds, value), or `None` if they are too few or too close.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let span = points.iter().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max)
        - points.iter().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    if points.len() < 3 || span < 4.0 {
        return None;
    }
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(reports: &[(u64, f64)]) -> Track {
        let reports = reports.iter().map(|(second, value)| (UnixNanos::from_seconds(*second), *value)).collect();
        Track { source: "x", reports }
    }

    #[test]
    fn a_lag_that_grows_by_the_second_has_a_slope_of_one() {
        let growing = track(&[(100, 1.0), (105, 6.0), (110, 11.0), (115, 16.0)]);
        assert!((growing.slope_per_second().unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(track(&[(100, 1.0), (105, 6.0)]).slope_per_second(), None, "two reports are no trend");
    }

    #[test]
    fn a_report_is_held_until_the_next_but_not_for_ever() {
        let trend = track(&[(100, 1.0), (110, 2.0)]).trend(UnixSecond(150));
        // The trend is of seconds 91 ..= 150; the interval is 10 s, so the last report is held for 21 s.
        assert_eq!((trend[8], trend[9], trend[18], trend[19]), (None, Some(1.0), Some(1.0), Some(2.0)));
        assert_eq!((trend[40], trend[41]), (Some(2.0), None));
    }

    #[test]
    fn hits_and_misses_make_a_rate_over_the_last_seconds() {
        let mut signals = Signals::default();
        let subject =
            Subject { about: About::Cache, process: ProcessId(0), address: "c".into(), port: 1, name: "".into() };
        let at = UnixNanos::from_seconds(100);
        signals.lookups(subject.clone(), at, 90.0, true, "cache.hits", 100);
        signals.lookups(subject, at, 10.0, false, "cache.misses", 100);
        signals.tick(UnixNanos::from_seconds(101), 100);
        let (_, rate) = signals.all().next().unwrap();
        assert_eq!(rate.value(), Some(0.9));
    }

    #[test]
    fn an_address_is_read_with_its_port_wherever_it_stands() {
        assert_eq!(split_port("db1:5432"), ("db1", Some(5432)));
        assert_eq!(split_port("db1"), ("db1", None));
        assert_eq!(split_port("::1"), ("::1", None));
        assert_eq!(split_port("[::1]:5432"), ("[::1]", Some(5432)));
    }
}
