//! The real binary in a pseudo-terminal: it draws, answers keys, and leaves the terminal as it was
//! after quit, panic and signals. Only debug builds have the made-up data this needs.
#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};

/// How long anything may take before the test gives up: builders are slow at times.
const PATIENCE: Duration = Duration::from_secs(30);

/// A size that is not zero.
fn lines(many: u16) -> NonZero<u16> {
    NonZero::new(many).unwrap()
}

/// A program in a terminal of 80 by 24.
struct Session {
    terminal: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    raw: Vec<u8>,
    child: Box<dyn Child + Send + Sync>,
}

impl Session {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: 24, cols: 80, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tiertop"));
        command.env_clear();
        command.args(["fixture"]);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(many @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..many].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys: pair.master.take_writer().unwrap(),
            terminal: pair.master,
            output,
            screen: vt100::Parser::new(lines(24), lines(80), 0),
            raw: Vec::new(),
            child,
        }
    }

    /// Reads until the screen is as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(self.screen.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => {
                    self.screen.process(&bytes);
                    self.raw.extend(bytes);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("never saw {what}:\n{}", self.screen.screen().contents());
                }
            }
        }
    }

    fn until_text(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits for one text in the place of another: a picture comes in pieces, and two Esc that
    /// come together are read as one.
    fn until_instead(&mut self, text: &str, gone: &str) {
        self.until(text, |screen| {
            let contents = screen.contents();
            contents.contains(text) && !contents.contains(gone)
        });
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn modes(&self) -> Termios {
        let name = self.terminal.tty_name().unwrap();
        tcgetattr(std::fs::File::open(name).unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.process_id().unwrap();
        let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for the end and gives back the exit code, the terminal having been left as it was.
    fn ends(mut self, said: &str) -> u32 {
        let cooked = LocalModes::ICANON | LocalModes::ECHO;
        self.until("the main screen again", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor() && screen.contents().contains(said)
        });
        let code = self.child.wait().unwrap().exit_code();
        assert!(self.modes().local_modes.contains(cooked), "still raw");
        code
    }
}

/// A session that shows its first picture, the terminal being raw and on its other screen.
fn started(arguments: &[&str]) -> Session {
    let mut session = Session::start(arguments, &[]);
    session.until_text("CRITICAL");
    assert!(session.screen.screen().alternate_screen());
    assert!(session.screen.screen().hide_cursor());
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
        let mut session = Session::start(&["--panic", place], &[]);
        session.until_text("CRITICAL");
        assert_ne!(session.ends("asked to fail"), 0);
    }
}

#[test]
fn with_no_color_bold_and_reversed_begin_and_end_and_no_colour_is_sent() {
    let mut session = Session::start(&[], &[("NO_COLOR", "1")]);
    // The footer is drawn last, and this key is in it only once there are tiers.
    session.until_text("open tier");
    let screen = session.screen.screen();
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
    let mut session = Session::start(&[], &[("LC_ALL", "C")]);
    session.until_text("CRITICAL");
    assert!(session.raw.is_ascii());
    session.press("q");
    session.ends("left: Quit");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tiertop"));
    let output = command.arg("fixture").output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--once") && !said.contains('\x1b'), "{said}");
}

#[test]
fn once_is_plain_text_and_json_is_json() {
    let once = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tiertop"));
        command.args(["fixture", "--once"]).args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(once(&[]).contains("CRITICAL replica lag") && !once(&[]).contains('\x1b'));
    let json: serde_json::Value = serde_json::from_str(&once(&["--json"])).unwrap();
    assert_eq!(json["tiers"][0]["kind"], "edge");
}
