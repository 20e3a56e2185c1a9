//! Decoders of parts of files, without the checksums that stand before them.

use crate::base::bytes::{Corrupt, Cursor};
use crate::chunk::{Encoding, HistogramAppender, histogram_samples, xor};
use crate::column::{
    self, ColumnSetReader, DecodeScratch, GROUP_SERIES_MAX, GroupReader, TimeColumn,
    histogram_column as histograms,
};
use crate::head::decode_data;
use crate::head::series::Series;
use crate::index::{LabelMatcher, SegmentIndex};
use crate::model::deletion::Deletion;
use crate::model::exemplar::Exemplar;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::{MatchOp, Matcher};
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::sketch::Sketch;
use crate::wal::batch::LoggedFloat;
use crate::wal::batch_decode::{self, BatchVisitor, Chains, LoggedHistogram};
use crate::wal::deletion::LoggedCorrection;
use roaring::RoaringBitmap;

/// An XOR chunk, decoded as a whole.
pub fn xor_chunk(bytes: &[u8]) {
    let (mut timestamps, mut bits) = (Vec::new(), Vec::new());
    let decoded = xor::decode_into(bytes, &mut timestamps, &mut bits);
    assert_eq!(timestamps.len(), bits.len());
    assert!(
        decoded.is_ok() || timestamps.is_empty(),
        "BUG: samples of a broken chunk"
    );
}

/// A histogram chunk of either kind; the first byte chooses.
pub fn histogram_chunk(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let encoding = if choice & 1 == 0 {
        Encoding::Histogram
    } else {
        Encoding::FloatHistogram
    };
    let mut last = None;
    if let Ok(samples) = histogram_samples(bytes, encoding) {
        last = samples.flatten().last();
    }
    if let Ok(mut appender) = HistogramAppender::resume(bytes, encoding.kind())
        && let Some((timestamp, histogram)) = last
        && appender.count() < 1_000
    {
        // A decoded histogram may still contradict itself, which the head refuses before it comes here.
        if histogram.validate().is_ok() {
            appender.append(timestamp.saturating_add(1), &histogram);
        }
    }
}

/// A group of values with its time references, and the times of its first series in a made-up column.
pub fn column_group(bytes: &[u8]) {
    let Ok(group) = GroupReader::open(bytes) else {
        return;
    };
    let mut scratch = DecodeScratch::default();
    let mut column = TimeColumn::default();
    column.times.extend(0..512);
    let mut out = Vec::new();
    for slot in 0..GROUP_SERIES_MAX {
        out.clear();
        let alone = group.decode_values(slot, &mut scratch, &mut out);
        let mut times = Vec::new();
        if let Ok(time) = group.time_ref(slot) {
            let _ = time.materialize(&column, &mut times);
            assert!(
                alone.is_err() || out.len() == time.rows(),
                "BUG: a value too many"
            );
        }
    }
    let mut values = group.values(&mut scratch);
    for slot in 0..group.series_count() {
        out.clear();
        let _ = values.decode(slot, &mut out);
        assert!(out.len() <= column::ROWS_MAX);
    }
}

/// A set of time columns.
pub fn time_columns(bytes: &[u8]) {
    let Ok(set) = ColumnSetReader::open(bytes) else {
        return;
    };
    let mut column = TimeColumn::default();
    for id in 0..64 {
        if set.decode(id, &mut column).is_ok() {
            assert!(column.times.is_sorted_by(|one, other| one < other));
        }
    }
}

/// A column of native histograms.
pub fn histogram_column(bytes: &[u8]) {
    let _ = histograms::decode(bytes);
}

/// The three sections of an index: u16 length of the symbols, u16 length of the series, then the three of them.
pub fn index_sections(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    type Sections<'a> = (&'a [u8], &'a [u8], &'a [u8]);
    let mut take = || -> Result<Sections<'_>, Corrupt> {
        let (symbols, series) = (cursor.u16("length")?, cursor.u16("length")?);
        let symbols = cursor.take(usize::from(symbols), "symbols")?;
        let series = cursor.take(usize::from(series), "series")?;
        Ok((symbols, series, cursor.rest()))
    };
    if let Ok((symbols, series, postings)) = take()
        && let Ok(index) = SegmentIndex::open(symbols, series, postings)
    {
        walk_index(&index);
    }
}

/// Reads everything an index can say, with a bound on rows for an index that claims many.
pub(super) fn walk_index(index: &SegmentIndex<'_>) {
    const ROWS_READ_MAX: u32 = 2_000;
    let rows = index.row_count().min(ROWS_READ_MAX);
    let mut cursor = index.label_cursor();
    let mut labels = Vec::new();
    for row in (0..rows).chain([rows / 2, 0]) {
        let _ = cursor.labels(row, &mut labels);
    }
    let _ = index.name_stats();
    let some: RoaringBitmap = (0..rows).step_by(3).collect();
    for within in [None, Some(&some)] {
        let Ok(names) = index.label_names(within) else {
            continue;
        };
        for name in names.into_iter().chain([METRIC_NAME, "absent"]).take(20) {
            let _ = walk_values(index, name, within);
        }
    }
    for (op, value) in [
        (MatchOp::Equal, "host-1"),
        (MatchOp::NotEqual, "host-1"),
        (MatchOp::Regex, ".*1.*"),
        (MatchOp::Regex, "host-(1|2|3)"),
        (MatchOp::NotRegex, "h.+"),
        (MatchOp::Regex, ".*"),
        (MatchOp::Equal, ""),
    ] {
        let matcher = Matcher::new("host", op, value);
        if let Ok(matchers) = LabelMatcher::compile_all(&[matcher]) {
            let _ = index.select(&matchers);
        }
    }
}

fn walk_values(index: &SegmentIndex<'_>, name: &str, within: Option<&RoaringBitmap>) -> Result<(), Corrupt> {
    let Some(mut values) = index.label_values(name, "", within)? else {
        return Ok(());
    };
    for _ in 0..2_000 {
        if values.current()?.is_none() {
            break;
        }
        values.advance()?;
    }
    Ok(())
}

/// A cardinality sketch, merged with itself and with what it says again.
pub fn sketch(bytes: &[u8]) {
    let Ok(sketch) = Sketch::decode(bytes) else {
        return;
    };
    let mut merged = Sketch::default();
    merged.merge(&sketch);
    merged.merge(&sketch);
    assert_eq!(merged.series.hll, sketch.series.hll, "BUG: a merge is no union");
    let grown = sketch.metrics_grown(&merged);
    let _ = sketch.labels_grown(&merged, &grown);
    let _ = Sketch::decode(&sketch.encode()).expect("BUG: a sketch that does not decode");
}

/// The payload of a batch record.
pub fn batch_payload(bytes: &[u8]) {
    let mut chains = Chains::default();
    chains.restart();
    let _ = batch_decode::decode(bytes, &mut chains, &mut Ignore);
}

/// The state of a series in a checkpoint; what was restored is added to and read.
pub fn series_state(bytes: &[u8]) {
    let mut series = Series::default();
    if series.restore(bytes).is_err() {
        return;
    }
    let _ = series.admit_float(0, 0);
    series.append_float(i64::MAX, 0, 0);
    let _ = series.decode(i64::MIN, i64::MAX, &mut Samples::default());
    let data = series.take_data(0).seal();
    let _ = data.has_samples_within(1, 2);
    let _ = decode_data(&data, i64::MIN, i64::MAX, &mut Samples::default());
}

/// A visitor that wants nothing.
pub(super) struct Ignore;

impl BatchVisitor for Ignore {
    fn pair(&mut self, _: u32, _: &str, _: &str) -> Result<(), Corrupt> {
        Ok(())
    }

    fn series(&mut self, _: u32, _: u128, _: &[u32]) -> Result<(), Corrupt> {
        Ok(())
    }

    fn float(&mut self, _: LoggedFloat, _: bool) -> Result<(), Corrupt> {
        Ok(())
    }

    fn histogram(&mut self, _: LoggedHistogram) -> Result<(), Corrupt> {
        Ok(())
    }

    fn exemplar(&mut self, _: u32, _: Exemplar) -> Result<(), Corrupt> {
        Ok(())
    }

    fn metadata(&mut self, _: &str, _: i64, _: Metadata) -> Result<(), Corrupt> {
        Ok(())
    }

    fn slab(&mut self, _: u32, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn state(&mut self, _: u32, state: &[u8]) -> Result<(), Corrupt> {
        series_state(state);
        Ok(())
    }

    fn correction(&mut self, _: LoggedCorrection) -> Result<(), Corrupt> {
        Ok(())
    }

    fn deletion(&mut self, _: Deletion) -> Result<(), Corrupt> {
        Ok(())
    }

    fn undelete(&mut self, _: u64) -> Result<(), Corrupt> {
        Ok(())
    }

    fn lost_float(&mut self, _: u32, _: i64) {}
}

/// An expression: compiled, and asked about some values.
pub fn matcher(bytes: &[u8]) {
    let Ok(pattern) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(matcher) = LabelMatcher::compile(&Matcher::re("name", pattern)) else {
        return;
    };
    for value in [
        "",
        "a",
        "A",
        "api",
        "host-17",
        "line\nbreak",
        "\u{10ffff}é",
        pattern,
    ] {
        let _ = matcher.matches(value);
    }
    assert_eq!(matcher.matches_empty(), matcher.matches(""));
}
