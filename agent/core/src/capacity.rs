//! Capacity: the phase a system is in, the wall that it meets next, and the load at which it does.
//!
//! Terms:
//! - The *front* is the first service in request order that takes requests; load is counted there.
//! - *Utilisation* is busy over what there is, as reported. It is never guessed from latency.
//! - By the utilisation law `U = X D` each request at the front keeps a tier busy for `D = U / X` seconds.
//!   So a tier is full at `1 / D` requests a second, and the system at the least of these.
//! - A *wall* is what ends growth: the tier that is full first, or a thing that the checklist misses.
//!
//! The phase is told from the shape of the system, the wall from symptoms first: an open
//! incident or warning that has a phase is a wall that was met already.

mod availability;
mod checklist;
mod facts;
mod fleet;
mod headroom;
mod scalability;
mod shape;
#[cfg(test)]
mod tests;
mod walls;

pub use checklist::{CHECKS, Check};
pub use headroom::Gauge;
pub use walls::{WALLS, Wall, When};

use crate::config::CapacityRules;
use crate::snapshot::{CapacityView, Snapshot};
use availability::Availability;
use facts::{Facts, front, requests_per_second};
use fleet::Fleets;
use headroom::Headroom;
use scalability::Levels;

/// Seconds of figures at the front that it takes to tell a phase: kinds of tiers are learned by then.
const ENOUGH_S: u64 = 20;

/// What is kept from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct Capacity {
    rules: CapacityRules,
    /// Seconds in which requests came to the front.
    seen_s: u64,
    headroom: Headroom,
    fleets: Fleets,
    availability: Availability,
    levels: Levels,
}

impl Capacity {
    /// Nothing seen yet.
    pub fn new(rules: CapacityRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes note of a snapshot, and writes into it what is known of capacity. To be called once a second, after
    /// warnings and incidents were judged.
    pub fn judge(&mut self, snapshot: &mut Snapshot) {
        let load = front(&snapshot.tiers).and_then(requests_per_second);
        self.seen_s += u64::from(load.is_some_and(|load| load > 0.0));
        self.headroom.observe(snapshot, load);
        self.fleets.observe(&snapshot.tiers, load);
        if let Some(front) = front(&snapshot.tiers) {
            self.availability.observe(front);
            self.levels.observe(snapshot.at_unix_ms, front);
        }
        snapshot.capacity = self.view(snapshot, load);
    }

    fn view(&self, snapshot: &Snapshot, load: Option<f64>) -> CapacityView {
        let facts = Facts { snapshot, fleets: &self.fleets, availability: &self.availability };
        let rows = self.headroom.rows(&snapshot.tiers);
        let mut view = CapacityView {
            checklist: checklist::answers(&facts),
            requests_per_second: load,
            users_worth: load.map(|load| load * self.rules.users_per_request_per_second),
            scalability: self.levels.fit(),
            headroom: rows.iter().map(|row| row.view.clone()).collect(),
            ..CapacityView::default()
        };
        if front(&snapshot.tiers).is_none() {
            "no service that takes requests was seen yet".clone_into(&mut view.because);
        } else if self.seen_s < ENOUGH_S {
            view.because = format!("too little seen: requests in {} s of {ENOUGH_S}", self.seen_s);
        } else {
            let (phase, because) = shape::phase(&facts);
            view.phase = Some(phase);
            view.because = because;
            view.next_wall = walls::next(phase, &rows, &view.checklist, &facts);
        }
        view
    }
}
