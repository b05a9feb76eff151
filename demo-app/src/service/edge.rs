//! The edge: answers from its own memory what may be kept, and passes on the rest.
//!
//! What may be kept and for how long says the origin, by `Cache-Control`. Each answer to a GET says by
//! `Age` and `Cache-Status` (RFC 9211) where it comes from. While what is behind fails or sheds, an
//! answer that has expired is better than none, if the settings say so (`stale-if-error`, RFC 5861).

mod cache;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use opentelemetry::metrics::Counter;
use opentelemetry::{Array, KeyValue, StringValue, Value, global};
use tracing::Span;

use crate::node::{NodeContext, Started};
use crate::service::http::{Answer, serve};
use crate::service::proxy::Proxy;
use crate::store::lock;
use crate::telemetry::spans;
use crate::topology::Role;
use cache::{Cache, Known};

/// How many answers are kept at most; the least recently used one makes room.
const ENTRIES: usize = 2_000;

/// How an answer came about (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Serves the edge in front of the load balancer.
pub(crate) fn start(context: NodeContext) -> Started {
    let edge = Arc::new(Edge {
        proxy: Proxy::new(&context, Role::LoadBalancer),
        cache: Mutex::new(Cache::new(ENTRIES)),
        stale_while_down: context.settings.stale_while_down,
        hits: counter("edge.cache.hits", "{hit}", "Requests that were answered from what is kept."),
        misses: counter("edge.cache.misses", "{miss}", "Requests for what may be kept, that were passed on."),
    });
    let answering = Arc::clone(&edge);
    let server = serve(
        context.listener,
        context.address,
        |_, _| None,
        move |request| {
            let edge = Arc::clone(&answering);
            async move { edge.answer(request).await }
        },
    );
    Started::plain(async move {
        tokio::join!(server, edge.proxy.keep_checking());
    })
}

fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Counter<u64> {
    global::meter("content").u64_counter(name).with_description(description).with_unit(unit).build()
}

struct Edge {
    proxy: Proxy,
    cache: Mutex<Cache>,
    stale_while_down: bool,
    hits: Counter<u64>,
    misses: Counter<u64>,
}

impl Edge {
    async fn answer(&self, request: Request<Bytes>) -> Answer {
        if request.method() != Method::GET {
            return says(self.proxy.forward(request).await, "edge; fwd=method");
        }
        if request.headers().contains_key(header::AUTHORIZATION) {
            return says(self.proxy.forward(request).await, "edge; fwd=bypass");
        }
        self.get(request).await
    }

    async fn get(&self, mut request: Request<Bytes>) -> Answer {
        let key = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        // The whole answer is wanted, also where this caller has it already: others will ask for it.
        let has = request.headers_mut().remove(header::IF_NONE_MATCH);
        let known = lock(&self.cache).look(&key, Instant::now());
        let (expired, forwarded) = match known {
            Known::Fresh(kept) => {
                self.hits.add(1, &[]);
                return says(unless_had(kept.answer(Instant::now()), has.as_ref()), "edge; hit");
            }
            Known::Expired(kept) => (Some(kept), "edge; fwd=stale"),
            Known::Nothing => (None, "edge; fwd=miss"),
        };
        let answer = self.proxy.forward(request).await;
        if is_no_answer(answer.status()) {
            if let Some(kept) = expired.filter(|_| self.stale_while_down) {
                self.misses.add(1, &[]);
                let says_why = format!("{forwarded}; fwd-status={}", answer.status().as_u16());
                return says(unless_had(kept.answer(Instant::now()), has.as_ref()), &says_why);
            }
            return says(answer, forwarded);
        }
        let kept = lock(&self.cache).learn(key, &answer, Instant::now());
        let answer = unless_had(answer, has.as_ref());
        if kept {
            self.misses.add(1, &[]);
            says(answer, &format!("{forwarded}; stored"))
        } else {
            says(answer, forwarded)
        }
    }
}

/// Whether what is behind failed, or turned the request away: then what is kept stays good.
fn is_no_answer(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Says where an answer comes from, to who asked and in the SERVER span.
fn says(mut answer: Answer, status: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(status) {
        answer.headers_mut().append(CACHE_STATUS, value);
    }
    let status = Value::Array(Array::String(vec![StringValue::from(status.to_owned())]));
    spans::set(&Span::current(), [KeyValue::new("http.response.header.cache-status", status)]);
    answer
}

/// Returns the answer, or 304 for a caller that has it: whose `If-None-Match` names its tag.
fn unless_had(mut answer: Answer, has: Option<&HeaderValue>) -> Answer {
    let names = |has: &HeaderValue| {
        let tag = answer.headers().get(header::ETAG)?.to_str().ok()?;
        let has = has.to_str().ok()?;
        // Tags are compared weakly here (RFC 9110, section 13.1.2).
        let same = |one: &str| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/");
        Some(has.split(',').map(str::trim).any(same))
    };
    if answer.status() == StatusCode::OK && has.and_then(names) == Some(true) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Full::default();
        answer.headers_mut().remove(header::CONTENT_TYPE);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testbed::{Origin, get, node};
    use crate::settings::Settings;
    use crate::topology::Phase;

    #[tokio::test]
    async fn what_may_be_kept_is_asked_for_once_and_serves_while_what_is_behind_is_down() {
        let origin = Origin::start(|number, path| match (number, path) {
            (3.., "/short") => (503, vec![]),
            (_, "/short") => (200, vec![("cache-control", "max-age=1"), ("etag", "\"a\"")]),
            (_, "/long") => (200, vec![("cache-control", "max-age=60")]),
            _ => (200, vec![]),
        });
        let origin = origin.await;
        let edge = node(Role::LoadBalancer, &[origin.address], Settings::of(Phase::SPIKES), start).await;
        let says = async |path: &str| {
            let (status, headers) = get(edge, path, &[]).await;
            (status, headers["cache-status"].to_str().unwrap().to_owned())
        };
        assert_eq!(says("/short").await, (200, "edge; fwd=miss; stored".to_owned()));
        let hit = get(edge, "/short", &[]).await;
        assert_eq!(
            (hit.0, &hit.1["cache-status"], &hit.1["age"]),
            (200, &"edge; hit".parse().unwrap(), &"0".parse().unwrap())
        );
        assert_eq!(get(edge, "/short", &[("if-none-match", "\"a\"")]).await.0, 304);
        assert_eq!(says("/long").await.1, "edge; fwd=miss; stored");
        assert_eq!(origin.requests(), 2);
        assert_eq!(says("/never").await.1, "edge; fwd=miss");
        assert_eq!(says("/never").await.1, "edge; fwd=miss");

        // It expires within a second, and from then on the origin fails.
        let expired = async {
            loop {
                let (status, says) = says("/short").await;
                assert_eq!(status, 200);
                if says != "edge; hit" {
                    return says;
                }
            }
        };
        let said = tokio::time::timeout(std::time::Duration::from_secs(20), expired).await.unwrap();
        assert_eq!(said, "edge; fwd=stale; fwd-status=503");
    }

    #[test]
    fn a_caller_that_has_the_answer_gets_no_body() {
        let status = |has: Option<&'static str>, tag: Option<&'static str>| {
            let mut answer = Answer::default();
            if let Some(tag) = tag {
                answer.headers_mut().insert(header::ETAG, HeaderValue::from_static(tag));
            }
            unless_had(answer, has.map(HeaderValue::from_static).as_ref()).status()
        };
        assert_eq!(status(Some(r#""a""#), Some(r#""a""#)), StatusCode::NOT_MODIFIED);
        assert_eq!(status(Some(r#""b", W/"a""#), Some(r#""a""#)), StatusCode::NOT_MODIFIED);
        assert_eq!(status(Some("*"), Some(r#""a""#)), StatusCode::NOT_MODIFIED);
        assert_eq!(status(Some(r#""b""#), Some(r#""a""#)), StatusCode::OK);
        assert_eq!(status(Some(r#""a""#), None), StatusCode::OK);
        assert_eq!(status(None, Some(r#""a""#)), StatusCode::OK);
    }

    #[test]
    fn an_answer_says_where_it_comes_from() {
        let answer = says(says(Answer::default(), "origin; hit"), "edge; fwd=miss; stored");
        let all: Vec<_> = answer.headers().get_all(CACHE_STATUS).iter().collect();
        assert_eq!(all, ["origin; hit", "edge; fwd=miss; stored"]);
    }
}
