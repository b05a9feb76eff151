//! The command line's part of shipping, shared by all commands that run an agent.

use std::path::PathBuf;

use clap::Args;

use super::aws::AwsOptions;
use super::cloudwatch::encode::EncoderOptions;
use super::cloudwatch::{CloudwatchOptions, datum};
use super::{ExporterName, ShipOptions};

/// What to ship, and how.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shipping to AWS")]
pub struct ShipArgs {
    /// Ships metrics to CloudWatch, traces to X-Ray, or both: `cloudwatch,xray`.
    #[arg(long, value_enum, value_name = "EXPORTERS", value_delimiter = ',', env = "TIERTOP_SHIP")]
    pub ship: Vec<ExporterName>,
    /// Prints what would be sent, as lines of JSON, instead of sending it.
    #[arg(long, requires = "ship")]
    pub dry_run: bool,
    /// Profile of ~/.aws/config [default: `AWS_PROFILE`].
    #[arg(long, value_name = "NAME")]
    pub aws_profile: Option<String>,
    /// Region [default: `AWS_REGION`, the profile's, the instance's].
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,
    /// Role to assume, by its ARN.
    #[arg(long, value_name = "ARN", env = "TIERTOP_AWS_ROLE")]
    pub aws_role: Option<String>,
    /// Endpoint of CloudWatch, instead of the region's [default: `AWS_ENDPOINT_URL_CLOUDWATCH`].
    #[arg(long, value_name = "URL")]
    pub cloudwatch_endpoint: Option<String>,
    /// Namespace of the metrics [default: Tiertop].
    #[arg(long, value_name = "NAME", value_parser = datum::namespace)]
    pub cloudwatch_namespace: Option<String>,
    /// Dimension "Environment" of the metrics [default: as telemetry says].
    #[arg(long, value_name = "NAME")]
    pub cloudwatch_environment: Option<String>,
    /// Seconds that a datum covers: 60, or 1, which CloudWatch calls high resolution [default: 60].
    #[arg(long, value_name = "SECONDS", value_parser = resolution)]
    pub cloudwatch_resolution: Option<u32>,
    /// Most series, each of which is paid for; tiers over it are shipped together as "other" [default: 500].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(5..=100_000))]
    pub cloudwatch_series: Option<u32>,
    /// Folder in which metrics wait until CloudWatch takes them [default: ~/.local/state/tiertop/cloudwatch].
    #[arg(long, value_name = "DIR", env = "TIERTOP_SPOOL")]
    pub spool: Option<PathBuf>,
    /// Most disk for them, in MiB, rounded down to a power of two; over it the oldest go [default: 256].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub spool_size: Option<u32>,
}

/// Reads a resolution that CloudWatch has.
fn resolution(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "60" => Ok(60),
        _ => Err(format!("`{text}` is no resolution: give 60, or 1 for high resolution")),
    }
}

impl ShipArgs {
    /// The options that they say.
    pub fn options(&self) -> ShipOptions {
        let mut exporters = self.ship.clone();
        exporters.dedup();
        ShipOptions {
            exporters,
            dry_run: self.dry_run,
            aws: AwsOptions {
                profile: self.aws_profile.clone(),
                region: self.aws_region.clone(),
                role_arn: self.aws_role.clone(),
            },
            cloudwatch: self.cloudwatch(),
        }
    }

    fn cloudwatch(&self) -> CloudwatchOptions {
        let usual = CloudwatchOptions::default();
        let encoder = EncoderOptions {
            resolution_s: self.cloudwatch_resolution.unwrap_or(usual.encoder.resolution_s),
            environment: self.cloudwatch_environment.clone().or(usual.encoder.environment),
            series_ceiling: self.cloudwatch_series.map_or(usual.encoder.series_ceiling, u64::from),
        };
        CloudwatchOptions {
            namespace: self.cloudwatch_namespace.clone().unwrap_or(usual.namespace),
            endpoint: self.cloudwatch_endpoint.clone(),
            encoder,
            spool: self.spool.clone().unwrap_or(usual.spool),
            spool_bytes: self.spool_size.map_or(usual.spool_bytes, |mebibytes| u64::from(mebibytes) << 20),
        }
    }
}
