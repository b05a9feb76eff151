//! Shipping through the real SDK over loopback, to a service that is as strict as the real one and as
//! unreliable as it is told to be.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod cloudwatch;
mod fake;
#[cfg(feature = "ministack")]
mod ministack;
mod process;
mod program;
