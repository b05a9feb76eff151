//! Reading OTLP from files.
//!
//! What a file is, its content tells: compressed with gzip or zstd; JSON lines, as the Collector's file
//! exporter writes, or one object; protobuf, as one message or with four bytes of length before each, as the
//! exporter's `format: proto` writes, whose messages may each be compressed; traces, metrics or logs.
//! Names of files say nothing.
//!
//! A file is read as a stream; what is held at once is one line, one message, or a JSON object that is a
//! whole file.

mod error;
mod json;
mod protobuf;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::decode::{Decoded, Limits};

pub use error::{CaptureError, Trouble};

/// How much is read at once.
const STEP: usize = 256 << 10;
/// Longest line, message or object: as much as one may hold in memory without surprise, 2 GiB.
const LONGEST: u64 = 2 << 30;

/// The byte that a message begins with: the key of its field 1. As a length it would be over 160 MiB.
const FIELD_ONE: u8 = 0x0a;
/// The bytes that gzip begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The bytes that zstd begins with.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Reads a file and gives each request in it to `take`. Returns how many there were.
pub fn read(path: &Path, take: &mut impl FnMut(Decoded)) -> Result<u64, CaptureError> {
    let told = |trouble| CaptureError { path: path.to_owned(), trouble };
    let file = File::open(path).map_err(|error| told(Trouble::Open(error)))?;
    let count = read_any(BufReader::with_capacity(STEP, file), take).map_err(told)?;
    if count == 0 { Err(told(Trouble::Empty)) } else { Ok(count) }
}

fn read_any(mut bytes: impl BufRead, take: &mut impl FnMut(Decoded)) -> Result<u64, Trouble> {
    let begin = bytes.fill_buf().map_err(Trouble::Read)?;
    if begin.starts_with(GZIP) {
        return read_plain(BufReader::with_capacity(STEP, flate2::bufread::MultiGzDecoder::new(bytes)), take);
    }
    if begin.starts_with(ZSTD) {
        let inflated = zstd::stream::read::Decoder::with_buffer(bytes).map_err(Trouble::Read)?;
        return read_plain(BufReader::with_capacity(STEP, inflated), take);
    }
    read_plain(bytes, take)
}

fn read_plain(mut bytes: impl BufRead, take: &mut impl FnMut(Decoded)) -> Result<u64, Trouble> {
    let limits = Limits::default();
    let begin = bytes.fill_buf().map_err(Trouble::Read)?;
    if begin.trim_ascii_start().is_empty() && begin.len() < STEP {
        return if begin.is_empty() { Ok(0) } else { Err(Trouble::Empty) };
    }
    if is_json(begin) {
        return json::read(bytes, &limits, take);
    }
    if begin[0] != FIELD_ONE {
        return protobuf::frames(bytes, &limits, take);
    }
    let mut message = Vec::new();
    bytes.take(LONGEST + 1).read_to_end(&mut message).map_err(Trouble::Read)?;
    if message.len() as u64 > LONGEST {
        return Err(Trouble::TooLong { offset: 0 });
    }
    protobuf::message(&message, 0, &limits, take)
}

/// Whether bytes begin an object. A message may begin with what looks like a line's end and a brace: then
/// the name of a field must follow.
fn is_json(begin: &[u8]) -> bool {
    let Some(inside) = begin.trim_ascii_start().strip_prefix(b"{") else { return false };
    begin[0] != FIELD_ONE || inside.trim_ascii_start().starts_with(b"\"resource")
}
