//! Effects, as the demo has them: what is done to the real thing, and how it is put back.
//!
//! What happens once is done when the effect begins. What happens again and again, or takes its time, is
//! left to a *course* beside it, which is told to stop and comes to its end before things are put back.

mod courses;
mod stores;
mod things;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::demo::DemoError;
use crate::demo::dials::Dials;
use crate::demo::fleet::{Fleet, Turned, Whom};
use crate::fault::Effect;
use crate::node::{Control, PoolSqueeze, Replay};
use crate::topology::{Phase, Role};
pub(super) use things::{Thing, touches};

/// What effects are done to.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) fleet: Arc<Fleet>,
    pub(super) dials: Arc<Dials>,
}

/// An effect that has begun.
#[derive(Debug, Default)]
pub(super) struct Begun {
    course: Option<Course>,
    back: Vec<PutBack>,
}

/// What goes on beside an effect until it is told to stop.
#[derive(Debug)]
struct Course {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), DemoError>>,
}

/// How something is put back.
#[derive(Debug)]
enum PutBack {
    Turned(Turned),
    Up(Vec<String>),
    GoOn(Vec<String>),
    Usual(Vec<String>),
    Count(Role, usize),
    Hot { content_id: i64, payload: String },
    Spike,
    Wave,
    Mix,
}

/// Begins an effect. One that cannot be had leaves nothing behind.
pub(super) async fn begin(subject: &Subject, effect: &Effect) -> Result<Begun, DemoError> {
    let fleet = &subject.fleet;
    let phase = fleet.options.phase;
    match effect {
        Effect::HoldReplay { replicas, late } => {
            let replay = late.map_or(Replay::Paused, Replay::Late);
            let first = fleet.names(Role::Replica).into_iter().take(*replicas);
            let whom = first.map(Whom::Seat).collect();
            turn(subject, whom, &Control::Replay(replay)).await
        }
        Effect::Kill { .. } | Effect::KillZone(_) => {
            let names = things::processes(fleet, effect);
            fleet.keep_down(&names);
            Ok(Begun::with(PutBack::Up(names)))
        }
        Effect::Freeze { .. } | Effect::FreezeZone(_) => {
            let names = things::processes(fleet, effect);
            fleet.set_stopped(&names, true)?;
            Ok(Begun::with(PutBack::GoOn(names)))
        }
        Effect::Scale { role, count } => {
            let before = fleet.names(*role).len();
            fleet.scale(*role, *count, false).await?;
            Ok(Begun::with(PutBack::Count(*role, before)))
        }
        Effect::HotKey { share, bytes } => hot_key(subject, *share, *bytes).await,
        Effect::Spike { factor } => {
            subject.dials.turn(|parts| parts.spike = *factor);
            Ok(Begun::with(PutBack::Spike))
        }
        Effect::ShiftMix { share } => {
            subject.dials.turn(|parts| parts.list_share = *share);
            Ok(Begun::with(PutBack::Mix))
        }
        Effect::ForgetCache { .. }
        | Effect::Pauses { .. }
        | Effect::Poison { .. }
        | Effect::Wave { .. }
        | Effect::Deploy { .. }
        | Effect::Failover { .. } => Ok(course(subject, effect)),
        _ => match turned(effect, phase) {
            Some((whom, control)) => turn(subject, whom, &control).await,
            None => Ok(Begun::default()),
        },
    }
}

/// Returns whose what is turned by an effect that turns something and no more.
fn turned(effect: &Effect, phase: Phase) -> Option<(Vec<Whom>, Control)> {
    let all = |role| vec![Whom::All(stands_in(role, phase))];
    Some(match *effect {
        Effect::BurningQueries { sessions, cpu } => (all(Role::Primary), Control::BurningQueries { sessions, cpu }),
        Effect::HoldLock { held, free } => (all(Role::Primary), Control::HoldLock { held, free }),
        Effect::ShrinkPool { size, held, free } => {
            (all(Role::App), Control::ShrinkPool(Some(PoolSqueeze { size, held, free })))
        }
        Effect::DropIndex { row } => {
            let replicas = phase.has(Role::Replica).then_some(Whom::All(Role::Replica));
            let whom = all(Role::Primary).into_iter().chain(replicas).collect();
            (whom, Control::DropIndex { row: Some(row) })
        }
        Effect::BurnCpu { role, share } => (all(role), Control::BurnCpu { share }),
        Effect::Uneven { share } => (all(Role::LoadBalancer), Control::Uneven { share }),
        Effect::WireDelay { from, to, by } => (all(from), Control::WireDelay { to, by }),
        Effect::Slow { role, by, refused } => (all(role), Control::Slow { by, refused }),
        Effect::FillDisk { within } => (all(Role::Primary), Control::FillDisk { within: Some(within) }),
        Effect::Leak { role, bytes_per_second } => (all(role), Control::Leak { bytes_per_second }),
        Effect::Sample { share } => (vec![Whom::Everybody], Control::Sample { share }),
        _ => return None,
    })
}

/// The role that does in a phase what another does where tiers are apart.
fn stands_in(role: Role, phase: Phase) -> Role {
    if phase == Phase::SINGLE_BOX { Role::Box } else { role }
}

/// Turns a control for some instances, all or none.
async fn turn(subject: &Subject, whom: Vec<Whom>, control: &Control) -> Result<Begun, DemoError> {
    let mut begun = Begun::default();
    for whom in whom {
        match subject.fleet.turn(whom, control.clone(), opposite(control)).await {
            Ok(turned) => begun.back.push(PutBack::Turned(turned)),
            Err(error) => {
                // The reason for which it did not begin matters more than what its end says.
                let _ = end(subject, begun).await;
                return Err(error);
            }
        }
    }
    Ok(begun)
}

/// Returns the control that puts back what another turned.
fn opposite(control: &Control) -> Control {
    use std::time::Duration;
    match *control {
        Control::Replay(_) => Control::Replay(Replay::Running),
        Control::Slow { .. } => Control::Slow { by: Duration::ZERO, refused: 0.0 },
        Control::BurningQueries { cpu, .. } => Control::BurningQueries { sessions: 0, cpu },
        Control::HoldLock { free, .. } => Control::HoldLock { held: Duration::ZERO, free },
        Control::FillDisk { .. } => Control::FillDisk { within: None },
        Control::DropIndex { .. } => Control::DropIndex { row: None },
        Control::ShrinkPool(_) => Control::ShrinkPool(None),
        Control::BurnCpu { .. } => Control::BurnCpu { share: 0.0 },
        Control::Leak { .. } => Control::Leak { bytes_per_second: 0 },
        Control::Uneven { .. } => Control::Uneven { share: 0.0 },
        Control::WireDelay { to, .. } => Control::WireDelay { to, by: Duration::ZERO },
        Control::Sample { .. } => Control::Sample { share: 1.0 },
        // What is done once has no opposite.
        Control::Forget { share } => Control::Forget { share },
        Control::Promote => Control::Promote,
    }
}

async fn hot_key(subject: &Subject, share: f64, bytes: usize) -> Result<Begun, DemoError> {
    const MOST_POPULAR: i64 = 1;
    let peers = subject.fleet.peers();
    let backends = &subject.fleet.options.backends;
    let payload =
        stores::swap_payload(backends, &peers, MOST_POPULAR, |payload| payload.chars().cycle().take(bytes).collect())
            .await
            .map_err(|error| DemoError::Stores(format!("failed to {error}")))?;
    subject.dials.turn(|parts| parts.hot_share = share);
    Ok(Begun::with(PutBack::Hot { content_id: MOST_POPULAR, payload }))
}

/// Begins what an effect does beside, and tells how it is put back after.
fn course(subject: &Subject, effect: &Effect) -> Begun {
    let fleet = &subject.fleet;
    let names = things::processes(fleet, effect);
    let back = match effect {
        Effect::Pauses { .. } => vec![PutBack::GoOn(names.clone())],
        Effect::Deploy { .. } => vec![PutBack::Usual(names.clone())],
        // The old primary, should it be cut short before the standby took over.
        Effect::Failover { .. } => vec![PutBack::Up(fleet.names(Role::Primary))],
        Effect::Wave { .. } => vec![PutBack::Wave],
        _ => Vec::new(),
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(courses::run(subject.clone(), effect.clone(), names, stopped));
    Begun { course: Some(Course { stop, task }), back }
}

/// Ends an effect and puts back what it changed; the error is the first of several.
pub(super) async fn end(subject: &Subject, begun: Begun) -> Result<(), DemoError> {
    let mut outcome = Ok(());
    if let Some(Course { stop, task }) = begun.course {
        stop.send_replace(true);
        outcome = task.await.unwrap_or_else(|error| Err(DemoError::Stores(error.to_string())));
    }
    for back in begun.back {
        outcome = outcome.and(put_back(subject, back).await);
    }
    outcome
}

async fn put_back(subject: &Subject, back: PutBack) -> Result<(), DemoError> {
    let Subject { fleet, dials } = subject;
    match back {
        PutBack::Turned(turned) => fleet.turn_back(&turned).await?,
        PutBack::Up(names) => fleet.let_up(&names).await?,
        PutBack::GoOn(names) => fleet.set_stopped(&names, false)?,
        PutBack::Usual(names) => courses::undeploy(fleet, &names).await?,
        PutBack::Count(role, count) => fleet.scale(role, count, false).await?,
        PutBack::Hot { content_id, payload } => {
            dials.turn(|parts| parts.hot_share = 0.0);
            stores::swap_payload(&fleet.options.backends, &fleet.peers(), content_id, |_| payload.clone())
                .await
                .map_err(|error| DemoError::Stores(format!("failed to {error}")))?;
        }
        PutBack::Spike => dials.turn(|parts| parts.spike = 1.0),
        PutBack::Wave => dials.turn(|parts| parts.wave = 1.0),
        PutBack::Mix => dials.turn(|parts| parts.list_share = 0.0),
    }
    Ok(())
}

impl Begun {
    fn with(back: PutBack) -> Self {
        Self { course: None, back: vec![back] }
    }
}
