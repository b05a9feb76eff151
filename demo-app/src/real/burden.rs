//! What a primary suffers until it is turned back: sessions that compute, and one that holds a lock.
//!
//! Both are sessions as any client's. Those that are turned back end with their connections, which has the
//! server roll back what they held.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::real::database_node::Server;

/// How long a session waits before it connects again.
const RETRY: Duration = Duration::from_millis(200);

/// Turns what a primary suffers.
pub(super) struct Burden {
    burning: watch::Sender<(usize, Duration)>,
    lock: watch::Sender<(Duration, Duration)>,
}

impl Burden {
    /// Has so many sessions run a query that computes this long, again and again.
    pub(super) fn burn(&self, sessions: usize, cpu: Duration) {
        self.burning.send_replace((sessions, cpu));
    }

    /// Has a session keep others from writing, again and again; zero ends it.
    pub(super) fn hold_lock(&self, held: Duration, free: Duration) {
        self.lock.send_replace((held, free));
    }
}

/// Returns what turns the burden on a server, and what bears it for as long as it is polled.
pub(super) fn on(server: Server) -> (Burden, impl Future<Output = ()> + Send) {
    let (burning, burn) = watch::channel((0, Duration::ZERO));
    let (lock, hold) = watch::channel((Duration::ZERO, Duration::ZERO));
    let bearing = async move {
        let computing = follow(burn, |(sessions, cpu)| compute(&server, sessions, cpu));
        let locking = follow(hold, |(held, free)| hold_lock(&server, held, free));
        tokio::join!(computing, locking);
    };
    (Burden { burning, lock }, bearing)
}

/// Does what is turned last, until nobody can turn it any more.
async fn follow<T: Copy, F: Future<Output = Infallible>>(mut turned: watch::Receiver<T>, suffer: impl Fn(T) -> F) {
    loop {
        let how = *turned.borrow_and_update();
        let changed = tokio::select! {
            changed = turned.changed() => changed,
            never = suffer(how) => match never {},
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn compute(server: &Server, sessions: usize, cpu: Duration) -> Infallible {
    let mut running = JoinSet::new();
    for _ in 0..sessions {
        let server = server.clone();
        running.spawn(async move {
            loop {
                // A session that breaks is opened again.
                let _ = compute_in_session(&server, cpu).await;
                tokio::time::sleep(RETRY).await;
            }
        });
    }
    std::future::pending().await
}

async fn compute_in_session(server: &Server, cpu: Duration) -> Result<Infallible, String> {
    let client = server.connect().await?;
    let burn = format!(
        "DO $$ DECLARE until timestamptz := clock_timestamp() + interval '{} milliseconds';
         BEGIN WHILE clock_timestamp() < until LOOP PERFORM sqrt(2); END LOOP; END $$",
        cpu.as_millis()
    );
    loop {
        client.batch_execute(&burn).await.map_err(|error| error.to_string())?;
    }
}

async fn hold_lock(server: &Server, held: Duration, free: Duration) -> Infallible {
    if held.is_zero() {
        return std::future::pending().await;
    }
    loop {
        let _ = hold_in_session(server, held, free).await;
        tokio::time::sleep(RETRY).await;
    }
}

async fn hold_in_session(server: &Server, held: Duration, free: Duration) -> Result<Infallible, String> {
    let client = server.connect().await?;
    let say = async |statement: &str| client.batch_execute(statement).await.map_err(|error| error.to_string());
    loop {
        // Readers go on, as with a bulk update; writers wait.
        say("BEGIN; LOCK TABLE user_content IN SHARE ROW EXCLUSIVE MODE").await?;
        tokio::time::sleep(held).await;
        say("COMMIT").await?;
        tokio::time::sleep(free).await;
    }
}
