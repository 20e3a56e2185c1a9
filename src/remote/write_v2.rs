//! Remote write 2.0: labels are references to a table of texts.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::histogram;
use super::labels::{self, Gathered, Spans};
use super::proto::{Field, Message, bytes_at, repeated_varint};
use super::write::{Series, Sink};
use crate::base::bytes::Corrupt;
use crate::base::keyed::SequenceHash;
use crate::head::stage::LabelSource;
use crate::model::exemplar::Exemplar;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::metadata::{MetadataRef, MetricType};
use std::ops::Range;

/// The tags of symbols and series in a request.
const SYMBOL_TAG: u8 = 4 << 3 | 2;
const SERIES_TAG: u8 = 5 << 3 | 2;
/// The tags of packed references, samples and metadata in a series.
const REFERENCES_TAG: u8 = 1 << 3 | 2;
const SAMPLE_TAG: u8 = 2 << 3 | 2;
const METADATA_TAG: u8 = 5 << 3 | 2;
/// The tags of a sample's fields.
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIMESTAMP_TAG: u8 = 2 << 3;

/// The tags of the fields of metadata.
const TYPE_TAG: u8 = 1 << 3;
const HELP_TAG: u8 = 3 << 3;

/// Text that exemplars and metadata of a request may refer to: a symbol of a megabyte could be meant by every one of them.
const REFERRED_BYTES_MAX: usize = 64 << 20;

/// A text of the table.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: u32,
    bytes: u32,
    is_utf8: bool,
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
    /// Of the text `__name__`.
    name_hash: u128,
    /// By the symbol of a metric's name: type, help and unit that were staged of it last.
    metadata: Vec<[u32; 3]>,
    /// What is left of [`REFERRED_BYTES_MAX`].
    bytes_left: usize,
}

impl Scratch {
    /// Takes from the text that may be referred to.
    fn refer(&mut self, bytes: usize) -> Result<(), Corrupt> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left =
            left.ok_or_else(|| Corrupt::new("text of exemplars and metadata, above 64 MiB", 0))?;
        Ok(())
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
        let mut pairs = self.pairs(&references, Self::bytes)?;
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
    let (mut message, mut series) = (Message::new(body), Vec::with_capacity(2048));
    // The table comes first in what senders write, and may come anywhere.
    loop {
        while message.take_tag(SYMBOL_TAG) {
            source.push_symbol(message.range("symbol")?, sink);
        }
        while message.take_tag(SERIES_TAG) {
            series.push(message.range("time series")?);
        }
        let Some((number, field)) = message.next("write request")? else {
            break;
        };
        match (number, field) {
            (4, Field::Range(range)) => source.push_symbol(range, sink),
            (5, Field::Range(range)) => series.push(range),
            (4 | 5, _) => return Err(message.corrupt("write request")),
            _ => {}
        }
    }
    if source.symbols.first().is_some_and(|symbol| symbol.bytes > 0) {
        return Err(Corrupt::new("table of symbols, whose first is not empty", 0));
    }
    let mut scratch = Scratch {
        name_hash: sink.key(METRIC_NAME.as_bytes()),
        metadata: vec![[0; 3]; source.symbols.len()],
        bytes_left: REFERRED_BYTES_MAX,
    };
    for range in series {
        source.stage_series(range, sink, &mut scratch)?;
    }
    Ok(source)
}

impl<'a> Source<'a> {
    fn push_symbol(&mut self, range: Range<usize>, sink: &Sink<'_>) {
        let text = bytes_at(self.body, range.clone());
        self.symbols.push(Symbol {
            start: range.start as u32,
            bytes: text.len() as u32,
            is_utf8: std::str::from_utf8(text).is_ok(),
            hash: sink.key(text),
        });
    }

    #[inline]
    fn symbol(&self, reference: u64) -> Option<&Symbol> {
        self.symbols.get(usize::try_from(reference).ok()?)
    }

    /// Bytes of the texts that are referred to.
    fn referred_bytes(&self, references: impl IntoIterator<Item = u64>) -> usize {
        let symbols = references
            .into_iter()
            .filter_map(|reference| self.symbol(reference));
        symbols.map(|symbol| symbol.bytes as usize).sum()
    }

    /// A text of the table; it is UTF-8.
    fn bytes(&self, reference: u64) -> Result<&'a [u8], String> {
        let symbol = self.symbol(reference).ok_or_else(|| {
            let count = self.symbols.len();
            format!("reference {reference} to a table of {count} symbols")
        })?;
        let start = symbol.start as usize;
        let text = bytes_at(self.body, start..start + symbol.bytes as usize);
        if !symbol.is_utf8 {
            return Err(format!("symbol {reference} is not UTF-8"));
        }
        Ok(text)
    }

    fn text(&self, reference: u64) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes(reference)?).map_err(|error| error.to_string())
    }

    /// Names and values of references, each as `text` has it.
    fn pairs<T>(
        &self,
        references: &[u64],
        text: impl Fn(&Self, u64) -> Result<T, String>,
    ) -> Result<Vec<(T, T)>, String> {
        let (pairs, rest) = references.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!("{} label references, which is odd", references.len()));
        }
        pairs
            .iter()
            .map(|[name, value]| Ok((text(self, *name)?, text(self, *value)?)))
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
        while message.take_tag(REFERENCES_TAG) {
            let piece = message.range("label references")?;
            self.references.gather(self.body, &mut gathered, piece);
        }
        while message.take_tag(SAMPLE_TAG) {
            let (timestamp, start_timestamp, bits) = sample(self.body, message.range("sample")?)?;
            sink.float(&mut series, timestamp, start_timestamp, bits);
        }
        if message.take_tag(METADATA_TAG) {
            metadata = Some(message.range("metadata")?);
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
                (4, Field::Range(range)) => sink.exemplar(&mut series, self.exemplar(range, scratch)?),
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
        scratch: &Scratch,
        sink: &mut Sink<'_>,
    ) -> Result<Option<u32>, Corrupt> {
        let number = self.references.len() - 1;
        let mut message = Message::new(self.references.get(self.body, number));
        let (mut key, mut label_bytes, mut name) = (SequenceHash::new(), 0, None);
        let (mut is_name, mut is_after_name) = (true, false);
        while !message.is_empty() {
            let reference = message.varint("label reference")?;
            let symbol = self.symbol(reference);
            // What refers to nothing has a key of its own, and is refused when it is decoded.
            let hash = symbol.map_or(u128::from(reference), |symbol| symbol.hash);
            key.push(hash);
            label_bytes += symbol.map_or(0, |symbol| symbol.bytes as usize) + 5;
            if is_name {
                is_after_name = hash == scratch.name_hash;
            } else if is_after_name {
                name = u32::try_from(reference).ok();
            }
            is_name = !is_name;
        }
        sink.end(series, key.finish(), label_bytes, |out| {
            self.labels(number as u32, out)
        });
        Ok(name)
    }

    fn exemplar(
        &self,
        range: Range<usize>,
        scratch: &mut Scratch,
    ) -> Result<Result<Exemplar, String>, Corrupt> {
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
        scratch.refer(self.referred_bytes(references.iter().copied()))?;
        let labels = self
            .pairs(&references, Self::text)
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
        if message.take_tag(TYPE_TAG) {
            kind = message.varint("metadata")? as u32;
        }
        if message.take_tag(HELP_TAG) {
            help = message.varint("metadata")? as u32;
        }
        while let Some((number, field)) = message.next("metadata")? {
            match (number, field) {
                (1, Field::Varint(value)) => kind = value as u32,
                (3, Field::Varint(value)) => help = value as u32,
                (4, Field::Varint(value)) => unit = value as u32,
                (1 | 3 | 4, _) => return Err(message.corrupt("metadata")),
                _ => {}
            }
        }
        if (kind, help, unit) == (0, 0, 0) {
            return Ok(());
        }
        // A name that is no symbol is refused with its series.
        let Some(last) = scratch.metadata.get_mut(name as usize) else {
            return Ok(());
        };
        if std::mem::replace(last, [kind, help, unit]) == [kind, help, unit] {
            return Ok(());
        }
        scratch.refer(self.referred_bytes([name, help, unit].map(u64::from)))?;
        // What refers to nothing was refused with its series, or is not worth a refusal of its own.
        let text = |reference: u32| self.text(u64::from(reference)).unwrap_or_default();
        let metadata = MetadataRef {
            metric_type: u8::try_from(kind)
                .ok()
                .and_then(MetricType::from_u8)
                .unwrap_or_default(),
            help: text(help),
            unit: text(unit),
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
            (3, Field::Varint(value)) => start_timestamp = value as i64,
            (1..=3, _) => return Err(message.corrupt("sample")),
            _ => {}
        }
    }
    Ok((timestamp, start_timestamp, bits))
}
