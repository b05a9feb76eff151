//! All about one incident or stall, in lines that fit the columns.

use ratatui::text::{Line, Span};
use tiertop_core::snapshot::{IncidentView, Snapshot, StallView};
use tiertop_core::verdict::Verdict;

use crate::app::{Finding, trace_of};
use crate::format;
use crate::screen::words;
use crate::theme::Theme;

/// Columns of the labels at the left.
const LABEL: usize = 12;

/// Lines with labels at the left, broken between words.
struct Page<'a> {
    lines: Vec<Line<'static>>,
    theme: &'a Theme,
    columns: usize,
}

impl Page<'_> {
    /// A labelled text; nothing where it is empty.
    fn item(&mut self, label: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let room = self.columns.saturating_sub(LABEL + 2).max(8);
        for (place, part) in format::wrap(text, room).into_iter().enumerate() {
            let label = if place == 0 { label } else { "" };
            let label = format!(" {}", format::fit(label, LABEL, format::Align::Left));
            self.lines.push(Line::from(vec![Span::styled(label, self.theme.accent), Span::raw(part)]));
        }
    }
}

/// The lines about a finding.
pub fn lines(finding: Finding<'_>, shown: &Snapshot, theme: &Theme, columns: usize) -> Vec<Line<'static>> {
    let mut page = Page { lines: Vec::new(), theme, columns };
    match finding {
        Finding::Incident(incident) => of_incident(incident, &mut page),
        Finding::Stall(stall) => of_stall(stall, shown, &mut page),
    }
    page.lines
}

fn of_incident(incident: &IncidentView, page: &mut Page<'_>) {
    let (sign, word, style) = words::incident(incident, page.theme);
    let title = incident.verdict.as_ref().map_or_else(|| words::trouble_of(incident), |verdict| verdict.title.clone());
    let head = format!(" {sign} {}  {title}", word.to_uppercase());
    page.lines.push(Line::styled(format::cut(&head, page.columns), style));
    match &incident.verdict {
        Some(verdict) => of_verdict(verdict, page),
        None => page.item("why", &incident.unexplained),
    }
    page.item("new", &incident.new_versions.join(", "));
    page.item("requests", &requests(incident));
    page.item("times", &times(incident));
    let victims: Vec<String> = incident.victims.iter().map(|id| words::tier_name(id)).collect();
    page.item("victims", &victims.join(", "));
    if let Some(verdict) = &incident.verdict {
        page.item("or else", &alternatives(verdict));
    }
    match incident.changes {
        0 => {}
        1 => page.item("changed", "once: it named another tier or class before"),
        many => page.item("changed", &format!("{many} times: it named other tiers or classes before")),
    }
}

fn of_verdict(verdict: &Verdict, page: &mut Page<'_>) {
    page.item("tier", &words::tier_name(&verdict.tier.id));
    let mut known = vec![format!("{} of 1", words::sure(verdict.confidence))];
    if let Some(share) = verdict.explained_share {
        known.push(format!("explains {} of it", words::percent(share)));
    }
    known.push(verdict.class.clone().unwrap_or_else(|| "of no known class".to_owned()));
    page.item("sure", &known.join(" · "));
    page.item("now", verdict.remedy_now.as_deref().unwrap_or_default());
    page.item("for good", verdict.remedy_for_good.as_deref().unwrap_or_default());
    for (place, evidence) in verdict.evidence.iter().enumerate() {
        page.item(if place == 0 { "because" } else { "" }, evidence);
    }
    if let Some(phase) = verdict.phase {
        page.item("wall of", &format!("phase {} {}", phase.number(), phase.name()));
    }
}

/// The tiers that may be it instead, with what they explain.
pub fn alternatives(verdict: &Verdict) -> String {
    let others = verdict.alternatives.iter();
    let others: Vec<String> = others
        .map(|other| format!("{} {}", words::tier_name(&other.tier.id), words::percent(other.explained_share)))
        .collect();
    others.join(", ")
}

/// What it does to requests: usual, excess, peak, failures.
pub fn requests(incident: &IncidentView) -> String {
    let duration = |label: &str, ms: Option<f64>| Some(format!("{label}{}", format::duration_ms(ms?)));
    let failing = incident.failed_ratio.map(|share| format!("{} fail", format::ratio(share)));
    let open = incident.ended_unix_ms.is_none();
    let now = incident.excess_ms.filter(|_| open);
    let pieces = [
        duration("usually ", incident.usual_ms),
        duration("now +", now),
        duration("at the peak +", incident.peak_excess_ms),
        failing,
    ];
    pieces.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn times(incident: &IncidentView) -> String {
    let clock = |unix_ms: u64| format::clock(unix_ms / 1000);
    let after = incident.opened_unix_ms.saturating_sub(incident.onset_unix_ms) / 1000;
    let ended = incident.ended_unix_ms.map_or_else(String::new, |ended| format!(" · ended {}", clock(ended)));
    format!(
        "began {} · noticed {} later · worst {}{ended}",
        clock(incident.onset_unix_ms),
        format::whole_seconds(after),
        clock(incident.peak_unix_ms),
    )
}

fn of_stall(stall: &StallView, shown: &Snapshot, page: &mut Page<'_>) {
    let (word, style) = if stall.ongoing { ("STALL", page.theme.bad) } else { ("STALL, over", page.theme.warn) };
    page.lines.push(Line::styled(format!(" ▲ {word}"), style));
    page.item("what", &stall.summary);
    let tier = stall.tier.as_deref().map_or_else(|| "not known yet".to_owned(), words::tier_name);
    page.item("stood in", &tier);
    if let Some((from, to)) = &stall.edge {
        page.item("between", &format!("{} → {}", words::tier_name(from), words::tier_name(to)));
    }
    page.item("instance", stall.instance.as_deref().unwrap_or_default());
    let length = format::duration_ms(stall.length_ms as f64);
    page.item("times", &format!("from {}, for {length}", format::clock(stall.start_unix_ms / 1000)));
    if !stall.ongoing || stall.requests > 0 {
        page.item("requests", &format::count(stall.requests));
    }
    page.item("moved first", stall.first_moved.as_deref().unwrap_or_default());
    let traces = match trace_of(stall, shown) {
        Some(trace) => format!("Enter shows {}", format::cut_middle(&trace.id, 16)),
        None => "none is kept".to_owned(),
    };
    page.item("traces", &traces);
}
