//! OTLP metrics in protobuf: a walk over the request that shows one point at a time.
//!
//! What a point belongs to may stand behind it in the message, so that each level is walked twice: for its head, then for what
//! is below it. Memory is that of one point, whatever a request repeats.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::super::proto::{Field, Message, bytes_at, repeated_double, repeated_varint, text_at};
use super::message::{
    ATTRIBUTES_MAX, AnyValue, Buckets, EXEMPLARS_MAX, Exemplar, ExponentialValue, HistogramValue, KeyValue,
    Kind, Metric, Point, Scope, SummaryValue, Temporality, Value, Visit, push_bounded,
};
use crate::base::bytes::Corrupt;
use crate::base::varint::unzigzag;
use base64::Engine as _;
use std::fmt::Write as _;
use std::ops::Range;

/// Lists and maps in values of attributes may be so deep.
const DEPTH_MAX: usize = 16;

/// Where a submessage stands.
type Place = Range<usize>;

/// Shows everything of a request in order.
pub(crate) fn walk(body: &[u8], visit: &mut impl Visit) -> Result<(), Corrupt> {
    each_message(body, 0..body.len(), 1, "export request", |resource| {
        let mut attributes = Vec::new();
        each_message(body, resource.clone(), 1, "resource metrics", |place| {
            attributes.clear();
            read_attributes(body, place, 1, "resource", &mut attributes)
        })?;
        visit.resource(attributes);
        each_message(body, resource, 2, "resource metrics", |scope| {
            visit.scope(read_scope(body, scope.clone())?);
            each_message(body, scope, 2, "scope metrics", |metric| {
                walk_metric(body, metric, visit)
            })
        })?;
        visit.end_of_resource();
        Ok(())
    })
}

/// Calls `each` with every submessage in field `number` of the message at `place`.
fn each_message(
    body: &[u8],
    place: Place,
    number: u32,
    what: &'static str,
    mut each: impl FnMut(Place) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let mut message = Message::within(body, place);
    while let Some((found, field)) = message.next(what)? {
        match field {
            Field::Range(range) if found == number => each(range)?,
            _ if found == number => return Err(message.corrupt(what)),
            _ => {}
        }
    }
    Ok(())
}

fn text(body: &[u8], place: Place, what: &'static str) -> Result<String, Corrupt> {
    text_at(body, place, what).map(str::to_owned)
}

fn read_attributes(
    body: &[u8],
    place: Place,
    number: u32,
    what: &'static str,
    out: &mut Vec<KeyValue>,
) -> Result<(), Corrupt> {
    each_message(body, place, number, what, |pair| read_pair_into(body, pair, out))
}

fn read_scope(body: &[u8], place: Place) -> Result<Scope, Corrupt> {
    let what = "scope metrics";
    let mut scope = Scope::default();
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next(what)? {
        match (number, field) {
            (1, Field::Range(place)) => {
                let mut inner = Message::within(body, place);
                while let Some((number, field)) = inner.next("scope")? {
                    match (number, field) {
                        (1, Field::Range(place)) => scope.name = text(body, place, "name of a scope")?,
                        (2, Field::Range(place)) => scope.version = text(body, place, "version of a scope")?,
                        (3, Field::Range(place)) => read_pair_into(body, place, &mut scope.attributes)?,
                        _ => {}
                    }
                }
            }
            (3, Field::Range(place)) => scope.schema_url = text(body, place, "schema of a scope")?,
            _ => {}
        }
    }
    Ok(scope)
}

fn walk_metric(body: &[u8], place: Place, visit: &mut impl Visit) -> Result<(), Corrupt> {
    let what = "metric";
    let mut metric = Metric::default();
    let mut data = 0..0;
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next(what)? {
        let Field::Range(place) = field else { continue };
        match number {
            1 => metric.name = text(body, place, "name of a metric")?,
            2 => metric.description = text(body, place, "description of a metric")?,
            3 => metric.unit = text(body, place, "unit of a metric")?,
            5 | 7 | 9 | 10 | 11 => {
                metric.kind = match number {
                    5 => Kind::Gauge,
                    7 => Kind::Sum,
                    9 => Kind::Histogram,
                    10 => Kind::Exponential,
                    _ => Kind::Summary,
                };
                data = place;
            }
            _ => {}
        }
    }
    let mut message = Message::within(body, data.clone());
    while let Some((number, field)) = message.next(what)? {
        match (number, field) {
            (2, Field::Varint(number)) => metric.temporality = Temporality::of_number(number),
            (3, Field::Varint(number)) => metric.is_monotonic = number != 0,
            _ => {}
        }
    }
    let kind = metric.kind;
    visit.metric(metric);
    each_message(body, data, 1, "data points", |place| {
        let point = match kind {
            Kind::Nothing => return Ok(()),
            Kind::Gauge | Kind::Sum => read_number(body, place)?,
            Kind::Histogram => read_histogram(body, place)?,
            Kind::Exponential => read_exponential(body, place)?,
            Kind::Summary => read_summary(body, place)?,
        };
        visit.point(&point);
        Ok(())
    })
}

fn read_number(body: &[u8], place: Place) -> Result<Point, Corrupt> {
    let mut point = Point::default();
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("number")? {
        match (number, field) {
            (2, Field::Fixed64(time)) => point.start_time_ns = time,
            (3, Field::Fixed64(time)) => point.time_ns = time,
            (4, Field::Fixed64(bits)) => point.value = Value::Double(f64::from_bits(bits)),
            (5, Field::Range(place)) => read_exemplar(body, place, &mut point.exemplars)?,
            (6, Field::Fixed64(bits)) => point.value = Value::Int(bits.cast_signed()),
            (7, Field::Range(place)) => read_pair_into(body, place, &mut point.attributes)?,
            (8, Field::Varint(flags)) => point.flags = flags,
            _ => {}
        }
    }
    Ok(point)
}

fn read_histogram(body: &[u8], place: Place) -> Result<Point, Corrupt> {
    let (mut point, mut value) = (Point::default(), HistogramValue::default());
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("histogram")? {
        match (number, field) {
            (2, Field::Fixed64(time)) => point.start_time_ns = time,
            (3, Field::Fixed64(time)) => point.time_ns = time,
            (4, Field::Fixed64(count)) => value.count = count,
            (5, Field::Fixed64(bits)) => value.sum = Some(f64::from_bits(bits)),
            (6, field) => repeated_fixed64(body, field, "bucket counts", &mut value.bucket_counts)?,
            (7, field) => repeated_double(body, field, "bounds", &mut value.bounds)?,
            (8, Field::Range(place)) => read_exemplar(body, place, &mut point.exemplars)?,
            (9, Field::Range(place)) => read_pair_into(body, place, &mut point.attributes)?,
            (10, Field::Varint(flags)) => point.flags = flags,
            _ => {}
        }
    }
    point.value = Value::Histogram(value);
    Ok(point)
}

fn read_exponential(body: &[u8], place: Place) -> Result<Point, Corrupt> {
    let (mut point, mut value) = (Point::default(), ExponentialValue::default());
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("exponential histogram")? {
        match (number, field) {
            (1, Field::Range(place)) => read_pair_into(body, place, &mut point.attributes)?,
            (2, Field::Fixed64(time)) => point.start_time_ns = time,
            (3, Field::Fixed64(time)) => point.time_ns = time,
            (4, Field::Fixed64(count)) => value.count = count,
            (5, Field::Fixed64(bits)) => value.sum = Some(f64::from_bits(bits)),
            (6, Field::Varint(scale)) => value.scale = signed_32(scale),
            (7, Field::Fixed64(count)) => value.zero_count = count,
            (8, Field::Range(place)) => value.positive = read_buckets(body, place)?,
            (9, Field::Range(place)) => value.negative = read_buckets(body, place)?,
            (10, Field::Varint(flags)) => point.flags = flags,
            (11, Field::Range(place)) => read_exemplar(body, place, &mut point.exemplars)?,
            (14, Field::Fixed64(bits)) => value.zero_threshold = f64::from_bits(bits),
            _ => {}
        }
    }
    point.value = Value::Exponential(value);
    Ok(point)
}

fn read_buckets(body: &[u8], place: Place) -> Result<Buckets, Corrupt> {
    let mut buckets = Buckets::default();
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("buckets")? {
        match (number, field) {
            (1, Field::Varint(offset)) => buckets.offset = signed_32(offset),
            (2, field) => {
                let counts = &mut buckets.counts;
                repeated_varint(body, field, "bucket counts", |count| counts.push(count))?;
            }
            _ => {}
        }
    }
    Ok(buckets)
}

fn read_summary(body: &[u8], place: Place) -> Result<Point, Corrupt> {
    let (mut point, mut value) = (Point::default(), SummaryValue::default());
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("summary")? {
        match (number, field) {
            (2, Field::Fixed64(time)) => point.start_time_ns = time,
            (3, Field::Fixed64(time)) => point.time_ns = time,
            (4, Field::Fixed64(count)) => value.count = count,
            (5, Field::Fixed64(bits)) => value.sum = f64::from_bits(bits),
            (6, Field::Range(place)) => {
                let mut quantile = (0.0, 0.0);
                let mut message = Message::within(body, place);
                while let Some((number, field)) = message.next("quantile")? {
                    match (number, field) {
                        (1, Field::Fixed64(bits)) => quantile.0 = f64::from_bits(bits),
                        (2, Field::Fixed64(bits)) => quantile.1 = f64::from_bits(bits),
                        _ => {}
                    }
                }
                value.quantiles.push(quantile);
            }
            (7, Field::Range(place)) => read_pair_into(body, place, &mut point.attributes)?,
            (8, Field::Varint(flags)) => point.flags = flags,
            _ => {}
        }
    }
    point.value = Value::Summary(value);
    Ok(point)
}

/// An exemplar without a value is none.
fn read_exemplar(body: &[u8], place: Place, out: &mut Vec<Exemplar>) -> Result<(), Corrupt> {
    let (mut exemplar, mut value) = (Exemplar::default(), None);
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("exemplar")? {
        match (number, field) {
            (2, Field::Fixed64(time)) => exemplar.time_ns = time,
            (3, Field::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
            (4, Field::Range(place)) => exemplar.span_id = hexadecimal(bytes_at(body, place)),
            (5, Field::Range(place)) => exemplar.trace_id = hexadecimal(bytes_at(body, place)),
            (6, Field::Fixed64(bits)) => value = Some(bits.cast_signed() as f64),
            (7, Field::Range(place)) => read_pair_into(body, place, &mut exemplar.attributes)?,
            _ => {}
        }
    }
    if let Some(value) = value {
        exemplar.value = value;
        push_bounded(out, EXEMPLARS_MAX, || exemplar);
    }
    Ok(())
}

fn read_pair_into(body: &[u8], place: Place, out: &mut Vec<KeyValue>) -> Result<(), Corrupt> {
    let pair = read_pair(body, place, 0)?;
    push_bounded(out, ATTRIBUTES_MAX, || pair);
    Ok(())
}

fn read_pair(body: &[u8], place: Place, depth: usize) -> Result<KeyValue, Corrupt> {
    let mut pair = KeyValue::default();
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next("attribute")? {
        match (number, field) {
            (1, Field::Range(place)) => pair.key = text(body, place, "key of an attribute")?,
            (2, Field::Range(place)) => pair.value = read_value(body, place, depth)?,
            _ => {}
        }
    }
    Ok(pair)
}

fn read_value(body: &[u8], place: Place, depth: usize) -> Result<AnyValue, Corrupt> {
    let what = "value of an attribute";
    if depth > DEPTH_MAX {
        return Err(Corrupt::new(
            "value of an attribute, which is too deep",
            place.start,
        ));
    }
    let mut value = AnyValue::Nothing;
    let mut message = Message::within(body, place);
    while let Some((number, field)) = message.next(what)? {
        value = match (number, field) {
            (1, Field::Range(place)) => AnyValue::Text(text(body, place, what)?),
            (2, Field::Varint(number)) => AnyValue::Bool(number != 0),
            (3, Field::Varint(number)) => AnyValue::Int(number.cast_signed()),
            (4, Field::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
            (5, Field::Range(place)) => {
                let mut items = Vec::new();
                each_message(body, place, 1, what, |item| {
                    items.push(read_value(body, item, depth + 1)?);
                    Ok(())
                })?;
                AnyValue::Array(items)
            }
            (6, Field::Range(place)) => {
                let mut pairs = Vec::new();
                each_message(body, place, 1, what, |pair| {
                    pairs.push(read_pair(body, pair, depth + 1)?);
                    Ok(())
                })?;
                AnyValue::Map(pairs)
            }
            (7, Field::Range(place)) => {
                let engine = base64::engine::general_purpose::STANDARD;
                AnyValue::Bytes(engine.encode(bytes_at(body, place)))
            }
            _ => continue,
        };
    }
    Ok(value)
}

/// A number of 32 bits that was written as a zig-zag.
fn signed_32(number: u64) -> i32 {
    unzigzag(number) as i32
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    if bytes.iter().any(|byte| *byte != 0) {
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(out, "{byte:02x}");
        }
    }
    out
}

/// Takes the numbers of a repeated field of eight bytes each, packed or not.
fn repeated_fixed64(
    body: &[u8],
    field: Field,
    what: &'static str,
    out: &mut Vec<u64>,
) -> Result<(), Corrupt> {
    match field {
        Field::Fixed64(number) => out.push(number),
        Field::Range(place) => {
            let mut numbers = Message::within(body, place);
            while !numbers.is_empty() {
                out.push(numbers.fixed64(what)?);
            }
        }
        Field::Varint(_) | Field::Fixed32 => return Err(Corrupt::new(what, 0)),
    }
    Ok(())
}
