//! Whether the count of instances follows load.
//!
//! For each service the load is kept by how many instances there were. An instance that dies and
//! returns, or a deploy, changes the count under the same load; autoscaling has more instances under
//! more load.

use std::collections::BTreeMap;

use crate::snapshot::{FiguresFrom, TierView};

/// Seconds for which a count has to have stood.
const STOOD_S: u64 = 20;
/// Load with the most instances over load with the fewest.
const MORE_LOAD: f64 = 1.2;
/// Load that swung so far under one count alone was not followed.
const SWING: f64 = 3.0;
/// Seconds after which that may be said: slow scaling takes minutes.
const LONG_S: u64 = 600;
/// Counts kept of a service: fleets that scale go through few within an agent's life, else the rest is left out.
const COUNTS_KEPT: usize = 64;
/// Services kept beyond those in the snapshot, before the gone ones are forgotten.
const GONE_KEPT: usize = 64;

/// Load by count of instances, by tier.
#[derive(Debug, Default)]
pub(super) struct Fleets {
    by_tier: BTreeMap<String, BTreeMap<usize, Load>>,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    seconds: u64,
    sum: f64,
    least: f64,
    most: f64,
}

/// How a fleet behaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Following {
    /// It has more instances under more load; in words.
    Yes(String),
    /// Load swung and it stayed the same; in words.
    No(String),
    /// Load did not swing, or was not seen for long.
    Unknown,
}

impl Fleets {
    /// Takes note of how many instances each service has under so much load at the front.
    pub(super) fn observe(&mut self, tiers: &[TierView], load: Option<f64>) {
        let Some(load) = load else { return };
        for tier in tiers.iter().filter(|tier| tier.figures_from != FiguresFrom::CallerSpans) {
            let count = tier.live_instances().count();
            let counts = self.by_tier.entry(tier.id.clone()).or_default();
            if count > 0 && (counts.len() < COUNTS_KEPT || counts.contains_key(&count)) {
                let at = counts.entry(count).or_insert(Load { seconds: 0, sum: 0.0, least: load, most: load });
                at.seconds += 1;
                at.sum += load;
                at.least = at.least.min(load);
                at.most = at.most.max(load);
            }
        }
        if self.by_tier.len() > tiers.len() + GONE_KEPT {
            self.by_tier.retain(|id, _| tiers.iter().any(|tier| tier.id == *id));
        }
    }

    /// Whether any fleet follows load.
    pub(super) fn following(&self) -> Following {
        let all: Vec<Following> = self.by_tier.iter().map(|(id, counts)| following(id, counts)).collect();
        let find = |wanted: fn(&Following) -> bool| all.iter().find(|one| wanted(one)).cloned();
        find(|one| matches!(one, Following::Yes(_)))
            .or_else(|| find(|one| matches!(one, Following::No(_))))
            .unwrap_or(Following::Unknown)
    }
}

fn following(id: &str, counts: &BTreeMap<usize, Load>) -> Following {
    let mut stood = counts.iter().filter(|(_, load)| load.seconds >= STOOD_S);
    let Some((fewest, low)) = stood.next() else { return Following::Unknown };
    let (most, high) = stood.next_back().unwrap_or((fewest, low));
    let mean = |load: &Load| load.sum / load.seconds as f64;
    if most > fewest && mean(high) >= mean(low) * MORE_LOAD {
        return Following::Yes(format!(
            "{id} had {fewest} instances at {:.0} requests/s and {most} at {:.0}",
            mean(low),
            mean(high)
        ));
    }
    if most == fewest && low.seconds >= LONG_S && low.most >= low.least.max(1.0) * SWING {
        return Following::No(format!(
            "{id} stayed at {fewest} while load went from {:.0} to {:.0} requests/s",
            low.least, low.most
        ));
    }
    Following::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::InstanceView;
    use crate::tier::TierKind;

    #[test]
    fn services_that_are_gone_and_counts_without_end_are_not_kept() {
        let mut fleets = Fleets::default();
        let mut crowd = TierView::named(TierKind::App, "crowd");
        for number in 0..500 {
            crowd.instances.push(InstanceView::default());
            let passing = TierView::named(TierKind::App, &format!("passing-{number}"));
            fleets.observe(&[crowd.clone(), passing], Some(100.0));
        }
        assert!(fleets.by_tier.len() <= 2 + GONE_KEPT);
        assert_eq!(fleets.by_tier["app/crowd"].len(), COUNTS_KEPT);
    }
}
