//! The application: the content API over cache, database, queue and object store.
//!
//! A write inserts the row into the primary and hands the payload to the queue; it is acknowledged
//! once both are durable. A read asks the cache, then the replica, then, where the replica does not
//! know the content or does not know it processed, the primary; so that a read after an
//! acknowledged write never answers 404, however far the replica is behind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json as value};

use crate::clients::cache::CacheClient;
use crate::clients::database::Database;
use crate::clients::objects::Objects;
use crate::clients::queue::{Job, Queue};
use crate::node::NodeContext;
use crate::service::http::{Answer, json, refusal, serve};
use crate::store::database::Content;
use crate::wire::WireError;

const COLLECTION: &str = "/api/v1/content";
const ITEM: &str = "/api/v1/content/{content_id}";

/// How many connections an instance opens to the queue at most.
const QUEUE_CONNECTIONS: usize = 16;

/// Serves the application.
pub(crate) fn start(context: NodeContext) -> impl Future<Output = ()> {
    let (peers, wires, settings) = (context.peers, context.wires, &context.settings);
    let app = Arc::new(App {
        cache: CacheClient::new(peers.clone(), wires.clone()),
        replica: Database::replica(settings.replica_pool, peers.clone(), wires.clone()),
        primary: Database::primary(settings.primary_pool, peers.clone(), wires.clone()),
        queue: Queue::new(QUEUE_CONNECTIONS, peers.clone(), wires.clone()),
        objects: Objects::new(peers, wires),
        cache_ttl: settings.cache_ttl,
    });
    serve(context.listener, context.address, route, move |request| {
        let app = Arc::clone(&app);
        async move { app.answer(request).await }
    })
}

/// Returns the cache key of a content.
pub(crate) fn cache_key(content_id: i64) -> String {
    format!("content:{content_id}")
}

/// Returns what is cached for a content: the answer to a read.
pub(crate) fn cached(content: &Content, payload: &str) -> String {
    let metadata = content.content_metadata.as_deref().unwrap_or("{}");
    let mut metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    metadata["user_id"] = content.user_id.into();
    metadata["created_at"] = content.created_at.as_str().into();
    value!({ "content_id": content.id, "payload": payload, "metadata": metadata }).to_string()
}

struct App {
    cache: CacheClient,
    replica: Database,
    primary: Database,
    queue: Queue,
    objects: Objects,
    cache_ttl: Duration,
}

/// The body of a write.
#[derive(Debug, Deserialize)]
struct Write {
    user_id: i64,
    payload: String,
}

impl App {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let path = request.uri().path();
        match (route(request.method(), path), request.method()) {
            (Some(COLLECTION), &Method::POST) => self.post(request.body()).await,
            (Some(COLLECTION), _) => not_allowed("POST"),
            (Some(_), &Method::GET) => self.get(path).await,
            (Some(_), _) => not_allowed("GET"),
            (None, _) => refusal(StatusCode::NOT_FOUND, "no such path; try /api/v1/content"),
        }
    }

    async fn post(&self, body: &[u8]) -> Answer {
        let write = match parse(body) {
            Ok(write) => write,
            Err((status, why)) => return refusal(status, &why),
        };
        match self.write(write).await {
            Ok(id) => json(StatusCode::OK, &value!({ "status": "processing", "content_id": id })),
            Err(error) => unavailable(&error),
        }
    }

    async fn write(&self, write: Write) -> Result<i64, WireError> {
        let content_id = self.primary.insert(write.user_id).await?;
        let job = Job { content_id, payload: write.payload };
        if let Err(error) = self.queue.send(&job).await {
            // Nobody would ever process the row. It was not acknowledged, so it may go.
            let _ = self.primary.delete(content_id).await;
            return Err(error);
        }
        Ok(content_id)
    }

    async fn get(&self, path: &str) -> Answer {
        let text = path.rsplit('/').next().unwrap_or_default();
        let Ok(id) = text.parse::<i64>() else {
            return refusal(StatusCode::BAD_REQUEST, "content_id is not an integer");
        };
        match self.read(id).await {
            Ok(answer) => answer,
            Err(error) => unavailable(&error),
        }
    }

    async fn read(&self, id: i64) -> Result<Answer, WireError> {
        if let Some(hit) = self.cache.get(cache_key(id)).await {
            return Ok(found(hit));
        }
        let Some(content) = self.row(id).await? else {
            return Ok(refusal(StatusCode::NOT_FOUND, "no content with this id"));
        };
        let Some(asset_url) = &content.asset_url else {
            return Ok(json(StatusCode::OK, &value!({ "status": "processing", "content_id": id })));
        };
        let Some(payload) = self.objects.get(asset_url).await? else {
            return Err(WireError::Refused("the payload is missing".to_owned()));
        };
        let body = cached(&content, &payload);
        self.cache.set(cache_key(id), body.clone(), self.cache_ttl).await;
        Ok(found(body))
    }

    /// Returns the row from the replica if that has it processed, else from the primary.
    async fn row(&self, id: i64) -> Result<Option<Content>, WireError> {
        match self.replica.select(id).await {
            Ok(Some(content)) if content.asset_url.is_some() => Ok(Some(content)),
            _ => self.primary.select(id).await,
        }
    }
}

/// Returns the route of a path.
fn route(_: &Method, path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix(COLLECTION)?;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => Some(COLLECTION),
        Some(id) if !id.is_empty() && !id.contains('/') => Some(ITEM),
        _ => None,
    }
}

fn parse(body: &[u8]) -> Result<Write, (StatusCode, String)> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    let write: Write = serde_json::from_value(body).map_err(|error| {
        let why = format!(r#"the body is not {{"user_id": integer, "payload": text}}: {error}"#);
        (StatusCode::UNPROCESSABLE_ENTITY, why)
    })?;
    if write.payload.is_empty() {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "payload is empty".to_owned()));
    }
    Ok(write)
}

fn found(body: String) -> Answer {
    let mut answer = Answer::new(Bytes::from(body).into());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("this path takes {allowed} only"));
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn unavailable(error: &WireError) -> Answer {
    refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("failed to {error}; try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_routes() {
        let route = |path| route(&Method::GET, path);
        assert_eq!(route("/api/v1/content"), Some(COLLECTION));
        assert_eq!(route("/api/v1/content/17"), Some(ITEM));
        assert_eq!(route("/api/v1/content/x"), Some(ITEM));
        for other in ["/", "/api/v1/content/", "/api/v1/content/1/2", "/api/v1/contents"] {
            assert_eq!(route(other), None, "{other}");
        }
    }

    #[test]
    fn bad_bodies_are_told_apart() {
        let status = |body: &str| parse(body.as_bytes()).unwrap_err().0;
        assert_eq!(status("{"), StatusCode::BAD_REQUEST);
        assert_eq!(status("[]"), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":"x","payload":"p"}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(r#"{"user_id":1,"payload":""}"#), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(parse(br#"{"user_id":1,"payload":"p"}"#).is_ok());
    }
}
