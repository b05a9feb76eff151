//! What was measured, in words.

use super::compare::{Pair, Spot};
use super::cover::Covered;
use super::signs::{Scene, Symptom, cache_misses, zone_gone};
use crate::verdict::TierRef;

/// Operations that are told of.
const TOLD: usize = 3;

/// The evidence against a tier, most telling first.
pub(super) fn evidence(scene: &Scene<'_>, covered: Covered, symptom: Symptom) -> Vec<String> {
    let comparison = scene.comparison;
    let mut lines = vec![match symptom {
        Symptom::Slower => format!(
            "requests take {} more than the usual {}; {} of it is here",
            ms(comparison.excess_ms),
            ms(comparison.usual_ms),
            ms(covered.score),
        ),
        Symptom::Failing => format!(
            "{} of requests fail, usually {}; here {} failures begin for each 100 requests",
            percent(comparison.failed.1),
            percent(comparison.failed.0),
            (covered.score * 100.0).round(),
        ),
    }];
    let weight = |pair: &Pair| match symptom {
        Symptom::Slower => pair.weight_ms(),
        Symptom::Failing => pair.failures,
    };
    let mut shifted: Vec<&Pair> =
        comparison.pairs.iter().filter(|pair| pair.spot.touches(covered.tier) && weight(pair) > 0.0).collect();
    shifted.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
    lines.extend(shifted.iter().take(TOLD).map(|pair| told(scene, pair, symptom)));
    if let Some((usual, now)) = cache_misses(scene) {
        lines.push(format!("{now:.2} store reads for each read of the cache, usually {usual:.2}"));
    }
    if let Some(waiting) = scene.signals.1.pool_waits(scene.signals.0) {
        lines.push(format!("up to {waiting:.0} requests wait for a connection"));
    }
    let own: Vec<&Pair> = comparison.pairs.iter().filter(|pair| pair.spot == Spot::At(covered.tier)).collect();
    if let Some(zone) = zone_gone(scene, &own) {
        lines.push(format!("no request in zone {zone} any more"));
    }
    lines
}

fn told(scene: &Scene<'_>, pair: &Pair, symptom: Symptom) -> String {
    let operation = scene.traces.operation(pair.operation);
    let name = |tier: usize| TierRef::from(&scene.tiers[tier]).id;
    let place = match pair.spot {
        Spot::At(_) => operation.to_owned(),
        Spot::Gap(from, to) => format!("{operation}, between {} and {}", name(from), name(to)),
    };
    let visits = pair.after.charged_ms.len();
    if symptom == Symptom::Failing {
        return format!("{place}: {} of {visits} fail first here", pair.after.failed);
    }
    let (before, now) = pair.rates(scene.comparison.requests);
    if pair.extra_ms > 0.0 {
        return format!("{place}: {now:.2} calls for each request, usually {before:.2}");
    }
    format!("{place}: {} in each of {visits} visits, usually {}", ms(pair.mean_ms), ms(pair.usual_ms))
}

fn ms(value: f64) -> String {
    if value.abs() >= 10.0 { format!("{value:.0} ms") } else { format!("{value:.1} ms") }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
