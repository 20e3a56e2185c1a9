//! What the samples of a run have in common, and which buckets each of them has.
//!
//! | bits | meaning |
//! |---|---|
//! | 1, 1, 1 | float counts; gauge; stale markers, which have nothing more |
//! | header number | zig-zag schema |
//! | 2 | zero threshold: 0 zero, 1 2^-128, 2 64 bits follow |
//! | schema -53 only: header number, then per bound 1 bit and the bound | 0: header number, what the bound is above the one before in thousandths; 1: 64 bits |
//!
//! Spans are header numbers: how many, then zig-zag offset and length of each; positive ones first. The columns of a
//! run are the buckets of all its layouts together, in order, positive ones first. A run with spans that are not
//! canonical has one layout, whose buckets are its columns whatever their indexes say.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BUCKETS_MAX;
use super::coder::{read_number, write_number};
use crate::base::bits::{BitReader, BitWriter};
use crate::base::varint::{unzigzag, zigzag};
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, Counts, Histogram, ResetHint, Span};

/// The usual zero threshold, 2^-128.
const USUAL_THRESHOLD: u64 = (1023 - 128) << 52;

/// What does not change within a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) float: bool,
    pub(super) gauge: bool,
    /// Stale markers without anything but their sum.
    pub(super) stale: bool,
    pub(super) schema: i32,
    pub(super) zero_threshold: u64,
    pub(super) custom_values: Vec<u64>,
}

/// The spans of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
}

impl Form {
    pub(super) fn of(histogram: &Histogram) -> Self {
        Self {
            float: histogram.is_float(),
            gauge: histogram.reset_hint == ResetHint::Gauge,
            stale: is_bare_stale_marker(histogram),
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold.to_bits(),
            custom_values: histogram
                .custom_values
                .iter()
                .map(|bound| bound.to_bits())
                .collect(),
        }
    }

    /// Whether this is the form of the histogram.
    pub(super) fn is_of(&self, histogram: &Histogram) -> bool {
        let bounds = histogram.custom_values.iter().map(|bound| bound.to_bits());
        self.float == histogram.is_float()
            && self.gauge == (histogram.reset_hint == ResetHint::Gauge)
            && self.schema == histogram.schema
            && self.zero_threshold == histogram.zero_threshold.to_bits()
            && bounds.eq(self.custom_values.iter().copied())
            && self.stale == is_bare_stale_marker(histogram)
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        for flag in [self.float, self.gauge, self.stale] {
            out.bit(flag);
        }
        if self.stale {
            return;
        }
        write_number(out, zigzag(i64::from(self.schema)));
        match self.zero_threshold {
            0 => out.short(0, 2),
            USUAL_THRESHOLD => out.short(1, 2),
            other => {
                out.short(2, 2);
                out.bits(other, 64);
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            write_bounds(out, &self.custom_values);
        }
    }

    pub(super) fn read(input: &mut BitReader<'_>) -> Option<Self> {
        let mut flag = || input.take(1) == 1;
        let mut form = Self {
            float: flag(),
            gauge: flag(),
            stale: flag(),
            schema: 0,
            zero_threshold: 0,
            custom_values: Vec::new(),
        };
        if form.stale {
            return Some(form);
        }
        form.schema = i32::try_from(unzigzag(read_number(input)?)).ok()?;
        form.zero_threshold = match input.take(2) {
            0 => 0,
            1 => USUAL_THRESHOLD,
            _ => input.take(64),
        };
        if form.schema == CUSTOM_BUCKETS_SCHEMA {
            form.custom_values = read_bounds(input)?;
        }
        Some(form)
    }
}

/// A stale marker as chunks give it back.
fn is_bare_stale_marker(histogram: &Histogram) -> bool {
    let no_counts = match &histogram.counts {
        Counts::Int {
            count,
            zero_count,
            positive,
            negative,
        } => *count == 0 && *zero_count == 0 && positive.is_empty() && negative.is_empty(),
        Counts::Float {
            count,
            zero_count,
            positive,
            negative,
        } => count.to_bits() | zero_count.to_bits() == 0 && positive.is_empty() && negative.is_empty(),
    };
    histogram.is_stale()
        && no_counts
        && histogram.schema == 0
        && histogram.zero_threshold.to_bits() == 0
        && histogram.positive_spans.is_empty()
        && histogram.negative_spans.is_empty()
        && histogram.custom_values.is_empty()
}

fn write_bounds(out: &mut BitWriter, bounds: &[u64]) {
    write_number(out, bounds.len() as u64);
    let mut before = 0u64;
    for &bits in bounds {
        let thousandths = (f64::from_bits(bits) * 1000.0).round();
        let whole = thousandths as u64;
        if thousandth_bits(whole) == bits && whole >= before {
            out.short(0, 1);
            write_number(out, whole - before);
            before = whole;
        } else {
            out.short(1, 1);
            out.bits(bits, 64);
        }
    }
}

fn thousandth_bits(thousandths: u64) -> u64 {
    (thousandths as f64 / 1000.0).to_bits()
}

fn read_bounds(input: &mut BitReader<'_>) -> Option<Vec<u64>> {
    let count = read_count(input)?;
    let mut before = 0u64;
    let mut bounds = Vec::new();
    for _ in 0..count {
        if input.take(1) == 1 {
            bounds.push(input.take(64));
        } else {
            before = before.checked_add(read_number(input)?)?;
            bounds.push(thousandth_bits(before));
        }
    }
    Some(bounds)
}

/// A number of things of at least one bit each.
fn read_count(input: &mut BitReader<'_>) -> Option<u64> {
    let count = read_number(input)?;
    (count <= input.remaining() as u64).then_some(count)
}

impl Layout {
    pub(super) fn of(histogram: &Histogram) -> Self {
        Self {
            positive: histogram.positive_spans.clone(),
            negative: histogram.negative_spans.clone(),
        }
    }

    /// Whether this is the layout of the histogram.
    pub(super) fn is_of(&self, histogram: &Histogram) -> bool {
        self.positive == histogram.positive_spans && self.negative == histogram.negative_spans
    }

    /// Whether bucket indexes rise, so that an index names one bucket.
    pub(super) fn is_canonical(&self) -> bool {
        [&self.positive, &self.negative].into_iter().all(|spans| {
            spans
                .iter()
                .enumerate()
                .all(|(index, span)| span.length > 0 && (index == 0 || span.offset > 0))
        })
    }

    /// Number of buckets.
    pub(super) fn buckets(&self) -> usize {
        let spans = self.positive.iter().chain(&self.negative);
        spans.map(|span| span.length as usize).sum()
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        for spans in [&self.positive, &self.negative] {
            write_number(out, spans.len() as u64);
            for span in spans {
                write_number(out, zigzag(i64::from(span.offset)));
                write_number(out, u64::from(span.length));
            }
        }
    }

    pub(super) fn read(input: &mut BitReader<'_>) -> Option<Self> {
        let layout = Self {
            positive: read_spans(input)?,
            negative: read_spans(input)?,
        };
        let spans = layout.positive.iter().chain(&layout.negative);
        let buckets: u64 = spans.map(|span| u64::from(span.length)).sum();
        (buckets <= BUCKETS_MAX as u64).then_some(layout)
    }

    /// Side and index of every bucket, in the order of the columns.
    pub(super) fn keys(&self) -> impl Iterator<Item = (bool, i64)> + '_ {
        let positive = indexes(&self.positive).map(|index| (false, index));
        positive.chain(indexes(&self.negative).map(|index| (true, index)))
    }
}

fn read_spans(input: &mut BitReader<'_>) -> Option<Vec<Span>> {
    let count = read_count(input)?;
    let mut spans = Vec::new();
    for _ in 0..count {
        spans.push(Span {
            offset: i32::try_from(unzigzag(read_number(input)?)).ok()?,
            length: u32::try_from(read_number(input)?).ok()?,
        });
    }
    Some(spans)
}

fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let start = end + i64::from(span.offset);
        end = start + i64::from(span.length);
        start..end
    })
}

/// The layouts of a run and the columns of each.
#[derive(Debug, Clone)]
pub(super) struct Layouts {
    pub(super) layouts: Vec<Layout>,
    /// Per layout the column of every bucket.
    pub(super) columns: Vec<Vec<usize>>,
    /// Number of columns.
    pub(super) width: usize,
}

impl Layouts {
    /// A single layout keeps its buckets as they are; several ones are merged by index.
    pub(super) fn new(layouts: Vec<Layout>) -> Self {
        if let [only] = layouts.as_slice() {
            let width = only.buckets();
            return Self {
                columns: vec![(0..width).collect()],
                width,
                layouts,
            };
        }
        let mut keys: Vec<(bool, i64)> = layouts.iter().flat_map(Layout::keys).collect();
        keys.sort_unstable();
        keys.dedup();
        let column = |key| keys.binary_search(&key).unwrap_or(0);
        Self {
            columns: layouts
                .iter()
                .map(|layout| layout.keys().map(column).collect())
                .collect(),
            width: keys.len(),
            layouts,
        }
    }
}
