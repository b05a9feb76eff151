//! Slow burners: what goes bad while requests may still be well, told by the warnings on signals.

use super::super::table::{CLASSES, Class};
use crate::phase::Phase;
use crate::snapshot::{SignalKind, Snapshot, TierView, WarningView};
use crate::tier::TierKind;
use crate::verdict::{TierRef, Verdict};

/// How sure a verdict is that rests on a signal alone.
pub(super) const SURE: f64 = 0.7;

/// A rule whose warning is a fault of a class, whatever requests say.
#[derive(Clone, Copy, Debug)]
struct Burner {
    /// The rule's name.
    rule: &'static str,
    /// The class.
    class: &'static str,
    /// Kinds of tier whose own verdict accounts for the signal: it is then a victim.
    yields_to: &'static [TierKind],
}

const BURNERS: &[Burner] = &[
    Burner { rule: "replica-lag", class: "replica-lag", yields_to: &[] },
    Burner { rule: "cache-hit-rate-falling", class: "cache-flush", yields_to: &[] },
    Burner { rule: "queue-backlog", class: "worker-loss", yields_to: BEHIND_A_QUEUE },
    Burner { rule: "queue-growth", class: "worker-loss", yields_to: BEHIND_A_QUEUE },
    Burner { rule: "one-zone-carries-all", class: "zone-loss", yields_to: &[] },
    Burner { rule: "one-instance-carries-all", class: "uneven-balance", yields_to: &[] },
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
    /// Whether a verdict from requests accounts for it.
    pub(super) fn yields_to(&self, other: &Verdict) -> bool {
        let writes_stand = ["disk-full", "lock-contention", "primary-failover"];
        let stopped = other.class.as_deref().is_some_and(|class| writes_stand.contains(&class));
        self.yields_to.contains(&other.tier.kind) || (self.rule == "replica-lag" && stopped)
    }
}

/// The open warnings that are faults of their own.
pub(super) fn burning(snapshot: &Snapshot) -> Vec<Burning> {
    let open = snapshot.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none());
    open.filter_map(|warning| {
        let burner = BURNERS.iter().find(|burner| burner.rule == warning.rule)?;
        // What is out of the rotation and still reports is not lost.
        let name = if burner.class == "zone-loss" && others_report(snapshot, warning) {
            "uneven-balance"
        } else {
            burner.class
        };
        let class = CLASSES.iter().find(|class| class.name == name)?;
        if warning.rule == "replica-lag" && all_fall_behind(snapshot, warning) {
            return stands_still(snapshot, warning);
        }
        let tier = cause(class, snapshot, warning)?;
        Some(Burning {
            rule: warning.rule.clone(),
            tier: warning.tier.clone(),
            since_ms: warning.since_unix_ms,
            verdict: verdict(class, tier, warning),
            yields_to: burner.yields_to,
        })
    })
    .collect()
}

/// The tier at fault: the warned one, or the one that a queue waits for, or the one that spreads the load.
fn cause<'s>(class: &Class, snapshot: &'s Snapshot, warning: &WarningView) -> Option<&'s TierView> {
    let of_kind = |kind: TierKind| snapshot.tiers.iter().find(move |tier| tier.kind == kind);
    let warned = snapshot.tiers.iter().find(|tier| tier.id == warning.tier);
    match class.name {
        "worker-loss" => of_kind(TierKind::Worker).or(warned),
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

/// Whether instances that take nothing are still heard of.
fn others_report(snapshot: &Snapshot, warning: &WarningView) -> bool {
    let warned = snapshot.tiers.iter().find(|tier| tier.id == warning.tier);
    let idle = warned.into_iter().flat_map(|tier| &tier.instances);
    let idle = idle.filter(|instance| instance.requests_per_second.is_none_or(|rate| rate < 0.5));
    idle.clone().count() > 0 && idle.into_iter().all(|instance| instance.silent_for_s.is_none())
}

fn verdict(class: &Class, tier: &TierView, warning: &WarningView) -> Verdict {
    Verdict {
        tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
        class: Some(class.name.to_owned()),
        title: class.title.to_owned(),
        phase: class.phase,
        confidence: SURE,
        explained_share: None,
        alternatives: Vec::new(),
        onset: Some(warning.since_unix_ms),
        evidence: warning.evidence.clone(),
        remedy_now: Some(class.now.to_owned()),
        remedy_for_good: Some(class.for_good.to_owned()),
    }
}
