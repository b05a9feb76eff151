//! When the fleet of applications grows and shrinks: one more instance when they are busy, one fewer when
//! they idle. The demo and the simulation follow the same rule.

use std::time::Duration;

/// How often the instances are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// The busy share over which there are too few instances, and for how long it must be.
const MORE: (f64, Duration) = (0.7, Duration::from_secs(5));

/// The busy share under which there are too many, and for how long it must be.
const FEWER: (f64, Duration) = (0.25, Duration::from_mins(1));

/// The fewest instances that it leaves: one a zone.
const FEWEST: usize = 2;

/// The most instances that it starts.
const MOST: usize = 6;

/// Since when the instances have been too busy, or too idle.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    busy_since: Option<Duration>,
    idle_since: Option<Duration>,
}

impl Watched {
    /// Returns how many instances there should be, when that is another number than there are. `now` counts
    /// from any fixed moment.
    pub(crate) fn decide(&mut self, now: Duration, busy: f64, count: usize) -> Option<usize> {
        let lasts = |since: &mut Option<Duration>, is: bool, long: Duration| {
            *since = if is { since.or(Some(now)) } else { None };
            since.is_some_and(|since| now.saturating_sub(since) >= long)
        };
        let too_busy = lasts(&mut self.busy_since, busy > MORE.0, MORE.1);
        let too_idle = lasts(&mut self.idle_since, busy < FEWER.0, FEWER.1);
        let wanted = match count {
            _ if too_busy && count < MOST => count + 1,
            _ if too_idle && count > FEWEST => count - 1,
            _ => return None,
        };
        // What the change does is to be seen before the next one.
        *self = Self::default();
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decisions over so many seconds at one busy share.
    fn over(watched: &mut Watched, from: Duration, seconds: u64, busy: f64, count: usize) -> Vec<(u64, usize)> {
        let at = |second| watched.decide(from + Duration::from_secs(second), busy, count).map(|n| (second, n));
        (0..seconds).filter_map(at).collect()
    }

    #[test]
    fn busy_instances_get_help_after_five_seconds_up_to_six() {
        let now = Duration::ZERO;
        assert_eq!(over(&mut Watched::default(), now, 12, 0.8, 2), [(5, 3), (11, 3)]);
        assert_eq!(over(&mut Watched::default(), now, 60, 0.9, 6), []);
        let mut watched = Watched::default();
        assert_eq!(over(&mut watched, now, 5, 0.8, 2), []);
        assert_eq!(over(&mut watched, now + Duration::from_secs(5), 1, 0.5, 2), []);
        assert_eq!(over(&mut watched, now + Duration::from_secs(6), 5, 0.8, 2), [], "not busy all the time");
    }

    #[test]
    fn idle_instances_go_after_a_minute_down_to_two() {
        let now = Duration::ZERO;
        assert_eq!(over(&mut Watched::default(), now, 70, 0.1, 4), [(60, 3)]);
        assert_eq!(over(&mut Watched::default(), now, 200, 0.1, 2), []);
        assert_eq!(over(&mut Watched::default(), now, 200, 0.5, 4), []);
    }
}
