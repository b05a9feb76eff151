//! The governor: holds a node's requests for their service time, a bounded number at once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use tokio::sync::Semaphore;

use crate::settings::ServiceTime;
use crate::store::lock;
use crate::waiting::Waiting;

/// The servers of one node: those who find all of them busy wait in line.
pub(crate) struct Servers {
    /// `None` for a node that is not governed.
    governed: Option<(ServiceTime, Semaphore)>,
    random: Mutex<StdRng>,
    slowness: Mutex<Slowness>,
    busy: Mutex<Busy>,
    pending: Waiting,
}

/// How a governed node's servers are occupied at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) most: usize,
    pub(crate) busy: usize,
    pub(crate) pending: usize,
}

/// What a fault adds.
#[derive(Clone, Copy, Debug, Default)]
struct Slowness {
    by: Duration,
    refused: f64,
}

/// Server time that was used, since it was asked for last.
struct Busy {
    since: Instant,
    used: Duration,
}

/// A request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Servers {
    pub(crate) fn new(service_time: Option<ServiceTime>, seed: u64) -> Self {
        Self {
            governed: service_time.map(|time| (time, Semaphore::new(time.concurrency))),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            slowness: Mutex::default(),
            busy: Mutex::new(Busy { since: Instant::now(), used: Duration::ZERO }),
            pending: Waiting::default(),
        }
    }

    /// Waits for a free server, holds it for one service time and `longer`, and gives it back; or refuses.
    pub(crate) async fn hold(&self, longer: Duration) -> Result<(), Refused> {
        let Slowness { by, refused } = *lock(&self.slowness);
        if refused > 0.0 && lock(&self.random).random::<f64>() < refused {
            return Err(Refused);
        }
        let Some((time, free)) = &self.governed else {
            let longer = longer + by;
            // Even the shortest sleep lasts until the timer's next millisecond.
            if !longer.is_zero() {
                tokio::time::sleep(longer).await;
            }
            return Ok(());
        };
        let waiting = self.pending.enter();
        let _server = free.acquire().await.expect("the semaphore is never closed");
        drop(waiting);
        let since = Instant::now();
        let time = sample(time.mean, &mut lock(&self.random)) + longer + by;
        tokio::time::sleep(time).await;
        lock(&self.busy).used += since.elapsed();
        Ok(())
    }

    /// Waits for a free server and holds it for as long as some work takes by itself.
    pub(crate) async fn occupy<T>(&self, work: impl Future<Output = T>) -> T {
        let Some((_, free)) = &self.governed else { return work.await };
        let waiting = self.pending.enter();
        let _server = free.acquire().await.expect("the semaphore is never closed");
        drop(waiting);
        let since = Instant::now();
        let done = work.await;
        lock(&self.busy).used += since.elapsed();
        done
    }

    /// Makes each request take longer, and a share of them be refused; zeros put it back.
    pub(crate) fn slow(&self, by: Duration, refused: f64) {
        *lock(&self.slowness) = Slowness { by, refused };
    }

    /// How the servers are occupied now; `None` where nothing is governed.
    pub(crate) fn occupancy(&self) -> Option<Occupancy> {
        let (time, free) = self.governed.as_ref()?;
        let busy = time.concurrency.saturating_sub(free.available_permits());
        Some(Occupancy { most: time.concurrency, busy, pending: self.pending.count() })
    }

    /// Share of the servers that were busy since this was asked last, 0 to 1; 0 where nothing is governed.
    pub(crate) fn busy_share(&self) -> f64 {
        let Some((time, _)) = &self.governed else { return 0.0 };
        let mut busy = lock(&self.busy);
        let whole = busy.since.elapsed().as_secs_f64() * time.concurrency as f64;
        let share = if whole > 0.0 { busy.used.as_secs_f64() / whole } else { 0.0 };
        *busy = Busy { since: Instant::now(), used: Duration::ZERO };
        share.min(1.0)
    }
}

/// Draws a service time: half the mean is certain, the other half exponential.
pub(crate) fn sample(mean: Duration, random: &mut StdRng) -> Duration {
    let exponential: f64 = Exp1.sample(random);
    mean.mul_f64(0.5 + 0.5 * exponential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_served_and_who_waits_is_known() {
        let servers = Servers::new(Some(ServiceTime::millis(60_000, 2)), 1);
        assert_eq!(servers.occupancy(), Some(Occupancy { most: 2, busy: 0, pending: 0 }));
        let hold = || servers.hold(Duration::ZERO);
        let mut three = Box::pin(async { tokio::join!(hold(), hold(), hold()) });
        let begun = std::future::poll_fn(|context| std::task::Poll::Ready(three.as_mut().poll(context).is_pending()));
        assert!(begun.await);
        assert_eq!(servers.occupancy(), Some(Occupancy { most: 2, busy: 2, pending: 1 }));
        drop(three);
        assert_eq!(servers.occupancy(), Some(Occupancy { most: 2, busy: 0, pending: 0 }), "all gave up");
        assert_eq!(Servers::new(None, 1).occupancy(), None);
    }

    #[test]
    fn service_times_have_their_mean_and_their_floor() {
        let mean = Duration::from_millis(10);
        let mut random = StdRng::seed_from_u64(1);
        let times: Vec<f64> = (0..10_000).map(|_| sample(mean, &mut random).as_secs_f64()).collect();
        let average = times.iter().sum::<f64>() / times.len() as f64;
        assert!((average - 0.010).abs() < 0.000_2, "mean is {average}");
        assert!(times.iter().all(|&time| time >= 0.005));
    }

    #[tokio::test]
    async fn work_that_occupies_the_only_server_is_waited_for_and_counted() {
        let servers = Servers::new(Some(ServiceTime::millis(1, 1)), 1);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let held = async {
            servers.hold(Duration::ZERO).await.unwrap();
        };
        let mut held = std::pin::pin!(held);
        {
            let mut working = std::pin::pin!(servers.occupy(ended));
            assert!(tokio::time::timeout(Duration::from_millis(5), &mut working).await.is_err());
            assert!(tokio::time::timeout(Duration::from_millis(20), &mut held).await.is_err());
            let mut next = std::pin::pin!(servers.occupy(std::future::ready(())));
            assert!(tokio::time::timeout(Duration::from_millis(5), &mut next).await.is_err());
            assert_eq!(servers.occupancy().map(|now| now.pending), Some(2), "both wait");
            end.send(()).unwrap();
            working.await.unwrap();
        }
        held.await;
        assert!(servers.busy_share() > 0.5);
    }
}
