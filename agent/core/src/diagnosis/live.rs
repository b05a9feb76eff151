//! The diagnosis of a running system, second by second.
//!
//! 1. Spans wait until their traces have settled, and become requests (see [`Traces::settle`]).
//! 2. The gate hears of each request, and says which routes are not as usual (`gate`).
//! 3. The requests of those routes, since they began to be unusual, are compared with the baseline: those of
//!    the last minutes, less the newest and less all incidents. What is found is judged as in a
//!    capture.
//! 4. Incidents open, change and end (`incidents`). While one is open the baseline stands still.
//! 5. Services that send no spans are judged by their histograms (`metered`).
//! 6. What answers nothing any more shows in no request: it is told by what is missing (`silence`).
//! 7. Warnings on what needs not show in any request, such as lag, become incidents too (`burners`).

mod burners;
mod gate;
mod incidents;
mod levels;
mod metered;
mod silence;
mod told;
mod traffic;
mod versions;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compare::{By, Part};
use super::rules::{self, Holding};
use super::signs::{Asked, Scene};
use super::{EXPLAINED, LEAST_REQUESTS, compare, tiers};
use crate::engine::naming::{Party, TierName};
use crate::observation::Batch;
use crate::snapshot::{DiagnosisState, DiagnosisView, LEARNING_SECONDS, Snapshot};
use crate::time::{UnixNanos, UnixSecond};
use crate::traces::{Capture, Flow, Key, Requests, Traces};
use crate::verdict::Verdict;
use burners::Burning;
use gate::{Alarm, Gate, Route};
use incidents::Incidents;
use levels::{Figure, Levels};
use metered::Metered;

pub(crate) use metered::Heard;

pub use told::Told;

/// The newest seconds, which a slow onset may already have spoilt.
const LEFT_OUT_S: u64 = 30;
/// Seconds without an incident that it takes to know what is usual.
const ENOUGH_S: u64 = LEARNING_SECONDS - LEFT_OUT_S;
/// How often the baseline is made anew while all is well.
const RELEARNED_S: u64 = 5;
/// Requests of the baseline: a uniform sample.
const BASELINE_REQUESTS: usize = 2_000;
/// Seconds of an incident that are compared, the newest.
const COMPARED_S: u64 = 20;
/// The same for routes of which few requests come.
const COMPARED_AT_MOST_S: u64 = 90;
/// Requests of routes in alarm without which nothing is compared.
const LEAST_COMPARED: usize = 5;
/// Milliseconds that work behind a queue, for which nobody waits, must take longer to be worth a word.
const LEAST_BEHIND_MS: f64 = 10.0;
/// Seconds in which [`LEAST_REQUESTS`] must come for the system to be judged.
const SEEN_S: u64 = 30;
/// Around an incident, seconds that are not usual either.
const MARGIN_S: u64 = 5;

/// See the module's text.
#[derive(Debug)]
pub struct Live {
    traces: Traces,
    trace_bytes: usize,
    most_shapes: usize,
    seconds: VecDeque<Settled>,
    baseline: Baseline,
    gate: Gate,
    levels: Levels,
    metered: Metered,
    incidents: Incidents,
    told: Told,
    holding: Holding,
}

/// The requests that settled in one second.
#[derive(Debug)]
struct Settled {
    at: UnixSecond,
    requests: Requests,
    /// An incident was open.
    troubled: bool,
}

/// What is usual.
#[derive(Debug, Default)]
struct Baseline {
    requests: Requests,
    /// The seconds that it is of, in order.
    seconds: Vec<UnixSecond>,
    made: UnixSecond,
}

/// What comparing found.
#[derive(Clone, Debug)]
struct Finding {
    flow: Flow,
    since: UnixNanos,
    usual_ms: f64,
    excess_ms: f64,
    failed_ratio: f64,
    verdict: Option<Verdict>,
    /// Share of the excess that is attributed to any tier.
    attributed: Option<f64>,
}

impl Live {
    /// A diagnosis that keeps so many bytes of spans and knows so many shapes.
    pub fn new(trace_bytes: usize, most_shapes: usize) -> Self {
        Self {
            traces: Traces::new(trace_bytes),
            trace_bytes,
            most_shapes,
            seconds: VecDeque::new(),
            baseline: Baseline::default(),
            gate: Gate::default(),
            levels: Levels::default(),
            metered: Metered::default(),
            incidents: Incidents::default(),
            told: Told::default(),
            holding: Holding::default(),
        }
    }

    /// The same by what a user told.
    #[must_use]
    pub fn told(self, told: Told) -> Self {
        Self { levels: Levels::new(&told), told, ..self }
    }

    /// Takes in the spans of a batch.
    pub fn take(&mut self, batch: &Batch) {
        self.traces.take(batch, Capture::Subject);
    }

    /// Takes in what a histogram of durations says.
    pub(crate) fn hear(&mut self, heard: &Heard) {
        self.metered.hear(heard);
    }

    /// Estimated bytes of what is kept.
    pub fn heap_bytes(&self) -> usize {
        let kept = self.seconds.iter().map(|second| &second.requests).chain([&self.baseline.requests]);
        self.traces.heap_bytes() + self.metered.heap_bytes() + kept.map(Requests::heap_bytes).sum::<usize>()
    }

    /// Gives up the older half of the seconds that are kept, down to those that are being compared; returns how many.
    pub fn shed(&mut self) -> u64 {
        let given_up = (self.seconds.len() / 2).min(self.seconds.len().saturating_sub(COMPARED_S as usize));
        self.seconds.drain(..given_up);
        self.seconds.shrink_to_fit();
        given_up as u64
    }

    /// Judges the second that has settled, and writes what is known of bottlenecks into the snapshot.
    /// `names` is asked for what parties are called only if something is wrong.
    pub fn judge(
        &mut self,
        snapshot: &mut Snapshot,
        settled: UnixNanos,
        names: impl FnOnce() -> BTreeMap<Party, TierName>,
    ) {
        let now = settled.second();
        self.levels.note(snapshot, now);
        let requests = self.traces.settle(settled);
        self.gate.take(&requests, now);
        let troubled = self.incidents.is_open();
        self.seconds.push_back(Settled { at: now, requests, troubled });
        while self.seconds.front().is_some_and(|oldest| oldest.at.plus(self.told.usual_s + LEFT_OUT_S) < now) {
            self.seconds.pop_front();
        }
        if self.traces.is_over(self.most_shapes) {
            // Too many distinct shapes: begin anew rather than grow. What is usual must be learned again.
            let (traces, shapes) = (self.trace_bytes, self.most_shapes);
            let incidents = std::mem::take(&mut self.incidents);
            let (told, holding) = (self.told.clone(), std::mem::take(&mut self.holding));
            let (levels, metered) = (std::mem::take(&mut self.levels), std::mem::take(&mut self.metered));
            *self = Self { levels, metered, incidents, told, holding, ..Self::new(traces, shapes) };
        }
        let alarms: Vec<Alarm> =
            [Flow::Front, Flow::Behind].into_iter().filter_map(|flow| self.gate.alarm(flow)).collect();
        if alarms.is_empty() && !troubled && self.baseline.made.plus(RELEARNED_S) <= now {
            self.learn(now);
        }
        let has_news = self.metered.has_news();
        let names = if alarms.is_empty() && !has_news { BTreeMap::new() } else { names() };
        if has_news {
            self.metered.judge(snapshot, &names, &self.levels, troubled);
        }
        let findings: Vec<Finding> = alarms
            .iter()
            .filter_map(|alarm| self.look(alarm, now, &names))
            .filter(|finding| self.told.matters(finding))
            .collect();
        let mut burning = burners::burning(snapshot, &self.levels);
        burning.extend(burners::standing(snapshot));
        burning.extend(self.metered.burning());
        if !self.baseline.requests.list.is_empty() {
            let times = traffic::Times { usual: &self.baseline.seconds, now };
            let misses = traffic::reads_fall_through(snapshot, &self.levels, &times);
            burning.retain(|burning| misses || burning.rule != "cache-hit-rate-falling");
            burning.extend(traffic::burning(snapshot, &self.levels, &times));
            burning.extend(silence::standing(snapshot, &self.levels, &times));
        }
        burning.extend(self.holding.held(&self.told.rules, snapshot).into_iter().map(Burning::of_rule));
        let opened = self.incidents.step(snapshot, &alarms, findings, burning);
        if let Some(onset) = opened {
            let from = UnixSecond(onset / 1000).minus(MARGIN_S);
            self.seconds.iter_mut().filter(|second| second.at >= from).for_each(|second| second.troubled = true);
        }
        snapshot.diagnosis = self.view(now);
    }

    /// Makes the baseline anew, of what was well and is not quite new.
    fn learn(&mut self, now: UnixSecond) {
        let to = now.minus(LEFT_OUT_S);
        let calm = || self.seconds.iter().filter(|second| second.at <= to && !second.troubled);
        let with_requests = calm().filter(|second| !second.requests.list.is_empty()).count() as u64;
        let count: usize = calm().map(|second| second.requests.list.len()).sum();
        if with_requests.max(first_to_last(calm())) < ENOUGH_S || count < LEAST_REQUESTS {
            return;
        }
        let one_in = count.div_ceil(BASELINE_REQUESTS).max(1);
        let (mut requests, mut by_key) = (Requests::default(), HashMap::<Key, u32, FixedState>::default());
        let passed = Cell::new(0_usize);
        for second in calm() {
            requests.add(&second.requests, &mut by_key, |_| {
                passed.set(passed.get() + 1);
                passed.get().is_multiple_of(one_in)
            });
        }
        self.gate.learn(&requests);
        let seconds = calm().map(|second| second.at).collect();
        self.baseline = Baseline { requests, seconds, made: now };
    }

    /// Compares the requests that are in alarm with the baseline.
    fn look(&self, alarm: &Alarm, now: UnixSecond, names: &BTreeMap<Party, TierName>) -> Option<Finding> {
        let in_alarm = |requests: &Requests| -> Vec<bool> {
            requests.list.iter().map(|request| alarm.has(Route::of(requests, request))).collect()
        };
        let baseline = &self.baseline.requests;
        let before = Part { requests: baseline, chosen: in_alarm(baseline) };
        let (mut subject, mut compared) = (Requests::default(), 0);
        let mut by_key = HashMap::<Key, u32, FixedState>::default();
        let began = alarm.since;
        for second in self.seconds.iter().rev() {
            let age = now.0.saturating_sub(second.at.0);
            if age > COMPARED_AT_MOST_S || (age > COMPARED_S && compared >= LEAST_REQUESTS) {
                break;
            }
            subject.add(&second.requests, &mut by_key, |request| {
                let is_asked_about = request.flow == alarm.flow && request.start >= began;
                compared += usize::from(is_asked_about && alarm.has(Route::of(&second.requests, request)));
                is_asked_about
            });
        }
        let after = Part { requests: &subject, chosen: in_alarm(&subject) };
        if before.len() < LEAST_COMPARED || after.len() < LEAST_COMPARED {
            return None;
        }
        let (tier_names, tier_of) = tiers(baseline.keys.iter().chain(&subject.keys), &self.traces, names);
        let comparison = compare::compare(&before, &after, &tier_of, By::Operation);
        let of_flow = |requests: &Requests| requests.list.iter().map(|request| request.flow == alarm.flow).collect();
        let all_before = Part { requests: baseline, chosen: of_flow(baseline) };
        let all_after = Part { requests: &subject, chosen: of_flow(&subject) };
        let wide = compare::compare(&all_before, &all_after, &tier_of, By::OperationAndRoute);
        let since = began.second();
        let (from, to) = self.baseline.reach();
        let signals =
            (&self.levels.between(from, to.min(since.minus(1))), &self.levels.between(since, now.plus(SEEN_S)));
        let load = |from, to| self.levels.mean(Figure::Rate, self.levels.front(), from, to);
        let usual_load = self.levels.median(Figure::Rate, self.levels.front(), &self.baseline.seconds);
        let scene = Scene {
            asked: Asked::ByAlarm,
            traces: &self.traces,
            tiers: &tier_names,
            before: &before,
            after: &after,
            comparison: &comparison,
            wide: &wide,
            signals,
            load: usual_load.zip(load(since.max(now.minus(COMPARED_S)), now)),
        };
        if alarm.flow == Flow::Behind && comparison.excess_ms < LEAST_BEHIND_MS && !comparison.fails_more() {
            return None;
        }
        let (verdicts, attributed) = super::judge(&scene);
        Some(Finding {
            flow: alarm.flow,
            since: began,
            usual_ms: comparison.usual_ms,
            excess_ms: comparison.excess_ms,
            failed_ratio: comparison.failed.1,
            verdict: verdicts.into_iter().next(),
            attributed,
        })
    }

    fn view(&self, now: UnixSecond) -> DiagnosisView {
        let recent = || self.seconds.iter().filter(|second| second.at.plus(SEEN_S) > now);
        let requests: usize = recent().map(|second| second.requests.list.len()).sum();
        let traces = recent().map(|second| second.requests.traces).sum();
        let mut incidents = self.incidents.views();
        for verdict in incidents.iter_mut().filter_map(|incident| incident.verdict.as_mut()) {
            rules::reword(verdict, &self.told.rules);
        }
        let mut view = DiagnosisView { traces, incidents, ..DiagnosisView::default() };
        let open = view.open().next();
        let (state, summary) = match (open, view.verdict()) {
            (Some(incident), _) if !incident.unexplained.is_empty() => {
                (DiagnosisState::Unexplained, incident.unexplained.clone())
            }
            (Some(_), Some(verdict)) => (DiagnosisState::Named, format!("{}: {}", verdict.tier.id, verdict.title)),
            _ if requests < LEAST_REQUESTS && self.metered.is_told() => {
                (DiagnosisState::Healthy, "healthy: no verdict; from metrics alone".to_owned())
            }
            _ if requests < LEAST_REQUESTS => (
                DiagnosisState::TooFew,
                format!("too few traces: {requests} in {SEEN_S} s, {LEAST_REQUESTS} are needed"),
            ),
            _ if self.baseline.requests.list.is_empty() => {
                let seen = first_to_last(self.seconds.iter());
                let left = LEARNING_SECONDS.saturating_sub(seen);
                (DiagnosisState::Learning, format!("learning what is usual: {left} s to go"))
            }
            _ => (DiagnosisState::Healthy, "healthy: no verdict".to_owned()),
        };
        (view.state, view.summary) = (state, summary);
        view
    }
}

/// Seconds from the first to the last that have requests.
fn first_to_last<'s>(seconds: impl Iterator<Item = &'s Settled>) -> u64 {
    let mut with_requests = seconds.filter(|second| !second.requests.list.is_empty()).map(|second| second.at.0);
    let Some(first) = with_requests.next() else { return 0 };
    with_requests.last().unwrap_or(first) + 1 - first
}

impl Baseline {
    /// Its first and last second.
    fn reach(&self) -> (UnixSecond, UnixSecond) {
        let ends = self.seconds.first().zip(self.seconds.last());
        ends.map_or_else(Default::default, |(first, last)| (*first, *last))
    }
}

impl Finding {
    /// Why the verdict, if any, is not to be relied on; empty if it is.
    fn doubt(&self) -> String {
        match self.attributed {
            Some(share) if share < EXPLAINED => format!("unexplained: {:.0} % attributed", share * 100.0),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
