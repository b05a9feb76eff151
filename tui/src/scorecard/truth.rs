//! What was really wrong in a play.

use serde::Serialize;
use tiertop_core::tier::TierKind;

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Kinds of tier of which a verdict may name any.
    pub tiers: Vec<TierKind>,
    /// The class.
    pub class: String,
    /// The phases whose wall it is; without any, a verdict must not name one.
    pub phases: Vec<u8>,
    /// When it began, milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
}

impl Truth {
    /// Whether a verdict may name a tier of this kind.
    pub fn accepts(&self, tier: TierKind) -> bool {
        self.tiers.contains(&tier)
    }
}
