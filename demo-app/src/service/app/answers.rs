//! Answers of the application, and the refusals among them: each says why.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::routes::Route;
use crate::service::http::{Answer, refusal};
use crate::store::service_time::Refused;
use crate::wire::WireError;

/// Why a request is not answered as it wishes.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// What was sent is well formed and means nothing here.
    pub(super) fn unprocessable(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, why)
    }

    pub(super) fn into_answer(self) -> Answer {
        refusal(self.status, &self.why)
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("failed to {error}; try again"))
    }
}

impl From<Refused> for Refusal {
    fn from(_: Refused) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "this instance is too busy; try again")
    }
}

/// The answer of a read: JSON text as it is cached.
pub(super) fn found(body: Bytes) -> Answer {
    let mut answer = Answer::new(body.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The answer to a method that a route does not take.
pub(super) fn not_allowed(route: Route<'_>) -> Answer {
    let why = format!("this path takes {} only", route.methods());
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, &why);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.methods()));
    answer
}
