//! The agent's program is killed while it ships, and started again.

use tiertop_agent::ship::metrics::METRICS;

use crate::fake::{Fake, Mood};
use crate::program::{Program, SECRET, requests, snapshot};

fn now() -> u64 {
    tiertop_agent::ship::cloudwatch::shipper::unix_now()
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_that_it_spooled_and_tells_no_secret() {
    let fake = Fake::start(now()).await;
    fake.turn(Mood::Faulty);
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let program = Program::start(&fake.url(), &spool).await;
    let mut feed = program.watch();
    let mut sender = program.sender().await;
    for _ in 0..4 {
        sender.export(requests(5..25)).await.unwrap();
        snapshot(&mut feed, |_| true).await;
    }
    let (sent, last) = (4 * 20, now());
    let shown = snapshot(&mut feed, |shown| shown.closed_seconds.iter().any(|second| second.unix_s >= last)).await;
    // Snapshots are spooled in their order, so what this one closed is spooled once a few more seconds are.
    let enough = shown.pipeline.exporters[0].waiting + 3 * METRICS.len() as u64;
    // The first attempt comes only after some seconds have gathered.
    let waiting = snapshot(&mut feed, |shown| {
        let exporter = &shown.pipeline.exporters[0];
        exporter.waiting >= enough && exporter.trouble.is_some()
    })
    .await;
    let said = program.said();
    program.kill().await;
    assert!(said.contains("CloudWatch does not take metrics"), "{said}");
    assert!(!said.contains(SECRET), "the log tells the secret key");
    assert_eq!(fake.taken(), []);

    fake.turn(Mood::Well);
    let program = Program::start(&fake.url(), &spool).await;
    let mut feed = program.watch();
    snapshot(&mut feed, |shown| {
        let exporter = &shown.pipeline.exporters[0];
        exporter.sent >= waiting.pipeline.exporters[0].waiting
    })
    .await;
    let taken = fake.taken();
    let counted: f64 = taken.iter().filter(|datum| datum.metric == "Requests").map(|datum| datum.sum).sum();
    assert!((counted - f64::from(sent)).abs() < 0.5, "{counted} of {sent}");
    assert!(!program.stop().await.contains(SECRET));
    assert_eq!(fake.refusals(), Vec::<String>::new());
}
