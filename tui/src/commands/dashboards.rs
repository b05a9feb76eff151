//! `tiertop dashboards`: what is made for CloudWatch and Grafana, printed, compared with an account, put there.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, eyre};
use serde_json::Value;
use similar::TextDiff;
use tiertop_agent::dashboards::cloudwatch::{BOARDS, Board};
use tiertop_agent::dashboards::{ALL, Placement, deploy, limits, made};
use tiertop_agent::ship::aws::{self, AwsOptions};
use tiertop_agent::ship::cloudwatch::send::client;
use tiertop_agent::ship::failure::Failure;

use super::say;

/// What to do with dashboards.
#[derive(Debug, Args)]
pub(crate) struct DashboardsArgs {
    #[command(subcommand)]
    command: DashboardsCommand,
}

#[derive(Debug, Subcommand)]
enum DashboardsCommand {
    /// Prints a dashboard, the alarms, a policy or a template.
    Print {
        /// Which; `--list` tells all.
        #[arg(required_unless_present = "list")]
        name: Option<String>,
        /// Tells what there is.
        #[arg(long)]
        list: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Puts dashboards into CloudWatch, in the place of those of the same names.
    Put {
        #[command(flatten)]
        which: WhichArgs,
        /// Says what would be put, and asks AWS nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Shows how the dashboards in CloudWatch differ from what would be put. Ends with 1 if they do.
    Diff {
        #[command(flatten)]
        which: WhichArgs,
    },
}

/// What dashboards show.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// The environment that they show at first: the dimension "Environment" of the metrics.
    #[arg(long, value_name = "NAME", default_value = "default")]
    environment: String,
    /// Namespace of the metrics, as given to --cloudwatch-namespace.
    #[arg(long, value_name = "NAME", default_value = "Tiertop")]
    namespace: String,
    /// Region of the metrics [default: `AWS_REGION`, the profile's; to print, us-east-1].
    #[arg(long, value_name = "REGION")]
    aws_region: Option<String>,
}

/// Which dashboards, and where they go.
#[derive(Debug, Args)]
struct WhichArgs {
    /// Which of overview, tier, queue and database [default: all].
    names: Vec<String>,
    /// Their names begin with this [default: tiertop-ENVIRONMENT].
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Profile of ~/.aws/config [default: `AWS_PROFILE`].
    #[arg(long, value_name = "NAME")]
    aws_profile: Option<String>,
    /// Role to assume, by its ARN.
    #[arg(long, value_name = "ARN", env = "TIERTOP_AWS_ROLE")]
    aws_role: Option<String>,
    /// Endpoint of CloudWatch, instead of the region's [default: `AWS_ENDPOINT_URL_CLOUDWATCH`].
    #[arg(long, value_name = "URL")]
    cloudwatch_endpoint: Option<String>,
}

impl PlaceArgs {
    fn placement(&self, region: Option<String>) -> Placement {
        let region = self.aws_region.clone().or(region).unwrap_or_else(|| Placement::default().region);
        Placement { region, environment: self.environment.clone(), namespace: self.namespace.clone() }
    }
}

impl WhichArgs {
    fn boards(&self) -> Result<Vec<Board>> {
        if self.names.is_empty() {
            return Ok(BOARDS.into());
        }
        let board = |name: &String| {
            let known = BOARDS.into_iter().find(|board| board.name == name);
            known.ok_or_else(|| eyre!("there is no dashboard `{name}`; there are overview, tier, queue and database"))
        };
        self.names.iter().map(board).collect()
    }

    /// The name of a dashboard in the account.
    fn name(&self, board: Board) -> String {
        let usual = || format!("tiertop-{}", self.place.environment);
        format!("{}-{}", self.prefix.clone().unwrap_or_else(usual), board.name)
    }

    fn aws(&self) -> AwsOptions {
        AwsOptions {
            profile: self.aws_profile.clone(),
            region: self.place.aws_region.clone(),
            role_arn: self.aws_role.clone(),
        }
    }
}

pub(crate) async fn run(args: DashboardsArgs) -> Result<ExitCode> {
    match args.command {
        DashboardsCommand::Print { list: true, .. } => say(&list()),
        DashboardsCommand::Print { name, place, .. } => {
            let name = name.unwrap_or_default();
            let found = made(&name)
                .ok_or_else(|| eyre!("there is no `{name}`; `tiertop dashboards print --list` tells what there is"))?;
            say(&found.text(&place.placement(None)));
        }
        DashboardsCommand::Put { which, dry_run: true } => {
            let placement = which.place.placement(None);
            for board in which.boards()? {
                say(&would_put(&which.name(board), &board.body(&placement)));
            }
        }
        DashboardsCommand::Put { which, .. } => return put(&which).await,
        DashboardsCommand::Diff { which } => return diff(&which).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> String {
    let width = ALL.iter().map(|made| made.name.len()).max().unwrap_or_default();
    let lines: Vec<String> = ALL.iter().map(|made| format!("{:width$}  {}\n", made.name, made.what)).collect();
    lines.concat()
}

fn would_put(name: &str, body: &Value) -> String {
    let widgets = body["widgets"].as_array().map_or(0, Vec::len);
    let problems = limits::problems(body);
    let limits = if problems.is_empty() { "within all limits".to_owned() } else { problems.join("; ") };
    format!("would put {name}: {widgets} widgets, {} bytes, {limits}\n", body.to_string().len())
}

async fn put(which: &WhichArgs) -> Result<ExitCode> {
    let config = Box::pin(aws::load(&which.aws())).await?;
    let client = client(&config, which.cloudwatch_endpoint.as_deref());
    let placement = which.place.placement(config.region().map(ToString::to_string));
    for board in which.boards()? {
        let name = which.name(board);
        let remarks =
            deploy::put(&client, &name, &board.body(&placement)).await.map_err(|failure| told(&name, &failure))?;
        say(&format!("put {name}\n"));
        for remark in remarks {
            say(&format!("  CloudWatch remarks: {remark}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn diff(which: &WhichArgs) -> Result<ExitCode> {
    let config = Box::pin(aws::load(&which.aws())).await?;
    let client = client(&config, which.cloudwatch_endpoint.as_deref());
    let placement = which.place.placement(config.region().map(ToString::to_string));
    let mut differ = false;
    for board in which.boards()? {
        let name = which.name(board);
        let there = deploy::deployed(&client, &name).await.map_err(|failure| told(&name, &failure))?;
        let wanted = board.body(&placement);
        match there {
            Some(there) if there == wanted => say(&format!("{name}: as it would be put\n")),
            Some(there) => {
                say(&difference(&name, &there, &wanted));
                differ = true;
            }
            None => {
                say(&format!("{name}: not there\n"));
                differ = true;
            }
        }
    }
    Ok(if differ { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The lines that differ, as patches have them.
fn difference(name: &str, there: &Value, wanted: &Value) -> String {
    let (there, wanted) = (format!("{there:#}\n"), format!("{wanted:#}\n"));
    let lines = TextDiff::from_lines(&there, &wanted);
    lines.unified_diff().header(&format!("{name} as deployed"), &format!("{name} as it would be put")).to_string()
}

fn told(name: &str, failure: &Failure) -> color_eyre::eyre::Report {
    eyre!("{name}: {}. What to do: {}", failure.what, failure.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_is_there_and_what_would_be() {
        let placement = Placement::default();
        let wanted = BOARDS[0].body(&placement);
        let mut there = wanted.clone();
        there["start"] = "-PT1H".into();
        let shown = difference("tiertop-shop-overview", &there, &wanted);
        assert!(shown.contains("-  \"start\": \"-PT1H\"") && shown.contains("+  \"start\": \"-PT3H\""), "{shown}");
        assert!(shown.lines().count() < 15, "only what differs: {shown}");
    }

    #[test]
    fn everything_that_is_made_is_listed() {
        let list = list();
        assert_eq!(list.lines().count(), ALL.len());
        assert!(list.contains("overview") && list.contains("cloudformation") && list.contains("grafana-agent"));
    }
}
