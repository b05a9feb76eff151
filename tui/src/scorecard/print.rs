//! The scorecard as text or as markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use tiertop_core::diagnosis::CLASSES;

use super::guesses::Guesses;
use super::score::{CONFIDENT, FaultScore};
use super::table::{NO_CLASS, Played, SILENT, Share, Totals, confusion, totals};

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In columns, for a terminal.
    Text,
    /// For a repository.
    Markdown,
}

/// Writes the scorecard of some plays.
pub fn print(plays: &[Played], style: Style) -> String {
    let mut page = String::new();
    let faults: Vec<&Played> = plays.iter().filter(|played| played.fault().is_some()).collect();
    if !faults.is_empty() {
        by_load(&faults).write(style, &mut page);
        let together: Vec<&Played> = faults.iter().copied().filter(|played| !played.apart).collect();
        let together = if together.is_empty() { faults } else { together };
        by_intensity(&together).write(style, &mut page);
        by_class(&together).write(style, &mut page);
        confused(&together).write(style, &mut page);
    }
    let healthy: Vec<&Played> = plays.iter().filter(|played| played.healthy().is_some()).collect();
    if !healthy.is_empty() {
        false_alarms(&healthy).write(style, &mut page);
        let said = false_verdicts(&healthy);
        if !said.rows.is_empty() {
            said.write(style, &mut page);
        }
    }
    notes(plays, &mut page);
    page
}

/// A table with a title.
struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn write(&self, style: Style, page: &mut String) {
        match style {
            Style::Text => self.text(page),
            Style::Markdown => self.markdown(page),
        }
    }

    fn text(&self, page: &mut String) {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let widest = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).map(|column| widest(column).unwrap_or_default()).collect();
        let _ = writeln!(page, "{}\n", self.title.to_uppercase());
        for row in all() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let _ = writeln!(page, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        page.push('\n');
    }

    fn markdown(&self, page: &mut String) {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.head.len()];
        let _ = writeln!(page, "## {}\n\n{}\n{}", self.title, line(&self.head), line(&rule));
        for row in &self.rows {
            let _ = writeln!(page, "{}", line(row));
        }
        page.push('\n');
    }
}

fn scores<'p>(plays: &[&'p Played]) -> Vec<&'p FaultScore> {
    plays.iter().filter_map(|played| played.fault()).collect()
}

/// Plays by something that each has, in the order in which it first comes.
fn grouped<'p>(plays: &[&'p Played], by: impl Fn(&Played) -> &str) -> Vec<(String, Vec<&'p Played>)> {
    let mut groups: Vec<(String, Vec<&Played>)> = Vec::new();
    for &played in plays {
        match groups.iter_mut().find(|(name, _)| name == by(played)) {
            Some((_, group)) => group.push(played),
            None => groups.push((by(played).to_owned(), vec![played])),
        }
    }
    groups
}

fn by_load(plays: &[&Played]) -> Table {
    let (apart, together): (Vec<&Played>, Vec<&Played>) = plays.iter().copied().partition(|played| played.apart);
    let mut groups = grouped(&together, |played| &played.load);
    if groups.len() > 1 {
        groups.insert(0, ("both rates".to_owned(), together));
    }
    groups.extend(grouped(&apart, |played| &played.load));
    figures("Verdicts", &groups)
}

fn by_intensity(plays: &[&Played]) -> Table {
    figures("By intensity", &grouped(plays, |played| &played.intensity))
}

/// All figures, a column for each group.
fn figures(title: &str, groups: &[(String, Vec<&Played>)]) -> Table {
    let totals: Vec<Totals> = groups.iter().map(|(_, plays)| totals(&scores(plays))).collect();
    let mut head = vec!["figure".to_owned(), "floor".to_owned(), "good".to_owned()];
    head.extend(groups.iter().map(|(name, _)| name.clone()));
    let row = |name: &str, floor: &str, good: &str, of: &dyn Fn(&Totals) -> String| {
        let mut cells = vec![name.to_owned(), floor.to_owned(), good.to_owned()];
        cells.extend(totals.iter().map(of));
        cells
    };
    let detected = |totals: &Totals| {
        totals.detected_after_s.map_or_else(unknown, |(median, p90)| format!("{median:.0} / {p90:.0} s"))
    };
    let mut rows = vec![
        row("faults", "", "", &|totals| totals.tier.of.to_string()),
        row("tier, top-1", "80 %", "95 %", &|totals| percent(totals.tier)),
        row("tier, top-3", "90 %", "99 %", &|totals| percent(totals.top_three)),
        row("class, tier being right", "70 %", "85 %", &|totals| percent(totals.class)),
        row("phase", "85 %", "95 %", &|totals| percent(totals.phase)),
        row("phase, of those with a verdict", "", "", &|totals| percent(totals.phase_of_verdicts)),
        row("detected", "", "", &|totals| percent(totals.detected)),
        row("time to detect, median / p90", "15 / 40 s", "8 / 20 s", &detected),
        row("time to right verdict, median", "30 s", "15 s", &|totals| seconds(totals.right_after_s)),
        row("changes of verdict per incident", "2", "1", &|totals| format!("{:.1}", totals.changes)),
        row("most changes in one fault", "", "", &|totals| totals.most_changes.to_string()),
        row("incidents per fault", "", "", &|totals| format!("{:.1}", totals.incidents)),
        row("recovery, median", "60 s", "30 s", &|totals| seconds(totals.recovered_after_s)),
        row("not recovered in time", "", "", &|totals| percent(totals.never_recovered)),
        row("wrong and confident", "", "none", &|totals| percent(totals.wrong_and_confident)),
        row("right, but doubted: a miss", "", "", &|totals| percent(totals.right_but_doubted)),
        row("incidents before a fault, per hour", "", "", &|totals| per_hour(totals.before, totals.before_hours)),
        row("new incidents after a fault", "", "", &|totals| totals.after.to_string()),
    ];
    for (way, name) in Guesses::NAMES.iter().enumerate() {
        let right = |totals: &Totals| format!("{:.0} %", totals.guesses[way] * 100.0);
        rows.push(row(&format!("top-1 of {name}"), "", "", &right));
    }
    Table { title: title.to_owned(), head, rows }
}

fn by_class(plays: &[&Played]) -> Table {
    let head = ["class", "faults", "top-1", "top-3", "class", "phase", "detect", "right", "changes", "wrong+sure"];
    let rows = grouped(plays, |played| &played.name).into_iter().map(|(name, plays)| {
        let totals = totals(&scores(&plays));
        vec![
            name,
            totals.tier.of.to_string(),
            percent(totals.tier),
            percent(totals.top_three),
            percent(totals.class),
            percent(totals.phase),
            seconds(totals.detected_after_s.map(|(median, _)| median)),
            seconds(totals.right_after_s),
            format!("{:.1}", totals.changes),
            totals.wrong_and_confident.part.to_string(),
        ]
    });
    Table { title: "By class".to_owned(), head: head.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// The classes down, what they were taken for across; columns that no play is in are left out.
fn confused(plays: &[&Played]) -> Table {
    let taken = confusion(scores(plays).into_iter());
    let for_what: BTreeSet<&str> = taken.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
    let number = |class: &str| taken.keys().position(|known| known == class);
    let is_class = |name: &str| name != SILENT && name != NO_CLASS;
    let mut columns: Vec<&str> = for_what.iter().copied().filter(|name| is_class(name)).collect();
    // First by the number of the row, then what has no row, then what is no class.
    columns.sort_by_key(|name| number(name).unwrap_or(usize::MAX));
    columns.extend(for_what.iter().copied().filter(|name| !is_class(name)));
    let mut head = vec!["the fault, and what it was taken for".to_owned()];
    head.extend(columns.iter().map(|name| number(name).map_or_else(|| (*name).to_owned(), |at| (at + 1).to_string())));
    let rows = taken.iter().enumerate().map(|(at, (class, taken_for))| {
        let cell = |name: &&str| taken_for.get(*name).map_or_else(|| ".".to_owned(), ToString::to_string);
        let mut cells = vec![format!("{} {class}", at + 1)];
        cells.extend(columns.iter().map(cell));
        cells
    });
    Table { title: "What was taken for what".to_owned(), head, rows: rows.collect() }
}

fn false_alarms(plays: &[&Played]) -> Table {
    let row = |(name, plays): (String, Vec<&Played>)| {
        let hours: f64 = plays.iter().filter_map(|played| played.healthy()).map(|score| score.hours).sum();
        let incidents: usize =
            plays.iter().filter_map(|played| played.healthy()).map(|score| score.incidents.len()).sum();
        vec![name, format!("{hours:.1}"), incidents.to_string(), per_hour(incidents, hours)]
    };
    let mut rows = vec![row(("all (floor 0.5, good 0.1 per hour)".to_owned(), plays.to_vec()))];
    rows.extend(grouped(plays, |played| &played.load).into_iter().map(row));
    rows.extend(grouped(plays, |played| &played.intensity).into_iter().map(row));
    let head = ["healthy but noisy", "hours", "false incidents", "per hour"].map(str::to_owned).to_vec();
    Table { title: "False alarms".to_owned(), head, rows }
}

fn false_verdicts(plays: &[&Played]) -> Table {
    let mut said = BTreeMap::<&str, usize>::new();
    for incident in plays.iter().filter_map(|played| played.healthy()).flat_map(|score| &score.incidents) {
        *said.entry(incident).or_default() += 1;
    }
    let rows = said.into_iter().map(|(says, times)| vec![says.to_owned(), times.to_string()]).collect();
    Table { title: "What they said".to_owned(), head: vec!["verdict".to_owned(), "times".to_owned()], rows }
}

fn notes(plays: &[Played], page: &mut String) {
    let (spans, cpu_s) =
        plays.iter().fold((0, 0.0), |(spans, cpu_s), played| (spans + played.spans, cpu_s + played.cpu_s));
    let millions = spans as f64 / 1e6;
    let _ = writeln!(
        page,
        "{} plays, {millions:.1} million spans, {cpu_s:.0} s of processor time: {:.1} s for a play, {:.1} s for a\n\
         million spans, the simulation included.",
        plays.len(),
        cpu_s / plays.len().max(1) as f64,
        cpu_s / millions.max(1e-9)
    );
    let classes: BTreeSet<&str> =
        plays.iter().filter_map(|played| played.fault()).map(|score| score.truth.class.as_str()).collect();
    let unknown: Vec<&str> =
        classes.iter().copied().filter(|class| CLASSES.iter().all(|known| known.name != *class)).collect();
    if !unknown.is_empty() {
        let _ = writeln!(page, "\nFaults without a row in the table of classes: {}.", unknown.join(", "));
    }
    let _ = writeln!(
        page,
        "\nVirtual time: the telemetry is that of a model of the demo, by the author of the rules. A verdict counts\n\
         once it has stayed for 10 s; silence is a miss. Confident is {CONFIDENT} and more. The simple ways are told\n\
         the onset and look 30 s later."
    );
}

fn percent(share: Share) -> String {
    if share.of == 0 {
        return unknown();
    }
    format!("{:.0} %", share.part as f64 * 100.0 / share.of as f64)
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(unknown, |value| format!("{value:.0} s"))
}

fn per_hour(count: usize, hours: f64) -> String {
    if hours > 0.0 { format!("{:.2}", count as f64 / hours) } else { unknown() }
}

fn unknown() -> String {
    "-".to_owned()
}
