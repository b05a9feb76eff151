//! The stall that lasts: the front completes nothing, and something shows that requests wait.
//!
//! Requests that stand send no spans, so it is told from what arrives:
//! 1. the front is quiet for longer than its spans have lately been under way, and usually is not;
//! 2. sources still report, or it would be the way to us that is broken;
//! 3. requests wait: the front says how many it has, or parts of requests have come whose rest has not,
//!    or the front itself, which reports otherwise, fell silent. Without that it may be a lull, and
//!    nothing is said.

use super::Engine;
use crate::engine::members::{Identity, MemberId};
use crate::engine::processes::Process;
use crate::snapshot::StallView;
use crate::stalls::Gap;
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// Quiet for less is not told before it has a name.
const QUIET_S: f64 = 0.8;
/// Delays vary: so much of the usual one is waited for on top.
const DELAY_SHARE: f64 = 0.3;
/// Completions that must be missing.
const MISSING: f64 = 10.0;
/// Share of the usual completions that may be told as none; with more it may be less traffic.
const STRAY: f64 = 0.02;
/// A source that was heard of so lately still reports.
const REPORTS_S: f64 = 3.0;
/// Requests that must be known to wait: one or two are under way at any time.
const ENOUGH: u64 = 3;
/// Seconds before the silence whose parts without the rest are usual, and those that count.
const BEFORE_S: u64 = 10;
const JUST_BEFORE_S: u64 = 2;

impl Engine {
    pub(in crate::engine) fn lasting_stall(&self) -> Option<StallView> {
        let member = self.stalls.front_member?;
        let settled = self.settled(self.members.get(member));
        let gap = self.stalls.front.lasting(settled)?;
        let quiet_s = gap.nanos() as f64 / NANOS_PER_SECOND as f64;
        let delay_s = self.now.seconds_since(settled);
        if quiet_s < QUIET_S + DELAY_SHARE * delay_s || quiet_s * gap.usual_per_second < MISSING {
            return None;
        }
        let ended = self.stalls.front.between(gap.start, settled) as f64;
        if ended > STRAY * quiet_s * gap.usual_per_second {
            return None;
        }
        if !self.processes.all().any(|(_, process)| self.reports(process)) {
            return None;
        }
        let requests = self.waiting_requests(member, gap)?;
        let kind = self.members.get(member).role.known.map_or("the front", |(kind, _)| kind.name());
        Some(StallView {
            start_unix_ms: gap.start.as_millis(),
            length_ms: gap.nanos() / 1_000_000,
            ongoing: true,
            summary: format!("no completions at {kind} for {quiet_s:.1} s, sources still report"),
            requests,
            ..StallView::default()
        })
    }

    fn reports(&self, process: &Process) -> bool {
        self.now.seconds_since(process.last_seen) < REPORTS_S
    }

    /// How many requests wait, as far as is known; `None` if nothing shows that any does.
    fn waiting_requests(&self, front: MemberId, gap: Gap) -> Option<u64> {
        let Identity::Service(service, _) = *self.members.get(front).identity() else { return self.parts(gap.start) };
        let processes: Vec<&Process> =
            self.processes.all().map(|(_, process)| process).filter(|process| process.service == service).collect();
        let active = processes.iter().flat_map(|process| &process.active_requests);
        let said: Vec<f64> = active.filter(|(_, at, _)| *at > gap.start).map(|(.., value)| *value).collect();
        if !said.is_empty() {
            let waiting = said.iter().sum::<f64>() as u64;
            return (waiting >= ENOUGH).then_some(waiting);
        }
        let fell_silent = |process: &&Process| {
            let usual_s = 2.0 * process.pause_nanos / NANOS_PER_SECOND as f64;
            process.points > 0 && self.now.seconds_since(process.last_seen) > usual_s.max(REPORTS_S)
        };
        let is_silent = !processes.is_empty() && processes.iter().all(fell_silent);
        self.parts(gap.start).or(is_silent.then_some(0))
    }

    /// Requests of which parts have come, from about when completions stopped, and the rest has not; if these
    /// are more than is usual.
    fn parts(&self, stopped: UnixNanos) -> Option<u64> {
        let seconds = |seconds: u64| stopped.minus_nanos(seconds * NANOS_PER_SECOND);
        let (mut recent, mut before) = (0_u64, 0_u64);
        for child in self.ring.awaited() {
            if child.end >= seconds(JUST_BEFORE_S) {
                recent += 1;
            } else if child.end >= seconds(JUST_BEFORE_S + BEFORE_S) {
                before += 1;
            }
        }
        let usual = before as f64 / BEFORE_S as f64 * (JUST_BEFORE_S as f64 + self.now.seconds_since(stopped));
        (recent >= ENOUGH && recent as f64 > 3.0 * usual).then_some(recent)
    }
}
