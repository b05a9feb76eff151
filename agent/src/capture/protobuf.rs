//! OTLP as protobuf: one message, or messages with their length before each.

use std::io::{BufRead, Read};

use super::{LONGEST, Trouble, ZSTD, json};
use crate::decode::{self, Decoded, Limits};
use crate::wire::Fields;

/// A message that is longer is read in pieces of about this: batches stay of a size that is soon done.
const PIECE: usize = 1 << 20;

/// Reads messages that each have their length before them, big-endian in four bytes.
pub(super) fn frames(mut bytes: impl BufRead, limits: &Limits, take: &mut impl FnMut(Decoded)) -> Result<u64, Trouble> {
    let (mut count, mut offset) = (0, 0_u64);
    let mut frame = Vec::new();
    loop {
        let cut = || Trouble::Cut { what: "a message", at: format!("byte {offset}") };
        let mut length = [0; 4];
        let got = bytes.by_ref().take(4).read(&mut length[..1]).map_err(Trouble::Read)?;
        if got == 0 {
            return Ok(count);
        }
        bytes.read_exact(&mut length[1..]).map_err(|_| cut())?;
        let length = u64::from(u32::from_be_bytes(length));
        if length > LONGEST {
            return Err(Trouble::TooLong { offset });
        }
        frame.clear();
        bytes.by_ref().take(length).read_to_end(&mut frame).map_err(Trouble::Read)?;
        if (frame.len() as u64) < length {
            return Err(cut());
        }
        count += one(&frame, offset + 4, limits, take)?;
        offset += 4 + length;
    }
}

/// One message of a frame: compressed or not, protobuf or JSON.
fn one(frame: &[u8], offset: u64, limits: &Limits, take: &mut impl FnMut(Decoded)) -> Result<u64, Trouble> {
    let inflated;
    let mut body = frame;
    if frame.starts_with(ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(Trouble::Read)?;
        let mut all = Vec::new();
        decoder.take(LONGEST + 1).read_to_end(&mut all).map_err(Trouble::Read)?;
        if all.len() as u64 > LONGEST {
            return Err(Trouble::TooLong { offset });
        }
        inflated = all;
        body = &inflated;
    }
    if body.first() == Some(&b'{') { json::read(body, limits, take) } else { message(body, offset, limits, take) }
}

/// One message, in pieces of whole resources. Returns how many requests were made of it.
pub(super) fn message(
    body: &[u8],
    offset: u64,
    limits: &Limits,
    take: &mut impl FnMut(Decoded),
) -> Result<u64, Trouble> {
    let told = |error: decode::DecodeError| Trouble::Protobuf { offset, error };
    let Some(signal) = decode::signal_of(body).map_err(told)? else { return Ok(0) };
    let mut count = 0;
    let mut decode_piece = |piece: &[u8]| -> Result<(), Trouble> {
        take(decode::protobuf(signal, piece, limits).map_err(told)?);
        count += 1;
        Ok(())
    };
    let (mut fields, mut from) = (Fields::new(body), 0);
    while fields.next().map_err(|error| told(error.into()))?.is_some() {
        let upto = body.len() - fields.rest().len();
        if upto - from >= PIECE {
            decode_piece(&body[from..upto])?;
            from = upto;
        }
    }
    if from < body.len() {
        decode_piece(&body[from..])?;
    }
    Ok(count)
}
