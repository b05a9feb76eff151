//! Where in time the screen is: at the newest second, or at one that the user went to.
//!
//! The past lies with the source. Stepping asks it for a moment, and what comes is shown until the user steps on or
//! goes back to live. A recording has no live second: there a step moves the place from which it plays on.

use std::sync::Arc;

use tiertop_core::snapshot::Snapshot;

use super::App;
use crate::event::Effect;
use crate::source::{Ask, Playing, SourceLabel};

/// How far one step goes, in seconds, from the finest zoom to the coarsest.
pub const STEPS_S: [u64; 7] = [1, 5, 10, 30, 60, 300, 900];

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Travel {
    /// Place in [`STEPS_S`].
    zoom: usize,
    /// The moment that was asked for and has not come yet.
    wanted_unix_ms: Option<u64>,
    past: Option<Arc<Snapshot>>,
    playing: Option<Playing>,
}

impl Travel {
    /// How far one step goes, in seconds.
    pub fn step_s(&self) -> u64 {
        STEPS_S[self.zoom]
    }

    /// The past second that is shown, if it is not the newest.
    pub fn past(&self) -> Option<&Arc<Snapshot>> {
        self.past.as_ref()
    }

    /// How a recording plays.
    pub fn playing(&self) -> Option<Playing> {
        self.playing
    }

    /// Finer by one step, or coarser.
    pub(super) fn zoom(&mut self, by: isize) {
        self.zoom = self.zoom.saturating_add_signed(by).min(STEPS_S.len() - 1);
    }

    pub(super) fn plays(&mut self, playing: Playing) {
        self.playing = Some(playing);
    }

    /// A second came that was asked for.
    pub(super) fn arrive(&mut self, snapshot: Arc<Snapshot>) {
        // Who went back to live meanwhile wants it no more.
        if self.wanted_unix_ms.take().is_some() || self.past.is_some() {
            self.past = Some(snapshot);
        }
    }

    /// The newest second came: of a recording it is the one that was asked for.
    pub(super) fn plays_on(&mut self) {
        if self.playing.is_some() {
            self.wanted_unix_ms = None;
        }
    }

    pub(super) fn go_live(&mut self) {
        (self.wanted_unix_ms, self.past) = (None, None);
    }
}

impl App {
    /// So many steps on in time, or back.
    pub(super) fn step_in_time(&mut self, steps: i64) -> Vec<Effect> {
        let Some(shown) = self.shown() else { return Vec::new() };
        let from = self.travel.wanted_unix_ms.unwrap_or(shown.at_unix_ms);
        self.go_to_moment(from.saturating_add_signed(steps * self.travel.step_s() as i64 * 1_000))
    }

    /// To a moment.
    pub(super) fn go_to_moment(&mut self, unix_ms: u64) -> Vec<Effect> {
        if !self.is_replay() && self.live().is_some_and(|live| unix_ms >= live.at_unix_ms) {
            return self.back_to_live();
        }
        self.held = None;
        self.travel.wanted_unix_ms = Some(unix_ms);
        vec![Effect::Ask(Ask::At(unix_ms)), Effect::Draw]
    }

    /// Shows what is newest from now on.
    pub(super) fn back_to_live(&mut self) -> Vec<Effect> {
        self.held = None;
        self.travel.go_live();
        self.settle();
        vec![Effect::Draw]
    }

    /// To when the incident or stall under the cursor was worst or began.
    pub(super) fn go_to_finding(&mut self) -> Vec<Effect> {
        use super::Finding;
        let moment = match self.shown_finding() {
            Some(Finding::Incident(incident)) => incident.opened_unix_ms,
            // Its name comes a little after its end.
            Some(Finding::Stall(stall)) => stall.start_unix_ms + stall.length_ms,
            _ => return Vec::new(),
        };
        self.go_to_moment(moment)
    }

    /// Whether a recording is shown.
    pub fn is_replay(&self) -> bool {
        matches!(self.label, SourceLabel::Replay(_))
    }

    /// A recording plays faster by one doubling, or slower.
    pub(super) fn change_speed(&mut self, doublings: i32) -> Vec<Effect> {
        let Some(playing) = self.travel.playing else { return Vec::new() };
        vec![Effect::Ask(Ask::Play { on: playing.on, speed: playing.speed.changed(doublings) })]
    }

    /// A recording stands still or plays on.
    pub(super) fn play_or_hold(&mut self) -> Vec<Effect> {
        let Some(playing) = self.travel.playing else { return Vec::new() };
        vec![Effect::Ask(Ask::Play { on: !playing.on, speed: playing.speed })]
    }
}
