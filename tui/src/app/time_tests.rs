//! Going back in time, and playing a recording, as a user does it.

use std::sync::Arc;

use crossterm::event::KeyCode;

use super::*;
use crate::fixture;
use crate::keymap::Key;
use crate::source::{Ask, Playing, Speed};

const NOW_MS: u64 = fixture::NOW_S * 1_000;

fn app(label: SourceLabel) -> App {
    let mut app = App::new(label, UnixNanos::from_seconds(fixture::NOW_S));
    app.update(Event::Source(SourceUpdate::Snapshot(second(NOW_MS))));
    app
}

fn second(at_unix_ms: u64) -> Arc<Snapshot> {
    Arc::new(Snapshot { at_unix_ms, ..fixture::warning() })
}

fn press(app: &mut App, letter: KeyCode) -> Option<Ask> {
    let effects = app.update(Event::Key(Key::Plain(letter).event()));
    effects.iter().find_map(|effect| if let Effect::Ask(ask) = effect { Some(*ask) } else { None })
}

fn comes(app: &mut App, at_unix_ms: u64) {
    app.update(Event::Source(SourceUpdate::Past(second(at_unix_ms))));
}

fn shown_ms(app: &App) -> u64 {
    app.shown().unwrap().at_unix_ms
}

#[test]
fn left_shows_the_second_before_and_right_goes_on_until_it_is_live_again() {
    let mut app = app(SourceLabel::Embedded);
    assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS - 1_000)));
    comes(&mut app, NOW_MS - 1_000);
    assert_eq!(shown_ms(&app), NOW_MS - 1_000);
    assert_eq!(app.status(), Status::Past { at_unix_ms: NOW_MS - 1_000, step_s: 1 });
    app.update(Event::Source(SourceUpdate::Snapshot(second(NOW_MS + 1_000))));
    assert_eq!(shown_ms(&app), NOW_MS - 1_000, "data keeps coming, and the picture stays");
    assert_eq!(press(&mut app, KeyCode::Right), Some(Ask::At(NOW_MS)));
    comes(&mut app, NOW_MS);
    assert_eq!(press(&mut app, KeyCode::Right), None);
    assert_eq!((shown_ms(&app), app.status()), (NOW_MS + 1_000, Status::Live));
}

#[test]
fn a_key_that_is_held_down_goes_further_than_answers_come() {
    let mut app = app(SourceLabel::Embedded);
    for steps in 1..=5 {
        assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS - steps * 1_000)));
    }
}

#[test]
fn zoom_makes_steps_longer_and_shorter_within_bounds() {
    let mut app = app(SourceLabel::Embedded);
    for _ in 0..20 {
        press(&mut app, KeyCode::Char('-'));
    }
    assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS - STEPS_S[STEPS_S.len() - 1] * 1_000)));
    for _ in 0..20 {
        press(&mut app, KeyCode::Char('+'));
    }
    press(&mut app, KeyCode::Char('a'));
    assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS - 1_000)));
}

#[test]
fn a_and_space_go_back_to_live_and_what_comes_late_does_not_undo_it() {
    for key in [KeyCode::Char('a'), KeyCode::Char(' ')] {
        let mut app = app(SourceLabel::Embedded);
        press(&mut app, KeyCode::Left);
        comes(&mut app, NOW_MS - 1_000);
        press(&mut app, key);
        comes(&mut app, NOW_MS - 1_000);
        assert_eq!((shown_ms(&app), app.status()), (NOW_MS, Status::Live));
    }
}

#[test]
fn from_a_held_picture_one_goes_back_too() {
    let mut app = app(SourceLabel::Embedded);
    press(&mut app, KeyCode::Char(' '));
    app.update(Event::Source(SourceUpdate::Snapshot(second(NOW_MS + 9_000))));
    assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS - 1_000)));
}

#[test]
fn an_incident_is_jumped_to_from_its_line() {
    let mut app = app(SourceLabel::Embedded);
    press(&mut app, KeyCode::Char('d'));
    let opened = app.shown().unwrap().diagnosis.incidents[0].opened_unix_ms;
    assert_eq!(press(&mut app, KeyCode::Char('o')), Some(Ask::At(opened)));
}

#[test]
fn a_recording_is_held_played_faster_and_moved_in() {
    let mut app = app(SourceLabel::Replay("night".to_owned()));
    let speed = Speed::default();
    let playing = Playing { on: true, speed, first_unix_ms: NOW_MS - 60_000, last_unix_ms: NOW_MS + 60_000 };
    app.update(Event::Source(SourceUpdate::Playing(playing)));
    assert_eq!(app.status(), Status::Replay(playing));
    assert_eq!(press(&mut app, KeyCode::Char(' ')), Some(Ask::Play { on: false, speed }));
    assert_eq!(press(&mut app, KeyCode::Char('>')), Some(Ask::Play { on: true, speed: speed.changed(1) }));
    assert_eq!(press(&mut app, KeyCode::Right), Some(Ask::At(NOW_MS + 1_000)), "its newest second is no bound");
    app.update(Event::Source(SourceUpdate::Snapshot(second(NOW_MS + 1_000))));
    assert_eq!(shown_ms(&app), NOW_MS + 1_000);
    assert_eq!(press(&mut app, KeyCode::Left), Some(Ask::At(NOW_MS)));
}
