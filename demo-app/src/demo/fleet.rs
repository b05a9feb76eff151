//! The fleet: which instance sits where, whether it runs, and what it has been told.
//!
//! A *place* is a seat with its process, if it has one. A process that ends is started again in its
//! place: same name, same folder, same port. So its peers need not be told, and their connections come
//! back by themselves. They are told when an instance comes, goes for good, or changes its role.
//!
//! What is turned in all instances of a role is remembered, so that an instance which starts later is
//! turned as well. Changes of who is there go one at a time.

mod change;
mod failover;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::demo::child::{Child, Ended, Spawner, Start};
use crate::demo::{DemoError, DemoOptions, NodeExit, NodeInfo, NodeState};
use crate::node::{Control, FOLDER_PREFIX, Order};
use crate::store::lock;
use crate::topology::{Peer, Peers, Role, Seat, Zone};

/// Longest wait for nodes to end by themselves before they are killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a dropped demo tries to remove its files.
const REMOVALS: u32 = 5;

/// How long it waits in between.
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

/// The instances of a demo, and their files, which end together.
///
/// The folder is made by the first node that needs it, and the nodes remove it should this process
/// be killed. So there is no moment at which it exists and nobody would remove it.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) options: DemoOptions,
    pub(super) folder: PathBuf,
    spawner: Spawner,
    places: Mutex<Vec<Place>>,
    standing: Mutex<Vec<Standing>>,
    turns: AtomicU64,
    /// What the nodes were told last.
    told: Mutex<Peers>,
    /// Held while instances come, go or change roles.
    change: tokio::sync::Mutex<()>,
    closed: AtomicBool,
    ends: mpsc::Sender<Ended>,
    lost: watch::Sender<Option<NodeExit>>,
}

/// A seat and its process.
#[derive(Debug)]
struct Place {
    seat: Seat,
    child: Option<Arc<Child>>,
    address: Option<SocketAddr>,
    /// Whether its peers are told of it.
    listed: bool,
    /// Whether it is to be without a process.
    kept_down: bool,
    /// Whether its process is stopped (SIGSTOP).
    stopped: bool,
    start: Start,
    /// When its process ended unasked.
    ends: Vec<Instant>,
}

impl Place {
    fn new(seat: Seat, start: Start) -> Self {
        Self {
            seat,
            child: None,
            address: None,
            listed: true,
            kept_down: false,
            stopped: false,
            start,
            ends: Vec::new(),
        }
    }

    fn running(&self) -> Option<&Arc<Child>> {
        self.child.as_ref().filter(|child| !child.has_ended())
    }

    fn info(&self) -> NodeInfo {
        let state = match self.running() {
            None => NodeState::Down,
            Some(_) if self.stopped => NodeState::Stopped,
            Some(_) => NodeState::Running,
        };
        let Seat { role, name, zone } = self.seat.clone();
        let pid = self.child.as_ref().map_or(0, |child| child.id());
        NodeInfo { role, name, zone, pid, address: self.address, state }
    }
}

/// Whose something is turned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// All who send telemetry.
    Everybody,
    /// All instances of a role.
    All(Role),
    /// One instance.
    Seat(String),
}

impl Whom {
    fn includes(&self, seat: &Seat) -> bool {
        match self {
            Self::Everybody => seat.role != Role::External,
            Self::All(role) => seat.role == *role,
            Self::Seat(name) => seat.name == *name,
        }
    }
}

/// Something that is turned, and how it is put back.
#[derive(Clone, Debug)]
pub(super) struct Turned {
    id: u64,
    whom: Whom,
    off: Control,
}

/// Something that stays turned, also in instances that start later.
#[derive(Clone, Debug)]
struct Standing {
    id: u64,
    whom: Whom,
    control: Control,
}

impl Fleet {
    /// Returns the fleet of some options, with every seat empty.
    pub(super) fn new(options: DemoOptions, ends: mpsc::Sender<Ended>, lost: watch::Sender<Option<NodeExit>>) -> Self {
        let name = format!("{FOLDER_PREFIX}{:016x}", rand::random::<u64>());
        let places = options.phase.seats().into_iter().map(|seat| Place::new(seat, Start::default())).collect();
        Self {
            options,
            folder: std::env::temp_dir().join(name),
            spawner: Spawner::start(),
            places: Mutex::new(places),
            standing: Mutex::default(),
            turns: AtomicU64::new(0),
            told: Mutex::default(),
            change: tokio::sync::Mutex::default(),
            closed: AtomicBool::new(false),
            ends,
            lost,
        }
    }

    /// The instances, in the order of their seats.
    pub(super) fn nodes(&self) -> Vec<NodeInfo> {
        lock(&self.places).iter().map(Place::info).collect()
    }

    /// The names of a role's instances.
    pub(super) fn names(&self, role: Role) -> Vec<String> {
        self.names_where(|seat| seat.role == role)
    }

    /// The names of the instances in a zone.
    pub(super) fn names_in(&self, zone: Zone) -> Vec<String> {
        self.names_where(|seat| seat.zone == zone)
    }

    fn names_where(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<String> {
        lock(&self.places).iter().filter(|place| wanted(&place.seat)).map(|place| place.seat.name.clone()).collect()
    }

    /// The instances that peers are told of.
    pub(super) fn peers(&self) -> Peers {
        let peer = |place: &Place| {
            let address = place.address.filter(|_| place.listed)?;
            Some(Peer { role: place.seat.role, zone: place.seat.zone, address })
        };
        Peers(lock(&self.places).iter().filter_map(peer).collect())
    }

    /// Turns something until [`Fleet::turn_back`]; instances that start later are turned as well. What is
    /// refused by one is turned back in all.
    pub(super) async fn turn(&self, whom: Whom, on: Control, off: Control) -> Result<Turned, DemoError> {
        let id = self.turns.fetch_add(1, Ordering::Relaxed);
        lock(&self.standing).push(Standing { id, whom: whom.clone(), control: on.clone() });
        let done = self.turn_once(&whom, &on).await;
        let turned = Turned { id, whom, off };
        if done.is_err() {
            // Where nothing was turned there is nothing to turn back.
            let _ = self.turn_back(&turned).await;
        }
        done.map(|()| turned)
    }

    /// Puts back what was turned.
    pub(super) async fn turn_back(&self, turned: &Turned) -> Result<(), DemoError> {
        lock(&self.standing).retain(|one| one.id != turned.id);
        self.turn_once(&turned.whom, &turned.off).await
    }

    /// Turns something in the instances that run.
    pub(super) async fn turn_once(&self, whom: &Whom, control: &Control) -> Result<(), DemoError> {
        let mut outcome = Ok(());
        for (child, stopped) in self.ready(|seat| whom.includes(seat)) {
            outcome = outcome.and(say(&child, stopped, &Order::Control(control.clone())).await);
        }
        outcome
    }

    /// Shares of the servers of a role's running instances that were busy since this was asked last.
    pub(super) async fn busy(&self, role: Role) -> Vec<f64> {
        let mut shares = Vec::new();
        for (child, stopped) in self.ready(|seat| seat.role == role) {
            // One that cannot say is ending, or stands still: it is no reason for more or fewer.
            if !stopped && let Ok(busy) = child.busy().await {
                shares.push(busy);
            }
        }
        shares
    }

    /// The processes of some seats that take orders, and whether each is stopped.
    fn ready(&self, wanted: impl Fn(&Seat) -> bool) -> Vec<(Arc<Child>, bool)> {
        let places = lock(&self.places);
        let ready = places.iter().filter(|place| wanted(&place.seat));
        ready
            .filter_map(|place| {
                let child = place.running().filter(|child| child.is_ready())?;
                Some((Arc::clone(child), place.stopped))
            })
            .collect()
    }

    /// Stops processes (SIGSTOP), or lets them go on.
    pub(super) fn set_stopped(&self, names: &[String], stopped: bool) -> Result<(), DemoError> {
        let signal = if stopped { Signal::STOP } else { Signal::CONT };
        let mut places = lock(&self.places);
        for place in places.iter_mut().filter(|place| names.contains(&place.seat.name)) {
            place.stopped = stopped;
            place.running().map_or(Ok(()), |child| child.signal(signal))?;
        }
        Ok(())
    }

    /// Kills processes (SIGKILL), and keeps their places empty.
    pub(super) fn keep_down(&self, names: &[String]) {
        let mut places = lock(&self.places);
        for place in places.iter_mut().filter(|place| names.contains(&place.seat.name)) {
            place.kept_down = true;
            if let Some(child) = &place.child {
                child.kill();
            }
        }
    }

    /// Notes that a process ended unasked, if it is still the one in its place,
    /// and returns when it ended so before.
    pub(super) fn note_end(&self, ended: &Ended, now: Instant) -> Option<Vec<Instant>> {
        let mut places = lock(&self.places);
        let place = places.iter_mut().find(|place| place.seat.name == ended.name)?;
        let there = place.child.as_ref().map(|child| child.id());
        if place.kept_down || there != ended.pid {
            return None;
        }
        place.ends.push(now);
        Some(place.ends.clone())
    }

    /// Tells that an instance cannot be kept running.
    pub(super) fn give_up(&self, ended: Ended) {
        self.lost.send_replace(Some(NodeExit { name: ended.name, why: ended.why }));
    }

    /// Ends all nodes in good order and removes their files.
    pub(super) async fn stop(&self) -> io::Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        let children: Vec<_> = lock(&self.places).iter().filter_map(|place| place.child.clone()).collect();
        for child in &children {
            child.ask_to_end();
        }
        let ended = async {
            for child in &children {
                child.ended().await;
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            for child in &children {
                child.kill();
                child.ended().await;
            }
        }
        remove_files(&self.folder)
    }

    /// Kills all nodes and removes their files.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let places = lock(&self.places);
        let children = || places.iter().filter_map(|place| place.child.as_ref());
        children().for_each(|child| child.kill());
        // A killed process may write for another moment, so once is not enough.
        for _ in 0..REMOVALS {
            let removed = remove_files(&self.folder).is_ok();
            if removed && children().all(|child| child.has_ended()) {
                break;
            }
            std::thread::sleep(REMOVAL_PAUSE);
        }
    }
}

/// Tells a node an order. One that is stopped carries it out when it goes on, and one that has ended never.
async fn say(child: &Child, stopped: bool, order: &Order) -> Result<(), DemoError> {
    let said = if stopped { child.tell(order).await } else { child.order(order).await };
    if child.has_ended() { Ok(()) } else { said }
}

fn remove_files(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
