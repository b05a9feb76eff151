//! The third party: a service of somebody else that rates contents.
//!
//! It sends no telemetry, so what is known of it is what its callers see.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json as value;

use crate::node::{NodeContext, Started};
use crate::service::http::{Answer, json, refusal, serve};
use crate::store::service_time::Servers;

/// What comes before the id of a content in a path.
const RATINGS: &str = "/ratings/";

/// Serves ratings.
pub(crate) fn start(context: NodeContext) -> Started {
    let servers = Arc::clone(&context.servers);
    Started::plain(serve(
        context.listener,
        context.address,
        |_, _| None,
        move |request| {
            let servers = Arc::clone(&servers);
            async move { answer(&servers, &request).await }
        },
    ))
}

async fn answer(servers: &Servers, request: &Request<Bytes>) -> Answer {
    let Some(id) = request.uri().path().strip_prefix(RATINGS) else {
        return refusal(StatusCode::NOT_FOUND, "no such path; try /ratings/{content_id}");
    };
    if request.method() != Method::GET {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, "ratings can be read only");
    }
    let Ok(id) = id.parse::<u32>() else {
        return refusal(StatusCode::BAD_REQUEST, "content_id is not a number");
    };
    if servers.hold(Duration::ZERO).await.is_err() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too busy; try again");
    }
    json(StatusCode::OK, &value!({ "content_id": id, "rating": rating(id) }))
}

/// Returns what a content is rated, 1.0 to 5.0: the same each time.
fn rating(id: u32) -> f64 {
    f64::from(10 + id.wrapping_mul(2_654_435_761) % 41) / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(servers: &Servers, path: &str) -> StatusCode {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        answer(servers, &request).await.status()
    }

    #[tokio::test]
    async fn contents_have_ratings_and_anything_else_is_refused() {
        let servers = Servers::new(None, 1);
        assert_eq!(get(&servers, "/ratings/17").await, StatusCode::OK);
        assert_eq!(get(&servers, "/ratings/x").await, StatusCode::BAD_REQUEST);
        assert_eq!(get(&servers, "/").await, StatusCode::NOT_FOUND);
        servers.slow(Duration::ZERO, 1.0);
        assert_eq!(get(&servers, "/ratings/17").await, StatusCode::SERVICE_UNAVAILABLE);
        assert!((0..100).map(rating).all(|rating| (1.0..=5.0).contains(&rating)));
    }
}
