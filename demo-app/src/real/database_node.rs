//! The sidecar of a PostgreSQL server: the heartbeat, what a collector reads, and what is turned.
//!
//! The primary's sidecar stamps the heartbeat row at a fixed pace. Its change travels to the followers as
//! every other does, so the age of the row as a follower has it is how far that follower is behind; the age
//! of its last transaction is not, since that grows while nobody writes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::global;
use opentelemetry::metrics::AsyncInstrument;
use tokio_postgres::Client;

use crate::backends::Servers;
use crate::node::{Control, NodeContext, Replay, Started, unknown};
use crate::real::burden::{self, Burden};
use crate::real::{errand, sql};
use crate::store::lock;
use crate::telemetry::attributes;
use crate::topology::Role;

/// How often the server is read.
const PACE: Duration = Duration::from_millis(250);

/// Longest wait for an answer, after which nothing is known of the server.
const PATIENCE: Duration = Duration::from_secs(1);

const BEAT: &str = "UPDATE heartbeat SET at = clock_timestamp()";

const READ: &str = "SELECT
    (SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'),
    current_setting('max_connections')::bigint,
    CASE WHEN pg_is_in_recovery()
        THEN (SELECT extract(epoch FROM clock_timestamp() - at)::float8 FROM heartbeat) END";

/// What the server said last.
#[derive(Clone, Copy, Debug)]
struct Reading {
    backends: i64,
    most_connections: i64,
    /// How far it is behind its primary; none for a primary.
    behind: Option<f64>,
}

/// Nothing while the server does not answer.
type Known = Arc<Mutex<Option<Reading>>>;

/// A server, and how to talk to it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) servers: Servers,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) async fn connect(&self) -> Result<Client, String> {
        sql::connect(&self.servers, self.address).await
    }

    /// Carries out statements and returns once they are done.
    fn execute(&self, statements: &[String]) -> Result<(), String> {
        errand::run(async {
            let client = self.connect().await?;
            for statement in statements {
                client.batch_execute(statement).await.map_err(|error| text(&error))?;
            }
            Ok(())
        })
    }
}

/// Starts the sidecar.
pub(super) fn start(role: Role, context: &NodeContext, servers: &Servers) -> Started {
    let server = Server { servers: servers.clone(), address: context.address };
    let known = Known::default();
    measure(&known, context.address);
    let (burden, bearing) = burden::on(server.clone());
    let (watched, heartbeat) = (server.clone(), context.settings.heartbeat);
    let serving = async move {
        let own = async {
            if role == Role::Primary {
                tokio::join!(beat(&watched, heartbeat), bearing);
            } else {
                put_back(&watched).await;
            }
        };
        tokio::join!(watch(&watched, known), own);
    };
    Started::turned(serving, move |control| match role {
        Role::Primary => turn_primary(&server, &burden, control),
        _ => turn_follower(&server, control),
    })
}

fn turn_primary(server: &Server, burden: &Burden, control: Control) -> Result<(), String> {
    match control {
        Control::BurningQueries { sessions, cpu } => burden.burn(sessions, cpu),
        Control::HoldLock { held, free } => burden.hold_lock(held, free),
        Control::DropIndex { row } => {
            let index = match row {
                Some(_) => "DROP INDEX IF EXISTS user_content_user_id",
                None => sql::USER_INDEX,
            };
            return server.execute(&[index.to_owned()]);
        }
        Control::FillDisk { within: None } => {}
        Control::FillDisk { .. } => return Err("the disk of a real server is the machine's".to_owned()),
        other => return Err(unknown(&other)),
    }
    Ok(())
}

fn turn_follower(server: &Server, control: Control) -> Result<(), String> {
    match control {
        Control::Replay(replay) => server.execute(&statements(replay)),
        // It comes and goes with the primary's.
        Control::DropIndex { .. } => Ok(()),
        Control::Promote => {
            Err("the replicas of a real primary would go on following it, and two servers take writes".to_owned())
        }
        other => Err(unknown(&other)),
    }
}

/// What brings a follower to apply changes in a way.
fn statements(replay: Replay) -> Vec<String> {
    let late = match replay {
        Replay::Late(by) => by.as_millis(),
        Replay::Running | Replay::Paused => 0,
    };
    let replaying = match replay {
        Replay::Paused => "SELECT pg_wal_replay_pause()",
        Replay::Running | Replay::Late(_) => "SELECT pg_wal_replay_resume()",
    };
    vec![
        format!("ALTER SYSTEM SET recovery_min_apply_delay = '{late}ms'"),
        "SELECT pg_reload_conf()".to_owned(),
        replaying.to_owned(),
    ]
}

/// Has the follower apply changes as they come, whatever an earlier run left it at.
async fn put_back(server: &Server) {
    let mut tries = tokio::time::interval(PATIENCE);
    loop {
        tries.tick().await;
        let Ok(client) = server.connect().await else { continue };
        let mut done = true;
        for statement in statements(Replay::Running) {
            done &= client.batch_execute(&statement).await.is_ok();
        }
        if done {
            return;
        }
    }
}

async fn beat(server: &Server, pace: Duration) {
    let mut client = None;
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(open) = open(server, &mut client).await {
            // A beat that fails is a beat not seen: the followers' lag says so.
            if open.batch_execute(BEAT).await.is_err() {
                client = None;
            }
        }
    }
}

async fn watch(server: &Server, known: Known) {
    let mut client = None;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = tokio::time::timeout(PATIENCE, read(server, &mut client)).await;
        let reading = read.ok().and_then(Result::ok);
        if reading.is_none() {
            client = None;
        }
        // What is not known is not told: neither the last value nor zero.
        *lock(&known) = reading;
    }
}

async fn read(server: &Server, client: &mut Option<Client>) -> Result<Reading, String> {
    let row = open(server, client).await?.query_one(READ, &[]).await.map_err(|error| text(&error))?;
    Ok(Reading { backends: row.get(0), most_connections: row.get(1), behind: row.get(2) })
}

/// Returns the connection that is there, or opens it.
async fn open<'a>(server: &Server, client: &'a mut Option<Client>) -> Result<&'a Client, String> {
    if client.as_ref().is_none_or(Client::is_closed) {
        *client = Some(server.connect().await?);
    }
    client.as_ref().ok_or_else(|| "the connection is gone".to_owned())
}

/// Returns an error as the text that the parent is told.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned())
}

fn measure(known: &Known, address: SocketAddr) {
    let meter = global::meter("content-db");
    let labels = attributes::database_node(address);
    let of_database =
        attributes::with(labels.clone(), [KeyValue::new("postgresql.database.name", attributes::CONTENT)]);
    let level = |read: fn(&Reading) -> i64, labels: Vec<KeyValue>| {
        let known = Arc::clone(known);
        move |observer: &dyn AsyncInstrument<i64>| {
            if let Some(reading) = lock(&known).as_ref() {
                observer.observe(read(reading), &labels);
            }
        }
    };
    meter
        .i64_observable_up_down_counter("postgresql.backends")
        .with_description("Sessions of clients.")
        .with_callback(level(|reading| reading.backends, of_database))
        .build();
    meter
        .i64_observable_gauge("postgresql.connection.max")
        .with_description("Most sessions that the server takes.")
        .with_unit("{connection}")
        .with_callback(level(|reading| reading.most_connections, labels.clone()))
        .build();
    let known = Arc::clone(known);
    meter
        .f64_observable_gauge("db.replica.lag")
        .with_description("Age of the last heartbeat of the primary that was applied.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(behind) = lock(&known).and_then(|reading| reading.behind) {
                observer.observe(behind.max(0.0), &labels);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_apply_changes_undoes_the_others() {
        let said = |replay| statements(replay).join("; ");
        let late = said(Replay::Late(Duration::from_secs(4)));
        assert!(late.contains("'4000ms'") && late.contains("resume"), "{late}");
        let paused = said(Replay::Paused);
        assert!(paused.contains("'0ms'") && paused.contains("pause"), "{paused}");
        let running = said(Replay::Running);
        assert!(running.contains("'0ms'") && running.contains("resume"), "{running}");
    }
}
