//! JSON lines in VictoriaMetrics' shape: a line has the labels of a series, values, and a time in milliseconds for each.
//!
//! `{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity"],"timestamps":[1,2,3]}`
//!
//! JSON has no number for what is none: `null` is the ordinary NaN, `"Infinity"` and `"-Infinity"` are what they say. NaN with
//! other bits, as stale markers are, stand as `null` and are told by a field of narthex' own, which others pass over:
//! `"nan_bits":{"7ff0000000000002":[1]}` has the places of the values by their bits.

use super::line_labels::LineLabels;
use super::number::{NAN_BITS, write_finite, write_whole};
use super::{Fault, Reader, Sink};
use crate::model::labels::Labels;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

const HINT: &str =
    r#"send {"metric":{"__name__":"up"},"values":[1],"timestamps":[1700000000000]} on each line"#;

/// Reads lines.
#[derive(Debug)]
pub(crate) struct JsonLines {
    labels: LineLabels,
    values: Vec<f64>,
    times_ms: Vec<i64>,
    /// Places and bits.
    nans: Vec<(usize, u64)>,
}

impl JsonLines {
    pub(crate) fn new(extra: Vec<(String, String)>) -> Self {
        Self {
            labels: LineLabels::new(extra),
            values: Vec::new(),
            times_ms: Vec::new(),
            nans: Vec::new(),
        }
    }
}

impl Reader for JsonLines {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.labels.clear();
        self.values.clear();
        self.times_ms.clear();
        self.nans.clear();
        let mut json = serde_json::Deserializer::from_str(line);
        let read = Object(self).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|fault| Fault::new("bad_json", told(&fault), HINT))?;
        if self.values.len() != self.times_ms.len() || self.values.is_empty() {
            let (values, times) = (self.values.len(), self.times_ms.len());
            let message = format!("there are {values} values and {times} timestamps");
            return Err(Fault::new("bad_json", message, HINT));
        }
        for (place, bits) in &self.nans {
            match self.values.get_mut(*place).filter(|value| value.is_nan()) {
                Some(value) => *value = f64::from_bits(*bits),
                None => {
                    let message = format!("nan_bits names the value {place}, which is not null");
                    let hint = "nan_bits has places of values that are null, from 0";
                    return Err(Fault::new("bad_json", message, hint));
                }
            }
        }
        let series = self.labels.series()?;
        for (value, time_ms) in self.values.iter().zip(&self.times_ms) {
            sink.sample(series, Some(*time_ms), *value);
        }
        Ok(())
    }
}

/// What is wrong with JSON; the number of the line is told beside it.
fn told(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" at line ").next().unwrap_or("").to_owned();
    format!("no such object: {text} at byte {}", fault.column())
}

struct Object<'r>(&'r mut JsonLines);

impl<'t> DeserializeSeed<'t> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with metric, values and timestamps")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<(), A::Error> {
        let line = self.0;
        while let Some(field) = object.next_key_seed(Text)? {
            match &*field {
                "metric" => object.next_value_seed(Metric(&mut line.labels))?,
                "values" => object.next_value_seed(Numbers(&mut line.values, value_of::<A::Error>))?,
                "timestamps" => object.next_value_seed(Numbers(&mut line.times_ms, time_of::<A::Error>))?,
                "nan_bits" => object.next_value_seed(NanBits(&mut line.nans))?,
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A text, borrowed where it has no escapes.
struct Text;

impl<'t> DeserializeSeed<'t> for Text {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<Cow<'t, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Text {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct Metric<'r>(&'r mut LineLabels);

impl<'t> DeserializeSeed<'t> for Metric<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for Metric<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut labels: A) -> Result<(), A::Error> {
        while let Some(name) = labels.next_key_seed(Text)? {
            let value = labels.next_value_seed(Text)?;
            self.0.push(&name, &value);
        }
        Ok(())
    }
}

/// A number as it stands in a list.
enum Given<'t> {
    Null,
    Whole(i64),
    Broken(f64),
    Text(Cow<'t, str>),
}

fn value_of<E: Error>(given: &Given<'_>) -> Result<f64, E> {
    Ok(match given {
        Given::Null => f64::from_bits(NAN_BITS),
        Given::Whole(value) => *value as f64,
        Given::Broken(value) => *value,
        Given::Text(text) => match &**text {
            "Infinity" | "Inf" | "inf" | "+Inf" => f64::INFINITY,
            "-Infinity" | "-Inf" | "-inf" => f64::NEG_INFINITY,
            "NaN" | "nan" => f64::from_bits(NAN_BITS),
            text => return Err(E::custom(format_args!("the value {text:?} is no number"))),
        },
    })
}

fn time_of<E: Error>(given: &Given<'_>) -> Result<i64, E> {
    match given {
        Given::Whole(time_ms) => Ok(*time_ms),
        Given::Null | Given::Broken(_) | Given::Text(_) => {
            Err(E::custom("a timestamp is no whole number of milliseconds"))
        }
    }
}

/// A list of numbers, with what makes one of them.
struct Numbers<'r, T, E>(&'r mut Vec<T>, fn(&Given<'_>) -> Result<T, E>);

impl<'t, T, E: Error> DeserializeSeed<'t> for Numbers<'_, T, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'t, T, E: Error> Visitor<'t> for Numbers<'_, T, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.clear();
        while let Some(given) = list.next_element_seed(One)? {
            self.0.push((self.1)(&given).map_err(A::Error::custom)?);
        }
        Ok(())
    }
}

struct One;

impl<'t> DeserializeSeed<'t> for One {
    type Value = Given<'t>;

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<Given<'t>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for One {
    type Value = Given<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_unit<E>(self) -> Result<Given<'t>, E> {
        Ok(Given::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given<'t>, E> {
        Ok(Given::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given<'t>, E> {
        Ok(i64::try_from(value).map_or(Given::Broken(value as f64), Given::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given<'t>, E> {
        Ok(Given::Broken(value))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Given<'t>, E> {
        Ok(Given::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given<'t>, E> {
        Ok(Given::Text(Cow::Owned(text.to_owned())))
    }
}

/// Places by the bits of what stands there.
struct NanBits<'r>(&'r mut Vec<(usize, u64)>);

impl<'t> DeserializeSeed<'t> for NanBits<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'t> Visitor<'t> for NanBits<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("places by bits")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(text) = object.next_key_seed(Text)? {
            let is_hex = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
            let bits = u64::from_str_radix(&text, 16).ok();
            let bits = bits.filter(|bits| is_hex && f64::from_bits(*bits).is_nan());
            let bits =
                bits.ok_or_else(|| A::Error::custom(format_args!("{text:?} are not the bits of a NaN")))?;
            let mut places: Vec<i64> = Vec::new();
            object.next_value_seed(Numbers(&mut places, time_of::<A::Error>))?;
            let places = places
                .into_iter()
                .map(|place| (usize::try_from(place).unwrap_or(usize::MAX), bits));
            self.0.extend(places);
        }
        Ok(())
    }
}

/// Writes a line with samples of a series: times in milliseconds beside the bits of floats.
pub(crate) fn write(out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, u64)]) {
    out.extend_from_slice(b"{\"metric\":{");
    for (place, (name, value)) in labels.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        text(out, value);
    }
    out.extend_from_slice(b"},\"values\":[");
    let mut nans: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, (_, bits)) in samples.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let value = f64::from_bits(*bits);
        if value.is_finite() {
            write_finite(out, value);
        } else if value.is_nan() {
            out.extend_from_slice(b"null");
            if *bits != NAN_BITS {
                nans.entry(*bits).or_default().push(place);
            }
        } else {
            out.extend_from_slice(if value > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            });
        }
    }
    out.extend_from_slice(b"],\"timestamps\":");
    list(out, samples.iter().map(|sample| sample.0));
    if !nans.is_empty() {
        out.extend_from_slice(b",\"nan_bits\":{");
        for (place, (bits, places)) in nans.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}\"{bits:016x}\":").as_bytes());
            list(out, places.iter().map(|place| *place as i64));
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"}\n");
}

fn list(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    out.push(b'[');
    for (place, number) in numbers.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_whole(out, number);
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, text: &str) {
    // A vector takes whatever is written to it.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests;
