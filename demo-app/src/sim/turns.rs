//! The effects that turn something in databases and in the traffic.

use std::cell::Cell;
use std::f64::consts::TAU;
use std::rc::Rc;
use std::time::Duration;

use crate::fault::Effect;
use crate::load::Dial;
use crate::node::Replay;
use crate::sim::effects::{Lasting, PutBack, nothing};
use crate::sim::instance::Instance;
use crate::sim::world::World;
use crate::topology::Role;

/// How often a wave changes the rate.
const WAVE_PACE: Duration = Duration::from_millis(500);

/// How long a session takes between two burning queries.
const BREATH: Duration = Duration::from_micros(200);

impl Lasting {
    /// Begins an effect on the databases.
    pub(super) fn in_databases(&self, effect: &Effect) -> PutBack {
        let world = Rc::clone(&self.world);
        match *effect {
            Effect::BurningQueries { sessions, cpu } => {
                for _ in 0..sessions {
                    self.again(move |world| {
                        let primary = world.one(Role::Primary);
                        let breath = world.ground.clock.sleep(BREATH);
                        async move {
                            if let Some(primary) = primary.filter(|of| of.alive()) {
                                burn_query(&primary, cpu).await;
                            }
                            breath.await;
                        }
                    });
                }
                nothing()
            }
            Effect::HoldLock { held, free } => self.only_again(move |world| {
                let (primary, clock) = (world.one(Role::Primary), world.ground.clock.clone());
                async move {
                    if let Some(database) = primary.as_ref().and_then(|of| of.part.database.as_ref()) {
                        let lock = database.lock.acquire().await;
                        clock.sleep(held).await;
                        drop(lock);
                    }
                    clock.sleep(free).await;
                }
            }),
            Effect::HoldReplay { replicas, late } => {
                let held: Vec<_> = world.all(Role::Replica).into_iter().take(replicas).collect();
                let turn = move |replay| {
                    for of in &held {
                        if let Some(database) = &of.part.database {
                            database.turn(replay, of.clock().now());
                        }
                    }
                };
                turn(late.map_or(Replay::Paused, Replay::Late));
                Box::new(move || turn(Replay::Running))
            }
            Effect::DropIndex { row } => {
                let turn = move |row| {
                    for role in [Role::Primary, Role::Standby, Role::Replica] {
                        for database in world.all(role).iter().filter_map(|of| of.part.database.as_ref()) {
                            database.scanned_row.set(row);
                        }
                    }
                };
                turn(Some(row));
                Box::new(move || turn(None))
            }
            Effect::FillDisk { within } => {
                let turn = move |filling| {
                    if let Some(database) = world.one(Role::Primary).as_ref().and_then(|of| of.part.database.as_ref()) {
                        database.filling.set(filling);
                    }
                };
                let began = self.world.ground.clock.now();
                turn(Some((began, within)));
                let full = Rc::new(Cell::new(false));
                // Where there is no room, there is none for a heartbeat.
                let (world, fills) = (Rc::clone(&self.world), Rc::clone(&full));
                self.world.ground.clock.spawn(async move {
                    world.ground.clock.sleep_until(began + within).await;
                    if !fills.replace(true) {
                        world.contents.reign(world.ground.clock.now(), false);
                    }
                });
                let world = Rc::clone(&self.world);
                Box::new(move || {
                    turn(None);
                    if full.replace(true) {
                        world.contents.reign(world.ground.clock.now(), true);
                    }
                })
            }
            _ => nothing(),
        }
    }

    /// Begins an effect on what travels, and on how it is seen.
    pub(super) fn in_traffic(&self, effect: &Effect) -> PutBack {
        let world = Rc::clone(&self.world);
        match *effect {
            Effect::HotKey { share, bytes } => {
                world.contents.hot.set(Some(bytes as u64));
                forget_first(&world);
                turn_dial(&world, |dial| dial.hot_share = share);
                Box::new(move || {
                    world.contents.hot.set(None);
                    forget_first(&world);
                    turn_dial(&world, |dial| dial.hot_share = 0.0);
                })
            }
            Effect::Spike { factor } => {
                turn_dial(&world, |dial| dial.factor *= factor);
                Box::new(move || turn_dial(&world, |dial| dial.factor /= factor))
            }
            Effect::Wave { share, period } => self.wave(share, period),
            Effect::ShiftMix { share } => {
                turn_dial(&world, |dial| dial.list_share += share);
                Box::new(move || turn_dial(&world, |dial| dial.list_share -= share))
            }
            Effect::Uneven { share } => {
                world.uneven.set(share);
                Box::new(move || world.uneven.set(0.0))
            }
            Effect::WireDelay { from, to, by } => {
                world.wires.borrow_mut().insert((from, to), by);
                Box::new(move || {
                    world.wires.borrow_mut().remove(&(from, to));
                })
            }
            Effect::Sample { share } => {
                world.ground.kept.set(share);
                Box::new(move || world.ground.kept.set(1.0))
            }
            _ => nothing(),
        }
    }

    /// Lets the rate swing, beginning and ending where it would be.
    fn wave(&self, share: f64, period: Duration) -> PutBack {
        let began = self.world.ground.clock.now();
        let share_at = move |now: Duration| {
            let turn = now.saturating_sub(began).as_secs_f64() / period.as_secs_f64().max(1e-9);
            1.0 + share * (turn * TAU).sin()
        };
        let factor = Rc::new(std::cell::Cell::new(1.0));
        let turned = Rc::clone(&factor);
        self.again(move |world| {
            let next = share_at(world.ground.clock.now());
            turn_dial(world, |dial| dial.factor *= next / turned.replace(next));
            world.ground.clock.sleep(WAVE_PACE)
        });
        let world = Rc::clone(&self.world);
        Box::new(move || turn_dial(&world, |dial| dial.factor /= factor.replace(1.0)))
    }
}

/// Runs one query that does nothing but compute: it holds a session, and shares one core with its like.
async fn burn_query(primary: &Rc<Instance>, cpu: Duration) {
    let Some(database) = &primary.part.database else { return };
    let computing = async {
        let _core = database.core.acquire().await;
        primary.clock().sleep(cpu).await;
        primary.spend(cpu);
    };
    primary.servers.occupy(computing).await;
}

fn turn_dial(world: &World, turn: impl FnOnce(&mut Dial)) {
    let mut dial = world.dial.get();
    turn(&mut dial);
    world.dial.set(dial);
}

/// Forgets the most popular content wherever it is kept, since it has changed.
fn forget_first(world: &World) {
    for node in world.all(Role::Cache).iter().filter_map(|of| of.part.cache.as_ref()) {
        node.entries.borrow_mut().remove(1);
    }
    for clients in world.all(Role::App).iter().filter_map(|of| of.part.clients.as_ref()) {
        clients.memory.borrow_mut().remove(1);
    }
}
