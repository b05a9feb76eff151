//! Primary and replica under their controls.

use super::*;
use crate::node::Replay;

#[tokio::test]
async fn lists_and_sessions_are_served_and_a_replica_takes_no_writes() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let primary = Node::start(Role::Primary, folders[0].path(), &settings(), &[]).await;
    let replica = Node::start(Role::Replica, folders[1].path(), &settings(), &[&primary]).await;
    let (first, second) = (primary.insert(7).await.unwrap(), primary.insert(7).await.unwrap());
    primary.ask(Request::PutSession { id: "s".to_owned(), user_id: 7 }).await.unwrap();
    until("the replica has it", async || replica.position().await >= 3).await;
    for node in [&primary, &replica] {
        let Ok(Reply::Rows(rows)) = node.ask(Request::List { user_id: 7 }).await else { panic!("no list") };
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [second, first]);
        let session = node.ask(Request::GetSession { id: "s".to_owned() }).await;
        assert!(matches!(session, Ok(Reply::Session { user_id: Some(7) })), "{session:?}");
    }
    let refused = replica.insert(7).await.unwrap_err();
    assert!(refused.to_string().contains("takes no writes"), "{refused}");
    assert_eq!(primary.lag().await, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_late_replica_is_that_late_and_a_paused_one_falls_behind() {
    let late = Duration::from_millis(600);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let primary = Node::start(Role::Primary, folders[0].path(), &settings(), &[]).await;
    let replica = Node::start(Role::Replica, folders[1].path(), &settings(), &[&primary]).await;
    until("it follows", async || replica.lag().await.is_some_and(|lag| lag < late / 2)).await;

    replica.turn(Control::Replay(Replay::Late(late)));
    let made = Instant::now();
    let id = primary.insert(7).await.unwrap();
    until("the change is applied", async || replica.has(id).await).await;
    assert!(made.elapsed() + Duration::from_millis(5) >= late, "{:?}", made.elapsed());
    until("its lag says so", async || replica.lag().await.is_some_and(|lag| lag >= late)).await;

    replica.turn(Control::Replay(Replay::Paused));
    until("it falls behind", async || replica.lag().await.is_some_and(|lag| lag >= late * 2)).await;
    replica.turn(Control::Replay(Replay::Running));
    until("it catches up", async || replica.lag().await.is_some_and(|lag| lag < late)).await;
}

#[tokio::test]
async fn writers_wait_for_a_held_lock_and_readers_do_not() {
    let held = Duration::from_millis(400);
    let folder = tempfile::tempdir().unwrap();
    let primary = Node::start(Role::Primary, folder.path(), &settings(), &[]).await;
    let id = primary.insert(7).await.unwrap();
    primary.turn(Control::HoldLock { held, free: Duration::from_millis(50) });

    let slowest = |times: [Duration; 4]| times.into_iter().max().unwrap();
    let mut writes = [Duration::ZERO; 4];
    let mut reads = [Duration::ZERO; 4];
    for (write, read) in writes.iter_mut().zip(&mut reads) {
        let since = Instant::now();
        primary.insert(7).await.unwrap();
        *write = since.elapsed();
        let since = Instant::now();
        assert!(primary.has(id).await);
        *read = since.elapsed();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(slowest(writes) > held / 2, "{writes:?}");
    assert!(slowest(reads) < held / 2, "{reads:?}");

    primary.turn(Control::HoldLock { held: Duration::ZERO, free: Duration::ZERO });
    until("a write is quick again", async || {
        let since = Instant::now();
        primary.insert(7).await.unwrap();
        since.elapsed() < held / 4
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_gives_way_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { disk_quota_bytes: 2 << 20, ..settings() };
    let primary = Node::start(Role::Primary, folder.path(), &settings, &[]).await;
    let id = primary.insert(7).await.unwrap();
    primary.turn(Control::FillDisk { within: Some(Duration::from_millis(300)) });
    until("writes fail", async || match primary.insert(8).await {
        Ok(_) => false,
        Err(error) => error.to_string().contains("database or disk is full"),
    })
    .await;
    assert!(primary.has(id).await);
    primary.turn(Control::FillDisk { within: None });
    until("writes work", async || primary.insert(9).await.is_ok()).await;
}

#[tokio::test]
async fn burning_queries_hold_the_servers_that_others_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let primary = Node::start(Role::Primary, folder.path(), &governed(2), &[]).await;
    let id = primary.insert(7).await.unwrap();
    let time = async || {
        let since = Instant::now();
        assert!(primary.has(id).await);
        since.elapsed()
    };
    primary.turn(Control::BurningQueries { sessions: 4, cpu: Duration::from_millis(30) });
    until("statements wait", async || time().await > Duration::from_millis(40)).await;
    primary.turn(Control::BurningQueries { sessions: 0, cpu: Duration::ZERO });
    until("statements are served at once", async || time().await < Duration::from_millis(15)).await;
}

#[tokio::test]
async fn a_list_without_its_index_takes_as_long_as_the_rows_it_scans() {
    let row = Duration::from_millis(1);
    let folder = tempfile::tempdir().unwrap();
    let primary = Node::start(Role::Primary, folder.path(), &governed(2), &[]).await;
    primary.ask(Request::InsertMany { rows: rows(200) }).await.unwrap();
    let time = async || {
        let since = Instant::now();
        primary.ask(Request::List { user_id: 7 }).await.unwrap();
        since.elapsed()
    };
    primary.turn(Control::DropIndex { row: Some(row) });
    until("a list is slow", async || time().await > row * 190).await;
    let since = Instant::now();
    assert!(primary.has(7).await);
    assert!(since.elapsed() < row * 100, "other statements have their index");
    primary.turn(Control::DropIndex { row: None });
    until("a list is quick", async || time().await < row * 50).await;
}
