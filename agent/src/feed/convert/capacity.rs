//! The phase, its checklist, and how far the next wall is.

use tiertop_core::snapshot::{CapacityView, CheckView, HeadroomView, ScalabilityView, WallView};

use super::LeftOut;
use super::enums::{phase_from_wire, phase_to_wire};
use crate::feed::wire;

pub(super) fn to_wire(view: &CapacityView) -> wire::Capacity {
    let CapacityView { phase, because, next_wall, checklist, headroom, requests_per_second, users_worth, scalability } =
        view;
    wire::Capacity {
        phase: phase.map_or(wire::Phase::Unspecified.into(), phase_to_wire),
        because: because.clone(),
        next_wall: next_wall.as_ref().map(wall_to_wire),
        checklist: checklist.iter().map(check_to_wire).collect(),
        headroom: headroom.iter().map(headroom_to_wire).collect(),
        requests_per_second: *requests_per_second,
        users_worth: *users_worth,
        scalability: scalability.map(scalability_to_wire),
    }
}

pub(super) fn from_wire(view: wire::Capacity, left_out: &mut LeftOut) -> CapacityView {
    let wire::Capacity {
        phase,
        because,
        next_wall,
        checklist,
        headroom,
        requests_per_second,
        users_worth,
        scalability,
    } = view;
    CapacityView {
        phase: phase_from_wire(phase),
        because,
        next_wall: next_wall.and_then(|wall| wall_from_wire(wall).or_else(|| left_out.wall())),
        checklist: checklist
            .into_iter()
            .filter_map(|check| check_from_wire(check).or_else(|| left_out.check()))
            .collect(),
        headroom: headroom.into_iter().map(headroom_from_wire).collect(),
        requests_per_second,
        users_worth,
        scalability: scalability.map(scalability_from_wire),
    }
}

fn wall_to_wire(view: &WallView) -> wire::Wall {
    let WallView { phase, tier, because, at_requests_per_second } = view;
    wire::Wall {
        phase: phase_to_wire(*phase),
        tier: tier.clone(),
        because: because.clone(),
        at_requests_per_second: *at_requests_per_second,
    }
}

/// The wall, or `None` where its phase is unknown.
fn wall_from_wire(view: wire::Wall) -> Option<WallView> {
    let wire::Wall { phase, tier, because, at_requests_per_second } = view;
    Some(WallView { phase: phase_from_wire(phase)?, tier, because, at_requests_per_second })
}

fn check_to_wire(view: &CheckView) -> wire::Check {
    let CheckView { phase, question, answer, evidence } = view;
    wire::Check {
        phase: phase_to_wire(*phase),
        question: question.clone(),
        answer: *answer,
        evidence: evidence.clone(),
    }
}

/// The question, or `None` where its phase is unknown.
fn check_from_wire(view: wire::Check) -> Option<CheckView> {
    let wire::Check { phase, question, answer, evidence } = view;
    Some(CheckView { phase: phase_from_wire(phase)?, question, answer, evidence })
}

fn headroom_to_wire(view: &HeadroomView) -> wire::Headroom {
    let HeadroomView { tier, utilisation, source, full_at_requests_per_second } = view;
    wire::Headroom {
        tier: tier.clone(),
        utilisation_ratio: *utilisation,
        source: source.clone(),
        full_at_requests_per_second: *full_at_requests_per_second,
    }
}

fn headroom_from_wire(view: wire::Headroom) -> HeadroomView {
    let wire::Headroom { tier, utilisation_ratio, source, full_at_requests_per_second } = view;
    HeadroomView { tier, utilisation: utilisation_ratio, source, full_at_requests_per_second }
}

fn scalability_to_wire(view: ScalabilityView) -> wire::Scalability {
    let ScalabilityView { levels, per_one, contention, coherency, peak_in_flight, peak_requests_per_second } = view;
    wire::Scalability { levels, per_one, contention, coherency, peak_in_flight, peak_requests_per_second }
}

fn scalability_from_wire(view: wire::Scalability) -> ScalabilityView {
    let wire::Scalability { levels, per_one, contention, coherency, peak_in_flight, peak_requests_per_second } = view;
    ScalabilityView { levels, per_one, contention, coherency, peak_in_flight, peak_requests_per_second }
}
