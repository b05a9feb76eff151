//! What goes on while an effect lasts: again and again, or one step after the other.

use std::f64::consts::TAU;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Subject, stores};
use crate::demo::DemoError;
use crate::demo::fleet::{Fleet, Whom};
use crate::fault::Effect;
use crate::node::Control;
use crate::topology::Role;

/// How often a wave moves the load.
const WAVE_STEP: Duration = Duration::from_millis(250);

/// Tells a course to stop, which it does only while it waits: a step that has begun is done.
type Stopped = watch::Receiver<bool>;

/// Waits; whether to go on after.
async fn wait(stopped: &mut Stopped, time: Duration) -> bool {
    tokio::time::timeout(time, stopped.wait_for(|&stop| stop)).await.is_err()
}

/// Does what an effect does while it lasts. `names` are the instances whose processes it is about.
pub(super) async fn run(
    subject: Subject,
    effect: Effect,
    names: Vec<String>,
    mut stopped: Stopped,
) -> Result<(), DemoError> {
    let fleet = &subject.fleet;
    match effect {
        Effect::ForgetCache { share, every } => loop {
            fleet.turn_once(&Whom::All(Role::Cache), &Control::Forget { share }).await?;
            if !wait(&mut stopped, every).await {
                return Ok(());
            }
        },
        Effect::Pauses { length, every, .. } => loop {
            fleet.set_stopped(&names, true)?;
            let go_on = wait(&mut stopped, length).await;
            fleet.set_stopped(&names, false)?;
            if !go_on || !wait(&mut stopped, every.saturating_sub(length)).await {
                return Ok(());
            }
        },
        Effect::Poison { per_second } => poison(fleet, per_second, &mut stopped).await,
        Effect::Wave { share, period } => {
            let start = Instant::now();
            while wait(&mut stopped, WAVE_STEP).await {
                let turn = start.elapsed().as_secs_f64() / period.as_secs_f64();
                subject.dials.turn(|parts| parts.wave = 1.0 + share * (turn * TAU).sin());
            }
            Ok(())
        }
        Effect::Deploy { slower, .. } => deploy(fleet, &names, slower, &mut stopped).await,
        Effect::Failover { away } => {
            fleet.take_primary_down().await?;
            if wait(&mut stopped, away).await {
                fleet.promote().await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Sends messages whose processing always fails.
async fn poison(fleet: &Fleet, per_second: f64, stopped: &mut Stopped) -> Result<(), DemoError> {
    let every = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
    loop {
        // A queue that is away meanwhile gets none.
        let _ = stores::send_poison(&fleet.peers()).await;
        if !wait(stopped, every).await {
            return Ok(());
        }
    }
}

/// Replaces instances by the next version, one after the other.
async fn deploy(fleet: &Fleet, names: &[String], slower: Duration, stopped: &mut Stopped) -> Result<(), DemoError> {
    for name in names {
        fleet.replace(name, Some(Effect::NEXT_RELEASE), slower).await?;
        if !wait(stopped, Duration::ZERO).await {
            break;
        }
    }
    Ok(())
}

/// Puts the usual version back where the next one was.
pub(super) async fn undeploy(fleet: &Fleet, names: &[String]) -> Result<(), DemoError> {
    for name in names {
        if fleet.is_deployed(name) {
            fleet.replace(name, None, Duration::ZERO).await?;
        }
    }
    Ok(())
}
