//! The simulated autoscaler: more applications when they are busy, fewer when they are idle for long.

use std::rc::Rc;
use std::time::Duration;

use crate::sim::effects::resize;
use crate::sim::world::World;
use crate::topology::Role;

/// How often the fleet is looked at.
const PACE: Duration = Duration::from_secs(1);

/// Over this share of busy servers, for so many looks in a row, one more is started.
const BUSY: (f64, u32) = (0.7, 5);

/// Under this share, for so many looks in a row, one is retired.
const IDLE: (f64, u32) = (0.25, 60);

/// Fewest and most applications.
const SIZES: (usize, usize) = (2, 6);

/// Lets the fleet of applications follow the load, for as long as it is polled.
pub(super) async fn follow(world: Rc<World>) {
    let (mut busy, mut idle) = (0, 0);
    loop {
        world.ground.clock.sleep(PACE).await;
        let apps = world.all(Role::App);
        let share = apps.iter().map(|app| app.servers.busy_share()).sum::<f64>() / apps.len().max(1) as f64;
        busy = if share > BUSY.0 { busy + 1 } else { 0 };
        idle = if share < IDLE.0 { idle + 1 } else { 0 };
        if world.fleet_fixed.get() {
            continue;
        }
        if busy >= BUSY.1 && apps.len() < SIZES.1 {
            resize(&world, Role::App, apps.len() + 1);
            busy = 0;
        } else if idle >= IDLE.1 && apps.len() > SIZES.0 {
            resize(&world, Role::App, apps.len() - 1);
            idle = 0;
        }
    }
}
