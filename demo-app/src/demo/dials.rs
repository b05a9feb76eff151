//! What is turned at the load while it runs, by whom: each part of its own, all of them at once in the
//! [`Dial`] that the load reads.

use std::sync::Mutex;

use tokio::sync::watch;

use crate::load::Dial;
use crate::store::lock;

/// The parts that make the dial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parts {
    /// What whoever controls the demo asks for.
    pub(super) asked: f64,
    /// How many times the load a spike is.
    pub(super) spike: f64,
    /// Where in its swing the load is.
    pub(super) wave: f64,
    /// Share of the reads for one content.
    pub(super) hot_share: f64,
    /// Share of all requests that became lists.
    pub(super) list_share: f64,
}

impl Parts {
    fn dial(self) -> Dial {
        let factor = self.asked * self.spike * self.wave;
        Dial { factor, hot_share: self.hot_share, list_share: self.list_share }
    }
}

/// The parts, and the dial that they make.
#[derive(Debug)]
pub(super) struct Dials {
    parts: Mutex<Parts>,
    dial: watch::Sender<Dial>,
}

impl Dials {
    pub(super) fn new() -> Self {
        let parts = Parts { asked: 1.0, spike: 1.0, wave: 1.0, hot_share: 0.0, list_share: 0.0 };
        Self { parts: Mutex::new(parts), dial: watch::Sender::new(parts.dial()) }
    }

    /// Changes some of the parts.
    pub(super) fn turn(&self, change: impl FnOnce(&mut Parts)) {
        let mut parts = lock(&self.parts);
        change(&mut parts);
        self.dial.send_replace(parts.dial());
    }

    /// What the load reads.
    pub(super) fn read(&self) -> watch::Receiver<Dial> {
        self.dial.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_turned_and_put_back_each_by_itself() {
        let dials = Dials::new();
        let read = dials.read();
        dials.turn(|parts| parts.spike = 6.0);
        dials.turn(|parts| parts.asked = 0.5);
        dials.turn(|parts| parts.hot_share = 0.7);
        assert_eq!(*read.borrow(), Dial { factor: 3.0, hot_share: 0.7, list_share: 0.0 });
        dials.turn(|parts| parts.spike = 1.0);
        assert_eq!(*read.borrow(), Dial { factor: 0.5, hot_share: 0.7, list_share: 0.0 });
    }
}
