//! The dashboards for CloudWatch.
//!
//! Each is read by somebody on call, from the top: the first row says whether something is wrong,
//! where, and since when; below it is what bears that out. Tiers are found by `SEARCH`, so that a new one
//! shows by itself. The environment, and on the tier's dashboard the tier, are variables: places in the
//! body that the console fills in.

mod boards;
mod widget;

use serde_json::Value;

use super::Placement;

pub use boards::{DATABASE, OVERVIEW, QUEUE, TIER};

/// A dashboard.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    body: fn(&Placement) -> Value,
}

impl Board {
    /// Its body, as `PutDashboard` takes it.
    pub fn body(&self, placement: &Placement) -> Value {
        (self.body)(placement)
    }
}

/// All of them.
pub const BOARDS: [Board; 4] = [OVERVIEW, TIER, QUEUE, DATABASE];
