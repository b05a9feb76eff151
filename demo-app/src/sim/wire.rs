//! The network between simulated processes: how long things travel, and how calls fail.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::oneshot;

use crate::sim::instance::{Instance, Life};
use crate::sim::world::World;
use crate::topology::Role;

/// Longest wait for a store's answer, as in the real clients.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a packet travels on loopback, at least, and by how much that varies.
const TRAVEL: (Duration, Duration) = (Duration::from_micros(40), Duration::from_micros(40));

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// Nobody listens there.
    Unreachable,
    /// The connection broke before the answer came.
    Broken,
    Timeout,
    /// The other side said no.
    Refused(&'static str),
    /// Nobody is known to ask.
    NoAddress,
    /// Nobody can make anything of the message.
    Nonsense,
}

impl CallError {
    /// Returns the low-cardinality name sent as `error.type`.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "connection_refused",
            Self::Broken => "connection_error",
            Self::Timeout => "timeout",
            Self::Refused(_) => "refused",
            Self::NoAddress => "no_address",
            Self::Nonsense => "invalid_message",
        }
    }

    /// What a span's status says of it.
    pub(super) fn message(self) -> String {
        match self {
            Self::Unreachable | Self::Broken => "failed to talk to the store".to_owned(),
            Self::Timeout => "failed to get an answer in time".to_owned(),
            Self::Refused(why) => format!("failed to be served: {why}"),
            Self::NoAddress => "failed to reach the store: nobody has said where it listens".to_owned(),
            Self::Nonsense => "failed to understand the message".to_owned(),
        }
    }
}

/// Processor time that a process of a role spends on a request besides its service time.
fn cost(role: Role) -> Duration {
    Duration::from_micros(match role {
        Role::Box => 500,
        Role::App => 350,
        Role::Edge | Role::LoadBalancer | Role::Web | Role::Worker => 300,
        Role::Primary | Role::Standby | Role::Replica | Role::Queue => 150,
        Role::Cache | Role::ObjectStore | Role::External => 60,
    })
}

impl World {
    /// Returns how long something travels one way.
    pub(super) fn travel(&self, from: Role, to: Role) -> Duration {
        let share: f64 = self.ground.random.borrow_mut().random();
        let later = self.wires.borrow().get(&(from, to)).copied().unwrap_or_default();
        TRAVEL.0 + TRAVEL.1.mul_f64(share) + later / 2
    }

    /// Lets a process do something for another one, and returns what that gets as an answer.
    pub(super) async fn call<T: 'static>(
        &self,
        from: &Instance,
        to: &Rc<Instance>,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, CallError> {
        let clock = &self.ground.clock;
        let (asks, asked) = (from.role.get(), to.role.get());
        let cost = cost(asked);
        clock.sleep(self.travel(asks, asked)).await;
        if to.life() == Life::Dead {
            return Err(CallError::Unreachable);
        }
        let (done, answer) = oneshot::channel();
        let (at, timer) = (Rc::clone(to), clock.clone());
        clock.spawn(async move {
            let work = async {
                at.spend(cost);
                timer.sleep(cost).await;
                work.await
            };
            serve(&at, work, done).await;
        });
        let output = answer.await.map_err(|_| CallError::Broken)?;
        clock.sleep(self.travel(asks, asked)).await;
        Ok(output)
    }
}

/// Works for whoever asked, and answers. Over HTTP a caller that gives up closes the connection, and nobody works
/// on for it; a store finishes what it has begun.
pub(super) async fn serve<T>(of: &Rc<Instance>, work: impl Future<Output = T>, mut done: oneshot::Sender<T>) {
    let http = matches!(of.role.get(), Role::Edge | Role::LoadBalancer | Role::Web | Role::App | Role::Box);
    let output = tokio::select! {
        biased;
        output = of.within(work) => output,
        _ = of.within(done.closed()), if http => return,
    };
    if let Ok(output) = output {
        // Whoever asked may have given up.
        let _ = done.send(output);
    }
}
