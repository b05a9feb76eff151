//! How many spans a sampled span stands for, from the `ot` part of its `tracestate`.
//!
//! `th` is the rejection threshold: one to fourteen hexadecimal digits, left-aligned in 56 bits.
//! A span is kept with probability `(2^56 - th) / 2^56`, so it stands for the inverse of that
//! (OpenTelemetry specification, "`TraceState`: Probability Sampling"). `p`, which came before it,
//! says a power of two.

/// The weight a `tracestate` gives, or 0 when it gives none.
pub(super) fn weight(tracestate: &[u8]) -> f32 {
    let Ok(text) = std::str::from_utf8(tracestate) else {
        return 0.0;
    };
    let Some(ot) = text.split(',').find_map(|member| member.trim().strip_prefix("ot=")) else {
        return 0.0;
    };
    let value = |key: &str| ot.split(';').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix(':'));
    value("th").and_then(from_threshold).or_else(|| value("p").and_then(from_power)).unwrap_or(0.0)
}

fn from_threshold(digits: &str) -> Option<f32> {
    const ALL: u64 = 1 << 56;
    if !(1..=14).contains(&digits.len()) || digits.starts_with('+') {
        return None;
    }
    let threshold = u64::from_str_radix(digits, 16).ok()? << (4 * (14 - digits.len()));
    Some((ALL as f64 / (ALL - threshold) as f64) as f32)
}

/// `p:63` says that the span would never be kept: no weight comes of that.
fn from_power(digits: &str) -> Option<f32> {
    let power: u8 = digits.parse().ok()?;
    (power < 63).then(|| f32::from(power).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_and_powers_become_weights() {
        let table = [
            ("ot=th:0", 1.0),
            ("ot=th:8", 2.0),
            ("ot=th:c", 4.0),
            ("ot=th:fd70a3d70a3d71", 100.0),
            ("rojo=00f067, ot=th:8;rv:abcdef01234567", 2.0),
            ("ot=rv:1;th:8,other=x", 2.0),
            ("ot=p:3;r:9", 8.0),
            ("ot=p:0", 1.0),
            ("ot=p:63", 0.0),
            ("ot=p:3;th:8", 2.0),
            ("ot=th:", 0.0),
            ("ot=th:xyz", 0.0),
            ("ot=th:+8", 0.0),
            ("ot=th:fffffffffffffff", 0.0),
            ("other=th:8", 0.0),
            ("", 0.0),
        ];
        for (tracestate, expected) in table {
            let weight = weight(tracestate.as_bytes());
            assert!((weight - expected).abs() <= expected * 1e-5, "{tracestate}: {weight}");
        }
        assert!(weight(b"ot=th:ffffffffffffff").is_finite());
        assert!(weight(&[0xff, 0xfe]) == 0.0);
    }
}
