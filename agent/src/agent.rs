//! A running agent: the listeners on the async runtime, the engine on a thread of its own, and
//! between them only bounded ways.
//!
//! Every port is taken before anything runs, so that an agent either starts whole or says why not.

mod engine;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tiertop_core::config::Config;
use tiertop_core::snapshot::{ExporterView, IngestCounts, Snapshot};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info};

use crate::admin::{self, Admin};
use crate::configuration::{Configuration, mebibytes};
use crate::details::TraceOutlet;
use crate::feed::server::{self as feed, FeedError, FeedOptions};
use crate::history::args::RecordArgs;
use crate::history::{self, History, HistoryOptions};
use crate::intake::intake;
use crate::receive::listen::{self, ListenError, Port};
use crate::receive::{Limits, Protocol, Receiver};
use crate::recording::RecordingError;
#[cfg(feature = "aws")]
use crate::ship::{Exporters, Shipping};

/// How an agent is set up. Port 0 takes any free port.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Where to take OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// Where to take OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Where and to whom to serve the feed, if at all.
    pub feed: Option<FeedOptions>,
    /// Where to serve health and `/metrics`, if at all.
    pub admin: Option<SocketAddr>,
    /// Limits on what comes in.
    pub limits: Limits,
    /// Bytes of telemetry that may wait for the engine.
    pub queue_bytes: u64,
    /// The engine's.
    pub config: Config,
    /// What is kept of the past, and recorded.
    pub history: HistoryOptions,
    /// Where the traces go that `config` says are to be chosen.
    pub traces: Option<TraceOutlet>,
}

/// Telemetry that may wait for the engine, unless told otherwise.
const QUEUE_BYTES: u64 = 64 << 20;

impl AgentOptions {
    /// An agent for this process alone: OTLP on free ports of loopback, neither feed nor admin port.
    pub fn private() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            otlp_grpc: any_port,
            otlp_http: any_port,
            feed: None,
            admin: None,
            limits: Limits::default(),
            queue_bytes: QUEUE_BYTES,
            config: Config::default(),
            history: HistoryOptions::default(),
            traces: None,
        }
    }

    /// The same with the ceilings and rules of a configuration; where to listen stays.
    #[must_use]
    pub fn configured(self, configuration: &Configuration) -> Self {
        let limits = &configuration.limits;
        Self {
            limits: Limits { message_bytes: mebibytes(limits.message_mib), ..self.limits },
            queue_bytes: mebibytes(limits.queue_mib) as u64,
            config: configuration.engine(),
            history: RecordArgs::default().options(&configuration.history),
            ..self
        }
    }
}

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The feed cannot be served.
    #[error("cannot {0}")]
    Feed(#[from] FeedError),
    /// What shall be recorded cannot be.
    #[error("cannot record: {0}")]
    Recording(#[from] RecordingError),
    /// The system gives no thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// A running agent. Dropping it stops it without waiting; [`Agent::stop`] waits.
#[derive(Debug)]
pub struct Agent {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    addresses: Addresses,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    finish: watch::Sender<bool>,
    engine: std::thread::JoinHandle<()>,
    history: History,
    keeper: JoinHandle<()>,
    #[cfg(feature = "aws")]
    exporters: Exporters,
}

/// Where an agent listens, with the ports that were really taken.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// The feed.
    pub feed: Option<SocketAddr>,
    /// Health and `/metrics`.
    pub admin: Option<SocketAddr>,
}

impl Agent {
    /// Takes all ports and starts. Must be called within a tokio runtime.
    pub fn start(options: AgentOptions) -> Result<Self, AgentError> {
        Self::start_observed(options, |_| (), Vec::new)
    }

    /// As [`Agent::start`], and ships what the engine closes.
    #[cfg(feature = "aws")]
    pub fn start_shipping(mut options: AgentOptions, shipping: Shipping) -> Result<Self, AgentError> {
        let Shipping { tap, statuses, exporters, traces } = shipping;
        if let Some((rules, outlet)) = traces {
            (options.config.choice, options.traces) = (Some(rules), Some(outlet));
        }
        let views = move || statuses.iter().map(|status| status.borrow().clone()).collect();
        let agent = Self::start_observed(options, move |snapshot| tap.offer(snapshot), views)?;
        Ok(Self { exporters, ..agent })
    }

    /// `offer` sees each snapshot on the engine's thread and must not wait; `exporters` says how they are.
    fn start_observed(
        options: AgentOptions,
        offer: impl Fn(&Arc<Snapshot>) + Send + 'static,
        exporters: impl Fn() -> Vec<ExporterView> + Send + 'static,
    ) -> Result<Self, AgentError> {
        let grpc = listen::bind(Port::OtlpGrpc, options.otlp_grpc)?;
        let http = listen::bind(Port::OtlpHttp, options.otlp_http)?;
        let feed_listener = options.feed.map(feed::bind).transpose()?;
        let admin_listener = options.admin.map(|address| listen::bind(Port::Admin, address)).transpose()?;
        let addresses = Addresses {
            otlp_grpc: grpc.local_addr().unwrap_or(options.otlp_grpc),
            otlp_http: http.local_addr().unwrap_or(options.otlp_http),
            feed: feed_listener.as_ref().map(feed::FeedListener::address),
            admin: admin_listener.as_ref().and_then(|listener| listener.local_addr().ok()),
        };

        let (intake, outlet) = intake(options.queue_bytes);
        intake.counters().listening_on(format!("grpc {}", addresses.otlp_grpc));
        intake.counters().listening_on(format!("http {}", addresses.otlp_http));
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let (stop, stopped) = watch::channel(false);
        let (finish, finished) = watch::channel(false);
        let keeps_bodies = options.traces.is_some();
        let counting = intake.clone();
        let counts = move || IngestCounts { exporters: exporters(), ..counting.counts() };
        let publish = move |snapshot| {
            offer(&snapshot);
            publish.send_replace(snapshot);
        };
        let (history, keeper) = history::keep(options.history, snapshots.clone())?;
        let engine = engine::start(options.config, outlet, (counts, publish), options.traces, finished)
            .map_err(AgentError::Thread)?;

        let mut tasks = JoinSet::new();
        let receiver = Receiver::new(intake.clone(), options.limits);
        let receiver = if keeps_bodies { receiver.keeping_bodies() } else { receiver };
        tasks.spawn(receiver.clone().serve(grpc, Protocol::Grpc, stopped.clone()));
        tasks.spawn(receiver.serve(http, Protocol::Http, stopped.clone()));
        if let Some(listener) = feed_listener {
            let (snapshots, history, mut stopped) = (snapshots.clone(), history.clone(), stopped.clone());
            tasks.spawn(async move {
                let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
                if let Err(error) = feed::serve(listener, snapshots, Some(history), shutdown).await {
                    error!(%error, "the feed ended");
                }
            });
        }
        if let Some(listener) = admin_listener {
            let admin = Admin { snapshots: snapshots.clone(), intake };
            let stopped = stopped.clone();
            tasks.spawn(async move {
                if let Err(error) = admin::serve(listener, admin, stopped).await {
                    error!(%error, "the admin port ended");
                }
            });
        }
        info!(otlp_grpc = %addresses.otlp_grpc, otlp_http = %addresses.otlp_http, "listening");
        Ok(Self {
            snapshots,
            addresses,
            stop,
            tasks,
            finish,
            engine,
            history,
            keeper: tokio::spawn(keeper),
            #[cfg(feature = "aws")]
            exporters: Exporters::default(),
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The newest snapshot; the first one has `at_unix_ms` 0 until the engine has ticked.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The seconds that were, and recording them.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Stops listening, lets the engine finish what was acknowledged and exporters ship it, and returns the last
    /// snapshot.
    pub async fn stop(mut self) -> Arc<Snapshot> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        // Only now is nobody left who could acknowledge anything.
        self.finish.send_replace(true);
        let engine = self.engine;
        if tokio::task::spawn_blocking(move || engine.join().is_err()).await.unwrap_or(true) {
            error!("the engine's thread panicked");
        }
        if self.keeper.await.is_err() {
            error!("the task that keeps history panicked");
        }
        #[cfg(feature = "aws")]
        self.exporters.ended().await;
        Arc::clone(&self.snapshots.borrow())
    }
}
