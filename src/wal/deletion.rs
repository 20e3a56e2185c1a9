//! A deletion as it stands in the log and in the manifest, and a correction as it stands in the log.
//!
//! * Deletion: first and last timestamp, time of creation, kind (0 matchers, 1 one series); then for matchers their
//!   number and per matcher operator (0 `=`, 1 `!=`, 2 `=~`, 3 `!~`), name and value; for one series its label set.
//! * Correction: series id, class (1 correction, 2 maximum), timestamp, start timestamp, kind (0 float, 1 histogram), value.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::histogram;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use crate::model::deletion::{Deletion, Selector};
use crate::model::labels::{Labels, LabelsRef};
use crate::model::matcher::{MatchOp, Matcher};
use crate::model::sample::{Class, Sample, Value};
use std::sync::Arc;

const MATCHERS: u8 = 0;
const SERIES: u8 = 1;
const FLOAT: u8 = 0;
const HISTOGRAM: u8 = 1;

/// A sample that is not ordinary, as it was logged.
#[derive(Debug, Clone)]
pub(crate) struct LoggedCorrection {
    pub(crate) id: u32,
    pub(crate) class: Class,
    pub(crate) sample: Sample,
}

pub(crate) fn write(out: &mut Vec<u8>, deletion: &Deletion) {
    varint::write_i64(out, deletion.from);
    varint::write_i64(out, deletion.to);
    varint::write_i64(out, deletion.created_ms);
    match &deletion.selector {
        Selector::Matchers(matchers) => {
            out.push(MATCHERS);
            write_matchers(out, matchers);
        }
        Selector::Series(labels) => {
            out.push(SERIES);
            varint::write_bytes(out, labels.as_bytes());
        }
    }
}

pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Deletion, Corrupt> {
    let from = cursor.ivarint("start of a deletion")?;
    let to = cursor.ivarint("end of a deletion")?;
    let created_ms = cursor.ivarint("time of a deletion")?;
    let selector = match cursor.u8("kind of a deletion")? {
        MATCHERS => Selector::Matchers(read_matchers(cursor)?),
        SERIES => {
            let labels = LabelsRef::check(cursor.length_prefixed("labels of a deletion")?)?;
            Selector::Series(Labels::from_canonical(labels.as_bytes()))
        }
        _ => return Err(cursor.corrupt("kind of a deletion")),
    };
    Ok(Deletion {
        selector,
        from,
        to,
        created_ms,
    })
}

pub(crate) fn write_matchers(out: &mut Vec<u8>, matchers: &[Matcher]) {
    varint::write_u64(out, matchers.len() as u64);
    for matcher in matchers {
        out.push(number_of(matcher.op));
        varint::write_bytes(out, matcher.name.as_bytes());
        varint::write_bytes(out, matcher.value.as_bytes());
    }
}

pub(crate) fn read_matchers(cursor: &mut Cursor<'_>) -> Result<Vec<Matcher>, Corrupt> {
    let count = cursor.length(cursor.remaining(), "number of matchers")?;
    (0..count).map(|_| read_matcher(cursor)).collect()
}

fn number_of(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn read_matcher(cursor: &mut Cursor<'_>) -> Result<Matcher, Corrupt> {
    let op = match cursor.u8("matcher operator")? {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(cursor.corrupt("matcher operator")),
    };
    Ok(Matcher::new(
        cursor.text("matcher name")?,
        op,
        cursor.text("matcher value")?,
    ))
}

pub(super) fn write_correction(out: &mut Vec<u8>, id: u32, class: Class, sample: &Sample) {
    varint::write_u64(out, u64::from(id));
    write_classed(out, class, sample);
}

pub(super) fn read_correction(cursor: &mut Cursor<'_>, id: u32) -> Result<LoggedCorrection, Corrupt> {
    let (class, sample) = read_classed(cursor)?;
    Ok(LoggedCorrection { id, class, sample })
}

/// A sample with its class; the state of a series in a checkpoint uses the same bytes.
pub(crate) fn write_classed(out: &mut Vec<u8>, class: Class, sample: &Sample) {
    out.push(class as u8);
    varint::write_i64(out, sample.timestamp);
    varint::write_i64(out, sample.start_timestamp);
    match &sample.value {
        Value::Float(value) => {
            out.push(FLOAT);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Value::Histogram(value) => {
            out.push(HISTOGRAM);
            histogram::write(out, value);
        }
    }
}

pub(crate) fn read_classed(cursor: &mut Cursor<'_>) -> Result<(Class, Sample), Corrupt> {
    let class = Class::from_u8(cursor.u8("class of a sample")?);
    let class = class.ok_or_else(|| cursor.corrupt("class of a sample"))?;
    let timestamp = cursor.ivarint("timestamp")?;
    let start_timestamp = cursor.ivarint("start timestamp")?;
    let value = match cursor.u8("kind of value")? {
        FLOAT => Value::Float(f64::from_bits(cursor.u64("value")?)),
        HISTOGRAM => Value::Histogram(Arc::new(histogram::read(cursor)?)),
        _ => return Err(cursor.corrupt("kind of value")),
    };
    let sample = Sample {
        timestamp,
        value,
        start_timestamp,
    };
    Ok((class, sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back() {
        let selectors = [
            Selector::Matchers(vec![Matcher::eq("a", "b"), Matcher::not_re("c", "d.*")]),
            Selector::Matchers(Vec::new()),
            Selector::Series(crate::labels! { "a" => "b" }),
        ];
        for selector in selectors {
            let deletion = Deletion {
                selector,
                from: i64::MIN,
                to: 5,
                created_ms: 7,
            };
            let mut bytes = Vec::new();
            write(&mut bytes, &deletion);
            assert_eq!(read(&mut Cursor::new(&bytes)), Ok(deletion));
            for end in 0..bytes.len() {
                assert!(read(&mut Cursor::new(&bytes[..end])).is_err());
            }
        }
    }
}
