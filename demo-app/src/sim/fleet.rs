//! The simulated autoscaler: looks at the simulated fleet by the rule of the real one.

use std::rc::Rc;
use std::time::Duration;

use crate::autoscaling::{LOOK, Watched};
use crate::sim::effects::resize;
use crate::sim::world::World;
use crate::topology::Role;

/// Lets the fleet of applications follow the load, for as long as it is polled.
pub(super) async fn follow(world: Rc<World>) {
    let (mut watched, mut now) = (Watched::default(), Duration::ZERO);
    loop {
        world.ground.clock.sleep(LOOK).await;
        now += LOOK;
        let apps = world.all(Role::App);
        let share = apps.iter().map(|app| app.servers.busy_share()).sum::<f64>() / apps.len().max(1) as f64;
        if world.fleet_fixed.get() {
            watched = Watched::default();
        } else if let Some(wanted) = watched.decide(now, share, apps.len()) {
            resize(&world, Role::App, wanted);
        }
    }
}
