//! The governor in virtual time: the same law as the real one's.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::Semaphore;

use crate::settings::ServiceTime;
use crate::sim::clock::Time;
use crate::sim::instance::Ground;
use crate::store::service_time;

/// The grain of a real runtime's timers, up to which a service time is rounded.
const GRAIN: Duration = Duration::from_millis(1);

/// The servers of one process: those who find all of them busy wait in line.
pub(super) struct Servers {
    ground: Rc<Ground>,
    /// `None` for a process that is not governed.
    governed: Option<(ServiceTime, Semaphore)>,
    slowness: Cell<Slowness>,
    waiting: Cell<u64>,
    used: Cell<Duration>,
    asked: Cell<Time>,
    /// Until when each request takes longer, since the process has just started.
    cold_until: Time,
}

/// What a fault adds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Slowness {
    pub(super) by: Duration,
    pub(super) refused: f64,
}

/// A request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// How many times longer a request takes in a process that has just started.
const COLD: u32 = 3;

impl Servers {
    pub(super) fn new(ground: Rc<Ground>, time: Option<ServiceTime>, cold: Duration) -> Self {
        Self {
            governed: time.map(|time| (time, Semaphore::new(time.concurrency))),
            slowness: Cell::default(),
            waiting: Cell::new(0),
            used: Cell::default(),
            asked: Cell::new(ground.clock.now()),
            cold_until: ground.clock.now() + cold,
            ground,
        }
    }

    /// Waits for a free server, holds it for one service time and `longer`, and gives it back; or refuses.
    pub(super) async fn hold(&self, longer: Duration) -> Result<(), Refused> {
        let Slowness { by, refused } = self.slowness.get();
        if refused > 0.0 && self.ground.random.borrow_mut().random::<f64>() < refused {
            return Err(Refused);
        }
        let clock = &self.ground.clock;
        let Some((time, free)) = &self.governed else {
            clock.sleep(longer + by).await;
            return Ok(());
        };
        let _server = {
            let _waiting = Counted::new(&self.waiting);
            free.acquire().await.expect("the semaphore is never closed")
        };
        let since = clock.now();
        let mut time = service_time::sample(time.mean, &mut self.ground.random.borrow_mut()) + longer + by;
        if since < self.cold_until {
            time *= COLD;
        }
        clock.sleep(rounded(time)).await;
        self.used.set(self.used.get() + clock.since(since));
        Ok(())
    }

    /// Holds a server for as long as a future takes: for sessions that do work of their own.
    pub(super) async fn occupy<T>(&self, work: impl Future<Output = T>) -> T {
        let Some((_, free)) = &self.governed else { return work.await };
        let _server = {
            let _waiting = Counted::new(&self.waiting);
            free.acquire().await.expect("the semaphore is never closed")
        };
        let since = self.ground.clock.now();
        let output = work.await;
        self.used.set(self.used.get() + self.ground.clock.since(since));
        output
    }

    /// Makes each request take longer, and a share of them be refused; zeros put it back.
    pub(super) fn slow(&self, slowness: Slowness) {
        self.slowness.set(slowness);
    }

    /// How many servers there are, how many are busy, and how many requests wait; `None` where nothing is
    /// governed.
    pub(super) fn state(&self) -> Option<(u64, u64, u64)> {
        let (time, free) = self.governed.as_ref()?;
        let busy = time.concurrency - free.available_permits().min(time.concurrency);
        Some((time.concurrency as u64, busy as u64, self.waiting.get()))
    }

    /// Share of the servers that were busy since this was asked last, 0 to 1; 0 where nothing is governed.
    pub(super) fn busy_share(&self) -> f64 {
        let Some((time, _)) = &self.governed else { return 0.0 };
        let now = self.ground.clock.now();
        let whole = now.saturating_sub(self.asked.replace(now)).as_secs_f64() * time.concurrency as f64;
        let used = self.used.take().as_secs_f64();
        if whole > 0.0 { (used / whole).min(1.0) } else { 0.0 }
    }
}

fn rounded(time: Duration) -> Duration {
    let grains = time.as_nanos().div_ceil(GRAIN.as_nanos());
    GRAIN * u32::try_from(grains).unwrap_or(u32::MAX)
}

/// Counts something for as long as this lives, also when it is given up.
pub(super) struct Counted<'a>(&'a Cell<u64>);

impl<'a> Counted<'a> {
    pub(super) fn new(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
