//! The command line's part of shipping, shared by all commands that run an agent.

use clap::Args;

use super::aws::AwsOptions;
use super::xray::args::XrayArgs;
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
    /// What of traces.
    #[command(flatten)]
    pub xray: XrayArgs,
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
            xray: self.xray.options(),
        }
    }
}
