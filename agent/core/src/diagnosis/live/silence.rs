//! A store or a service of others that answers nothing any more, while requests wait.
//!
//! A call that does not come back sends no span, so what stands still is told by what is missing:
//! 1. a tier that sends no spans of its own is usually asked, and for so long hardly a call to it was
//!    answered that at least [`MISSING`] are missing;
//! 2. requests wait: the front has several times the usual number in progress, completes nothing, or fails
//!    more, as it gives up;
//! 3. who asks that tier takes requests and still reports, or it would be the one that stands.
//!
//! What a request would have asked for after that is silent as well: of several the one is named that
//! requests ask first, as the kept traces show.

use super::burners::Burning;
use super::levels::{Figure, Levels};
use super::traffic::Times;
use crate::phase::Phase;
use crate::snapshot::{Snapshot, TierView, TraceView};
use crate::tier::TierKind;
use crate::verdict::{TierRef, Verdict};

/// The rule's name.
pub(super) const RULE: &str = "answers-nothing";
/// Calls that must be missing.
const MISSING: f64 = 12.0;
/// Seconds that the figures of a snapshot cover: a rate of zero is at least so long a silence.
const COVERED_S: f64 = 10.0;
/// Share of the usual calls that may still end: some ask for what does not stand.
const STRAY: f64 = 0.2;
/// Longest silence that is waited for.
const LONGEST_S: u64 = 30;
/// Requests in progress beyond three times the usual ones.
const WAITING: f64 = 4.0;
/// Share of requests that fail as callers give up.
const GIVEN_UP: f64 = 0.1;
/// How sure it is: nothing was measured of the calls that wait.
const SURE: f64 = 0.6;

/// What is asked by its address, and sends no spans.
const LEAVES: [TierKind; 8] = [
    TierKind::Cache,
    TierKind::DbPrimary,
    TierKind::DbReplica,
    TierKind::Nosql,
    TierKind::ObjectStore,
    TierKind::Queue,
    TierKind::Warehouse,
    TierKind::External,
];

/// What stands still, if anything does.
pub(super) fn standing(snapshot: &Snapshot, levels: &Levels, times: &Times<'_>) -> Option<Burning> {
    let waits = why_waiting(snapshot, levels, times)?;
    let silent: Vec<(&TierView, f64, f64)> = snapshot
        .tiers
        .iter()
        .filter(|tier| LEAVES.contains(&tier.kind) && is_asked_by_the_living(snapshot, levels, tier))
        .filter_map(|tier| {
            let (usual, quiet_s) = silence(levels, times, tier)?;
            Some((tier, usual, quiet_s))
        })
        .collect();
    let all: Vec<&str> = silent.iter().map(|(tier, ..)| tier.id.as_str()).collect();
    let (tier, usual, quiet_s) =
        silent.iter().copied().min_by_key(|(tier, ..)| asked_after(snapshot, &tier.id, &all))?;
    let mut evidence =
        vec![format!("hardly a call to it was answered for {quiet_s:.0} s, usually {usual:.1} a second; {waits}")];
    let behind: Vec<&str> = all.iter().copied().filter(|other| *other != tier.id).collect();
    if !behind.is_empty() {
        evidence.push(format!("asked before {}, which are silent as well", behind.join(", ")));
    }
    let since_ms = snapshot.at_unix_ms.saturating_sub((quiet_s * 1e3) as u64);
    let verdict = Verdict {
        tier: TierRef { id: tier.id.clone(), kind: tier.kind, member: tier.member.clone() },
        class: None,
        title: "answers nothing: calls to it do not come back".to_owned(),
        phase: match tier.kind {
            TierKind::DbPrimary | TierKind::Queue => Some(Phase::Writes),
            TierKind::Cache | TierKind::DbReplica => Some(Phase::DatabaseReads),
            _ => None,
        },
        confidence: SURE,
        explained_share: None,
        alternatives: Vec::new(),
        onset: Some(since_ms),
        evidence,
        remedy_now: Some("see whether it is up, and what its sessions wait for: a lock, a full disk".to_owned()),
        remedy_for_good: Some("short time limits on calls to it; alarms on waiting sessions; a standby".to_owned()),
    };
    Some(Burning::standing(RULE, verdict, since_ms))
}

/// What shows that requests wait, in words.
fn why_waiting(snapshot: &Snapshot, levels: &Levels, times: &Times<'_>) -> Option<String> {
    if let Some(stall) = snapshot.stalls.iter().find(|stall| stall.ongoing) {
        return Some(stall.summary.clone());
    }
    let front = snapshot.tiers.iter().find(|tier| tier.id == levels.front())?;
    let usual = levels.median(Figure::InFlight, &front.id, times.usual).unwrap_or_default();
    let waiting = front.in_flight.as_ref().map_or(0.0, |in_flight| in_flight.value);
    if waiting >= WAITING + 3.0 * usual {
        return Some(format!("{waiting:.0} requests wait at the front, usually {usual:.0}"));
    }
    let failing = front.error_ratio.unwrap_or_default();
    let usually = levels.median(Figure::Failing, &front.id, times.usual).unwrap_or_default();
    (failing >= usually + GIVEN_UP).then(|| format!("{:.0} % of requests are given up", failing * 100.0))
}

/// The usual calls a second, and the seconds without one, if these are too many to be chance.
fn silence(levels: &Levels, times: &Times<'_>, tier: &TierView) -> Option<(f64, f64)> {
    let usual = levels.median(Figure::Answered, &tier.id, times.usual).filter(|usual| *usual > 0.0)?;
    let silent_at = |back: u64| {
        let at = times.now.minus(back);
        levels.most(Figure::Answered, &tier.id, at, at).is_none_or(|rate| rate <= STRAY * usual)
    };
    let ticks = (0..LONGEST_S).take_while(|back| silent_at(*back)).count();
    let quiet_s = COVERED_S + ticks as f64 - 1.0;
    (ticks > 0 && quiet_s * usual >= MISSING).then_some((usual, quiet_s))
}

/// Whether a service that takes requests asks it, and still reports.
fn is_asked_by_the_living(snapshot: &Snapshot, levels: &Levels, tier: &TierView) -> bool {
    let lives = |caller: &TierView| {
        let all_report = caller.instances.iter().all(|one| one.silent_for_s.is_none());
        !matches!(caller.kind, TierKind::Worker) && !caller.instances.is_empty() && all_report
    };
    snapshot.tiers.iter().filter(|caller| levels.calls(&caller.id, &tier.id)).any(lives)
}

/// In how many kept traces a tier is asked after another one of these.
fn asked_after(snapshot: &Snapshot, tier: &str, silent: &[&str]) -> usize {
    let first_ms = |trace: &TraceView, of: &str| {
        trace.spans.iter().filter(|span| span.tier == of).map(|span| span.start_ms).reduce(f64::min)
    };
    let is_later = |trace: &TraceView| {
        let own_ms = first_ms(trace, tier);
        own_ms.is_some_and(|own| silent.iter().any(|other| first_ms(trace, other).is_some_and(|other| other < own)))
    };
    snapshot.traces.iter().filter(|trace| is_later(trace)).count()
}
