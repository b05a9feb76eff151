//! A reverse proxy: the load balancer in front of the web tier, and the web tier in front of the
//! application. Both take the next tier's instances in turn, and pass over one for a while after
//! it could not be reached.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use tokio::sync::watch;
use tracing::Instrument;

use crate::node::NodeContext;
use crate::service::http::{Answer, refusal, serve};
use crate::store::lock;
use crate::telemetry::{attributes, context, instruments, spans};
use crate::topology::{Peers, Role};

/// Longest wait for the next tier's answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for a connection to the next tier.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long an instance that could not be reached is passed over.
const REST: Duration = Duration::from_secs(2);

/// Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] =
    [header::CONNECTION, header::HOST, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

/// Serves a proxy in front of all instances of a role.
pub(crate) fn start(context: NodeContext, next: Role) -> impl Future<Output = ()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let proxy = Arc::new(Proxy {
        upstreams: Upstreams::new(next, context.peers),
        client: Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector),
        duration: instruments::duration("http.client.request.duration", "Duration of requests made."),
    });
    serve(
        context.listener,
        context.address,
        |_, _| None,
        move |request| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.forward(request).await }
        },
    )
}

struct Proxy {
    upstreams: Upstreams,
    client: Client<HttpConnector, Full<Bytes>>,
    duration: Histogram<f64>,
}

/// Why an upstream did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It was not reached, so that another one can be asked.
    Unreachable,
    Broken,
    Timeout,
}

impl Failure {
    fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "connection_refused",
            Self::Broken => "connection_error",
            Self::Timeout => "timeout",
        }
    }
}

impl Proxy {
    async fn forward(&self, request: Request<Bytes>) -> Answer {
        let mut failure = None;
        for _ in 0..self.upstreams.count().max(1) {
            let Some(address) = self.upstreams.pick(Instant::now()) else {
                return refusal(StatusCode::SERVICE_UNAVAILABLE, "no instance to serve the request");
            };
            match self.ask(address, &request).await {
                Ok(answer) => return answer,
                Err(Failure::Unreachable) => {
                    self.upstreams.rest(address, Instant::now());
                    failure = Some(Failure::Unreachable);
                }
                Err(other) => {
                    failure = Some(other);
                    break;
                }
            }
        }
        match failure {
            Some(Failure::Timeout) => refusal(StatusCode::GATEWAY_TIMEOUT, "the next tier did not answer in time"),
            _ => refusal(StatusCode::BAD_GATEWAY, "the next tier could not be reached"),
        }
    }

    /// Sends the request to one upstream, inside its CLIENT span.
    async fn ask(&self, address: SocketAddr, request: &Request<Bytes>) -> Result<Answer, Failure> {
        let span = spans::http_client(request.method(), request.uri().path(), address);
        let since = Instant::now();
        let mut onward = onward(request, address);
        context::inject(&span, onward.headers_mut());
        let result = self.exchange(onward).instrument(span.clone()).await;

        let mut labels = attributes::with(
            attributes::server(address),
            [KeyValue::new("http.request.method", spans::method_name(request.method()))],
        );
        match &result {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let code = KeyValue::new("http.response.status_code", i64::from(status));
                spans::set(&span, [code.clone()]);
                labels.push(code);
                if status >= 400 {
                    spans::fail(&span, &status.to_string(), String::new());
                    labels.push(KeyValue::new("error.type", status.to_string()));
                }
            }
            Err(failure) => {
                spans::fail(&span, failure.kind(), String::new());
                labels.push(KeyValue::new("error.type", failure.kind()));
            }
        }
        self.duration.record(since.elapsed().as_secs_f64(), &labels);
        result
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| if error.is_connect() { Failure::Unreachable } else { Failure::Broken })?;
            let (mut parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| Failure::Broken)?.to_bytes();
            strip(&mut parts.headers);
            Ok(Answer::from_parts(parts, Full::new(body)))
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| Failure::Timeout)?
    }
}

/// Returns the request as it goes to `address`.
fn onward(request: &Request<Bytes>, address: SocketAddr) -> Request<Full<Bytes>> {
    let mut onward = Request::new(Full::new(request.body().clone()));
    *onward.method_mut() = request.method().clone();
    *onward.headers_mut() = request.headers().clone();
    strip(onward.headers_mut());
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Authority::try_from(address.to_string()).ok();
    uri.path_and_query =
        Some(request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    *onward.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    onward
}

/// Drops the headers that belong to one connection, and the length, which the body tells anew.
fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.remove("keep-alive");
}

/// The instances of the next tier.
struct Upstreams {
    role: Role,
    peers: watch::Receiver<Peers>,
    turn: AtomicUsize,
    resting: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Upstreams {
    fn new(role: Role, peers: watch::Receiver<Peers>) -> Self {
        Self { role, peers, turn: AtomicUsize::new(0), resting: Mutex::new(HashMap::new()) }
    }

    fn count(&self) -> usize {
        self.peers.borrow().all(self.role).count()
    }

    /// Returns the next instance that does not rest, or the next one when all do.
    fn pick(&self, now: Instant) -> Option<SocketAddr> {
        let mut all: Vec<SocketAddr> = self.peers.borrow().all(self.role).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if all.is_empty() {
            return None;
        }
        let first = turn % all.len();
        all.rotate_left(first);
        let mut resting = lock(&self.resting);
        resting.retain(|_, until| *until > now);
        all.iter().find(|address| !resting.contains_key(address)).or(all.first()).copied()
    }

    /// Passes over an instance for a while.
    fn rest(&self, address: SocketAddr, now: Instant) {
        lock(&self.resting).insert(address, now + REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Peer, Zone};

    fn upstreams(ports: &[u16]) -> Upstreams {
        let peer =
            |port: &u16| Peer { role: Role::App, zone: Zone::A, address: SocketAddr::from(([127, 0, 0, 1], *port)) };
        Upstreams::new(Role::App, watch::channel(Peers(ports.iter().map(peer).collect())).1)
    }

    #[test]
    fn instances_are_taken_in_turn_and_one_that_rests_is_passed_over() {
        let (upstreams, now) = (upstreams(&[1, 2]), Instant::now());
        let port = |now| upstreams.pick(now).unwrap().port();
        assert_eq!([port(now), port(now), port(now)], [1, 2, 1]);
        upstreams.rest(SocketAddr::from(([127, 0, 0, 1], 2)), now);
        assert_eq!([port(now), port(now), port(now)], [1, 1, 1]);
        assert_eq!([port(now + REST), port(now + REST)], [1, 2]);
    }

    #[test]
    fn when_all_rest_one_is_asked_all_the_same() {
        let (upstreams, now) = (upstreams(&[1]), Instant::now());
        upstreams.rest(SocketAddr::from(([127, 0, 0, 1], 1)), now);
        assert!(upstreams.pick(now).is_some());
    }
}
