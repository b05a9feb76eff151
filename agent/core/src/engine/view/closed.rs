//! Handing on the seconds that have closed since the last snapshot, each one once.
//!
//! Counts are read when a second closes. What has no history of its own, such as the phase or the
//! requests in progress, is noted in the second in which it was drawn and handed on with that one. A member
//! whose tier is learned later than its first seconds close has these handed on then.

use std::collections::VecDeque;

use super::Engine;
use super::rows::{Row, Rows};
use crate::distribution::Distribution;
use crate::engine::members::{Identity, Member, MemberId};
use crate::phase::Phase;
use crate::slots::Slot;
use crate::snapshot::{
    ClosedSecondView, ClosedSignalView, ClosedTierView, FiguresFrom, LatencyView, SignalView, Snapshot, TierView,
};
use crate::time::UnixSecond;

/// Seconds that can still be handed on after a pause: as long as figures are kept by the second.
const HANDED_ON_AFTERWARDS_S: u64 = 290;

/// What stood in one second.
#[derive(Clone, Debug)]
struct Standing {
    second: UnixSecond,
    phase: Option<Phase>,
    incidents_open: u64,
    bottlenecks: Vec<String>,
    in_flight: Vec<(String, f64)>,
}

/// Where handing on has come to.
#[derive(Debug)]
pub(crate) struct Closing {
    /// The last second that was handed on.
    handed_on: UnixSecond,
    /// What stood in the seconds that are still open, oldest first.
    standing: VecDeque<Standing>,
    /// The members of the snapshot that is being drawn.
    drawn: Vec<MemberId>,
}

impl Closing {
    /// Seconds after `closed` will be handed on.
    pub(crate) fn after(closed: UnixSecond) -> Self {
        Self { handed_on: closed, standing: VecDeque::new(), drawn: Vec::new() }
    }

    fn standing_in(&self, second: UnixSecond) -> Option<&Standing> {
        self.standing.iter().find(|standing| standing.second == second)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let named = |standing: &Standing| (standing.bottlenecks.len() + standing.in_flight.len()) * 64;
        self.standing.iter().map(|standing| size_of::<Standing>() + named(standing)).sum()
    }
}

impl Engine {
    /// The counts of the seconds that closed since the last snapshot, oldest first.
    pub(super) fn closed_seconds(
        &mut self,
        rows: &Rows,
        tiers: &[TierView],
        signals: &[SignalView],
    ) -> Vec<ClosedSecondView> {
        self.closing.drawn = rows.list.iter().flat_map(|row| row.members.iter().copied()).collect();
        let next = self.closing.handed_on.plus(1);
        let firsts = self.closing.drawn.iter().map(|id| self.first_to_hand_on(self.members.get(*id)));
        let first = firsts.fold(next, UnixSecond::min).max(self.closed.minus(HANDED_ON_AFTERWARDS_S));
        (first.0..=self.closed.0)
            .map(|unix_s| {
                let second = UnixSecond(unix_s);
                let tiers = rows.list.iter().zip(tiers);
                let tiers = tiers.filter_map(|(row, tier)| self.closed_tier(row, tier, signals, second)).collect();
                ClosedSecondView { unix_s, phase: None, incidents_open: None, tiers }
            })
            .filter(|closed| closed.unix_s >= next.0 || !closed.tiers.is_empty())
            .collect()
    }

    /// The first second of a member that is still to be handed on, once it closes.
    fn first_to_hand_on(&self, member: &Member) -> UnixSecond {
        let next = self.closing.handed_on.plus(1);
        member.handed_on.map_or(member.first_second.unwrap_or(next), |handed_on| handed_on.plus(1))
    }

    fn closed_tier(
        &self,
        row: &Row,
        tier: &TierView,
        signals: &[SignalView],
        second: UnixSecond,
    ) -> Option<ClosedTierView> {
        let members = row.members.iter().map(|id| self.members.get(*id));
        let members: Vec<&Member> = members.filter(|member| self.first_to_hand_on(member) <= second).collect();
        if members.is_empty() {
            return None;
        }
        let spans = of_spans(&members, second);
        let reported = of_reports(&members, second);
        // The rate of the screen: the tier's own counts where no spans come or where these are sampled.
        let counted = match tier.figures_from {
            FiguresFrom::OwnSpans | FiguresFrom::CallerSpans => spans.as_ref(),
            FiguresFrom::Metrics | FiguresFrom::SpansAndMetrics => reported.as_ref(),
        };
        let timed = match tier.figures_from {
            FiguresFrom::Metrics => reported.as_ref(),
            _ => spans.as_ref(),
        };
        // What stands was handed on before, if any of the row was.
        let is_first = members.len() == row.members.len();
        let signals = if is_first { self.signals_at(&row.id, signals, second) } else { Vec::new() };
        if counted.is_none() && timed.is_none() && signals.is_empty() {
            return None;
        }
        Some(ClosedTierView {
            id: row.id.clone(),
            kind: row.kind,
            member: row.name.clone(),
            requests: counted.map(Slot::count),
            errors: counted.map(|slot| slot.errors),
            latency: timed.filter(|slot| slot.count() > 0).map(|slot| latency_view(&slot.latency)),
            in_flight: None,
            is_bottleneck: None,
            signals,
        })
    }

    fn signals_at(&self, tier: &str, signals: &[SignalView], second: UnixSecond) -> Vec<ClosedSignalView> {
        let ago = self.now.second().0.saturating_sub(second.0) as usize;
        let at = |signal: &SignalView| {
            let place = signal.trend.len().checked_sub(ago + 1)?;
            let value = f64::from(signal.trend[place]?);
            Some(ClosedSignalView { kind: signal.kind, part: signal.part.clone(), value })
        };
        signals.iter().filter(|signal| signal.tier == tier).filter_map(at).collect()
    }

    /// Notes what stands now, and completes the closed seconds with what stood in them.
    pub(in crate::engine) fn complete_closed_seconds(&mut self, snapshot: &mut Snapshot) {
        let standing = standing_of(snapshot, self.now.second());
        self.closing.standing.push_back(standing);
        for closed in &mut snapshot.closed_seconds {
            let Some(standing) = self.closing.standing_in(UnixSecond(closed.unix_s)) else { continue };
            closed.phase = standing.phase;
            closed.incidents_open = Some(standing.incidents_open);
            for tier in &mut closed.tiers {
                tier.is_bottleneck = Some(standing.bottlenecks.contains(&tier.id));
                let of_tier = standing.in_flight.iter().find(|(id, _)| *id == tier.id);
                tier.in_flight = of_tier.map(|(_, value)| *value);
            }
        }
        for id in std::mem::take(&mut self.closing.drawn) {
            self.members.get_mut(id).handed_on = Some(self.closed);
        }
        self.closing.handed_on = self.closing.handed_on.max(self.closed);
        let handed_on = self.closing.handed_on;
        self.closing.standing.retain(|standing| standing.second > handed_on);
    }
}

fn standing_of(snapshot: &Snapshot, second: UnixSecond) -> Standing {
    let named = snapshot.diagnosis.open().filter_map(|incident| incident.verdict.as_ref());
    let in_flight = snapshot.tiers.iter().filter_map(|tier| Some((tier.id.clone(), tier.in_flight?.value)));
    Standing {
        second,
        phase: snapshot.capacity.phase,
        incidents_open: snapshot.diagnosis.open().count() as u64,
        bottlenecks: named.map(|verdict| verdict.tier.id.clone()).collect(),
        in_flight: in_flight.collect(),
    }
}

/// What spans say of one second; `None` before the first of them.
fn of_spans(members: &[&Member], second: UnixSecond) -> Option<Slot> {
    let there = |member: &&&Member| member.first_second.is_some_and(|first| first <= second);
    let mut there = members.iter().filter(there).peekable();
    there.peek()?;
    let mut sum = Slot::default();
    for member in there {
        sum.merge(&member.history.sum(second, second));
    }
    Some(sum)
}

/// What the services' own histograms say of the intervals that ended in one second.
fn of_reports(members: &[&Member], second: UnixSecond) -> Option<Slot> {
    let services = members.iter().filter(|member| matches!(member.identity(), Identity::Service(..)));
    let reports = services.flat_map(|member| &member.reported).filter(|report| report.to.second() == second);
    reports.fold(None, |sum: Option<Slot>, report| {
        let mut sum = sum.unwrap_or_default();
        sum.merge(&report.slot);
        Some(sum)
    })
}

fn latency_view(latency: &Distribution) -> LatencyView {
    LatencyView {
        count: latency.count(),
        sum_ms: latency.sum_seconds() * 1e3,
        min_ms: latency.min_ms().unwrap_or_default(),
        max_ms: latency.max_ms().unwrap_or_default(),
        buckets: super::tier::bucket_views(latency),
    }
}
