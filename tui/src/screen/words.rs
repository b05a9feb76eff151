//! Words, signs and marks that several screens share.

use ratatui::style::Style;
use tiertop_core::snapshot::{FiguresFrom, IncidentView, Severity, Snapshot, TierState, TierView};

use crate::format;
use crate::theme::Theme;

/// Relative error of a quantile above which it is marked: spans give about 1 %.
pub const COARSE: f64 = 0.02;

/// A tier's id as it is read: kind and member apart, once where they are the same.
pub fn tier_name(id: &str) -> String {
    match id.split_once('/') {
        Some((kind, member)) if kind != member => format!("{kind} {member}"),
        Some((kind, _)) => kind.to_owned(),
        None => id.to_owned(),
    }
}

/// Sign and style of a severity.
pub fn severity(severity: Severity, theme: &Theme) -> (&'static str, &'static str, Style) {
    match severity {
        Severity::Critical => ("▲", "critical", theme.bad),
        Severity::Warning => ("!", "warning", theme.warn),
    }
}

/// How sure a verdict must be to be shown as a critical thing is.
const SURE: f64 = 0.5;

/// Sign, word and style of an incident.
pub fn incident(incident: &IncidentView, theme: &Theme) -> (&'static str, &'static str, Style) {
    match &incident.verdict {
        _ if incident.ended_unix_ms.is_some() => ("·", "ended", theme.dim),
        Some(verdict) if verdict.confidence >= SURE => ("▲", "bottleneck", theme.bad),
        Some(_) => ("!", "perhaps", theme.warn),
        None => ("!", "unexplained", theme.warn),
    }
}

/// What an incident does to requests, in words.
pub fn trouble_of(incident: &IncidentView) -> String {
    let now = incident.excess_ms.filter(|_| incident.ended_unix_ms.is_none());
    let longer = now.or(incident.peak_excess_ms).filter(|ms| *ms > 0.0);
    let take = if incident.ended_unix_ms.is_some() { "took" } else { "take" };
    let longer = longer.map(|ms| format!("requests {take} {} longer", format::duration_ms(ms)));
    let failing = incident.failed_ratio.filter(|share| *share > 0.0);
    match (longer, failing) {
        (Some(longer), _) => longer,
        (None, Some(share)) => format!("{} of requests failing", format::ratio(share)),
        (None, None) => "something is wrong".to_owned(),
    }
}

/// How sure a verdict is, always three wide: `0.9`, `1.0`.
pub fn sure(confidence: f64) -> String {
    // Rounded down: nothing is certain, and "1.0" would say so.
    format!("{:.1}", (confidence * 10.0).floor() / 10.0)
}

/// A share as whole percent, as sentences write it.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// How bad it is with a tier: by its warnings, and by the verdicts that name it.
fn state(tier: &TierView, shown: &Snapshot) -> TierState {
    let verdicts = shown.diagnosis.open().filter_map(|incident| incident.verdict.as_ref());
    let of_it = verdicts.filter(|verdict| verdict.tier.id == tier.id);
    let named = of_it.map(|verdict| if verdict.confidence >= SURE { TierState::Critical } else { TierState::Warning });
    named.max().unwrap_or_default().max(tier.state)
}

/// What stands in front of a tier: a sign and a word, in at most `columns`.
pub fn tier_state(tier: &TierView, shown: &Snapshot, columns: usize, theme: &Theme) -> (String, Style) {
    let long = columns >= 12;
    let (sign, word, style) = match (state(tier, shown), tier.silent_for_s) {
        (TierState::Critical, _) => ("▲", if long { "critical" } else { "crit" }.to_owned(), theme.bad),
        (TierState::Warning, _) => ("!", if long { "warning" } else { "warn" }.to_owned(), theme.warn),
        (TierState::Fine, Some(silent)) if long => ("○", format!("silent {}", short_silence(silent)), theme.warn),
        (TierState::Fine, Some(silent)) => ("○", short_silence(silent), theme.warn),
        (TierState::Fine, None) => return (String::new(), theme.text),
    };
    if columns < 6 { (sign.to_owned(), style) } else { (format!("{sign} {word}"), style) }
}

/// A silence in at most four columns.
fn short_silence(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", (seconds / 86_400).min(999)),
    }
}

/// A tier's rate with the mark that sampling leaves on it.
pub fn tier_rate(tier: &TierView) -> String {
    let mark = match (tier.sampling_unknown, tier.sampled_ratio) {
        (true, _) => "?",
        (false, Some(share)) if share < 1.0 => "s",
        _ => "",
    };
    match tier.requests_per_second {
        Some(rate) => format::rate(rate) + mark,
        None => format::UNKNOWN.to_owned(),
    }
}

/// One of a tier's quantiles, marked where it is coarse.
pub fn quantile(tier: &TierView, milliseconds: Option<f64>) -> String {
    match milliseconds {
        Some(ms) if tier.quantile_error > COARSE => format!("≈{}", format::duration_ms(ms)),
        Some(ms) => format::duration_ms(ms),
        None => format::UNKNOWN.to_owned(),
    }
}

/// Requests in progress, marked where they are inferred.
pub fn in_flight(tier: &TierView) -> String {
    match tier.in_flight {
        Some(open) => {
            let mark = if open.inferred { "~" } else { "" };
            format!("{mark}{}", format::count(open.value.max(0.0).round() as u64))
        }
        None => format::UNKNOWN.to_owned(),
    }
}

/// Where a tier's figures come from, in words.
pub fn figures_from(tier: &TierView) -> &'static str {
    match tier.figures_from {
        FiguresFrom::OwnSpans => "from its spans",
        FiguresFrom::CallerSpans => "from its callers' spans",
        FiguresFrom::Metrics => "from its histograms, no spans arrive",
        FiguresFrom::SpansAndMetrics => "latency from spans, rate from metrics",
    }
}

/// A zone without its region: `a` of `eu-central-1a`.
pub fn short_zone<'a>(zone: &'a str, region: &str) -> &'a str {
    match zone.strip_prefix(region) {
        Some(rest) if !rest.is_empty() && !region.is_empty() => rest.trim_start_matches('-'),
        _ => zone,
    }
}

/// What the marks in this snapshot mean, only those that are there.
pub fn legend(snapshot: &Snapshot) -> Vec<&'static str> {
    let tiers = &snapshot.tiers;
    let inferred = snapshot.signals.iter().any(|signal| signal.inferred && signal.value.is_some())
        || tiers.iter().any(|tier| tier.in_flight.is_some_and(|open| open.inferred));
    let coarse = tiers.iter().any(|tier| tier.quantile_error > COARSE && tier.p95_ms.is_some());
    let unknown = tiers.iter().any(|tier| tier.sampling_unknown);
    let sampled =
        tiers.iter().any(|tier| !tier.sampling_unknown && tier.sampled_ratio.is_some_and(|share| share < 1.0));
    [
        (inferred, "~ inferred from spans"),
        (coarse, "≈ coarse"),
        (sampled, "s sampled, scaled up"),
        (unknown, "? sampled, too low"),
    ]
    .into_iter()
    .filter_map(|(there, words)| there.then_some(words))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_lose_their_region_but_never_all_of_themselves() {
        assert_eq!(short_zone("eu-central-1a", "eu-central-1"), "a");
        assert_eq!(short_zone("eu-central-1", "eu-central-1"), "eu-central-1");
        assert_eq!(short_zone("rack-7", ""), "rack-7");
        assert_eq!(tier_name("lb/lb"), "lb");
        assert_eq!(tier_name("db-replica/orders@db:5432/x"), "db-replica orders@db:5432/x");
    }

    #[test]
    fn silences_stay_narrow() {
        for seconds in [0, 12, 119, 120, 7_199, 7_200, 200_000, u64::MAX] {
            assert!(short_silence(seconds).len() <= 4);
        }
    }
}
