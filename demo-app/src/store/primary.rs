//! The primary: takes reads and writes, beats, and hands its log to those who follow it.
//!
//! A write is acknowledged once it is committed and the standby has it ([`confirmed`]). What other
//! sessions do to it is in [`trouble`].

mod confirmed;
mod trouble;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::{KeyValue, global};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::node::{Control, NodeContext, Started, unknown};
use crate::settings::Settings;
use crate::store::database::connections::{Connections, DatabaseError};
use crate::store::database::{Database, Follower, MOST_CHANGES, Place, Reply, Request};
use crate::store::reads::Reads;
use crate::store::service_time::Servers;
use crate::store::{lock, unix_millis};
use crate::telemetry::attributes;
use crate::topology::Role;
use crate::wire;
use confirmed::Confirmed;

/// How long a follower waits for changes before it asks again; half of the patience with a silent standby.
const LONG_POLL: Duration = Duration::from_millis(500);

/// What the file system of the data folder is called in the metrics.
const MOUNTPOINT: &str = "content-db";

/// A primary that is open.
pub(crate) struct Primary {
    connections: Arc<Connections>,
    reads: Arc<Reads>,
    servers: Arc<Servers>,
    changed: Notify,
    confirmed: Confirmed,
    heartbeat: Duration,
    disk_quota: u64,
    burning: Mutex<JoinSet<()>>,
    holding: Mutex<JoinSet<()>>,
    filling: Mutex<JoinSet<()>>,
}

/// Opens the primary's file and serves it.
pub(crate) fn start(context: NodeContext) -> Result<Started, rusqlite::Error> {
    let path = context.folder.join("content.db");
    let database = Database::primary(&path)?;
    database.limit(context.settings.disk_quota_bytes)?;
    let labels = attributes::database_node(context.address);
    let connections = Arc::new(Connections::new(&path, database, labels.clone())?);
    measure_size(&connections, &labels);
    let reads = Arc::new(Reads::new(&connections, &context));
    let primary = Arc::new(Primary::new(connections, reads, Arc::clone(&context.servers), &context.settings));
    if context.peers.borrow().has(Role::Standby) {
        primary.confirmed.expect(Instant::now());
    }
    primary.measure(&labels);
    let (answering, beating) = (Arc::clone(&primary), Arc::clone(&primary));
    let serving = async move {
        let server = wire::serve(context.listener, move |request| {
            let primary = Arc::clone(&answering);
            async move { primary.answer(request).await }
        });
        tokio::join!(server, beating.beat());
    };
    Ok(Started::turned(serving, move |control| primary.turn(control)))
}

impl Primary {
    /// Makes a primary of a file that is open and limited to its quota.
    pub(crate) fn new(
        connections: Arc<Connections>,
        reads: Arc<Reads>,
        servers: Arc<Servers>,
        settings: &Settings,
    ) -> Self {
        Self {
            connections,
            reads,
            servers,
            changed: Notify::new(),
            confirmed: Confirmed::nothing(),
            heartbeat: settings.heartbeat,
            disk_quota: settings.disk_quota_bytes,
            burning: Mutex::default(),
            holding: Mutex::default(),
            filling: Mutex::default(),
        }
    }

    /// Stamps the heartbeat at its pace, for as long as it is polled.
    pub(crate) async fn beat(&self) {
        let mut ticks = tokio::time::interval(self.heartbeat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A beat that fails is a beat not seen: the replica's lag says so.
            let beat = |database: &Database| database.beat(unix_millis()).and_then(|()| database.prune());
            let _ = self.connections.write(beat).await;
            self.changed.notify_waiters();
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request) -> Result<Reply, String> {
        let request = match self.reads.answer(request).await {
            Ok(read) => return read,
            Err(other) => other,
        };
        let write = match request {
            Request::Changes { after, follower } => return self.changes(after, follower).await.map_err(text),
            Request::Copy { content, session } => {
                let copied = self.connections.read(|database| database.copy(content, &session));
                return copied.map(|(at, some)| Reply::Copied { at, some }).map_err(text);
            }
            Request::Position => {
                return self.connections.read(Database::written).map(Reply::Position).map_err(text);
            }
            Request::Lag => return Ok(Reply::Lag { behind: Duration::ZERO }),
            Request::InsertMany { .. } => return self.write(request).await.map(|(reply, _)| reply).map_err(text),
            write => write,
        };
        self.servers.hold(Duration::ZERO).await.map_err(|_| "too busy".to_owned())?;
        let (reply, position) = self.write(write).await.map_err(text)?;
        self.confirmed.covers(position).await;
        Ok(reply)
    }

    /// Commits a write; returns the position that it was logged at too.
    async fn write(&self, request: Request) -> Result<(Reply, i64), DatabaseError> {
        let written = self
            .connections
            .write(move |database| {
                let reply = match request {
                    Request::Insert { user_id } => Reply::Inserted { id: database.insert(user_id)? },
                    Request::Update { id, metadata, asset_url } => {
                        Reply::Changed { rows: database.update(id, &metadata, &asset_url)? }
                    }
                    Request::Delete { id } => Reply::Changed { rows: database.delete(id)? },
                    Request::InsertMany { rows } => Reply::Changed { rows: database.insert_many(&rows)? },
                    Request::PutSession { id, user_id } => {
                        database.put_session(&id, user_id)?;
                        Reply::Changed { rows: 1 }
                    }
                    Request::Select { .. }
                    | Request::List { .. }
                    | Request::GetSession { .. }
                    | Request::Changes { .. }
                    | Request::Copy { .. }
                    | Request::Position
                    | Request::Lag => unreachable!("reads were answered before"),
                };
                Ok((reply, database.written()?))
            })
            .await?;
        self.changed.notify_waiters();
        Ok(written)
    }

    async fn changes(&self, after: Place, follower: Follower) -> Result<Reply, DatabaseError> {
        let asked = Instant::now();
        let deadline = tokio::time::Instant::from_std(asked + LONG_POLL);
        loop {
            // Registered before looking, so that a change in between is not missed.
            let mut notified = std::pin::pin!(self.changed.notified());
            notified.as_mut().enable();
            let shown = match follower {
                Follower::Standby => i64::MAX,
                Follower::Replica => self.confirmed.shown(Instant::now()),
            };
            let Some((timeline, changes)) = self.connections.read(|database| database.changes(after, shown))? else {
                return Ok(Reply::CopyNeeded);
            };
            let keeps_up = follower == Follower::Standby && changes.len() < MOST_CHANGES;
            if keeps_up && self.confirmed.note(after.position, asked) {
                self.changed.notify_waiters();
            }
            if !changes.is_empty() || tokio::time::timeout_at(deadline, notified).await.is_err() {
                return Ok(Reply::Changes { timeline, changes });
            }
        }
    }

    /// Turns what only a primary has.
    pub(crate) fn turn(&self, control: Control) -> Result<(), String> {
        let session = || {
            let session = self.connections.session()?;
            session.limit(self.disk_quota).map(|()| session)
        };
        let session = || session().map_err(|error| format!("no session could be opened: {error}"));
        match control {
            Control::BurningQueries { sessions: 0, .. } => *lock(&self.burning) = JoinSet::new(),
            Control::BurningQueries { sessions, cpu } => {
                *lock(&self.burning) = trouble::burn(session()?, &self.servers, sessions, cpu);
            }
            Control::HoldLock { held, .. } if held.is_zero() => *lock(&self.holding) = JoinSet::new(),
            Control::HoldLock { held, free } => *lock(&self.holding) = trouble::hold_lock(session()?, held, free),
            Control::FillDisk { within: Some(within) } => {
                *lock(&self.filling) = trouble::fill_disk(session()?, self.disk_quota, within);
            }
            Control::FillDisk { within: None } => {
                *lock(&self.filling) = trouble::give_room(Arc::clone(&self.connections));
            }
            Control::DropIndex { row } => self.reads.turn_index(row),
            other => return Err(unknown(&other)),
        }
        Ok(())
    }

    /// Reports the primary's own metrics.
    pub(crate) fn measure(self: &Arc<Self>, labels: &[KeyValue]) {
        let meter = global::meter("content-db");
        let (watched, of) = (Arc::clone(self), labels.to_vec());
        meter
            .u64_observable_counter("db.change_log.written")
            .with_description("Changes written to the change log.")
            .with_unit("{change}")
            .with_callback(move |observer| {
                if let Ok(position) = watched.connections.read(Database::written) {
                    observer.observe(position as u64, &of);
                }
            })
            .build();
        let (watched, of) = (Arc::clone(self), labels.to_vec());
        meter
            .u64_observable_gauge("db.lock.waiting")
            .with_description("Writers that wait for the write lock.")
            .with_unit("{session}")
            .with_callback(move |observer| observer.observe(watched.connections.waiting(), &of))
            .build();
        let (watched, of) = (Arc::clone(self), attributes::with(labels.to_vec(), [mountpoint()]));
        meter
            .i64_observable_up_down_counter("system.filesystem.usage")
            .with_description("Bytes of the data folder's quota that are used, and that are free.")
            .with_unit("By")
            .with_callback(move |observer| {
                if let Ok(used) = watched.connections.read(Database::used) {
                    let state = |state| attributes::with(of.clone(), [KeyValue::new("system.filesystem.state", state)]);
                    observer.observe(used as i64, &state("used"));
                    observer.observe(watched.disk_quota.saturating_sub(used) as i64, &state("free"));
                }
            })
            .build();
        let (quota, of) = (self.disk_quota, attributes::with(labels.to_vec(), [mountpoint()]));
        meter
            .i64_observable_up_down_counter("system.filesystem.limit")
            .with_description("Bytes that the data folder may hold.")
            .with_unit("By")
            .with_callback(move |observer| observer.observe(quota as i64, &of))
            .build();
    }
}

fn mountpoint() -> KeyValue {
    KeyValue::new("system.filesystem.mountpoint", MOUNTPOINT)
}

/// Returns an error as the text that a client is told.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
fn text(error: DatabaseError) -> String {
    error.to_string()
}

/// Reports the size of a database file.
pub(crate) fn measure_size(connections: &Arc<Connections>, labels: &[KeyValue]) {
    let (watched, of) = (Arc::clone(connections), labels.to_vec());
    global::meter("content-db")
        .u64_observable_gauge("db.file.size")
        .with_description("Size of the database file.")
        .with_unit("By")
        .with_callback(move |observer| {
            if let Ok(bytes) = watched.read(Database::size) {
                observer.observe(bytes, &of);
            }
        })
        .build();
}
