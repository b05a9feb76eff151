//! What a user does and what comes of it, told as scenarios.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::fixture;
use crate::keymap::Key;
use crate::source::{Playing, Speed};

const NOW: u64 = fixture::NOW_S;

fn app(snapshot: Snapshot) -> App {
    let mut app = App::new(SourceLabel::Embedded, UnixNanos::from_seconds(NOW));
    send(&mut app, snapshot);
    app
}

fn send(app: &mut App, snapshot: Snapshot) {
    app.update(Event::Source(SourceUpdate::Snapshot(Arc::new(snapshot))));
}

fn press(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.update(Event::Key(Key::Plain(code).event()))
}

fn tick(app: &mut App, second: u64) -> Vec<Effect> {
    app.update(Event::Tick(UnixNanos::from_seconds(second)))
}

fn under_cursor(app: &App) -> String {
    let tiers = &app.shown().unwrap().tiers;
    tiers[app.cursor.place(tiers)].id.clone()
}

#[test]
fn q_and_ctrl_c_quit_from_everywhere() {
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for keys in [&[][..], &[KeyCode::Enter], &[KeyCode::Char('?')]] {
        let mut app = app(fixture::warning());
        for key in keys {
            press(&mut app, *key);
        }
        let quit = vec![Effect::Quit(Exit::Quit)];
        assert_eq!(press(&mut app.clone(), KeyCode::Char('q')), quit);
        assert_eq!(app.update(Event::Key(ctrl_c)), quit);
    }
}

#[test]
fn esc_goes_back_one_step_at_a_time_and_stays_on_the_overview() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Enter);
    press(&mut app, KeyCode::Char('?'));
    assert_eq!(app.context(), Context::Help);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.context(), Context::Tier);
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.context(), Context::Overview);
    for _ in 0..3 {
        assert_eq!(press(&mut app, KeyCode::Esc), []);
        assert_eq!(app.context(), Context::Overview);
    }
}

#[test]
fn the_cursor_stays_on_its_tier_when_rows_move_and_near_it_when_it_goes() {
    let mut app = app(fixture::warning());
    for _ in 0..5 {
        press(&mut app, KeyCode::Char('j'));
    }
    assert_eq!(under_cursor(&app), "db-primary/orders@db1:5432");
    let mut moved = fixture::warning();
    moved.tiers.remove(0);
    moved.tiers.remove(0);
    send(&mut app, moved.clone());
    assert_eq!(under_cursor(&app), "db-primary/orders@db1:5432");
    moved.tiers.remove(3);
    send(&mut app, moved);
    assert_eq!(under_cursor(&app), "db-replica/orders-ro@db2:5432");
}

#[test]
fn the_cursor_stays_inside() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Up);
    assert_eq!(under_cursor(&app), "edge/cdn");
    press(&mut app, KeyCode::Char('G'));
    press(&mut app, KeyCode::PageDown);
    assert_eq!(under_cursor(&app), "external/api.payments.example");
    press(&mut app, KeyCode::Home);
    assert_eq!(under_cursor(&app), "edge/cdn");
}

#[test]
fn a_pause_holds_the_picture_while_data_keeps_coming() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Char(' '));
    send(&mut app, fixture::calm());
    assert!(!app.open_warnings().is_empty());
    assert!(app.live().unwrap().warnings.iter().all(|warning| warning.ended_unix_ms.is_some()));
    assert!(matches!(app.status(), Status::Paused { source_is_up: true, .. }));
    press(&mut app, KeyCode::Char(' '));
    assert!(app.open_warnings().is_empty());
    assert_eq!(app.status(), Status::Live);
}

#[test]
fn a_pause_says_when_the_source_is_gone_too() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Char(' '));
    tick(&mut app, NOW + 9);
    assert!(matches!(app.status(), Status::Paused { source_is_up: false, .. }));
}

#[test]
fn troubles_are_turned_round_and_w_goes_to_the_tier() {
    let mut app = app(fixture::warning());
    let name = |app: &App| match app.shown_trouble().unwrap().0 {
        Trouble::Incident(incident) => format!("incident {}", incident.id),
        Trouble::Warning(warning) => warning.rule.clone(),
    };
    // The verdict's own warning is not among them.
    assert_eq!(name(&app), "incident 6");
    press(&mut app, KeyCode::Char('p'));
    assert_eq!(name(&app), "queue-growing");
    press(&mut app, KeyCode::Char('n'));
    press(&mut app, KeyCode::Char('n'));
    assert_eq!(name(&app), "slow-tier");
    press(&mut app, KeyCode::Char('w'));
    assert_eq!(under_cursor(&app), "db-primary/orders@db1:5432");
    // Fewer troubles than the one that is shown: the last one shows.
    let mut fewer = fixture::warning();
    fewer.warnings.clear();
    send(&mut app, fewer);
    assert_eq!(name(&app), "incident 6");
}

#[test]
fn a_warning_that_was_there_long_before_the_verdict_is_another_trouble() {
    let mut snapshot = fixture::warning();
    snapshot.warnings[0].since_unix_ms -= 600_000;
    assert_eq!(app(snapshot).troubles().len(), 4);
}

#[test]
fn an_explained_incident_comes_before_an_unexplained_one() {
    let mut snapshot = fixture::warning();
    let mut riddle = snapshot.diagnosis.incidents[0].clone();
    riddle.verdict = None;
    snapshot.diagnosis.incidents.insert(0, riddle);
    let app = app(snapshot);
    assert!(matches!(app.troubles()[..2], [Trouble::Incident(a), Trouble::Incident(b)]
        if a.verdict.is_some() && b.verdict.is_none()));
}

#[test]
fn esc_goes_back_through_the_screens_as_they_were_opened() {
    let mut app = app(fixture::warning());
    for (key, screen) in [
        (KeyCode::Char('d'), Screen::Diagnosis),
        (KeyCode::Char('t'), Screen::Traces),
        (KeyCode::Enter, Screen::Trace),
        (KeyCode::Esc, Screen::Traces),
        (KeyCode::Char('d'), Screen::Diagnosis),
        (KeyCode::Enter, Screen::Tier),
        (KeyCode::Esc, Screen::Diagnosis),
        (KeyCode::Esc, Screen::Overview),
    ] {
        press(&mut app, key);
        assert_eq!(app.screen, screen);
    }
}

#[test]
fn traces_are_those_of_the_tier_at_fault_until_all_are_asked_for() {
    let mut snapshot = fixture::warning();
    for trace in snapshot.traces.iter_mut().skip(1) {
        Arc::make_mut(trace).spans.retain(|span| !span.tier.starts_with("db-replica/"));
    }
    let mut app = app(snapshot);
    let listed = |app: &App| app.looking.traces(app.shown().unwrap()).len();
    press(&mut app, KeyCode::Char('t'));
    assert_eq!(listed(&app), 1);
    press(&mut app, KeyCode::Char('A'));
    assert_eq!(listed(&app), 5);
    press(&mut app, KeyCode::Char('s'));
    let shown = app.shown().unwrap();
    assert!(app.looking.traces(shown).is_sorted_by_key(|trace| std::cmp::Reverse(trace.start_unix_ms)));
}

#[test]
fn an_open_trace_stays_when_the_agent_keeps_others() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Char('t'));
    press(&mut app, KeyCode::Enter);
    let mut others = fixture::warning();
    others.traces.clear();
    send(&mut app, others);
    assert_eq!(app.looking.opened.as_ref().unwrap().operation, "POST /api/v1/content");
    assert_eq!(app.screen, Screen::Trace);
}

#[test]
fn enter_on_a_stall_opens_a_trace_that_stood_in_it_or_says_that_none_is_kept() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Char('d'));
    press(&mut app, KeyCode::Char('G'));
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.screen, Screen::Diagnosis);
    assert!(app.note().unwrap().contains("none of this stall's traces"));
    press(&mut app, KeyCode::Char('k'));
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.screen, Screen::Trace);
    assert!(app.looking.opened.as_ref().unwrap().id.starts_with("5ca1ab1e"));
}

#[test]
fn the_cursor_stays_on_its_incident_when_a_new_one_opens() {
    let mut app = app(fixture::calm());
    press(&mut app, KeyCode::Char('d'));
    press(&mut app, KeyCode::Char('j'));
    assert_eq!(app.shown_finding().unwrap().id(), "incident 4");
    send(&mut app, fixture::warning());
    assert_eq!(app.shown_finding().unwrap().id(), "incident 4");
}

#[test]
fn enter_opens_the_tier_and_tab_goes_through_its_panes() {
    let mut app = app(fixture::warning());
    press(&mut app, KeyCode::Char('w'));
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.opened_tier().unwrap().member, "orders-ro@db2:5432");
    press(&mut app, KeyCode::Char('G'));
    assert_eq!(app.pane_row, 4);
    press(&mut app, KeyCode::Tab);
    assert_eq!((app.pane, app.pane_row), (Pane::Instances, 0));
    press(&mut app, KeyCode::BackTab);
    assert_eq!(app.pane, Pane::Operations);
    let mut gone = fixture::warning();
    gone.tiers.retain(|tier| tier.member != "orders-ro@db2:5432");
    send(&mut app, gone);
    assert!(app.opened_tier().is_none());
}

#[test]
fn a_lost_connection_says_how_old_the_picture_is_and_that_it_came_back() {
    let mut app = app(fixture::warning());
    app.update(Event::Source(SourceUpdate::Connecting {
        address: "10.0.0.7:4319".to_owned(),
        attempt: 1,
        error: None,
    }));
    assert_eq!(tick(&mut app, NOW + 12), [Effect::Draw]);
    assert!(matches!(app.status(), Status::Connecting { last_data_s: Some(12), attempt: 1, .. }));
    app.update(Event::Source(SourceUpdate::Connected { address: "10.0.0.7:4319".to_owned() }));
    assert_eq!(app.note(), Some("connected to 10.0.0.7:4319"));
    send(&mut app, fixture::warning());
    assert_eq!(app.status(), Status::Live);
    assert_eq!(tick(&mut app, NOW + 21), [Effect::Draw]);
    assert_eq!(app.note(), None);
}

#[test]
fn silence_is_said_even_while_connected() {
    let mut app = app(fixture::calm());
    tick(&mut app, NOW + 3);
    assert_eq!(app.status(), Status::Live);
    tick(&mut app, NOW + 7);
    assert_eq!(app.status(), Status::Old(7));
}

#[test]
fn nothing_is_drawn_when_nothing_changed() {
    let mut app = app(fixture::calm());
    assert_eq!(tick(&mut app, NOW + 1), []);
    assert_eq!(press(&mut app, KeyCode::Char('x')), []);
}

#[test]
fn signals_end_it_and_coming_back_draws_anew() {
    let mut app = app(fixture::calm());
    for signal in [Signal::Terminate, Signal::Hangup, Signal::Interrupt] {
        let effects = app.update(Event::Signal(signal));
        assert_eq!(effects, [Effect::Quit(Exit::Signal(signal))]);
    }
    let effects = app.update(Event::Signal(Signal::Continue));
    assert_eq!(effects, [Effect::Retake, Effect::Draw]);
    assert_eq!(app.update(Event::InputClosed), [Effect::Quit(Exit::TerminalGone)]);
}

#[test]
fn every_key_in_the_table_does_something() {
    let all = [
        Context::Overview,
        Context::Tier,
        Context::Diagnosis,
        Context::Traces,
        Context::Trace,
        Context::Pipeline,
        Context::Help,
        Context::Waiting,
    ];
    for context in all {
        for binding in keymap::bindings(context) {
            let mut seen = false;
            for start in starts(context) {
                assert_eq!(start.context(), context);
                let mut after = start.clone();
                let effects = after.update(Event::Key(binding.keys[0].event()));
                let beyond_drawing = effects.iter().any(|effect| *effect != Effect::Draw);
                seen |= beyond_drawing || format!("{after:?}") != format!("{start:?}");
            }
            assert!(seen, "{context:?}: {}", binding.keys_text());
        }
    }
}

/// Applications in a context, with the cursor at the top and at the bottom, and elsewhere in time.
fn starts(context: Context) -> Vec<App> {
    let mut top = app(match context {
        Context::Waiting => fixture::waiting(),
        _ => fixture::warning(),
    });
    top.update(Event::Resize(80, 16));
    match context {
        Context::Tier => drop(press(&mut top, KeyCode::Enter)),
        Context::Help => drop(press(&mut top, KeyCode::Char('?'))),
        Context::Diagnosis => drop(press(&mut top, KeyCode::Char('d'))),
        Context::Traces => drop(press(&mut top, KeyCode::Char('t'))),
        Context::Pipeline => drop(press(&mut top, KeyCode::Char('i'))),
        Context::Trace => {
            press(&mut top, KeyCode::Char('t'));
            press(&mut top, KeyCode::Enter);
        }
        Context::Overview | Context::Waiting => {}
    }
    let mut bottom = top.clone();
    press(&mut bottom, KeyCode::Char('G'));
    // In the past, with longer steps, and in a recording.
    let mut past = top.clone();
    press(&mut past, KeyCode::Char('-'));
    press(&mut past, KeyCode::Left);
    past.update(Event::Source(SourceUpdate::Past(Arc::new(fixture::warning()))));
    let mut recording = App { label: SourceLabel::Replay("night".to_owned()), ..top.clone() };
    let speed = Speed::default();
    let playing = Playing { on: true, speed, first_unix_ms: 0, last_unix_ms: NOW * 1_000 };
    recording.update(Event::Source(SourceUpdate::Playing(playing)));
    vec![top, bottom, past, recording]
}
