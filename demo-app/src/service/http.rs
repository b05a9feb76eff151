//! An HTTP/1.1 server with its SERVER span and metrics, shared by proxies and application.
//!
//! Each also answers [`HEALTH`], by which balancers learn that the process serves. Those are no
//! requests of users: they have no spans and are in no request metric.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use opentelemetry::KeyValue;
use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;

use crate::telemetry::instruments::HttpServer;
use crate::telemetry::spans;
use crate::wire;

/// Largest body of a request: 256 KiB, a usual limit for messages, since payloads travel in one.
pub(crate) const MAX_BODY: usize = 256 << 10;

/// Where a server says that it serves.
pub(crate) const HEALTH: &str = "/healthz";

/// An answer, whole in memory.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Tells the route that a request takes, where the server knows routes.
pub(crate) type Routes = fn(&Method, &str) -> Option<&'static str>;

/// Answers requests on every connection to `listener`, for as long as it is polled.
pub(crate) async fn serve<F, Fut>(listener: TcpListener, address: SocketAddr, routes: Routes, answer: F)
where
    F: Fn(Request<Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let server = Arc::new((HttpServer::new(address), address, routes));
    loop {
        let stream = wire::accept(&listener).await;
        let (server, answer) = (Arc::clone(&server), answer.clone());
        tokio::spawn(serve_connection(stream, server, answer));
    }
}

async fn serve_connection<F, Fut>(stream: TcpStream, server: Arc<(HttpServer, SocketAddr, Routes)>, answer: F)
where
    F: Fn(Request<Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, answer) = (Arc::clone(&server), answer.clone());
        async move {
            if request.uri().path() == HEALTH {
                return Ok(json(StatusCode::OK, &serde_json::json!({ "status": "serving" })));
            }
            let (metrics, address, routes) = &*server;
            Ok::<_, Infallible>(observed(request, metrics, *address, *routes, answer).await)
        }
    });
    // A connection that breaks is the caller's to report.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Answers a request inside its SERVER span.
async fn observed<F, Fut>(
    request: Request<Incoming>,
    metrics: &HttpServer,
    address: SocketAddr,
    routes: Routes,
    answer: F,
) -> Answer
where
    F: Fn(Request<Bytes>) -> Fut,
    Fut: Future<Output = Answer>,
{
    let (method, path) = (request.method(), request.uri().path());
    let route = routes(method, path);
    let span = spans::server(method, path, route, request.headers(), address);
    let active = metrics.enter(method);
    let response = async {
        match collect(request).await {
            Ok(request) => answer(request).await,
            Err(refusal) => refusal,
        }
    }
    .instrument(span.clone())
    .await;
    let status = response.status().as_u16();
    spans::set(&span, [KeyValue::new("http.response.status_code", i64::from(status))]);
    if status >= 500 {
        spans::fail(&span, &status.to_string(), String::new());
    }
    active.answered(status, route);
    response
}

/// Reads the body of a request, up to the limit.
async fn collect(request: Request<Incoming>) -> Result<Request<Bytes>, Answer> {
    let (parts, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is over {MAX_BODY} bytes")))
        }
        Err(_) => Err(refusal(StatusCode::BAD_REQUEST, "the body could not be read")),
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// An answer that says why there is no better one.
pub(crate) fn refusal(status: StatusCode, why: &str) -> Answer {
    json(status, &serde_json::json!({ "error": why }))
}
