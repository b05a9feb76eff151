//! The command line's part of shipping traces.

use clap::Args;
use tiertop_core::choice::{ChoiceRules, UniformRule};

use super::XrayOptions;
use crate::configuration::{XraySection, mebibytes, share, traces_per_second};

/// What is shipped to X-Ray.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shipping to AWS")]
pub struct XrayArgs {
    /// Traces a second that are shipped at most: failed, slow and stalled ones, those of an incident, and a
    /// uniform share [default: 5].
    #[arg(long, value_name = "TRACES", value_parser = traces_per_second, env = "TIERTOP_XRAY_BUDGET")]
    pub xray_budget: Option<f64>,
    /// Share of all traces that is shipped uniformly within the budget, 0 to 1, where X-Ray offers no sampling rules
    /// [default: 0.05].
    #[arg(long, value_name = "SHARE", value_parser = share, env = "TIERTOP_XRAY_SHARE")]
    pub xray_share: Option<f64>,
    /// Attributes of spans and resources to search traces by, such as `http.route,customer.tier`; `*` for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "TIERTOP_XRAY_ANNOTATIONS")]
    pub xray_annotations: Vec<String>,
    /// Endpoint of X-Ray, instead of the region's [default: `AWS_ENDPOINT_URL_XRAY`].
    #[arg(long, value_name = "URL")]
    pub xray_endpoint: Option<String>,
    /// Most memory for recent requests as they came, in MiB, from which traces are shipped; they should last for
    /// some five seconds [default: 32].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub max_detail: Option<u16>,
}

impl XrayArgs {
    /// What a configuration file says, with the flags and variables that win over it.
    pub fn over(&self, file: &XraySection) -> XrayOptions {
        let annotations =
            if self.xray_annotations.is_empty() { file.annotations.clone() } else { self.xray_annotations.clone() };
        let rate = self.xray_share.unwrap_or(file.share);
        XrayOptions {
            rules: ChoiceRules {
                traces_per_second: self.xray_budget.unwrap_or(file.traces_per_second),
                uniform: vec![UniformRule { rate, ..UniformRule::default() }],
                ..ChoiceRules::default()
            },
            annotations,
            detail_bytes: mebibytes(self.max_detail.unwrap_or(file.detail_mib)),
            queue_bytes: mebibytes(file.queue_mib),
            endpoint: self.xray_endpoint.clone().or_else(|| file.endpoint.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_flags_and_file_the_defaults_are_one_and_flags_win_over_the_file() {
        let file = XraySection::default();
        assert_eq!(XrayArgs::default().over(&file), XrayOptions::default());
        let file = XraySection { share: 0.5, detail_mib: 64, ..file };
        let flags = XrayArgs { xray_share: Some(0.25), ..XrayArgs::default() };
        let options = flags.over(&file);
        assert_eq!((options.rules.uniform[0].rate.to_bits(), options.detail_bytes), (0.25_f64.to_bits(), 64 << 20));
    }
}
