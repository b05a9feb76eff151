//! Who is served, and on which addresses.

use std::net::{Ipv4Addr, SocketAddr};

use tiertop_agent::feed::Token;
use tiertop_agent::feed::client::{self, ClientError, ClientOptions};
use tiertop_agent::feed::server::{self, FeedError, FeedOptions};

use crate::stage::{ANY_PORT, DEADLINE, Stage, next_error, numbered};

const EVERYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn bind(address: SocketAddr, token: Option<Token>) -> Result<SocketAddr, FeedError> {
    let listener = server::bind(FeedOptions { address, token })?;
    Ok(listener.address())
}

#[tokio::test]
async fn other_machines_are_served_only_with_a_token() {
    for address in [EVERYWHERE, "[::]:0".parse().unwrap(), "[::ffff:10.0.0.1]:0".parse().unwrap()] {
        let error = bind(address, None).unwrap_err();
        assert!(matches!(error, FeedError::TokenNeeded { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains("--feed-token-file FILE"), "{words}");
        assert!(words.contains("TIERTOP_FEED_TOKEN"), "{words}");
    }
    assert_ne!(bind(EVERYWHERE, Some(token("secret-1"))).unwrap().port(), 0);
    assert_ne!(bind(ANY_PORT, None).unwrap().port(), 0);
}

#[tokio::test]
async fn a_taken_address_names_the_flag() {
    let stage = Stage::open();
    let error = bind(stage.address, None).unwrap_err();
    assert!(matches!(error, FeedError::Listen(_)), "{error:?}");
    assert!(error.to_string().contains("--feed ADDR"), "{error}");
}

#[tokio::test]
async fn the_token_decides() {
    let stage = Stage::on(ANY_PORT, Some(token("secret-1")));
    stage.publish(numbered(1));
    let with = |token| ClientOptions { token, ..stage.options() };

    let error = client::once(&with(None), DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClientError::TokenWanted { .. }), "{error:?}");
    assert!(error.to_string().ends_with("wants a token: give it with --token-file"), "{error}");

    let error = client::once(&with(Some(token("secret-2"))), DEADLINE).await.unwrap_err();
    assert!(matches!(error, ClientError::TokenRefused { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");

    let snapshot = client::once(&with(Some(token("secret-1"))), DEADLINE).await.unwrap();
    assert_eq!(snapshot, numbered(1));

    let error = next_error(&mut client::watch(with(None))).await;
    assert!(error.contains("wants a token"), "{error}");
}

#[tokio::test]
async fn the_token_is_in_no_debug_output() {
    let server = FeedOptions { address: ANY_PORT, token: Some(token("secret-1")) };
    let client = ClientOptions { token: Some(token("secret-1")), ..ClientOptions::default() };
    let words = format!("{server:?} {client:?} {:?}", server::bind(server.clone()));
    assert!(!words.contains("secret"), "{words}");
}
