//! What is asked of a capture: which of its requests are compared with which.
//!
//! 1. Those of the capture with those of a healthy one, or with its own first part; of the capture, the
//!    run of requests that is furthest beyond what is usual if that says as much as all of it (`onset`).
//! 2. In a long capture incidents come and go. The engine told when, as it went through the file; what was at fault
//!    in each is judged by all of its requests, where the engine was not sure. Without a healthy capture those outside of all
//!    incidents serve.

use std::collections::BTreeMap;

use super::compare::{self, By, Comparison, Part, Spot};
use super::routes::Routes;
use super::signs::{Asked, Scene};
use super::table::{CLASSES, Sign};
use super::tiers::tiers;
use super::{
    EXPLAINED, LEAST_REQUESTS, REPORT_VERSION, Report, Signals, Stretch, TierCharge, TraceCounts, judge, onset,
};
use crate::engine::naming::{Party, TierName};
use crate::snapshot::IncidentView;
use crate::tier::TierKind;
use crate::traces::{Flow, PartyId, Request, Requests, Traces};
use crate::verdict::Verdict;

/// Share of a capture that is its own baseline when there is no other.
const FIRST_PART: f64 = 0.25;
/// A run of requests is told of rather than all of them if it is at least so sure, as a share.
const AS_SURE: f64 = 0.8;
/// A capture of more than this is long: incidents may come and go in it.
const LONG_MS: u64 = 180_000;
/// Around an incident, milliseconds that are not usual either.
const MARGIN_MS: u64 = 5_000;

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who and what the requests refer to.
    pub traces: &'a Traces,
    /// Requests of a healthy capture; without one the first part of the subject serves.
    pub baseline: Option<&'a Requests>,
    /// The requests that are asked about.
    pub subject: &'a Requests,
    /// What parties are called.
    pub names: &'a BTreeMap<Party, TierName>,
    /// What metrics said in the baseline, and in the subject.
    pub signals: (&'a Signals, &'a Signals),
    /// The incidents that the engine saw in the subject.
    pub incidents: &'a [IncidentView],
}

/// Names the bottleneck, or says why none can be named.
pub fn diagnose(question: Question<'_>) -> Report {
    let baseline = question.baseline.into_iter().flat_map(|requests| &requests.keys);
    let named = tiers(baseline.chain(&question.subject.keys), question.traces, question.names);
    let mut report = Report {
        version: REPORT_VERSION,
        traces: TraceCounts {
            traces: question.subject.traces,
            incomplete: question.subject.incomplete,
            orphans: question.subject.orphans,
            kept_one_in: question.traces.kept_one_in(),
        },
        ..Report::default()
    };
    let mut attributed = None;
    for flow in [Flow::Front, Flow::Behind] {
        let (before, whole) = parts(question, flow);
        if before.len() < LEAST_REQUESTS || whole.len() < LEAST_REQUESTS {
            if flow == Flow::Front {
                report.summary = too_few(&before, &whole);
                (report.window, report.baseline) = (stretch(&whole), stretch(&before));
            }
            continue;
        }
        let Looked { after, comparison, verdicts, share } = window(question, &named, &before, whole);
        if report.tiers.is_empty() || !verdicts.is_empty() {
            report.tiers = charges(&comparison, &named.0);
            (report.window, report.baseline) = (stretch(&after), stretch(&before));
            (report.usual_ms, report.excess_ms) = (Some(comparison.usual_ms), Some(comparison.excess_ms));
            report.summary.clear();
        }
        if !verdicts.is_empty() {
            (report.verdicts, attributed) = (verdicts, share);
            break;
        }
    }
    if is_long(question.subject) && !question.incidents.is_empty() {
        attributed = attributed.filter(|_| question.baseline.is_some());
        tell_incidents(&mut report, question, &named);
    }
    report.verdicts.extend(slow_burners(question, &named.0, &report.verdicts));
    summarise(&mut report, attributed);
    report
}

/// Tiers, and which of them each party is.
type Named = (Vec<TierName>, BTreeMap<PartyId, usize>);

/// Requests that were compared with what is usual, and what came of it.
struct Looked<'r> {
    after: Part<'r>,
    comparison: Comparison,
    verdicts: Vec<Verdict>,
    share: Option<f64>,
}

fn look<'r>(question: Question<'_>, (tiers, tier_of): &Named, before: &Part<'_>, after: Part<'r>) -> Looked<'r> {
    let comparison = compare::compare(before, &after, tier_of, By::Operation);
    let wide = compare::compare(before, &after, tier_of, By::OperationAndRoute);
    let scene = Scene {
        asked: Asked::BySomebody,
        traces: question.traces,
        tiers,
        before,
        after: &after,
        comparison: &comparison,
        wide: &wide,
        signals: question.signals,
        load: None,
    };
    let (verdicts, share) = judge(&scene);
    Looked { after, comparison, verdicts, share }
}

/// Looks at the run of requests that is furthest beyond what is usual, and at all of them: a run may be chance.
fn window<'r>(question: Question<'_>, named: &Named, before: &Part<'_>, whole: Part<'r>) -> Looked<'r> {
    let sure = |looked: &Looked<'_>| looked.verdicts.first().map_or(0.0, |first| first.confidence);
    let run = onset::incident(&whole, &Routes::find(before, &whole, &named.1));
    let run = run.map(|chosen| look(question, named, before, Part { chosen, ..whole.clone() }));
    let all = look(question, named, before, whole);
    run.filter(|run| !run.verdicts.is_empty() && sure(run) >= AS_SURE * sure(&all)).unwrap_or(all)
}

/// The baseline's requests of a flow, and those that are asked about.
fn parts(question: Question<'_>, flow: Flow) -> (Part<'_>, Part<'_>) {
    let subject = question.subject;
    let mut after = part(subject, |request| request.flow == flow);
    if let Some(baseline) = question.baseline {
        return (part(baseline, |request| request.flow == flow), after);
    }
    let mut order: Vec<usize> = (0..subject.list.len()).filter(|place| after.chosen[*place]).collect();
    order.sort_by_key(|place| subject.list[*place].start);
    let first = ((order.len() as f64 * FIRST_PART) as usize).max(LEAST_REQUESTS).min(order.len());
    let mut before = part(subject, |_| false);
    for place in &order[..first] {
        before.chosen[*place] = true;
        after.chosen[*place] = false;
    }
    (before, after)
}

fn part(requests: &Requests, chosen: impl Fn(&Request) -> bool) -> Part<'_> {
    Part { requests, chosen: requests.list.iter().map(chosen).collect() }
}

/// Whether incidents may come and go in a capture.
fn is_long(subject: &Requests) -> bool {
    let starts = || subject.list.iter().map(|request| request.start.as_millis());
    starts().max().zip(starts().min()).is_some_and(|(last, first)| last - first > LONG_MS)
}

/// Tells the incidents of a long capture. Without a healthy capture, their verdicts are those of the report.
fn tell_incidents(report: &mut Report, question: Question<'_>, named: &Named) {
    report.incidents = question.incidents.to_vec();
    report.incidents.sort_by_key(|incident| incident.onset_unix_ms);
    for incident in &mut report.incidents {
        let is_sure = incident.unexplained.is_empty() && incident.verdict.is_some();
        if is_sure || incident.usual_ms.is_none() {
            continue;
        }
        if let Some(verdict) = judged_by_all(question, named, incident) {
            incident.verdict = Some(verdict);
            incident.unexplained.clear();
        }
    }
    if question.baseline.is_none() {
        report.verdicts.clear();
    }
    let mut found: Vec<&Verdict> = report.incidents.iter().filter_map(|incident| incident.verdict.as_ref()).collect();
    found.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
    for verdict in found {
        if report.verdicts.iter().all(|known| known.tier != verdict.tier) {
            report.verdicts.push(verdict.clone());
        }
    }
}

/// What all requests of an incident say, beside a healthy capture or those outside of all incidents.
fn judged_by_all(question: Question<'_>, named: &Named, incident: &IncidentView) -> Option<Verdict> {
    let within = |request: &Request, incident: &IncidentView, margin_ms: u64| {
        let at = request.start.as_millis();
        at + margin_ms >= incident.onset_unix_ms && incident.ended_unix_ms.is_none_or(|ended| at <= ended + margin_ms)
    };
    let calm = |request: &Request| !question.incidents.iter().any(|other| within(request, other, MARGIN_MS));
    [Flow::Front, Flow::Behind].into_iter().find_map(|flow| {
        let before = match question.baseline {
            Some(baseline) => part(baseline, |request| request.flow == flow),
            None => part(question.subject, |request| request.flow == flow && calm(request)),
        };
        let after = part(question.subject, |request| request.flow == flow && within(request, incident, 0));
        if before.len() < LEAST_REQUESTS || after.len() < LEAST_REQUESTS {
            return None;
        }
        let verdict = look(question, named, &before, after).verdicts.into_iter().next()?;
        Some(Verdict { onset: Some(incident.onset_unix_ms), ..verdict })
    })
}

/// What shows in a signal while requests may still be well: a replica that lags, a queue that grows.
fn slow_burners(question: Question<'_>, tiers: &[TierName], known: &[Verdict]) -> Vec<Verdict> {
    let (before, after) = question.signals;
    let lag = after.lag(before).map(|(tier, most)| (Sign::Lags, tier, format!("up to {most:.1} s behind")));
    let queue = after.queue().map(|(tier, words)| (Sign::QueueGrows, tier, words));
    let found = [lag, queue].into_iter().flatten().filter_map(|(sign, id, words)| {
        let class = CLASSES.iter().find(|class| class.signs == [sign])?;
        // A queue grows because nobody takes from it: the workers, where there are any.
        let worker = tiers.iter().find(|tier| sign == Sign::QueueGrows && tier.kind == TierKind::Worker);
        let (kind, member) = id.split_once('/')?;
        let tier = worker.map_or_else(
            || Some(TierName { kind: TierKind::from_name(kind)?, member: member.to_owned() }),
            |worker| Some(worker.clone()),
        )?;
        Some(Verdict {
            tier: (&tier).into(),
            class: Some(class.name.to_owned()),
            title: class.title.to_owned(),
            phase: class.phase,
            confidence: 0.7,
            explained_share: None,
            alternatives: Vec::new(),
            onset: None,
            evidence: vec![words],
            remedy_now: Some(class.now.to_owned()),
            remedy_for_good: Some(class.for_good.to_owned()),
        })
    });
    found.filter(|verdict| known.iter().all(|other| other.tier != verdict.tier)).collect()
}

/// What requests spent in each tier, most first.
fn charges(comparison: &Comparison, tiers: &[TierName]) -> Vec<TierCharge> {
    let (before, after) = comparison.requests;
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let total: f64 = comparison.pairs.iter().map(|pair| sum(&pair.after.charged_ms)).sum();
    let charge = |tier: usize| {
        let own = || comparison.pairs.iter().filter(move |pair| pair.spot == Spot::At(tier));
        let gaps = || comparison.pairs.iter().filter(move |pair| matches!(pair.spot, Spot::Gap(_, to) if to == tier));
        let visits: usize = own().map(|pair| pair.after.charged_ms.len()).sum();
        let failed: usize = own().chain(gaps()).map(|pair| pair.after.failed).sum();
        let now: f64 = own().map(|pair| sum(&pair.after.charged_ms)).sum();
        TierCharge {
            tier: (&tiers[tier]).into(),
            visits: visits as u64,
            usual_ms: own().map(|pair| sum(&pair.before.charged_ms)).sum::<f64>() / before as f64,
            now_ms: now / after as f64,
            path_share: now / total.max(1e-9),
            gap_ms: gaps().next().map(|_| gaps().map(|pair| sum(&pair.after.charged_ms)).sum::<f64>() / after as f64),
            failed_ratio: (failed as f64 / visits.max(1) as f64).min(1.0),
        }
    };
    let mut all: Vec<TierCharge> = (0..tiers.len()).map(charge).filter(|charge| charge.visits > 0).collect();
    all.sort_by(|one, other| other.now_ms.total_cmp(&one.now_ms));
    all
}

pub(super) fn stretch(part: &Part<'_>) -> Stretch {
    let chosen = part.requests.list.iter().zip(&part.chosen).filter(|(_, chosen)| **chosen);
    let starts: Vec<u64> = chosen.map(|(request, _)| request.start.as_millis()).collect();
    Stretch {
        from_unix_ms: starts.iter().min().copied(),
        to_unix_ms: starts.iter().max().copied(),
        requests: starts.len() as u64,
    }
}

fn too_few(before: &Part<'_>, after: &Part<'_>) -> String {
    let (count, what) =
        if after.len() < LEAST_REQUESTS { (after.len(), "") } else { (before.len(), " in the baseline") };
    format!("too few traces: {count}{what}, {LEAST_REQUESTS} are needed")
}

fn summarise(report: &mut Report, attributed: Option<f64>) {
    let told: Vec<String> =
        report.verdicts.iter().map(|verdict| format!("{}: {}", verdict.tier.id, verdict.title)).collect();
    if let Some(share) = attributed.filter(|share| *share < EXPLAINED) {
        report.summary = format!("unexplained: {:.0} % attributed", share * 100.0);
    } else if report.incidents.len() > 1 {
        report.summary = format!("{} incidents; {}", report.incidents.len(), told.join("; "));
    } else if let Some(first) = told.first() {
        report.summary.clone_from(first);
    } else if report.summary.is_empty() {
        "healthy: no verdict".clone_into(&mut report.summary);
    }
}
