//! The simulation as such: it repeats itself, keeps the order of time, and sends what real services send.


use tiertop_demo::fault::{Fault, Intensity};

use crate::{play, scenario};

#[test]
fn the_same_seed_gives_the_same_telemetry_and_another_one_does_not() {
    let mut usual = scenario(Fault::CacheFlush, Intensity::Medium);
    let (first, again) = (play(&usual).exports, play(&usual).exports);
    assert!(first == again);
    usual.seed = 2;
    assert!(first != play(&usual).exports);
}
