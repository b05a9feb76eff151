//! The single box: application, database and files in one process on one machine.
//!
//! The application reaches its database through a socket of its own, by the same code as elsewhere, and
//! keeps payloads and sessions on the local disk. What governs the machine's capacity is the request's
//! share of it; statements take no share of their own.

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clients::Network;
use crate::clients::objects::Objects;
use crate::node::{Control, NodeContext, NodeError, Started};
use crate::service::app;
use crate::store::objects::Objects as Files;
use crate::store::primary;
use crate::store::service_time::Servers;
use crate::topology::{Peer, Peers, Role};

/// The folder of payloads in the node's own.
pub(crate) const FILES: &str = "objects";

/// The file of the database in it.
pub(crate) const DATABASE: &str = "content.db";

/// Serves everything.
pub(crate) fn start(context: NodeContext) -> Result<Started, NodeError> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let peers = Peers(vec![Peer { role: Role::Primary, zone: context.zone, address }]);
    // Nothing in a box ever moves, so nobody is told anything.
    let (_, peers) = watch::channel(peers);
    let database = primary::start(NodeContext {
        listener,
        address,
        zone: context.zone,
        folder: context.folder.clone(),
        peers: peers.clone(),
        settings: context.settings.clone(),
        servers: Arc::new(Servers::new(None, context.seed)),
        wires: context.wires.clone(),
        seed: context.seed,
        cold: false,
    })?;
    let objects = Objects::Local(Arc::new(Files::open(context.folder.join(FILES))?));
    let network = Network { peers, wires: context.wires.clone() };
    let application = app::start_over(context, Role::Box, network, objects);
    let serving = async move {
        tokio::join!(database.serving, application.serving);
    };
    Ok(Started::turned_in_time(serving, move |control| match control {
        Control::ShrinkPool(_) => (application.turn)(control),
        other => (database.turn)(other),
    }))
}
