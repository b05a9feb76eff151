//! What is wrong now, as one list: incidents first, then the warnings that they do not say already.

use tiertop_core::snapshot::{IncidentView, Snapshot, WarningView};

/// How long before an incident a warning on its tier may have begun to be a part of it, in
/// milliseconds: rules and the diagnosis see an onset at different times.
const SAME_BEGINNING_MS: u64 = 60_000;

/// Something that is wrong now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble<'a> {
    /// An open incident, explained or not.
    Incident(&'a IncidentView),
    /// An open warning.
    Warning(&'a WarningView),
}

impl<'a> Trouble<'a> {
    /// Id of the tier that it is about, if it is about one.
    pub fn tier(self) -> Option<&'a str> {
        match self {
            Self::Incident(incident) => incident.verdict.as_ref().map(|verdict| verdict.tier.id.as_str()),
            Self::Warning(warning) => Some(&warning.tier),
        }
    }
}

/// Open incidents with a verdict, open incidents without, then open warnings, worst first.
pub(super) fn troubles(shown: &Snapshot) -> Vec<Trouble<'_>> {
    let mut incidents: Vec<&IncidentView> = shown.diagnosis.open().collect();
    incidents.sort_by_key(|incident| incident.verdict.is_none());
    let mut warnings = open_warnings(shown);
    warnings.retain(|warning| !incidents.iter().any(|incident| says(incident, warning)));
    let incidents = incidents.into_iter().map(Trouble::Incident);
    incidents.chain(warnings.into_iter().map(Trouble::Warning)).collect()
}

/// The open warnings, worst first.
pub(super) fn open_warnings(shown: &Snapshot) -> Vec<&WarningView> {
    let mut open: Vec<_> = shown.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none()).collect();
    open.sort_by_key(|warning| std::cmp::Reverse(warning.severity));
    open
}

/// Whether an incident's verdict says what a warning says: the same tier, since about the same time.
fn says(incident: &IncidentView, warning: &WarningView) -> bool {
    let same_tier = incident.verdict.as_ref().is_some_and(|verdict| verdict.tier.id == warning.tier);
    same_tier && warning.since_unix_ms + SAME_BEGINNING_MS >= incident.onset_unix_ms
}
