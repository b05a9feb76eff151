//! The command line's part of shipping, shared by all commands that run an agent.

use std::path::PathBuf;

use clap::Args;

use super::ShipOptions;
use super::aws::AwsOptions;
use super::cloudwatch::encode::EncoderOptions;
use super::cloudwatch::{CloudwatchOptions, default_spool};
use super::xray::args::XrayArgs;
use crate::configuration::{Configuration, Exporter, namespace, resolution};

/// What to ship, and how.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shipping to AWS")]
pub struct ShipArgs {
    /// Ships metrics to CloudWatch, traces to X-Ray, or both: `cloudwatch,xray`.
    #[arg(long, value_enum, value_name = "EXPORTERS", value_delimiter = ',', env = "TIERTOP_SHIP")]
    pub ship: Vec<Exporter>,
    /// Prints what would be sent, as lines of JSON, instead of sending it.
    #[arg(long)]
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
    #[arg(long, value_name = "NAME", value_parser = namespace)]
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
    /// What of traces.
    #[command(flatten)]
    pub xray: XrayArgs,
}

impl ShipArgs {
    /// What a configuration file says, with the flags and variables that win over it.
    pub fn over(&self, file: &Configuration) -> ShipOptions {
        let (aws, cloudwatch) = (&file.aws, &file.cloudwatch);
        let mut exporters = if self.ship.is_empty() { aws.ship.clone() } else { self.ship.clone() };
        exporters.sort_unstable();
        exporters.dedup();
        let encoder = EncoderOptions {
            resolution_s: self.cloudwatch_resolution.unwrap_or(cloudwatch.resolution_s),
            environment: self.cloudwatch_environment.clone().or_else(|| cloudwatch.environment.clone()),
            series_ceiling: self.cloudwatch_series.unwrap_or(cloudwatch.series).into(),
        };
        let spool_mib = self.spool_size.unwrap_or(cloudwatch.spool_mib);
        ShipOptions {
            exporters,
            dry_run: self.dry_run,
            aws: AwsOptions {
                profile: self.aws_profile.clone().or_else(|| aws.profile.clone()),
                region: self.aws_region.clone().or_else(|| aws.region.clone()),
                role_arn: self.aws_role.clone().or_else(|| aws.role_arn.clone()),
            },
            cloudwatch: CloudwatchOptions {
                namespace: self.cloudwatch_namespace.clone().unwrap_or_else(|| cloudwatch.namespace.clone()),
                endpoint: self.cloudwatch_endpoint.clone().or_else(|| cloudwatch.endpoint.clone()),
                encoder,
                spool: self.spool.clone().or_else(|| cloudwatch.spool.clone()).unwrap_or_else(default_spool),
                spool_bytes: u64::from(spool_mib) << 20,
            },
            xray: self.xray.over(&file.xray),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::configuration::read;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        ship: ShipArgs,
    }

    #[test]
    fn without_flags_and_file_nothing_is_shipped_and_the_defaults_are_one() {
        let options = ShipArgs::default().over(&Configuration::default());
        assert_eq!(options.exporters, []);
        assert_eq!(options.cloudwatch, CloudwatchOptions::default());
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = read(
            "[aws]\nship = [\"xray\"]\nregion = \"eu-central-1\"\nprofile = \"shop\"\n\
             [cloudwatch]\nresolution_s = 1\nseries = 100\n",
        )
        .unwrap();
        let flags =
            ["tiertop", "--ship", "xray,cloudwatch,xray", "--aws-region", "us-east-1", "--cloudwatch-series", "50"];
        let options = Command::try_parse_from(flags).unwrap().ship.over(&file);
        assert_eq!(options.exporters, [Exporter::Cloudwatch, Exporter::Xray]);
        assert_eq!((options.aws.region.as_deref(), options.aws.profile.as_deref()), (Some("us-east-1"), Some("shop")));
        let encoder = &options.cloudwatch.encoder;
        assert_eq!((encoder.resolution_s, encoder.series_ceiling), (1, 50));
    }
}
