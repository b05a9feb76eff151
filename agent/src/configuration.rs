//! The configuration file: one TOML file, of which each section is a module below.
//!
//! A flag wins over its environment variable, that over the file, and the file over the default. The file is
//! the one that is asked for, or else the user's own, which need not be there (`find`). What is wrong in it is
//! told all at once, each with its place (`read`), and nothing starts on it.
//!
//! A section is a struct whose `Default` holds without a file, and its text as [`commented`] prints it; tests
//! hold the two together. To add one: a module with both, a field of [`Configuration`], and a line in
//! `SECTIONS`.

mod difference;
mod find;
mod history;
mod listen;
mod memory;
mod problem;
mod ranges;
mod read;
mod rules;
mod shipping;
mod system;
mod thresholds;
mod tiers;
mod xray;

use serde::{Deserialize, Serialize};
use tiertop_core::config::{CapacityRules, Config, TimeRules};
use tiertop_core::thresholds::Bounds;

pub use difference::differences;
pub use find::{ConfigurationArgs, ConfigurationError, Found};
pub use history::HistorySection;
pub use listen::Listen;
pub use memory::{Analyze, Ceilings, mebibytes};
pub use problem::Problem;
pub use read::read;
pub use rules::RuleSection;
pub use shipping::{AwsSection, CloudwatchSection, Exporter, namespace, resolution};
pub use system::{Capacity, Time};
pub use thresholds::TierThresholds;
pub use tiers::TierSection;
pub use xray::{XraySection, share, traces_per_second};

/// Everything that the file can say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// Where to listen.
    pub listen: Listen,
    /// Ceilings.
    pub limits: Ceilings,
    /// How far event times may be from the clock.
    pub time: Time,
    /// What load is worth.
    pub capacity: Capacity,
    /// What is kept of the past.
    pub history: HistorySection,
    /// What `tiertop analyze` may use.
    pub analyze: Analyze,
    /// What is shipped to AWS, and as whom.
    pub aws: AwsSection,
    /// How metrics are shipped.
    pub cloudwatch: CloudwatchSection,
    /// How traces are shipped.
    pub xray: XraySection,
    /// Which tier a service or peer is; the first rule that matches.
    #[serde(rename = "tier")]
    pub tiers: Vec<TierSection>,
    /// From which level on something is bad.
    pub thresholds: Bounds,
    /// The same for some tiers.
    pub tier_thresholds: Vec<TierThresholds>,
    /// The user's own classes of faults.
    #[serde(rename = "rule")]
    pub rules: Vec<RuleSection>,
}

/// The text of each section, in the order in which they are printed.
const SECTIONS: &[&str] = &[
    listen::COMMENTED,
    memory::CEILINGS,
    system::TIME,
    system::CAPACITY,
    history::COMMENTED,
    tiers::COMMENTED,
    thresholds::COMMENTED,
    rules::COMMENTED,
    memory::ANALYZE,
    shipping::COMMENTED,
    xray::COMMENTED,
];

const OPENING: &str = "\
# The configuration of tiertop: every key with what it is when nobody says anything.
# A key behind a `#` without a blank has no value of its own; what stands there is an example.
# A flag wins over its environment variable, that over this file, and this file over the default.
#
# `tiertop config > FILE` writes it, `tiertop config check FILE` says what is wrong with one and what differs.
";

/// The whole file with its defaults and what they mean. Reading it gives the default.
pub fn commented() -> String {
    let mut text = OPENING.to_owned();
    for section in SECTIONS {
        text.push('\n');
        text.push_str(section);
    }
    text
}

impl Configuration {
    /// The engine's part of it.
    pub fn engine(&self) -> Config {
        let Time { lateness_s, future_s, window_s, usual_s } = self.time;
        Config {
            tiers: self.tiers.iter().map(TierSection::rule).collect(),
            limits: self.limits.engine(),
            time: TimeRules { lateness_s, future_s, window_s, usual_s },
            capacity: CapacityRules { users_per_request_per_second: self.capacity.users_per_rps },
            thresholds: thresholds::engine(&self.thresholds, &self.tier_thresholds).into(),
            rules: self.rules.iter().map(RuleSection::rule).collect(),
            choice: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The printed file with its examples switched on.
    fn with_examples() -> String {
        let mut text = String::new();
        for line in commented().lines() {
            let example = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
            writeln!(text, "{}", example.unwrap_or(line)).unwrap();
        }
        text
    }

    fn told(text: &str) -> Configuration {
        read(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn the_printed_file_says_the_default() {
        assert_eq!(told(&commented()), Configuration::default());
        assert_eq!(told(""), Configuration::default());
    }

    #[test]
    fn the_printed_file_has_every_key() {
        let printed: toml::Table = with_examples().parse().unwrap();
        for name in toml::Table::try_from(Configuration::default()).unwrap().keys() {
            assert!(printed.contains_key(name), "[{name}] is not in what is printed");
        }
        for (name, section) in &printed {
            match section {
                toml::Value::Array(all) => {
                    let mut whole = toml::Table::new();
                    all.iter().filter_map(toml::Value::as_table).for_each(|one| whole.extend(one.clone()));
                    assert_has_every_key(&format!("[[{name}]]"), &whole);
                }
                _ => assert_has_every_key(&format!("[{name}]"), section.as_table().unwrap()),
            }
        }
    }

    /// Asserts that a section has every key that there is: what is said of one that there is not names them all.
    fn assert_has_every_key(heading: &str, printed: &toml::Table) {
        let said = match toml::from_str::<Configuration>(&format!("{heading}\nno_such_key = 1\n")) {
            Ok(_) => panic!("{heading} takes any key"),
            Err(error) => error.message().to_owned(),
        };
        // The examples of thresholds for some tiers need not say again what there is for all.
        if heading == "[[tier_thresholds]]" {
            return;
        }
        let keys: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
        assert!(!keys.is_empty(), "{heading}: {said}");
        for key in keys {
            assert!(printed.contains_key(key), "{heading} {key} is not in what is printed");
        }
        for (name, inner) in printed {
            if let (Some(inner), Some(outer)) = (inner.as_table(), heading.strip_suffix(']')) {
                assert_has_every_key(&format!("{outer}.{name}]"), inner);
            }
        }
    }

    #[test]
    fn examples_are_right_once_they_are_switched_on() {
        let own = told(&with_examples());
        assert_eq!((own.tiers.len(), own.tier_thresholds.len(), own.rules.len()), (1, 1, 2));
        assert!(own.listen.feed.is_some() && own.listen.admin.is_some());
    }

    #[test]
    fn what_the_readme_shows_is_right() {
        let readme = include_str!("../../README.md");
        let examples: Vec<&str> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 3, "{examples:#?}");
        for example in examples {
            told(example);
        }
    }

    #[test]
    fn the_engine_is_told_what_the_file_says() {
        let text = "
            [limits]
            memory_mib = 128
            services = 300
            [time]
            window_s = 5
            [capacity]
            users_per_rps = 10
            [[tier]]
            kind = \"db-replica\"
            match = \"10.0.3.*:5432\"
        ";
        let config = told(text).engine();
        assert_eq!((config.limits.bytes, config.limits.members), (128 << 20, 300));
        assert_eq!((config.time.window_s, config.time.lateness_s), (5, 10));
        assert_eq!(config.capacity.users_per_request_per_second.to_bits(), 10.0_f64.to_bits());
        assert!(config.tiers[0].says("10.0.3.9:5432"));
    }
}
