//! One child process: how it is started, spoken to, watched and ended.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, oneshot, watch};

use crate::demo::{DemoError, DemoOptions, NodeExit, NodeInfo};
use crate::node::{Order, Report};
use crate::topology::Seat;

/// Longest wait for a node's answer to an order.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest part of a node's last words that is quoted.
const LAST_WORDS: usize = 2_000;

type Spawned = std::io::Result<tokio::process::Child>;
type Work = (Command, oneshot::Sender<Spawned>);

/// A thread that starts processes and lives as long as the demo.
///
/// The kernel ends a child with the *thread* that started it, so a thread of a runtime's pool,
/// which may end earlier, is not one to start them from.
#[derive(Debug)]
pub(super) struct Spawner(std::sync::mpsc::Sender<Work>);

impl Spawner {
    /// Starts the thread; called inside a runtime.
    pub(super) fn start() -> Self {
        let (sender, work) = std::sync::mpsc::channel::<Work>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            for (mut command, answer) in work {
                let _inside = runtime.enter();
                // Whoever asked may have given up; then the child is killed as it is dropped.
                let _ = answer.send(command.spawn());
            }
        });
        Self(sender)
    }

    async fn spawn(&self, command: Command) -> Spawned {
        let (answer, spawned) = oneshot::channel();
        let gone = || std::io::Error::other("the thread that starts processes is gone");
        self.0.send((command, answer)).map_err(|_| gone())?;
        spawned.await.map_err(|_| gone())?
    }
}

/// Returns the command that starts the node of a seat.
pub(super) fn command(options: &DemoOptions, seat: &Seat, folder: &Path) -> Result<Command, DemoError> {
    let (program, first) = options.node_command.split_first().ok_or(DemoError::NoCommand)?;
    let mut command = Command::new(program);
    command
        .args(first)
        .args(["--role", &value_name(&seat.role)])
        .args(["--zone", &value_name(&seat.zone)])
        .args(["--name", &seat.name])
        .arg("--folder")
        .arg(folder)
        .args(["--otlp-endpoint", &options.otlp_endpoint])
        .args(["--seed", &options.seed.to_string()])
        .args(options.backends.argument().map(|servers| format!("--real={servers}")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Of a node's last words only the end is kept, and that should not be a backtrace.
        .env("RUST_BACKTRACE", "0")
        .kill_on_drop(true)
        // Of its own, so that the terminal's signals reach the parent alone.
        .process_group(0);
    Ok(command)
}

fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A node's process.
#[derive(Debug)]
pub(super) struct Child {
    info: NodeInfo,
    pid: Pid,
    pipes: Mutex<Pipes>,
    /// How it ended, once it has.
    status: watch::Receiver<Option<String>>,
    /// Whether its end is wanted.
    asked_to_end: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Pipes {
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a node.
    pub(super) async fn spawn(
        seat: Seat,
        command: Command,
        spawner: &Spawner,
        exited: &watch::Sender<Option<NodeExit>>,
    ) -> Result<Self, DemoError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |source| DemoError::Spawn { name: seat.name.clone(), program, source };
        let mut process = match spawner.spawn(command).await {
            Ok(process) => process,
            Err(source) => return Err(failed(source)),
        };
        let pipes = (process.stdin.take(), process.stdout.take());
        let id = process.id().and_then(|id| Some((id, Pid::from_raw(id.cast_signed())?)));
        let (Some((id, pid)), (Some(orders), Some(reports))) = (id, pipes) else {
            return Err(failed(std::io::Error::other("it ended at once")));
        };
        let (ended, status) = watch::channel(None);
        let asked_to_end = Arc::new(AtomicBool::new(false));
        tokio::spawn(watch_over(process, seat.name.clone(), ended, exited.clone(), Arc::clone(&asked_to_end)));
        let Seat { role, name, zone } = seat;
        Ok(Self {
            info: NodeInfo { role, name, zone, pid: id, address: None },
            pid,
            pipes: Mutex::new(Pipes { orders, reports: BufReader::new(reports).lines() }),
            status,
            asked_to_end,
        })
    }

    pub(super) fn info(&self) -> NodeInfo {
        self.info.clone()
    }

    /// Waits for the node to say where it listens.
    pub(super) async fn hear_address(&mut self) -> Result<(), DemoError> {
        match self.hear(&mut *self.pipes.lock().await).await? {
            Report::Listening { address } => self.info.address = address,
            other => return Err(self.failed(format!("it reported {other:?} at its start"))),
        }
        Ok(())
    }

    /// Waits for the node to say that it serves.
    pub(super) async fn hear_ready(&self) -> Result<(), DemoError> {
        match self.hear(&mut *self.pipes.lock().await).await? {
            Report::Ready => Ok(()),
            other => Err(self.failed(format!("it reported {other:?} instead of being ready"))),
        }
    }

    /// Tells the node an order.
    pub(super) async fn tell(&self, order: &Order) -> Result<(), DemoError> {
        self.write(&mut *self.pipes.lock().await, order).await
    }

    /// Tells the node an order and waits until it is done.
    pub(super) async fn order(&self, order: &Order) -> Result<(), DemoError> {
        let mut pipes = self.pipes.lock().await;
        self.write(&mut pipes, order).await?;
        match self.hear(&mut pipes).await? {
            Report::Done => Ok(()),
            other => Err(self.failed(format!("it reported {other:?} instead of being done"))),
        }
    }

    /// Sends a signal to the node, unless it has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        if self.has_ended() {
            return Ok(());
        }
        kill_process(self.pid, signal)
            .map_err(|error| DemoError::Signal { name: self.info.name.clone(), source: error.into() })
    }

    /// Asks the node to end, also one that is stopped.
    pub(super) fn ask_to_end(&self) {
        self.asked_to_end.store(true, Ordering::Relaxed);
        // A node that cannot be signalled has ended already.
        let _ = self.signal(Signal::TERM);
        let _ = self.signal(Signal::CONT);
    }

    /// Whether the node has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.status.borrow().is_some()
    }

    /// Ends the node at once.
    pub(super) fn kill(&self) {
        self.asked_to_end.store(true, Ordering::Relaxed);
        let _ = self.signal(Signal::KILL);
    }

    /// Waits until the node has ended.
    pub(super) async fn ended(&self) {
        // The other end is dropped only after it told.
        let _ = self.status.clone().wait_for(Option::is_some).await;
    }

    async fn write(&self, pipes: &mut Pipes, order: &Order) -> Result<(), DemoError> {
        let mut line = serde_json::to_vec(order).map_err(|error| self.failed(error.to_string()))?;
        line.push(b'\n');
        match pipes.orders.write_all(&line).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.gone().await),
        }
    }

    async fn hear(&self, pipes: &mut Pipes) -> Result<Report, DemoError> {
        let line = tokio::time::timeout(ANSWER_TIMEOUT, pipes.reports.next_line())
            .await
            .map_err(|_| DemoError::Silent { name: self.info.name.clone() })?;
        let Ok(Some(line)) = line else {
            return Err(self.gone().await);
        };
        match serde_json::from_str(&line) {
            Ok(Report::Failed { why }) => Err(self.failed(why)),
            Ok(report) => Ok(report),
            Err(_) => Err(self.failed(format!("the node command does not run a node: {line}"))),
        }
    }

    /// The error of a node that has closed its pipes: its last words, once it has ended.
    async fn gone(&self) -> DemoError {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended()).await;
        let why = self.status.borrow().clone();
        self.failed(why.unwrap_or_else(|| "it closed its pipes".to_owned()))
    }

    fn failed(&self, why: String) -> DemoError {
        DemoError::Node { name: self.info.name.clone(), why }
    }
}

/// Waits for a process to end, and tells those who want to know.
async fn watch_over(
    mut process: tokio::process::Child,
    name: String,
    ended: watch::Sender<Option<String>>,
    exited: watch::Sender<Option<NodeExit>>,
    asked_to_end: Arc<AtomicBool>,
) {
    let words = tail(process.stderr.take());
    let (status, words) = tokio::join!(process.wait(), words);
    let why = last_words(status, &words);
    if !asked_to_end.load(Ordering::Relaxed) {
        exited.send_replace(Some(NodeExit { name, why: why.clone() }));
    }
    ended.send_replace(Some(why));
}

/// Reads what a process writes to standard error, and returns the end of it.
async fn tail(stderr: Option<ChildStderr>) -> Vec<u8> {
    let mut words = Vec::new();
    let Some(mut stderr) = stderr else {
        return words;
    };
    let mut buffer = [0; 512];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        words.extend_from_slice(&buffer[..read]);
        words.drain(..words.len().saturating_sub(LAST_WORDS));
    }
    words
}

/// Tells how a process ended, and its last words.
fn last_words(status: std::io::Result<ExitStatus>, words: &[u8]) -> String {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    match String::from_utf8_lossy(words).trim() {
        "" => status,
        words => format!("{status}: {words}"),
    }
}
