//! Figures as text: with their unit, in a width that never grows, and "—" for what is unknown.
//!
//! | figure | widest | examples |
//! |---|---|---|
//! | duration | 6 | `0.3ms` `12ms` `1.2s` `3m10s` |
//! | rate | 5 | `402` `2.4` `12.4k` |
//! | ratio | 5 | `0.0%` `<0.1%` `91.2%` `100%` |
//! | count | 5 | `124` `12.4k` `1.2M` |

use ratatui::text::Span;
use tiertop_core::snapshot::SignalKind;

/// What stands for a figure that nobody knows; never zero.
pub const UNKNOWN: &str = "—";

/// Which end of a field keeps the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A duration in milliseconds, at most six wide.
pub fn duration_ms(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    match milliseconds {
        ms if !ms.is_finite() => UNKNOWN.to_owned(),
        ms if ms <= 0.0 => "0ms".to_owned(),
        ms if ms < 0.095 => format!("{:.2}ms", ms.max(0.01)),
        ms if ms < 9.95 => format!("{ms:.1}ms"),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        _ if seconds < 59.95 => format!("{seconds:.1}s"),
        _ => long_duration(seconds, ""),
    }
}

/// A duration in seconds as it is written in a sentence: `0.3 s`, `12 s`, `3m 10s`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => UNKNOWN.to_owned(),
        s if s <= 0.0 => "0 s".to_owned(),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s => long_duration(s, " "),
    }
}

/// Whole seconds as they are written in a sentence: `12 s`, `3m 10s`.
pub fn whole_seconds(whole: u64) -> String {
    if whole < 60 { format!("{whole} s") } else { long_duration(whole as f64, " ") }
}

/// The two greatest units of a duration of a minute or more.
fn long_duration(seconds: f64, between: &str) -> String {
    let whole = seconds.round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    if hours == 0 {
        format!("{minutes}m{between}{:02}s", whole % 60)
    } else if days == 0 {
        format!("{hours}h{between}{:02}m", minutes % 60)
    } else if days < 100 {
        format!("{days}d{between}{:02}h", hours % 24)
    } else {
        format!("{days}d")
    }
}

/// Events a second without the unit, at most five wide.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if !r.is_finite() => UNKNOWN.to_owned(),
        r if r <= 0.0 => "0".to_owned(),
        r if r < 0.095 => format!("{:.2}", r.max(0.01)),
        r if r < 9.95 => format!("{r:.1}"),
        r if r < 9_999.5 => format!("{r:.0}"),
        r => scaled(r),
    }
}

/// A share from 0 to 1 as a percentage, at most five wide. A few are never "none", nearly all never "all".
pub fn ratio(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if !p.is_finite() => UNKNOWN.to_owned(),
        p if p <= 0.0 => "0.0%".to_owned(),
        p if p < 0.1 => "<0.1%".to_owned(),
        p if p >= 100.0 => "100%".to_owned(),
        p if p > 99.9 => "99.9%".to_owned(),
        p => format!("{p:.1}%"),
    }
}

/// How many, at most five wide.
pub fn count(many: u64) -> String {
    if many < 10_000 { many.to_string() } else { scaled(many as f64) }
}

/// A number of ten thousand or more with one decimal, or none from a hundred on, and a letter.
fn scaled(number: f64) -> String {
    let mut scaled = number;
    for letter in ['k', 'M', 'G', 'T'] {
        scaled /= 1000.0;
        if scaled < 99.95 {
            return format!("{scaled:.1}{letter}");
        }
        if scaled < 999.5 {
            return format!("{scaled:.0}{letter}");
        }
    }
    ">999T".to_owned()
}

/// Bytes in binary units: `512 B`, `1.5 GiB`.
pub fn bytes(many: f64) -> String {
    let mut scaled = many;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1023.5 {
            let decimals = usize::from(unit != "B" && scaled < 99.95);
            return format!("{scaled:.decimals$} {unit}");
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}

/// The time of day in UTC of a Unix time in seconds.
pub fn clock(unix_s: u64) -> String {
    let of_day = unix_s % 86_400;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// A figure that may be unknown.
pub fn or_unknown(figure: Option<f64>, format: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| UNKNOWN.to_owned(), format)
}

/// A signal's name as screens write it.
pub fn signal_name(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::CacheHitRatio => "cache hit rate",
        SignalKind::ReplicaLagSeconds => "replica lag",
        SignalKind::QueueDepth => "queue depth",
        SignalKind::QueueOldestAgeSeconds => "oldest message",
        SignalKind::QueueInFlight => "taken, not done",
        SignalKind::PoolUsed => "pool in use",
        SignalKind::PoolMax => "pool size",
        SignalKind::PoolPending => "pool waiting",
        SignalKind::PoolWaitSeconds => "pool wait",
        SignalKind::CpuRatio => "CPU",
        SignalKind::MemoryBytes => "memory",
        SignalKind::EvictionsPerSecond => "evictions",
        SignalKind::WorkersBusy => "workers busy",
        SignalKind::WorkersMax => "workers",
    }
}

/// A signal's value with its unit.
pub fn signal_value(kind: SignalKind, value: f64) -> String {
    match kind {
        SignalKind::CacheHitRatio | SignalKind::CpuRatio => ratio(value),
        SignalKind::ReplicaLagSeconds | SignalKind::QueueOldestAgeSeconds => seconds(value),
        SignalKind::PoolWaitSeconds => duration_ms(value * 1000.0),
        SignalKind::MemoryBytes => bytes(value),
        SignalKind::EvictionsPerSecond => format!("{}/s", rate(value)),
        SignalKind::QueueDepth
        | SignalKind::QueueInFlight
        | SignalKind::PoolUsed
        | SignalKind::PoolMax
        | SignalKind::PoolPending
        | SignalKind::WorkersBusy
        | SignalKind::WorkersMax => count(value.max(0.0).round() as u64),
    }
}

/// How fast a signal changes, or nothing when it hardly does.
pub fn signal_slope(kind: SignalKind, per_second: f64) -> Option<String> {
    let sign = if per_second < 0.0 { '-' } else { '+' };
    let size = per_second.abs();
    let (text, least) = match kind {
        SignalKind::CacheHitRatio | SignalKind::CpuRatio => (format!("{:.1} points/s", size * 100.0), 0.001),
        SignalKind::ReplicaLagSeconds | SignalKind::QueueOldestAgeSeconds => (format!("{size:.1} s/s"), 0.05),
        SignalKind::MemoryBytes => (format!("{}/s", bytes(size)), 1024.0),
        _ => (format!("{}/s", rate(size)), 0.05),
    };
    (size >= least).then(|| format!("{sign}{text}"))
}

/// How many terminal columns a text takes.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text in exactly `columns` columns: cut with "…", or filled with blanks.
pub fn fit(text: &str, columns: usize, align: Align) -> String {
    let text = cut(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(width(&text)));
    match align {
        Align::Left => text + &blanks,
        Align::Right => blanks + &text,
    }
}

/// The text in at most `columns` columns, with "…" in place of its middle: names of one system begin
/// alike, and addresses are told apart by their ports.
pub fn cut_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let span = Span::raw(text);
    let graphemes: Vec<&str> =
        span.styled_graphemes(ratatui::style::Style::new()).map(|grapheme| grapheme.symbol).collect();
    let mut tail = String::new();
    for symbol in graphemes.iter().rev() {
        if width(&tail) + width(symbol) > columns / 2 {
            break;
        }
        tail.insert_str(0, symbol);
    }
    cut(text, columns - width(&tail)) + &tail
}

/// The text in at most `columns` columns, cut with "…".
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut kept = String::new();
    for grapheme in Span::raw(text).styled_graphemes(ratatui::style::Style::new()) {
        if width(&kept) + width(grapheme.symbol) > columns - 1 {
            break;
        }
        kept.push_str(grapheme.symbol);
    }
    kept + "…"
}

/// Breaks a text between words into lines of at most `columns`; a longer word is cut.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&cut(word, columns));
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_their_width_and_never_round_into_the_wrong_unit() {
        let written = [
            (0.0, "0ms"),
            (0.004, "0.01ms"),
            (0.3, "0.3ms"),
            (9.96, "10ms"),
            (12.0, "12ms"),
            (999.6, "1.0s"),
            (12_345.0, "12.3s"),
            (59_990.0, "1m00s"),
            (190_000.0, "3m10s"),
            (7_500_000.0, "2h05m"),
        ];
        for (milliseconds, text) in written {
            assert_eq!(duration_ms(milliseconds), text);
        }
        let mut milliseconds = 0.001;
        while milliseconds < 1e12 {
            assert!(width(&duration_ms(milliseconds)) <= 6, "{milliseconds}");
            milliseconds *= 1.07;
        }
    }

    #[test]
    fn rates_and_counts_keep_their_width() {
        for (per_second, text) in [
            (0.0, "0"),
            (0.02, "0.02"),
            (2.44, "2.4"),
            (9.97, "10"),
            (402.4, "402"),
            (12_400.0, "12.4k"),
            (99_960.0, "100k"),
            (1_250_000.0, "1.2M"),
        ] {
            assert_eq!(rate(per_second), text);
        }
        let mut number = 0.001;
        while number < 1e18 {
            assert!(rate(number).len() <= 5 && count(number as u64).len() <= 5);
            number *= 1.07;
        }
    }

    #[test]
    fn a_few_errors_are_not_none_and_a_few_misses_are_not_all_hits() {
        assert_eq!(ratio(0.0), "0.0%");
        assert_eq!(ratio(0.0004), "<0.1%");
        assert_eq!(ratio(0.912), "91.2%");
        assert_eq!(ratio(0.9999), "99.9%");
        assert_eq!(ratio(1.0), "100%");
    }

    #[test]
    fn not_a_number_is_unknown() {
        assert_eq!(rate(f64::NAN), UNKNOWN);
        assert_eq!(duration_ms(f64::INFINITY), UNKNOWN);
        assert_eq!(or_unknown(None, ratio), UNKNOWN);
    }

    #[test]
    fn sentences_write_seconds_with_a_blank() {
        assert_eq!(seconds(8.4), "8.4 s");
        assert_eq!(seconds(190.0), "3m 10s");
        assert_eq!(whole_seconds(36), "36 s");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(clock(50_607), "14:03:27");
    }

    #[test]
    fn texts_are_cut_and_filled_by_what_the_terminal_shows() {
        assert_eq!(fit("orders", 8, Align::Left), "orders  ");
        assert_eq!(fit("12ms", 6, Align::Right), "  12ms");
        assert_eq!(cut("orders@db1:5432", 9), "orders@d…");
        assert_eq!(width(&fit("注文サービス", 8, Align::Left)), 8);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
