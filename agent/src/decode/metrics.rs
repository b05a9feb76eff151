//! The walk over an `ExportMetricsServiceRequest`.
//!
//! Only metrics that the engine reads ([`tiertop_core::catalogue::reads`]) become observations; the
//! points of all others are counted and stepped over.

use tiertop_core::catalogue;
use tiertop_core::observation::{Metric, MetricKind, Point, Temporality};

use super::attributes::kept;
use super::points::{self, Read};
use super::{Decoded, Limits, resource};
use crate::wire::{Fields, Malformed, text};

/// Decodes an `ExportMetricsServiceRequest`.
pub(super) fn decode(body: &[u8], limits: &Limits) -> Result<Decoded, Malformed> {
    let mut decoded = Decoded::default();
    let mut request = Fields::new(body);
    while let Some(field) = request.next()? {
        if field.number == 1 {
            resource_metrics(field.bytes()?, limits, &mut decoded)?;
        }
    }
    Ok(decoded)
}

fn resource_metrics(message: &[u8], limits: &Limits, decoded: &mut Decoded) -> Result<(), Malformed> {
    let resource = resource::intern(message, resource::Sender::OfMetrics, &mut decoded.batch.resources)?;
    let mut fields = Fields::new(message);
    while let Some(scope_metrics) = fields.next()? {
        if scope_metrics.number != 2 {
            continue;
        }
        let mut fields = Fields::new(scope_metrics.bytes()?);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                metric(field.bytes()?, resource, limits, decoded)?;
            }
        }
    }
    Ok(())
}

/// A metric's parts, its points not yet read.
#[derive(Default)]
struct Parts<'a> {
    name: &'a [u8],
    unit: &'a [u8],
    /// Number of the field the data came in, which says its type.
    data_number: u32,
    data: &'a [u8],
}

fn metric(message: &[u8], resource: u32, limits: &Limits, decoded: &mut Decoded) -> Result<(), Malformed> {
    let mut parts = Parts::default();
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => parts.name = field.bytes()?,
            3 => parts.unit = field.bytes()?,
            5 | 7 | 9 | 10 | 11 => {
                parts.data_number = field.number;
                parts.data = field.bytes()?;
            }
            _ => {}
        }
    }
    let (kind, point_count) = head(&parts)?;
    let name = text(parts.name);
    let Some(kind) = kind.filter(|_| catalogue::reads(&name)) else {
        decoded.batch.points_unused += point_count;
        return Ok(());
    };
    let points = read_points(&parts, limits, point_count, decoded)?;
    if !points.is_empty() {
        let (name, unit) = (kept(&name), kept(&text(parts.unit)));
        decoded.batch.metrics.push(Metric { resource, name, unit, kind, points });
    }
    Ok(())
}

/// How the points are to be read, `None` for a type that does not exist, and how many there are.
fn head(parts: &Parts<'_>) -> Result<(Option<MetricKind>, u64), Malformed> {
    let (mut temporality, mut monotonic, mut points) = (0, false, 0);
    let mut fields = Fields::new(parts.data);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                field.bytes()?;
                points += 1;
            }
            2 => temporality = field.varint()?,
            3 => monotonic = field.varint()? != 0,
            _ => {}
        }
    }
    let temporality = match temporality {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    let kind = match parts.data_number {
        5 => Some(MetricKind::Gauge),
        7 => Some(MetricKind::Sum { monotonic, temporality }),
        9 => Some(MetricKind::Histogram(temporality)),
        10 => Some(MetricKind::ExponentialHistogram(temporality)),
        11 => Some(MetricKind::Summary),
        _ => None,
    };
    Ok((kind, points))
}

fn read_points(
    parts: &Parts<'_>,
    limits: &Limits,
    point_count: u64,
    decoded: &mut Decoded,
) -> Result<Vec<Point>, Malformed> {
    let read: fn(&[u8], &Limits) -> Read = match parts.data_number {
        9 => points::histogram,
        10 => points::exponential,
        11 => points::summary,
        _ => points::number,
    };
    // Empty points take two bytes each and are refused: what they claim is not set aside for them.
    let mut kept = Vec::with_capacity((point_count as usize).min(parts.data.len() / 16));
    let mut fields = Fields::new(parts.data);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            match read(field.bytes()?, limits)? {
                Ok(point) => kept.push(point),
                Err(reason) => decoded.refused.point(reason),
            }
        }
    }
    Ok(kept)
}
