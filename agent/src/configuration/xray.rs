//! `[xray]`: how traces are shipped.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::ranges::whole;

/// `[xray]`: how traces are shipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XraySection {
    /// Traces a second, for all reasons together.
    #[serde(deserialize_with = "budget")]
    pub traces_per_second: f64,
    /// The uniform share, 0 to 1.
    #[serde(deserialize_with = "part")]
    pub share: f64,
    /// Attributes that become annotations.
    pub annotations: Vec<String>,
    /// The endpoint, instead of the region's.
    pub endpoint: Option<String>,
    /// Most memory for recent requests as they came, MiB.
    #[serde(deserialize_with = "whole::<1, 16_384, _, _>")]
    pub detail_mib: u16,
    /// Most memory for documents that wait, MiB.
    #[serde(deserialize_with = "whole::<1, 16_384, _, _>")]
    pub queue_mib: u16,
}

impl Default for XraySection {
    fn default() -> Self {
        Self {
            traces_per_second: 5.0,
            share: 0.05,
            annotations: Vec::new(),
            endpoint: None,
            detail_mib: 32,
            queue_mib: 32,
        }
    }
}

/// Reads a number of traces a second.
pub fn traces_per_second(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("`{text}` is no number of traces, such as 5 or 0.5"))
}

/// Reads a share of traces.
pub fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("`{text}` is no share from 0 to 1, such as 0.05"))
}

fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    traces_per_second(&f64::deserialize(deserializer)?.to_string()).map_err(D::Error::custom)
}

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    share(&f64::deserialize(deserializer)?.to_string()).map_err(D::Error::custom)
}

/// The section as it is printed.
pub(super) const COMMENTED: &str = r#"# Traces in X-Ray.
[xray]
# Traces a second that are shipped at most (--xray-budget, TIERTOP_XRAY_BUDGET): failed, slow, stalled and waiting
# ones, those of an incident, and a uniform share.
traces_per_second = 5.0
# Share of all that is shipped uniformly, 0 to 1, where X-Ray offers no rules (--xray-share, TIERTOP_XRAY_SHARE).
share = 0.05
# Attributes of spans and resources to search by, "*" for all (--xray-annotations, TIERTOP_XRAY_ANNOTATIONS).
annotations = []
# Endpoint, instead of the region's (--xray-endpoint, AWS_ENDPOINT_URL_XRAY).
#endpoint = "http://127.0.0.1:5000"
# Most memory for recent requests as they came, MiB (--max-detail). They should last for some five seconds.
detail_mib = 32
# Most memory for documents that wait to be sent, MiB; over it the oldest go.
queue_mib = 32
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_from_nothing_to_all_and_a_budget_no_less_than_nothing() {
        assert_eq!((share("0"), share("1"), traces_per_second("0.5")), (Ok(0.0), Ok(1.0), Ok(0.5)));
        for wrong in ["-0.1", "1.1", "NaN", "x", ""] {
            assert!(share(wrong).unwrap_err().contains("0.05"), "{wrong}");
        }
        for wrong in ["-1", "inf", "x"] {
            assert!(traces_per_second(wrong).is_err(), "{wrong}");
        }
    }
}
