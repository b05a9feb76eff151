//! `[[rule]]`: the user's own classes of faults.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tiertop_core::config::TierPattern;
use tiertop_core::diagnosis::CLASSES;
use tiertop_core::diagnosis::rules::{Basis, Bound, Condition, Figure, Level, UserRule};
use tiertop_core::phase::{LADDER, Phase};
use tiertop_core::snapshot::SignalKind;
use tiertop_core::tier::TierKind;

use super::problem::choice;

/// How long conditions must hold, unless the rule says.
const LASTING: Lasting = Lasting(Duration::from_secs(10));

/// One rule: as it is written, and as the engine takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RuleText", into = "RuleText")]
pub struct RuleSection {
    text: RuleText,
    rule: UserRule,
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    title: Option<String>,
    tier: Option<TierKind>,
    member: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    when: Vec<ConditionText>,
    #[serde(rename = "for")]
    lasting: Option<Lasting>,
    replaces: Option<String>,
    phase: Option<PhaseNumber>,
    say: Option<String>,
    now: Option<String>,
    for_good: Option<String>,
}

/// A condition as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionText {
    tier: Option<TierKind>,
    member: Option<String>,
    signal: Option<SignalKind>,
    figure: Option<Figure>,
    above: Option<f64>,
    below: Option<f64>,
}

impl RuleSection {
    /// The rule for the engine.
    pub(super) fn rule(&self) -> UserRule {
        self.rule.clone()
    }
}

impl From<RuleSection> for RuleText {
    fn from(section: RuleSection) -> Self {
        section.text
    }
}

impl TryFrom<RuleText> for RuleSection {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, String> {
        let is_kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.name.is_empty() || !text.name.chars().all(is_kebab) {
            return Err(format!("`{}` is no name; write small letters, digits and `-`, such as fraud-slow", text.name));
        }
        if CLASSES.iter().any(|class| class.name == text.name) {
            return Err(format!(
                "`{0}` is a class of tiertop's own; take another name, and `replaces = \"{0}\"`",
                text.name
            ));
        }
        let rule = UserRule {
            name: text.name.clone(),
            title: text.title.clone().unwrap_or_else(|| text.name.replace('-', " ")),
            tier: pattern(text.tier, text.member.as_deref()),
            basis: basis(&text)?,
            phase: text.phase.map(|number| number.0),
            say: text.say.clone(),
            now: text.now.clone(),
            for_good: text.for_good.clone(),
        };
        Ok(Self { text, rule })
    }
}

fn pattern(kind: Option<TierKind>, member: Option<&str>) -> TierPattern {
    TierPattern { kind, member: member.unwrap_or("*").to_owned() }
}

fn basis(text: &RuleText) -> Result<Basis, String> {
    match (&text.replaces, text.when.is_empty()) {
        (None, false) => Ok(Basis::When {
            all: text.when.iter().map(condition).collect::<Result<_, _>>()?,
            lasting_ms: text.lasting.unwrap_or(LASTING).0.as_millis() as u64,
        }),
        (Some(class), true) => {
            let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
            if !names.contains(&class.as_str()) {
                return Err(format!("replaces: `{class}` is no class{}", choice(class, &names)));
            }
            Ok(Basis::Replaces(class.clone()))
        }
        (Some(_), false) => Err("`when` and `replaces` do not go together: a class has its own conditions".to_owned()),
        (None, true) => Err("it needs `when`, a list of conditions, or `replaces`, the name of a class".to_owned()),
    }
}

fn condition(text: &ConditionText) -> Result<Condition, String> {
    let (level, name) = match (text.signal, text.figure) {
        (Some(signal), None) => (Level::Signal(signal), name_of(&signal)),
        (None, Some(figure)) => (Level::Figure(figure), name_of(&figure)),
        _ => return Err("when: each condition needs either `signal` or `figure`".to_owned()),
    };
    let bound = match (text.above, text.below) {
        (Some(bound), None) => Bound::Above(bound),
        (None, Some(bound)) => Bound::Below(bound),
        _ => return Err(format!("when: `{name}` needs either `above` or `below`")),
    };
    let is_other = text.tier.is_some() || text.member.is_some();
    let tier = is_other.then(|| pattern(text.tier, text.member.as_deref()));
    Ok(Condition { tier, level, name, bound })
}

/// The name under which serde knows a variant.
fn name_of(variant: &impl Serialize) -> String {
    let value = toml::Value::try_from(variant).expect("a variant without fields is a string");
    value.as_str().unwrap_or_default().to_owned()
}

/// A time such as `30s`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Lasting(Duration);

impl TryFrom<String> for Lasting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = humantime::parse_duration(&text);
        time.map(Self).map_err(|_| format!("`{text}` is no time, such as \"30s\" or \"2m\""))
    }
}

impl From<Lasting> for String {
    fn from(time: Lasting) -> Self {
        humantime::format_duration(time.0).to_string()
    }
}

/// A phase by its number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
struct PhaseNumber(Phase);

impl TryFrom<i64> for PhaseNumber {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let text = LADDER.iter().find(|text| i64::from(text.number) == number);
        text.map(|text| Self(text.phase)).ok_or_else(|| format!("{number} is not from 1 to {}", LADDER.len()))
    }
}

impl From<PhaseNumber> for i64 {
    fn from(number: PhaseNumber) -> Self {
        number.0.number().into()
    }
}

/// The section as it is printed.
pub(super) const COMMENTED: &str = r#"# Your own classes of faults. While all that a rule's `when` asks holds, it is a verdict like any other; with `replaces`
# instead, it takes the place of a class that tiertop knows: your words and remedies. Any number of rules.
#[[rule]]
# Small letters, digits and `-`. It stands where the class of a verdict does.
#name = "orders-wait-for-fraud-check"
# What is wrong, in a few words; the name unless given.
#title = "orders wait for the fraud check"
# The tiers that it speaks of: by kind, by name (`*` stands for anything), or both; all unless given.
#tier = "external"
#member = "fraud-*"
# Each asks for `above` or `below` of a `signal` or a `figure`: of the rule's tier, or of any with another `tier` or
# `member`. What is unknown holds for neither.
# Signals: cache-hit-ratio (0 to 1), replica-lag-seconds, queue-depth, queue-oldest-age-seconds, queue-in-flight,
# pool-used, pool-max, pool-pending, pool-wait-seconds, cpu-ratio (0 to 1), memory-bytes, evictions-per-second,
# workers-busy, workers-max.
# Figures: requests_per_second, error_ratio (0 to 1), p50_ms, p90_ms, p95_ms, p99_ms, max_ms, in_flight, instances.
#when = [{ figure = "p99_ms", above = 800 }, { tier = "queue", member = "orders*", signal = "queue-depth", above = 500 }]
# For how long; 10s unless given.
#for = "30s"
# The phase whose wall it is, 1 to 6.
#phase = 5
# Evidence in your words, before what was measured.
#say = "orders are confirmed only after the fraud check"
# What to do, now and for good. A rule that replaces a class keeps its remedies where you give none.
#now = "runbook 12: switch to the offline check"
#for_good = "check after the order is taken"

#[[rule]]
#name = "checkout-pool"
#tier = "app"
#member = "checkout"
#replaces = "pool-exhaustion"
#now = "runbook 7: raise HIKARI_MAX to 40"
"#;

#[cfg(test)]
mod tests {
    use super::super::{Configuration, differences, read};
    use super::*;

    fn said(text: &str) -> String {
        read(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let text = "
            [[rule]]
            name = \"fraud-slow\"
            member = \"fraud-*\"
            when = [{ figure = \"p99_ms\", above = 800 }, { tier = \"queue\", signal = \"queue-depth\", below = 5 }]
            for = \"30s\"
            phase = 5
            say = \"orders wait\"
        ";
        let own = read(text).unwrap();
        let [rule] = &own.engine().rules[..] else { panic!("{own:#?}") };
        assert_eq!((rule.title.as_str(), rule.phase), ("fraud slow", Some(Phase::Writes)));
        let Basis::When { all, lasting_ms } = &rule.basis else { panic!("{rule:#?}") };
        assert_eq!(*lasting_ms, 30_000);
        assert_eq!(all[0].level, Level::Figure(Figure::P99Ms));
        assert_eq!((all[1].name.as_str(), all[1].bound), ("queue-depth", Bound::Below(5.0)));
        assert!(all[1].tier.as_ref().is_some_and(|tier| tier.matches(TierKind::Queue, "anything")));
        // What is written comes out as it went in.
        assert_eq!(differences(&own).len(), 1);
        assert_eq!(read(&toml::to_string(&own).unwrap()), Ok(own));
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_told() {
        let rule = |rest: &str| said(&format!("[[rule]]\nname = \"own\"\n{rest}\n"));
        assert_eq!(rule(""), "1:1: rule: it needs `when`, a list of conditions, or `replaces`, the name of a class");
        assert!(rule("replaces = \"pool-exhausted\"").contains("did you mean `pool-exhaustion`?"));
        assert!(
            rule("when = [{ signal = \"queue-dept\", above = 1 }]").starts_with("3:20: rule.when.signal: `queue-dept`")
        );
        assert!(
            rule("when = [{ signal = \"queue-depth\" }]").contains("`queue-depth` needs either `above` or `below`")
        );
        assert!(rule("when = [{ above = 3 }]").contains("either `signal` or `figure`"));
        assert!(
            rule("when = [{ figure = \"p99_ms\", above = 3 }]\nfor = \"soon\"")
                .contains("4:7: rule.for: `soon` is no time")
        );
        assert!(rule("replaces = \"app-cpu\"\nphase = 7").contains("rule.phase: 7 is not from 1 to 6"));
        assert!(said("[[rule]]\nname = \"app-cpu\"\nreplaces = \"app-cpu\"\n").contains("a class of tiertop's own"));
        assert!(said("[[rule]]\nname = \"Own Rule\"\nreplaces = \"app-cpu\"\n").contains("is no name"));
    }

    #[test]
    fn the_printed_section_names_all_that_can_be_asked_for() {
        let unknown = |key: &str| {
            let text = format!("[[rule]]\nname = \"own\"\n[[rule.when]]\n{key} = \"no-such\"\n");
            toml::from_str::<Configuration>(&text).unwrap_err().message().to_owned()
        };
        for said in [unknown("signal"), unknown("figure")] {
            for name in said.split('`').skip(3).step_by(2) {
                assert!(COMMENTED.contains(name), "{name} is not in what is printed");
            }
        }
    }
}
