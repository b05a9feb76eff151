//! The scorecard: how well incidents name what was really wrong.
//!
//! A *play* is one run of a system in which a fault is injected after a healthy while and taken away again,
//! or in which nothing is wrong but much is going on. What a play showed, second by second, is its
//! [`Course`](course::Course), made of snapshots from wherever they come. [`score`] holds it against the truth,
//! [`guesses`] does the same for simple ways that look at one moment, and [`table`] adds plays up.
//!
//! Over every injected fault: silence is a miss, and so is a verdict that the diagnosis itself doubts.
//! The command makes plays in virtual time, by the demo's simulation.

pub mod course;
pub mod guesses;
pub mod print;
pub mod score;
pub mod table;
pub mod truth;

#[cfg(test)]
mod tests;
