//! Holds a store's requests for their service time, a bounded number at once.

use std::sync::Mutex;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp1};
use tokio::sync::Semaphore;

use crate::settings::ServiceTime;
use crate::store::lock;

/// The servers of one store: those who find all of them busy wait in line.
pub(crate) struct Servers {
    mean: Duration,
    free: Semaphore,
    random: Mutex<StdRng>,
}

impl Servers {
    pub(crate) fn new(service_time: ServiceTime, seed: u64) -> Self {
        Self {
            mean: service_time.mean,
            free: Semaphore::new(service_time.concurrency),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    /// Runs `work` after waiting for a free server and for one service time.
    pub(crate) async fn serve<T>(&self, work: impl FnOnce() -> T) -> T {
        let _server = self.free.acquire().await.expect("the semaphore is never closed");
        let time = sample(self.mean, &mut lock(&self.random));
        tokio::time::sleep(time).await;
        work()
    }
}

/// Draws a service time: half the mean is certain, the other half exponential.
fn sample(mean: Duration, random: &mut StdRng) -> Duration {
    let exponential: f64 = Exp1.sample(random);
    mean.mul_f64(0.5 + 0.5 * exponential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_times_have_their_mean_and_their_floor() {
        let mean = Duration::from_millis(10);
        let mut random = StdRng::seed_from_u64(1);
        let times: Vec<f64> = (0..10_000).map(|_| sample(mean, &mut random).as_secs_f64()).collect();
        let average = times.iter().sum::<f64>() / times.len() as f64;
        assert!((average - 0.010).abs() < 0.000_2, "mean is {average}");
        assert!(times.iter().all(|&time| time >= 0.005));
    }
}
