//! `tiertop analyze`: names the bottleneck that captured files show.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use tiertop::text;
use tiertop_agent::analyze::{AnalyzeOptions, analyze};
use tiertop_agent::configuration::{ConfigurationArgs, mebibytes};
use tiertop_core::config::TierRule;

use super::{Format, say};

/// What to analyse.
///
/// Ends with 0 when the files could be read, whatever they show, with 1 when not, and with 2 when the
/// command line is wrong.
#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// OTLP files: JSON lines, as the Collector's file exporter writes, one JSON object, or protobuf; gzip or
    /// zstd too. Several files are one capture.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// OTLP of the same system while it was healthy; may be repeated [default: the first quarter of FILE].
    #[arg(long, value_name = "FILE")]
    baseline: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Says which tier a service or peer is, such as `lb=frontdoor`; may be repeated.
    #[arg(long = "tier", value_name = "KIND=PATTERN", value_parser = TierRule::parse)]
    tiers: Vec<TierRule>,
    /// Most memory for spans, in MiB; over it some traces are left out, and that is said [default: 256].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=16384))]
    max_memory: Option<u16>,
    #[command(flatten)]
    configuration: ConfigurationArgs,
}

pub(crate) fn run(args: AnalyzeArgs) -> Result<ExitCode> {
    let configuration = args.configuration.read()?;
    let mut config = configuration.engine();
    config.tiers.splice(..0, args.tiers);
    let options = AnalyzeOptions {
        files: args.files,
        baseline: args.baseline,
        config,
        trace_bytes: mebibytes(args.max_memory.unwrap_or(configuration.analyze.memory_mib)),
    };
    let report = analyze(&options)?;
    say(&match Format::of(args.json) {
        Format::Text => text::print_report(&report),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    });
    Ok(ExitCode::SUCCESS)
}
