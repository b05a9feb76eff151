//! A datum as CloudWatch takes it, and the limits that a request of them keeps.
//!
//! Limits of `PutMetricData`: 1,000 datums and 1 MB a request, 150 values a datum, 30 dimensions,
//! 1,024 characters a dimension's value, figures within 2^360 on either side of zero and never "not a
//! number".

use std::fmt::Write as _;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::ship::metrics::Unit;

/// Most datums of one request.
pub const MOST_DATUMS: usize = 1000;
/// Most bytes of one request, before it is compressed: the limit is 1 MB, and the estimate is an upper bound.
pub const MOST_BYTES: usize = 950_000;
/// Most values of one datum.
pub const MOST_VALUES: usize = 150;
/// Most characters of a dimension's value.
pub const MOST_CHARACTERS: usize = 1024;
/// Greatest figure, and least below zero.
pub const GREATEST: f64 = 2.348_542_582_773_833_3e108;
/// How old a datum may be, in seconds: two weeks, less an hour for clocks that differ.
pub const OLDEST_S: u64 = 14 * 86_400 - 3_600;

/// One figure, or one distribution, of one series at one time. Its JSON is what `--dry-run` prints and
/// what is spooled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Datum {
    /// The metric's name.
    pub metric_name: String,
    /// Its dimensions.
    pub dimensions: Vec<Dimension>,
    /// The start of what it covers, seconds since the Unix epoch.
    pub timestamp: u64,
    /// The unit, in CloudWatch's words.
    pub unit: String,
    /// Seconds that it covers: 1 or 60.
    pub storage_resolution: u32,
    /// What was measured.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A name and a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dimension {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figures {
    /// One figure.
    #[serde(rename_all = "PascalCase")]
    One {
        /// The figure.
        value: f64,
    },
    /// A distribution: percentiles work on it.
    #[serde(rename_all = "PascalCase")]
    Distribution {
        /// Values, ascending, no two alike.
        values: Vec<f64>,
        /// How often each was measured.
        counts: Vec<f64>,
    },
    /// What is left of several figures.
    #[serde(rename_all = "PascalCase")]
    Statistics {
        /// They.
        statistic_values: StatisticSet,
    },
}

/// Several figures, without their distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StatisticSet {
    /// How many.
    pub sample_count: f64,
    /// All of them together.
    pub sum: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
}

impl Datum {
    /// An upper bound of its bytes in the request's CBOR: nine a number, a name's length and three a name.
    pub fn bytes(&self) -> usize {
        /// Keys, types and the ends of lists.
        const FRAME: usize = 160;
        const DIMENSION_FRAME: usize = 24;
        let dimensions: usize = self.dimensions.iter().map(|it| it.name.len() + it.value.len() + DIMENSION_FRAME).sum();
        let figures = match &self.figures {
            Figures::One { .. } => 9,
            Figures::Distribution { values, counts } => 9 * (values.len() + counts.len()) + 10,
            Figures::Statistics { .. } => 90,
        };
        FRAME + self.metric_name.len() + self.unit.len() + dimensions + figures
    }

    /// Whether all its figures are such as CloudWatch takes.
    pub fn is_in_range(&self) -> bool {
        let fits = |figure: &f64| figure.is_finite() && figure.abs() <= GREATEST;
        match &self.figures {
            Figures::One { value } => fits(value),
            Figures::Distribution { values, counts } => values.iter().chain(counts).all(fits),
            Figures::Statistics { statistic_values: StatisticSet { sample_count, sum, minimum, maximum } } => {
                [sample_count, sum, minimum, maximum].into_iter().all(fits)
            }
        }
    }
}

/// Splits datums into requests, in order; each is as large as the limits allow.
pub fn requests(datums: Vec<Datum>) -> Vec<Vec<Datum>> {
    let mut requests: Vec<Vec<Datum>> = Vec::new();
    let mut bytes = 0;
    for datum in datums {
        let more = datum.bytes();
        match requests.last_mut() {
            Some(request) if request.len() < MOST_DATUMS && bytes + more <= MOST_BYTES => {
                bytes += more;
                request.push(datum);
            }
            _ => {
                bytes = more;
                requests.push(vec![datum]);
            }
        }
    }
    requests
}

/// A dimension's value as CloudWatch takes it: ASCII that can be printed, not blank, not beginning with a
/// colon, and no longer than allowed. Other characters become `_`; what is cut off is replaced by a
/// hash of the whole, so that two long names stay two.
pub fn dimension_value(text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '_' };
    let mut value: String = text.trim().chars().map(printable).collect();
    if value.starts_with(':') {
        value.replace_range(..1, "_");
    }
    if value.is_empty() {
        value.push('_');
    }
    if value.len() > MOST_CHARACTERS {
        let hash = FixedState::default().hash_one(text);
        value.truncate(MOST_CHARACTERS - 17);
        // Writing to a string cannot fail.
        let _ = write!(value, "~{hash:016x}");
    }
    value
}

impl Dimension {
    /// A dimension of the table with a value that CloudWatch takes.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: dimension_value(value) }
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.name().to_owned()
    }
}
