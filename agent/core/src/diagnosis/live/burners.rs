//! Slow burners: what goes bad while requests may still be well, told by the warnings on signals.

use std::collections::BTreeMap;

use super::super::table::{CLASSES, Class};
use super::levels::Levels;
use crate::phase::Phase;
use crate::snapshot::{SignalKind, Snapshot, StallView, TierView, WarningView};
use crate::tier::TierKind;
use crate::verdict::{TierRef, Verdict};

/// How sure a verdict is that rests on a signal alone.
const SURE: f64 = 0.7;

/// A hit rate must have fallen for so long.
const CHURN_MS: u64 = 12_000;
/// One instance must stand still so often ...
const AGAIN: usize = 3;
/// ... in so many milliseconds: once is nothing.
const AGAIN_MS: u64 = 60_000;

/// A rule whose warning is a fault of a class, whatever requests say.
#[derive(Clone, Copy, Debug)]
struct Burner {
    /// The rule's name.
    rule: &'static str,
    /// Kinds of the tier that is warned of.
    of: &'static [TierKind],
    /// The class.
    class: &'static str,
    /// Kinds of tier whose own verdict accounts for the signal: it is then a victim.
    yields_to: &'static [TierKind],
}

const BURNERS: &[Burner] = &[
    Burner { rule: "replica-lag", of: &[TierKind::DbReplica], class: "replica-lag", yields_to: &[] },
    Burner {
        rule: "cache-hit-rate-falling",
        of: &[TierKind::Cache, TierKind::Edge],
        class: "cache-flush",
        yields_to: &[],
    },
    Burner { rule: "queue-backlog", of: &[TierKind::Queue], class: "worker-loss", yields_to: BEHIND_A_QUEUE },
    Burner { rule: "queue-growth", of: &[TierKind::Queue], class: "worker-loss", yields_to: BEHIND_A_QUEUE },
    Burner { rule: "one-zone-carries-all", of: &TierKind::ALL, class: "zone-loss", yields_to: &[] },
    Burner { rule: "latency-above-usual", of: &[TierKind::Cache], class: "cache-hot-key", yields_to: &TierKind::ALL },
    Burner { rule: "one-instance-carries-all", of: &TierKind::ALL, class: "uneven-balance", yields_to: &[] },
];

/// What a worker may wait for: if one of these is slow, the queue grows because of it.
const BEHIND_A_QUEUE: &[TierKind] = &[
    TierKind::Worker,
    TierKind::ObjectStore,
    TierKind::DbPrimary,
    TierKind::DbReplica,
    TierKind::Cache,
    TierKind::Nosql,
    TierKind::External,
];

/// Two that begin closer than this are one.
const ONCE_MS: u64 = 2_500;

/// A signal that is bad, as a verdict.
#[derive(Clone, Debug)]
pub(super) struct Burning {
    pub(super) rule: String,
    pub(super) tier: String,
    pub(super) since_ms: u64,
    pub(super) verdict: Verdict,
    pub(super) yields_to: &'static [TierKind],
}

impl Burning {
    /// A fault of a class, as a rule's name says it.
    pub(super) fn of_class(class: &Class, rule: &str, tier: &TierView, since_ms: u64, evidence: Vec<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            tier: tier.id.clone(),
            since_ms,
            verdict: Verdict {
                tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
                class: Some(class.name.to_owned()),
                title: class.title.to_owned(),
                phase: class.phase,
                confidence: SURE,
                explained_share: None,
                alternatives: Vec::new(),
                onset: Some(since_ms),
                evidence,
                remedy_now: Some(class.now.to_owned()),
                remedy_for_good: Some(class.for_good.to_owned()),
            },
            yields_to: &[],
        }
    }

    /// What metrics alone showed; a verdict from requests takes its place.
    pub(super) fn of_metrics(verdict: Verdict) -> Self {
        Self {
            rule: "metrics-alone".to_owned(),
            tier: verdict.tier.id.clone(),
            since_ms: verdict.onset.unwrap_or_default(),
            verdict,
            yields_to: &TierKind::ALL,
        }
    }

    /// What stands still, whatever that makes of requests.
    pub(super) fn standing(rule: &str, verdict: Verdict, since_ms: u64) -> Self {
        Self { rule: rule.to_owned(), tier: verdict.tier.id.clone(), since_ms, verdict, yields_to: &[] }
    }

    /// Whether a verdict from requests accounts for it.
    pub(super) fn yields_to(&self, other: &Verdict) -> bool {
        let writes_stand = ["disk-full", "lock-contention", "primary-failover"];
        let stopped = other.class.as_deref().is_some_and(|class| writes_stand.contains(&class));
        // Whoever stands still is not the victim of itself.
        let is_itself = self.rule == "gc-stalls" && other.tier.id == self.tier;
        (self.yields_to.contains(&other.tier.kind) && !is_itself) || (self.rule == "replica-lag" && stopped)
    }
}

/// The open warnings that are faults of their own.
pub(super) fn burning(snapshot: &Snapshot, levels: &Levels) -> Vec<Burning> {
    let open = snapshot.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none());
    open.filter_map(|warning| {
        // A cache forgets a little all the time.
        if warning.rule == "cache-hit-rate-falling" && warning.since_unix_ms + CHURN_MS > snapshot.at_unix_ms {
            return None;
        }
        let kind = snapshot.tiers.iter().find(|tier| tier.id == warning.tier)?.kind;
        let burner = BURNERS.iter().find(|burner| burner.rule == warning.rule && burner.of.contains(&kind))?;
        if warning.rule == "one-instance-carries-all" && lost_some(snapshot, warning) {
            return lost_instance(snapshot, warning);
        }
        // What is out of the rotation and still reports is not lost.
        let is_uneven = burner.class == "zone-loss" && !lost_some(snapshot, warning);
        let name = if is_uneven { "uneven-balance" } else { burner.class };
        let class = CLASSES.iter().find(|class| class.name == name)?;
        if warning.rule == "replica-lag" && all_fall_behind(snapshot, warning) {
            return stands_still(snapshot, warning);
        }
        let tier = cause(class, (snapshot, levels), warning)?;
        let burning = Burning::of_class(class, &warning.rule, tier, warning.since_unix_ms, warning.evidence.clone());
        Some(Burning { tier: warning.tier.clone(), yields_to: burner.yields_to, ..burning })
    })
    .collect()
}

/// Instances that stand still again and again, while others go on.
pub(super) fn standing(snapshot: &Snapshot) -> Vec<Burning> {
    let Some(class) = CLASSES.iter().find(|class| class.name == "gc-stalls") else { return Vec::new() };
    let recent =
        snapshot.stalls.iter().filter(|stall| !stall.ongoing && stall.start_unix_ms + AGAIN_MS > snapshot.at_unix_ms);
    let mut by_instance: BTreeMap<(&str, &str), Vec<&StallView>> = BTreeMap::new();
    for stall in recent {
        if let (Some(tier), Some(instance)) = (&stall.tier, &stall.instance) {
            let known = by_instance.entry((tier, instance)).or_default();
            // Told by those who waited and by itself, it may be there twice.
            if known.iter().all(|other| other.start_unix_ms.abs_diff(stall.start_unix_ms) >= ONCE_MS) {
                known.push(stall);
            }
        }
    }
    let again = by_instance.into_iter().filter(|(_, stalls)| stalls.len() >= AGAIN);
    again
        .filter_map(|((tier, instance), stalls)| {
            let tier = snapshot.tiers.iter().find(|known| known.id == tier)?;
            let longest = stalls.iter().map(|stall| stall.length_ms).max()?;
            let since_ms = stalls.iter().map(|stall| stall.start_unix_ms).min()?;
            let (times, seconds) = (stalls.len(), AGAIN_MS / 1_000);
            let line = format!("{instance} stood still {times} times in {seconds} s, for up to {longest} ms");
            let standing = Burning::of_class(class, class.name, tier, since_ms, vec![line]);
            class.kinds.contains(&tier.kind).then_some(Burning { yields_to: &TierKind::ALL, ..standing })
        })
        .collect()
}

/// The tier at fault: the warned one, or the one that a queue waits for, or the one that spreads the load.
fn cause<'s>(
    class: &Class,
    (snapshot, levels): (&'s Snapshot, &Levels),
    warning: &WarningView,
) -> Option<&'s TierView> {
    let of_kind = |kind: TierKind| snapshot.tiers.iter().find(move |tier| tier.kind == kind);
    let warned = snapshot.tiers.iter().find(|tier| tier.id == warning.tier);
    match class.name {
        "worker-loss" => {
            let takes = |tier: &&TierView| tier.kind == TierKind::Worker && levels.calls(&warning.tier, &tier.id);
            snapshot.tiers.iter().find(takes).or_else(|| of_kind(TierKind::Worker)).or(warned)
        }
        "zone-loss" | "uneven-balance" => of_kind(TierKind::Lb).or(warned),
        _ => warned,
    }
}

/// Whether all that replay what a primary writes are as far behind: then it writes nothing.
fn all_fall_behind(snapshot: &Snapshot, warning: &WarningView) -> bool {
    let lags = snapshot
        .signals
        .iter()
        .filter(|signal| signal.kind == SignalKind::ReplicaLagSeconds && signal.tier == warning.tier);
    let lags: Vec<f64> = lags.filter_map(|signal| signal.value).collect();
    let (least, most) = (lags.iter().copied().fold(f64::INFINITY, f64::min), lags.iter().copied().fold(0.0, f64::max));
    lags.len() > 2 && least > 1.0 && most - least < 1.0 + 0.1 * most
}

/// The primary, of which nothing new comes.
fn stands_still(snapshot: &Snapshot, warning: &WarningView) -> Option<Burning> {
    let tier = snapshot.tiers.iter().find(|tier| tier.kind == TierKind::DbPrimary)?;
    let mut evidence = vec!["all that replay its writes fall behind alike: it writes nothing".to_owned()];
    evidence.extend(warning.evidence.iter().cloned());
    Some(Burning {
        rule: warning.rule.clone(),
        tier: warning.tier.clone(),
        since_ms: warning.since_unix_ms,
        verdict: Verdict {
            tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
            class: None,
            title: "writes nothing".to_owned(),
            phase: Some(Phase::Writes),
            confidence: SURE,
            explained_share: None,
            alternatives: Vec::new(),
            onset: Some(warning.since_unix_ms),
            evidence,
            remedy_now: Some("look at free space, held locks, and whether it is up".to_owned()),
            remedy_for_good: Some("alarms on free space and lock waits; a standby that takes over".to_owned()),
        },
        yields_to: &[TierKind::DbPrimary],
    })
}

/// The tier of which an instance takes and sends nothing any more.
fn lost_instance(snapshot: &Snapshot, warning: &WarningView) -> Option<Burning> {
    let tier = snapshot.tiers.iter().find(|tier| tier.id == warning.tier)?;
    let silent = tier.instances.iter().filter_map(|one| Some((one.name.as_str(), one.silent_for_s?)));
    let (name, seconds) = silent.min_by_key(|(_, seconds)| *seconds)?;
    let mut evidence = vec![format!("nothing was heard of {name} for {seconds} s")];
    evidence.extend(warning.evidence.iter().cloned());
    let verdict = Verdict {
        tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
        class: None,
        title: "an instance is gone or stands still".to_owned(),
        phase: Some(Phase::WebTier),
        confidence: SURE,
        explained_share: None,
        alternatives: Vec::new(),
        onset: Some(warning.since_unix_ms),
        evidence,
        remedy_now: Some("take it out of the balancer, and start another".to_owned()),
        remedy_for_good: Some("health checks that ask for real work; Auto Scaling that replaces instances".to_owned()),
    };
    Some(Burning::standing("lost-instance", verdict, warning.since_unix_ms))
}

/// Whether an instance of the warned tier is not heard of any more.
fn lost_some(snapshot: &Snapshot, warning: &WarningView) -> bool {
    let warned = snapshot.tiers.iter().filter(|tier| tier.id == warning.tier);
    warned.flat_map(|tier| &tier.instances).any(|instance| instance.silent_for_s.is_some())
}
