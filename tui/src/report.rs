//! How errors and panics are told after the screen is gone: what, and what to do next.

use std::io::{IsTerminal, stderr};

use color_eyre::config::{HookBuilder, Theme};
use color_eyre::eyre::Result;

/// Installs the reports, without colours where `NO_COLOR` is set or they go to a file.
pub fn install() -> Result<()> {
    let no_color = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    let mut hooks = HookBuilder::default().display_env_section(false);
    if no_color || !stderr().is_terminal() {
        hooks = hooks.theme(Theme::new());
    }
    hooks.install()
}
