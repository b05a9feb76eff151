//! A reverse proxy: the load balancer in front of the web tier, and the web tier in front of the
//! application.
//!
//! A request goes to the instance with the least outstanding ones. Where that was not reached, another
//! is asked; where it broke off before it answered, another is asked once and only for a GET, since a
//! write may have been done. The load balancer also turns requests away that are over its limit.

mod balance;
mod health;
mod shedding;
mod upstreams;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use tracing::Instrument;

use crate::node::{Control, NodeContext, Started, unknown};
use crate::service::http::{Answer, refusal, serve};
use crate::store::lock;
use crate::telemetry::{attributes, context, instruments, spans};
use crate::topology::Role;
use crate::wire::http::{self as wire_http, HttpClient};
use balance::Balance;
use shedding::{Shed, Shedding, Value};

/// Longest wait for the next tier's answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The route whose requests have the lowest value when there is a query: a user's list.
const COLLECTION: &str = "/api/v1/content";

/// Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] =
    [header::CONNECTION, header::HOST, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

/// Serves the web tier: a proxy in front of all application instances.
pub(crate) fn web(context: NodeContext) -> Started {
    let proxy = Arc::new(Proxy::new(&context, Role::App));
    let answering = Arc::clone(&proxy);
    let server = serve(
        context.listener,
        context.address,
        |_, _| None,
        move |request| {
            let proxy = Arc::clone(&answering);
            async move { proxy.forward(request).await }
        },
    );
    Started::plain(async move {
        tokio::join!(server, proxy.keep_checking());
    })
}

/// Serves the load balancer in front of the web tier.
pub(crate) fn balancer(context: NodeContext) -> Started {
    let proxy = Arc::new(Proxy::new(&context, Role::Web));
    let limit = context.settings.most_requests_per_second;
    let shedding = Arc::new(limit.map(|limit| Mutex::new(Shedding::new(limit, Instant::now()))));
    let answering = Arc::clone(&proxy);
    let server = serve(
        context.listener,
        context.address,
        |_, _| None,
        move |request| {
            let (proxy, shedding) = (Arc::clone(&answering), Arc::clone(&shedding));
            async move {
                let admitted = shedding
                    .as_ref()
                    .as_ref()
                    .map_or(Ok(()), |shedding| lock(shedding).admit(value(&request), Instant::now()));
                match admitted {
                    Ok(()) => proxy.forward(request).await,
                    Err(shed) => turned_away(shed),
                }
            }
        },
    );
    let checking = Arc::clone(&proxy);
    let serving = async move {
        tokio::join!(server, checking.keep_checking());
    };
    Started::turned(serving, move |control| match control {
        Control::Uneven { share } => {
            proxy.balance.tilt(share);
            Ok(())
        }
        other => Err(unknown(&other)),
    })
}

/// What a request is worth.
fn value(request: &Request<Bytes>) -> Value {
    let is_list = request.method() == Method::GET && request.uri().path() == COLLECTION;
    if is_list { Value::Low } else { Value::High }
}

fn turned_away(shed: Shed) -> Answer {
    let why = match shed {
        Shed::LowValue => "too many requests: lists make room for the rest; try again in a second",
        Shed::OverLimit => "too many requests: the limit is reached; try again in a second",
    };
    let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, why);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Passes requests on to the instances of a role.
pub(super) struct Proxy {
    balance: Arc<Balance>,
    client: HttpClient,
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
    /// Makes a proxy in front of all instances of a role.
    pub(super) fn new(context: &NodeContext, next: Role) -> Self {
        // There is a web server in each zone, but one edge and one balancer for all of them.
        let near = (next == Role::App).then_some(context.zone);
        Self {
            balance: Balance::new(next, near, context.peers.clone(), context.seed),
            client: wire_http::client(context.wires.clone(), next),
            duration: instruments::duration("http.client.request.duration", "Duration of requests made."),
        }
    }

    /// Checks the next tier's health, for as long as it is polled.
    pub(super) async fn keep_checking(&self) {
        self.balance.keep_checking(&self.client).await;
    }

    /// Passes a request on and returns the answer, or one that says why there is none.
    pub(super) async fn forward(&self, request: Request<Bytes>) -> Answer {
        let mut tried = Vec::new();
        let mut failures = Vec::new();
        while let Some(upstream) = self.balance.pick(&tried) {
            tried.push(upstream.address);
            match self.ask(upstream.address, &request).await {
                Ok(answer) => return answer,
                Err(failure) => failures.push(failure),
            }
            if failures.last() == Some(&Failure::Unreachable) {
                self.balance.unreachable(upstream.address);
            }
            if !may_be_tried_again(request.method(), &failures) {
                break;
            }
        }
        match failures.last() {
            None => refusal(StatusCode::SERVICE_UNAVAILABLE, "no instance to serve the request"),
            Some(Failure::Timeout) => refusal(StatusCode::GATEWAY_TIMEOUT, "the next tier did not answer in time"),
            Some(_) => refusal(StatusCode::BAD_GATEWAY, "the next tier could not be reached"),
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

/// Whether a request that failed so may be tried at another instance: if it was never reached, or, for
/// one that changes nothing, if one instance at most broke off.
fn may_be_tried_again(method: &Method, failures: &[Failure]) -> bool {
    match failures.last() {
        Some(Failure::Unreachable) => true,
        Some(Failure::Broken) => {
            *method == Method::GET && failures.iter().filter(|&&failure| failure == Failure::Broken).count() < 2
        }
        Some(Failure::Timeout) | None => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testbed::{Origin, get, node};
    use crate::settings::Settings;
    use crate::topology::Phase;

    #[tokio::test]
    async fn a_read_survives_an_instance_that_breaks_off_and_one_that_is_gone() {
        let breaks = Origin::that_breaks_off().await;
        let gone = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let good = Origin::start(|_, _| (200, vec![])).await;
        let web = node(Role::App, &[breaks, gone, good.address], Settings::of(Phase::WEB_TIER), web).await;
        for _ in 0..6 {
            assert_eq!(get(web, "/api/v1/content/1", &[]).await.0, 200);
        }
        assert_eq!(good.requests(), 6);
    }

    #[tokio::test]
    async fn a_balancer_over_its_limit_says_when_to_come_again() {
        let origin = Origin::start(|_, _| (200, vec![])).await;
        let mut settings = Settings::of(Phase::SPIKES);
        settings.most_requests_per_second = Some(2.0);
        let balancer = node(Role::Web, &[origin.address], settings, balancer).await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            let (status, headers) = get(balancer, "/api/v1/content/1", &[]).await;
            assert_eq!(headers.contains_key("retry-after"), status == 429);
            statuses.push(status);
        }
        assert_eq!(statuses[..2], [200, 200]);
        assert!(statuses.contains(&429), "{statuses:?}");
        assert_eq!(get(balancer, "/healthz", &[]).await.0, 200, "a check is no request");
    }

    #[test]
    fn a_write_is_tried_again_only_where_it_was_never_reached() {
        use Failure::{Broken, Timeout, Unreachable};
        assert!(may_be_tried_again(&Method::POST, &[Unreachable, Unreachable]));
        assert!(!may_be_tried_again(&Method::POST, &[Unreachable, Broken]));
        assert!(may_be_tried_again(&Method::GET, &[Broken]));
        assert!(may_be_tried_again(&Method::GET, &[Broken, Unreachable]));
        assert!(!may_be_tried_again(&Method::GET, &[Broken, Unreachable, Broken]));
        assert!(!may_be_tried_again(&Method::GET, &[Timeout]));
    }

    #[test]
    fn lists_are_worth_least() {
        let value =
            |method: Method, uri: &str| value(&Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap());
        assert_eq!(value(Method::GET, "/api/v1/content?user_id=7"), Value::Low);
        assert_eq!(value(Method::GET, "/api/v1/content/7"), Value::High);
        assert_eq!(value(Method::POST, "/api/v1/content"), Value::High);
    }
}
