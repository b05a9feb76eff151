//! Greedy cover: the tiers that explain the shifts, the one that explains most first.
//!
//! A tier's score is what its own shifts weigh, with those of the gaps at its ends. The best tier
//! takes its shifts with it, and the rest is scored anew: so a caller that is only slow because of its
//! callee scores nothing. Of tiers that score nearly alike the deepest is taken, for a delay between
//! two is the callee's.

use super::compare::{Pair, Spot};

/// Share of the best score with which a deeper tier is taken instead.
const NEARLY: f64 = 0.9;
/// Tiers that are named at most.
const MOST: usize = 8;

/// A tier with what it explains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Covered {
    pub(super) tier: usize,
    pub(super) score: f64,
    /// Part of the score that lies in gaps.
    pub(super) in_gaps: f64,
}

/// Covers what `weight` says of each pair.
pub(super) fn cover(pairs: &[Pair], depth: &[f64], weight: impl Fn(&Pair) -> f64) -> Vec<Covered> {
    let mut open: Vec<(Spot, f64)> =
        pairs.iter().map(|pair| (pair.spot, weight(pair))).filter(|(_, weight)| *weight > 0.0).collect();
    let mut found = Vec::new();
    while found.len() < MOST && !open.is_empty() {
        let scores: Vec<Covered> = (0..depth.len()).map(|tier| score(tier, &open)).collect();
        let most = scores.iter().map(|covered| covered.score).fold(0.0, f64::max);
        let near = scores.into_iter().filter(|covered| covered.score >= NEARLY * most && covered.score > 0.0);
        let Some(best) = near
            .max_by(|one, other| depth[one.tier].total_cmp(&depth[other.tier]).then(one.score.total_cmp(&other.score)))
        else {
            break;
        };
        open.retain(|(spot, _)| !spot.touches(best.tier));
        found.push(best);
    }
    found.sort_by(|one, other| other.score.total_cmp(&one.score).then(depth[other.tier].total_cmp(&depth[one.tier])));
    found
}

fn score(tier: usize, open: &[(Spot, f64)]) -> Covered {
    let touching = open.iter().filter(|(spot, _)| spot.touches(tier));
    let (mut score, mut in_gaps) = (0.0, 0.0);
    for (spot, weight) in touching {
        score += weight;
        if matches!(spot, Spot::Gap(..)) {
            in_gaps += weight;
        }
    }
    Covered { tier, score, in_gaps }
}
