//! Remote write 1.0: every series has its labels as text.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::histogram;
use super::labels::{self, BytePair, Gathered, Spans};
use super::proto::{Field, Message, text_at};
use super::write::Sink;
use crate::base::bytes::Corrupt;
use crate::head::stage::LabelSource;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::metadata::{MetadataRef, MetricType};
use std::ops::Range;

/// The tags of a series in a request, and of labels and samples in a series.
const SERIES_TAG: u8 = 1 << 3 | 2;
const LABEL_TAG: u8 = 1 << 3 | 2;
const SAMPLE_TAG: u8 = 2 << 3 | 2;
/// Tags of a sample's fields.
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIMESTAMP_TAG: u8 = 2 << 3;

/// The label sets of a request.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    body: &'a [u8],
    spans: Spans,
}

impl LabelSource for Source<'_> {
    fn labels(&self, series: u32, out: &mut Vec<u8>) -> Result<(), String> {
        canonical(self.spans.get(self.body, series as usize), out)
    }
}

/// Appends the canonical labels of a text that is label fields one behind the other.
fn canonical(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut pairs = pairs(text).map_err(|error| error.to_string())?;
    labels::canonical(&mut pairs, out)
}

fn pairs(text: &[u8]) -> Result<Vec<BytePair<'_>>, Corrupt> {
    // Nearly all labels are, lengths and tags included, and that is one look for all of them.
    let is_ascii = text.is_ascii();
    let mut message = Message::new(text);
    let mut pairs = Vec::with_capacity(16);
    while let Some((number, field)) = message.next("label")? {
        match (number, field) {
            (1, Field::Range(range)) if is_ascii => pairs.push(labels::byte_pair(text, range)?),
            (1, Field::Range(range)) => {
                let (name, value) = labels::pair(text, range)?;
                pairs.push((name.as_bytes(), value.as_bytes()));
            }
            _ => return Err(message.corrupt("label")),
        }
    }
    Ok(pairs)
}

/// Stages everything of a request.
pub(crate) fn stage<'a>(body: &'a [u8], sink: &mut Sink<'_>) -> Result<Source<'a>, Corrupt> {
    let mut source = Source {
        body,
        spans: Spans::default(),
    };
    let mut message = Message::new(body);
    loop {
        while message.take_tag(SERIES_TAG) {
            source.stage_series(message.range("time series")?, sink)?;
        }
        let Some((number, field)) = message.next("write request")? else {
            return Ok(source);
        };
        match (number, field) {
            (1, Field::Range(range)) => source.stage_series(range, sink)?,
            (3, Field::Range(range)) => stage_metadata(body, range, sink)?,
            (1 | 3, _) => return Err(message.corrupt("write request")),
            _ => {}
        }
    }
}

impl Source<'_> {
    fn stage_series(&mut self, range: Range<usize>, sink: &mut Sink<'_>) -> Result<(), Corrupt> {
        let mut message = Message::within(self.body, range);
        let (mut series, mut gathered) = (sink.begin(self.spans.len()), Gathered::default());
        let start = message.position();
        // Senders write the labels first; their text is one piece then.
        while message.take_tag(LABEL_TAG) {
            message.range("label")?;
        }
        self.spans
            .gather(self.body, &mut gathered, start..message.position());
        while message.take_tag(SAMPLE_TAG) {
            let (timestamp, bits) = sample(self.body, message.range("sample")?)?;
            sink.float(&mut series, timestamp, 0, bits);
        }
        loop {
            let start = message.position();
            let Some((number, field)) = message.next("time series")? else {
                break;
            };
            match (number, field) {
                (1, Field::Range(_)) => {
                    self.spans
                        .gather(self.body, &mut gathered, start..message.position());
                }
                (2, Field::Range(range)) => {
                    let (timestamp, bits) = sample(self.body, range)?;
                    sink.float(&mut series, timestamp, 0, bits);
                }
                (3, Field::Range(range)) => sink.exemplar(&mut series, exemplar(self.body, range)?),
                (4, Field::Range(range)) => {
                    sink.histogram(&mut series, histogram::decode(self.body, range)?);
                }
                (1..=4, _) => return Err(message.corrupt("time series")),
                _ => {}
            }
        }
        let text = self.spans.push(self.body, &gathered);
        sink.end(&series, sink.key(text), text.len(), |out| canonical(text, out));
        Ok(())
    }
}

#[inline]
fn sample(body: &[u8], range: Range<usize>) -> Result<(i64, u64), Corrupt> {
    let mut message = Message::within(body, range);
    let (mut timestamp, mut bits) = (0, 0);
    if message.take_tag(VALUE_TAG) {
        bits = message.fixed64("value of a sample")?;
    }
    if message.take_tag(TIMESTAMP_TAG) {
        timestamp = message.varint("timestamp of a sample")? as i64;
    }
    while let Some((number, field)) = message.next("sample")? {
        match (number, field) {
            (1, Field::Fixed64(value)) => bits = value,
            (2, Field::Varint(value)) => timestamp = value as i64,
            (1 | 2, _) => return Err(message.corrupt("sample")),
            _ => {}
        }
    }
    Ok((timestamp, bits))
}

fn exemplar(body: &[u8], range: Range<usize>) -> Result<Result<Exemplar, String>, Corrupt> {
    let mut message = Message::within(body, range);
    let (mut pairs, mut timestamp, mut value) = (Vec::new(), 0, 0.0);
    while let Some((number, field)) = message.next("exemplar")? {
        match (number, field) {
            (1, Field::Range(range)) => pairs.push(labels::pair(body, range)?),
            (2, Field::Fixed64(bits)) => value = f64::from_bits(bits),
            (3, Field::Varint(number)) => timestamp = number as i64,
            (1..=3, _) => return Err(message.corrupt("exemplar")),
            _ => {}
        }
    }
    let labels = Labels::from_pairs(pairs).map_err(|error| format!("exemplar: {error}"));
    Ok(labels.map(|labels| Exemplar {
        labels,
        timestamp,
        value,
    }))
}

fn stage_metadata(body: &[u8], range: Range<usize>, sink: &mut Sink<'_>) -> Result<(), Corrupt> {
    let mut message = Message::within(body, range);
    let (mut metric, mut metric_type, mut help, mut unit) = ("", MetricType::Unknown, "", "");
    while let Some((number, field)) = message.next("metadata")? {
        match (number, field) {
            (1, Field::Varint(number)) => {
                let known = u8::try_from(number).ok().and_then(MetricType::from_u8);
                metric_type = known.unwrap_or_default();
            }
            (2, Field::Range(range)) => metric = text_at(body, range, "metric name that is not UTF-8")?,
            (4, Field::Range(range)) => help = text_at(body, range, "help that is not UTF-8")?,
            (5, Field::Range(range)) => unit = text_at(body, range, "unit that is not UTF-8")?,
            (1 | 2 | 4 | 5, _) => return Err(message.corrupt("metadata")),
            _ => {}
        }
    }
    let metadata = MetadataRef {
        metric_type,
        help,
        unit,
    };
    sink.metadata(metric, metadata);
    Ok(())
}
