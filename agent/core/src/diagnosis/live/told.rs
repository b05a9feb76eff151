//! What a user told the diagnosis, and the verdicts of the user's own rules.

use std::sync::Arc;

use super::Finding;
use super::burners::Burning;
use crate::config::{Config, TimeRules};
use crate::diagnosis::CLASSES;
use crate::diagnosis::rules::{Held, UserRule};
use crate::thresholds::Thresholds;
use crate::verdict::{TierRef, Verdict};

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Told {
    /// Seconds that what is usual is told from.
    pub(super) usual_s: u64,
    pub(super) thresholds: Arc<Thresholds>,
    pub(super) rules: Arc<[UserRule]>,
}

impl Default for Told {
    fn default() -> Self {
        Self { usual_s: TimeRules::default().usual_s, thresholds: Arc::default(), rules: Arc::default() }
    }
}

impl Told {
    /// The diagnosis's part of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            usual_s: config.time.usual_s,
            thresholds: Arc::clone(&config.thresholds),
            rules: Arc::clone(&config.rules),
        }
    }

    /// Whether requests take so much longer, or so many more fail, that it is worth an incident.
    pub(super) fn matters(&self, finding: &Finding) -> bool {
        let bounds = finding
            .verdict
            .as_ref()
            .map_or(&self.thresholds.all, |verdict| self.thresholds.of(verdict.tier.kind, &verdict.tier.member));
        let least_ms = bounds.verdict.least_ms.max(bounds.verdict.least_times * finding.usual_ms);
        least_ms <= 0.0 || finding.excess_ms >= least_ms || finding.failed_ratio >= bounds.errors.by
    }
}

/// Whether a rule of the user's says it: its class is none of the table's.
pub(super) fn is_the_users(verdict: &Verdict) -> bool {
    let class = verdict.class.as_deref();
    class.is_some_and(|class| CLASSES.iter().all(|known| known.name != class))
}

impl Burning {
    /// A rule of the user's that holds. Its author knows better than any of ours.
    pub(super) fn of_rule(held: Held<'_>) -> Self {
        let Held { rule, tier, since_ms, evidence } = held;
        Self {
            rule: rule.name.clone(),
            tier: tier.id.clone(),
            since_ms,
            verdict: Verdict {
                tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
                class: Some(rule.name.clone()),
                title: rule.title.clone(),
                phase: rule.phase,
                confidence: 1.0,
                explained_share: None,
                alternatives: Vec::new(),
                onset: Some(since_ms),
                evidence,
                remedy_now: rule.now.clone(),
                remedy_for_good: rule.for_good.clone(),
            },
            yields_to: &[],
        }
    }
}
