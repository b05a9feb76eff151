//! Faults in virtual time: every effect changes in the model what it changes in the real system.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::fault::Effect;
use crate::sim::instance::Instance;
use crate::sim::observe;
use crate::sim::servers::Slowness;
use crate::sim::world::{VERSION, World};
use crate::topology::{Phase, Role, Seat};

/// How long an instance takes from its start until it serves.
const START: Duration = Duration::from_millis(300);

/// In slices of this length an instance computes and serves in turns.
const SLICE: Duration = Duration::from_millis(20);

/// How often memory is taken.
const LEAK_PACE: Duration = Duration::from_millis(200);

/// Most applications that there can be.
const MOST_SEATS: usize = 26;

/// An effect that lasts until it is told that it is over.
#[derive(Clone)]
pub(super) struct Lasting {
    pub(super) world: Rc<World>,
    over: Rc<Cell<bool>>,
}

/// Begins an effect. The returned function ends it and puts everything back.
pub(super) fn begin(world: &Rc<World>, effect: &Effect) -> Box<dyn FnOnce()> {
    let lasting = Lasting { world: Rc::clone(world), over: Rc::default() };
    let putting_back = lasting.begin(effect);
    Box::new(move || {
        lasting.over.set(true);
        putting_back();
    })
}

/// Puts back what an effect changed once and for all.
pub(super) type PutBack = Box<dyn FnOnce()>;

pub(super) fn nothing() -> PutBack {
    Box::new(|| {})
}

impl Lasting {
    fn begin(&self, effect: &Effect) -> PutBack {
        let world = Rc::clone(&self.world);
        match *effect {
            Effect::Kill { role, count } => self.kill(self.first(role, count)),
            Effect::KillZone(zone) => self.kill(world.of_zone(zone)),
            Effect::Freeze { role, count } => freeze(self.first(role, count)),
            Effect::FreezeZone(zone) => freeze(world.of_zone(zone)),
            Effect::Pauses { role, length, every } => self.only_again(move |world| {
                let last = world.all(role).pop();
                async move {
                    if let Some(last) = last {
                        last.freeze();
                        last.clock().sleep(length).await;
                        last.thaw();
                        last.clock().sleep(every.saturating_sub(length)).await;
                    }
                }
            }),
            Effect::ForgetCache { share, every } => self.only_again(move |world| {
                for node in world.all(Role::Cache) {
                    if let Some(cache) = &node.part.cache {
                        cache.entries.borrow_mut().forget(share);
                    }
                }
                world.ground.clock.sleep(every)
            }),
            Effect::BurnCpu { role, share } => self.burn(role, share),
            Effect::Leak { role, bytes_per_second } => self.leak(role, bytes_per_second as f64),
            Effect::Poison { per_second } => self.only_again(move |world| {
                world.queue.borrow_mut().send(crate::sim::queue::Job::Nonsense, None, world.ground.clock.now());
                world.arrived.notify_one();
                world.ground.clock.sleep(Duration::from_secs_f64(1.0 / per_second.max(1e-3)))
            }),
            Effect::Deploy { role, count, slower } => self.deploy(role, count, slower),
            Effect::Failover { away } => self.fail_over(away),
            Effect::Scale { role, count } => scale(&world, role, count),
            Effect::ShrinkPool { size, held, free } => self.squeeze((size, held, free)),
            Effect::Slow { role, by, refused } => self.slow(role, Slowness { by, refused }),
            Effect::BurningQueries { .. }
            | Effect::HoldLock { .. }
            | Effect::HoldReplay { .. }
            | Effect::DropIndex { .. }
            | Effect::FillDisk { .. } => self.in_databases(effect),
            Effect::HotKey { .. }
            | Effect::Spike { .. }
            | Effect::Wave { .. }
            | Effect::ShiftMix { .. }
            | Effect::Uneven { .. }
            | Effect::WireDelay { .. }
            | Effect::Sample { .. } => self.in_traffic(effect),
        }
    }

    fn first(&self, role: Role, count: usize) -> Vec<Rc<Instance>> {
        self.world.all(self.played_by(role)).into_iter().take(count).collect()
    }

    /// On one box the application is the box.
    fn played_by(&self, role: Role) -> Role {
        if self.world.phase == Phase::SINGLE_BOX && role == Role::App { Role::Box } else { role }
    }

    /// Does something again and again until the effect is over.
    pub(super) fn again<F: Future<Output = ()> + 'static>(&self, mut turn: impl FnMut(&Rc<World>) -> F + 'static) {
        let this = self.clone();
        self.world.ground.clock.spawn(async move {
            while !this.over.get() {
                turn(&this.world).await;
            }
        });
    }

    /// The same, where there is nothing else to put back.
    pub(super) fn only_again<F: Future<Output = ()> + 'static>(
        &self,
        turn: impl FnMut(&Rc<World>) -> F + 'static,
    ) -> PutBack {
        self.again(turn);
        nothing()
    }

    fn kill(&self, victims: Vec<Rc<Instance>>) -> PutBack {
        let world = Rc::clone(&self.world);
        for victim in &victims {
            world.kill(victim);
        }
        Box::new(move || victims.iter().for_each(|victim| world.revive(victim)))
    }

    /// Lets every instance of a role compute for a share of each slice.
    fn burn(&self, role: Role, share: f64) -> PutBack {
        let role = self.played_by(role);
        self.only_again(move |world| {
            let clock = world.ground.clock.clone();
            for of in world.all(role) {
                clock.spawn(async move { of.burn(SLICE.mul_f64(share.clamp(0.0, 1.0))).await });
            }
            async move { clock.sleep(SLICE).await }
        })
    }

    /// Lets instances take memory; one that has no more dies, and its successor goes on.
    fn leak(&self, role: Role, bytes_per_second: f64) -> PutBack {
        let role = self.played_by(role);
        let taken = bytes_per_second * LEAK_PACE.as_secs_f64();
        self.again(move |world| {
            for of in world.all(role) {
                of.leaked.set(of.leaked.get() + taken);
                if observe::memory(&of) >= world.settings.memory_limit_bytes {
                    world.lose(&of);
                }
            }
            world.ground.clock.sleep(LEAK_PACE)
        });
        let world = Rc::clone(&self.world);
        Box::new(move || world.all(role).iter().for_each(|of| of.leaked.set(0.0)))
    }

    /// Replaces the last instances, one after the other, and at the end again by the usual version.
    fn deploy(&self, role: Role, count: usize, slower: Duration) -> PutBack {
        let role = self.played_by(role);
        let mut seats: Vec<Seat> = self.world.all(role).iter().rev().take(count).map(|of| of.seat.clone()).collect();
        seats.reverse();
        let replace = |world: Rc<World>, seats: Vec<Seat>, version, by| async move {
            for seat in seats {
                let Some(old) = world.seated(&seat.name) else { continue };
                old.leave().await;
                world.ground.clock.sleep(START).await;
                world.start(seat, version, Duration::ZERO).servers.slow(Slowness { by, refused: 0.0 });
            }
        };
        let (world, clock) = (Rc::clone(&self.world), self.world.ground.clock.clone());
        clock.spawn(replace(Rc::clone(&world), seats.clone(), Effect::NEXT_RELEASE, slower));
        Box::new(move || clock.spawn(replace(world, seats, VERSION, Duration::ZERO)))
    }

    /// Kills the primary, and promotes the standby after a while; the old one comes back as its standby.
    fn fail_over(&self, away: Duration) -> PutBack {
        let world = Rc::clone(&self.world);
        let (Some(primary), Some(standby)) = (world.one(Role::Primary), world.one(Role::Standby)) else {
            return nothing();
        };
        world.kill(&primary);
        self.world.ground.clock.spawn(async move {
            world.ground.clock.sleep(away).await;
            world.promote(&standby);
            world.revive(&primary);
        });
        nothing()
    }

    fn squeeze(&self, tight: (usize, Duration, Duration)) -> PutBack {
        for role in [Role::App, Role::Box] {
            for of in self.world.all(role) {
                let Some(clients) = &of.part.clients else { continue };
                crate::sim::clients::Caller { world: Rc::clone(&self.world), of: Rc::clone(&of), context: None }
                    .open_pools();
                let pools: Vec<_> = clients.pools.borrow().values().map(Rc::clone).collect();
                for pool in pools.into_iter().filter(|pool| pool.of_database()) {
                    let (of, over) = (Rc::clone(&of), Rc::clone(&self.over));
                    self.world.ground.clock.spawn(async move {
                        pool.squeeze(&of, tight, || over.get()).await;
                    });
                }
            }
        }
        nothing()
    }

    fn slow(&self, role: Role, slowness: Slowness) -> PutBack {
        let (world, role) = (Rc::clone(&self.world), self.played_by(role));
        let turn = move |slowness| world.all(role).iter().for_each(|of| of.servers.slow(slowness));
        turn(slowness);
        Box::new(move || turn(Slowness::default()))
    }
}

fn freeze(victims: Vec<Rc<Instance>>) -> PutBack {
    for victim in &victims {
        victim.freeze();
    }
    Box::new(move || victims.iter().for_each(|victim| victim.thaw()))
}

/// Brings a fleet to a size, and back.
fn scale(world: &Rc<World>, role: Role, count: usize) -> PutBack {
    let before = world.all(role).len();
    resize(world, role, count.min(MOST_SEATS));
    world.fleet_fixed.set(true);
    let world = Rc::clone(world);
    Box::new(move || {
        world.fleet_fixed.set(false);
        resize(&world, role, before);
    })
}

/// Starts new instances of a role, or retires its last ones.
pub(super) fn resize(world: &Rc<World>, role: Role, count: usize) {
    let there = world.all(role);
    for number in there.len()..count {
        world.start(Seat::numbered(role, number), VERSION, world.settings.cold_start);
    }
    there.iter().skip(count).for_each(|instance| world.retire(instance));
}
