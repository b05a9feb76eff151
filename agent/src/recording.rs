//! Recordings: the snapshots of a system on disk, second by second.
//!
//! A file is a head and then blocks, each compressed by itself and with a checksum:
//!
//! ```text
//! head    "TIERTOPR"  u16 major  u16 minor  u32 length  JSON: who wrote it, when
//! block   "BLCK"  u32 length  u64 first ms  u64 last ms  u32 seconds  u32 flags  u32 crc  payload
//! ```
//!
//! Numbers are little-endian; the crc (CRC-32) covers the block's fields before it and its payload. There is no
//! index that a crash could lose: the fields before each payload are one, and an hour has 360 of them.
//! What a cut file ends with is left out when it is read, and cut off when it is written on.
//!
//! A change that older programs can read raises the minor version, any other the major one.

mod error;
mod head;
mod reader;
mod ring;
mod writer;

pub use error::RecordingError;
pub use head::Head;
pub use reader::Recording;
pub use ring::Ring;
pub use writer::Writer;

/// Milliseconds since the Unix epoch, by this machine's clock.
pub(crate) fn now_unix_ms() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// The version of the format that is written.
pub const VERSION: (u16, u16) = (1, 0);
