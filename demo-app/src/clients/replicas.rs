//! Reads from replicas, by how far each is behind.
//!
//! Each replica is asked for its lag twice a second, in the background and without a span, as a driver
//! does. Reads go in turn to the replicas that answered and are not too far behind. One that fails a
//! read is left out at once, until it has answered for its lag again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::clients::Network;
use crate::clients::database::Database;
use crate::clients::pool::{Pool, Squeeze};
use crate::clients::role_clients::RoleClients;
use crate::store::database::{Content, Reply, Request};
use crate::store::lock;
use crate::topology::Role;
use crate::wire::WireError;

/// How often a replica is asked for its lag.
const PACE: Duration = Duration::from_millis(500);

/// The replicas, as the application reads from them.
pub(crate) struct Replicas {
    nodes: RoleClients<Replica>,
    most_lag: Duration,
    turn: AtomicUsize,
}

/// One replica.
pub(crate) struct Replica {
    database: Database,
    /// How far it is behind; `None` while that is not known.
    behind: Mutex<Option<Duration>>,
}

impl Replicas {
    /// Makes the client; its replicas are asked for their lag from now on.
    pub(crate) fn new(connections: usize, most_lag: Duration, network: &Network, squeeze: Squeeze) -> Self {
        let pooled = network.clone();
        let nodes = RoleClients::new(Role::Replica, network.clone(), move |address, letter| {
            let database = Database::replica(connections, &pooled, squeeze.clone(), address, letter);
            let replica = Arc::new(Replica { database, behind: Mutex::new(None) });
            tokio::spawn(watch(Arc::clone(&replica), probe(address, &pooled)));
            replica
        });
        nodes.present();
        Self { nodes, most_lag, turn: AtomicUsize::new(0) }
    }

    /// Returns the replica whose turn it is, of those near enough to their primary.
    pub(crate) fn next(&self) -> Option<Arc<Replica>> {
        let mut near: Vec<_> = self.nodes.present().into_iter().map(|(_, replica)| replica).collect();
        near.retain(|replica| lock(&replica.behind).is_some_and(|behind| behind <= self.most_lag));
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (!near.is_empty()).then(|| near.swap_remove(turn % near.len()))
    }
}

impl Replica {
    /// Returns the row of a content.
    pub(crate) async fn select(&self, id: i64) -> Result<Option<Content>, WireError> {
        self.leave_out_on_failure(self.database.select(id).await)
    }

    /// Returns the newest contents of a user, newest first.
    pub(crate) async fn list(&self, user_id: i64) -> Result<Vec<Content>, WireError> {
        self.leave_out_on_failure(self.database.list(user_id).await)
    }

    fn leave_out_on_failure<T>(&self, result: Result<T, WireError>) -> Result<T, WireError> {
        // Too few connections of ours say nothing about the replica, but look no different here; the next
        // answer for its lag brings it back.
        if result.is_err() {
            *lock(&self.behind) = None;
        }
        result
    }
}

/// A connection of its own, so that asking for the lag never waits for those of reads.
fn probe(address: SocketAddr, network: &Network) -> Pool {
    Pool::new(Role::Replica, 1, network.clone()).at(address).patient(PACE)
}

/// Keeps what is known of a replica's lag up to date.
async fn watch(replica: Arc<Replica>, probe: Pool) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let behind = lag(&probe).await;
        *lock(&replica.behind) = behind;
    }
}

async fn lag(probe: &Pool) -> Option<Duration> {
    match probe.acquire().await.ok()?.call(&Request::Lag).await.ok()? {
        Reply::Lag { behind } => Some(behind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Peer, Peers, Zone};
    use crate::wire::{self, Wires};
    use tokio::net::TcpListener;

    /// Serves a replica that is so far behind and whose reads fail.
    async fn replica(behind: Duration) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = move |request: Request| async move {
            match request {
                Request::Lag => Ok(Reply::Lag { behind }),
                _ => Err("no reads here".to_owned()),
            }
        };
        tokio::spawn(wire::serve(listener, answer));
        Peer { role: Role::Replica, zone: Zone::A, address }
    }

    #[tokio::test]
    async fn reads_go_in_turn_to_replicas_that_are_near_and_not_to_one_that_failed() {
        let near = Duration::from_millis(100);
        let peers = vec![replica(near).await, replica(near).await, replica(Duration::from_secs(9)).await];
        let network = Network { peers: tokio::sync::watch::channel(Peers(peers)).1, wires: Wires::default() };
        let squeeze = tokio::sync::watch::channel(None).1;
        let replicas = Replicas::new(1, Duration::from_secs(2), &network, squeeze);
        let known = |replica: &Arc<Replica>| lock(&replica.behind).is_some();
        while !replicas.nodes.present().iter().all(|(_, replica)| known(replica)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let [first, second, third] = [(); 3].map(|()| replicas.next().unwrap());
        assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third));
        assert!(first.select(1).await.is_err());
        let left: Vec<_> = [(); 3].map(|()| replicas.next().unwrap()).into();
        assert!(left.iter().all(|replica| Arc::ptr_eq(replica, &second)));
    }
}
