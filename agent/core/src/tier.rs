//! Tiers: the layers of a scaled web system, in request order.

use serde::{Deserialize, Serialize};

/// The kind of a tier. The order of the variants is the order in which a request meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierKind {
    /// CDN, DNS.
    Edge,
    /// Load balancer.
    Lb,
    /// Web server that passes requests on.
    Web,
    /// Application server, or a function behind HTTP.
    App,
    /// Shared cache: Redis, Valkey, Memcached.
    Cache,
    /// Database that takes the writes.
    DbPrimary,
    /// Database that follows a primary and serves reads.
    DbReplica,
    /// `DynamoDB`, `MongoDB`, Cassandra and the like.
    Nosql,
    /// S3 and the like.
    ObjectStore,
    /// Queue, topic or stream.
    Queue,
    /// Process that takes work from a queue or stream.
    Worker,
    /// Redshift and other stores for analysis.
    Warehouse,
    /// Somebody else's service: calls go there and no spans come back.
    External,
}

impl TierKind {
    /// Every kind, in request order.
    pub const ALL: [Self; 13] = [
        Self::Edge,
        Self::Lb,
        Self::Web,
        Self::App,
        Self::Cache,
        Self::DbPrimary,
        Self::DbReplica,
        Self::Nosql,
        Self::ObjectStore,
        Self::Queue,
        Self::Worker,
        Self::Warehouse,
        Self::External,
    ];

    /// The kind's name as it is written everywhere: on screens, in JSON, in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Lb => "lb",
            Self::Web => "web",
            Self::App => "app",
            Self::Cache => "cache",
            Self::DbPrimary => "db-primary",
            Self::DbReplica => "db-replica",
            Self::Nosql => "nosql",
            Self::ObjectStore => "object-store",
            Self::Queue => "queue",
            Self::Worker => "worker",
            Self::Warehouse => "warehouse",
            Self::External => "external",
        }
    }

    /// The kind with this name, the inverse of [`TierKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Display for TierKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_match_json() {
        for kind in TierKind::ALL {
            assert_eq!(TierKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(TierKind::from_name("load-balancer"), None);
    }
}
