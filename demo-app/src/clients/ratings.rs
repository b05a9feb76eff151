//! The client of the third party that rates contents. It is somebody else's: it may be slow or away, and
//! then there is no rating.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use serde_json::Value;
use tracing::Instrument;

use crate::clients::Network;
use crate::telemetry::{attributes, context, instruments, spans};
use crate::topology::Role;
use crate::wire::http::{HttpClient, client};

/// Longest wait for a rating.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Largest answer that is read: 64 KiB, a thousand times what one has.
const MAX_ANSWER: usize = 64 << 10;

/// What the path of a rating looks like.
const PATH: &str = "/ratings/{content_id}";

pub(crate) struct Ratings {
    network: Network,
    http: HttpClient,
    duration: Histogram<f64>,
}

/// Why there is no rating: a status, or a low-cardinality kind of error.
enum Failure {
    Status(StatusCode),
    Kind(&'static str),
}

impl Ratings {
    pub(crate) fn new(network: &Network) -> Self {
        Self {
            network: network.clone(),
            http: client(network.wires.clone(), Role::External),
            duration: instruments::duration("http.client.request.duration", "Duration of requests made."),
        }
    }

    /// Returns the rating of a content: `null` where the third party failed to tell, and `None` where there
    /// is no third party.
    pub(crate) async fn of(&self, content_id: i64) -> Option<Value> {
        let address = self.network.peers.borrow().one(Role::External)?;
        let path = format!("/ratings/{content_id}");
        let span = spans::http_peer(&Method::GET, &path, PATH, Role::External.service_name(), address);
        let since = Instant::now();
        let asked = self.ask(address, &path, &span);
        let result = tokio::time::timeout(TIMEOUT, asked.instrument(span.clone()))
            .await
            .unwrap_or(Err(Failure::Kind("timeout")));

        let mut labels = attributes::with(attributes::server(address), [KeyValue::new("http.request.method", "GET")]);
        let status = match &result {
            Ok(_) => Some(StatusCode::OK),
            Err(Failure::Status(status)) => Some(*status),
            Err(Failure::Kind(_)) => None,
        };
        if let Some(status) = status {
            let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
            spans::set(&span, [code.clone()]);
            labels.push(code);
        }
        let error = match &result {
            Ok(_) => None,
            Err(Failure::Status(status)) => Some(status.as_u16().to_string()),
            Err(Failure::Kind(kind)) => Some((*kind).to_owned()),
        };
        if let Some(error) = error {
            spans::fail(&span, &error, String::new());
            labels.push(KeyValue::new("error.type", error));
        }
        self.duration.record(since.elapsed().as_secs_f64(), &labels);
        Some(result.unwrap_or(Value::Null))
    }

    async fn ask(&self, address: SocketAddr, path: &str, span: &tracing::Span) -> Result<Value, Failure> {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.uri_mut() =
            format!("http://{address}{path}").parse::<Uri>().map_err(|_| Failure::Kind("invalid_request"))?;
        context::inject(span, request.headers_mut());
        let response = self.http.request(request).await.map_err(|error| {
            Failure::Kind(if error.is_connect() { "connection_refused" } else { "connection_error" })
        })?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|_| Failure::Kind("connection_error"))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).map_err(|_| Failure::Kind("protocol_error"))?;
        Ok(answer["rating"].clone())
    }
}
