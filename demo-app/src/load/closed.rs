//! A closed loop: so many clients, each of which waits for its answer before it asks again.
//!
//! Many load tools work so. Its latencies are those of the requests that were made: while a client waits,
//! those that it would have made are not counted (coordinated omission), and a system that slows down is
//! asked less. The report says so.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::load::client::{Client, Outcome};
use crate::load::report::LoadReport;
use crate::load::{Action, ClosedLoop, LoadOptions, Schedule};
use crate::store::lock;

/// Answers that may wait to be recorded.
const ANSWERS: usize = 64;

/// How often it is looked whether there are to be more clients, and by one that there is no place for
/// whether there is one again.
const REST: Duration = Duration::from_millis(100);

/// What came of one request.
type Answered = (Action, Outcome, Duration);

/// Runs the clients until `end` or until `shutdown` completes, and records what they saw.
pub(super) async fn run(
    options: &LoadOptions,
    closed: ClosedLoop,
    start: Instant,
    end: Option<Instant>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    report: &mut LoadReport,
) {
    let shared = Arc::new(Shared {
        client: Client::new(options),
        asks: Mutex::new(Schedule::new(options.plan.clone(), options.seed)),
        options: options.clone(),
        closed,
        start,
        end,
    });
    let (sender, mut answers) = mpsc::channel(ANSWERS);
    let mut clients = JoinSet::new();
    let mut looks = tokio::time::interval(REST);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some((action, outcome, latency)) = answers.recv() => {
                report.sent(clients.len() as u64);
                report.record(action, outcome, latency);
                options.show(report);
            }
            Some(_) = clients.join_next() => {}
            _ = looks.tick() => shared.fill_up(&mut clients, &sender),
        }
        if shared.is_over() && clients.is_empty() && answers.is_empty() {
            break;
        }
    }
}

struct Shared {
    client: Client,
    asks: Mutex<Schedule>,
    options: LoadOptions,
    closed: ClosedLoop,
    start: Instant,
    end: Option<Instant>,
}

impl Shared {
    /// Lets as many clients live as there are to be; none once it is over.
    fn fill_up(self: &Arc<Self>, clients: &mut JoinSet<()>, answers: &mpsc::Sender<Answered>) {
        while !self.is_over() && (clients.len() as f64) < self.clients() {
            clients.spawn(Arc::clone(self).live(clients.len(), answers.clone()));
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// One client: asks, waits for the answer, thinks, and asks again.
    async fn live(self: Arc<Self>, number: usize, answers: mpsc::Sender<Answered>) {
        while !self.is_over() {
            if number as f64 >= self.clients() {
                tokio::time::sleep(REST).await;
                continue;
            }
            let dial = *self.options.dial.borrow();
            let (action, session) = lock(&self.asks).ask(dial);
            let asked = Instant::now();
            let outcome = self.client.send(action, session, asked).await;
            if answers.send((action, outcome, asked.elapsed())).await.is_err() {
                return;
            }
            tokio::time::sleep(self.closed.think).await;
        }
    }

    /// How many clients are active now: the curve and the dial change their number.
    fn clients(&self) -> f64 {
        let curve = self.options.plan.curve.factor(self.start.elapsed());
        self.closed.clients as f64 * curve * self.options.dial.borrow().factor
    }
}
