//! The clients of a role that has several instances: one each, made when the instance is first seen.
//!
//! Clients are kept when their instance goes, since it usually comes back at its address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::clients::Network;
use crate::store::lock;
use crate::topology::Role;

/// Makes the client of the instance at an address; its name ends in the letter.
type Make<T> = Box<dyn Fn(SocketAddr, char) -> Arc<T> + Send + Sync>;

/// The clients of all instances of a role.
pub(super) struct RoleClients<T> {
    role: Role,
    network: Network,
    make: Make<T>,
    members: Mutex<Vec<(SocketAddr, Arc<T>)>>,
}

impl<T> RoleClients<T> {
    pub(super) fn new(
        role: Role,
        network: Network,
        make: impl Fn(SocketAddr, char) -> Arc<T> + Send + Sync + 'static,
    ) -> Self {
        Self { role, network, make: Box::new(make), members: Mutex::default() }
    }

    /// Returns the clients of the instances that there are now, in the order of their seats.
    pub(super) fn present(&self) -> Vec<(SocketAddr, Arc<T>)> {
        let peers = self.network.peers.borrow();
        let mut members = lock(&self.members);
        peers.all(self.role).map(|address| (address, self.member(address, &mut members))).collect()
    }

    fn member(&self, address: SocketAddr, members: &mut Vec<(SocketAddr, Arc<T>)>) -> Arc<T> {
        if let Some((_, member)) = members.iter().find(|(at, _)| *at == address) {
            return Arc::clone(member);
        }
        let letter = char::from(b'a' + (members.len() % 26) as u8);
        let member = (self.make)(address, letter);
        members.push((address, Arc::clone(&member)));
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Peer, Peers, Zone};
    use crate::wire::Wires;
    use tokio::sync::watch;

    #[test]
    fn an_instance_that_comes_back_keeps_its_client() {
        let peer = |port: u16| Peer { role: Role::Cache, zone: Zone::A, address: ([127, 0, 0, 1], port).into() };
        let (tell, peers) = watch::channel(Peers(vec![peer(1), peer(2)]));
        let clients =
            RoleClients::new(Role::Cache, Network { peers, wires: Wires::default() }, |_, letter| Arc::new(letter));
        let letters = || clients.present().iter().map(|(_, letter)| **letter).collect::<String>();
        assert_eq!(letters(), "ab");
        tell.send_replace(Peers(vec![peer(2)]));
        assert_eq!(letters(), "b");
        tell.send_replace(Peers(vec![peer(1), peer(2), peer(3)]));
        assert_eq!(letters(), "abc");
    }
}
