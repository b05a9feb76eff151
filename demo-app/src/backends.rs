//! Which servers the stores are: the demo's own, for which nothing is installed, or real ones.
//!
//! On real backends the primary, its followers and the caches are servers of PostgreSQL and Redis that
//! somebody else has started, as `stack/stack.sh` does. The seat of each is taken by a *sidecar*: a node
//! that does not serve, tells the address of its server as its own, and reports and turns what the server
//! has. So clients talk to the real server, and everything above their connections is the same code.
//! Queue, object store and third party are always the demo's own.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::fault::Effect;
use crate::topology::Role;

/// The servers that the stores of a demo are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backends {
    /// The demo's own.
    #[default]
    Embedded,
    /// PostgreSQL and Redis; needs the feature `real`.
    Real(Servers),
}

/// Where the real servers listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// The PostgreSQL server that takes the writes.
    pub primary: SocketAddr,
    /// The one that follows it and takes no requests.
    pub standby: SocketAddr,
    /// Those that follow it and take reads.
    pub replicas: Vec<SocketAddr>,
    /// The Redis servers.
    pub caches: Vec<SocketAddr>,
    /// The name of the database, the same on all.
    pub database: String,
    /// Who connects to it, without a password.
    pub user: String,
}

/// Why the real servers are not known; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// The file could not be read.
    #[error("read {0}: {1}")]
    File(String, std::io::Error),
    /// Something is not said.
    #[error("find the real servers: nothing says {0}")]
    Missing(&'static str),
    /// Something is said that is no address.
    #[error("find the real servers: {0}={1} has to be an IP address and a port")]
    Address(&'static str, String),
}

impl Servers {
    /// Reads the variables that `stack.sh env` prints from the environment.
    pub fn from_env() -> Result<Self, ServersError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the same variables from a file with lines such as `TIERTOP_DEMO_REDIS=127.0.0.1:6379`.
    pub fn from_file(path: &Path) -> Result<Self, ServersError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ServersError::File(path.display().to_string(), source))?;
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.trim().split_once('='));
            pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
        };
        Self::read(value)
    }

    fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, ServersError> {
        let text = |name: &'static str| value(name).ok_or(ServersError::Missing(name));
        let addresses = |name: &'static str| {
            let list = text(name)?;
            let address = |one: &str| one.trim().parse().map_err(|_| ServersError::Address(name, list.clone()));
            list.split(',').map(address).collect::<Result<Vec<SocketAddr>, _>>()
        };
        let address = |name| addresses(name).map(|addresses| addresses[0]);
        Ok(Self {
            primary: address("TIERTOP_DEMO_PG_PRIMARY")?,
            standby: address("TIERTOP_DEMO_PG_STANDBY")?,
            replicas: addresses("TIERTOP_DEMO_PG_REPLICAS")?,
            caches: addresses("TIERTOP_DEMO_REDIS")?,
            database: text("TIERTOP_DEMO_PG_DATABASE")?,
            user: text("TIERTOP_DEMO_PG_USER")?,
        })
    }

    /// Returns the server beside which an instance sits; the error says that there are too few.
    pub(crate) fn of(&self, role: Role, name: &str) -> Result<SocketAddr, String> {
        let few = |there: usize| format!("there are {there} real servers for {role:?}, and none is for {name}");
        let nth = |list: &[SocketAddr]| {
            number(name).and_then(|number| list.get(number).copied()).ok_or_else(|| few(list.len()))
        };
        match role {
            Role::Primary => Ok(self.primary),
            Role::Standby => Ok(self.standby),
            Role::Replica => nth(&self.replicas),
            Role::Cache => nth(&self.caches),
            _ => Err(few(0)),
        }
    }
}

/// Returns which instance of its role has a name, from 0 on; the inverse of [`crate::Seat::numbered`].
fn number(name: &str) -> Option<usize> {
    let (_, end) = name.rsplit_once('-')?;
    let mut letters = end.chars();
    let letter = letters.next().filter(char::is_ascii_lowercase)?;
    let again = letters.as_str();
    let again = if again.is_empty() { 0 } else { again.parse::<usize>().ok()? };
    Some(again * 26 + usize::from(letter as u8 - b'a'))
}

impl FromStr for Servers {
    type Err = serde_json::Error;

    /// Reads what `Backends::argument` wrote.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// What this process stands on: one set of backends for its whole life.
static HERE: OnceLock<Backends> = OnceLock::new();

/// Says once what this process stands on, and returns the address of the real server beside which it stands,
/// if there is one.
pub(crate) fn stand(real: Option<&Servers>, role: Role, name: &str) -> Result<Option<SocketAddr>, String> {
    let Some(servers) = real else { return Ok(None) };
    let backends = Backends::Real(servers.clone());
    backends.built()?;
    // A process that says so twice says the same: it has one command line.
    let _ = HERE.set(backends);
    is_real(role).then(|| servers.of(role, name)).transpose()
}

/// Returns what this process stands on.
pub(crate) fn here() -> &'static Backends {
    HERE.get().unwrap_or(&Backends::Embedded)
}

impl Backends {
    /// Returns the real servers, where an instance of a role stands beside one.
    pub(crate) fn servers(&self, role: Role) -> Option<&Servers> {
        match self {
            Self::Real(servers) if is_real(role) => Some(servers),
            _ => None,
        }
    }

    /// Whether this program can stand on them; the error says how to build one that can.
    pub(crate) fn built(&self) -> Result<(), &'static str> {
        match self {
            Self::Real(_) if !cfg!(feature = "real") => {
                Err("this program was built without real servers: build it with `--features real`")
            }
            _ => Ok(()),
        }
    }

    /// Makes real servers as good as new; the demo's own are.
    #[cfg_attr(not(feature = "real"), expect(clippy::unused_async, reason = "only real servers are waited for"))]
    pub(crate) async fn empty(&self) -> Result<(), String> {
        self.built()?;
        #[cfg(feature = "real")]
        if let Self::Real(servers) = self {
            crate::real::empty(servers).await?;
        }
        Ok(())
    }

    /// The `db.system.name` of the database.
    pub(crate) fn database_system(&self) -> &'static str {
        match self {
            Self::Embedded => "sqlite",
            Self::Real(_) => "postgresql",
        }
    }

    /// Writes a statement as the database's clients do, whose places for values these are.
    pub(crate) fn statement(&self, text: &'static str) -> Cow<'static, str> {
        if *self == Self::Embedded {
            return text.into();
        }
        let mut parts = text.split('?');
        let first = parts.next().unwrap_or_default().to_owned();
        let numbered = parts.zip(1..).fold(first, |text, (part, number)| format!("{text}${number}{part}"));
        numbered.into()
    }

    /// What a node is told of them on its command line; nothing where they are embedded.
    pub(crate) fn argument(&self) -> Option<String> {
        match self {
            Self::Embedded => None,
            Self::Real(servers) => {
                Some(serde_json::to_string(servers).expect("addresses and names are written as JSON"))
            }
        }
    }

    /// Says why an effect cannot be had on these backends; `None` where it can.
    pub(crate) fn refuse(&self, effect: &Effect) -> Option<&'static str> {
        if *self == Self::Embedded {
            return None;
        }
        let of_server = match effect {
            Effect::Kill { role, .. }
            | Effect::Freeze { role, .. }
            | Effect::Pauses { role, .. }
            | Effect::Deploy { role, .. }
            | Effect::Scale { role, .. }
            | Effect::BurnCpu { role, .. }
            | Effect::Leak { role, .. }
            | Effect::Slow { role, .. } => is_real(*role),
            _ => false,
        };
        match effect {
            _ if of_server => Some("the process of a real server is not the demo's: do it to the server itself"),
            Effect::KillZone(_) | Effect::FreezeZone(_) => Some("real servers stand in no zone of the demo"),
            Effect::Failover { .. } => Some(
                "the real primary is not the demo's to kill, and the replicas would go on following it after the \
                 standby was promoted",
            ),
            Effect::FillDisk { .. } => Some("the disk of a real server is the machine's, which others need too"),
            _ => None,
        }
    }
}

/// Whether instances of a role stand beside a real server.
fn is_real(role: Role) -> bool {
    matches!(role, Role::Primary | Role::Standby | Role::Replica | Role::Cache)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Intensity};

    const LINES: &str = "TIERTOP_DEMO_PG_PRIMARY=127.0.0.1:1\n# a comment\nTIERTOP_DEMO_PG_STANDBY=127.0.0.1:2\n\
        TIERTOP_DEMO_PG_REPLICAS=127.0.0.1:3,127.0.0.1:4\nTIERTOP_DEMO_REDIS=127.0.0.1:5\n\
        TIERTOP_DEMO_PG_DATABASE=content\nTIERTOP_DEMO_PG_USER=app\n";

    fn servers(lines: &str) -> Result<Servers, ServersError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, lines).unwrap();
        Servers::from_file(&file)
    }

    #[test]
    fn each_instance_has_its_own_server_and_one_too_many_has_none() {
        let servers = servers(LINES).unwrap();
        let port = |role, name| servers.of(role, name).map(|address| address.port());
        assert_eq!(port(Role::Primary, "db-primary-a"), Ok(1));
        assert_eq!(port(Role::Standby, "db-standby-b"), Ok(2));
        assert_eq!(port(Role::Replica, "db-replica-b"), Ok(4));
        assert!(port(Role::Replica, "db-replica-c").unwrap_err().contains("2 real servers"));
        assert!(port(Role::Cache, "cache-a1").is_err());
        assert_eq!(number("db-replica-b1"), Some(27));
    }

    #[test]
    fn what_is_not_said_or_no_address_is_named() {
        let error = servers(&LINES.replace("TIERTOP_DEMO_REDIS", "REDIS")).unwrap_err().to_string();
        assert!(error.contains("TIERTOP_DEMO_REDIS"), "{error}");
        let error = servers(&LINES.replace("127.0.0.1:5", "localhost")).unwrap_err().to_string();
        assert!(error.contains("TIERTOP_DEMO_REDIS=localhost"), "{error}");
    }

    #[test]
    fn servers_reach_the_nodes_as_they_are() {
        let backends = Backends::Real(servers(LINES).unwrap());
        assert_eq!(Backends::Real(backends.argument().unwrap().parse().unwrap()), backends);
        assert_eq!(Backends::Embedded.argument(), None);
    }

    #[test]
    fn statements_name_their_values_as_the_database_does() {
        let text = "UPDATE user_content SET asset_url = ? WHERE id = ?";
        assert_eq!(Backends::Embedded.statement(text), text);
        let real = Backends::Real(servers(LINES).unwrap());
        assert_eq!(real.statement(text), "UPDATE user_content SET asset_url = $1 WHERE id = $2");
    }

    #[test]
    fn on_real_servers_lag_and_flushes_are_had_and_deaths_of_servers_are_not() {
        let real = Backends::Real(servers(LINES).unwrap());
        let refused = |fault: Fault, backends: &Backends| {
            fault.effects(Intensity::Medium).iter().any(|effect| backends.refuse(effect).is_some())
        };
        for fault in [Fault::ReplicaLag, Fault::CacheFlush, Fault::LockContention, Fault::SlowQuery, Fault::AppCpu] {
            assert!(!refused(fault, &real), "{}", fault.name());
        }
        for fault in [Fault::ReplicaLoss, Fault::ZoneLoss, Fault::PrimaryFailover, Fault::DiskFull] {
            assert!(refused(fault, &real), "{}", fault.name());
        }
        assert!(Fault::all().all(|fault| !refused(fault, &Backends::Embedded)));
    }
}
