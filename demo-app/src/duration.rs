//! Durations as people type them: `250ms`, `20s`, `5m`, `1h`, `1.5s`.

use std::time::Duration;

/// Returns the duration that a text such as `20s` tells; for the command line.
///
/// # Errors
/// A text that says what is wrong with the duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" => return Err(format!("{text:?} has no unit; write 20s, 5m or 1h")),
        _ => return Err(format!("{unit:?} is no unit; write ms, s, m or h")),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .ok_or_else(|| format!("{text:?} is no duration; write 20s, 5m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse("5m"), Ok(Duration::from_mins(5)));
        for wrong in ["", "20", "s", "20 s", "-1s", "1.2.3s", "20d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
