//! `[[tier]]`: which tier a service or peer is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tiertop_core::config::{TierRule, Whom};
use tiertop_core::tier::TierKind;

use crate::decode::keeps_of_resources;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierSection {
    /// The kind that it is.
    kind: TierKind,
    /// Whom it speaks of.
    #[serde(rename = "match")]
    whom: Match,
}

/// Whom a rule speaks of, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "it is to be a name in quotes, or an attribute, such as { \"k8s.deployment.name\" = \"front*\" }"
)]
enum MatchText {
    Named(String),
    Sends(BTreeMap<String, String>),
}

/// The same for the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MatchText", into = "MatchText")]
struct Match(Whom);

impl TryFrom<MatchText> for Match {
    type Error = String;

    fn try_from(text: MatchText) -> Result<Self, String> {
        match text {
            MatchText::Named(pattern) if pattern.trim().is_empty() => {
                Err("it names nothing: give a service name or an address, with * for anything".to_owned())
            }
            MatchText::Named(pattern) => Ok(Self(Whom::Named(pattern))),
            MatchText::Sends(attributes) => {
                let mut attributes = attributes.into_iter();
                let (Some((attribute, pattern)), None) = (attributes.next(), attributes.next()) else {
                    return Err("it is to name one attribute; write a rule for each".to_owned());
                };
                if !keeps_of_resources(&attribute) {
                    return Err(format!(
                        "the attribute `{attribute}` is not kept; those of a resource are that begin with service., k8s. or \
                         cloud., and host.name, container.id, deployment.environment.name, telemetry.sdk.language"
                    ));
                }
                Ok(Self(Whom::Sends { attribute, pattern }))
            }
        }
    }
}

impl From<Match> for MatchText {
    fn from(whom: Match) -> Self {
        match whom.0 {
            Whom::Named(pattern) => Self::Named(pattern),
            Whom::Sends { attribute, pattern } => Self::Sends([(attribute, pattern)].into()),
        }
    }
}

impl TierSection {
    /// The same for the engine.
    pub(super) fn rule(&self) -> TierRule {
        TierRule { kind: self.kind, whom: self.whom.0.clone() }
    }
}

impl From<TierRule> for TierSection {
    fn from(TierRule { kind, whom }: TierRule) -> Self {
        Self { kind, whom: Match(whom) }
    }
}

/// The section as it is printed.
pub(super) const COMMENTED: &str = r#"# Which tier a service or peer is, where traffic does not tell (--tier KIND=PATTERN). The first that matches wins, flags
# before these. Kinds: edge, lb, web, app, cache, db-primary, db-replica, nosql, object-store, queue, worker,
# warehouse, external.
#[[tier]]
#kind = "db-replica"
# A service name, or a peer by name, `address` or `address:port`; `*` stands for anything. Or an attribute of what a service
# sends under: { "k8s.deployment.name" = "front*" }.
#match = "10.0.3.*:5432"
"#;

#[cfg(test)]
mod tests {
    use super::super::{Configuration, read};

    fn said(whom: &str) -> String {
        let problems = read(&format!("[[tier]]\nkind = \"lb\"\nmatch = {whom}\n")).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_rule_may_speak_of_an_attribute() {
        let text = "[[tier]]\nkind = \"lb\"\nmatch = { \"k8s.deployment.name\" = \"front*\" }\n";
        let own: Configuration = read(text).unwrap();
        let rules = own.engine().tiers;
        assert!(!rules[0].says("front"), "{rules:?}");
        assert_eq!(read(&toml::to_string(&own).unwrap()), Ok(own));
    }

    #[test]
    fn a_match_that_can_match_nothing_is_told() {
        assert!(said("\" \"").starts_with("3:9: tier.match: it names nothing"), "{}", said("\" \""));
        assert!(said("3").contains("a name in quotes"), "{}", said("3"));
        assert!(said("{ team = \"a\" }").contains("the attribute `team` is not kept"), "{}", said("{ team = \"a\" }"));
        assert!(said("{}").contains("one attribute"), "{}", said("{}"));
    }
}
