//! How instances come and go.
//!
//! An instance that goes for good, or is replaced, is first taken out of what its peers are told, and gets
//! a while to finish what it has begun: nobody sees an error for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::{Fleet, Place, STOP_TIMEOUT, Standing, Whom, say};
use crate::demo::DemoError;
use crate::demo::child::{self, Child, Ended, Start};
use crate::node::{Beginning, Control, Order};
use crate::store::lock;
use crate::topology::{Peers, Role, Seat};

/// How long an instance goes on that its peers no longer know: longer than their usual requests.
const DRAIN: Duration = Duration::from_millis(500);

impl Fleet {
    /// Starts the processes of all seats.
    pub(crate) async fn start_all(&self) -> Result<(), DemoError> {
        let _change = self.change.lock().await;
        self.start_seats(&self.names_where(|_| true)).await
    }

    /// Starts the processes of seats that are to have one and have none.
    pub(crate) async fn start_again(&self, names: &[String]) -> Result<(), DemoError> {
        let _change = self.change.lock().await;
        let missing = |place: &&Place| {
            let there = place.child.as_ref().is_some_and(|child| !child.is_leaving());
            names.contains(&place.seat.name) && !place.kept_down && !there
        };
        let missing: Vec<_> = lock(&self.places).iter().filter(missing).map(|place| place.seat.name.clone()).collect();
        self.start_seats(&missing).await
    }

    /// Lets places that were kept empty have processes again.
    pub(crate) async fn let_up(&self, names: &[String]) -> Result<(), DemoError> {
        self.update(names, |place| place.kept_down = false);
        self.start_again(names).await
    }

    /// Replaces an instance by another version, or by the usual one.
    pub(crate) async fn replace(&self, name: &str, release: Option<&str>, slower: Duration) -> Result<(), DemoError> {
        let _change = self.change.lock().await;
        let names = [name.to_owned()];
        self.end_seat(name).await;
        self.update(&names, |place| {
            place.start.release = release.map(str::to_owned);
            place.start.slower = slower;
        });
        self.start_seats(&names).await
    }

    /// Whether an instance is of another version than usual.
    pub(crate) fn is_deployed(&self, name: &str) -> bool {
        lock(&self.places).iter().any(|place| place.seat.name == name && place.start.release.is_some())
    }

    /// Adds or removes instances of a role until there are so many.
    pub(crate) async fn scale(&self, role: Role, count: usize, cold: bool) -> Result<(), DemoError> {
        let _change = self.change.lock().await;
        let names = self.names(role);
        for name in names.iter().skip(count) {
            self.end_seat(name).await;
            lock(&self.places).retain(|place| place.seat.name != *name);
        }
        let taken = |seat: &Seat| names.contains(&seat.name);
        let free = (0..).map(|number| Seat::numbered(role, number)).filter(|seat| !taken(seat));
        let added: Vec<Seat> = free.take(count.saturating_sub(names.len())).collect();
        let new: Vec<String> = added.iter().map(|seat| seat.name.clone()).collect();
        {
            let mut places = lock(&self.places);
            let after = places.iter().rposition(|place| place.seat.role == role).map_or(places.len(), |at| at + 1);
            let added = added.into_iter().map(|seat| Place::new(seat, Start { cold, ..Start::default() }));
            places.splice(after..after, added);
        }
        self.start_seats(&new).await
    }

    /// Starts the processes of some seats side by side, and tells all of those that are new.
    pub(super) async fn start_seats(&self, names: &[String]) -> Result<(), DemoError> {
        let mut started = Vec::new();
        let mut outcome = Ok(());
        for name in names {
            outcome = self.spawn(name).await.map(|child| started.push((name, child)));
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_ok() {
            outcome = self.settle_in(&started).await;
        }
        if outcome.is_err() {
            // Of a node that has said why it cannot start, the end is near; of a silent one it is not, nor of
            // those that wait for the rest.
            for (_, child) in &started {
                child.give_up();
            }
        }
        outcome
    }

    async fn settle_in(&self, started: &[(&String, Arc<Child>)]) -> Result<(), DemoError> {
        for (name, child) in started {
            let address = child.hear_address().await?;
            self.update(std::slice::from_ref(*name), |place| {
                place.address = address;
                place.start.listen = address;
                place.listed = true;
            });
        }
        let order = Order::Begin(Box::new(Beginning {
            peers: self.peers(),
            settings: self.options.settings.clone(),
            siblings: lock(&self.places).iter().filter_map(Place::running).map(|child| child.id()).collect(),
        }));
        for (_, child) in started {
            child.begin(&order).await?;
        }
        for (_, child) in started {
            child.hear_ready().await?;
        }
        for (name, _) in started {
            // What is turned from here on reaches it anyway: it has said that it serves.
            self.apply_standing(name).await?;
        }
        self.tell_peers().await;
        Ok(())
    }

    /// Starts the process of a seat and puts it there.
    async fn spawn(&self, name: &str) -> Result<Arc<Child>, DemoError> {
        let (place, before) = {
            let places = lock(&self.places);
            let place = places.iter().find(|place| place.seat.name == name);
            let child = place.and_then(|place| place.child.clone());
            (place.map(|place| (place.seat.clone(), place.start.clone())), child)
        };
        // Its folder and its port are free when the one before has ended.
        if let Some(before) = before {
            before.ended().await;
        }
        let known = place.filter(|_| !self.closed.load(Ordering::Relaxed));
        let (seat, start) = known.ok_or_else(|| DemoError::NoSuchNode(name.to_owned()))?;
        let command = child::command(&self.options, &seat, &self.folder, &start)?;
        let spawned = Child::spawn(name, command, &self.spawner, &self.ends).await;
        let child = match spawned {
            Ok(child) => Arc::new(child),
            Err(error) => {
                self.update(&[name.to_owned()], |place| place.child = None);
                let ended = Ended { name: name.to_owned(), pid: None, why: format!("failed to {error}") };
                // Nobody listens any more when the demo has ended.
                let _ = self.ends.send(ended).await;
                return Err(error);
            }
        };
        if self.closed.load(Ordering::Relaxed) {
            child.kill();
        }
        self.update(&[name.to_owned()], |place| {
            place.child = Some(Arc::clone(&child));
            place.stopped = false;
        });
        Ok(child)
    }

    /// Ends the process of a seat in good order.
    async fn end_seat(&self, name: &str) {
        let names = [name.to_owned()];
        self.update(&names, |place| place.listed = false);
        self.tell_peers().await;
        tokio::time::sleep(DRAIN).await;
        for (child, _) in self.ready(|seat| seat.name == name) {
            child.ask_to_end();
            if timeout(STOP_TIMEOUT, child.ended()).await.is_err() {
                child.kill();
                child.ended().await;
            }
        }
    }

    /// Turns in an instance what is turned in those like it, and what its version brings.
    pub(super) async fn apply_standing(&self, name: &str) -> Result<(), DemoError> {
        let place = lock(&self.places)
            .iter()
            .find(|place| place.seat.name == name)
            .map(|place| (place.seat.clone(), place.start.slower));
        let Some((seat, slower)) = place else { return Ok(()) };
        let standing: Vec<Standing> = lock(&self.standing).clone();
        let standing = standing.into_iter().filter(|one| one.whom.includes(&seat)).map(|one| one.control);
        let own = (!slower.is_zero()).then_some(Control::Slow { by: slower, refused: 0.0 });
        for control in own.into_iter().chain(standing) {
            self.turn_once(&Whom::Seat(name.to_owned()), &control).await?;
        }
        Ok(())
    }

    /// Tells all nodes where their peers are, if that has changed.
    pub(super) async fn tell_peers(&self) {
        let peers = self.peers();
        let before: Peers = std::mem::replace(&mut *lock(&self.told), peers.clone());
        if before == peers || before == Peers::default() {
            return;
        }
        for (child, stopped) in self.ready(|_| true) {
            // One that does not hear it is ending, which is dealt with elsewhere.
            let _ = say(&child, stopped, &Order::Peers(peers.clone())).await;
        }
    }

    pub(super) fn update(&self, names: &[String], change: impl Fn(&mut Place)) {
        lock(&self.places).iter_mut().filter(|place| names.contains(&place.seat.name)).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::DemoOptions;
    use crate::topology::Phase;
    use tokio::sync::{mpsc, watch};

    #[tokio::test]
    async fn nodes_that_started_beside_one_that_did_not_are_ended() {
        let silent = ["sh", "-c", "exec sleep 600"].map(std::ffi::OsString::from).to_vec();
        let (ended, _ends) = mpsc::channel(8);
        let fleet = Fleet::new(DemoOptions::new(silent, Phase::WEB_TIER), ended, watch::channel(None).0);
        let outcome = fleet.start_seats(&["app-a".to_owned(), "app-z".to_owned()]).await;
        assert!(matches!(outcome, Err(DemoError::NoSuchNode(name)) if name == "app-z"));
        let started = lock(&fleet.places).iter().find_map(|place| place.child.clone()).unwrap();
        timeout(Duration::from_secs(20), started.ended()).await.expect("it is ended");
        fleet.close();
    }
}
