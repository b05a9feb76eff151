//! Reading a request's body and inflating it, with a cap on both and room reserved for every byte.

use std::io::Read;
use std::time::Duration;

use ::http::HeaderValue;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::{Limits, Trouble};
use crate::intake::Room;

/// Largest window a zstd frame may ask for, as a power of two: 16 MiB. Common levels need 8.
const ZSTD_WINDOW_LOG: u32 = 24;

/// How much is inflated between looks at the limit.
const INFLATE_STEP: u64 = 256 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
    Deflate,
}

impl Compression {
    /// Reads `content-encoding` or `grpc-encoding`.
    pub(super) fn from_header(header: Option<&HeaderValue>) -> Result<Self, Trouble> {
        let Some(header) = header else {
            return Ok(Self::None);
        };
        let name = String::from_utf8_lossy(header.as_bytes()).trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" | "none" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "deflate" => Ok(Self::Deflate),
            _ => Err(Trouble::Encoding(name)),
        }
    }
}

/// Gathers a whole body. One that comes in one piece is not copied.
///
/// `expected` says from the first piece how long the body will be, so that memory is set aside
/// once; what it says is checked against the limit and for room first.
pub(super) async fn gather(
    body: &mut Incoming,
    limits: &Limits,
    room: &mut Room,
    expected: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Bytes, Trouble> {
    let gathering = gather_unhurried(body, limits.message_bytes, room, expected);
    tokio::time::timeout(limits.body_timeout, gathering).await.map_err(|_| Trouble::Slow)?
}

async fn gather_unhurried(
    body: &mut Incoming,
    limit: usize,
    room: &mut Room,
    expected: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Bytes, Trouble> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Trouble::Broken)?.into_data() else {
            continue;
        };
        let length = first.len() + all.len() + data.len();
        if first.is_empty() && all.is_empty() {
            let whole = expected(&data).unwrap_or(0).max(length);
            if whole > limit {
                return Err(Trouble::TooLarge(limit));
            }
            room.resize(whole as u64)?;
            first = data;
            if body.is_end_stream() {
                break;
            }
            continue;
        }
        if length > limit {
            return Err(Trouble::TooLarge(limit));
        }
        if length as u64 > room.bytes() {
            room.resize(length as u64)?;
        }
        if all.is_empty() {
            all.reserve(room.bytes() as usize);
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads what is left of a body and throws it away, up to the limit and for a short while: over
/// HTTP/1 a client that is still sending would otherwise see a broken connection, not the answer.
pub(super) async fn drain(mut body: Incoming, limits: &Limits) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let mut left = limits.message_bytes;
    let draining = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Who is slower than this sees the connection close.
    let _ = tokio::time::timeout(PATIENCE, draining).await;
}

/// Inflates a body, never beyond the limit.
pub(super) fn inflate(
    compression: Compression,
    body: Bytes,
    limits: &Limits,
    room: &mut Room,
) -> Result<Bytes, Trouble> {
    let limit = limits.message_bytes;
    match compression {
        Compression::None => Ok(body),
        Compression::Gzip => inflate_from(flate2::bufread::MultiGzDecoder::new(&body[..]), "gzip", limit, room),
        Compression::Deflate => inflate_from(flate2::bufread::ZlibDecoder::new(&body[..]), "deflate", limit, room),
        Compression::Zstd => {
            let broken = |_| Trouble::Inflate("zstd");
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&body[..]).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            inflate_from(decoder, "zstd", limit, room)
        }
    }
}

fn inflate_from(mut reader: impl Read, name: &'static str, limit: usize, room: &mut Room) -> Result<Bytes, Trouble> {
    let compressed = room.bytes();
    let mut inflated = Vec::new();
    loop {
        let step = reader.by_ref().take(INFLATE_STEP).read_to_end(&mut inflated);
        let read = step.map_err(|_| Trouble::Inflate(name))?;
        if inflated.len() > limit {
            return Err(Trouble::TooLarge(limit));
        }
        if read == 0 {
            return Ok(inflated.into());
        }
        room.resize(compressed + inflated.len() as u64)?;
    }
}
