//! Remote write 2.0: labels are references to a table of texts.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::histogram;
use super::labels::{self, Gathered, Spans};
use super::proto::{Field, Message, bytes_at, repeated_varint};
use super::write::{Series, Sink};
use crate::base::bytes::Corrupt;
use crate::head::stage::LabelSource;
use crate::model::exemplar::Exemplar;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::metadata::{Metadata, MetricType};
use std::collections::HashSet;
use std::ops::Range;

/// The tag of packed references in a series.
const REFERENCES_TAG: u8 = 1 << 3 | 2;

/// A text of the table.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: u32,
    bytes: u32,
    /// Of the text, keyed.
    hash: u128,
}

/// The label sets of a request.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    body: &'a [u8],
    symbols: Vec<Symbol>,
    /// By series: its references, as varints.
    references: Spans,
}

/// What the series of a request share while they are staged.
struct Scratch {
    /// Hashes of one series' texts.
    hashes: Vec<u8>,
    /// Of the text `__name__`.
    name_hash: u128,
    /// Metric name, type, help and unit that were staged already.
    metadata: HashSet<[u32; 4], foldhash::fast::FixedState>,
}

impl Scratch {
    fn new(sink: &Sink<'_>) -> Self {
        Self {
            hashes: Vec::new(),
            name_hash: sink.key(METRIC_NAME.as_bytes()),
            metadata: HashSet::default(),
        }
    }
}

impl LabelSource for Source<'_> {
    fn labels(&self, series: u32, out: &mut Vec<u8>) -> Result<(), String> {
        let mut message = Message::new(self.references.get(self.body, series as usize));
        let mut references = Vec::with_capacity(32);
        while !message.is_empty() {
            references.push(
                message
                    .varint("label reference")
                    .map_err(|error| error.to_string())?,
            );
        }
        let mut pairs = self.pairs(&references)?;
        labels::canonical(&mut pairs, out)
    }
}

/// Stages everything of a request.
pub(crate) fn stage<'a>(body: &'a [u8], sink: &mut Sink<'_>) -> Result<Source<'a>, Corrupt> {
    let mut source = Source {
        body,
        symbols: Vec::new(),
        references: Spans::default(),
    };
    let (mut message, mut scratch) = (Message::new(body), Scratch::new(sink));
    // The table comes first in what senders write, and may come anywhere.
    while let Some((number, field)) = message.next("write request")? {
        match (number, field) {
            (4, Field::Range(range)) => source.push_symbol(range, sink),
            (5, Field::Range(_)) => {}
            (4 | 5, _) => return Err(message.corrupt("write request")),
            _ => {}
        }
    }
    if source.symbols.first().is_some_and(|symbol| symbol.bytes > 0) {
        return Err(Corrupt::new("table of symbols, whose first is not empty", 0));
    }
    message = Message::new(body);
    while let Some((number, field)) = message.next("write request")? {
        if let (5, Field::Range(range)) = (number, field) {
            source.stage_series(range, sink, &mut scratch)?;
        }
    }
    Ok(source)
}

impl<'a> Source<'a> {
    fn push_symbol(&mut self, range: Range<usize>, sink: &Sink<'_>) {
        let text = bytes_at(self.body, range.clone());
        self.symbols.push(Symbol {
            start: range.start as u32,
            bytes: text.len() as u32,
            hash: sink.key(text),
        });
    }

    fn text(&self, reference: u64) -> Result<&'a str, String> {
        let symbol = usize::try_from(reference)
            .ok()
            .and_then(|place| self.symbols.get(place))
            .ok_or_else(|| {
                let count = self.symbols.len();
                format!("reference {reference} to a table of {count} symbols")
            })?;
        let start = symbol.start as usize;
        let text = bytes_at(self.body, start..start + symbol.bytes as usize);
        std::str::from_utf8(text).map_err(|_| format!("symbol {reference} is not UTF-8"))
    }

    fn pairs(&self, references: &[u64]) -> Result<Vec<(&'a str, &'a str)>, String> {
        let (pairs, rest) = references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!("{} label references, which is odd", references.len()));
        }
        pairs
            .iter()
            .map(|[name, value]| Ok((self.text(*name)?, self.text(*value)?)))
            .collect()
    }

    fn stage_series(
        &mut self,
        range: Range<usize>,
        sink: &mut Sink<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Corrupt> {
        let mut message = Message::within(self.body, range);
        let (mut series, mut gathered) = (sink.begin(self.references.len()), Gathered::default());
        let (mut metadata, mut created) = (None, 0);
        while message.starts_with(REFERENCES_TAG) {
            message.skip_byte();
            let piece = message.range("label references")?;
            self.references.gather(self.body, &mut gathered, piece);
        }
        loop {
            let start = message.position();
            let Some((number, field)) = message.next("time series")? else {
                break;
            };
            match (number, field) {
                (1, Field::Range(piece)) => self.references.gather(self.body, &mut gathered, piece),
                (1, Field::Varint(_)) => {
                    let mut single = Message::within(self.body, start..message.position());
                    single.varint("tag")?;
                    let piece = single.position()..message.position();
                    self.references.gather(self.body, &mut gathered, piece);
                }
                (2, Field::Range(range)) => {
                    let (timestamp, start_timestamp, bits) = sample(self.body, range)?;
                    sink.float(&mut series, timestamp, start_timestamp, bits);
                }
                (3, Field::Range(range)) => {
                    sink.histogram(&mut series, histogram::decode(self.body, range)?);
                }
                (4, Field::Range(range)) => sink.exemplar(&mut series, self.exemplar(range)?),
                (5, Field::Range(range)) => metadata = Some(range),
                (6, Field::Varint(value)) => created = value as i64,
                (1..=6, _) => return Err(message.corrupt("time series")),
                _ => {}
            }
        }
        self.references.push(self.body, &gathered);
        sink.set_start(&series, created);
        sink.require_one_kind(&series);
        let name = self.end_series(&series, scratch, sink)?;
        if let (Some(range), Some(name)) = (metadata, name) {
            self.stage_metadata(range, name, &series, scratch, sink)?;
        }
        Ok(())
    }

    /// Gives the entries of the series that was pushed last their key; returns the reference to its metric name.
    fn end_series(
        &self,
        series: &Series,
        scratch: &mut Scratch,
        sink: &mut Sink<'_>,
    ) -> Result<Option<u32>, Corrupt> {
        let text = self.references.get(self.body, self.references.len() - 1);
        let mut message = Message::new(text);
        let (mut label_bytes, mut name, mut is_name, mut is_after_name) = (0, None, true, false);
        scratch.hashes.clear();
        while !message.is_empty() {
            let reference = message.varint("label reference")?;
            let symbol = usize::try_from(reference)
                .ok()
                .and_then(|place| self.symbols.get(place));
            // What refers to nothing has a key of its own, and is refused when it is decoded.
            let hash = symbol.map_or(u128::from(reference), |symbol| symbol.hash);
            scratch.hashes.extend_from_slice(&hash.to_le_bytes());
            label_bytes += symbol.map_or(0, |symbol| symbol.bytes as usize) + 5;
            if is_name {
                is_after_name = hash == scratch.name_hash;
            } else if is_after_name {
                name = u32::try_from(reference).ok();
            }
            is_name = !is_name;
        }
        let number = self.references.len() - 1;
        sink.end(series, sink.key(&scratch.hashes), label_bytes, |out| {
            self.labels(number as u32, out)
        });
        Ok(name)
    }

    fn exemplar(&self, range: Range<usize>) -> Result<Result<Exemplar, String>, Corrupt> {
        let mut message = Message::within(self.body, range);
        let (mut references, mut timestamp, mut value) = (Vec::new(), 0, 0.0);
        while let Some((number, field)) = message.next("exemplar")? {
            match (number, field) {
                (1, field) => repeated_varint(self.body, field, "label reference", |reference| {
                    references.push(reference);
                })?,
                (2, Field::Fixed64(bits)) => value = f64::from_bits(bits),
                (3, Field::Varint(number)) => timestamp = number as i64,
                (1..=3, _) => return Err(message.corrupt("exemplar")),
                _ => {}
            }
        }
        let labels = self
            .pairs(&references)
            .and_then(|pairs| Labels::from_pairs(pairs).map_err(|error| error.to_string()))
            .map_err(|fault| format!("exemplar: {fault}"));
        Ok(labels.map(|labels| Exemplar {
            labels,
            timestamp,
            value,
        }))
    }

    /// Series of one metric repeat its metadata; it is staged once.
    fn stage_metadata(
        &self,
        range: Range<usize>,
        name: u32,
        series: &Series,
        scratch: &mut Scratch,
        sink: &mut Sink<'_>,
    ) -> Result<(), Corrupt> {
        let mut message = Message::within(self.body, range);
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        while let Some((number, field)) = message.next("metadata")? {
            match (number, field) {
                (1, Field::Varint(value)) => kind = value as u32,
                (3, Field::Varint(value)) => help = value as u32,
                (4, Field::Varint(value)) => unit = value as u32,
                (1 | 3 | 4, _) => return Err(message.corrupt("metadata")),
                _ => {}
            }
        }
        if (kind, help, unit) == (0, 0, 0) || !scratch.metadata.insert([name, kind, help, unit]) {
            return Ok(());
        }
        // What refers to nothing was refused with its series, or is not worth a refusal of its own.
        let text = |reference: u32| self.text(u64::from(reference)).unwrap_or_default();
        let metadata = Metadata {
            metric_type: u8::try_from(kind)
                .ok()
                .and_then(MetricType::from_u8)
                .unwrap_or_default(),
            help: text(help).to_owned(),
            unit: text(unit).to_owned(),
        };
        let is_native = series.histograms > 0;
        sink.metadata(family(text(name), metadata.metric_type, is_native), metadata);
        Ok(())
    }
}

/// The metric that a series is a part of: what is said of `x_bucket` is meant of the classic histogram `x`.
fn family(name: &str, kind: MetricType, is_native: bool) -> &str {
    let suffixes: &[&str] = match kind {
        _ if is_native => &[],
        MetricType::Histogram => &["_bucket", "_count", "_sum"],
        MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    let stripped = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    stripped.filter(|family| !family.is_empty()).unwrap_or(name)
}

/// Timestamp, start timestamp and bits.
#[inline]
fn sample(body: &[u8], range: Range<usize>) -> Result<(i64, i64, u64), Corrupt> {
    let mut message = Message::within(body, range);
    let (mut timestamp, mut start_timestamp, mut bits) = (0, 0, 0);
    while let Some((number, field)) = message.next("sample")? {
        match (number, field) {
            (1, Field::Fixed64(value)) => bits = value,
            (2, Field::Varint(value)) => timestamp = value as i64,
            (3, Field::Varint(value)) => start_timestamp = value as i64,
            (1..=3, _) => return Err(message.corrupt("sample")),
            _ => {}
        }
    }
    Ok((timestamp, start_timestamp, bits))
}
