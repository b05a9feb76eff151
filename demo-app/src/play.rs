//! A play: load on a running demo, with a fault if one is asked for, until it is over. Its flags
//! are the same for every program that hosts the demo.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::demo::{Demo, DemoError};
use crate::fault::{Fault, FaultPlan};
use crate::load::{self, LoadOptions, LoadPlan, LoadReport};
use crate::topology::Phase;

/// What is played.
#[derive(Clone, Debug, clap::Args)]
pub struct PlayArgs {
    /// The phase of growth whose system is started, 1 to 5.
    #[arg(long, default_value_t = Phase::WRITES)]
    pub phase: Phase,
    /// Requests per second; 0 for no load [default: by the phase, 20 to 80].
    #[arg(long, value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// How long to run, such as 30s or 5m [default: until you stop it].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Seed of the load and of the service times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Let something go wrong after a healthy while.
    #[arg(long, value_enum)]
    pub fault: Option<Fault>,
    /// How long all is well before the fault.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    pub fault_after: Duration,
    /// How long the fault lasts.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    pub fault_for: Duration,
}

/// A rate as it is typed: a number that is not negative.
fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.ok_or("not a number of requests per second; try --rate 80")
}

impl PlayArgs {
    /// Plays until the duration is over or `shutdown` completes, and returns what came of the load,
    /// if there was any.
    ///
    /// # Errors
    /// A fault that cannot be played, and a node that ended by itself: such a demo should be stopped.
    pub async fn play(&self, demo: &Demo, shutdown: impl Future<Output = ()>) -> Result<Option<LoadReport>, DemoError> {
        let fault = async {
            if let Some(fault) = self.fault {
                crate::demo::play_fault(
                    demo,
                    FaultPlan {
                        fault,
                        intensity: crate::fault::Intensity::Medium,
                        after: self.fault_after,
                        lasting: self.fault_for,
                    },
                )
                .await?;
            }
            std::future::pending().await
        };
        tokio::select! {
            report = self.load(demo, shutdown) => Ok(report),
            failed = fault => failed,
            exit = demo.wait_any_exit() => Err(DemoError::Node { name: exit.name, why: exit.why }),
        }
    }

    async fn load(&self, demo: &Demo, shutdown: impl Future<Output = ()>) -> Option<LoadReport> {
        let mut plan = LoadPlan::of(self.phase);
        plan.rate = self.rate.unwrap_or(plan.rate);
        if plan.rate <= 0.0 {
            // Without load there is nothing to report: the service is there to be looked at.
            let _ = tokio::time::timeout(self.duration.unwrap_or(Duration::MAX), shutdown).await;
            return None;
        }
        let mut options = LoadOptions::new(demo.front_address(), plan, demo.content_ids().to_vec());
        options.duration = self.duration;
        options.seed = self.seed;
        Some(load::run(options, shutdown).await)
    }
}

/// The signals that end a play in good order: Ctrl-C and SIGTERM.
#[derive(Debug)]
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// Takes the signals over, so that they no longer end the process. Called inside a runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when one of them arrives.
    pub async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
