//! The banner: what is wrong, since when, why, what to do, and which phase it is the wall of.
//!
//! ```text
//!  ▲ BOTTLENECK  a replica falls behind  db-replica orders-ro   for 36 s  sure 0.9  1 of 3
//!    lag 8.4 s, growing 0.9 s/s · 38 % of reads fall back to the primary
//!    now       route reads by lag; stop the report query holding replay
//!    for good  another replica, reports elsewhere
//!    ▸ in phase 3 database reads ─ ▲ wall of 3 ─ next wall 5 db-primary at 610 req/s
//! ```
//! A stall that lasts stands above it. When nothing is wrong it is one calm line.

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{DiagnosisState, IncidentView, Snapshot, WarningView};

use crate::app::{App, Trouble};
use crate::format;
use crate::screen::{finding, ladder, words};
use crate::theme::Theme;
use crate::widget::paint;

/// For how long a verdict that ended is told of on the overview: five minutes, as a warning is.
const LATELY_MS: u64 = 300_000;

/// How many verdicts and warnings that ended a calm screen lists.
const ENDED_SHOWN: usize = 3;

/// A trouble in the words of the banner.
struct Said<'a> {
    sign: &'static str,
    word: &'static str,
    style: Style,
    title: String,
    tier: &'a str,
    since_unix_ms: u64,
    sure: Option<f64>,
    evidence: Vec<String>,
    now: &'a str,
    for_good: &'a str,
    phase: Option<Phase>,
}

fn said<'a>(trouble: Trouble<'a>, theme: &Theme) -> Said<'a> {
    match trouble {
        Trouble::Warning(warning) => {
            let (sign, word, style) = words::severity(warning.severity, theme);
            Said {
                sign,
                word,
                style,
                title: warning.title.clone(),
                tier: &warning.tier,
                since_unix_ms: warning.since_unix_ms,
                sure: None,
                evidence: warning.evidence.clone(),
                now: &warning.remedy_now,
                for_good: &warning.remedy_for_good,
                phase: warning.phase,
            }
        }
        Trouble::Incident(incident) => of_incident(incident, theme),
    }
}

fn of_incident<'a>(incident: &'a IncidentView, theme: &Theme) -> Said<'a> {
    let new = incident.new_versions.iter().map(|version| format!("new: {version}"));
    let (sign, word, style) = words::incident(incident, theme);
    let requests = std::iter::once(finding::requests(incident));
    let Some(verdict) = &incident.verdict else {
        return Said {
            sign,
            word,
            style,
            title: words::trouble_of(incident),
            tier: "",
            since_unix_ms: incident.onset_unix_ms,
            sure: None,
            evidence: std::iter::once(why_unexplained(incident)).chain(requests).chain(new).collect(),
            now: "look at the traces that were kept (t), and at what changed",
            for_good: "",
            phase: None,
        };
    };
    Said {
        sign,
        word,
        style,
        title: verdict.title.clone(),
        tier: &verdict.tier.id,
        since_unix_ms: incident.onset_unix_ms,
        sure: Some(verdict.confidence),
        evidence: verdict.evidence.iter().cloned().chain(new).collect(),
        now: verdict.remedy_now.as_deref().unwrap_or_default(),
        for_good: verdict.remedy_for_good.as_deref().unwrap_or_default(),
        phase: verdict.phase,
    }
}

/// Why an incident has no verdict, without the word that stands before it already.
fn why_unexplained(incident: &IncidentView) -> String {
    let why = &incident.unexplained;
    why.strip_prefix("unexplained: ").unwrap_or(why).to_owned()
}

/// The lines of the banner without a box, the first ones first where there are fewer rows.
pub fn lines(app: &App, shown: &Snapshot, theme: &Theme, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = stall(shown, theme, columns).into_iter().collect();
    // A stall takes no room from what else is wrong.
    let rows = if rows >= 3 { rows + lines.len() } else { rows };
    let room = columns.saturating_sub(4);
    if let Some((trouble, place, of)) = app.shown_trouble() {
        let said = said(trouble, theme);
        lines.push(one_line(&said, shown, (place, of), columns, theme));
        let evidence_rows = if rows > 6 { 2 } else { 1 };
        for text in evidence(&said, room, evidence_rows) {
            lines.push(Line::raw(format!("   {text}")));
        }
        lines.extend(remedies(&said, theme, room, "   "));
    } else {
        lines.extend(calm(shown, theme));
    }
    let phases = ladder::short(app, shown, theme, columns).filter(|_| rows > 1);
    lines.truncate(rows - usize::from(phases.is_some()));
    lines.extend(phases);
    lines
}

/// The most rows inside a box.
const BOXED_ROWS: usize = 4;

/// Draws the banner in a box at the top of an area, as high as it has lines, and takes that off it.
pub fn draw_boxed(app: &App, shown: &Snapshot, theme: &Theme, area: &mut Rect, buffer: &mut Buffer) {
    let Some((trouble, place, of)) = app.shown_trouble() else {
        return;
    };
    if let Some(stall) = stall(shown, theme, area.width.into()) {
        paint::line(buffer, paint::take_top(area, 1), 0, &stall);
    }
    let said = said(trouble, theme);
    let columns = usize::from(area.width).saturating_sub(4);
    let mut rows = Vec::new();
    if !said.tier.is_empty() {
        rows.push(Line::styled(format!(" {}", words::tier_name(said.tier)), theme.title));
    }
    let remedies = remedies(&said, theme, columns, " ");
    let left = BOXED_ROWS.saturating_sub(rows.len() + remedies.len());
    rows.extend(evidence(&said, columns, left).into_iter().map(|text| Line::raw(format!(" {text}"))));
    rows.extend(remedies);

    let area = paint::take_top(area, rows.len() as u16 + 2);
    let title = Line::styled(format!(" {} {}  {} ", said.sign, said.word.to_uppercase(), said.title), said.style);
    let phase = said.phase.map(|phase| format!(" wall of phase {} {} ", phase.number(), phase.name()));
    let bottom = Line::styled(phase.unwrap_or_default(), said.style);
    let inside = paint::boxed(buffer, area, title, Some(bottom), said.style);
    let since = Line::styled(format!(" {} ", since(&said, shown, (place, of), columns)), said.style);
    let top = Rect { x: area.x + 1, width: area.width.saturating_sub(3), ..area };
    paint::ends(buffer, top, 0, &Line::default(), &since);
    for (row, line) in (0..).zip(&rows) {
        paint::line(buffer, inside, row, line);
    }
}

/// What is wrong with one tier, each trouble in up to `each` rows.
pub fn about_tier(
    app: &App,
    tier: &str,
    shown: &Snapshot,
    theme: &Theme,
    columns: usize,
    each: usize,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for trouble in app.troubles().into_iter().filter(|trouble| trouble.tier() == Some(tier)) {
        let said = said(trouble, theme);
        lines.push(one_line(&said, shown, (0, 1), columns, theme));
        let because = said.evidence.join(" · ");
        let details = [("now       ", said.now), ("because   ", because.as_str()), ("for good  ", said.for_good)];
        lines.extend(details.into_iter().take(each - 1).map(|(label, text)| {
            Line::from(vec![
                Span::styled(format!("   {label}"), theme.accent),
                Span::styled(format::cut(text, columns.saturating_sub(14)), theme.text),
            ])
        }));
    }
    lines
}

/// The stall that lasts, if one does.
fn stall(shown: &Snapshot, theme: &Theme, columns: usize) -> Option<Line<'static>> {
    let stall = shown.stalls.iter().find(|stall| stall.ongoing)?;
    Some(Line::styled(format::cut(&format!(" ▲ STALL  {}", stall.summary), columns), theme.bad))
}

/// A trouble in one row: sign, word, title, tier, since when.
fn one_line(said: &Said<'_>, shown: &Snapshot, places: (usize, usize), columns: usize, theme: &Theme) -> Line<'static> {
    let tier = if said.tier.is_empty() { String::new() } else { format!("  {}", words::tier_name(said.tier)) };
    let head = |word: &str| format!(" {} {word}{}", said.sign, said.title);
    let (long, short) = (head(&format!("{}  ", said.word.to_uppercase())), head(""));
    let since = since(said, shown, places, columns);
    let room = columns.saturating_sub(format::width(&since) + 2);
    // The word goes before the name of the tier is cut: the sign says it too.
    let head = if format::width(&long) + format::width(&tier) <= room { long } else { short };
    let head = format::cut(&head, room);
    let spare = room.saturating_sub(format::width(&head));
    let tier = if spare < 6 { String::new() } else { format::cut_middle(&tier, spare) };
    let used = format::width(&head) + format::width(&tier) + format::width(&since) + 1;
    let mut line = Line::from(vec![Span::styled(head, said.style), Span::styled(tier, theme.title)]);
    if used < columns {
        line.push_span(Span::raw(" ".repeat(columns - used)));
        line.push_span(Span::styled(since, said.style));
    }
    line
}

/// Since when, how sure, and which of how many; in few columns less of it.
fn since(said: &Said<'_>, shown: &Snapshot, (place, of): (usize, usize), columns: usize) -> String {
    let seconds = shown.at_unix_ms.saturating_sub(said.since_unix_ms) / 1000;
    let lasting = format::whole_seconds(seconds);
    let sure = said.sure.map_or_else(String::new, |sure| format!("  sure {}", words::sure(sure)));
    let which = if of > 1 { format!("  {} of {of}", place + 1) } else { String::new() };
    if columns >= 100 {
        let at = format::clock(said.since_unix_ms / 1000);
        let next = if of > 1 { ", n next" } else { "" };
        return format!("since {at} ({lasting}){sure}{which}{next}");
    }
    let shorter = [format!("for {lasting}{sure}{which}"), format!("for {lasting}{which}"), format!("for {lasting}")];
    shorter.into_iter().find(|text| format::width(text) * 5 <= columns * 2).unwrap_or_default()
}

/// The evidence joined into at most `rows` lines, most telling first; what does not fit is left out.
fn evidence(said: &Said<'_>, columns: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in said.evidence.iter().filter(|piece| !piece.is_empty()) {
        let many = lines.len();
        match lines.last_mut() {
            Some(line) if format::width(line) + 3 + format::width(piece) <= columns => {
                line.push_str(" · ");
                line.push_str(piece);
            }
            _ if many < rows => lines.push(format::cut(piece, columns)),
            _ => break,
        }
    }
    lines
}

/// What to do: beside each other where both fit, else one under the other.
fn remedies(said: &Said<'_>, theme: &Theme, columns: usize, indent: &'static str) -> Vec<Line<'static>> {
    let labelled = |label: &'static str, text: &str, room: usize| {
        vec![Span::styled(label, theme.accent), Span::raw(format::cut(text, room.saturating_sub(label.len())))]
    };
    let (now, for_good) = (said.now, said.for_good);
    let both = !now.is_empty() && !for_good.is_empty();
    if both && format::width(now) + format::width(for_good) + 24 <= columns {
        let mut spans = vec![Span::raw(indent)];
        spans.extend(labelled("now  ", now, columns));
        spans.push(Span::raw("      "));
        spans.extend(labelled("for good  ", for_good, columns));
        return vec![spans.into()];
    }
    [("now       ", now), ("for good  ", for_good)]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| {
            let mut spans = vec![Span::raw(indent)];
            spans.extend(labelled(label, text, columns));
            spans.into()
        })
        .collect()
}

/// The line of a screen on which nothing is wrong, and what ended of late.
fn calm(shown: &Snapshot, theme: &Theme) -> Vec<Line<'static>> {
    let silent = shown.tiers.iter().filter_map(|tier| {
        let silence = format::whole_seconds(tier.silent_for_s?);
        Some(format!("{} for {silence}", words::tier_name(&tier.id)))
    });
    let silent: Vec<String> = silent.collect();
    let first = if let Some(silence) = shown.all_silent_for_s() {
        let silence = format::whole_seconds(silence);
        Line::styled(format!(" ○ no data: every service has been silent for {silence}"), theme.warn)
    } else if let Some(left) = shown.learning_left_s() {
        let text = format!(" ○ learning what is usual: too little data to judge yet, {left} s to go");
        Line::styled(text, theme.accent)
    } else {
        no_verdict(shown, silent.is_empty(), theme)
    };
    let mut lines = vec![first];
    if !silent.is_empty() {
        let text = format!(" ○ silent: {}", silent.join(", "));
        lines.push(Line::styled(text, theme.warn));
    }
    lines.extend(ended(shown).take(ENDED_SHOWN).map(|text| Line::styled(text, theme.dim)));
    lines
}

/// That nothing is wrong, or why nothing can be said of it.
fn no_verdict(shown: &Snapshot, all_send: bool, theme: &Theme) -> Line<'static> {
    let who = if all_send { "all tiers" } else { "all tiers that send" };
    let diagnosis = &shown.diagnosis;
    match diagnosis.state {
        DiagnosisState::Healthy => {
            Line::styled(format!(" ● healthy: no verdict · no warnings · {who} at their usual level"), theme.good)
        }
        // An agent that says nothing of bottlenecks still knows warnings.
        _ if diagnosis.summary.is_empty() => {
            Line::styled(format!(" ● no warnings · {who} at their usual level"), theme.good)
        }
        _ => Line::styled(format!(" ○ no verdict: {} · no warnings", diagnosis.summary), theme.accent),
    }
}

/// What ended of late, in words: verdicts first, then warnings, each said once.
pub fn ended(shown: &Snapshot) -> impl Iterator<Item = String> {
    let verdicts = shown.diagnosis.incidents.iter().filter_map(|incident| {
        let (verdict, ended) = (incident.verdict.as_ref()?, incident.ended_unix_ms?);
        (shown.at_unix_ms.saturating_sub(ended) < LATELY_MS).then_some((&verdict.title, &verdict.tier.id, ended))
    });
    let warnings = shown.warnings.iter();
    let warnings = warnings.filter_map(|warning| Some((&warning.title, &warning.tier, warning.ended_unix_ms?)));
    let mut said = HashSet::new();
    let newest = verdicts.chain(warnings).filter(move |(title, tier, _)| said.insert((*title, *tier)));
    newest.map(|(title, tier, ended)| {
        let ago = format::whole_seconds(shown.at_unix_ms.saturating_sub(ended) / 1000);
        format!("   {title} on {} ended {ago} ago", words::tier_name(tier))
    })
}

/// How a warning's style reads for one tier, if one is open whose rule or title has one of `about`.
pub fn about<'a>(shown: &'a Snapshot, tier: &str, about: &[&str]) -> Option<&'a WarningView> {
    shown.warnings.iter().find(|warning| {
        let named = about.iter().any(|word| warning.rule.contains(word) || warning.title.contains(word));
        warning.ended_unix_ms.is_none() && warning.tier == tier && named
    })
}

/// Sign and style that a figure takes from a warning about it.
pub fn mark(warning: Option<&WarningView>, theme: &Theme) -> (&'static str, Style) {
    warning.map_or(("", theme.title), |warning| {
        let (sign, _, style) = words::severity(warning.severity, theme);
        (sign, style)
    })
}
