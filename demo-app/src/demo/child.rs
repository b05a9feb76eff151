//! One child process: how it is started, spoken to, watched and ended.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::demo::{DemoError, DemoOptions};
use crate::node::{Control, Order, Report};
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

/// How a node is started, where it is not as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Where it listens: where it did before.
    pub(super) listen: Option<SocketAddr>,
    /// The version that it says it is.
    pub(super) release: Option<String>,
    /// How much longer that version takes for each request.
    pub(super) slower: Duration,
    /// Whether it has to warm up first.
    pub(super) cold: bool,
}

/// Returns the command that starts the node of a seat.
pub(super) fn command(options: &DemoOptions, seat: &Seat, folder: &Path, start: &Start) -> Result<Command, DemoError> {
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
    if let Some(address) = start.listen {
        command.args(["--listen", &address.to_string()]);
    }
    if let Some(release) = &start.release {
        command.args(["--release", release]);
    }
    if start.cold {
        command.arg("--cold");
    }
    Ok(command)
}

fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A process that ended without having been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// The instance's name.
    pub(super) name: String,
    /// The process, if there was one.
    pub(super) pid: Option<u32>,
    /// Exit status and last words.
    pub(super) why: String,
}

/// A node's process.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    id: u32,
    pid: Pid,
    pipes: Mutex<Pipes>,
    /// How it ended, once it has.
    status: watch::Receiver<Option<String>>,
    /// Whether it has said that it serves.
    ready: AtomicBool,
    /// Whether its end is wanted.
    asked_to_end: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Pipes {
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    /// Orders whose answers have not been read: a stopped process answers once it goes on.
    unanswered: u32,
}

impl Child {
    /// Starts a node; its end is told to `ends`, unless it was asked for.
    pub(super) async fn spawn(
        name: &str,
        command: Command,
        spawner: &Spawner,
        ends: &mpsc::Sender<Ended>,
    ) -> Result<Self, DemoError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let failed = |source| DemoError::Spawn { name: name.to_owned(), program, source };
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
        tokio::spawn(watch_over(process, (name.to_owned(), id), ended, ends.clone(), Arc::clone(&asked_to_end)));
        let pipes = Pipes { orders, reports: BufReader::new(reports).lines(), unanswered: 0 };
        Ok(Self {
            name: name.to_owned(),
            id,
            pid,
            pipes: Mutex::new(pipes),
            status,
            ready: AtomicBool::new(false),
            asked_to_end,
        })
    }

    /// The number of the process.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits for the node to say where it listens.
    pub(super) async fn hear_address(&self) -> Result<Option<SocketAddr>, DemoError> {
        match self.hear(&mut *self.pipes.lock().await).await? {
            Report::Listening { address } => Ok(address),
            Report::Failed { why } => Err(self.failed(why)),
            other => Err(self.failed(format!("it reported {other:?} at its start"))),
        }
    }

    /// Tells the node its beginning.
    pub(super) async fn begin(&self, order: &Order) -> Result<(), DemoError> {
        self.write(&mut *self.pipes.lock().await, order).await
    }

    /// Waits for the node to say that it serves.
    pub(super) async fn hear_ready(&self) -> Result<(), DemoError> {
        match self.hear(&mut *self.pipes.lock().await).await? {
            Report::Ready => {
                self.ready.store(true, Ordering::Relaxed);
                Ok(())
            }
            Report::Failed { why } => Err(self.failed(why)),
            other => Err(self.failed(format!("it reported {other:?} instead of being ready"))),
        }
    }

    /// Whether the node takes orders: it has said that it serves.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Tells the node an order that it may carry out later.
    pub(super) async fn tell(&self, order: &Order) -> Result<(), DemoError> {
        let mut pipes = self.pipes.lock().await;
        pipes.unanswered += 1;
        self.write(&mut pipes, order).await
    }

    /// Tells the node an order and waits until it is done.
    pub(super) async fn order(&self, order: &Order) -> Result<(), DemoError> {
        match self.ask(order).await? {
            Report::Done => Ok(()),
            Report::Failed { why } => match order {
                Order::Control(control) => Err(self.refused(control, why)),
                _ => Err(self.failed(why)),
            },
            other => Err(self.failed(format!("it reported {other:?} instead of being done"))),
        }
    }

    /// Asks what share of the node's servers was busy since it was asked last, 0 to 1.
    pub(super) async fn busy(&self) -> Result<f64, DemoError> {
        match self.ask(&Order::Load).await? {
            Report::Load { busy } => Ok(busy),
            other => Err(self.failed(format!("it reported {other:?} instead of its load"))),
        }
    }

    /// Tells the node an order and returns the answer to it, past those to orders before it.
    async fn ask(&self, order: &Order) -> Result<Report, DemoError> {
        let mut pipes = self.pipes.lock().await;
        pipes.unanswered += 1;
        self.write(&mut pipes, order).await?;
        loop {
            let report = self.hear(&mut pipes).await?;
            pipes.unanswered -= 1;
            if pipes.unanswered == 0 {
                return Ok(report);
            }
        }
    }

    /// Sends a signal to the node, unless it has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        if self.has_ended() {
            return Ok(());
        }
        kill_process(self.pid, signal)
            .map_err(|error| DemoError::Signal { name: self.name.clone(), source: error.into() })
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

    /// Whether the node has ended, or has been asked to.
    pub(super) fn is_leaving(&self) -> bool {
        self.has_ended() || self.asked_to_end.load(Ordering::Relaxed)
    }

    /// Ends the node at once.
    pub(super) fn kill(&self) {
        self.asked_to_end.store(true, Ordering::Relaxed);
        let _ = self.signal(Signal::KILL);
    }

    /// Ends a node that does not answer, which is then told as any unasked end.
    pub(super) fn give_up(&self) {
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
            .map_err(|_| DemoError::Silent { name: self.name.clone() })?;
        let Ok(Some(line)) = line else {
            return Err(self.gone().await);
        };
        serde_json::from_str(&line).map_err(|_| self.failed(format!("the node command does not run a node: {line}")))
    }

    /// The error of a node that has closed its pipes: its last words, once it has ended.
    async fn gone(&self) -> DemoError {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended()).await;
        let why = self.status.borrow().clone();
        self.failed(why.unwrap_or_else(|| "it closed its pipes".to_owned()))
    }

    fn failed(&self, why: String) -> DemoError {
        DemoError::Node { name: self.name.clone(), why }
    }

    fn refused(&self, control: &Control, why: String) -> DemoError {
        DemoError::Refused { name: self.name.clone(), what: format!("{control:?}"), why }
    }
}

/// Waits for a process to end, and tells those who want to know.
async fn watch_over(
    mut process: tokio::process::Child,
    (name, pid): (String, u32),
    ended: watch::Sender<Option<String>>,
    ends: mpsc::Sender<Ended>,
    asked_to_end: Arc<AtomicBool>,
) {
    let words = tail(process.stderr.take());
    let (status, words) = tokio::join!(process.wait(), words);
    let why = last_words(status, &words);
    ended.send_replace(Some(why.clone()));
    if !asked_to_end.load(Ordering::Relaxed) {
        // Nobody listens any more when the demo has ended.
        let _ = ends.send(Ended { name, pid: Some(pid), why }).await;
    }
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
