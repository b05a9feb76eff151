//! Why a file cannot be read: which, where, and what to do.

use std::path::PathBuf;

use crate::decode::DecodeError;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {trouble}", path.display())]
pub struct CaptureError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub trouble: Trouble,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be opened.
    #[error("{0}; is the name right, and may you read it?")]
    Open(std::io::Error),
    /// It cannot be read or inflated to its end.
    #[error("{0}; if the file is still being written, copy it when its writer has closed it")]
    Read(std::io::Error),
    /// There is nothing in it.
    #[error("there is no telemetry in it; give a file of OTLP traces or metrics, as JSON or protobuf")]
    Empty,
    /// JSON that is not OTLP's, or not JSON.
    #[error("line {line}: {error}; OTLP as JSON is an object with resourceSpans, resourceMetrics or resourceLogs")]
    Json {
        /// Where, counted from one.
        line: u64,
        /// What the decoder says.
        error: DecodeError,
    },
    /// JSON without anything of OTLP's in it.
    #[error("line {line}: neither resourceSpans nor resourceMetrics nor resourceLogs; is this OTLP?")]
    NotOtlp {
        /// Where, counted from one.
        line: u64,
    },
    /// The last line or message is cut.
    #[error("it ends in the middle of {what} that begins at {at}; wait for its writer, or cut that off")]
    Cut {
        /// A line or a message.
        what: &'static str,
        /// A line's number or an offset.
        at: String,
    },
    /// Protobuf that is malformed.
    #[error("byte {offset} (inflated): {error}; give protobuf as the Collector's file exporter writes it")]
    Protobuf {
        /// Where its message begins.
        offset: u64,
        /// What the decoder says.
        error: DecodeError,
    },
    /// Longer than anybody writes.
    #[error("byte {offset} (inflated): a line or message of over 2 GiB; this is not OTLP, or split it")]
    TooLong {
        /// Where it begins.
        offset: u64,
    },
}
