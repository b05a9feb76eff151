//! How the standby takes over from the primary, so that nothing that was acknowledged is lost with it.
//!
//! 1. A primary is taken down only while its standby is in step: then it has acknowledged nothing that the
//!    standby has not, since it waits for the standby with each write.
//! 2. The old primary has ended before the standby takes over, so that there are never two.
//! 3. The standby takes over with what it has. Of a primary that fell by itself while its standby was silent,
//!    it may lack the last writes: that one had gone on alone.
//! 4. The old one becomes the standby, and its files are removed, once the new one answers as a primary.

use std::time::Duration;

use tokio::time::timeout;

use super::{Fleet, remove_files};
use crate::clients::link::Link;
use crate::demo::DemoError;
use crate::node::{Control, Order};
use crate::store::database::{Reply, Request};
use crate::store::lock;
use crate::topology::Role;
use crate::wire::{WireError, Wires};

/// Longest wait for a standby to be in step.
const IN_STEP: Duration = Duration::from_secs(10);

/// How long what a primary says of its log is good for: less than its patience with a silent standby, after
/// which it acknowledges more without it.
const FRESH: Duration = Duration::from_millis(250);

/// How often a standby is asked how far it is.
const PACE: Duration = Duration::from_millis(5);

/// Longest wait for a new primary to answer.
const ANSWER: Duration = Duration::from_secs(2);

impl Fleet {
    /// Kills the primary as soon as its standby is in step, and keeps its place empty.
    pub(crate) async fn take_primary_down(&self) -> Result<(), DemoError> {
        let in_step = async {
            while !matches!(timeout(FRESH, self.reach_step()).await, Ok(Ok(()))) {
                tokio::time::sleep(PACE).await;
            }
        };
        let late = |_| DemoError::Stores("the standby does not catch up with its primary".to_owned());
        timeout(IN_STEP, in_step).await.map_err(late)?;
        self.keep_down(&self.names(Role::Primary));
        Ok(())
    }

    /// Waits until the standby has what the primary has now.
    async fn reach_step(&self) -> Result<(), WireError> {
        let written = self.position(Role::Primary).await?;
        while self.position(Role::Standby).await? < written {
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Makes the standby the primary, and returns when it is; the one that was becomes the standby. Of the
    /// two, peers are told of one primary at a time.
    pub(crate) async fn promote(&self) -> Result<(), DemoError> {
        let _change = self.change.lock().await;
        let one = |role| self.names(role).into_iter().next().ok_or(DemoError::NoSuchRole(role));
        let (old, new) = ([one(Role::Primary)?], [one(Role::Standby)?]);
        self.update(&old, |place| place.listed = false);
        self.tell_peers().await;
        self.keep_down(&old);
        let before =
            lock(&self.places).iter().find(|place| place.seat.name == old[0]).and_then(|place| place.child.clone());
        if let Some(before) = before {
            before.ended().await;
        }
        if let Err(error) = self.hand_over(&new[0]).await {
            self.update(&old, |place| place.listed = true);
            self.tell_peers().await;
            return Err(error);
        }
        self.update(&old, |place| place.seat.role = Role::Standby);
        self.update(&new, |place| place.seat.role = Role::Primary);
        self.tell_peers().await;
        let applied = self.apply_standing(&new[0]).await;
        // It copies everything: what it has of its own, of another history, would be in the way.
        remove_files(&self.folder.join(&old[0])).map_err(DemoError::Folder)?;
        self.update(&old, |place| place.kept_down = false);
        self.start_seats(&old).await.and(applied)
    }

    /// Lets the standby take over, and returns when it answers as a primary.
    async fn hand_over(&self, name: &str) -> Result<(), DemoError> {
        let refused = |why: String| DemoError::Refused { name: name.to_owned(), what: "Promote".to_owned(), why };
        let ready = self.ready(|seat| seat.name == name).pop().filter(|(_, stopped)| !stopped);
        let (child, _) = ready.ok_or_else(|| refused("it does not run".to_owned()))?;
        let led = async {
            child.order(&Order::Control(Control::Promote)).await?;
            let answered = timeout(ANSWER, self.position(Role::Standby)).await.unwrap_or(Err(WireError::Timeout));
            answered.map(|_| ()).map_err(|error| refused(format!("failed to {error}")))
        };
        let led = led.await;
        if led.is_err() {
            // Whatever became of it, it starts again and follows the old one, which has everything.
            child.give_up();
        }
        led
    }

    /// Asks how far the log of a role's instance leads.
    async fn position(&self, role: Role) -> Result<i64, WireError> {
        let address = self.peers().one(role).ok_or(WireError::Unknown)?;
        // The parent's own wires are never made longer.
        let mut link = Link::open(&self.options.backends, &Wires::default(), role, address).await?;
        match link.call(&Request::Position).await? {
            Reply::Position(position) => Ok(position),
            other => Err(WireError::Refused(format!("the database answered {other:?}"))),
        }
    }
}
