//! The gate: which routes take longer or fail more than usual, request by request.
//!
//! For each route four sums run (CUSUM): of how far the logarithms of its durations are above their mean,
//! in standard deviations; of how many durations are beyond what 95 in 100 stayed under; and of failures, as
//! if a few more failed, and as if half of all did.
//! Each request adds or takes away, a second in all at most [`SECOND`] times, so that one bad second is not
//! an alarm; a sum over [`ALARM`] is one. Routes with few requests are as well served as busy ones: both
//! need about as much that is out of the ordinary, however long that takes to come in. The gate says *that*
//! something is wrong; whether it matters, and where it is, is judged by comparing (see `compare`).

use std::collections::{BTreeMap, BTreeSet};

use crate::time::{UnixNanos, UnixSecond};
use crate::traces::{Flow, OperationId, Place, Request, Requests};

/// Most that one second adds to a sum or takes from it.
const SECOND: f64 = 4.0;
/// A sum from which on a route is not as usual.
const ALARM: f64 = 13.0;
/// No sum grows beyond this, so that recovery is seen in time.
const MOST: f64 = 1.5 * ALARM;
/// A sum under which an alarm is over.
const CALM: f64 = 0.25 * ALARM;
/// What a request may be off, in standard deviations, and still not count.
const SLACK: f64 = 0.6;
/// What an ordinary request takes at least from a sum that is an alarm.
const RECOVERY: f64 = 3.0;
/// Least standard deviation of logarithms that is believed.
const LEAST_SPREAD: f64 = 0.15;
/// The same where few requests came.
const LEAST_SPREAD_OF_FEW: f64 = 0.35;
/// Requests of a route without which nothing is usual.
const ENOUGH: usize = 6;
/// Requests from which on their spread is known well.
const MANY: usize = 20;
/// Added before taking logarithms: 50 microseconds.
const FLOOR_MS: f64 = 0.05;
/// A route of which nothing comes for so long is not judged by what it did.
const FORGOTTEN_S: u64 = 60;

/// What was asked for, and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    flow: Flow,
    place: Place,
    operation: OperationId,
}

impl Route {
    /// The route of a request.
    pub(super) fn of(requests: &Requests, request: &Request) -> Self {
        let key = requests.keys[request.key as usize];
        Self { flow: request.flow, place: key.place, operation: key.operation }
    }
}

/// What is usual for a route.
#[derive(Clone, Copy, Debug)]
struct Usual {
    median: f64,
    mean: f64,
    spread: f64,
    /// A logarithm that few durations are beyond, and the share of those that are.
    rarely: (f64, f64),
    /// Share of requests that fail.
    failed: f64,
}

/// A running sum.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    /// When it last rose from nothing.
    since: UnixNanos,
    alarmed: bool,
}

#[derive(Clone, Debug, Default)]
struct Track {
    usual: Option<Usual>,
    /// Durations, rare durations, a few failures, many failures.
    sums: [Sum; 4],
    last_seen: UnixSecond,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Gate {
    tracks: BTreeMap<Route, Track>,
    /// All requests of a flow taken together: what is spread over many routes.
    whole: BTreeMap<Flow, Track>,
}

/// What is not as usual.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm {
    pub(super) flow: Flow,
    /// The routes; `None` for all of the flow.
    pub(super) routes: Option<BTreeSet<Route>>,
    /// When the first of them began to be unusual.
    pub(super) since: UnixNanos,
}

impl Alarm {
    /// Whether it is about a route.
    pub(super) fn has(&self, route: Route) -> bool {
        route.flow == self.flow && self.routes.as_ref().is_none_or(|routes| routes.contains(&route))
    }
}

impl Gate {
    /// Learns what is usual. Routes that are in alarm keep their measure.
    pub(super) fn learn(&mut self, baseline: &Requests) {
        let mut routes: BTreeMap<Route, Vec<&Request>> = BTreeMap::new();
        for request in &baseline.list {
            routes.entry(Route::of(baseline, request)).or_default().push(request);
        }
        for (route, requests) in routes {
            let track = self.tracks.entry(route).or_default();
            if requests.len() >= ENOUGH && !track.is_alarmed() {
                track.usual = Some(Usual::of(&requests));
            }
        }
    }

    /// Takes in the requests of one second.
    pub(super) fn take(&mut self, requests: &Requests, now: UnixSecond) {
        let mut seconds: BTreeMap<Route, Second> = BTreeMap::new();
        let mut whole: BTreeMap<Flow, Second> = BTreeMap::new();
        for request in &requests.list {
            let route = Route::of(requests, request);
            let track = self.tracks.entry(route).or_default();
            track.last_seen = now;
            let Some(usual) = track.usual else { continue };
            let steps = usual.steps(request);
            seconds.entry(route).or_default().add(request.start, steps);
            whole.entry(request.flow).or_default().add(request.start, steps);
        }
        for (route, second) in &seconds {
            self.tracks.entry(*route).or_default().step(second);
        }
        for (flow, second) in &whole {
            let track = self.whole.entry(*flow).or_default();
            track.last_seen = now;
            track.step(second);
        }
        for track in self.tracks.values_mut().chain(self.whole.values_mut()) {
            if now.0.saturating_sub(track.last_seen.0) >= FORGOTTEN_S {
                track.sums = [Sum::default(); 4];
            }
        }
        self.tracks.retain(|_, track| now.0.saturating_sub(track.last_seen.0) < 10 * FORGOTTEN_S);
    }

    /// What is in alarm in a flow.
    pub(super) fn alarm(&self, flow: Flow) -> Option<Alarm> {
        let of_flow = || self.tracks.iter().filter(move |(route, _)| route.flow == flow);
        let alarmed = || of_flow().filter(|(_, track)| track.is_alarmed());
        if let Some(since) = alarmed().filter_map(|(_, track)| track.since()).min() {
            // What is half way there is likely in it as well.
            let near = of_flow().filter(|(_, track)| track.sums.iter().any(|sum| sum.value >= ALARM / 2.0));
            let routes = near.chain(alarmed()).map(|(route, _)| *route).collect();
            return Some(Alarm { flow, routes: Some(routes), since });
        }
        let whole = self.whole.get(&flow).filter(|track| track.is_alarmed())?;
        Some(Alarm { flow, routes: None, since: whole.since()? })
    }
}

impl Track {
    fn is_alarmed(&self) -> bool {
        self.sums.iter().any(|sum| sum.alarmed)
    }

    /// When what is in alarm began.
    fn since(&self) -> Option<UnixNanos> {
        self.sums.iter().filter(|sum| sum.alarmed).map(|sum| sum.since).min()
    }

    fn step(&mut self, second: &Second) {
        for (sum, step) in self.sums.iter_mut().zip(second.steps) {
            let mut step = step;
            if sum.alarmed && step < 0.0 {
                step = step.min(-RECOVERY * second.count);
            }
            if sum.value <= 0.0 {
                sum.since = second.first;
            }
            sum.value = (sum.value + step.clamp(-SECOND, SECOND)).clamp(0.0, MOST);
            sum.alarmed = sum.value >= if sum.alarmed { CALM } else { ALARM };
        }
    }
}

/// What the requests of a second add.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    steps: [f64; 4],
    count: f64,
    first: UnixNanos,
}

impl Second {
    fn add(&mut self, start: UnixNanos, steps: [f64; 4]) {
        self.first = if self.count == 0.0 { start } else { self.first.min(start) };
        self.count += 1.0;
        for (sum, step) in self.steps.iter_mut().zip(steps) {
            *sum += step;
        }
    }
}

fn logarithm(request: &Request) -> f64 {
    (request.nanos as f64 / 1e6 + FLOOR_MS).ln()
}

impl Usual {
    fn of(requests: &[&Request]) -> Self {
        let mut logs: Vec<f64> = requests.iter().map(|request| logarithm(request)).collect();
        logs.sort_unstable_by(f64::total_cmp);
        let median = logs[logs.len() / 2];
        let off: Vec<f64> = logs.iter().map(|log| (log - median).clamp(-2.0, 3.0)).collect();
        let count = off.len() as f64;
        let mean = off.iter().sum::<f64>() / count;
        let variance = off.iter().map(|off| (off - mean).powi(2)).sum::<f64>() / count;
        let failed = requests.iter().filter(|request| request.failed).count() as f64;
        // Of few requests the greatest one is no bound: what is rare is taken to be less so.
        let rarely = logs[logs.len() * 95 / 100] + 0.05;
        let beyond = logs.iter().filter(|log| **log > rarely).count() as f64;
        Self {
            median,
            mean,
            spread: variance.sqrt().max(if logs.len() < MANY { LEAST_SPREAD_OF_FEW } else { LEAST_SPREAD }),
            rarely: (rarely, ((beyond + 2.0) / (count + 2.0)).max(0.03)),
            failed: ((failed + 0.5) / (count + 1.0)).clamp(0.01, 0.5),
        }
    }

    fn steps(&self, request: &Request) -> [f64; 4] {
        let log = logarithm(request);
        let off = ((log - self.median).clamp(-2.0, 3.0) - self.mean) / self.spread;
        let (bound, share) = self.rarely;
        [
            off.clamp(-2.0, 4.0) - SLACK,
            likelihood(log > bound, share, (2.5 * share).min(0.9)),
            likelihood(request.failed, self.failed, (self.failed + 0.08).min(0.9)),
            likelihood(request.failed, self.failed, (self.failed + 0.5).min(0.9)),
        ]
    }
}

/// The logarithm of how much likelier an outcome is with the raised share than with the usual one.
fn likelihood(happened: bool, usual: f64, raised: f64) -> f64 {
    if happened { (raised / usual).ln() } else { ((1.0 - raised) / (1.0 - usual)).ln() }
}
