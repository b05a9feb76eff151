//! The command line's part of shipping traces.

use clap::Args;
use tiertop_core::choice::{ChoiceRules, UniformRule};

use super::XrayOptions;

/// What is shipped to X-Ray.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shipping to AWS")]
pub struct XrayArgs {
    /// Traces a second that are shipped at most: failed, slow and stalled ones, those of an incident, and a
    /// uniform share.
    #[arg(long, value_name = "TRACES", default_value_t = 5.0, value_parser = not_negative, env = "TIERTOP_XRAY_BUDGET")]
    pub xray_budget: f64,
    /// Share of all traces that is shipped uniformly within the budget, 0 to 1, where X-Ray offers no sampling rules.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share, env = "TIERTOP_XRAY_SHARE")]
    pub xray_share: f64,
    /// Attributes of spans and resources to search traces by, such as `http.route,customer.tier`; `*` for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "TIERTOP_XRAY_ANNOTATIONS")]
    pub xray_annotations: Vec<String>,
    /// Most memory for recent requests as they came, in MiB: traces are shipped from these. They should last for
    /// some five seconds.
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub max_detail: u16,
    /// Endpoint of X-Ray, instead of the region's [default: `AWS_ENDPOINT_URL_XRAY`].
    #[arg(long, value_name = "URL")]
    pub xray_endpoint: Option<String>,
}

impl Default for XrayArgs {
    fn default() -> Self {
        Self { xray_budget: 5.0, xray_share: 0.05, xray_annotations: Vec::new(), max_detail: 32, xray_endpoint: None }
    }
}

impl XrayArgs {
    /// The options that they say.
    pub fn options(&self) -> XrayOptions {
        let uniform = vec![UniformRule { rate: self.xray_share, ..UniformRule::default() }];
        XrayOptions {
            rules: ChoiceRules { traces_per_second: self.xray_budget, uniform, ..ChoiceRules::default() },
            annotations: self.xray_annotations.clone(),
            detail_bytes: usize::from(self.max_detail) << 20,
            endpoint: self.xray_endpoint.clone(),
            ..XrayOptions::default()
        }
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("`{text}` is no number of traces, such as 5 or 0.5"))
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("`{text}` is no share from 0 to 1, such as 0.05"))
}
