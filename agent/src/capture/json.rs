//! OTLP as JSON: an object a line, or one object over many lines.

use std::io::{BufRead, Read};

use super::{LONGEST, Trouble};
use crate::decode::{self, DecodeError, Decoded, Limits};

/// Reads objects up to the end. Returns how many requests they held.
pub(super) fn read(mut bytes: impl BufRead, limits: &Limits, take: &mut impl FnMut(Decoded)) -> Result<u64, Trouble> {
    let (mut count, mut offset) = (0, 0);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if bytes.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(Trouble::Read)? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let is_first = offset == 0;
        let read = match decode::any_json(&line, limits) {
            Err(DecodeError::Json(error)) if error.is_eof() && is_first => {
                // The object goes on: then it is the whole file.
                bytes.by_ref().take(LONGEST).read_to_end(&mut line).map_err(Trouble::Read)?;
                decode::any_json(&line, limits)
            }
            read => read,
        };
        if line.len() as u64 >= LONGEST {
            return Err(Trouble::TooLong { offset });
        }
        offset += line.len() as u64;
        let requests = read.map_err(|error| match error {
            DecodeError::Json(error) if error.is_eof() => {
                Trouble::Cut { what: "an object", at: format!("line {number}") }
            }
            DecodeError::Json(error) => {
                Trouble::Json { line: number + error.line() as u64 - 1, error: DecodeError::Json(error) }
            }
            error @ DecodeError::Protobuf(_) => Trouble::Json { line: number, error },
        })?;
        if requests.is_empty() {
            return Err(Trouble::NotOtlp { line: number });
        }
        count += requests.len() as u64;
        requests.into_iter().for_each(&mut *take);
    }
    Ok(count)
}
