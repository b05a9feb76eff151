//! The loops against a server of the tests' own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json as value;
use tokio::net::TcpListener;

use super::*;
use crate::service::http::{Answer, json, refusal, serve};

/// A content service that knows nothing: it counts, and it knows the sessions that it gave.
#[derive(Default)]
struct Service {
    open: AtomicI64,
    most_open: AtomicI64,
    logins: AtomicU64,
    sessions: Mutex<Vec<String>>,
}

impl Service {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let service = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = Arc::clone(&service);
        tokio::spawn(serve(
            listener,
            address,
            |_, _| None,
            move |request| {
                let service = Arc::clone(&answering);
                async move { service.answer(request).await }
            },
        ));
        (service, address)
    }

    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(open, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        if request.uri().path() == "/api/v1/session" {
            let id = format!("s{}", self.logins.fetch_add(1, Ordering::Relaxed));
            self.sessions.lock().unwrap().push(id.clone());
            return json(StatusCode::OK, &value!({ "session_id": id }));
        }
        let known = |cookie: &str| self.sessions.lock().unwrap().iter().any(|id| cookie == format!("session={id}"));
        match request.headers().get("cookie").map(|cookie| cookie.to_str().unwrap()) {
            Some(cookie) if !known(cookie) => refusal(StatusCode::UNAUTHORIZED, "no such session"),
            _ => json(StatusCode::OK, &value!({ "content_id": 7 })),
        }
    }
}

fn options(front: SocketAddr, plan: LoadPlan) -> LoadOptions {
    let mut options = LoadOptions::new(front, plan, (1..=500).collect());
    options.duration = Some(Duration::from_millis(600));
    options
}

#[tokio::test]
async fn the_open_loop_sends_by_schedule_and_all_is_answered() {
    let (service, front) = Service::start().await;
    let report = run(options(front, LoadPlan { rate: 300.0, ..LoadPlan::default() }), std::future::pending()).await;
    assert!(report.counts.sent > 100, "{:?}", report.counts);
    assert_eq!(report.counts.ok, report.counts.sent);
    assert!(service.logins.load(Ordering::Relaxed) > 0);
    assert_eq!(report.loop_kind, LoopKind::Open);
}

#[tokio::test]
async fn a_user_whose_session_was_forgotten_logs_in_again() {
    let (service, front) = Service::start().await;
    let plan = LoadPlan { users: 1, session_share: 1.0, ..LoadPlan::default() };
    let client = Client::new(&options(front, plan));
    let ask = async || client.send(Action::Read { rank: 0 }, Some(1), Instant::now()).await;
    assert_eq!((ask().await, ask().await), (Outcome::Ok, Outcome::Ok));
    assert_eq!(service.logins.load(Ordering::Relaxed), 1);
    service.sessions.lock().unwrap().clear();
    assert_eq!(ask().await, Outcome::Ok);
    assert_eq!(service.logins.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_closed_loop_never_has_more_open_than_it_has_clients() {
    let (service, front) = Service::start().await;
    let closed = Some(ClosedLoop { clients: 3, think: Duration::from_millis(1) });
    let report = run(options(front, LoadPlan { closed, ..LoadPlan::default() }), std::future::pending()).await;
    assert!(report.counts.ok > 30, "{:?}", report.counts);
    assert_eq!(report.counts.failed + report.counts.timeouts, 0);
    assert!(service.most_open.load(Ordering::Relaxed) <= 3);
    assert_eq!(report.loop_kind, LoopKind::Closed);
}

#[tokio::test]
async fn in_the_closed_loop_the_curve_changes_the_number_of_clients() {
    let (service, front) = Service::start().await;
    let closed = Some(ClosedLoop { clients: 2, think: Duration::ZERO });
    let curve = Curve::Step { to: 4.0, at: Duration::from_millis(200) };
    let plan = LoadPlan { closed, curve, session_share: 0.0, ..LoadPlan::default() };
    run(options(front, plan), std::future::pending()).await;
    assert!((5..=8).contains(&service.most_open.load(Ordering::Relaxed)));
}

#[tokio::test]
async fn a_generator_that_is_behind_does_not_take_answered_requests_for_open() {
    let mut requests = Requests::new();
    for _ in 0..MAX_IN_FLIGHT {
        requests.spawn(async { (Action::Asset { rank: 0 }, Outcome::Ok, Duration::ZERO) });
    }
    // On this test's one thread a task that was spawned later runs later.
    tokio::spawn(async {}).await.unwrap();
    let mut report = LoadReport::default();
    let shutdown = std::pin::pin!(std::future::pending());
    wait(Instant::now(), shutdown, &mut requests, &mut report).await;
    assert_eq!((requests.len(), report.counts.ok), (0, MAX_IN_FLIGHT));
}

#[tokio::test]
async fn a_shutdown_ends_either_loop_at_once() {
    let (_, front) = Service::start().await;
    for closed in [None, Some(ClosedLoop { clients: 2, think: Duration::from_mins(1) })] {
        let mut options = options(front, LoadPlan { closed, ..LoadPlan::default() });
        options.duration = None;
        let report = run(options, tokio::time::sleep(Duration::from_millis(50))).await;
        assert!(report.elapsed < Duration::from_secs(5));
    }
}
