//! Writes: a content with its payload, or an upload that is processed later.
//!
//! Where there is a queue, a write inserts the row and hands the heavy part over; it is acknowledged once
//! both are durable. Without a queue the heavy part is done in the request, by the same code. An upload
//! first goes to the object store as it came, and is only pointed at afterwards.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json as value};

use super::App;
use super::answers::Refusal;
use super::inputs;
use super::sessions::Visitor;
use crate::clients::queue::{Encoding, Job};
use crate::service::http::{Answer, json};
use crate::service::processing::{ProcessError, finish};
use crate::wire::WireError;

/// Who uploads, where there is no session.
const USER: &str = "x-user-id";

/// The body of a write.
#[derive(Debug, Deserialize)]
struct Write {
    user_id: Option<i64>,
    payload: String,
}

impl App {
    /// Writes a content.
    pub(super) async fn post(self: &Arc<Self>, body: &[u8], visitor: Visitor) -> Result<Answer, Refusal> {
        let Write { user_id, payload } = parse(body)?;
        let user_id = match user_id {
            Some(user_id) => user_id,
            None => visitor.required("user_id")?,
        };
        let content_id = self.write(user_id, |content_id| Job::Payload { content_id, payload }).await?;
        Ok(json(StatusCode::OK, &processing(content_id)))
    }

    /// Takes a file as it is.
    pub(super) async fn upload(
        self: &Arc<Self>,
        request: &Request<Bytes>,
        visitor: Visitor,
    ) -> Result<Answer, Refusal> {
        let user_id = match request.headers().get(USER) {
            Some(given) => inputs::user_id(given.to_str().unwrap_or_default())?,
            None => visitor.required(USER)?,
        };
        if request.body().is_empty() {
            return Err(Refusal::unprocessable("the upload is empty"));
        }
        let (raw, encoding) = as_text(request.body());
        let key = format!("upload-{:032x}", rand::random::<u128>());
        self.objects.put(key.clone(), raw).await?;
        let content_id = self.write(user_id, |content_id| Job::Upload { content_id, key, encoding }).await?;
        let mut answer = json(StatusCode::ACCEPTED, &processing(content_id));
        let location = HeaderValue::try_from(format!("/api/v1/content/{content_id}")).expect("digits are valid");
        answer.headers_mut().insert(header::LOCATION, location);
        Ok(answer)
    }

    /// Inserts a row and has its job done, now or later; returns its id.
    async fn write(self: &Arc<Self>, user_id: i64, job: impl FnOnce(i64) -> Job) -> Result<i64, Refusal> {
        let content_id = self.primary.insert(user_id).await?;
        let job = job(content_id);
        let done = if self.is_queued() {
            self.queue.send(&job).await
        } else {
            finish(job, &self.objects, &self.primary).await.map_err(stores_fault)
        };
        match done {
            Ok(()) => Ok(content_id),
            Err(error) => {
                // Nobody would ever process the row. It was not acknowledged, so it may go, and the client
                // need not wait for that.
                let app = Arc::clone(self);
                tokio::spawn(tracing::Instrument::in_current_span(async move {
                    let _ = app.primary.delete(content_id).await;
                }));
                Err(error.into())
            }
        }
    }
}

/// Returns what a job that this process made itself can fail by.
fn stores_fault(error: ProcessError) -> WireError {
    match error {
        ProcessError::Wire(error) => error,
        ProcessError::Unreadable(error) => WireError::Json(error),
        lost @ ProcessError::NoUpload(_) => WireError::Refused(lost.to_string()),
    }
}

fn processing(content_id: i64) -> Value {
    value!({ "status": "processing", "content_id": content_id })
}

/// Returns bytes as text that the stores can keep.
fn as_text(bytes: &Bytes) -> (String, Encoding) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Encoding::Text),
        Err(_) => (BASE64_STANDARD.encode(bytes), Encoding::Base64),
    }
}

fn parse(body: &[u8]) -> Result<Write, Refusal> {
    let write: Write = inputs::body(body, r#"{"user_id": integer, "payload": text}"#)?;
    if write.user_id.is_some_and(|user_id| user_id < 0) {
        return Err(Refusal::unprocessable("user_id is negative"));
    }
    if write.payload.is_empty() {
        return Err(Refusal::unprocessable("payload is empty"));
    }
    Ok(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bodies_are_told_apart() {
        let status = |body: &str| parse(body.as_bytes()).unwrap_err().status;
        assert_eq!(status("{"), StatusCode::BAD_REQUEST);
        assert_eq!(status("[]"), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":"x","payload":"p"}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":-1,"payload":"p"}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":9223372036854775808,"payload":"p"}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":1,"payload":""}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(parse(br#"{"user_id":1,"payload":"p"}"#).is_ok());
        assert!(parse(br#"{"payload":"the session says who"}"#).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_base64() {
        assert_eq!(as_text(&Bytes::from_static(b"text")), ("text".to_owned(), Encoding::Text));
        assert_eq!(as_text(&Bytes::from_static(&[255, 0, 1])), ("/wAB".to_owned(), Encoding::Base64));
    }
}
