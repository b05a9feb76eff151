//! Naming the bottleneck of captured files, of whatever age.
//!
//! Each capture, the baseline and the one that is asked about, runs through an engine of its own in the time
//! that it carries (`file_time`): that tells the kinds of tiers and what metrics say. Its spans also go
//! into [`Traces`], and what these say is judged once the files are read. What the engine opened and ended as incidents on its way
//! tells those of a long capture apart.

mod file_time;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tiertop_core::config::Config;
use tiertop_core::diagnosis::{Question, ReadCounts, Report, diagnose, rules};
use tiertop_core::engine::naming::{Party, TierName};
use tiertop_core::traces::{Capture, Traces};

use crate::capture::{self, CaptureError};
use file_time::{FileTime, Heard};

/// What to analyse.
#[derive(Clone, Debug)]
pub struct AnalyzeOptions {
    /// Files that are asked about; together they are one capture.
    pub files: Vec<PathBuf>,
    /// Files of the same system while it was healthy; without any, the first part of `files` serves.
    pub baseline: Vec<PathBuf>,
    /// Rules for tiers, ceilings, thresholds, and the user's own classes.
    pub config: Config,
    /// Most memory for spans; over it whole traces are given up, and that is said.
    pub trace_bytes: usize,
}

/// Reads the files and judges what they say.
pub fn analyze(options: &AnalyzeOptions) -> Result<Report, CaptureError> {
    let mut traces = Traces::new(options.trace_bytes);
    let mut read = ReadCounts::default();
    let mut pass = |files: &[PathBuf], capture| -> Result<(BTreeMap<Party, TierName>, Heard), CaptureError> {
        let mut time = FileTime::new(options.config.clone());
        for file in files {
            capture::read(file, &mut |decoded| {
                read.spans += decoded.batch.spans.len() as u64;
                read.points += decoded.batch.point_count();
                read.refused += decoded.refused.spans + decoded.refused.points;
                traces.take(&decoded.batch, capture);
                time.take(decoded.batch);
            })?;
        }
        Ok(time.end())
    };
    let (mut names, usual) = pass(&options.baseline, Capture::Baseline)?;
    let (newer, now) = pass(&options.files, Capture::Subject)?;
    names.extend(newer);
    let baseline = (!options.baseline.is_empty()).then(|| traces.requests(Capture::Baseline));
    let subject = traces.requests(Capture::Subject);
    let incidents = now.incidents();
    let question = Question {
        traces: &traces,
        baseline: baseline.as_ref(),
        subject: &subject,
        names: &names,
        signals: (&usual.signals, &now.signals),
        incidents: &incidents,
    };
    let mut report = Report { read, stalls: now.stalls(), ..diagnose(question) };
    rules::tell_in(&mut report, &now.incidents(), &options.config.rules);
    Ok(report)
}
