//! Numbers that must be within bounds, as serde reads them.

use serde::de::{Deserialize, Deserializer, Error};

/// A whole number from `LEAST` to `MOST`.
pub(super) fn whole<'de, const LEAST: i64, const MOST: i64, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
{
    let number = i64::deserialize(deserializer)?;
    let within = (LEAST..=MOST).contains(&number);
    let fits = N::try_from(number).ok().filter(|_| within);
    fits.ok_or_else(|| D::Error::custom(format!("{number} is not from {LEAST} to {MOST}")))
}

/// A number above zero.
pub(super) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    let is_positive = number.is_finite() && number > 0.0;
    if is_positive { Ok(number) } else { Err(D::Error::custom(format!("{number} is not above 0"))) }
}
