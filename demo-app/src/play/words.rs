//! What is typed for a flag, understood; what is not understood says what would be.

use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{Curve, taken_payload};

/// A rate: a number that is not negative.
pub(super) fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.ok_or("not a number of requests per second; try --rate 80")
}

/// How many bytes a payload has.
pub(super) fn payload_bytes(text: &str) -> Result<usize, String> {
    taken_payload(text.parse().map_err(|_| "not a number of bytes; try --payload-bytes 1000")?)
}

/// A number over zero.
pub(super) fn positive(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or("not a number over zero")
}

/// An address on loopback: what controls the demo ends processes, so nobody else may reach it.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or("not an address on loopback; try --control 127.0.0.1:7070")
}

/// A curve: its kind, then its figures.
pub(super) fn curve(text: &str) -> Result<Curve, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let factor = |text: &str| rate(text).map_err(|_| format!("{text:?} is not a number of times; try 3"));
    let time = |text: &str| -> Result<Duration, String> {
        humantime::parse_duration(text).map_err(|error| format!("{text:?} is no duration: {error}; try 30s"))
    };
    Ok(match parts[..] {
        ["constant"] => Curve::Constant,
        ["ramp", to, over] => Curve::Ramp { to: factor(to)?, over: time(over)? },
        ["step", to, at] => Curve::Step { to: factor(to)?, at: time(at)? },
        ["spike", to, at, lasting] => Curve::Spike { to: factor(to)?, at: time(at)?, lasting: time(lasting)? },
        ["day", night, period] => Curve::Day { night: factor(night)?, period: time(period)? },
        _ => {
            let forms = "constant, ramp:TO:OVER, step:TO:AT, spike:TO:AT:FOR or day:NIGHT:PERIOD";
            return Err(format!("{text:?} is no curve; there are {forms}, such as spike:6:30s:20s"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_the_service_would_refuse_is_refused_with_what_it_takes() {
        assert_eq!(payload_bytes("100000"), Ok(100_000));
        for refused in ["0", "262144"] {
            let why = payload_bytes(refused).unwrap_err();
            assert!(why.contains(refused) && why.contains("1 to 250000"), "{why}");
        }
        assert!(payload_bytes("1k").is_err());
    }

    #[test]
    fn curves_are_read_as_they_are_said() {
        let s = Duration::from_secs;
        assert_eq!(curve("constant"), Ok(Curve::Constant));
        assert_eq!(curve("ramp:3:1m"), Ok(Curve::Ramp { to: 3.0, over: s(60) }));
        assert_eq!(curve("step:0.5:10s"), Ok(Curve::Step { to: 0.5, at: s(10) }));
        assert_eq!(curve("spike:6:30s:20s"), Ok(Curve::Spike { to: 6.0, at: s(30), lasting: s(20) }));
        assert_eq!(curve("day:0.2:5m"), Ok(Curve::Day { night: 0.2, period: s(300) }));
    }

    #[test]
    fn what_is_no_curve_says_what_is() {
        assert!(curve("ramp").unwrap_err().contains("ramp:TO:OVER"));
        assert!(curve("ramp:high:1m").unwrap_err().contains("not a number of times"));
        assert!(curve("ramp:3:60").unwrap_err().contains("no duration"));
    }

    #[test]
    fn control_stays_on_loopback() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:7070").is_ok());
        assert!(loopback("0.0.0.0:7070").is_err() && loopback("7070").is_err());
    }
}
