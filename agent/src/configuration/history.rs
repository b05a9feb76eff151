//! `[history]`: what is kept of the past, in memory and on disk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ranges::whole;

/// `[history]`: what is kept of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySection {
    /// Minutes of seconds that are kept in memory.
    #[serde(deserialize_with = "whole::<1, 1440, _, _>")]
    pub minutes: u32,
    /// Most memory for them, compressed, MiB.
    #[serde(deserialize_with = "whole::<1, 16384, _, _>")]
    pub memory_mib: u32,
    /// Longest file of a recording, MiB.
    #[serde(deserialize_with = "whole::<1, 1048576, _, _>")]
    pub record_mib: u32,
    /// Size of the recording that is always kept, MiB; 0 for none.
    #[serde(deserialize_with = "whole::<0, 1048576, _, _>")]
    pub ring_mib: u32,
    /// Where that one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_folder: Option<PathBuf>,
}

impl Default for HistorySection {
    fn default() -> Self {
        Self { minutes: 60, memory_mib: 48, record_mib: 1024, ring_mib: 0, ring_folder: None }
    }
}

/// `[history]` as it is printed.
pub(super) const COMMENTED: &str = "\
# What is kept of the past: every second, as the screen showed it, compressed.
[history]
# Minutes in memory, through which the screen can go back. 1 to 1440.
minutes = 60
# Most memory for them, in MiB; over it the oldest go. 1 to 16384.
memory_mib = 48
# A recording ends when it is so long, in MiB (--record-size).
record_mib = 1024
# Size of a recording that is always kept, over restarts, in MiB (--record-ring); 0 for none.
ring_mib = 0
# Its folder (--record-folder).
#ring_folder = \"/var/lib/tiertop/recordings\"
";
