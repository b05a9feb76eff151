//! The line on which a cache node sends its values, one after the other.

use std::time::{Duration, Instant};

/// What is gone this soon is not waited for: 0.5 ms, under what a timer can tell.
const AT_ONCE: Duration = Duration::from_micros(500);

/// A line with a pace.
pub(super) struct Line {
    bytes_per_second: f64,
    /// When all that was put on it is gone; `None` before the first value.
    free: Option<Instant>,
}

impl Line {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1) as f64, free: None }
    }

    /// Puts a value on the line behind the others; returns when it is gone, or `None` if that is at once.
    pub(super) fn send(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let from = self.free.map_or(now, |free| free.max(now));
        let gone = from + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        self.free = Some(gone);
        (gone - now > AT_ONCE).then_some(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_leave_one_after_the_other_at_the_lines_pace() {
        let (mut line, start) = (Line::new(50_000_000), Instant::now());
        let ms = Duration::from_millis;
        assert_eq!(line.send(1_000, start), None);
        let large = line.send(200_000, start).unwrap() - start;
        assert!(large > ms(4) && large < ms(5), "{large:?}");
        let behind = line.send(1_000, start + ms(1)).unwrap() - start;
        assert!(behind > large);
        assert_eq!(line.send(1_000, start + ms(60)), None, "nobody is in line");
    }
}
