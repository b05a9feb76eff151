//! `[aws]` and `[cloudwatch]`: what is shipped, as whom, and how.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::ranges::whole;

/// An exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Exporter {
    /// Metrics to CloudWatch.
    Cloudwatch,
    /// Traces to X-Ray.
    Xray,
}

/// `[aws]`: what is shipped, and how AWS is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsSection {
    /// The exporters that run.
    pub ship: Vec<Exporter>,
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// A role to assume, by its ARN.
    pub role_arn: Option<String>,
}

/// `[cloudwatch]`: how metrics are shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudwatchSection {
    /// The namespace.
    #[serde(deserialize_with = "namespaced")]
    pub namespace: String,
    /// The dimension "Environment", instead of what telemetry says.
    pub environment: Option<String>,
    /// Seconds that a datum covers: 1 or 60.
    #[serde(deserialize_with = "resolved")]
    pub resolution_s: u32,
    /// Most series.
    #[serde(deserialize_with = "whole::<5, 100_000, _, _>")]
    pub series: u32,
    /// The endpoint, instead of the region's.
    pub endpoint: Option<String>,
    /// The folder of the spool.
    pub spool: Option<PathBuf>,
    /// Most disk for it, MiB.
    #[serde(deserialize_with = "whole::<1, 65_536, _, _>")]
    pub spool_mib: u32,
}

impl Default for CloudwatchSection {
    fn default() -> Self {
        Self {
            namespace: "Tiertop".to_owned(),
            environment: None,
            resolution_s: 60,
            series: 500,
            endpoint: None,
            spool: None,
            spool_mib: 256,
        }
    }
}

/// Reads a namespace of CloudWatch.
pub fn namespace(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " .-_/#:".contains(c);
    if text.trim().is_empty() || text.len() > 255 || text.starts_with(':') || !text.chars().all(allowed) {
        return Err(format!("`{text}` is no namespace: up to 255 letters, digits and .-_/#: such as Tiertop/Shop"));
    }
    if text.starts_with("AWS/") {
        return Err(format!("`{text}` is no namespace: those that begin with AWS/ are AWS's own"));
    }
    Ok(text.to_owned())
}

/// Reads a resolution that CloudWatch has.
pub fn resolution(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "60" => Ok(60),
        _ => Err(format!("`{text}` is no resolution: give 60, or 1 for high resolution")),
    }
}

fn namespaced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    namespace(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn resolved<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    resolution(&u32::deserialize(deserializer)?.to_string()).map_err(D::Error::custom)
}

/// The sections as they are printed.
pub(super) const COMMENTED: &str = r#"# Shipping to AWS. Credentials are found as by every AWS tool: environment, profile, SSO, instance.
[aws]
# What to ship (--ship, TIERTOP_SHIP): "cloudwatch" for metrics, "xray" for traces.
ship = []
# A profile of ~/.aws/config (--aws-profile, AWS_PROFILE).
#profile = "production"
# The region (--aws-region, AWS_REGION).
#region = "eu-central-1"
# A role to assume (--aws-role, TIERTOP_AWS_ROLE).
#role_arn = "arn:aws:iam::123456789012:role/tiertop"

# Metrics in CloudWatch.
[cloudwatch]
# Their namespace (--cloudwatch-namespace).
namespace = "Tiertop"
# Their dimension "Environment", where telemetry does not say it right (--cloudwatch-environment).
#environment = "production"
# Seconds that a datum covers: 60, or 1 for high resolution (--cloudwatch-resolution).
resolution_s = 60
# Most series, each of which is paid for; tiers over it are shipped together as "other" (--cloudwatch-series).
series = 500
# Endpoint, instead of the region's (--cloudwatch-endpoint, AWS_ENDPOINT_URL_CLOUDWATCH).
#endpoint = "http://127.0.0.1:4566"
# Folder in which metrics wait until CloudWatch takes them (--spool, TIERTOP_SPOOL): ~/.local/state/tiertop/cloudwatch.
#spool = "/var/lib/tiertop/cloudwatch"
# Most disk for them, MiB, rounded down to a power of two; over it the oldest go (--spool-size).
spool_mib = 256
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_none_of_awss_own() {
        assert!(namespace("Tiertop/Shop 2").is_ok());
        for wrong in ["", "  ", ":x", "AWS/EC2", "a\u{e9}b", &"x".repeat(256)] {
            assert!(namespace(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn there_are_two_resolutions() {
        assert_eq!((resolution("1"), resolution("60")), (Ok(1), Ok(60)));
        assert!(resolution("10").unwrap_err().contains("60"));
    }
}
