//! The heavy part of a write: stores a payload and marks its row as processed.
//!
//! The worker does it for a message, and the application in the request where there is no queue. Doing
//! it twice does the same as once: the object and the row are written under the content's own id.

use serde_json::json;

use crate::clients::database::Database;
use crate::clients::objects::{self, Objects};
use crate::clients::queue::{Encoding, Job};
use crate::wire::WireError;

/// Why a job was not finished; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("understand the message: {0}")]
    Unreadable(serde_json::Error),
    #[error("find the upload {0}")]
    NoUpload(String),
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl ProcessError {
    /// Returns the low-cardinality name sent as `error.type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "invalid_message",
            Self::NoUpload(_) => "no_such_object",
            Self::Wire(error) => error.kind(),
        }
    }
}

/// Does a job.
pub(crate) async fn finish(job: Job, objects: &Objects, primary: &Database) -> Result<(), ProcessError> {
    let (content_id, payload, encoding) = match job {
        Job::Payload { content_id, payload } => (content_id, payload, Encoding::Text),
        Job::Upload { content_id, key, encoding } => {
            let raw = objects.get(&objects.url(&key)).await?.ok_or(ProcessError::NoUpload(key))?;
            (content_id, raw, encoding)
        }
    };
    let metadata = metadata(&payload, encoding);
    let key = objects::key(content_id);
    let url = objects.url(&key);
    objects.put(key, payload).await?;
    primary.update(content_id, metadata, url).await?;
    Ok(())
}

/// Returns what is known of a payload, as the JSON object that `content_metadata` holds.
pub(crate) fn metadata(payload: &str, encoding: Encoding) -> String {
    let metadata = match encoding {
        Encoding::Text => json!({ "bytes": payload.len(), "words": payload.split_whitespace().count() }),
        Encoding::Base64 => json!({ "bytes": decoded_length(payload), "encoding": "base64" }),
    };
    metadata.to_string()
}

/// Returns how many bytes a base64 text with padding stands for: three for each four characters.
fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|&byte| byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    #[test]
    fn metadata_counts_the_bytes_that_were_sent() {
        assert_eq!(metadata("some words", Encoding::Text), r#"{"bytes":10,"words":2}"#);
        for bytes in [&[0_u8; 0][..], &[255], &[255, 0], &[1, 2, 3], &[9; 300]] {
            assert_eq!(decoded_length(&BASE64_STANDARD.encode(bytes)), bytes.len());
        }
    }
}
