//! The real binary in a pseudo-terminal.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::Signal;
use rustix::termios::{LocalModes, Termios, tcgetattr};

use crate::{PATIENCE, processes};

/// A size that is not zero.
fn lines(many: u16) -> NonZero<u16> {
    NonZero::new(many).unwrap()
}

/// A program in a terminal.
pub(crate) struct Session {
    terminal: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    pub(crate) raw: Vec<u8>,
    child: Box<dyn Child + Send + Sync>,
}

impl Session {
    /// Starts `tiertop` in a terminal of 80 by 24.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::sized(80, 24, arguments, environment)
    }

    /// Starts `tiertop` in a terminal of any size, with nothing in its environment but what is given.
    pub(crate) fn sized(cols: u16, rows: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tiertop"));
        command.env_clear();
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
            screen: vt100::Parser::new(lines(rows), lines(cols), 0),
            raw: Vec::new(),
            child,
        }
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Reads until the screen is as wanted.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
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

    pub(crate) fn until_text(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits for one text in the place of another: a picture comes in pieces, and two Esc that
    /// come together are read as one.
    pub(crate) fn until_instead(&mut self, text: &str, gone: &str) {
        self.until(text, |screen| {
            let contents = screen.contents();
            contents.contains(text) && !contents.contains(gone)
        });
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub(crate) fn modes(&self) -> Termios {
        let name = self.terminal.tty_name().unwrap();
        tcgetattr(std::fs::File::open(name).unwrap()).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Waits for the end and gives back the exit code, the terminal having been left as it was.
    pub(crate) fn ends(mut self, said: &str) -> u32 {
        let cooked = LocalModes::ICANON | LocalModes::ECHO;
        self.until("the main screen again", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor() && screen.contents().contains(said)
        });
        let code = self.child.wait().unwrap().exit_code();
        assert!(self.modes().local_modes.contains(cooked), "still raw");
        code
    }
}

/// A test that failed leaves no program behind.
impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
