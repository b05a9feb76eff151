//! The real loop with scripted events, and the bytes that reach a terminal.

use std::sync::Arc;

use crossterm::event::KeyCode;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};

use super::*;
use crate::fixture;
use crate::keymap::Key;

/// Sends events half a second apart, in paused time, and gives back the last picture and the exit.
async fn play(events: Vec<Event>) -> (String, Result<Exit>, Vec<Control>) {
    let (sender, receiver) = channel(WAITING_EVENTS);
    tokio::spawn(async move {
        for event in events {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if sender.send(event).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut app = App::new(SourceLabel::Demo, UnixNanos::from_seconds(fixture::NOW_S));
    let look = Look::new(Palette::None, Signs::Unicode);
    let mut asked = Vec::new();
    let exit = drive(&mut terminal, &mut app, &look, (receiver, channel(1).0), |control| {
        asked.push(control);
        Ok(())
    })
    .await;
    (terminal.backend().to_string(), exit, asked)
}

fn key(code: KeyCode) -> Event {
    Event::Key(Key::Plain(code).event())
}

fn data() -> Event {
    Event::Source(SourceUpdate::Snapshot(Arc::new(fixture::warning())))
}

fn tick(seconds: u64) -> Event {
    Event::Tick(UnixNanos::from_seconds(fixture::NOW_S + seconds))
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_on_the_picture_that_its_keys_lead_to() {
    let (picture, exit, _) = play(vec![
        tick(0),
        data(),
        key(KeyCode::Char('w')),
        key(KeyCode::Enter),
        key(KeyCode::Tab),
        tick(1),
        key(KeyCode::Char('q')),
    ])
    .await;
    assert_eq!(exit.unwrap(), Exit::Quit);
    assert!(picture.contains("db-replica orders-ro@db2:5432"), "{picture}");
    assert!(picture.contains("[instances 1]"), "{picture}");
}

#[tokio::test(start_paused = true)]
async fn the_first_picture_comes_before_any_event() {
    let (picture, exit, _) = play(Vec::new()).await;
    assert_eq!(exit.unwrap(), Exit::Quit);
    assert!(picture.contains("Starting: no data yet"), "{picture}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_is_drawn_too() {
    let (sender, receiver) = channel(WAITING_EVENTS);
    tokio::spawn(async move {
        for seconds in 0..2000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            let update = SourceUpdate::Snapshot(Arc::new(fixture::later(fixture::calm(), seconds)));
            sender.send(Event::Source(update)).await.unwrap();
        }
        sender.send(Event::Signal(Signal::Terminate)).await.unwrap();
    });
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut app = App::new(SourceLabel::Demo, UnixNanos::from_seconds(fixture::NOW_S));
    let look = Look::new(Palette::None, Signs::Unicode);
    let exit = drive(&mut terminal, &mut app, &look, (receiver, channel(1).0), |_| Ok(())).await;
    assert_eq!(exit.unwrap(), Exit::Signal(Signal::Terminate));
    assert!(terminal.backend().to_string().contains("LIVE"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_nobody_takes_up_is_over_with_the_next_tick() {
    let stop = Event::Key(Key::Ctrl('z').event());
    let (picture, _, asked) = play(vec![data(), stop.clone(), tick(1)]).await;
    assert_eq!(asked, [Control::Suspend, Control::Retake]);
    assert!(picture.contains("replica lag"), "{picture}");
    let (_, _, asked) = play(vec![data(), stop, Event::Signal(Signal::Continue)]).await;
    assert_eq!(asked, [Control::Suspend, Control::Retake]);
}

/// What a terminal gets for one picture.
fn bytes(palette: Palette) -> String {
    crossterm::style::force_color_output(true);
    let mut written = Vec::new();
    let viewport = Viewport::Fixed(Rect::new(0, 0, 120, 40));
    let backend = CrosstermBackend::new(&mut written);
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    let mut app = App::new(SourceLabel::Demo, UnixNanos::from_seconds(fixture::NOW_S));
    app.update(data());
    let look = Look::new(palette, Signs::Unicode);
    terminal.draw(|frame| screen::draw(&app, &look, frame.area(), frame.buffer_mut())).unwrap();
    drop(terminal);
    String::from_utf8(written).unwrap()
}

/// The parameters of every "select graphic rendition" in a text.
fn renditions(bytes: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for piece in bytes.split("\u{1b}[").skip(1) {
        if let Some((rendition, _)) = piece.split_once('m')
            && rendition.bytes().all(|sign| matches!(sign, b'0'..=b'9' | b';'))
        {
            found.push(rendition);
        }
    }
    found
}

#[test]
fn without_colours_there_are_none_but_bold_and_reversed_begin_and_end() {
    let bytes = bytes(Palette::None);
    let renditions = renditions(&bytes);
    for rendition in &renditions {
        let known = ["0", "1", "4", "7", "22", "24", "27", "39", "49", "59", "39;49"];
        assert!(known.contains(rendition), "{rendition}");
    }
    for needed in ["1", "7", "0"] {
        assert!(renditions.contains(&needed), "{needed}");
    }
}

#[test]
fn sixteen_colours_are_the_sixteen() {
    let bytes = bytes(Palette::Sixteen);
    let renditions = renditions(&bytes);
    // crossterm writes the sixteen as the first of the 256, which 16-colour terminals take too.
    let numbers = renditions.iter().flat_map(|rendition| {
        let parts = rendition.split("8;5;").skip(1);
        parts.map(|part| part.split(';').next().unwrap_or_default())
    });
    let numbers: Vec<u8> = numbers.map(|number| number.parse().unwrap()).collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|number| *number < 16), "{numbers:?}");
}

#[test]
fn the_wide_palettes_keep_the_terminals_background() {
    for palette in [Palette::Dark, Palette::Light] {
        let bytes = bytes(palette);
        let renditions = renditions(&bytes);
        let backgrounds: Vec<_> = renditions.iter().filter(|r| r.starts_with("48;")).collect();
        // The row under the cursor alone has its own.
        assert!(backgrounds.windows(2).all(|pair| pair[0] == pair[1]), "{backgrounds:?}");
        assert!(renditions.iter().any(|rendition| rendition.starts_with("38;5;")));
    }
}
