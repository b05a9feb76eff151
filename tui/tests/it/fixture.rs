//! The screens on made-up data: they draw, answer keys, and leave the terminal as it was after quit,
//! panic and signals.

use rustix::process::Signal;
use rustix::termios::LocalModes;

use crate::session::Session;
use crate::tiertop;

/// The made-up data in a terminal of 80 by 24.
fn fixture(arguments: &[&str], environment: &[(&str, &str)]) -> Session {
    Session::start(&[&["fixture"], arguments].concat(), environment)
}

/// A session that shows its first picture, the terminal being raw and on its other screen.
fn started(arguments: &[&str]) -> Session {
    let mut session = fixture(arguments, &[]);
    session.until_text("sure 0.9");
    assert!(session.screen().alternate_screen());
    assert!(session.screen().hide_cursor());
    assert!(!session.modes().local_modes.contains(LocalModes::ICANON));
    session
}

#[test]
fn keys_lead_through_the_screens_and_q_leaves() {
    let mut session = started(&[]);
    session.press("w\r");
    session.until_text("[operations 5]");
    session.press("\t");
    session.until_text("[instances 1]");
    session.press("?");
    session.until_instead("this help", "[instances 1]");
    session.press("\x1b");
    session.until_instead("[instances 1]", "this help");
    session.press("\x1b");
    session.until_text("warehouse");
    session.press("d");
    session.until_text("[the selected one]");
    session.press("t");
    session.until_text("slowest first");
    session.press("\r");
    session.until_text("time went to");
    session.press("\x1b");
    session.until_instead("slowest first", "time went to");
    session.press("1");
    session.until_text("warehouse");
    session.press(" ");
    session.until_text("PAUSED");
    session.press(" ");
    session.until_text("LIVE");
    session.press("q");
    assert_eq!(session.ends("left: Quit"), 0);
}

#[test]
fn ctrl_c_leaves() {
    let mut session = started(&[]);
    session.press("\x03");
    assert_eq!(session.ends("left: Quit"), 0);
}

#[test]
fn signals_leave_with_the_code_that_shells_write() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let session = started(&[]);
        session.signal(signal);
        assert_eq!(session.ends("left: Signal"), code);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    for place in ["here", "elsewhere"] {
        let mut session = fixture(&["--panic", place], &[]);
        session.until_text("sure 0.9");
        assert_ne!(session.ends("asked to fail"), 0);
    }
}

#[test]
fn with_no_color_bold_and_reversed_begin_and_end_and_no_colour_is_sent() {
    let mut session = fixture(&[], &[("NO_COLOR", "1")]);
    // The footer is drawn last, and this key is in it only once there are tiers.
    session.until_text("Enter open");
    let screen = session.screen();
    let cells = || (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
    assert!(cells().any(|cell| cell.contents() == "▲" && cell.bold()));
    assert!(cells().any(|cell| cell.contents() == "▸" && cell.inverse()));
    assert!(cells().any(|cell| cell.contents() == "w" && !cell.bold() && !cell.inverse()));
    let colour = |cell: &vt100::Cell| (cell.fgcolor(), cell.bgcolor());
    let none = (vt100::Color::Default, vt100::Color::Default);
    assert!(cells().all(|cell| colour(cell) == none));
    session.press("q");
    session.ends("left: Quit");
}

#[test]
fn without_utf8_every_sign_is_ascii() {
    let mut session = fixture(&[], &[("LC_ALL", "C")]);
    session.until_text("sure 0.9");
    assert!(session.raw.is_ascii());
    session.press("q");
    session.ends("left: Quit");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let output = tiertop(&["fixture"]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--once") && !said.contains('\x1b'), "{said}");
}

#[test]
fn once_is_plain_text_and_json_is_json() {
    let once = |more: &[&str]| {
        let output = tiertop(&["fixture", "--once"]).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(once(&[]).contains("BOTTLENECK a replica falls behind") && !once(&[]).contains('\x1b'));
    let json: serde_json::Value = serde_json::from_str(&once(&["--json"])).unwrap();
    assert_eq!(json["tiers"][0]["kind"], "edge");
}
