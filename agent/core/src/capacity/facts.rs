//! What is known of a system when its capacity is judged, and which of its tiers are what.

use super::availability::Availability;
use super::fleet::Fleets;
use crate::snapshot::{FiguresFrom, Snapshot, TierView};
use crate::tier::TierKind;

/// What phase, wall and answers are told from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) fleets: &'a Fleets,
    pub(super) availability: &'a Availability,
}

impl<'a> Facts<'a> {
    pub(super) fn of_kind(&self, kind: TierKind) -> impl Iterator<Item = &'a TierView> + use<'a> {
        self.snapshot.tiers.iter().filter(move |tier| tier.kind == kind)
    }

    /// Databases that take writes.
    pub(super) fn databases(&self) -> impl Iterator<Item = &'a TierView> + use<'a> {
        self.of_kind(TierKind::DbPrimary).chain(self.of_kind(TierKind::Nosql))
    }

    /// Services of which several instances are wanted; a balancer and an edge are managed ones, as a rule.
    pub(super) fn services(&self) -> impl Iterator<Item = &'a TierView> + use<'a> {
        let services = self.snapshot.tiers.iter().filter(|tier| tier.figures_from != FiguresFrom::CallerSpans);
        services.filter(|tier| matches!(tier.kind, TierKind::Web | TierKind::App | TierKind::Worker))
    }
}

/// The first service in request order that takes requests, else the first that might.
pub(super) fn front(tiers: &[TierView]) -> Option<&TierView> {
    let mut services = tiers.iter().filter(|tier| serves(tier) && tier.requests_per_second.is_some());
    services.clone().find(|tier| tier.requests_per_second > Some(0.0)).or_else(|| services.next())
}

/// Whether a tier is a service of ours that answers requests.
pub(super) fn serves(tier: &TierView) -> bool {
    matches!(tier.kind, TierKind::Edge | TierKind::Lb | TierKind::Web | TierKind::App)
        && tier.figures_from != FiguresFrom::CallerSpans
}

/// A tier's rate, unless its spans are sampled by an unknown factor.
pub(super) fn requests_per_second(tier: &TierView) -> Option<f64> {
    tier.requests_per_second.filter(|_| !tier.sampling_unknown)
}
