//! What a snapshot says of capacity: the phase the system is in, the next wall, and how far it is.

use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// The system on the ladder of phases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityView {
    /// The phase it is in, or `None` while too little was seen.
    pub phase: Option<Phase>,
    /// Why, in a line.
    pub because: String,
    /// The wall that comes next, if one can be told.
    pub next_wall: Option<WallView>,
    /// The questions of each phase, with their answers.
    pub checklist: Vec<CheckView>,
    /// How busy each tier is, busiest first, unknown ones last.
    pub headroom: Vec<HeadroomView>,
    /// Requests a second at the front.
    pub requests_per_second: Option<f64>,
    /// How many users those are worth, by the factor of the configuration.
    pub users_worth: Option<f64>,
    /// How throughput scales, where load went through enough levels to tell.
    pub scalability: Option<ScalabilityView>,
}

/// What the system meets next when load grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WallView {
    /// The phase whose wall it is.
    pub phase: Phase,
    /// Id of the tier that saturates first, or empty.
    pub tier: String,
    /// Why.
    pub because: String,
    /// Requests a second at the front at which it comes, where that can be told.
    pub at_requests_per_second: Option<f64>,
}

/// A question about the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// The phase that asks.
    pub phase: Phase,
    /// The question, answered by yes where all is well.
    pub question: String,
    /// The answer; `None` is unknown.
    pub answer: Option<bool>,
    /// What the answer was told from, or what would have to be sent to tell.
    pub evidence: String,
}

/// How busy a tier is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadroomView {
    /// Id of the tier.
    pub tier: String,
    /// Busy over what there is, 0 to 1.
    pub utilisation: Option<f64>,
    /// What that was told from, such as "CPU of 3 instances" or "connections in use".
    pub source: String,
    /// Requests a second at the front at which it is full, if what a request asks of it stays the same.
    pub full_at_requests_per_second: Option<f64>,
}

/// The Universal Scalability Law, fitted: `C(N) = l N / (1 + a (N - 1) + b N (N - 1))`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalabilityView {
    /// Levels of load that the fit rests on.
    pub levels: u64,
    /// `l`: requests a second for each one in flight, without any contention.
    pub per_one: f64,
    /// `a`: contention.
    pub contention: f64,
    /// `b`: coherency.
    pub coherency: f64,
    /// Requests in flight beyond which throughput falls, if it does.
    pub peak_in_flight: Option<f64>,
    /// The most requests a second, if there is such a peak.
    pub peak_requests_per_second: Option<f64>,
}
