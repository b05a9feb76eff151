//! What can be wrong with a shop, at one pod or at all pods of a service.

use super::play::Spanned;

/// A fault of one service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    /// The service at fault.
    pub(crate) service: &'static str,
    pub(crate) kind: FaultKind,
    /// Only its first pod is hit, which takes a part of the requests.
    pub(crate) one_pod: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FaultKind {
    /// Its own work takes so many times as long, give or take, as beside a busy neighbour.
    Cpu { times: f64 },
    /// The same for one of its operations.
    OneOperation { operation: &'static str, times: f64 },
    /// So many milliseconds more for all that it sends and takes.
    Network { ms: f64 },
    /// This share of what it is asked for fails, at once.
    Exception { share: f64 },
}

impl Fault {
    /// Whether a span of its service may show it.
    pub(crate) fn hits(&self, span: &Spanned) -> bool {
        let is_asked = match self.kind {
            FaultKind::OneOperation { operation, .. } => span.name == operation,
            _ => true,
        };
        span.service == self.service && is_asked && (span.pod == 0 || !self.one_pod)
    }
}

impl FaultKind {
    /// The kind's name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu { .. } => "all of its work is slower",
            Self::OneOperation { .. } => "one operation is slower",
            Self::Network { .. } => "the network to and from it is slower",
            Self::Exception { .. } => "it fails",
        }
    }

    /// The class that says what it is, where there is one.
    pub(crate) fn class(self) -> Option<&'static str> {
        match self {
            Self::Cpu { .. } => Some("app-cpu"),
            Self::Network { .. } => Some("network-delay"),
            Self::OneOperation { .. } | Self::Exception { .. } => None,
        }
    }
}
