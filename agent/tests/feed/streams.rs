//! What the server streams: the newest, to everybody, at everybody's own pace.

use tiertop_agent::feed::server::MAX_CLIENTS;
use tiertop_agent::feed::wire;
use tiertop_agent::feed::wire::feed_client::FeedClient;
use tiertop_agent::feed::{Detail, client};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::stage::{ANY_PORT, Stage, next_snapshot, numbered, within};

/// The smallest window that HTTP/2 starts with.
const NARROW: u32 = 65_535;

async fn watch(client: &mut FeedClient<Channel>) -> Result<Streaming<wire::Snapshot>, Status> {
    let full = wire::WatchRequest { detail: wire::Detail::Full.into() };
    Ok(within(client.watch(full)).await?.into_inner())
}

async fn number(stream: &mut Streaming<wire::Snapshot>) -> u64 {
    within(stream.message()).await.unwrap().expect("the stream goes on").at_unix_ms
}

#[tokio::test]
async fn the_newest_comes_at_once_and_then_each() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    stage.publish(numbered(2));
    let mut events = client::watch(stage.options());
    assert_eq!(*next_snapshot(&mut events).await, numbered(2));
    for n in 3..6 {
        stage.publish(numbered(n));
        assert_eq!(*next_snapshot(&mut events).await, numbered(n));
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_tick() {
    let stage = Stage::open();
    let mut stream = watch(&mut stage.raw_client(NARROW).await).await.unwrap();
    stage.publish(numbered(1));
    assert_eq!(number(&mut stream).await, 1);
}

#[tokio::test]
async fn an_overview_comes_without_the_long_lists() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    let mut options = stage.options();
    options.detail = Detail::Overview;
    let snapshot = next_snapshot(&mut client::watch(options)).await;
    assert_eq!(snapshot.tiers.len(), numbered(1).tiers.len());
    for tier in &snapshot.tiers {
        assert!(tier.instances.is_empty() && tier.operations.is_empty() && tier.distribution.is_empty());
    }
}

/// A second client proves that each snapshot was sent in its time; the slow one, which reads
/// nothing meanwhile, finds what fitted into its window and then the newest.
#[tokio::test]
async fn a_slow_reader_gets_the_newest_and_no_backlog() {
    const LAST: u64 = 60;
    let stage = Stage::open();
    stage.publish(numbered(1));
    let mut slow = watch(&mut stage.raw_client(NARROW).await).await.unwrap();
    let mut fast = watch(&mut stage.raw_client(NARROW).await).await.unwrap();
    assert_eq!(number(&mut fast).await, 1);
    for n in 2..=LAST {
        stage.publish(numbered(n));
        assert_eq!(number(&mut fast).await, n);
    }
    let mut read = vec![];
    while read.last() != Some(&LAST) {
        read.push(number(&mut slow).await);
    }
    assert!(read.len() <= 8, "{read:?}");
    assert!(read.is_sorted(), "{read:?}");
}

/// The same for a screen that does not take its events.
#[tokio::test]
async fn a_slow_screen_finds_the_newest() {
    const LAST: u64 = 60;
    let stage = Stage::open();
    let mut slow = client::watch(stage.options());
    let mut fast = client::watch(stage.options());
    stage.publish(numbered(1));
    assert_eq!(next_snapshot(&mut slow).await.at_unix_ms, 1);
    for n in 2..=LAST {
        stage.publish(numbered(n));
        while next_snapshot(&mut fast).await.at_unix_ms < n {}
    }
    let mut read = vec![];
    while read.last() != Some(&LAST) {
        read.push(next_snapshot(&mut slow).await.at_unix_ms);
    }
    assert!(read.len() <= 30, "{read:?}");
}

#[tokio::test]
async fn who_asks_for_compression_gets_it() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    for (encoding, name) in [(CompressionEncoding::Zstd, "zstd"), (CompressionEncoding::Gzip, "gzip")] {
        let mut client = stage.raw_client(NARROW).await.accept_compressed(encoding);
        let response = within(client.watch(wire::WatchRequest::default())).await.unwrap();
        assert_eq!(response.metadata().get("grpc-encoding").unwrap(), name);
        assert_eq!(number(&mut response.into_inner()).await, 1);
    }
    let mut plain = stage.raw_client(NARROW).await;
    let response = within(plain.watch(wire::WatchRequest::default())).await.unwrap();
    assert!(response.metadata().get("grpc-encoding").is_none());
}

#[tokio::test]
async fn one_too_many_is_turned_away_until_a_seat_is_free() {
    let stage = Stage::open();
    let mut clients = vec![];
    let mut streams = vec![];
    for _ in 0..MAX_CLIENTS.div_ceil(8) {
        clients.push(stage.raw_client(NARROW).await);
    }
    for seat in 0..MAX_CLIENTS {
        streams.push(watch(&mut clients[seat / 8]).await.unwrap());
    }
    let refused = watch(&mut clients[0]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("64 screens"), "{refused}");

    drop(streams.pop());
    within(async { while watch(&mut clients[0]).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_does_not_hold_up_the_end() {
    let stage = Stage::open();
    stage.publish(numbered(1));
    let mut client = stage.raw_client(NARROW).await;
    let stuck = watch(&mut client).await.unwrap();
    stage.publish(numbered(2));
    stage.stop().await;
    drop(stuck);
}

#[tokio::test]
async fn the_server_ends_with_its_engine() {
    let mut stage = Stage::open();
    stage.publish(numbered(1));
    let mut stream = watch(&mut stage.raw_client(NARROW).await).await.unwrap();
    assert_eq!(number(&mut stream).await, 1);
    stage.snapshots = tokio::sync::watch::channel(std::sync::Arc::default()).0;
    assert!(within(stream.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_past_second_is_fetched_while_others_come() {
    let stage = Stage::keeping(ANY_PORT, None, true);
    let mut events = client::watch(stage.options());
    for n in 1..=25 {
        stage.publish(numbered(n * 1_000));
        next_snapshot(&mut events).await;
    }
    let mut past = client::Past::new(stage.options());
    for (asked, found) in [(7_400, 7), (0, 1), (24_000, 24), (90_000, 25)] {
        let found = numbered(found * 1_000);
        // The last one may be on its way to history.
        let kept = async {
            while within(past.at(asked)).await.unwrap() != found {
                tokio::task::yield_now().await;
            }
        };
        within(kept).await;
    }
}

#[tokio::test]
async fn an_agent_that_keeps_nothing_says_so() {
    let stage = Stage::open();
    let error = within(client::Past::new(stage.options()).at(1)).await.unwrap_err().to_string();
    assert!(error.contains("keeps nothing"), "{error}");
}
