//! Running an agent without a screen, until a signal says stop.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

use color_eyre::eyre::{Result, WrapErr};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::args::AgentArgs;

/// Runs until SIGINT or SIGTERM. Logs go to stderr, by `RUST_LOG`.
pub fn run(args: AgentArgs) -> Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::env::var("NO_COLOR").unwrap_or_default().is_empty() && std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().wrap_err("cannot start")?;
    runtime.block_on(async {
        let agent = args.start_headless().await?;
        let addresses = agent.addresses();
        eprintln!("tiertop agent: OTLP gRPC on {}, HTTP on {}", addresses.otlp_grpc, addresses.otlp_http);
        if let Some(feed) = addresses.feed {
            eprintln!("tiertop agent: watch with `{}`", attach_command(feed));
        }
        if let Some(admin) = addresses.admin {
            eprintln!("tiertop agent: http://{admin}/healthz, /readyz, /metrics");
        }
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping");
        let last = agent.stop().await;
        info!(spans = last.pipeline.spans_accepted, points = last.pipeline.points_accepted, "stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// What to type to watch a feed: from elsewhere if others reach it, and then with its token.
fn attach_command(feed: SocketAddr) -> String {
    let host = if feed.ip().is_unspecified() { "HOST".to_owned() } else { feed.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let token = if feed.ip().is_loopback() { "" } else { " --token-file FILE" };
    format!("tiertop attach {host}:{}{token}", feed.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_watch_is_one_that_works_from_where_the_feed_is_reached() {
        for (feed, command) in [
            ("127.0.0.1:4319", "tiertop attach 127.0.0.1:4319"),
            ("0.0.0.0:4319", "tiertop attach HOST:4319 --token-file FILE"),
            ("10.0.0.7:4319", "tiertop attach 10.0.0.7:4319 --token-file FILE"),
            ("[::1]:4319", "tiertop attach [::1]:4319"),
        ] {
            assert_eq!(attach_command(feed.parse().unwrap()), command);
        }
    }
}
