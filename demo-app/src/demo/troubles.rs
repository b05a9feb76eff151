//! Troubles: what is wrong in the demo now, since when and until when, and the truth of what was.
//!
//! Effects begin together, and all of them are put back, also when they are cut short. Several troubles
//! may last at once as long as they do not change the same thing.
//!
//! A change runs in a task of its own and holds the right to change things to its end. So whoever asked for it
//! may go, as a client that hangs up does, and nothing is left half begun or half put back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedMutexGuard, oneshot, watch};

use crate::demo::DemoError;
use crate::demo::effects::{self, Begun, Subject, Thing};
use crate::fault::{Effect, FaultPlan, Intensity};
use crate::scenario::{ScenarioFault, TruthLine};
use crate::store::lock;

/// The troubles of a demo.
#[derive(Debug)]
pub(super) struct Troubles {
    subject: Subject,
    active: Mutex<BTreeMap<u64, Trouble>>,
    /// The number of the latest trouble; held while one begins or ends.
    change: Arc<tokio::sync::Mutex<u64>>,
    truth: watch::Sender<Vec<TruthLine>>,
}

/// Something that is wrong now.
#[derive(Debug)]
struct Trouble {
    /// The fault that it is, where it is one.
    fault: Option<ScenarioFault>,
    began_unix_nanos: u64,
    things: Vec<Thing>,
    begun: Vec<Begun>,
}

/// A fault that is active, as those who ask are told.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct ActiveFault {
    pub(super) id: u64,
    pub(super) fault: String,
    pub(super) intensity: Intensity,
    #[serde(rename = "for", with = "crate::human")]
    pub(super) lasting: Duration,
    pub(super) began_unix_nanos: u64,
}

impl Troubles {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, active: Mutex::default(), change: Arc::default(), truth: watch::Sender::new(Vec::new()) }
    }

    /// What the troubles are done to.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Begins a fault, which then lasts until it is ended.
    pub(super) async fn begin_fault(self: &Arc<Self>, fault: ScenarioFault) -> Result<u64, DemoError> {
        let FaultPlan { fault: class, intensity, .. } = fault.plan;
        let effects = class.effects(intensity);
        self.begin(&effects, Some(fault)).await
    }

    /// Begins some effects together.
    ///
    /// # Errors
    /// Effects that the phase has nothing for, that cannot be had on real servers, that change what another
    /// trouble has changed, or that a node refuses: then nothing has changed.
    pub(super) async fn begin(
        self: &Arc<Self>,
        effects: &[Effect],
        fault: Option<ScenarioFault>,
    ) -> Result<u64, DemoError> {
        let effects = effects.to_vec();
        self.changed(|troubles, last_id| async move { troubles.begin_now(last_id, &effects, fault).await }).await
    }

    /// Ends a trouble and puts back what it changed; whether it was there.
    pub(super) async fn end(self: &Arc<Self>, id: u64) -> Result<bool, DemoError> {
        self.changed(|troubles, turn| async move {
            let _turn = turn;
            troubles.end_now(id).await
        })
        .await
    }

    /// Ends all troubles, the latest first; the error is the first of several.
    pub(super) async fn end_all(self: &Arc<Self>) -> Result<(), DemoError> {
        self.changed(|troubles, turn| async move {
            let _turn = turn;
            let ids: Vec<u64> = lock(&troubles.active).keys().rev().copied().collect();
            let mut outcome = Ok(());
            for id in ids {
                outcome = outcome.and(troubles.end_now(id).await.map(|_| ()));
            }
            outcome
        })
        .await
    }

    /// Waits for its turn to change something, and does so to the end, also when nobody waits any more.
    async fn changed<T, F, Fut>(self: &Arc<Self>, change: F) -> Result<T, DemoError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Self>, OwnedMutexGuard<u64>) -> Fut,
        Fut: Future<Output = Result<T, DemoError>> + Send + 'static,
    {
        let turn = Arc::clone(&self.change).lock_owned().await;
        let changing = tokio::spawn(change(Arc::clone(self), turn));
        changing.await.unwrap_or_else(|error| Err(DemoError::Stores(error.to_string())))
    }

    async fn begin_now(
        &self,
        mut last_id: OwnedMutexGuard<u64>,
        effects: &[Effect],
        fault: Option<ScenarioFault>,
    ) -> Result<u64, DemoError> {
        let fleet = &self.subject.fleet;
        let phase = fleet.options.phase;
        if let Some(effect) = effects.iter().find(|effect| !effect.fits(phase)) {
            return Err(DemoError::Unfit { effect: format!("{effect:?}"), phase });
        }
        for effect in effects {
            if let Some(why) = fleet.options.backends.refuse(effect) {
                return Err(DemoError::NotOnRealServers { effect: format!("{effect:?}"), why });
            }
        }
        let things: Vec<Thing> = effects.iter().flat_map(|effect| effects::touches(fleet, effect)).collect();
        if let Some((thing, id)) = self.taken(&things) {
            return Err(DemoError::Taken { thing: thing.to_string(), id });
        }
        let began_unix_nanos = now();
        let mut begun = Vec::new();
        for effect in effects {
            match effects::begin(&self.subject, effect).await {
                Ok(one) => begun.push(one),
                Err(error) => {
                    // The reason for which it did not begin matters more than what its end says.
                    let _ = self.put_back(begun).await;
                    return Err(error);
                }
            }
        }
        *last_id += 1;
        let trouble = Trouble { fault, began_unix_nanos, things, begun };
        lock(&self.active).insert(*last_id, trouble);
        Ok(*last_id)
    }

    async fn end_now(&self, id: u64) -> Result<bool, DemoError> {
        let begun = {
            let mut active = lock(&self.active);
            let Some(trouble) = active.get_mut(&id) else { return Ok(false) };
            // It is told at once: from here on things get better.
            if let Some(fault) = &trouble.fault {
                let line = fault.line(&self.subject.fleet.options.scenario, trouble.began_unix_nanos, now());
                self.truth.send_modify(|lines| lines.extend(line));
            }
            std::mem::take(&mut trouble.begun)
        };
        let outcome = self.put_back(begun).await;
        // Until here it is active, so that nobody else changes what is being put back.
        lock(&self.active).remove(&id);
        outcome.map(|()| true)
    }

    /// Lets go of all troubles without putting anything back, since what they were done to is ending.
    pub(super) fn let_go(&self) {
        lock(&self.active).clear();
    }

    /// Whether a trouble has changed a thing.
    pub(super) fn holds(&self, thing: &Thing) -> bool {
        self.taken(std::slice::from_ref(thing)).is_some()
    }

    /// The faults that are active, in the order in which they began.
    pub(super) fn active(&self) -> Vec<ActiveFault> {
        let told = |(&id, trouble): (&u64, &Trouble)| {
            let plan = trouble.fault.as_ref()?.plan;
            Some(ActiveFault {
                id,
                fault: plan.fault.name(),
                intensity: plan.intensity,
                lasting: plan.lasting,
                began_unix_nanos: trouble.began_unix_nanos,
            })
        };
        lock(&self.active).iter().filter_map(told).collect()
    }

    /// The truth of the faults that have ended.
    pub(super) fn truth(&self) -> watch::Receiver<Vec<TruthLine>> {
        self.truth.subscribe()
    }

    fn taken(&self, things: &[Thing]) -> Option<(Thing, u64)> {
        let active = lock(&self.active);
        let both = |(&id, trouble): (&u64, &Trouble)| {
            trouble.things.iter().find(|thing| things.contains(thing)).map(|thing| (thing.clone(), id))
        };
        active.iter().find_map(both)
    }

    async fn put_back(&self, begun: Vec<Begun>) -> Result<(), DemoError> {
        let mut outcome = Ok(());
        for one in begun.into_iter().rev() {
            outcome = outcome.and(effects::end(&self.subject, one).await);
        }
        outcome
    }
}

/// Begins a fault and leaves it to end by itself after its time; returns its number.
pub(super) async fn begin_for_its_time(troubles: &Arc<Troubles>, fault: ScenarioFault) -> Result<u64, DemoError> {
    let (sender, begun) = oneshot::channel();
    let troubles = Arc::clone(troubles);
    tokio::spawn(async move {
        let lasting = fault.plan.lasting;
        let outcome = troubles.begin_fault(fault).await;
        let id = outcome.as_ref().ok().copied();
        // Whoever asked may be gone; the fault has its time all the same.
        let _ = sender.send(outcome);
        if let Some(id) = id {
            tokio::time::sleep(lasting).await;
            // What cannot be put back shows in what the instances do; one that was ended before is gone.
            let _ = troubles.end(id).await;
        }
    });
    begun.await.unwrap_or_else(|error| Err(DemoError::Stores(error.to_string())))
}

/// Nanoseconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
