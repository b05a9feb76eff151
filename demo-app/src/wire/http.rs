//! The HTTP client of the services: pooled connections over this process's wires.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::topology::Role;
use crate::wire::{Late, Wires};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a connection that nobody uses is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP client of one role's instances.
pub(crate) type HttpClient = Client<Connector, Full<Bytes>>;

/// Makes the client of a role's instances.
pub(crate) fn client(wires: Wires, role: Role) -> HttpClient {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(Connector { http, wires, role })
}

/// Opens connections over the wire to a role.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    http: HttpConnector,
    wires: Wires,
    role: Role,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Late<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, wires, role) = (self.http.call(uri), self.wires.clone(), self.role);
        Box::pin(async move {
            let stream = connecting.await.map_err(io::Error::other)?.into_inner();
            wires.travel(role).await;
            Ok(TokioIo::new(Late::new(stream, wires, role)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    #[tokio::test]
    async fn a_request_over_a_long_wire_takes_longer_on_a_connection_that_was_there_before_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            // One connection is all there is.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        });
        let wires = Wires::default();
        let client = client(wires.clone(), Role::App);
        let took = async || {
            let since = Instant::now();
            let request = Request::get(&uri).body(Full::<Bytes>::default()).unwrap();
            client.request(request).await.unwrap();
            since.elapsed()
        };
        let delay = Duration::from_millis(400);
        took().await;
        wires.delay(Role::App, delay);
        let late = took().await;
        assert!(late >= delay && late < 2 * delay, "one way there and back takes {late:?}");
        wires.delay(Role::App, Duration::ZERO);
        let put_back = async { while took().await >= delay {} };
        tokio::time::timeout(Duration::from_secs(20), put_back).await.unwrap();
    }
}
