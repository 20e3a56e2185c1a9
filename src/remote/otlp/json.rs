//! OTLP metrics in JSON, shown as `decode` shows them in protobuf.
//!
//! Names are accepted in both spellings (`timeUnixNano`, `time_unix_nano`), numbers of 64 bits as numbers or texts, and identities of
//! traces in hexadecimal, as the protocol has it.

use super::message::{
    ATTRIBUTES_MAX, AnyValue, Buckets, EXEMPLARS_MAX, Exemplar, ExponentialValue, HistogramValue, KeyValue,
    Kind, Metric, Point, Scope, SummaryValue, Temporality, Value, Visit,
};
use serde_json::Value as Json;

/// What is wrong, and below which name.
pub(crate) type Fault = String;

/// Shows everything of a request in order.
pub(crate) fn walk(body: &[u8], visit: &mut impl Visit) -> Result<(), Fault> {
    let request: Json = serde_json::from_slice(body).map_err(|fault| format!("no JSON: {fault}"))?;
    if !request.is_object() {
        return Err("an object with resourceMetrics is expected".to_owned());
    }
    for resource in list(&request, "resourceMetrics")? {
        let of_resource = field(resource, "resource");
        visit.resource(attributes(of_resource, "attributes")?);
        for scope in list(resource, "scopeMetrics")? {
            visit.scope(read_scope(scope)?);
            for metric in list(scope, "metrics")? {
                walk_metric(metric, visit)?;
            }
        }
        visit.end_of_resource();
    }
    Ok(())
}

/// The field of that name, in either spelling; null when there is none.
fn field<'j>(json: &'j Json, name: &str) -> &'j Json {
    let found = json.get(name).or_else(|| {
        let mut snake = String::with_capacity(name.len() + 4);
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        json.get(&snake)
    });
    found.unwrap_or(&Json::Null)
}

fn list<'j>(json: &'j Json, name: &str) -> Result<&'j [Json], Fault> {
    match field(json, name) {
        Json::Null => Ok(&[]),
        Json::Array(items) => Ok(items),
        _ => Err(format!("{name} is no list")),
    }
}

fn text(json: &Json, name: &str) -> Result<String, Fault> {
    match field(json, name) {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        _ => Err(format!("{name} is no text")),
    }
}

fn unsigned(json: &Json, name: &str) -> Result<u64, Fault> {
    let json = field(json, name);
    match json {
        Json::Null => Ok(0),
        json => as_unsigned(json).ok_or_else(|| format!("{name} is no number from 0 on")),
    }
}

fn as_unsigned(json: &Json) -> Option<u64> {
    match json {
        Json::String(text) => text.parse().ok(),
        json => json.as_u64(),
    }
}

fn as_signed(json: &Json) -> Option<i64> {
    match json {
        Json::String(text) => text.parse().ok(),
        json => json.as_i64(),
    }
}

/// `NaN`, `Infinity` and `-Infinity` are texts.
fn as_double(json: &Json) -> Option<f64> {
    match json {
        Json::String(text) => text.parse().ok(),
        json => json.as_f64(),
    }
}

fn double(json: &Json, name: &str) -> Result<Option<f64>, Fault> {
    match field(json, name) {
        Json::Null => Ok(None),
        json => as_double(json)
            .map(Some)
            .ok_or_else(|| format!("{name} is no number")),
    }
}

fn signed_32(json: &Json, name: &str) -> Result<i32, Fault> {
    let number = match field(json, name) {
        Json::Null => Some(0),
        json => as_signed(json),
    };
    let number = number.and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| format!("{name} is no number of 32 bits"))
}

fn numbers<N>(json: &Json, name: &str, read: impl Fn(&Json) -> Option<N>) -> Result<Vec<N>, Fault> {
    let items = list(json, name)?.iter().map(read);
    items
        .collect::<Option<Vec<N>>>()
        .ok_or_else(|| format!("{name} has what is no such number"))
}

fn read_scope(json: &Json) -> Result<Scope, Fault> {
    let scope = field(json, "scope");
    Ok(Scope {
        name: text(scope, "name")?,
        version: text(scope, "version")?,
        schema_url: text(json, "schemaUrl")?,
        attributes: attributes(scope, "attributes")?,
    })
}

fn walk_metric(json: &Json, visit: &mut impl Visit) -> Result<(), Fault> {
    let kinds = [
        ("gauge", Kind::Gauge),
        ("sum", Kind::Sum),
        ("histogram", Kind::Histogram),
        ("exponentialHistogram", Kind::Exponential),
        ("summary", Kind::Summary),
    ];
    let found = kinds.into_iter().find(|kind| !field(json, kind.0).is_null());
    let (data, kind) = found.map_or((&Json::Null, Kind::Nothing), |(name, kind)| {
        (field(json, name), kind)
    });
    let temporality = field(data, "aggregationTemporality");
    visit.metric(Metric {
        name: text(json, "name")?,
        description: text(json, "description")?,
        unit: text(json, "unit")?,
        kind,
        temporality: match temporality.as_str() {
            Some("AGGREGATION_TEMPORALITY_DELTA") => Temporality::Delta,
            Some("AGGREGATION_TEMPORALITY_CUMULATIVE") => Temporality::Cumulative,
            _ => Temporality::of_number(as_unsigned(temporality).unwrap_or(0)),
        },
        is_monotonic: field(data, "isMonotonic").as_bool().unwrap_or(false),
    });
    for point in list(data, "dataPoints")? {
        visit.point(&read_point(point, kind)?);
    }
    Ok(())
}

fn read_point(json: &Json, kind: Kind) -> Result<Point, Fault> {
    let exemplars = list(json, "exemplars")?.iter().take(EXEMPLARS_MAX);
    let exemplars = exemplars.filter_map(|exemplar| read_exemplar(exemplar).transpose());
    Ok(Point {
        attributes: attributes(json, "attributes")?,
        start_time_ns: unsigned(json, "startTimeUnixNano")?,
        time_ns: unsigned(json, "timeUnixNano")?,
        flags: unsigned(json, "flags")?,
        exemplars: exemplars.collect::<Result<Vec<_>, Fault>>()?,
        value: match kind {
            Kind::Nothing => Value::Nothing,
            Kind::Gauge | Kind::Sum => read_number(json)?,
            Kind::Histogram => Value::Histogram(HistogramValue {
                count: unsigned(json, "count")?,
                sum: double(json, "sum")?,
                bucket_counts: numbers(json, "bucketCounts", as_unsigned)?,
                bounds: numbers(json, "explicitBounds", as_double)?,
            }),
            Kind::Exponential => Value::Exponential(ExponentialValue {
                count: unsigned(json, "count")?,
                sum: double(json, "sum")?,
                scale: signed_32(json, "scale")?,
                zero_count: unsigned(json, "zeroCount")?,
                zero_threshold: double(json, "zeroThreshold")?.unwrap_or(0.0),
                positive: read_buckets(field(json, "positive"))?,
                negative: read_buckets(field(json, "negative"))?,
            }),
            Kind::Summary => Value::Summary(SummaryValue {
                count: unsigned(json, "count")?,
                sum: double(json, "sum")?.unwrap_or(0.0),
                quantiles: read_quantiles(json)?,
            }),
        },
    })
}

fn read_number(json: &Json) -> Result<Value, Fault> {
    if let Some(value) = double(json, "asDouble")? {
        return Ok(Value::Double(value));
    }
    match field(json, "asInt") {
        Json::Null => Ok(Value::Nothing),
        json => as_signed(json)
            .map(Value::Int)
            .ok_or_else(|| "asInt is no whole number".to_owned()),
    }
}

fn read_buckets(json: &Json) -> Result<Buckets, Fault> {
    Ok(Buckets {
        offset: signed_32(json, "offset")?,
        counts: numbers(json, "bucketCounts", as_unsigned)?,
    })
}

fn read_quantiles(json: &Json) -> Result<Vec<(f64, f64)>, Fault> {
    let quantiles = list(json, "quantileValues")?.iter();
    let quantiles = quantiles.map(|one| {
        let quantile = double(one, "quantile")?.unwrap_or(0.0);
        Ok((quantile, double(one, "value")?.unwrap_or(0.0)))
    });
    quantiles.collect()
}

/// An exemplar without a value is none.
fn read_exemplar(json: &Json) -> Result<Option<Exemplar>, Fault> {
    let id = |name| -> Result<String, Fault> {
        let id = text(json, name)?.to_ascii_lowercase();
        let is_there = id.contains(|c| c != '0');
        Ok(if is_there { id } else { String::new() })
    };
    let Some(value) = read_number(json)?.number() else {
        return Ok(None);
    };
    Ok(Some(Exemplar {
        value,
        time_ns: unsigned(json, "timeUnixNano")?,
        trace_id: id("traceId")?,
        span_id: id("spanId")?,
        attributes: attributes(json, "filteredAttributes")?,
    }))
}

fn attributes(json: &Json, name: &str) -> Result<Vec<KeyValue>, Fault> {
    let pairs = list(json, name)?.iter().take(ATTRIBUTES_MAX + 1);
    pairs.map(read_pair).collect()
}

fn read_pair(json: &Json) -> Result<KeyValue, Fault> {
    Ok(KeyValue {
        key: text(json, "key")?,
        value: read_value(field(json, "value"))?,
    })
}

/// The depth of values is bounded by that of JSON.
fn read_value(json: &Json) -> Result<AnyValue, Fault> {
    let no = |name: &str| format!("{name} is no such value");
    let (name, json) = match json.as_object().and_then(|object| object.iter().next()) {
        None => return Ok(AnyValue::Nothing),
        Some((name, json)) => (name.as_str(), json),
    };
    Ok(match name {
        "stringValue" | "string_value" => AnyValue::Text(json.as_str().ok_or_else(|| no(name))?.to_owned()),
        "boolValue" | "bool_value" => AnyValue::Bool(json.as_bool().ok_or_else(|| no(name))?),
        "intValue" | "int_value" => AnyValue::Int(as_signed(json).ok_or_else(|| no(name))?),
        "doubleValue" | "double_value" => AnyValue::Double(as_double(json).ok_or_else(|| no(name))?),
        "bytesValue" | "bytes_value" => AnyValue::Bytes(json.as_str().ok_or_else(|| no(name))?.to_owned()),
        "arrayValue" | "array_value" => {
            let items = list(json, "values")?.iter().map(read_value);
            AnyValue::Array(items.collect::<Result<_, Fault>>()?)
        }
        "kvlistValue" | "kvlist_value" => AnyValue::Map(attributes(json, "values")?),
        _ => AnyValue::Nothing,
    })
}
