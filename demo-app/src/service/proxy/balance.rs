//! The next tier as a running proxy sees it: its instances come and go, are checked, and are counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use opentelemetry::{KeyValue, global};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::service::http::HEALTH;
use crate::service::proxy::upstreams::{Count, Upstreams};
use crate::store::lock;
use crate::topology::{Peers, Role, Zone};
use crate::wire::http::HttpClient;

/// How often each instance is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Longest wait for the answer to a check. A stopped process accepts connections and says nothing.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// Spreads requests over the instances of a role.
pub(super) struct Balance {
    role: Role,
    state: Mutex<State>,
}

struct State {
    peers: watch::Receiver<Peers>,
    upstreams: Upstreams,
    random: StdRng,
}

/// A request that is outstanding at an instance, until this is dropped.
pub(super) struct Outstanding<'a> {
    balance: &'a Balance,
    pub(super) address: SocketAddr,
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        self.balance.look(|state| state.upstreams.done(self.address));
    }
}

impl Balance {
    /// Balances over the instances of a role, and counts them in the metrics; of equals, those in the zone
    /// `near` come first.
    pub(super) fn new(role: Role, near: Option<Zone>, mut peers: watch::Receiver<Peers>, seed: u64) -> Arc<Self> {
        let mut upstreams = Upstreams::preferring(near);
        upstreams.told(peers.borrow_and_update().of(role));
        let state = State { peers, upstreams, random: StdRng::seed_from_u64(seed) };
        let balance = Arc::new(Self { role, state: Mutex::new(state) });
        measure(&balance);
        balance
    }

    /// Picks an instance for a request that was not served by those `tried`.
    pub(super) fn pick(&self, tried: &[SocketAddr]) -> Option<Outstanding<'_>> {
        let picked = self.look(|state| {
            let draw = state.random.random();
            state.upstreams.pick(tried, draw, Instant::now())
        });
        picked.map(|address| Outstanding { balance: self, address })
    }

    /// Makes the balance uneven by a share of the requests, 0 to 1; 0 makes it even.
    pub(super) fn tilt(&self, share: f64) {
        self.look(|state| state.upstreams.tilt(share));
    }

    /// Notes that an instance could not be reached.
    pub(super) fn unreachable(&self, address: SocketAddr) {
        self.look(|state| {
            if let Some(health) = state.upstreams.health(address) {
                health.unreachable(Instant::now());
            }
        });
    }

    /// Checks all instances again and again, for as long as it is polled.
    pub(super) async fn keep_checking(&self, client: &HttpClient) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut checks = JoinSet::new();
            for address in self.look(|state| state.upstreams.addresses()) {
                let client = client.clone();
                checks.spawn(async move { (address, answers(&client, address).await) });
            }
            while let Some(Ok((address, answered))) = checks.join_next().await {
                self.look(|state| {
                    if let Some(health) = state.upstreams.health(address) {
                        health.checked(answered);
                    }
                });
            }
        }
    }

    fn counts(&self) -> Vec<(Zone, Count)> {
        self.look(|state| state.upstreams.counts(Instant::now()))
    }

    /// Looks at the instances as they were last told.
    fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let State { peers, upstreams, .. } = &mut *state;
        // Nobody tells any more when the node is about to end.
        if peers.has_changed().unwrap_or(false) {
            upstreams.told(peers.borrow_and_update().of(self.role));
        }
        look(&mut state)
    }
}

/// Whether an instance says in time that it serves. Checks make no spans and are in no request metric.
async fn answers(client: &HttpClient, address: SocketAddr) -> bool {
    let Ok(request) = Request::get(format!("http://{address}{HEALTH}")).body(Full::<Bytes>::default()) else {
        return false;
    };
    let answer = tokio::time::timeout(CHECK_TIMEOUT, client.request(request)).await;
    matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
}

fn measure(balance: &Arc<Balance>) {
    let gauge = |name: &'static str, description: &'static str, read: fn(Count) -> usize| {
        let balance = Arc::clone(balance);
        global::meter("content")
            .u64_observable_gauge(name)
            .with_description(description)
            .with_unit("{instance}")
            .with_callback(move |observer| {
                for (zone, count) in balance.counts() {
                    let zone = KeyValue::new("cloud.availability_zone", zone.name());
                    observer.observe(read(count) as u64, &[zone]);
                }
            })
            .build();
    };
    gauge("upstream.instances.healthy", "Instances of the next tier that are asked.", |count| count.healthy);
    gauge("upstream.instances.unhealthy", "Instances of the next tier that are passed over.", |count| count.unhealthy);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Peer;
    use crate::wire::{self, Wires};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// An instance that answers checks while it is told to, and keeps silent, as a stopped process does,
    /// while it is not.
    async fn instance(awake: watch::Receiver<bool>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut awake = awake.clone();
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        awake.wait_for(|&awake| awake).await.unwrap();
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn counts(balance: &Balance, zone: Zone, expected: Count) {
        let reached = async {
            while !balance.counts().contains(&(zone, expected)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the checks tell");
    }

    #[tokio::test]
    async fn an_instance_that_accepts_and_does_not_answer_is_taken_out_until_it_answers() {
        let (wake, awake) = watch::channel(true);
        let (_always, always) = watch::channel(true);
        let mut told = Vec::new();
        for (zone, awake) in [(Zone::A, awake), (Zone::B, always)] {
            told.push(Peer { role: Role::App, zone, address: instance(awake).await });
        }
        let (first, second) = (told[0].address, told[1].address);
        let (_peers, peers) = watch::channel(Peers(told));
        let balance = Balance::new(Role::App, None, peers, 1);
        let checking = Arc::clone(&balance);
        let client = wire::http::client(Wires::default(), Role::App);
        tokio::spawn(async move { checking.keep_checking(&client).await });

        let healthy = Count { healthy: 1, unhealthy: 0 };
        counts(&balance, Zone::A, healthy).await;
        wake.send_replace(false);
        counts(&balance, Zone::A, Count { healthy: 0, unhealthy: 1 }).await;
        counts(&balance, Zone::B, healthy).await;
        for _ in 0..3 {
            assert_eq!(balance.pick(&[]).unwrap().address, second);
        }
        wake.send_replace(true);
        counts(&balance, Zone::A, healthy).await;
        let picked = [balance.pick(&[]).unwrap(), balance.pick(&[]).unwrap()].map(|picked| picked.address);
        assert!(picked.contains(&first), "{picked:?}");
    }
}
