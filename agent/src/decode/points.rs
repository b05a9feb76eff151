//! The data points of OTLP's five metric types.
//!
//! A point without a time, with more attributes or buckets than the limits, or with counts that do
//! not fit its bounds is refused by itself. Exemplars and negative exponential buckets are stepped
//! over: what is measured here, times and sizes, is never negative.

use tiertop_core::observation::{AttributeValue, Point, PointValue};
use tiertop_core::time::UnixNanos;

use super::attributes::{Scalar, kept, split_key_value};
use super::{Limits, Reason};
use crate::wire::{Field, Fields, Malformed, text};

/// A point, or why it is refused, or why the whole request is.
pub(super) type Read = Result<Result<Point, Reason>, Malformed>;

/// What all types have in common.
#[derive(Default)]
struct Common {
    attributes: Vec<(Box<str>, AttributeValue)>,
    attribute_count: usize,
    start: u64,
    time: u64,
    flags: u64,
}

/// Count, sum, least and greatest.
#[derive(Default)]
struct Stats {
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Common {
    fn attribute(&mut self, field: Field<'_>, limits: &Limits) -> Result<(), Malformed> {
        self.attribute_count += 1;
        if self.attribute_count > limits.point_attributes {
            return Ok(());
        }
        let (key, value) = split_key_value(field.bytes()?)?;
        match Scalar::read(value) {
            // CloudWatch's metric streams send the dimensions as one nested attribute.
            Some(Scalar::Map(map)) if key == b"Dimensions" => self.dimensions(map, limits)?,
            Some(scalar) => {
                if let Some(value) = scalar.to_kept() {
                    self.attributes.push((kept(&text(key)), value));
                }
            }
            None => {}
        }
        Ok(())
    }

    fn dimensions(&mut self, map: &[u8], limits: &Limits) -> Result<(), Malformed> {
        let mut fields = Fields::new(map);
        while let Some(field) = fields.next()? {
            if field.number != 1 || self.attributes.len() >= limits.point_attributes {
                continue;
            }
            let (key, value) = split_key_value(field.bytes()?)?;
            if let Some(value) = Scalar::read(value).and_then(Scalar::to_kept) {
                let key = format!("Dimensions.{}", text(key));
                self.attributes.push((kept(&key), value));
            }
        }
        Ok(())
    }

    fn start_or_time(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        match field.number {
            2 => self.start = field.fixed64()?,
            _ => self.time = field.fixed64()?,
        }
        Ok(())
    }

    fn finish(self, limits: &Limits, value: Result<PointValue, Reason>) -> Result<Point, Reason> {
        const NO_RECORDED_VALUE: u64 = 1;
        if self.time == 0 {
            return Err(Reason::PointTime);
        }
        if self.attribute_count > limits.point_attributes {
            return Err(Reason::PointAttributes);
        }
        Ok(Point {
            attributes: self.attributes,
            start: UnixNanos(self.start),
            time: UnixNanos(self.time),
            value: if self.flags & NO_RECORDED_VALUE == 0 { value? } else { PointValue::Missing },
        })
    }
}

/// A `NumberDataPoint`.
pub(super) fn number(message: &[u8], limits: &Limits) -> Read {
    let mut common = Common::default();
    let mut value = PointValue::Missing;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 | 3 => common.start_or_time(field)?,
            4 => value = PointValue::Number(field.double()?),
            6 => value = PointValue::Number(field.fixed64()? as i64 as f64),
            7 => common.attribute(field, limits)?,
            8 => common.flags = field.varint()?,
            _ => {}
        }
    }
    Ok(common.finish(limits, Ok(value)))
}

/// A `HistogramDataPoint`.
pub(super) fn histogram(message: &[u8], limits: &Limits) -> Read {
    let mut common = Common::default();
    let mut stats = Stats::default();
    let mut counts = Buckets::new(limits);
    let mut bounds = Buckets::new(limits);
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 | 3 => common.start_or_time(field)?,
            4 => stats.count = field.fixed64()?,
            5 => stats.sum = Some(field.double()?),
            6 => field.repeated_fixed64(&mut |count| counts.push(count))?,
            7 => field.repeated_fixed64(&mut |bits| bounds.push(f64::from_bits(bits)))?,
            9 => common.attribute(field, limits)?,
            10 => common.flags = field.varint()?,
            11 => stats.min = Some(field.double()?),
            12 => stats.max = Some(field.double()?),
            _ => {}
        }
    }
    Ok(common.finish(limits, histogram_value(&stats, bounds, counts)))
}

fn histogram_value(stats: &Stats, bounds: Buckets<f64>, counts: Buckets<u64>) -> Result<PointValue, Reason> {
    let (bounds, counts) = (bounds.finish()?, counts.finish()?);
    let fit = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
    if !fit || !bounds.is_sorted_by(|lower, upper| lower < upper) {
        return Err(Reason::Buckets);
    }
    let &Stats { count, sum, min, max } = stats;
    Ok(PointValue::Histogram { count, sum, min, max, bounds, counts })
}

/// An `ExponentialHistogramDataPoint`.
pub(super) fn exponential(message: &[u8], limits: &Limits) -> Read {
    let mut common = Common::default();
    let mut stats = Stats::default();
    let (mut scale, mut zero_count, mut offset) = (0, 0, 0);
    let mut buckets = Buckets::new(limits);
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => common.attribute(field, limits)?,
            2 | 3 => common.start_or_time(field)?,
            4 => stats.count = field.fixed64()?,
            5 => stats.sum = Some(field.double()?),
            6 => scale = field.sint32()?,
            7 => zero_count = field.fixed64()?,
            8 => {
                let mut positive = Fields::new(field.bytes()?);
                while let Some(field) = positive.next()? {
                    match field.number {
                        1 => offset = field.sint32()?,
                        2 => field.repeated_varint(&mut |count| buckets.push(count))?,
                        _ => {}
                    }
                }
            }
            10 => common.flags = field.varint()?,
            12 => stats.min = Some(field.double()?),
            13 => stats.max = Some(field.double()?),
            _ => {}
        }
    }
    let Stats { count, sum, min, max } = stats;
    let value = buckets.finish().map(|counts| PointValue::Exponential {
        count,
        sum,
        min,
        max,
        scale,
        zero_count,
        offset,
        counts,
    });
    Ok(common.finish(limits, value))
}

/// A `SummaryDataPoint`.
pub(super) fn summary(message: &[u8], limits: &Limits) -> Read {
    let mut common = Common::default();
    let (mut count, mut sum) = (0, 0.0);
    let mut quantiles = Buckets::new(limits);
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            2 | 3 => common.start_or_time(field)?,
            4 => count = field.fixed64()?,
            5 => sum = field.double()?,
            6 => {
                let (mut quantile, mut value) = (0.0, 0.0);
                let mut pair = Fields::new(field.bytes()?);
                while let Some(field) = pair.next()? {
                    match field.number {
                        1 => quantile = field.double()?,
                        2 => value = field.double()?,
                        _ => {}
                    }
                }
                quantiles.push((quantile, value));
            }
            7 => common.attribute(field, limits)?,
            8 => common.flags = field.varint()?,
            _ => {}
        }
    }
    let value = quantiles.finish().map(|quantiles| PointValue::Summary { count, sum, quantiles });
    Ok(common.finish(limits, value))
}

/// Buckets up to the limit, and whether there were more.
struct Buckets<T> {
    kept: Vec<T>,
    limit: usize,
    over: bool,
}

impl<T> Buckets<T> {
    fn new(limits: &Limits) -> Self {
        Self { kept: Vec::new(), limit: limits.buckets, over: false }
    }

    fn push(&mut self, bucket: T) {
        if self.kept.len() < self.limit {
            self.kept.push(bucket);
        } else {
            self.over = true;
        }
    }

    fn finish(self) -> Result<Vec<T>, Reason> {
        if self.over { Err(Reason::TooManyBuckets) } else { Ok(self.kept) }
    }
}
