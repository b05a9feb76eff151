//! How a file follows the primary's: asks for changes, applies them as it is told to, and copies
//! everything where the log no longer leads on.
//!
//! 1. Asks the primary that the peers name now, so a promoted standby is followed as soon as it is known.
//! 2. Applies the changes that are due: all of them, none while it is paused, or those that were made long
//!    enough ago.
//! 3. Asks again, which confirms what was applied.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{KeyValue, global};
use tokio::sync::watch;

use crate::node::Replay;
use crate::store::database::connections::{Connections, DatabaseError};
use crate::store::database::{Change, Changed, Database, Follower, Place, Reply, Request};
use crate::store::unix_millis;
use crate::topology::{Peers, Role};
use crate::wire::{self, Connection, WireError, Wires};

/// How long a follower waits before it asks a primary again that did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// Longest wait for a reply; the primary answers after half a second at most.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a file could not follow; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("apply changes: {0}")]
    Database(#[from] DatabaseError),
}

/// A connection to the primary that is followed now.
type Link = Option<(SocketAddr, Connection)>;

/// Follows the primary for as long as it is polled.
pub(crate) async fn follow(
    connections: &Connections,
    follower: Follower,
    peers: watch::Receiver<Peers>,
    wires: &Wires,
    mut replay: watch::Receiver<Replay>,
) {
    let mut link = None;
    loop {
        let primary = peers.borrow().one(Role::Primary);
        let round = async {
            let primary = primary.ok_or(WireError::Unknown)?;
            let stream = connected(&mut link, wires, primary).await?;
            next(connections, follower, stream, &mut replay).await
        };
        if round.await.is_err() {
            link = None;
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Returns the connection to a primary, a new one if the last was to another.
async fn connected<'a>(
    link: &'a mut Link,
    wires: &Wires,
    primary: SocketAddr,
) -> Result<&'a mut Connection, WireError> {
    let kept = link.take().filter(|(address, _)| *address == primary);
    let kept = match kept {
        Some(kept) => kept,
        None => (primary, wire::connect(wires, Role::Primary, primary).await?),
    };
    Ok(&mut link.insert(kept).1)
}

async fn next(
    connections: &Connections,
    follower: Follower,
    primary: &mut Connection,
    replay: &mut watch::Receiver<Replay>,
) -> Result<(), FollowError> {
    let after = connections.read(Database::applied)?;
    match ask(primary, Request::Changes { after, follower }).await? {
        Reply::Changes { timeline, changes } => apply(connections, follower, timeline, changes, replay).await,
        Reply::CopyNeeded => copy(connections, follower, primary).await,
        other => Err(unexpected(&other).into()),
    }
}

async fn ask(primary: &mut Connection, request: Request) -> Result<Reply, WireError> {
    tokio::time::timeout(TIMEOUT, wire::call(primary, &request)).await.map_err(|_| WireError::Timeout)?
}

fn unexpected(reply: &Reply) -> WireError {
    WireError::Refused(format!("the primary answered {reply:?}"))
}

/// Applies changes as they become due.
async fn apply(
    connections: &Connections,
    follower: Follower,
    timeline: i64,
    mut changes: Vec<Change>,
    replay: &mut watch::Receiver<Replay>,
) -> Result<(), FollowError> {
    while !changes.is_empty() {
        let how = *replay.borrow_and_update();
        let rest = changes.split_off(due(how, &changes, unix_millis()));
        if !changes.is_empty() {
            connections
                .write(move |database| {
                    if follower == Follower::Standby {
                        database.keep(&changes)?;
                    }
                    database.apply(timeline, &changes)
                })
                .await?;
        }
        changes = rest;
        let Some(first) = changes.first() else { break };
        tokio::select! {
            () = until_due(how, first) => {}
            turned = replay.changed() => if turned.is_err() { break },
        }
    }
    Ok(())
}

/// How many of the changes, which are in order, are to be applied at `now`.
fn due(how: Replay, changes: &[Change], now: i64) -> usize {
    match how {
        Replay::Running => changes.len(),
        Replay::Paused => 0,
        Replay::Late(by) => changes.iter().take_while(|change| change.at + by.as_millis() as i64 <= now).count(),
    }
}

async fn until_due(how: Replay, change: &Change) {
    match how {
        Replay::Running => {}
        Replay::Paused => std::future::pending().await,
        Replay::Late(by) => {
            let left = change.at + by.as_millis() as i64 - unix_millis();
            tokio::time::sleep(Duration::from_millis(left.max(1) as u64)).await;
        }
    }
}

/// Copies everything, and replaces what there is by it at once.
async fn copy(connections: &Connections, follower: Follower, primary: &mut Connection) -> Result<(), FollowError> {
    let (mut content, mut session) = (0, String::new());
    let (mut from, mut everything): (Option<Place>, Vec<Changed>) = (None, Vec::new());
    loop {
        let (at, some) = match ask(primary, Request::Copy { content, session: session.clone() }).await? {
            Reply::Copied { at, some } => (at, some),
            other => return Err(unexpected(&other).into()),
        };
        // The log from the first piece's place on has all that changed in the later pieces.
        let from = *from.get_or_insert(at);
        if some.is_empty() {
            let replace = move |database: &Database| {
                database.replace(from, &everything)?;
                if follower == Follower::Standby {
                    database.forget_log(from)?;
                }
                Ok(())
            };
            return Ok(connections.write(replace).await?);
        }
        for copied in &some {
            match copied {
                Changed::Put(row) => content = content.max(row.id),
                Changed::Session { id, .. } => session = session.max(id.clone()),
                Changed::Delete { .. } | Changed::Heartbeat { .. } => {}
            }
        }
        everything.extend(some);
    }
}

/// Returns how far a file is behind its primary; an error if it has never followed one.
pub(crate) fn lag(connections: &Connections) -> Result<Duration, String> {
    let heartbeat = connections.read(Database::heartbeat).map_err(|error| error.to_string())?;
    let at = heartbeat.ok_or("no heartbeat was applied yet")?;
    Ok(Duration::from_millis((unix_millis() - at).max(0) as u64))
}

/// Reports the lag of a file, while `following` says that it follows.
pub(crate) fn measure_lag(
    connections: &Arc<Connections>,
    labels: Vec<KeyValue>,
    following: impl Fn() -> bool + Send + Sync + 'static,
) {
    let watched = Arc::clone(connections);
    global::meter("content-db")
        .f64_observable_gauge("db.replica.lag")
        .with_description("Age of the last heartbeat of the primary that was applied.")
        .with_unit("s")
        .with_callback(move |observer| {
            if following()
                && let Ok(behind) = lag(&watched)
            {
                observer.observe(behind.as_secs_f64(), &labels);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_due_at_once_never_or_so_long_after_they_were_made() {
        let changes: Vec<Change> =
            (1..=3).map(|n| Change { position: n, at: n * 1_000, what: Changed::Delete { id: n } }).collect();
        assert_eq!(due(Replay::Running, &changes, 0), 3);
        assert_eq!(due(Replay::Paused, &changes, 1 << 40), 0);
        let late = Replay::Late(Duration::from_secs(8));
        assert_eq!(due(late, &changes, 8_999), 0);
        assert_eq!(due(late, &changes, 10_000), 2);
    }
}
