//! The command line's part of recording, shared by all commands that run an agent.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::{HistoryOptions, RecordOptions};
use crate::configuration::HistorySection;

/// What to record, and where.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Recording")]
pub struct RecordArgs {
    /// Records every second into a new file, for `tiertop replay FILE`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// With --record: the file ends when it is so long, in MiB [default: 1024].
    #[arg(long, value_name = "MIB", requires = "record", value_parser = clap::value_parser!(u32).range(1..))]
    pub record_size: Option<u32>,
    /// Always keeps a recording of the last so many MiB, over restarts; `tiertop replay FOLDER` opens it.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub record_ring: Option<u32>,
    /// With --record-ring: its folder [default: ~/.local/state/tiertop/recordings].
    #[arg(long, value_name = "FOLDER", requires = "record_ring")]
    pub record_folder: Option<PathBuf>,
}

impl RecordArgs {
    /// The options that these and the configuration say.
    pub fn options(&self, section: &HistorySection) -> HistoryOptions {
        let mebibytes = |count: u32| u64::from(count) << 20;
        let record = self.record.clone().map(|file| RecordOptions {
            file,
            most_bytes: mebibytes(self.record_size.unwrap_or(section.record_mib)),
            with_history: false,
        });
        let ring_mib = self.record_ring.unwrap_or(section.ring_mib);
        let folder =
            || self.record_folder.clone().or_else(|| section.ring_folder.clone()).unwrap_or_else(default_folder);
        HistoryOptions {
            seconds: u64::from(section.minutes) * 60,
            bytes: mebibytes(section.memory_mib) as usize,
            record,
            ring: (ring_mib > 0).then(|| (folder(), mebibytes(ring_mib))),
        }
    }
}

/// Where programs keep what is neither configuration nor cache: XDG Base Directory Specification.
fn default_folder() -> PathBuf {
    let absolute = |folder: OsString| Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute());
    let state = std::env::var_os("XDG_STATE_HOME").and_then(absolute);
    let home = || Some(std::env::var_os("HOME").and_then(absolute)?.join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("tiertop/recordings")
}
