//! The heavy part of a write: stores a payload and marks its row as processed.

use crate::sim::clients::Caller;
use crate::sim::queue::Job;
use crate::sim::statements::Work;
use crate::sim::wire::CallError;
use crate::telemetry::statements;

/// Returns the key of a content's payload.
pub(super) fn object_key(content_id: i64) -> String {
    format!("content-{content_id}")
}

/// Returns the key of what was uploaded for a content.
pub(super) fn upload_key(content_id: i64) -> String {
    format!("upload-{content_id}")
}

/// Does a job; one that cannot be done fails.
pub(super) async fn finish(caller: &Caller, job: Job) -> Result<(), CallError> {
    let Job::Finish { content_id, uploaded } = job else { return Err(CallError::Nonsense) };
    if uploaded {
        caller.object("GetObject", upload_key(content_id)).await?;
    }
    caller.object("PutObject", object_key(content_id)).await?;
    caller.at_primary(&statements::UPDATE, Work::Update { id: content_id }).await?;
    Ok(())
}
