//! The instances of the next tier, and which of them gets the next request.
//!
//! It is the one with the least requests outstanding, of those that are fit. Of those with equally few, one
//! in the own zone comes first where the proxy has its like in the other zones, so that a request crosses
//! zones only to get away from a queue; the rest take turns. When none is fit all are tried, since a wrong
//! suspicion must not turn everybody away.

use std::net::SocketAddr;
use std::time::Instant;

use crate::service::proxy::health::Health;
use crate::topology::{Peer, Zone};

/// The instances of the next tier.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    /// The zone that is preferred, if one is.
    near: Option<Zone>,
    /// In the order of their seats.
    instances: Vec<Instance>,
    /// Where there are or were instances.
    zones: Vec<Zone>,
    /// Where the search for the next instance begins.
    turn: usize,
    /// Share of the requests that goes to the first instance, however busy it is.
    uneven: f64,
}

#[derive(Debug)]
struct Instance {
    peer: Peer,
    outstanding: usize,
    health: Health,
}

/// How many instances a zone has, by whether they are fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) healthy: usize,
    pub(super) unhealthy: usize,
}

impl Upstreams {
    /// Knows no instance yet; of equals, those in the zone `near` come first.
    pub(super) fn preferring(near: Option<Zone>) -> Self {
        Self { near, ..Self::default() }
    }

    /// Learns which instances there are; of those that stay, what is known of them stays too.
    pub(super) fn told<'a>(&mut self, peers: impl Iterator<Item = &'a Peer>) {
        let mut before = std::mem::take(&mut self.instances);
        let zones = &mut self.zones;
        self.instances = peers
            .map(|peer| {
                if !zones.contains(&peer.zone) {
                    zones.push(peer.zone);
                }
                match before.iter().position(|instance| instance.peer == *peer) {
                    Some(known) => before.swap_remove(known),
                    None => Instance { peer: peer.clone(), outstanding: 0, health: Health::unknown() },
                }
            })
            .collect();
    }

    /// Makes the balance uneven by a share of the requests, 0 to 1; 0 makes it even.
    pub(super) fn tilt(&mut self, share: f64) {
        self.uneven = share;
    }

    /// Picks the instance for a request that was not served by those `tried`; `draw` is a random number
    /// from 0 to 1. The request is outstanding until it is [`Self::done`].
    pub(super) fn pick(&mut self, tried: &[SocketAddr], draw: f64, now: Instant) -> Option<SocketAddr> {
        let count = self.instances.len();
        let left: Vec<usize> = (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(|&index| !tried.contains(&self.instances[index].peer.address))
            .collect();
        let fit: Vec<usize> = left.iter().copied().filter(|&index| self.instances[index].health.is_fit(now)).collect();
        let candidates = if fit.is_empty() { left } else { fit };
        let index = if draw < self.uneven && candidates.contains(&0) {
            0
        } else {
            // Of several that are equal in this, the one whose turn it is comes first.
            candidates.into_iter().min_by_key(|&index| {
                let instance = &self.instances[index];
                let far = self.near.is_some_and(|near| near != instance.peer.zone);
                (instance.outstanding, far)
            })?
        };
        self.turn = (index + 1) % count;
        let instance = &mut self.instances[index];
        instance.outstanding += 1;
        Some(instance.peer.address)
    }

    /// Ends what [`Self::pick`] began.
    pub(super) fn done(&mut self, address: SocketAddr) {
        // One that has gone meanwhile took its count along.
        if let Some(instance) = self.find(address) {
            instance.outstanding = instance.outstanding.saturating_sub(1);
        }
    }

    /// What is known of an instance, if it is still there.
    pub(super) fn health(&mut self, address: SocketAddr) -> Option<&mut Health> {
        self.find(address).map(|instance| &mut instance.health)
    }

    /// Where the instances listen.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.instances.iter().map(|instance| instance.peer.address).collect()
    }

    /// Counts the instances in each zone that has or had some.
    pub(super) fn counts(&self, now: Instant) -> Vec<(Zone, Count)> {
        let count = |zone: Zone| {
            let here = self.instances.iter().filter(|instance| instance.peer.zone == zone);
            let (fit, unfit): (Vec<_>, Vec<_>) = here.partition(|instance| instance.health.is_fit(now));
            Count { healthy: fit.len(), unhealthy: unfit.len() }
        };
        self.zones.iter().map(|&zone| (zone, count(zone))).collect()
    }

    fn find(&mut self, address: SocketAddr) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.peer.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Role;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn peers(ports: &[u16]) -> Vec<Peer> {
        let zone = |port: u16| if port % 2 == 1 { Zone::A } else { Zone::B };
        ports.iter().map(|&port| Peer { role: Role::App, zone: zone(port), address: address(port) }).collect()
    }

    fn upstreams(ports: &[u16]) -> Upstreams {
        let mut upstreams = Upstreams::default();
        upstreams.told(peers(ports).iter());
        upstreams
    }

    fn pick(upstreams: &mut Upstreams, now: Instant) -> u16 {
        upstreams.pick(&[], 1.0, now).unwrap().port()
    }

    #[test]
    fn the_least_busy_instance_is_picked_and_equals_take_turns() {
        let (mut upstreams, now) = (upstreams(&[1, 2, 3]), Instant::now());
        assert_eq!([(); 4].map(|()| pick(&mut upstreams, now)), [1, 2, 3, 1]);
        upstreams.done(address(3));
        assert_eq!(pick(&mut upstreams, now), 3);
        upstreams.done(address(2));
        assert_eq!(pick(&mut upstreams, now), 2);
    }

    #[test]
    fn of_equally_busy_instances_one_in_the_own_zone_is_picked() {
        let (mut upstreams, now) = (Upstreams::preferring(Some(Zone::B)), Instant::now());
        upstreams.told(peers(&[1, 2, 3, 4]).iter());
        assert_eq!([(); 4].map(|()| pick(&mut upstreams, now)), [2, 4, 1, 3]);
        upstreams.done(address(1));
        assert_eq!(pick(&mut upstreams, now), 1, "a free one far away beats a busy one near");
        upstreams.health(address(2)).unwrap().unreachable(now);
        upstreams.health(address(4)).unwrap().unreachable(now);
        assert_eq!(pick(&mut upstreams, now), 3, "one that is not fit is not near");
    }

    #[test]
    fn an_instance_that_is_not_fit_is_passed_over_unless_all_are() {
        let (mut upstreams, now) = (upstreams(&[1, 2]), Instant::now());
        upstreams.health(address(2)).unwrap().unreachable(now);
        assert_eq!([(); 3].map(|()| pick(&mut upstreams, now)), [1, 1, 1]);
        let count = |healthy, unhealthy| Count { healthy, unhealthy };
        assert_eq!(upstreams.counts(now), [(Zone::A, count(1, 0)), (Zone::B, count(0, 1))]);
        for _ in 0..2 {
            upstreams.health(address(1)).unwrap().checked(false);
        }
        assert_eq!([(); 2].map(|()| pick(&mut upstreams, now)), [2, 2]);
    }

    #[test]
    fn a_request_is_tried_once_at_each_instance() {
        let (mut upstreams, now) = (upstreams(&[1, 2]), Instant::now());
        assert_eq!(upstreams.pick(&[address(1)], 1.0, now), Some(address(2)));
        assert_eq!(upstreams.pick(&[address(1), address(2)], 1.0, now), None);
        assert_eq!(Upstreams::default().pick(&[], 1.0, now), None);
    }

    #[test]
    fn an_uneven_balance_sends_its_share_to_the_first_that_is_fit() {
        let (mut upstreams, now) = (upstreams(&[1, 2]), Instant::now());
        upstreams.tilt(0.9);
        let picked = [0.0, 0.5, 0.89, 0.91, 0.5].map(|draw| upstreams.pick(&[], draw, now).unwrap().port());
        assert_eq!(picked, [1, 1, 1, 2, 1]);
        upstreams.health(address(1)).unwrap().unreachable(now);
        assert_eq!(upstreams.pick(&[], 0.0, now), Some(address(2)));
    }

    #[test]
    fn instances_come_and_go_and_those_that_stay_keep_what_is_known() {
        let (mut upstreams, now) = (upstreams(&[1, 2]), Instant::now());
        upstreams.health(address(1)).unwrap().unreachable(now);
        assert_eq!(pick(&mut upstreams, now), 2);
        upstreams.told(peers(&[1, 2, 3]).iter());
        assert_eq!(pick(&mut upstreams, now), 3);
        upstreams.told(peers(&[1]).iter());
        assert_eq!(pick(&mut upstreams, now), 1, "it rests, but nobody else is left");
        let gone = (Zone::B, Count { healthy: 0, unhealthy: 0 });
        assert!(upstreams.counts(now).contains(&gone), "a zone that is gone has none, which is known");
        upstreams.done(address(2));
        assert_eq!(upstreams.addresses(), [address(1)]);
    }
}
