//! Primary and replica under their controls.

use super::*;
use crate::node::Replay;
use crate::store::database::Database;

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

    replica.turn(Control::Replay(Replay::Late(late))).await;
    let made = Instant::now();
    let id = primary.insert(7).await.unwrap();
    until("the change is applied", async || replica.has(id).await).await;
    assert!(made.elapsed() + Duration::from_millis(5) >= late, "{:?}", made.elapsed());
    until("its lag says so", async || replica.lag().await.is_some_and(|lag| lag >= late)).await;

    replica.turn(Control::Replay(Replay::Paused)).await;
    until("it falls behind", async || replica.lag().await.is_some_and(|lag| lag >= late * 2)).await;
    replica.turn(Control::Replay(Replay::Running)).await;
    until("it catches up", async || replica.lag().await.is_some_and(|lag| lag < late)).await;
}

#[tokio::test]
async fn writers_wait_for_a_held_lock_and_readers_do_not() {
    let held = Duration::from_millis(400);
    let folder = tempfile::tempdir().unwrap();
    let primary = Node::start(Role::Primary, folder.path(), &settings(), &[]).await;
    let id = primary.insert(7).await.unwrap();
    primary.turn(Control::HoldLock { held, free: Duration::from_millis(50) }).await;

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

    primary.turn(Control::HoldLock { held: Duration::ZERO, free: Duration::ZERO }).await;
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
    primary.turn(Control::FillDisk { within: Some(Duration::from_millis(300)) }).await;
    until("writes fail", async || match primary.insert(8).await {
        Ok(_) => false,
        Err(error) => error.to_string().contains("database or disk is full"),
    })
    .await;
    assert!(primary.has(id).await);
    primary.turn(Control::FillDisk { within: None }).await;
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
    primary.turn(Control::BurningQueries { sessions: 4, cpu: Duration::from_millis(30) }).await;
    until("statements wait", async || time().await > Duration::from_millis(40)).await;
    primary.turn(Control::BurningQueries { sessions: 0, cpu: Duration::ZERO }).await;
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
    primary.turn(Control::DropIndex { row: Some(row) }).await;
    until("a list is slow", async || time().await > row * 190).await;
    let since = Instant::now();
    assert!(primary.has(7).await);
    assert!(since.elapsed() < row * 100, "other statements have their index");
    primary.turn(Control::DropIndex { row: None }).await;
    until("a list is quick", async || time().await < row * 50).await;
}

#[tokio::test]
async fn a_disk_that_was_full_when_its_process_died_has_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { disk_quota_bytes: 2 << 20, ..settings() };
    let primary = Node::start(Role::Primary, folder.path(), &settings, &[]).await;
    primary.turn(Control::FillDisk { within: Some(Duration::ZERO) }).await;
    until("writes fail", async || primary.insert(8).await.is_err()).await;
    let of_primary = primary.kill();

    let primary = Node::start(Role::Primary, &of_primary, &settings, &[]).await;
    until("writes work", async || primary.insert(9).await.is_ok()).await;
}

#[tokio::test]
async fn an_index_that_finds_no_room_is_made_when_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { disk_quota_bytes: 2 << 20, ..settings() };
    let primary = Node::start(Role::Primary, folder.path(), &settings, &[]).await;
    primary.ask(Request::InsertMany { rows: rows(5_000) }).await.unwrap();
    let file = Database::session(&folder.path().join("content.db")).unwrap();
    let scanned = || file.list(7).unwrap().1;
    primary.turn(Control::DropIndex { row: Some(Duration::ZERO) }).await;
    until("there is no index", async || scanned() > 0).await;
    primary.turn(Control::FillDisk { within: Some(Duration::ZERO) }).await;
    until("there is no room", async || settings.disk_quota_bytes - file.used().unwrap() < 16_384).await;

    primary.turn(Control::DropIndex { row: None }).await;
    primary.turn(Control::FillDisk { within: None }).await;
    until("there is an index", async || scanned() == 0).await;
}
