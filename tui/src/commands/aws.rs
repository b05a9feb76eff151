//! `tiertop aws cost`: what shipping costs a month, and why.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;
use tiertop_agent::args;
use tiertop_agent::configuration::{ConfigurationArgs, Exporter};
use tiertop_agent::feed::client::{self, ClientOptions};
use tiertop_agent::feed::{Detail, FeedAddress};
use tiertop_agent::ship::ShipOptions;
use tiertop_agent::ship::args::ShipArgs;
use tiertop_agent::ship::cost::{CostLine, Estimate, MetricsUsage, PRICES, Prices, Usage, estimate};
use tiertop_core::snapshot::Snapshot;
use tiertop_core::tier::TierKind;

use super::say;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to tell of AWS.
#[derive(Debug, Args)]
pub(crate) struct AwsArgs {
    #[command(subcommand)]
    command: AwsCommand,
}

#[derive(Debug, Subcommand)]
enum AwsCommand {
    /// Says what shipping with these flags and the configuration file costs a month at list price, and why.
    Cost(CostArgs),
}

/// How things are shipped, and of how many tiers. Where nothing is shipped, both metrics and traces are reckoned.
#[derive(Debug, Args)]
struct CostArgs {
    /// So many tiers, one of each kind in turn.
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    tiers: u32,
    /// Ask this agent which tiers it sees, instead of --tiers: HOST, HOST:PORT or :PORT of its feed.
    #[arg(long, value_name = "ADDR", conflicts_with = "tiers")]
    from: Option<FeedAddress>,
    /// File with the token that the agent asks for; else `TIERTOP_FEED_TOKEN` is read.
    #[arg(long, value_name = "FILE", requires = "from")]
    token_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configuration: ConfigurationArgs,
    #[command(flatten)]
    ship: ShipArgs,
}

pub(crate) async fn run(args: AwsArgs) -> Result<ExitCode> {
    let AwsCommand::Cost(args) = args.command;
    let ship = args.ship.over(&args.configuration.read()?);
    let (tiers, reported) = match &args.from {
        None => (TierKind::ALL.into_iter().cycle().take(args.tiers as usize).collect(), None),
        Some(address) => {
            let token = args::token(args.token_file.as_ref())?;
            let options = ClientOptions { address: address.clone(), token, detail: Detail::Full };
            let snapshot = client::once(&options, PATIENCE).await?;
            (snapshot.tiers.iter().map(|tier| tier.kind).collect(), reported(&snapshot))
        }
    };
    let estimate = estimate(&usage(&ship, tiers, reported));
    say(&if args.json { serde_json::to_string_pretty(&estimate)? + "\n" } else { text(&estimate) });
    Ok(ExitCode::SUCCESS)
}

fn usage(ship: &ShipOptions, tiers: Vec<TierKind>, reported: Option<u64>) -> Usage {
    let ships = |exporter| ship.exporters.is_empty() || ship.exporters.contains(&exporter);
    let encoder = &ship.cloudwatch.encoder;
    let metrics = MetricsUsage { resolution_s: encoder.resolution_s, ceiling: encoder.series_ceiling, reported };
    Usage {
        tiers,
        metrics: ships(Exporter::Cloudwatch).then_some(metrics),
        traces_per_second: ships(Exporter::Xray).then_some(ship.xray.rules.traces_per_second),
    }
}

/// The series that a running exporter of metrics counts.
fn reported(snapshot: &Snapshot) -> Option<u64> {
    let series = snapshot.pipeline.exporters.iter().find_map(|exporter| exporter.series)?;
    (series.used > 0).then_some(series.used)
}

fn text(estimate: &Estimate) -> String {
    let line = |line: &CostLine| format!("  {:>10}  {:<22} {}", dollars(line.month_usd), line.what, line.why);
    let sum = |sum, what: &str| format!("  {:>10}  {what}", dollars(sum));
    let mut lines = vec!["Shipping, a month of 730 hours:".to_owned()];
    lines.extend(estimate.shipping.iter().map(line));
    lines.push(sum(estimate.shipping_month_usd, "in all"));
    if !estimate.looking.is_empty() {
        lines.extend([String::new(), "Besides, if you use what is in dashboards/:".to_owned()]);
        lines.extend(estimate.looking.iter().map(line));
        lines.push(sum(estimate.month_usd, "with these"));
    }
    let Prices { region, date, pages: [metrics, traces], .. } = PRICES;
    lines.extend([
        String::new(),
        format!("List prices of {region}, noted {date}, without free tiers. Check them against the price pages:"),
        format!("  {metrics}"),
        format!("  {traces}\n"),
    ]);
    lines.join("\n")
}

fn dollars(sum: f64) -> String {
    format!("${sum:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiertop_core::snapshot::{ExporterView, SeriesView};

    #[test]
    fn the_page_adds_up_and_says_where_its_prices_are_from() {
        let metrics = MetricsUsage { resolution_s: 60, ceiling: 500, reported: Some(96) };
        let usage = Usage { tiers: Vec::new(), metrics: Some(metrics), traces_per_second: Some(1.0) };
        let page = text(&estimate(&usage));
        for wanted in ["$28.80", "$0.44", "$13.14", "$42.38  in all", PRICES.date, PRICES.pages[0]] {
            assert!(page.contains(wanted), "no {wanted} in\n{page}");
        }
    }

    #[test]
    fn an_agent_that_ships_tells_its_series() {
        let mut snapshot = Snapshot::default();
        assert_eq!(reported(&snapshot), None);
        let series = SeriesView { used: 42, ceiling: 500, folded_tiers: 0 };
        snapshot.pipeline.exporters.push(ExporterView { series: Some(series), ..ExporterView::default() });
        assert_eq!(reported(&snapshot), Some(42));
    }
}
