//! Naming the bottleneck: requests of a capture against those of a healthy one.
//!
//! 1. The incident is found: the run of requests furthest beyond what is usual (`onset`).
//! 2. Each tier's work, and each gap between two tiers, is compared with the baseline (`compare`).
//! 3. The tiers that explain the excess are found by greedy cover (`cover`), for time and for failures.
//! 4. The signs of the tier are read (`signs`), and the first class of the table (`table`) of which
//!    all are seen is named.
//!
//! Too few requests are no verdict. Where under [`EXPLAINED`] of the excess is attributed, the summary
//! says so, and what is named is a guess with little confidence. Formulas and their measured reasons:
//! latency shift by robust z of logarithms, and "own excess and that of the adjacent edges", named the
//! right service first in 57 of 58 labelled faults of the public Nezha traces.

mod compare;
mod cover;
mod evidence;
pub mod live;
mod onset;
mod report;
pub mod rules;
mod signals;
mod signs;
mod table;

use std::collections::BTreeMap;

use crate::engine::naming::{Party, Side, TierName};
use crate::tier::TierKind;
use crate::traces::{Flow, Key, PartyId, Place, Requests, Traces};
use crate::verdict::{Alternative, Verdict};
use compare::{By, Comparison, Part, Spot};
use cover::Covered;
use signs::{Scene, Symptom};

pub use report::{REPORT_VERSION, ReadCounts, Report, Stretch, TierCharge, TraceCounts};
pub use signals::{Course, Signals};
pub use table::{CLASSES, Class, Sign};

/// Requests without which nothing is said.
pub const LEAST_REQUESTS: usize = 30;
/// Share of the excess that must be attributed for it to count as explained.
pub const EXPLAINED: f64 = 0.6;
/// Share of a capture that is its own baseline when there is no other.
const FIRST_PART: f64 = 0.25;
/// Share of the usual duration that a tier must explain to be named.
const LEAST_EFFECT: f64 = 0.08;
/// Excess over the usual duration that is told of even when no tier stands out.
const PLAIN_EXCESS: f64 = 0.5;
/// Rise in the share of failed requests that is told of.
const LEAST_FAILURES: f64 = 0.02;
/// Rise in the share of failed requests from which failures matter more than time.
const MANY_FAILURES: f64 = 0.05;
/// A further tier is a verdict of its own if it explains this share of what the first does.
const ANOTHER: f64 = 0.25;
/// Alternatives that are named.
const ALTERNATIVES: usize = 5;

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
}

/// Names the bottleneck, or says why none can be named.
pub fn diagnose(question: Question<'_>) -> Report {
    let baseline = question.baseline.into_iter().flat_map(|requests| &requests.keys);
    let (tiers, tier_of) = tiers(baseline.chain(&question.subject.keys), question.traces, question.names);
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
        let incident = onset::incident(&before, &whole);
        let after = incident.map_or_else(|| whole.clone(), |chosen| Part { chosen, ..whole.clone() });
        let comparison = compare::compare(&before, &after, &tier_of, By::Operation);
        let wide = compare::compare(&before, &after, &tier_of, By::OperationAndRoute);
        let scene = Scene {
            traces: question.traces,
            tiers: &tiers,
            before: &before,
            after: &after,
            comparison: &comparison,
            wide: &wide,
            signals: question.signals,
            load: None,
        };
        let (verdicts, share) = judge(&scene);
        if report.tiers.is_empty() || !verdicts.is_empty() {
            report.tiers = charges(&comparison, &tiers);
            (report.window, report.baseline) = (stretch(&after), stretch(&before));
            (report.usual_ms, report.excess_ms) = (Some(comparison.usual_ms), Some(comparison.excess_ms));
            report.summary.clear();
        }
        if !verdicts.is_empty() {
            (report.verdicts, attributed) = (verdicts, share);
            break;
        }
    }
    report.verdicts.extend(slow_burners(question, &tiers, &report.verdicts));
    summarise(&mut report, attributed);
    report
}

/// The tiers of all parties, and each party's place among them.
fn tiers<'k>(
    keys: impl Iterator<Item = &'k Key>,
    traces: &Traces,
    names: &BTreeMap<Party, TierName>,
) -> (Vec<TierName>, BTreeMap<PartyId, usize>) {
    let parties = keys.flat_map(|key| match key.place {
        Place::At(party) => [party, party],
        Place::Gap(from, to) => [from, to],
    });
    let (mut tiers, mut tier_of): (Vec<TierName>, BTreeMap<PartyId, usize>) = (Vec::new(), BTreeMap::new());
    for party in parties {
        tier_of.entry(party).or_insert_with(|| {
            let name = name(traces.party(party), names);
            tiers.iter().position(|known| *known == name).unwrap_or_else(|| {
                tiers.push(name);
                tiers.len() - 1
            })
        });
    }
    (tiers, tier_of)
}

/// What a party is called. A side of a service that was never seen as a tier is the service's other one.
fn name(party: &Party, names: &BTreeMap<Party, TierName>) -> TierName {
    let other_sides = match party {
        Party::Service { namespace, name, .. } => [Side::Serves, Side::Processes, Side::Background]
            .map(|side| Party::Service { namespace: namespace.clone(), name: name.clone(), side })
            .to_vec(),
        Party::Peer(_) => Vec::new(),
    };
    let mut candidates = std::iter::once(party).chain(&other_sides);
    candidates.find_map(|candidate| names.get(candidate)).cloned().unwrap_or_else(|| party.presumed())
}

/// The baseline's requests of a flow, and those that are asked about.
fn parts(question: Question<'_>, flow: Flow) -> (Part<'_>, Part<'_>) {
    let of_flow = |requests: &Requests| requests.list.iter().map(|request| request.flow == flow).collect();
    let subject = question.subject;
    let mut after = Part { requests: subject, chosen: of_flow(subject) };
    if let Some(baseline) = question.baseline {
        return (Part { requests: baseline, chosen: of_flow(baseline) }, after);
    }
    let mut order: Vec<usize> = (0..subject.list.len()).filter(|place| after.chosen[*place]).collect();
    order.sort_by_key(|place| subject.list[*place].start);
    let first = ((order.len() as f64 * FIRST_PART) as usize).max(LEAST_REQUESTS).min(order.len());
    let mut before = Part { requests: subject, chosen: vec![false; subject.list.len()] };
    for place in &order[..first] {
        before.chosen[*place] = true;
        after.chosen[*place] = false;
    }
    (before, after)
}

/// The verdicts on one flow, and the share of the excess that is attributed to any tier.
fn judge(scene: &Scene<'_>) -> (Vec<Verdict>, Option<f64>) {
    let comparison = scene.comparison;
    let slow = slow_tiers(scene);
    let failing = failing_tiers(comparison);
    let more_failed = comparison.failed.1 - comparison.failed.0;
    let (tiers, symptom, excess) = if failing.is_empty() || (!slow.is_empty() && more_failed < MANY_FAILURES) {
        (slow, Symptom::Slower, comparison.excess_ms)
    } else {
        (failing, Symptom::Failing, more_failed)
    };
    let tiers = if symptom == Symptom::Slower { behind_the_pool(scene, tiers) } else { tiers };
    let Some(first) = tiers.first().copied() else { return (Vec::new(), None) };
    let all: f64 = tiers.iter().map(|covered| covered.score).sum();
    let share = |score: f64| (score / excess.max(1e-9)).clamp(0.0, 1.0);
    let ranked = ranked(scene, &tiers, symptom);
    let own_verdict = tiers.iter().filter(|covered| covered.score >= ANOTHER * first.score);
    let verdicts = own_verdict.map(|covered| verdict(scene, *covered, symptom, share, &ranked)).collect();
    (verdicts, Some(share(all)))
}

/// Who waits for a connection waits for those that are in use: where a database is slower or its processors have
/// become busy, the wait is its own.
fn behind_the_pool(scene: &Scene<'_>, mut tiers: Vec<Covered>) -> Vec<Covered> {
    let is_database = |tier: usize| matches!(scene.tiers[tier].kind, TierKind::DbPrimary | TierKind::DbReplica);
    let Some(first) = tiers.first().copied().filter(|first| !is_database(first.tier)) else { return tiers };
    if scene.signals.1.pool_waits(scene.signals.0).is_none() {
        return tiers;
    }
    let slower = |tier: usize| {
        let own = scene.wide.pairs.iter().filter(move |pair| pair.spot == Spot::At(tier) && pair.slower);
        own.map(|pair| pair.excess_ms).sum::<f64>()
    };
    let is_behind =
        |tier: &usize| is_database(*tier) && (slower(*tier) > 0.0 || signs::busy(scene, *tier) == Some(true));
    let databases = (0..scene.tiers.len()).filter(is_behind);
    let Some(tier) = databases.max_by(|one, other| slower(*one).total_cmp(&slower(*other))) else { return tiers };
    let own = tiers.iter().find(|covered| covered.tier == tier).map_or(0.0, |covered| covered.score);
    tiers.retain(|covered| covered.tier != tier && covered.tier != first.tier);
    tiers.insert(0, Covered { tier, score: first.score + own, in_gaps: 0.0 });
    tiers
}

/// The tiers that take longer, if any of them matters to requests.
fn slow_tiers(scene: &Scene<'_>) -> Vec<Covered> {
    let Comparison { pairs, depth, usual_ms, excess_ms, .. } = scene.comparison;
    let covered = cover::cover(pairs, depth, compare::Pair::weight_ms);
    let matters = |first: &Covered| {
        let each = |pair: &&compare::Pair| pair.slower && pair.spot.touches(first.tier);
        *excess_ms > 0.0
            && (first.score >= LEAST_EFFECT * usual_ms
                || pairs.iter().filter(each).any(|pair| pair.mean_ms - pair.usual_ms >= 3.0 * LEAST_EFFECT * usual_ms))
    };
    if covered.first().is_some_and(matters) {
        return covered;
    }
    let is_plain = *excess_ms >= PLAIN_EXCESS * usual_ms && compare::requests_take_longer(scene.before, scene.after);
    if is_plain { cover::cover(pairs, depth, |pair| pair.excess_ms) } else { Vec::new() }
}

/// The tiers in which more failures begin, if requests fail of it.
fn failing_tiers(comparison: &Comparison) -> Vec<Covered> {
    let covered = cover::cover(&comparison.pairs, &comparison.depth, |pair| pair.failures);
    let more_failed = comparison.failed.1 - comparison.failed.0;
    let matters = |first: &Covered| more_failed >= LEAST_FAILURES || first.score >= MANY_FAILURES;
    if covered.first().is_some_and(matters) { covered } else { Vec::new() }
}

/// All tiers that may be at fault: those of the cover, then those with the most excess of any size.
fn ranked(scene: &Scene<'_>, covered: &[Covered], symptom: Symptom) -> Vec<Covered> {
    let mut ranked = covered.to_vec();
    let Comparison { pairs, depth, .. } = scene.comparison;
    let raw = cover::cover(pairs, depth, |pair| match symptom {
        Symptom::Slower => pair.excess_ms + pair.extra_ms,
        Symptom::Failing => pair.after.failed as f64 / scene.comparison.requests.1 as f64,
    });
    ranked.extend(raw.into_iter().filter(|other| covered.iter().all(|known| known.tier != other.tier)));
    ranked
}

fn verdict(
    scene: &Scene<'_>,
    covered: Covered,
    symptom: Symptom,
    share: impl Fn(f64) -> f64,
    ranked: &[Covered],
) -> Verdict {
    let seen = signs::signs(scene, covered, symptom);
    let kind = scene.tiers[covered.tier].kind;
    let class = CLASSES
        .iter()
        .find(|class| class.kinds.contains(&kind) && class.fits(|sign| seen.contains(&sign)))
        .filter(|class| class.cause.is_none_or(|cause| tier_of_kind(scene, cause, covered.tier).is_some()));
    let tier = class.and_then(|class| tier_of_kind(scene, class.cause?, covered.tier)).unwrap_or(covered.tier);
    let others = ranked.iter().filter(|other| other.tier != tier);
    let next = others.clone().map(|other| other.score).fold(0.0, f64::max);
    let explained = share(covered.score);
    // What explains all, and is far ahead of the next, is sure; one that is of no class is less so.
    let agreement = covered.score / (covered.score + next).max(1e-9) * if class.is_some() { 1.0 } else { 0.8 };
    let unnamed = match symptom {
        Symptom::Slower => "takes longer",
        Symptom::Failing => "fails",
    };
    Verdict {
        tier: (&scene.tiers[tier]).into(),
        class: class.map(|class| class.name.to_owned()),
        title: class.map_or(unnamed, |class| class.title).to_owned(),
        phase: class.and_then(|class| class.phase),
        confidence: (explained * agreement).clamp(0.0, 1.0),
        explained_share: Some(explained),
        alternatives: others
            .take(ALTERNATIVES)
            .map(|other| Alternative { tier: (&scene.tiers[other.tier]).into(), explained_share: share(other.score) })
            .collect(),
        onset: stretch(scene.after).from_unix_ms,
        evidence: evidence::evidence(scene, covered, symptom),
        remedy_now: class.map(|class| class.now.to_owned()),
        remedy_for_good: class.map(|class| class.for_good.to_owned()),
    }
}

/// The tier of a kind that is the cause: the one that shows it, or the busiest of that kind.
fn tier_of_kind(scene: &Scene<'_>, kind: TierKind, shown_by: usize) -> Option<usize> {
    if scene.tiers[shown_by].kind == kind {
        return Some(shown_by);
    }
    let visits = |tier: usize| -> usize {
        let own = scene.comparison.pairs.iter().filter(|pair| pair.spot == Spot::At(tier));
        own.map(|pair| pair.after.charged_ms.len()).sum()
    };
    let of_kind = (0..scene.tiers.len()).filter(|tier| scene.tiers[*tier].kind == kind);
    of_kind.max_by_key(|tier| visits(*tier)).filter(|tier| visits(*tier) > 0)
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

fn stretch(part: &Part<'_>) -> Stretch {
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
    if let Some(share) = attributed.filter(|share| *share < EXPLAINED) {
        report.summary = format!("unexplained: {:.0} % attributed", share * 100.0);
    } else if let Some(first) = report.verdicts.first() {
        report.summary = format!("{}: {}", first.tier.id, first.title);
    } else if report.summary.is_empty() {
        "healthy: no verdict".clone_into(&mut report.summary);
    }
}

#[cfg(test)]
mod tests;
