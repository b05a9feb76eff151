//! Moving about: screens that open and close, and cursors that move on them.

use std::sync::Arc;

use tiertop_core::snapshot::TraceView;

use super::selection;
use super::{App, Finding, Pane, Part, Screen, findings, trace_of};
use crate::keymap::Step;

impl App {
    pub(super) fn back(&mut self) {
        if self.help.take().is_none() {
            self.screen = self.behind.pop().unwrap_or_default();
        }
    }

    /// Puts a screen in front. One that lies behind already comes back, and what was before it goes.
    pub(super) fn go(&mut self, screen: Screen) {
        if screen == Screen::Overview {
            self.behind.clear();
        } else if let Some(place) = self.behind.iter().position(|behind| *behind == screen) {
            self.behind.truncate(place);
        } else if self.screen != Screen::Overview && self.screen != screen {
            self.behind.push(self.screen);
        }
        self.screen = screen;
    }

    pub(super) fn open(&mut self) {
        match self.screen {
            Screen::Overview => {
                let tiers = self.shown().map_or(&[][..], |shown| &shown.tiers);
                if let Some(id) = tiers.get(self.cursor.place(tiers)).map(|tier| tier.id.clone()) {
                    self.open_tier(id);
                }
            }
            Screen::Diagnosis => self.open_finding(),
            Screen::Traces => {
                let traces = self.shown().map_or_else(Vec::new, |shown| self.looking.traces(shown));
                let trace = traces.get(self.looking.trace_place(&traces)).map(|trace| Arc::clone(trace));
                self.open_trace(trace);
            }
            Screen::Tier | Screen::Trace | Screen::Pipeline => {}
        }
    }

    fn open_tier(&mut self, id: String) {
        self.cursor.put_on(&id);
        self.opened = id;
        self.go(Screen::Tier);
        self.pane_row = 0;
        self.settle();
    }

    /// Opens the tier at fault, or a trace that stood in the stall.
    fn open_finding(&mut self) {
        match (self.shown_finding(), self.shown()) {
            (Some(Finding::Incident(incident)), _) => {
                if let Some(tier) = incident.verdict.as_ref().map(|verdict| verdict.tier.id.clone()) {
                    self.open_tier(tier);
                }
            }
            (Some(Finding::Stall(stall)), Some(shown)) => {
                let trace = trace_of(stall, shown).map(Arc::clone);
                if trace.is_none() {
                    self.note = Some(("none of this stall's traces is kept any more".to_owned(), self.now));
                }
                self.open_trace(trace);
            }
            _ => {}
        }
    }

    fn open_trace(&mut self, trace: Option<Arc<TraceView>>) {
        if let Some(trace) = trace {
            self.looking.opened = Some(trace);
            self.looking.span = 0;
            self.go(Screen::Trace);
        }
    }

    /// The list of traces: those of the tier that is open, at fault, or warned of.
    pub(super) fn open_traces(&mut self) {
        let through = match self.screen {
            Screen::Tier => Some(self.opened.clone()),
            Screen::Diagnosis => match self.shown_finding() {
                Some(Finding::Incident(incident)) => incident.verdict.as_ref().map(|verdict| verdict.tier.id.clone()),
                Some(Finding::Stall(stall)) => stall.tier.clone(),
                None => None,
            },
            _ => self.shown_trouble().and_then(|(trouble, ..)| trouble.tier()).map(str::to_owned),
        };
        self.looking.through = through;
        self.go(Screen::Traces);
        self.settle();
    }

    pub(super) fn focus(&mut self, pane: Pane, part: Part) {
        if self.screen == Screen::Diagnosis {
            self.looking.part = part;
            self.looking.scroll = 0;
        } else {
            self.pane = pane;
            self.pane_row = 0;
        }
    }

    pub(super) fn turn_trouble(&mut self, by: isize) {
        let troubles = self.troubles().len();
        if troubles > 0 {
            let place = self.trouble.min(troubles - 1);
            self.trouble = place.wrapping_add_signed(by + troubles as isize) % troubles;
        }
    }

    pub(super) fn go_to_trouble(&mut self) {
        if let Some(id) = self.shown_trouble().and_then(|(trouble, ..)| trouble.tier()).map(str::to_owned) {
            self.cursor.put_on(&id);
            self.opened = id;
            self.pane_row = 0;
            self.settle();
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        let page = usize::from(self.rows).saturating_sub(8).max(2);
        if let Some(line) = self.help {
            let last = crate::screen::help::last_line(self.rows);
            self.help = Some(selection::step(line, step, page, last + 1));
            return;
        }
        let Some(shown) = self.shown() else { return };
        match self.screen {
            Screen::Overview => {
                let tiers = &shown.tiers;
                let place = selection::step(self.cursor.place(tiers), step, page, tiers.len());
                if let Some(id) = tiers.get(place).map(|tier| tier.id.clone()) {
                    self.cursor.put_on(&id);
                }
                self.settle();
            }
            Screen::Tier => {
                let rows = self.opened_tier().map_or(0, |tier| self.pane.rows(tier, shown));
                self.pane_row = selection::step(self.pane_row, step, page / 2, rows);
            }
            Screen::Diagnosis if self.looking.part == Part::Findings => {
                let findings = findings(shown);
                let place = selection::step(self.looking.finding_place(&findings), step, page / 2, findings.len());
                if let Some(id) = findings.get(place).map(|finding| finding.id()) {
                    self.looking.finding.put_on(&id);
                }
                self.settle();
            }
            Screen::Diagnosis => {
                let last = crate::screen::diagnosis::last_line(self, shown, self.columns, self.rows);
                self.looking.scroll = selection::step(self.looking.scroll, step, page / 2, last + 1);
            }
            Screen::Traces => {
                let traces = self.looking.traces(shown);
                let place = selection::step(self.looking.trace_place(&traces), step, page, traces.len());
                if let Some(id) = traces.get(place).map(|trace| trace.id.clone()) {
                    self.looking.trace.put_on(&id);
                }
                self.settle();
            }
            Screen::Trace => {
                let spans = self.looking.opened.as_ref().map_or(0, |trace| trace.spans.len());
                self.looking.span = selection::step(self.looking.span, step, page, spans);
            }
            Screen::Pipeline => {
                let last = crate::screen::pipeline::last_line(shown, self.columns, self.rows);
                self.pipeline_line = selection::step(self.pipeline_line, step, page / 2, last + 1);
            }
        }
    }

    /// Keeps cursors on something that is there.
    pub(super) fn settle(&mut self) {
        let live = self.live.clone();
        let held = self.held.as_ref().map(|held| Arc::clone(&held.snapshot));
        if let Some(shown) = held.or(live) {
            self.cursor.settle(&shown.tiers);
            self.looking.settle(&shown);
            if let Some(tier) = shown.tiers.iter().find(|tier| tier.id == self.opened) {
                let rows = self.pane.rows(tier, &shown);
                self.pane_row = self.pane_row.min(rows.saturating_sub(1));
            }
        }
    }
}
