//! The client of the cache. Its keys are spread over the nodes, and a node that fails is one that has
//! nothing: the caller goes on.
//!
//! A key's node is the one with the largest hash of node and key (rendezvous hashing), so that a node that
//! comes or goes moves no keys but its own. A node that did not answer in time rests for a while, since
//! waiting for it costs more than its values are worth.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clients::pool::Pool;
use crate::clients::role_clients::RoleClients;
use crate::clients::{Network, traced};
use crate::store::cache::{Reply, Request};
use crate::store::lock;
use crate::telemetry::instruments::DatabaseClient;
use crate::telemetry::spans;
use crate::topology::Role;
use crate::wire::WireError;

/// How many connections are open to a node at most.
const CONNECTIONS: usize = 16;

/// Longest wait for a node: many times what it takes, and less than the database would.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a node that did not answer in time is not asked.
const REST: Duration = Duration::from_secs(1);

pub(crate) struct CacheClient {
    nodes: RoleClients<Node>,
    metrics: DatabaseClient,
}

/// One node, as this client knows it.
struct Node {
    pool: Pool,
    rests_until: Mutex<Option<Instant>>,
}

impl CacheClient {
    pub(crate) fn new(network: &Network) -> Self {
        let pooled = network.clone();
        let nodes = RoleClients::new(Role::Cache, network.clone(), move |address, letter| {
            let pool = Pool::new(Role::Cache, CONNECTIONS, pooled.clone())
                .at(address)
                .patient(PATIENCE)
                .measured(format!("content-cache-{letter}"));
            Arc::new(Node { pool, rests_until: Mutex::new(None) })
        });
        Self { nodes, metrics: DatabaseClient::new() }
    }

    /// Returns the value of a key, if its node has it; the error says why that is not known.
    pub(crate) async fn get(&self, key: String) -> Result<Option<String>, WireError> {
        self.call("GET", &key.clone(), Request::Get { key }).await
    }

    /// Keeps a value for a time to live.
    pub(crate) async fn set(&self, key: String, value: String, ttl: Duration) -> Result<(), WireError> {
        self.call("SET", &key.clone(), Request::Set { key, value, ttl }).await.map(|_| ())
    }

    async fn call(&self, operation: &'static str, key: &str, request: Request) -> Result<Reply, WireError> {
        let mut nodes = self.nodes.present();
        let addresses: Vec<SocketAddr> = nodes.iter().map(|(address, _)| *address).collect();
        let (_, node) = nodes.swap_remove(node_of(key, &addresses).ok_or(WireError::Unknown)?);
        if lock(&node.rests_until).is_some_and(|until| Instant::now() < until) {
            return Err(WireError::Timeout);
        }
        let lease = node.pool.acquire().await?;
        let (address, since) = (lease.address(), Instant::now());
        let result = traced(spans::cache(operation, address), lease.call(&request)).await;
        self.metrics.command(operation, address, since, result.as_ref().err().map(WireError::kind));
        if matches!(result, Err(WireError::Timeout)) {
            *lock(&node.rests_until) = Some(Instant::now() + REST);
        }
        result
    }
}

/// Returns which of the nodes has a key.
pub(crate) fn node_of(key: &str, nodes: &[SocketAddr]) -> Option<usize> {
    let weight = |address: &SocketAddr| {
        // Without a key of its own it hashes alike in all processes of one binary.
        let mut hasher = DefaultHasher::new();
        (address, key).hash(&mut hasher);
        hasher.finish()
    };
    nodes.iter().enumerate().max_by_key(|(_, address)| weight(address)).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_and_a_node_that_goes_moves_no_others_keys() {
        let nodes: Vec<SocketAddr> = (7_001..=7_003).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let keys: Vec<String> = (0..3_000).map(|id| format!("content:{id}")).collect();
        let mut count = [0; 3];
        for key in &keys {
            let node = node_of(key, &nodes).unwrap();
            count[node] += 1;
            if node < 2 {
                assert_eq!(node_of(key, &nodes[..2]), Some(node));
            }
        }
        assert!(count.iter().all(|count| (900..1_100).contains(count)), "{count:?}");
        assert_eq!(node_of("content:1", &[]), None);
    }
}
