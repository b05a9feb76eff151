//! Sessions: who a request is from. They live in the shared cache, so that any instance knows them, or in
//! the database where there is no cache.
//!
//! A session that is not known is refused. One that cannot be looked up, because its store is away, is
//! another matter: the request goes on, unless it needs to know who it is from.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json as value;

use super::App;
use super::answers::Refusal;
use super::inputs::body;
use crate::service::http::{Answer, json};
use crate::topology::Role;
use crate::wire::WireError;

/// How long a session lasts: a day.
const TTL: Duration = Duration::from_hours(24);

/// The name of the cookie.
const COOKIE: &str = "session";

/// Who a request is from.
pub(super) enum Visitor {
    /// It does not say.
    Unnamed,
    /// A user with a session.
    User(i64),
    /// Somebody whose session could not be looked up.
    Unsure(WireError),
}

impl Visitor {
    /// Returns the user, or a refusal that names what would have told.
    pub(super) fn required(self, instead: &str) -> Result<i64, Refusal> {
        match self {
            Self::User(user_id) => Ok(user_id),
            Self::Unnamed => Err(Refusal::unprocessable(format!("{instead} is missing, and there is no session"))),
            Self::Unsure(error) => Err(error.into()),
        }
    }

    /// Answers who it is.
    pub(super) fn introduce(self) -> Result<Answer, Refusal> {
        match self {
            Self::Unnamed => Err(Refusal::new(StatusCode::UNAUTHORIZED, "no session; POST to this path to begin one")),
            known => Ok(private(json(StatusCode::OK, &value!({ "user_id": known.required("session")? })))),
        }
    }
}

/// The body that begins a session.
#[derive(Debug, Deserialize)]
struct Begin {
    user_id: i64,
}

impl App {
    /// Begins a session for a user.
    pub(super) async fn begin_session(&self, request: &Bytes) -> Result<Answer, Refusal> {
        let Begin { user_id } = body(request, r#"{"user_id": integer}"#)?;
        if user_id < 0 {
            return Err(Refusal::unprocessable("user_id is negative"));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        if self.network.has(Role::Cache) {
            self.cache.set(key(&id), user_id.to_string(), TTL).await?;
        } else {
            self.primary.put_session(id.clone(), user_id).await?;
        }
        let cookie = format!("{COOKIE}={id}; HttpOnly; Path=/");
        let mut answer = private(json(StatusCode::OK, &value!({ "session_id": id })));
        let cookie = HeaderValue::try_from(cookie).expect("hexadecimal digits are valid");
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(answer)
    }

    /// Returns who a request is from; refuses a session that is not known.
    pub(super) async fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        let Some(id) = session_id(headers) else { return Ok(Visitor::Unnamed) };
        let found = if self.network.has(Role::Cache) {
            self.cache.get(key(id)).await.map(|value| value.and_then(|user| user.parse().ok()))
        } else {
            self.primary.session(id.to_owned()).await
        };
        match found {
            Ok(Some(user_id)) => Ok(Visitor::User(user_id)),
            Ok(None) => Err(Refusal::new(StatusCode::UNAUTHORIZED, "no such session; begin one at /api/v1/session")),
            Err(error) => Ok(Visitor::Unsure(error)),
        }
    }
}

/// Returns the key under which the cache has a session.
fn key(id: &str) -> String {
    format!("session:{id}")
}

/// Returns the session that a request's cookies name.
fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, id)| (name == COOKIE).then_some(id))
}

/// Keeps an answer out of caches.
fn private(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let session = |cookies: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(cookies));
            session_id(&headers).map(str::to_owned)
        };
        assert_eq!(session("session=abc").as_deref(), Some("abc"));
        assert_eq!(session("theme=dark; session=abc; old_session=x").as_deref(), Some("abc"));
        assert_eq!(session("sessions=abc"), None);
    }

    #[test]
    fn who_is_unnamed_and_who_cannot_be_looked_up_are_told_apart() {
        assert_eq!(Visitor::User(7).required("user_id").unwrap(), 7);
        let status = |visitor: Visitor| visitor.required("user_id").unwrap_err().status;
        assert_eq!(status(Visitor::Unnamed), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(Visitor::Unsure(WireError::Timeout)), StatusCode::SERVICE_UNAVAILABLE);
    }
}
