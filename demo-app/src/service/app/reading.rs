//! Reads: one content, or the list of a user's.
//!
//! A content is looked for in the instance's memory, the shared cache, a replica, and the primary, which
//! is asked too where the replica does not know the content or does not know it processed; so a read
//! after an acknowledged write never answers 404, however far the replicas are behind. A list may be
//! behind. When the stores fail, the last known answer is better than none, and says that it is stale.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json as value};

use super::App;
use super::answers::{Refusal, found};
use super::inputs::{content_id, user_id};
use crate::service::http::{Answer, json};
use crate::store::database::Content;
use crate::topology::Role;
use crate::wire::WireError;

/// What a stale answer says (RFC 7234, section 5.5.1).
const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");

/// Returns the cache key of a content.
pub(crate) fn cache_key(content_id: i64) -> String {
    format!("content:{content_id}")
}

/// Returns what is cached for a content: the answer to a read. There is no rating without a third party.
pub(crate) fn cached(content: &Content, payload: &str, rating: Option<Value>) -> String {
    let mut answer = value!({ "content_id": content.id, "payload": payload, "metadata": metadata(content) });
    if let Some(rating) = rating {
        answer["rating"] = rating;
    }
    answer.to_string()
}

fn metadata(content: &Content) -> Value {
    let known = content.content_metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut metadata = known.filter(Value::is_object).unwrap_or_else(|| value!({}));
    metadata["user_id"] = content.user_id.into();
    metadata["created_at"] = content.created_at.as_str().into();
    metadata
}

impl App {
    /// Answers one content.
    pub(super) async fn get(&self, id: &str) -> Result<Answer, Refusal> {
        let id = content_id(id)?;
        if let Some(body) = self.memory.get(id, Instant::now()) {
            return Ok(found(body));
        }
        match self.look_up(id).await {
            Ok(Read::Found(body)) => {
                self.memory.keep(id, &body, Instant::now());
                Ok(found(body))
            }
            Ok(Read::Processing) => Ok(json(StatusCode::OK, &value!({ "status": "processing", "content_id": id }))),
            Ok(Read::Unknown) => Err(Refusal::new(StatusCode::NOT_FOUND, "no content with this id")),
            Err(error) => self.memory.stale(id).and_then(|body| stale(&body)).ok_or_else(|| error.into()),
        }
    }

    async fn look_up(&self, id: i64) -> Result<Read, WireError> {
        let cache = self.network.has(Role::Cache).then_some(&self.cache);
        if let Some(cache) = cache {
            // A cache that fails is one that has nothing.
            if let Ok(Some(hit)) = cache.get(cache_key(id)).await {
                return Ok(Read::Found(hit.into()));
            }
        }
        let Some(content) = self.row(id).await? else { return Ok(Read::Unknown) };
        let Some(asset_url) = &content.asset_url else { return Ok(Read::Processing) };
        let Some(payload) = self.objects.get(asset_url).await? else {
            return Err(WireError::Refused("the payload is missing".to_owned()));
        };
        let body = cached(&content, &payload, self.ratings.of(id).await);
        if let Some(cache) = cache {
            // What was not kept is looked up again.
            let _ = cache.set(cache_key(id), body.clone(), self.cache_ttl).await;
        }
        Ok(Read::Found(body.into()))
    }

    /// Returns the row from a replica if that has it processed, else from the primary.
    async fn row(&self, id: i64) -> Result<Option<Content>, WireError> {
        if let Some(replica) = self.replicas.next()
            && let Ok(Some(content)) = replica.select(id).await
            && content.asset_url.is_some()
        {
            return Ok(Some(content));
        }
        self.primary.select(id).await
    }

    /// Answers the newest contents of a user, who is told by the query.
    pub(super) async fn list(&self, query: Option<&str>) -> Result<Answer, Refusal> {
        let given = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("user_id="));
        let user = user_id(given.ok_or_else(|| Refusal::unprocessable("user_id is missing; try ?user_id=1"))?)?;
        let rows = match self.replicas.next() {
            Some(replica) => match replica.list(user).await {
                Ok(rows) => rows,
                Err(_) => self.primary.list(user).await?,
            },
            None => self.primary.list(user).await?,
        };
        let contents: Vec<Value> = rows.iter().map(listed).collect();
        Ok(json(StatusCode::OK, &value!({ "user_id": user, "contents": contents })))
    }
}

/// What is known of a content.
enum Read {
    /// The answer to a read, as JSON text.
    Found(Bytes),
    Processing,
    Unknown,
}

/// Returns a content as a list has it: without its payload.
fn listed(content: &Content) -> Value {
    let status = if content.asset_url.is_some() { "processed" } else { "processing" };
    value!({ "content_id": content.id, "status": status, "metadata": metadata(content) })
}

/// Marks an answer as stale.
fn stale(body: &[u8]) -> Option<Answer> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    body["stale"] = true.into();
    let mut answer = json(StatusCode::OK, &body);
    answer.headers_mut().insert(header::WARNING, STALE);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content {
            id: 17,
            user_id: 7,
            content_metadata: Some(r#"{"bytes":5}"#.to_owned()),
            asset_url: Some("s3://content/content-17".to_owned()),
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
        }
    }

    #[test]
    fn an_answer_has_a_rating_only_where_somebody_rates() {
        let answer = |rating| serde_json::from_str::<Value>(&cached(&content(), "hello", rating)).unwrap();
        assert_eq!(answer(None).get("rating"), None);
        assert_eq!(answer(Some(Value::Null))["rating"], Value::Null);
        let metadata = value!({ "bytes": 5, "user_id": 7, "created_at": "2026-01-01T00:00:00.000Z" });
        assert_eq!(
            answer(Some(4.into())),
            value!({ "content_id": 17, "payload": "hello", "metadata": metadata, "rating": 4 })
        );
    }

    #[test]
    fn a_stale_answer_says_so() {
        let answer = stale(cached(&content(), "hello", None).as_bytes()).unwrap();
        assert!(answer.headers()[header::WARNING].to_str().unwrap().starts_with("110 "));
    }
}
