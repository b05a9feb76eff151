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

mod capture;
mod compare;
mod cover;
mod evidence;
pub mod live;
mod onset;
mod report;
mod routes;
pub mod rules;
mod signals;
mod signs;
mod table;
mod tiers;

use crate::tier::TierKind;
use crate::verdict::{Alternative, Verdict};
use capture::stretch;
use compare::{Comparison, Spot};
use cover::Covered;
use signs::{Asked, Scene, Symptom};
use tiers::{name, tiers};

pub use capture::{Question, diagnose};
pub use report::{REPORT_VERSION, ReadCounts, Report, Stretch, TierCharge, TraceCounts};
pub use signals::{Course, Signals};
pub use table::{CLASSES, Class, Sign};

/// Requests without which nothing is said.
pub const LEAST_REQUESTS: usize = 30;
/// Share of the excess that must be attributed for it to count as explained.
pub const EXPLAINED: f64 = 0.6;
/// Share of the usual duration that a tier must explain to be named.
const LEAST_EFFECT: f64 = 0.08;
/// The same of the requests that come to a tier, for one who asks, if the ordinary visit takes longer.
const LEAST_TOLD: f64 = 0.01;
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

/// The verdicts on one flow, and the share of the excess that is attributed to any tier.
fn judge(scene: &Scene<'_>) -> (Vec<Verdict>, Option<f64>) {
    let comparison = scene.comparison;
    let slow = slow_tiers(scene);
    let failing = failing_tiers(comparison);
    let more_failed = comparison.failed.1 - comparison.failed.0;
    let slow_share = slow.first().map_or(0.0, |first| first.score / comparison.usual_ms.max(1e-6));
    let is_slow = !slow.is_empty()
        && match scene.asked {
            Asked::ByAlarm => more_failed < MANY_FAILURES,
            Asked::BySomebody => more_failed < MANY_FAILURES && more_failed < slow_share,
        };
    let (tiers, symptom, excess) = if failing.is_empty() || is_slow {
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
    let Comparison { pairs, depth, usual_ms, excess_ms, longer, .. } = scene.comparison;
    let covered = cover::cover(pairs, depth, compare::Pair::weight_ms);
    let matters = |first: &Covered| {
        let mut shifted = pairs.iter().filter(|pair| pair.slower && pair.spot.touches(first.tier));
        match scene.asked {
            Asked::BySomebody => {
                let is_told = |pair: &compare::Pair| pair.effect() >= if pair.sure { LEAST_TOLD } else { LEAST_EFFECT };
                (*excess_ms > 0.0 && first.score >= LEAST_EFFECT * usual_ms) || shifted.any(is_told)
            }
            Asked::ByAlarm => {
                *excess_ms > 0.0
                    && (first.score >= LEAST_EFFECT * usual_ms
                        || shifted.any(|pair| pair.mean_ms - pair.usual_ms >= 3.0 * LEAST_EFFECT * usual_ms))
            }
        }
    };
    if covered.first().is_some_and(matters) {
        return covered;
    }
    let is_plain = *excess_ms >= PLAIN_EXCESS * usual_ms && *longer;
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

#[cfg(test)]
mod tests;
