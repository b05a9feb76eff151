//! Reports of different senders at different times, read in windows that all of them cover.

use std::collections::{BTreeMap, VecDeque};

use super::{Heard, Key, seconds};
use crate::classify::Act;

/// Windows are this long at least: shorter ones hold too few requests.
const LEAST_S: f64 = 10.0;
/// A sender with longer intervals is not waited for.
const MOST_S: f64 = 120.0;
/// Windows that tell what is usual: at least, and at most.
const USUAL: std::ops::RangeInclusive<usize> = 5..=30;
/// Windows before the newest that a slow onset may have spoilt, in seconds.
const LEFT_OUT_S: f64 = 20.0;

/// Calls, their time and their failures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) count: f64,
    pub(super) ms: f64,
    pub(super) failed: f64,
}

impl Sum {
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.ms += other.ms;
        self.failed += other.failed;
    }
}

#[derive(Clone, Copy, Debug)]
struct Report {
    from_s: f64,
    to_s: f64,
    sum: Sum,
}

/// The reports of one kind of calls.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) act: Option<Act>,
    reports: VecDeque<Report>,
}

/// A stretch of time, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) from_s: f64,
    pub(super) to_s: f64,
}

/// The newest window, and those that tell what is usual.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    pub(super) now: Window,
    pub(super) usual: Vec<Window>,
}

impl Series {
    pub(super) fn push(&mut self, heard: &Heard) {
        self.act = self.act.or(heard.act);
        let sum = Sum { count: heard.count as f64, ms: heard.seconds * 1e3, failed: heard.failed as f64 };
        self.reports.push_back(Report { from_s: seconds(heard.from), to_s: seconds(heard.to), sum });
    }

    pub(super) fn forget(&mut self, before_s: f64) {
        while self.reports.front().is_some_and(|report| report.to_s < before_s) {
            self.reports.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.reports.capacity() * size_of::<Report>()
    }

    /// The reports that end in a window. Each is in one window only, so that one that is bad is not two.
    pub(super) fn within(&self, window: Window) -> Sum {
        let mut sum = Sum::default();
        let ends_there = |report: &&Report| window.from_s < report.to_s && report.to_s <= window.to_s;
        self.reports.iter().filter(ends_there).for_each(|report| sum.add(report.sum));
        sum
    }
}

impl Windows {
    /// Windows that end where all processes that still report have reported; `None` while too little is known.
    pub(super) fn of(
        series: &BTreeMap<Key, Series>,
        reported: &BTreeMap<u32, f64>,
        troubled: &VecDeque<(f64, f64)>,
    ) -> Option<Self> {
        let newest_s = reported.values().copied().reduce(f64::max)?;
        let recent = series.values().flat_map(|series| &series.reports).filter(|report| report.to_s > newest_s - 300.0);
        let intervals = recent.map(|report| report.to_s - report.from_s).filter(|long_s| *long_s <= MOST_S);
        let long_s = intervals.fold(LEAST_S, f64::max);
        // Who has not reported for two intervals is gone, and not waited for.
        let to_s = reported.values().copied().filter(|to_s| *to_s > newest_s - 2.0 * long_s).reduce(f64::min)?;
        let first_s = series.values().filter_map(|series| series.reports.front()).map(|report| report.from_s);
        let first_s = first_s.reduce(f64::min)?;
        let now = Window { from_s: to_s - long_s, to_s };
        let is_calm = |window: &Window| {
            window.from_s >= first_s && troubled.iter().all(|(from, to)| window.to_s <= *from || *to <= window.from_s)
        };
        let earlier = (0..).map(|back| {
            let to_s = now.from_s - LEFT_OUT_S.max(long_s) - f64::from(back) * long_s;
            Window { from_s: to_s - long_s, to_s }
        });
        let usual: Vec<Window> =
            earlier.take_while(|window| window.from_s >= first_s).filter(is_calm).take(*USUAL.end()).collect();
        (usual.len() >= *USUAL.start()).then_some(Self { now, usual })
    }
}
