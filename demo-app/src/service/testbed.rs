//! For tests of one service alone: a node of it, and an origin behind it that answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::node::{NodeContext, Started};
use crate::service::http::{Answer, HEALTH, serve};
use crate::settings::Settings;
use crate::store::service_time::Servers;
use crate::topology::{Peer, Peers, Role, Zone};
use crate::wire::{self, Wires};

/// A status and headers.
type Told = (u16, Vec<(&'static str, &'static str)>);

/// A server that answers as it is told; checks are answered always and not counted.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Origin {
    /// Starts an origin, told what to answer by the number of the request, from 0 on, and its path.
    pub(super) async fn start(told: fn(usize, &str) -> Told) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let answer = move |request: Request<Bytes>| {
            let (status, headers) = told(counted.fetch_add(1, Ordering::Relaxed), request.uri().path());
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                answer.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            std::future::ready(answer)
        };
        tokio::spawn(serve(listener, address, |_, _| None, answer));
        Self { address, requests }
    }

    /// Starts one that takes each request and closes the connection, but for checks, which it answers.
    pub(super) async fn that_breaks_off() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or(0);
                if String::from_utf8_lossy(&request[..read]).contains(HEALTH) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
                }
            }
        });
        address
    }

    /// How many requests it got.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Starts a node in front of instances of a role, and returns where it listens.
pub(super) async fn node(
    next: Role,
    upstreams: &[SocketAddr],
    settings: Settings,
    start: fn(NodeContext) -> Started,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = |&address: &SocketAddr| Peer { role: next, zone: Zone::A, address };
    let context = NodeContext {
        listener,
        address,
        zone: Zone::A,
        folder: std::env::temp_dir(),
        peers: watch::channel(Peers(upstreams.iter().map(peer).collect())).1,
        settings,
        servers: Arc::new(Servers::new(None, 1)),
        wires: Wires::default(),
        seed: 1,
        cold: false,
    };
    tokio::spawn(start(context).serving);
    address
}

/// Gets a path; returns the status and the headers.
pub(super) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
    let mut request = Request::get(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let client = wire::http::client(Wires::default(), Role::Edge);
    let (parts, _) = client.request(request).await.unwrap().into_parts();
    (parts.status.as_u16(), parts.headers)
}
