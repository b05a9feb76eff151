//! How a client keeps its link, and says what is wrong with it.

use std::time::{Duration, Instant};

use tiertop_agent::feed::client::{self, ClientError, ClientOptions, FeedEvent};
use tiertop_core::snapshot::Snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::{ANY_PORT, DEADLINE, Stage, next, next_error, next_snapshot, numbered, within};

/// A port of this machine where nobody listens.
async fn nobody() -> ClientOptions {
    let listener = TcpListener::bind(ANY_PORT).await.unwrap();
    options_for(&listener)
}

fn options_for(listener: &TcpListener) -> ClientOptions {
    ClientOptions { address: listener.local_addr().unwrap().to_string().parse().unwrap(), ..ClientOptions::default() }
}

#[tokio::test]
async fn tells_how_it_gets_on() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    let mut events = client::watch(stage.options());
    assert_eq!(next(&mut events).await, FeedEvent::Connecting { attempt: 1, error: None });
    let connected = FeedEvent::Connected {
        address: stage.address.to_string(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    assert_eq!(next(&mut events).await, connected);
    assert!(matches!(next(&mut events).await, FeedEvent::Snapshot(s) if s.at_unix_ms == 1));
}

#[tokio::test]
async fn comes_back_when_the_agent_does() {
    let stage = Stage::open();
    let address = stage.address;
    stage.publish(numbered(1));
    let mut events = client::watch(stage.options());
    assert_eq!(next_snapshot(&mut events).await.at_unix_ms, 1);

    stage.stop().await;
    let FeedEvent::Connecting { attempt: 1, error: Some(error) } = next(&mut events).await else {
        panic!("the loss is told first")
    };
    assert!(error.contains("has stopped") || error.contains("is lost"), "{error}");
    let error = next_error(&mut events).await;
    assert!(error.starts_with("connection refused: no agent listens at"), "{error}");
    assert!(error.ends_with("start one with `tiertop agent`"), "{error}");

    let stage = Stage::on(address, None);
    stage.publish(numbered(2));
    assert_eq!(next_snapshot(&mut events).await.at_unix_ms, 2);
    stage.stop().await;
    let lost = within(async {
        loop {
            if let FeedEvent::Connecting { attempt, .. } = next(&mut events).await {
                return attempt;
            }
        }
    });
    assert_eq!(lost.await, 1, "attempts start over after a success");
}

#[tokio::test]
async fn a_link_without_snapshots_is_lost() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    let mut events = client::watch(stage.options());
    assert_eq!(next_snapshot(&mut events).await.at_unix_ms, 1);
    let error = next_error(&mut events).await;
    assert!(error.starts_with("no snapshot from") && error.ends_with("for 5 s"), "{error}");
    assert_eq!(next_snapshot(&mut events).await.at_unix_ms, 1);
}

#[tokio::test]
async fn a_port_that_does_not_answer_is_told_after_three_seconds() {
    let mute = TcpListener::bind(ANY_PORT).await.unwrap();
    let error = next_error(&mut client::watch(options_for(&mute))).await;
    assert!(error.starts_with("no answer from") && error.ends_with("within 3 s"), "{error}");
}

#[tokio::test]
async fn something_else_on_the_port_is_told_apart() {
    let web = TcpListener::bind(ANY_PORT).await.unwrap();
    let options = options_for(&web);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            tokio::spawn(async move {
                drop(stream.read(&mut [0; 1024]).await);
                drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await);
                drop(stream.shutdown().await);
            });
        }
    });
    let error = client::once(&options, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAFeed { .. }), "{error:?}");

    let grpc = TcpListener::bind(ANY_PORT).await.unwrap();
    let options = options_for(&grpc);
    let server = tonic::transport::Server::builder().add_routes(tonic::service::Routes::default());
    tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(grpc)));
    let error = client::once(&options, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAFeed { .. }), "{error:?}");
    assert!(error.to_string().contains("4319"), "{error}");
}

#[tokio::test]
async fn a_host_without_address_is_told() {
    let options = ClientOptions { address: "nowhere.invalid".parse().unwrap(), ..ClientOptions::default() };
    let error = client::once(&options, DEADLINE).await.unwrap_err();
    assert!(error.to_string().starts_with("nowhere.invalid:4319 cannot be reached: "), "{error}");
}

#[tokio::test]
async fn once_waits_for_a_snapshot_with_data() {
    let stage = Stage::open();
    let empty = Snapshot { version: 1, at_unix_ms: 1, ..Snapshot::default() };
    stage.publish(empty.clone());
    let options = stage.options();
    let soon = Duration::from_millis(300);
    assert_eq!(client::once(&options, soon).await.unwrap(), empty, "the latest, if none has data");

    let mut events = client::watch(options.clone());
    let found = tokio::spawn(async move { client::once(&options, DEADLINE).await });
    next_snapshot(&mut events).await;
    stage.publish(numbered(2));
    assert_eq!(within(found).await.unwrap().unwrap(), numbered(2));
}

#[tokio::test]
async fn once_fails_at_once_where_nobody_listens_and_in_time_where_nothing_comes() {
    let begun = Instant::now();
    let error = client::once(&nobody().await, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert!(begun.elapsed() < DEADLINE / 2);

    let stage = Stage::open();
    let error = client::once(&stage.options(), Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error:?}");
    assert!(error.to_string().ends_with("for 0.2 s"), "{error}");
}
