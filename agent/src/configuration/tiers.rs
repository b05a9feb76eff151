//! `[[tier]]`: which tier a service or peer is.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use tiertop_core::config::TierRule;
use tiertop_core::tier::TierKind;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSection {
    /// The kind that it is.
    pub kind: TierKind,
    /// A service name or an address; `*` stands for any run of characters.
    #[serde(rename = "match", deserialize_with = "pattern")]
    pub pattern: String,
}

impl TierSection {
    /// The same for the engine.
    pub(super) fn rule(&self) -> TierRule {
        TierRule { kind: self.kind, pattern: self.pattern.clone() }
    }
}

impl From<TierRule> for TierSection {
    fn from(TierRule { kind, pattern }: TierRule) -> Self {
        Self { kind, pattern }
    }
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    if pattern.trim().is_empty() {
        return Err(D::Error::custom("it names nothing: give a service name or an address, with * for anything"));
    }
    Ok(pattern)
}

/// The section as it is printed.
pub(super) const COMMENTED: &str = r#"# Which tier a service or peer is, where traffic does not tell (--tier KIND=PATTERN). The first that matches wins, flags
# before these. Kinds: edge, lb, web, app, cache, db-primary, db-replica, nosql, object-store, queue, worker,
# warehouse, external.
#[[tier]]
#kind = "db-replica"
# A service name, or a peer by name, `address` or `address:port`; `*` stands for anything.
#match = "10.0.3.*:5432"
"#;
