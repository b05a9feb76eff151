//! What is acknowledged outlives the primary, and a replica goes on with the next one.

use super::*;

/// A primary, a standby that follows it, and a replica.
async fn three(folders: &[tempfile::TempDir; 3]) -> [Node; 3] {
    let primary = Node::start(Role::Primary, folders[0].path(), &settings(), &[]).await;
    let standby = Node::start(Role::Standby, folders[1].path(), &settings(), &[&primary]).await;
    let replica = Node::start(Role::Replica, folders[2].path(), &settings(), &[&primary]).await;
    for node in [&standby, &replica] {
        until("it follows", async || node.lag().await.is_some()).await;
    }
    [primary, standby, replica]
}

/// Promotes a standby and lets it go by its new role.
async fn promote(standby: &mut Node) {
    standby.turn(Control::Promote).await;
    standby.role = Role::Primary;
    // No content, which would have the id of one that was lost.
    let written = standby.ask(Request::PutSession { id: "s".to_owned(), user_id: 1 }).await;
    written.expect("it leads when it has said so");
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_with_the_primary() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [primary, mut standby, replica] = three(&folders).await;
    let (acknowledged, mut ids) = tokio::sync::mpsc::unbounded_channel();
    let address = primary.address;
    let writers: Vec<_> = (0..4)
        .map(|user_id| {
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                let mut stream = wire::connect(&Wires::default(), Role::Primary, address).await.unwrap();
                while let Ok(Reply::Inserted { id }) = wire::call(&mut stream, &Request::Insert { user_id }).await {
                    acknowledged.send(id).unwrap();
                }
            })
        })
        .collect();
    drop(acknowledged);
    let mut written = Vec::new();
    while written.len() < 200 {
        written.push(ids.recv().await.unwrap());
    }
    primary.kill();
    for writer in writers {
        writer.await.unwrap();
    }
    while let Some(id) = ids.recv().await {
        written.push(id);
    }

    promote(&mut standby).await;
    for &id in &written {
        assert!(standby.has(id).await, "{id} of {} is lost", written.len());
    }

    replica.tell(&[&standby]);
    let newest = standby.insert(9).await.unwrap();
    until("the replica follows the new primary", async || replica.has(newest).await).await;
    for &id in &written {
        assert!(replica.has(id).await);
    }
    assert_eq!(standby.lag().await, Some(Duration::ZERO));
}

#[tokio::test]
async fn the_old_primary_comes_back_empty_and_can_take_over_again() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [primary, mut second, replica] = three(&folders).await;
    let first_id = primary.insert(7).await.unwrap();
    primary.kill();
    promote(&mut second).await;
    let second_id = second.insert(8).await.unwrap();

    let empty = tempfile::tempdir().unwrap();
    let mut first = Node::start(Role::Standby, empty.path(), &settings(), &[&second]).await;
    until("it has everything", async || first.position().await >= second.position().await).await;
    // It is heard from now on, so what is acknowledged is there too.
    let third_id = second.insert(9).await.unwrap();
    second.kill();
    promote(&mut first).await;
    for id in [first_id, second_id, third_id] {
        assert!(first.has(id).await, "{id} is lost");
    }
    replica.tell(&[&first]);
    let newest = first.insert(10).await.unwrap();
    until("the replica follows again", async || replica.has(newest).await).await;
}

#[tokio::test]
async fn a_primary_that_starts_acknowledges_nothing_before_its_standby_has_it() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut standby = Node::start(Role::Standby, folders[0].path(), &settings(), &[]).await;
    let primary = Node::start(Role::Primary, folders[1].path(), &settings(), &[&standby]).await;
    standby.tell(&[&primary]);
    let id = primary.insert(7).await.unwrap();
    primary.kill();
    promote(&mut standby).await;
    assert!(standby.has(id).await, "{id} is lost");
}

#[tokio::test]
async fn a_primary_whose_standby_is_gone_goes_on_alone_after_its_patience() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [primary, standby, replica] = three(&folders).await;
    standby.kill();
    primary.insert(7).await.unwrap();
    let since = Instant::now();
    let id = primary.insert(8).await.unwrap();
    assert!(since.elapsed() < Duration::from_millis(900), "{:?}", since.elapsed());
    until("the replica still follows", async || replica.has(id).await).await;
}

#[tokio::test]
async fn killed_databases_go_on_in_their_folders() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [primary, standby, replica] = three(&folders).await;
    let id = primary.insert(7).await.unwrap();
    drop(standby);
    until("the replica has it", async || replica.has(id).await).await;
    let (of_primary, of_replica) = (primary.kill(), replica.kill());

    let primary = Node::start(Role::Primary, &of_primary, &settings(), &[]).await;
    assert!(primary.has(id).await);
    let replica = Node::start(Role::Replica, &of_replica, &settings(), &[&primary]).await;
    assert!(replica.has(id).await, "it has what it had before it asks");
    let next = primary.insert(8).await.unwrap();
    until("it goes on", async || replica.has(next).await).await;
}

#[tokio::test]
async fn who_comes_too_late_for_the_log_copies_everything() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let primary = Node::start(Role::Primary, folders[0].path(), &settings(), &[]).await;
    let rows = rows(4_500);
    // Each is a change again and again: more than the log keeps.
    for _ in 0..5 {
        primary.ask(Request::InsertMany { rows: rows.clone() }).await.unwrap();
    }
    for number in 0..3 {
        primary.ask(Request::PutSession { id: format!("s{number}"), user_id: 7 }).await.unwrap();
    }
    let beats = primary.position().await + 2;
    until("the log is cut", async || primary.position().await >= beats).await;

    let mut standby = Node::start(Role::Standby, folders[1].path(), &settings(), &[&primary]).await;
    let replica = Node::start(Role::Replica, folders[2].path(), &settings(), &[&primary]).await;
    for node in [&standby, &replica] {
        until("it has everything", async || node.position().await >= beats).await;
    }
    let last = primary.insert(1).await.unwrap();
    until("the replica goes on", async || replica.has(last).await).await;
    primary.kill();
    promote(&mut standby).await;
    replica.tell(&[&standby]);
    let newest = standby.insert(2).await.unwrap();
    until("the replica goes on with the next", async || replica.has(newest).await).await;
    for id in [1, 2_001, 4_500, last] {
        assert!(standby.has(id).await && replica.has(id).await, "{id} is missing");
    }
    let session = standby.ask(Request::GetSession { id: "s2".to_owned() }).await;
    assert!(matches!(session, Ok(Reply::Session { user_id: Some(7) })), "{session:?}");
}
