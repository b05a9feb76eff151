//! The compute part of a request: what an instance itself takes for it, which states its capacity.
//!
//! A write is heavy where there is no queue: then the request takes what a worker would take as well. An
//! instance that was started cold is slower until it is warm, as caches fill and code is compiled
//! elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answers::Refusal;
use crate::node::NodeContext;
use crate::store::service_time::Servers;
use crate::topology::Role;

/// How many times longer a cold instance takes.
const COLD: u32 = 3;

pub(super) struct Compute {
    servers: Arc<Servers>,
    /// What a request takes on average; zero where nothing is governed.
    mean: Duration,
    /// What the heavy part of a write takes; zero where nothing is governed.
    heavy: Duration,
    warm_from: Instant,
}

impl Compute {
    pub(super) fn new(context: &NodeContext, role: Role) -> Self {
        let settings = &context.settings;
        let mean = |role| settings.service_time(role).map(|time| time.mean).unwrap_or_default();
        let warming = if context.cold { settings.cold_start } else { Duration::ZERO };
        Self {
            servers: Arc::clone(&context.servers),
            mean: mean(role),
            heavy: mean(Role::Worker),
            warm_from: Instant::now() + warming,
        }
    }

    /// Waits its turn and takes the time that a request takes.
    pub(super) async fn hold(&self, heavy: bool) -> Result<(), Refusal> {
        Ok(self.servers.hold(self.longer(heavy, Instant::now())).await?)
    }

    /// Returns how much longer than usual a request takes at `now`.
    fn longer(&self, heavy: bool, now: Instant) -> Duration {
        let heavy = if heavy { self.heavy } else { Duration::ZERO };
        let cold = if now < self.warm_from { (self.mean + heavy) * (COLD - 1) } else { Duration::ZERO };
        heavy + cold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_instance_takes_three_times_as_long_until_it_is_warm() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let compute = Compute {
            servers: Arc::new(Servers::new(None, 1)),
            mean: ms(5),
            heavy: ms(20),
            warm_from: now + ms(4_000),
        };
        assert_eq!(compute.longer(false, now), ms(10));
        assert_eq!(ms(5) + compute.longer(true, now), ms(75));
        assert_eq!(compute.longer(false, now + ms(4_000)), Duration::ZERO);
        assert_eq!(compute.longer(true, now + ms(4_000)), ms(20));
    }
}
