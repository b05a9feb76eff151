//! Log records, which are only counted.

use super::Decoded;
use crate::wire::{Fields, Malformed};

/// Counts the log records of an `ExportLogsServiceRequest`.
pub(super) fn decode(body: &[u8]) -> Result<Decoded, Malformed> {
    let mut decoded = Decoded::default();
    let mut request = Fields::new(body);
    while let Some(resource_logs) = request.next()? {
        if resource_logs.number != 1 {
            continue;
        }
        let mut fields = Fields::new(resource_logs.bytes()?);
        while let Some(scope_logs) = fields.next()? {
            if scope_logs.number != 2 {
                continue;
            }
            let mut fields = Fields::new(scope_logs.bytes()?);
            while let Some(record) = fields.next()? {
                if record.number == 2 {
                    record.bytes()?;
                    decoded.batch.log_records += 1;
                }
            }
        }
    }
    Ok(decoded)
}
