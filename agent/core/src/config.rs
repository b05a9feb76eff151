//! What a user can tell the engine: rules for tiers, ceilings, bounds of what is bad, and classes of faults.

use std::sync::Arc;

use crate::choice::ChoiceRules;
use crate::diagnosis::rules::UserRule;
use crate::observation::Resource;
use crate::thresholds::Thresholds;
use crate::tier::TierKind;

/// How the engine is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Rules for tiers; the first that matches wins over everything that telemetry says.
    pub tiers: Vec<TierRule>,
    /// Ceilings.
    pub limits: Limits,
    /// Time rules.
    pub time: TimeRules,
    /// What load is worth.
    pub capacity: CapacityRules,
    /// From which level on something is bad.
    pub thresholds: Arc<Thresholds>,
    /// The user's own classes of faults.
    pub rules: Arc<[UserRule]>,
    /// Which traces are handed out whole, if any are.
    pub choice: Option<ChoiceRules>,
}

/// What load is worth.
#[derive(Clone, Copy, Debug)]
pub struct CapacityRules {
    /// Users whose traffic a request a second at the front is. As each product's users ask differently often,
    /// measure it: users of a month over mean requests a second.
    pub users_per_request_per_second: f64,
}

impl Default for CapacityRules {
    /// The reference system: ten million users make 40,000 reads a second, so one makes 0.004.
    fn default() -> Self {
        Self { users_per_request_per_second: 250.0 }
    }
}

/// Says which kind a service or a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierRule {
    /// The kind it is.
    pub kind: TierKind,
    /// Whom it speaks of.
    pub whom: Whom,
}

/// Whom a rule speaks of; in patterns `*` stands for any run of characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A service by its name, or a peer by its name, `address` or `address:port`.
    Named(String),
    /// A service of which a process has this attribute on its resource.
    Sends {
        /// The attribute, such as `k8s.deployment.name`.
        attribute: String,
        /// What its value is like.
        pattern: String,
    },
}

/// Tiers of a kind, with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierPattern {
    /// The kind; `None` for any.
    pub kind: Option<TierKind>,
    /// The member, such as `orders@db1:5432`; `*` stands for any run of characters.
    pub member: String,
}

impl TierPattern {
    /// Whether it speaks of a tier.
    pub fn matches(&self, kind: TierKind, member: &str) -> bool {
        self.kind.is_none_or(|own| own == kind) && glob(self.member.as_bytes(), member.as_bytes())
    }
}

/// Ceilings of the engine's tables. What goes over them falls into a visible "other" or is counted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Services and peers.
    pub members: usize,
    /// Instances of one member.
    pub instances: usize,
    /// Operations of one member.
    pub operations: usize,
    /// Pairs of caller and callee.
    pub edges: usize,
    /// Sending processes.
    pub processes: usize,
    /// Metric series.
    pub series: usize,
    /// Signals.
    pub signals: usize,
    /// Shapes whose classification is remembered.
    pub routes: usize,
    /// Recent spans that late parents and children are matched against. About 100 bytes each.
    pub recent_spans: usize,
    /// Bytes of spans that wait for their trace to settle, for the diagnosis.
    pub trace_bytes: usize,
    /// Bytes of all tables together; over it the oldest detail goes first.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 256,
            instances: 256,
            operations: 100,
            edges: 1_024,
            processes: 4_096,
            series: 20_000,
            signals: 2_048,
            routes: 16_384,
            recent_spans: 1 << 17,
            trace_bytes: 8 << 20,
            bytes: 64 << 20,
        }
    }
}

/// How far event times may be from the clock.
#[derive(Clone, Copy, Debug)]
pub struct TimeRules {
    /// A second is closed this long after it ended; spans that come later count as late.
    pub lateness_s: u64,
    /// A span that ends this far in the future has a clock that is wrong; it is counted at `now`.
    pub future_s: u64,
    /// How many seconds the figures on the screen cover.
    pub window_s: u64,
    /// What is usual is told from the last so many seconds, less the newest half minute.
    pub usual_s: u64,
}

impl Default for TimeRules {
    fn default() -> Self {
        Self { lateness_s: 10, future_s: 2, window_s: 10, usual_s: 300 }
    }
}

impl TierRule {
    /// Reads `KIND=PATTERN`, such as `db-replica=10.0.3.*:5432`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let kinds = || TierKind::ALL.map(TierKind::name).join(", ");
        let (kind, pattern) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not KIND=PATTERN, such as db-replica=10.0.3.*:5432"))?;
        let kind = TierKind::from_name(kind.trim())
            .ok_or_else(|| format!("`{}` is no kind of tier; there are {}", kind.trim(), kinds()))?;
        let pattern = pattern.trim();
        if pattern.is_empty() {
            return Err(format!("`{text}` names nothing after the `=`: give a service name or an address"));
        }
        Ok(Self { kind, whom: Whom::Named(pattern.to_owned()) })
    }

    /// Whether this rule speaks of who has this name.
    pub fn says(&self, name: &str) -> bool {
        matches!(&self.whom, Whom::Named(pattern) if glob(pattern.as_bytes(), name.as_bytes()))
    }

    /// Whether this rule speaks of what sends under this resource.
    pub fn says_by_attribute(&self, resource: &Resource) -> bool {
        let Whom::Sends { attribute, pattern } = &self.whom else { return false };
        resource.text_of(attribute).is_some_and(|value| glob(pattern.as_bytes(), value.as_bytes()))
    }
}

/// Matches `*` against any run of characters and `?` against any byte; linear in the text for each star.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|byte| *byte == text[t] || *byte == b'?') {
            p += 1;
            t += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::AttributeValue;

    #[test]
    fn a_rule_is_a_kind_and_a_pattern() {
        let rule = TierRule::parse("db-replica=10.0.3.*:5432").unwrap();
        assert!(rule.says("10.0.3.77:5432"));
        assert!(!rule.says("10.0.3.77:5433"));
        assert!(TierRule::parse("lb=*gate*way").unwrap().says("my-gate-and-way"));
        assert!(TierRule::parse("lb=x").unwrap().says("x"));
    }

    #[test]
    fn a_rule_by_attribute_speaks_of_what_sends_it() {
        let whom = Whom::Sends { attribute: "k8s.deployment.name".into(), pattern: "front*".into() };
        let rule = TierRule { kind: TierKind::Lb, whom };
        let attributes = vec![("k8s.deployment.name".into(), AttributeValue::Text("frontdoor".into()))];
        assert!(rule.says_by_attribute(&Resource { attributes, ..Resource::default() }));
        assert!(!rule.says_by_attribute(&Resource { service_name: "frontdoor".into(), ..Resource::default() }));
        assert!(!rule.says("frontdoor"));
    }

    #[test]
    fn a_wrong_rule_says_what_would_be_right() {
        assert!(TierRule::parse("replica=x").unwrap_err().contains("db-replica"));
        assert!(TierRule::parse("lb").unwrap_err().contains("KIND=PATTERN"));
        assert!(TierRule::parse("lb=").unwrap_err().contains("service name"));
    }
}
