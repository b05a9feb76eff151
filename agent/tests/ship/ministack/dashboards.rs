//! Dashboards are put, read back and compared.

use tiertop_agent::dashboards::cloudwatch::BOARDS;
use tiertop_agent::dashboards::{Placement, deploy};

use super::MiniStack;

#[tokio::test]
async fn what_was_put_is_there_and_does_not_differ() {
    let server = MiniStack::start().await;
    let client = server.client();
    let placement = Placement { environment: "shop".to_owned(), ..Placement::default() };
    for board in BOARDS {
        let name = format!("tiertop-shop-{}", board.name);
        let body = board.body(&placement);
        assert_eq!(deploy::deployed(&client, &name).await.unwrap(), None);
        assert_eq!(deploy::put(&client, &name, &body).await.unwrap(), Vec::<String>::new());
        assert_eq!(deploy::deployed(&client, &name).await.unwrap(), Some(body));
    }
    let elsewhere = Placement { region: "eu-north-1".to_owned(), ..placement };
    let there = deploy::deployed(&client, "tiertop-shop-overview").await.unwrap();
    assert_ne!(there, Some(BOARDS[0].body(&elsewhere)), "another region is a difference");
}

#[tokio::test]
async fn a_body_that_breaks_a_limit_is_not_sent() {
    let server = MiniStack::start().await;
    let client = server.client();
    let mut body = BOARDS[0].body(&Placement::default());
    body["widgets"][0]["width"] = 25.into();
    let failure = deploy::put(&client, "tiertop-shop-overview", &body).await.unwrap_err();
    assert!(failure.is_final() && failure.what.contains("25 columns"), "{failure:?}");
    assert_eq!(deploy::deployed(&client, "tiertop-shop-overview").await.unwrap(), None);
}
