//! `[listen]`: where telemetry is taken, and where others are served.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// The feed.
    pub feed: Option<SocketAddr>,
    /// File with the token of the feed.
    pub feed_token_file: Option<PathBuf>,
    /// Health and `/metrics`.
    pub admin: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self { otlp_grpc: loopback(4317), otlp_http: loopback(4318), feed: None, feed_token_file: None, admin: None }
    }
}

/// The section as it is printed.
pub(super) const COMMENTED: &str = r#"# Addresses, as IP:PORT.
[listen]
# Where to take OTLP over gRPC (--otlp-grpc, TIERTOP_OTLP_GRPC).
otlp_grpc = "127.0.0.1:4317"
# Where to take OTLP over HTTP (--otlp-http, TIERTOP_OTLP_HTTP).
otlp_http = "127.0.0.1:4318"
# Where to serve the feed that `tiertop attach` reads (--feed, TIERTOP_FEED): 127.0.0.1:4319 for an agent without
# a screen, else nowhere.
#feed = "127.0.0.1:4319"
# File with the token that the feed's clients must bring (--feed-token-file, or TIERTOP_FEED_TOKEN for the token).
#feed_token_file = "/etc/tiertop/token"
# Where to serve /healthz, /readyz and /metrics (--admin, TIERTOP_ADMIN): 127.0.0.1:4320 for an agent without a
# screen, else nowhere.
#admin = "127.0.0.1:4320"
"#;
