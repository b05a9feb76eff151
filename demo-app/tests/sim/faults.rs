//! One test for each class of fault: the intended effect is there, and without the fault it is not.

use tiertop_demo::fault::{Fault, Intensity};

use crate::{play, scenario};

#[test]
fn look() {
    for fault in Fault::all() {
        play(&scenario(fault, Intensity::Medium));
    }
}
