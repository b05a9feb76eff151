//! The head of a recording, and the fields before each block.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::history::Block;

const MAGIC: &[u8; 8] = b"TIERTOPR";
const BLOCK: &[u8; 4] = b"BLCK";
const IS_WHOLE: u32 = 1;
/// Bytes of the fields before a payload.
pub(super) const FIELDS: usize = 36;
/// A head or a payload that says that it is longer is none.
const MOST_BYTES: u32 = 64 << 20;

/// Who wrote a recording, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The program's version, such as "0.1.0".
    pub program: String,
    /// When writing began, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
}

/// What stands where a head or a block should.
pub(super) enum Found<T> {
    Whole(T),
    /// Nothing, or something that was cut off or damaged.
    Nothing,
    /// The head of a newer format.
    Newer(u16, u16),
}

impl Head {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<u64> {
        let json = serde_json::to_vec(self)?;
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.0.to_le_bytes())?;
        out.write_all(&VERSION.1.to_le_bytes())?;
        out.write_all(&(json.len() as u32).to_le_bytes())?;
        out.write_all(&json)?;
        Ok(16 + json.len() as u64)
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Found<(Self, u64)>> {
        let Some(fixed) = exactly::<16>(from)? else { return Ok(Found::Nothing) };
        if &fixed[..8] != MAGIC {
            return Ok(Found::Nothing);
        }
        let (major, minor) = (short(&fixed[8..]), short(&fixed[10..]));
        if major > VERSION.0 {
            return Ok(Found::Newer(major, minor));
        }
        let length = word(&fixed[12..]).min(MOST_BYTES);
        let mut json = Vec::new();
        from.take(u64::from(length)).read_to_end(&mut json)?;
        // A minor version may say more of itself than is known here.
        Ok(serde_json::from_slice(&json).map_or(Found::Nothing, |head| Found::Whole((head, 16 + u64::from(length)))))
    }
}

/// The fields before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) length: u32,
    pub(super) first_unix_ms: u64,
    pub(super) last_unix_ms: u64,
    pub(super) seconds: u32,
    flags: u32,
    crc: u32,
}

impl Fields {
    pub(super) fn of(block: &Block) -> Self {
        let mut fields = Self {
            length: block.payload.len() as u32,
            first_unix_ms: block.first_unix_ms,
            last_unix_ms: block.last_unix_ms,
            seconds: block.seconds,
            flags: if block.is_whole { IS_WHOLE } else { 0 },
            crc: 0,
        };
        fields.crc = fields.sum(&block.payload);
        fields
    }

    pub(super) fn is_whole(self) -> bool {
        self.flags & IS_WHOLE != 0
    }

    /// Whether these are the fields of that payload.
    pub(super) fn match_payload(self, payload: &[u8]) -> bool {
        self.crc == self.sum(payload)
    }

    fn sum(self, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.bytes()[..FIELDS - 4]);
        hasher.update(payload);
        hasher.finalize()
    }

    pub(super) fn bytes(self) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..4].copy_from_slice(BLOCK);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first_unix_ms.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last_unix_ms.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.seconds.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.flags.to_le_bytes());
        bytes[32..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Found<Self>> {
        let Some(bytes) = exactly::<FIELDS>(from)? else { return Ok(Found::Nothing) };
        let fields = Self {
            length: word(&bytes[4..]),
            first_unix_ms: long(&bytes[8..]),
            last_unix_ms: long(&bytes[16..]),
            seconds: word(&bytes[24..]),
            flags: word(&bytes[28..]),
            crc: word(&bytes[32..]),
        };
        let is_block = &bytes[..4] == BLOCK && fields.length <= MOST_BYTES;
        Ok(if is_block { Found::Whole(fields) } else { Found::Nothing })
    }
}

fn exactly<const N: usize>(from: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match from.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn short(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn long(bytes: &[u8]) -> u64 {
    u64::from(word(bytes)) | u64::from(word(&bytes[4..])) << 32
}
