//! The admin port over a real socket.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tiertop_agent::admin::{Admin, serve};
use tiertop_agent::intake::intake;
use tiertop_agent::receive::listen::{Port, bind};
use tiertop_core::snapshot::Snapshot;
use tokio::sync::watch;

#[tokio::test]
async fn probes_and_metrics_answer() {
    let (snapshots, latest) = watch::channel(Arc::new(Snapshot::default()));
    let (intake, _outlet) = intake(1_000);
    let (stop, stopped) = watch::channel(false);
    let listener = bind(Port::Admin, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Admin { snapshots: latest, intake: intake.clone() };
    let serving = tokio::spawn(serve(listener, admin, stopped));

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let get = async |path: &str| {
        let url = format!("http://{address}{path}").parse().unwrap();
        let response = client.get(url).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
    let answer = get("/readyz").await;
    assert_eq!(answer, (503, "not ready: no port is listened on\n".to_owned()));

    intake.counters().listening_on("grpc 127.0.0.1:4317");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    snapshots.send_replace(Arc::new(Snapshot { at_unix_ms: now, ..Snapshot::default() }));
    assert_eq!(get("/readyz").await, (200, "ready\n".to_owned()));

    intake.counters().request_turned_away();
    let (status, page) = get("/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("\ntiertop_requests_turned_away_total 1\n"));
    assert!(page.contains("\ntiertop_queue_capacity_bytes 1000\n"));
    assert_eq!(get("/elsewhere").await.0, 404);

    drop(client);
    stop.send(true).unwrap();
    serving.await.unwrap().unwrap();
}
