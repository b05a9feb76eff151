//! A verdict: the tier at fault, the class of fault, and what was measured.
//!
//! Plain data with units in its names. `None` means "unknown", which is never the same as zero.

use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::tier::TierKind;

/// A tier by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierRef {
    /// Kind and member, such as `app/checkout`.
    pub id: String,
    /// The kind.
    pub kind: TierKind,
    /// The member.
    pub member: String,
}

/// One named bottleneck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The tier at fault.
    pub tier: TierRef,
    /// The class of fault, or `None` when its signs are of no class.
    pub class: Option<String>,
    /// What is wrong, in a few words.
    pub title: String,
    /// The phase it is the wall of, where the class has one.
    pub phase: Option<Phase>,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// Share of the excess, in time or failures, that the tier explains, 0 to 1; `None` where a signal alone speaks.
    pub explained_share: Option<f64>,
    /// Other tiers that may be it, best first.
    pub alternatives: Vec<Alternative>,
    /// When it began, milliseconds since the Unix epoch, as far as telemetry shows.
    pub onset: Option<u64>,
    /// What was measured, most telling first.
    pub evidence: Vec<String>,
    /// What to do now.
    pub remedy_now: Option<String>,
    /// What to do for good.
    pub remedy_for_good: Option<String>,
}

/// Another tier that may be at fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The tier.
    pub tier: TierRef,
    /// Share of the excess that it explains, 0 to 1.
    pub explained_share: f64,
}
