//! Which file is read: the one that is asked for, or else the user's own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::problem::Problem;
use super::{Configuration, read};

/// The flag of every command that reads the file.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigurationArgs {
    /// Configuration file [default: ~/.config/tiertop/config.toml, if it is there]; `tiertop config` prints one.
    #[arg(long, value_name = "FILE", env = "TIERTOP_CONFIG")]
    pub config: Option<PathBuf>,
}

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// One that was asked for: it must be there.
    Asked(PathBuf),
    /// The user's own, which need not be.
    Own(PathBuf),
    /// The user has no folder for configuration.
    Nowhere,
}

/// Why a file does not count.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {source}{}", .path.display(), hint(.source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", wrong(.path, .problems))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// All that is.
        problems: Vec<Problem>,
    },
}

fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound { "; `tiertop config > FILE` writes one" } else { "" }
}

fn wrong(path: &Path, problems: &[Problem]) -> String {
    let what = if problems.len() == 1 { "something is" } else { "some things are" };
    let heading = format!("{what} wrong in the configuration file; `tiertop config` prints all keys with defaults");
    let lines = problems.iter().map(|problem| format!("{}:{problem}", path.display()));
    std::iter::once(heading).chain(lines).collect::<Vec<_>>().join("\n")
}

impl ConfigurationArgs {
    /// Which file it is.
    pub fn found(&self) -> Found {
        let variable = |name| std::env::var_os(name);
        self.config.clone().map_or_else(|| own(variable("XDG_CONFIG_HOME"), variable("HOME")), Found::Asked)
    }

    /// What the file says, or the default where there is none.
    pub fn read(&self) -> Result<Configuration, ConfigurationError> {
        self.found().read()
    }
}

/// The user's own file.
fn own(configuration_home: Option<OsString>, home: Option<OsString>) -> Found {
    // A folder that is not absolute is to be ignored: XDG Base Directory Specification.
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
    let folder = configuration_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".config")));
    folder.map_or(Found::Nowhere, |folder| Found::Own(folder.join("tiertop/config.toml")))
}

impl Found {
    /// Where it is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Asked(path) | Self::Own(path) => Some(path),
            Self::Nowhere => None,
        }
    }

    /// What it says, or the default where there is none and none was asked for.
    pub fn read(&self) -> Result<Configuration, ConfigurationError> {
        let Some(path) = self.path() else { return Ok(Configuration::default()) };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                read::read(&text).map_err(|problems| ConfigurationError::Wrong { path: path.to_owned(), problems })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && matches!(self, Self::Own(_)) => {
                Ok(Configuration::default())
            }
            Err(source) => Err(ConfigurationError::Io { path: path.to_owned(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_file_is_where_the_system_says() {
        let own =
            |configuration: Option<&str>, home: Option<&str>| own(configuration.map(Into::into), home.map(Into::into));
        let found = |path: &str| Found::Own(path.into());
        assert_eq!(own(Some("/etc/xdg"), Some("/home/me")), found("/etc/xdg/tiertop/config.toml"));
        assert_eq!(own(None, Some("/home/me")), found("/home/me/.config/tiertop/config.toml"));
        assert_eq!(own(Some("relative"), Some("/home/me")), found("/home/me/.config/tiertop/config.toml"));
        assert_eq!(own(Some(""), None), Found::Nowhere);
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there_and_ones_own_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        assert_eq!(Found::Own(path.clone()).read().unwrap(), Configuration::default());
        let said = Found::Asked(path).read().unwrap_err().to_string();
        assert!(said.contains("none.toml") && said.contains("`tiertop config > FILE`"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_told_as_file_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        std::fs::write(&path, "[capacity]\nusers_per_rps = -1\n").unwrap();
        let said = Found::Own(path.clone()).read().unwrap_err().to_string();
        assert!(
            said.contains(&format!("{}:2:17: capacity.users_per_rps: -1 is not above 0", path.display())),
            "{said}"
        );
    }
}
