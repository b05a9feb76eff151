//! Judging one rule against one snapshot.

use std::collections::BTreeMap;

use super::rules::{Rule, Watch};
use super::usual::{Figure, Usual};
use crate::snapshot::{Severity, SignalKind, SignalView, Snapshot, TierView};
use crate::thresholds::Thresholds;

/// What a rule found of one tier or signal.
#[derive(Debug)]
pub(super) struct Finding {
    /// The tier.
    pub(super) tier: String,
    /// The rule holds.
    pub(super) bad: bool,
    /// An open warning may not close yet.
    pub(super) still_bad: bool,
    pub(super) severity: Severity,
    pub(super) evidence: Vec<String>,
}

/// Judges a rule against all that it speaks of; each finding under a name of its own.
pub(super) fn find(rule: &Rule, snapshot: &Snapshot, usual: &Usual, thresholds: &Thresholds) -> Vec<(String, Finding)> {
    let tiers = snapshot.tiers.iter().filter(|tier| rule.kinds.contains(&tier.kind));
    let watched = tiers.map(|tier| (tier, (rule.watch)(thresholds.of(tier.kind, &tier.member))));
    watched
        .flat_map(|(tier, watch)| match watch {
            Watch::Low { signal, .. } | Watch::Falling { signal, .. } | Watch::HighOrGrowing { signal, .. } => {
                let signals = snapshot.signals.iter().filter(|view| view.kind == signal && view.tier == tier.id);
                signals
                    .filter_map(|signal| judge_signal(watch, tier, signal, usual))
                    .map(|(part, finding)| (format!("{} {part}", tier.id), finding))
                    .collect()
            }
            _ => {
                judge_tier(watch, tier, usual).map(|finding| (tier.id.clone(), finding)).into_iter().collect::<Vec<_>>()
            }
        })
        .collect()
}

/// Seconds that the figures of a snapshot cover, unless told otherwise.
const FIGURES_COVER_S: f64 = 10.0;

fn judge_signal(watch: Watch, tier: &TierView, signal: &SignalView, usual: &Usual) -> Option<(String, Finding)> {
    let value = signal.value?;
    let slope = signal.slope_per_second.unwrap_or_default();
    let rate = tier.requests_per_second.unwrap_or_default();
    let (bad, still_bad, critical, evidence) = match watch {
        Watch::Low { below, critical, at_least_per_second, .. } => {
            let bad = value < below && slope < 0.005 && rate >= at_least_per_second;
            (bad, value < below * 1.1, value < critical, vec![format!("{} of reads are hits", percent(value))])
        }
        Watch::Falling { signal: kind, by, critical, at_least_per_second } => {
            let usual = usual.level(&tier.id, Figure::Signal(kind))?;
            let fall = usual - value;
            // Of few reads the share that hits swings by chance.
            let chance = 4.0 * (usual * (1.0 - usual) / (rate * FIGURES_COVER_S).max(1.0)).sqrt();
            let bad = fall >= by.max(chance) && rate >= at_least_per_second;
            let text = format!("{} of reads are hits, usually {}", percent(value), percent(usual));
            (bad, fall >= by / 2.0, fall >= critical, vec![text])
        }
        Watch::HighOrGrowing { above, critical, growing_above, growing_per_second, .. } => {
            let growing = value > growing_above && slope >= growing_per_second;
            (
                value > above || growing,
                value > growing_above.min(above),
                value > critical,
                level_evidence(tier, signal, value, slope),
            )
        }
        _ => return None,
    };
    let mut evidence = evidence;
    if signal.inferred {
        evidence.push(signal.source.clone());
    }
    Some((signal.part.clone(), finding(tier, bad, still_bad, critical, evidence)))
}

fn level_evidence(tier: &TierView, signal: &SignalView, value: f64, slope: f64) -> Vec<String> {
    let (what, is_time) = match signal.kind {
        SignalKind::ReplicaLagSeconds => ("lag", true),
        SignalKind::QueueOldestAgeSeconds => ("oldest message", true),
        SignalKind::QueueDepth => ("depth", false),
        _ => ("level", false),
    };
    let figure = if is_time { seconds(value) } else { format!("{value:.0}") };
    let change = match slope {
        slope if slope.abs() < 0.05 => "steady".to_owned(),
        slope if is_time => format!("{} {:.1} s/s", if slope > 0.0 { "growing" } else { "falling" }, slope.abs()),
        slope => format!("{} {:.1}/s", if slope > 0.0 { "growing" } else { "falling" }, slope.abs()),
    };
    let part = if signal.part.is_empty() { String::new() } else { format!(" at {}", signal.part) };
    let mut lines = vec![format!("{what} {figure}{part}, {change}")];
    if let Some(rate) = tier.requests_per_second.filter(|rate| *rate > 0.0) {
        lines.push(format!("{rate:.1} requests/s go there"));
    }
    lines
}

fn judge_tier(watch: Watch, tier: &TierView, usual: &Usual) -> Option<Finding> {
    let rate = tier.requests_per_second?;
    let in_window = rate * 10.0;
    match watch {
        Watch::SlowerThanUsual { times, critical, by_ms, critical_by_ms, at_least } => {
            let (p90, p95) = (tier.p90_ms?, tier.p95_ms?);
            let (usual_p90, usual_p95) = (usual.level(&tier.id, Figure::P90)?, usual.level(&tier.id, Figure::P95)?);
            let over = |factor: f64| p95 > usual_p95 * factor && p90 > usual_p90 * factor && p95 - usual_p95 > by_ms;
            let text = format!("p95 {}, usually {}", millis(p95), millis(usual_p95));
            let mut evidence = vec![text];
            evidence.extend(slowest_operation(tier));
            let bad = over(times) && in_window >= at_least;
            let critical = over(critical) && p95 - usual_p95 >= critical_by_ms;
            Some(finding(tier, bad, over(1.0 + (times - 1.0) / 2.0), critical, evidence))
        }
        Watch::MoreErrorsThanUsual { by, critical, at_least } => {
            let ratio = tier.error_ratio?;
            let usual = usual.level(&tier.id, Figure::Errors)?;
            let rise = ratio - usual;
            let bad = rise >= by && ratio * in_window >= at_least;
            let text = format!("{} of requests fail, usually {}", percent(ratio), percent(usual));
            let mut evidence = vec![text];
            evidence.extend(most_failing_operation(tier));
            Some(finding(tier, bad, rise >= by / 2.0, rise >= critical, evidence))
        }
        Watch::OneInstance { share, at_least_per_second } => {
            let rates = tier.instances.iter().map(|instance| (instance.name.clone(), instance.requests_per_second));
            carries_all(tier, rates.collect(), share, at_least_per_second, "instance")
        }
        Watch::OneZone { share, at_least_per_second } => {
            let mut zones: BTreeMap<String, f64> = BTreeMap::new();
            for instance in &tier.instances {
                let rate = instance.requests_per_second.unwrap_or_default();
                *zones.entry(instance.zone.clone()?).or_default() += rate;
            }
            let rates = zones.into_iter().map(|(zone, rate)| (zone, Some(rate))).collect();
            carries_all(tier, rates, share, at_least_per_second, "zone")
        }
        _ => None,
    }
}

fn carries_all(
    tier: &TierView,
    rates: Vec<(String, Option<f64>)>,
    share: f64,
    at_least_per_second: f64,
    what: &str,
) -> Option<Finding> {
    let of = rates.len();
    let total: f64 = rates.iter().filter_map(|(_, rate)| *rate).sum();
    let (name, most) = rates
        .into_iter()
        .filter_map(|(name, rate)| rate.map(|rate| (name, rate)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    let bad = of > 1 && total >= at_least_per_second && most >= share * total;
    let text =
        format!("{what} {name} takes {} of {total:.1} requests/s; there are {of} {what}s", percent(most / total));
    Some(finding(tier, bad, bad, false, vec![text]))
}

fn slowest_operation(tier: &TierView) -> Option<String> {
    let operation = tier.operations.first()?;
    let share = percent(operation.time_share);
    Some(format!("most time: {} ({share} of it, p95 {})", operation.name, millis(operation.p95_ms?)))
}

fn most_failing_operation(tier: &TierView) -> Option<String> {
    let failures = |rate: f64, ratio: f64| rate * ratio;
    let worst = tier.operations.iter().max_by(|one, other| {
        let one = failures(one.requests_per_second, one.error_ratio);
        one.total_cmp(&failures(other.requests_per_second, other.error_ratio))
    })?;
    (worst.error_ratio > 0.0).then(|| format!("most failures: {}", worst.name))
}

fn finding(tier: &TierView, bad: bool, still_bad: bool, critical: bool, evidence: Vec<String>) -> Finding {
    let severity = if bad && critical { Severity::Critical } else { Severity::Warning };
    Finding { tier: tier.id.clone(), bad, still_bad, severity, evidence }
}

fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent.abs() < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}
