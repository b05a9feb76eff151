//! The autoscaler: one more application instance when they are busy, one fewer when they idle. It looks
//! at how busy the instances' servers are, as one of a cloud looks at their processors.

use std::sync::Arc;

use tokio::time::Instant;

use crate::autoscaling::{LOOK, Watched};
use crate::demo::effects::Thing;
use crate::demo::fleet::Fleet;
use crate::demo::troubles::Troubles;
use crate::topology::Role;

/// Scales the application for as long as it is polled.
pub(super) async fn run(fleet: Arc<Fleet>, troubles: Arc<Troubles>) {
    let began = Instant::now();
    let mut watched = Watched::default();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let shares = fleet.busy(Role::App).await;
        let names = fleet.names(Role::App);
        let fixed = |name: &String| troubles.holds(&Thing::Process(name.clone()));
        if shares.is_empty() || troubles.holds(&Thing::Count(Role::App)) {
            watched = Watched::default();
            continue;
        }
        let busy = shares.iter().sum::<f64>() / shares.len() as f64;
        let Some(wanted) = watched.decide(began.elapsed(), busy, names.len()) else { continue };
        if wanted < names.len() && names.last().is_some_and(fixed) {
            continue;
        }
        // An instance that does not start is started again by others.
        let _ = fleet.scale(Role::App, wanted, true).await;
    }
}
