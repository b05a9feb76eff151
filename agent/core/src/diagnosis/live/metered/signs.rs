//! The class of what metrics show, by the signs that they can show.

use super::excess::{Calls, Costs, Symptom};
use super::windows::Window;
use crate::classify::Act;
use crate::diagnosis::live::levels::Levels;
use crate::diagnosis::table::{CLASSES, Class, Sign};
use crate::tier::TierKind;
use crate::time::UnixSecond;
use crate::verdict::TierRef;

/// So many times the usual requests are a spike.
const MORE: f64 = 1.8;
/// Seconds before the newest window in which signals were usual.
const USUAL_S: u64 = 300;

/// What there is to look at.
pub(super) struct Signs<'a> {
    pub(super) costs: &'a Costs,
    pub(super) levels: &'a Levels,
    pub(super) now: Window,
    pub(super) place: usize,
    pub(super) symptom: Symptom,
}

impl Signs<'_> {
    /// The tier at fault, and the class if one fits.
    pub(super) fn class(&self) -> (usize, Option<&'static Class>) {
        let kind = self.costs.tiers[self.place].kind;
        let fits = |class: &&Class| class.kinds.contains(&kind) && class.fits(|sign| self.is_seen(sign));
        let mut fitting = CLASSES.iter().filter(fits);
        let cause = |class: &Class| match class.cause {
            None => Some(self.place),
            Some(cause) if cause == kind => Some(self.place),
            Some(cause) => self.neighbour(cause),
        };
        let found = fitting.find_map(|class| Some((cause(class)?, class)));
        found.map_or((self.place, None), |(tier, class)| (tier, Some(class)))
    }

    fn is_seen(&self, sign: Sign) -> bool {
        let slower = self.symptom == Symptom::Slower;
        match sign {
            Sign::Slower => slower,
            Sign::Failing => !slower,
            Sign::InTheGap => slower && self.costs.gap_share(self.place) >= 0.7,
            Sign::OwnWork => self.costs.gap_share(self.place) <= 0.4,
            Sign::EveryOperation => self.slow_share() >= 0.7,
            Sign::OneOperation => self.slow_share() < 0.7 && self.own().filter(|calls| calls.is_slower()).count() == 1,
            Sign::WritesOnly => self.writes_only(),
            Sign::MoreRequests => self.costs.times_the_load(self.place).is_some_and(|times| times >= MORE),
            Sign::CacheMisses => slower && self.costs.more_share(self.place) >= 0.5,
            Sign::CpuBusy => self.is_busy() == Some(true),
            Sign::CpuFree => self.is_busy() == Some(false),
            Sign::PoolWaits => {
                let (usual, now) = self.signals();
                slower && now.pool_waits(&usual).is_some() && !self.is_database()
            }
            // Of versions, instances, zones and single requests these metrics say nothing.
            Sign::OneInstance
            | Sign::WritesMost
            | Sign::NewVersion
            | Sign::NowAndThen
            | Sign::Lags
            | Sign::QueueGrows
            | Sign::MemoryFills
            | Sign::IdleFleet
            | Sign::ZoneGone
            | Sign::OneCarriesAll => false,
        }
    }

    fn signals(&self) -> (crate::diagnosis::Signals, crate::diagnosis::Signals) {
        let (from, to) = (UnixSecond(self.now.from_s as u64), UnixSecond(self.now.to_s as u64));
        let long = to.0 - from.0;
        (self.levels.between(from.minus(USUAL_S), from.minus(long)), self.levels.between(from, to.plus(long)))
    }

    fn is_busy(&self) -> Option<bool> {
        let (usual, now) = self.signals();
        now.busier(&usual, &TierRef::from(&self.costs.tiers[self.place]).id)
    }

    fn is_database(&self) -> bool {
        matches!(self.costs.tiers[self.place].kind, TierKind::DbPrimary | TierKind::DbReplica)
    }

    /// Calls to the tier, as it measures them itself if it does.
    fn own(&self) -> impl Iterator<Item = &Calls> {
        let of_tier = || self.costs.calls.iter().filter(|calls| calls.tier == self.place && calls.now.count >= 1.0);
        let serves = of_tier().any(|calls| calls.asked_by.is_none());
        of_tier().filter(move |calls| calls.asked_by.is_none() == serves)
    }

    fn slow_share(&self) -> f64 {
        let count = |calls: &Calls| calls.now.count;
        let slow: f64 = self.own().filter(|calls| calls.is_slower()).map(count).sum();
        slow / self.own().map(count).sum::<f64>().max(1.0)
    }

    fn writes_only(&self) -> bool {
        let shifted = |calls: &Calls| match self.symptom {
            Symptom::Slower => calls.is_slower(),
            Symptom::Failing => calls.now.failed >= 3.0,
        };
        let of_act = |act: Act| self.own().filter(move |calls| calls.act == Some(act));
        of_act(Act::Write).any(shifted) && of_act(Act::Read).count() > 0 && !of_act(Act::Read).any(shifted)
    }

    /// The busiest tier of a kind that calls this one, or is called by those that do.
    fn neighbour(&self, kind: TierKind) -> Option<usize> {
        let calls = &self.costs.calls;
        let callers: Vec<usize> =
            calls.iter().filter(|calls| calls.tier == self.place).filter_map(|calls| calls.asked_by).collect();
        let near = |tier: usize| {
            let by_callers =
                |calls: &&Calls| calls.tier == tier && calls.asked_by.is_some_and(|by| callers.contains(&by));
            callers.contains(&tier) || calls.iter().any(|one| by_callers(&one))
        };
        let count =
            |tier: usize| calls.iter().filter(|calls| calls.tier == tier).map(|calls| calls.now.count).sum::<f64>();
        let of_kind = (0..self.costs.tiers.len()).filter(|tier| self.costs.tiers[*tier].kind == kind && near(*tier));
        of_kind.max_by(|one, other| count(*one).total_cmp(&count(*other)))
    }
}
