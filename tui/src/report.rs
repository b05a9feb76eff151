//! How errors and panics are told after the screen is gone: what, and what to do next.

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use color_eyre::config::{HookBuilder, Theme};
use color_eyre::eyre::{Report, Result};

/// Installs the reports, without colours where `NO_COLOR` is set or they go to a file.
pub fn install() -> Result<()> {
    let no_color = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    let mut hooks = HookBuilder::default().display_env_section(false);
    if no_color || !stderr().is_terminal() {
        hooks = hooks.theme(Theme::new());
    }
    hooks.install()
}

/// The exit code of a program that ended so, after its error, if there is one, is told on stderr.
///
/// In a line or two and never with a backtrace: a returned error is one that was foreseen. Those
/// that were not are panics, which have a report of their own.
pub fn exit_code(ended: Result<ExitCode>) -> ExitCode {
    ended.unwrap_or_else(|report| {
        // Where stderr is gone nobody is left to read it.
        let _ = writeln!(stderr(), "tiertop: {}", in_words(&report));
        ExitCode::FAILURE
    })
}

/// An error and its causes, as far as they say anything new.
fn in_words(report: &Report) -> String {
    let mut words = String::new();
    for cause in report.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use color_eyre::eyre::eyre;

    use super::*;

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let report = eyre!("the port is taken");
        assert_eq!(in_words(&report), "the port is taken");
        let report = report.wrap_err("cannot serve: the port is taken").wrap_err("no feed");
        assert_eq!(in_words(&report), "no feed: cannot serve: the port is taken");
    }
}
