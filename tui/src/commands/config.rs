//! `tiertop config`: the configuration file, printed, checked and found.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use color_eyre::eyre::{Result, eyre};
use tiertop_agent::configuration::{ConfigurationArgs, Found, commented, differences};

use super::say;

/// What to do. Without a command: prints every key with its default and what it means.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says what is wrong in a file, or else what it says otherwise than the default.
    Check {
        /// The file [default: the one that would be read].
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        usual: ConfigurationArgs,
    },
    /// Prints where the file is that would be read.
    Path {
        #[command(flatten)]
        usual: ConfigurationArgs,
    },
}

pub(crate) fn run(args: ConfigArgs) -> Result<ExitCode> {
    match args.command {
        None => say(&commented()),
        Some(ConfigCommand::Check { file, usual }) => {
            let found = file.map_or_else(|| usual.found(), Found::Asked);
            let differences = differences(&found.read()?);
            let file = found.path().filter(|path| path.exists());
            let what = file.map_or_else(|| "there is no file".to_owned(), |path| format!("{}: right", path.display()));
            let told = match differences.len() {
                0 => format!("{what}; all is as by default\n"),
                1 => format!("{what}; one thing differs from the default\n"),
                many => format!("{what}; {many} things differ from the default\n"),
            };
            say(&differences.iter().fold(told, |told, line| told + "  " + line + "\n"));
        }
        Some(ConfigCommand::Path { usual }) => {
            let found = usual.found();
            let path = found.path().ok_or_else(|| {
                eyre!("neither HOME nor XDG_CONFIG_HOME names a folder; give a file with --config or TIERTOP_CONFIG")
            })?;
            say(&format!("{}\n", path.display()));
            if !path.exists() {
                eprintln!("tiertop config: it is not there; `tiertop config > FILE` writes one");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
