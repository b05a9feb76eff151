//! Pictures of every screen with fixed data at a fixed time; styles are asserted apart.

use std::sync::Arc;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::style::Modifier;
use tiertop_core::time::UnixNanos;

use super::*;
use crate::event::Event;
use crate::fixture;
use crate::keymap::Key;
use crate::source::{SourceLabel, SourceUpdate};

/// A screen that got these snapshots, one a second, the last one at the time of the fixtures.
fn app(snapshots: &[tiertop_core::snapshot::Snapshot]) -> App {
    let first = fixture::NOW_S + 1 - snapshots.len() as u64;
    let mut app = App::new(SourceLabel::Demo, UnixNanos::from_seconds(first));
    for (second, snapshot) in (first..).zip(snapshots) {
        app.update(Event::Tick(UnixNanos::from_seconds(second)));
        app.update(Event::Source(SourceUpdate::Snapshot(Arc::new(snapshot.clone()))));
    }
    app
}

fn press(app: &mut App, keys: &[KeyCode]) {
    for key in keys {
        app.update(Event::Key(Key::Plain(*key).event()));
    }
}

fn draw_with(app: &mut App, look: &Look, columns: u16, rows: u16) -> Buffer {
    app.update(Event::Resize(columns, rows));
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(app, look, area, &mut buffer);
    buffer
}

fn picture(app: &mut App, columns: u16, rows: u16) -> String {
    let look = Look::new(Palette::Dark, Signs::Unicode);
    text(&draw_with(app, &look, columns, rows))
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row {
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = crate::format::width(cell.symbol()).max(1);
            }
            skip -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

macro_rules! picture {
    ($name:literal, $app:expr, $columns:literal x $rows:literal) => {
        let name = format!("{}_{}x{}", $name, $columns, $rows);
        insta::assert_snapshot!(name, picture(&mut $app, $columns, $rows));
    };
}

#[test]
fn overview_with_warnings() {
    let mut app = app(&[fixture::warning()]);
    press(&mut app, &[KeyCode::Char('w')]);
    picture!("overview", app, 80 x 24);
    picture!("overview", app, 120 x 40);
    picture!("overview", app, 200 x 60);
    picture!("overview", app, 120 x 24);
    picture!("overview", app, 60 x 20);
    picture!("overview", app, 36 x 20);
    picture!("overview", app, 20 x 5);
}

#[test]
fn overview_on_a_good_day() {
    let mut app = app(&[fixture::calm()]);
    picture!("calm", app, 80 x 24);
    picture!("calm", app, 120 x 40);
}

#[test]
fn overview_of_an_odd_system() {
    let mut app = app(&[fixture::odd()]);
    press(&mut app, &[KeyCode::Char('w')]);
    picture!("odd", app, 80 x 24);
    picture!("odd", app, 120 x 40);
}

#[test]
fn one_tier_and_its_panes() {
    let mut app = app(&[fixture::warning()]);
    press(&mut app, &[KeyCode::Char('w'), KeyCode::Enter]);
    picture!("tier", app, 80 x 24);
    picture!("tier", app, 120 x 40);
    picture!("tier", app, 200 x 60);
    for pane in ["instances", "latency", "signals", "calls"] {
        press(&mut app, &[KeyCode::Tab]);
        let name = format!("tier_{pane}_80x24");
        insta::assert_snapshot!(name, picture(&mut app, 80, 24));
    }
}

#[test]
fn the_pipeline_says_how_exporters_are_and_the_header_that_one_is_not_shipping() {
    let mut app = app(&[fixture::throttled()]);
    let overview = picture(&mut app, 120, 40);
    assert!(overview.lines().next().unwrap().contains("! cloudwatch not shipping"), "{overview}");
    press(&mut app, &[KeyCode::Char('i')]);
    picture!("pipeline", app, 80 x 24);
    picture!("pipeline", app, 120 x 40);
    app.update(Event::Resize(80, 24));
    press(&mut app, &[KeyCode::End]);
    picture!("pipeline_end", app, 80 x 24);
}

#[test]
fn a_stall_that_lasts_stands_above_what_nobody_can_explain() {
    let mut app = app(&[fixture::stalled()]);
    picture!("stalled", app, 80 x 24);
    picture!("stalled", app, 120 x 40);
    let picture = picture(&mut app, 80, 24);
    assert!(picture.contains("STALL  no completions at lb for 1.8 s, sources still report"), "{picture}");
    assert!(
        picture.contains("UNEXPLAINED  requests take 31ms longer") && picture.contains("41 % attributed"),
        "{picture}"
    );
}

#[test]
fn a_verdict_is_the_banner_and_its_warning_is_not_said_twice() {
    let mut app = app(&[fixture::warning()]);
    let verdict = picture(&mut app, 80, 24);
    assert!(
        verdict.contains("▲ a replica falls behind") && verdict.contains("sure 0.9") && verdict.contains("1 of 3"),
        "{verdict}"
    );
    press(&mut app, &[KeyCode::Char('n')]);
    let next = picture(&mut app, 80, 24);
    assert!(next.contains("slower than usual") && next.contains("2 of 3"), "{next}");
}

#[test]
fn the_tier_at_fault_is_marked_in_its_row_though_no_warning_is_open_on_it() {
    let mut snapshot = fixture::warning();
    snapshot.warnings.clear();
    for tier in &mut snapshot.tiers {
        tier.state = tiertop_core::snapshot::TierState::Fine;
    }
    let row = |snapshot: &tiertop_core::snapshot::Snapshot| {
        let picture = picture(&mut app(std::slice::from_ref(snapshot)), 80, 24);
        picture.lines().find(|line| line.contains("db-replica   order")).unwrap().to_owned()
    };
    assert!(row(&snapshot).contains("▲ crit"));
    snapshot.diagnosis.incidents[0].verdict.as_mut().unwrap().confidence = 0.3;
    assert!(row(&snapshot).contains("! warn"));
    snapshot.diagnosis.incidents.clear();
    assert!(!row(&snapshot).contains("warn"));
}

#[test]
fn why_there_is_no_verdict_is_said_on_a_calm_screen() {
    let mut few = fixture::calm();
    few.diagnosis.state = tiertop_core::snapshot::DiagnosisState::TooFew;
    few.diagnosis.summary = "too few traces: 12 in 10 s".to_owned();
    let few = picture(&mut app(&[few]), 80, 24);
    assert!(few.contains("no verdict: too few traces: 12 in 10 s"), "{few}");
    let healthy = picture(&mut app(&[fixture::calm()]), 80, 24);
    assert!(healthy.contains("● healthy: no verdict"), "{healthy}");
}

#[test]
fn what_ended_of_late_is_said_once_the_verdict_before_the_warning() {
    let mut calm = fixture::calm();
    let incident = &mut calm.diagnosis.incidents[0];
    incident.ended_unix_ms = Some(calm.at_unix_ms - 17_000);
    let verdict = incident.verdict.as_ref().unwrap();
    let said_already = tiertop_core::snapshot::WarningView {
        title: verdict.title.clone(),
        tier: verdict.tier.id.clone(),
        ..calm.warnings[0].clone()
    };
    calm.warnings.push(said_already);
    let picture = picture(&mut app(&[calm]), 120, 40);
    let said = "requests wait for a database connection on app content ended 17 s ago";
    assert_eq!(picture.matches("requests wait for a database connection").count(), 1, "{picture}");
    assert!(picture.find(said).unwrap() < picture.find("errors on app content").unwrap(), "{picture}");
}

#[test]
fn diagnosis() {
    let mut app = app(&[fixture::warning()]);
    press(&mut app, &[KeyCode::Char('d')]);
    picture!("diagnosis", app, 80 x 24);
    picture!("diagnosis", app, 120 x 40);
    picture!("diagnosis", app, 200 x 60);
    press(&mut app, &[KeyCode::Tab, KeyCode::Tab]);
    picture!("diagnosis_capacity", app, 80 x 24);
    app.update(Event::Resize(80, 24));
    press(&mut app, &[KeyCode::Char('G')]);
    picture!("diagnosis_capacity_end", app, 80 x 24);
    press(&mut app, &[KeyCode::Tab, KeyCode::Char('j'), KeyCode::Char('j'), KeyCode::Char('j')]);
    picture!("diagnosis_stall", app, 80 x 24);
}

#[test]
fn diagnosis_of_a_system_of_which_nothing_is_known() {
    let mut app = app(&[fixture::odd()]);
    press(&mut app, &[KeyCode::Char('d')]);
    picture!("diagnosis_of_nothing", app, 80 x 24);
    press(&mut app, &[KeyCode::Char('t')]);
    picture!("traces_of_nothing", app, 80 x 24);
}

#[test]
fn traces_and_one_of_them() {
    let mut app = app(&[fixture::warning()]);
    press(&mut app, &[KeyCode::Char('t')]);
    picture!("traces", app, 80 x 24);
    picture!("traces", app, 120 x 40);
    press(&mut app, &[KeyCode::Char('j'), KeyCode::Enter, KeyCode::Char('j'), KeyCode::Char('j')]);
    picture!("trace", app, 80 x 24);
    picture!("trace", app, 120 x 40);
    picture!("trace", app, 200 x 60);
    let look = Look::new(Palette::None, Signs::Ascii);
    let ascii = text(&draw_with(&mut app, &look, 80, 24));
    assert!(ascii.is_ascii() && !ascii.replace(" ? help", "").contains('?'), "{ascii}");
    insta::assert_snapshot!("trace_ascii_80x24", ascii);
}

#[test]
fn help() {
    let mut app = app(&[fixture::calm()]);
    press(&mut app, &[KeyCode::Char('?')]);
    picture!("help", app, 80 x 24);
    picture!("help", app, 120 x 40);
    app.update(Event::Resize(80, 24));
    press(&mut app, &[KeyCode::Char('G')]);
    picture!("help_end", app, 80 x 24);
}

#[test]
fn waiting_for_the_first_span() {
    let mut waiting = app(&[fixture::waiting()]);
    picture!("waiting", waiting, 80 x 24);
    picture!("waiting", waiting, 120 x 40);
    picture!("waiting", waiting, 40 x 8);
    let mut logs = fixture::waiting();
    logs.pipeline.logs_accepted = 1200;
    picture!("waiting_logs", app(&[logs]), 80 x 24);
}

fn connecting(attempt: u32) -> Event {
    Event::Source(SourceUpdate::Connecting {
        address: "10.0.0.7:4319".to_owned(),
        attempt,
        error: Some("connection refused".to_owned()),
    })
}

#[test]
fn connecting_before_and_after_data() {
    let mut before = app(&[]);
    before.update(connecting(2));
    picture!("connecting", before, 80 x 24);
    picture!("connecting", before, 120 x 40);
    let mut after = app(&[fixture::warning()]);
    after.update(connecting(4));
    after.update(Event::Tick(UnixNanos::from_seconds(fixture::NOW_S + 12)));
    let text = picture(&mut after, 80, 24);
    assert!(text.contains("connecting, last data 12 s ago"), "{text}");
    picture!("connecting_again", after, 80 x 24);
    picture!("connecting_again", after, 120 x 40);
}

#[test]
fn paused_while_data_keeps_coming() {
    let mut app = app(&[fixture::warning()]);
    press(&mut app, &[KeyCode::Char(' ')]);
    app.update(Event::Tick(UnixNanos::from_seconds(fixture::NOW_S + 7)));
    let newer = fixture::later(fixture::calm(), 7);
    app.update(Event::Source(SourceUpdate::Snapshot(Arc::new(newer))));
    picture!("paused", app, 80 x 24);
    picture!("paused", app, 120 x 40);
}

#[test]
fn the_header_says_where_data_comes_from() {
    let mut app = app(&[fixture::warning()]);
    app.label = SourceLabel::Attached("127.0.0.1:4319".to_owned());
    let wide = picture(&mut app, 120, 40);
    assert!(wide.contains("attached 127.0.0.1:4319"), "{wide}");
    let narrow = picture(&mut app, 80, 24);
    assert!(narrow.starts_with(" tiertop  127.0.0.1:4319  "), "{narrow}");
}

#[test]
fn ascii_alone() {
    let mut app = app(&[fixture::warning()]);
    let look = Look::new(Palette::None, Signs::Ascii);
    let picture = text(&draw_with(&mut app, &look, 120, 40));
    assert!(picture.is_ascii());
    insta::assert_snapshot!("ascii_120x40", picture);
}

/// Applications in every state a user can bring them to, with odd data among it.
fn states() -> Vec<App> {
    let mut states = vec![app(&[])];
    for snapshot in [fixture::warning(), fixture::stalled(), fixture::calm(), fixture::waiting(), fixture::odd()] {
        let mut tier = app(std::slice::from_ref(&snapshot));
        press(&mut tier, &[KeyCode::Char('w'), KeyCode::Enter]);
        for _ in 0..5 {
            press(&mut tier, &[KeyCode::Tab, KeyCode::Char('G')]);
            states.push(tier.clone());
        }
        let mut looking = app(std::slice::from_ref(&snapshot));
        press(&mut looking, &[KeyCode::Char('d')]);
        for _ in 0..3 {
            press(&mut looking, &[KeyCode::Tab, KeyCode::Char('G')]);
            states.push(looking.clone());
        }
        for keys in [[KeyCode::Char('t'), KeyCode::Char('G')], [KeyCode::Enter, KeyCode::Char('G')]] {
            press(&mut looking, &keys);
            states.push(looking.clone());
        }
        let mut last = app(std::slice::from_ref(&snapshot));
        press(&mut last, &[KeyCode::Char('G'), KeyCode::Char(' ')]);
        last.update(connecting(3));
        states.push(last.clone());
        press(&mut last, &[KeyCode::Char('?'), KeyCode::Char('G')]);
        states.push(last);
    }
    states
}

#[test]
fn every_size_draws_something_and_none_panics() {
    let look = Look::new(Palette::Dark, Signs::Unicode);
    let widths = (1..=10).chain([20, 36, 40, 60, 80, 120, 190]);
    let mut states = states();
    for columns in widths {
        for rows in (1..=10).chain([12, 14, 16, 20, 24, 30, 40]) {
            for state in &mut states {
                let picture = text(&draw_with(state, &look, columns, rows));
                assert!(columns < 10 || !picture.trim().is_empty(), "{columns}x{rows}");
            }
        }
    }
}

#[test]
fn the_cursor_is_seen_at_every_size() {
    let mut app = app(&[fixture::odd()]);
    let look = Look::new(Palette::None, Signs::Unicode);
    for rows in 4..40 {
        for steps in 0..30 {
            press(&mut app, &[KeyCode::Char('g')]);
            press(&mut app, &vec![KeyCode::Char('j'); steps]);
            let buffer = draw_with(&mut app, &look, 80, rows);
            let mut cells = buffer.content.iter();
            let marked = cells.any(|cell| cell.modifier.contains(Modifier::REVERSED));
            assert!(marked, "80x{rows}, row {steps}");
        }
    }
}

#[test]
fn twelve_tiers_fit_eighty_by_twenty_four() {
    let mut app = app(&[fixture::warning()]);
    let picture = picture(&mut app, 80, 24);
    for kind in ["edge", "lb", "web", "worker", "warehouse", "external"] {
        assert!(picture.contains(&format!(" {kind} ")), "{picture}");
    }
    assert!(!picture.contains("more"), "{picture}");
}

#[test]
fn what_is_bad_looks_bad_and_says_so() {
    let mut app = app(&[fixture::warning()]);
    let theme = Theme::new(Palette::Dark);
    let look = Look::new(Palette::Dark, Signs::Unicode);
    let buffer = draw_with(&mut app, &look, 80, 24);
    let signs: Vec<_> = buffer.content.iter().filter(|cell| cell.symbol() == "▲").collect();
    assert!(signs.len() >= 3);
    assert!(signs.iter().all(|cell| Some(cell.fg) == theme.bad.fg));
    let picture = text(&buffer);
    assert!(picture.contains("sure 0.9") && picture.contains("▲ crit") && picture.contains("! warn"));
}

#[test]
fn the_header_marks_what_was_refused() {
    let mut app = app(&[fixture::odd()]);
    let header = picture(&mut app, 120, 40);
    let header = header.lines().next().unwrap_or_default();
    assert!(header.contains("! refused 123k") && header.contains("! late 1.0M"), "{header}");
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let signs = |pairs: &[(&str, &str)]| {
        Signs::from_environment(|name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(signs(&[("LANG", "en_GB.UTF-8")]), Signs::Unicode);
    assert_eq!(signs(&[("LANG", "C.utf8"), ("LC_ALL", "")]), Signs::Unicode);
    assert_eq!(signs(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]), Signs::Ascii);
    assert_eq!(signs(&[]), Signs::Ascii);
}
