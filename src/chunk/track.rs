//! All counts of a histogram series over time: the state that writing and reading a chunk's samples share.
//!
//! | sample | fields, in order |
//! |---|---|
//! | first | layout, timestamp (signed varbit), count, zero count, 64 bits of sum, buckets |
//! | later | timestamp (delta-of-delta, signed varbit), count, zero count, XOR code of the sum, buckets |
//!
//! Positive buckets come before negative ones; `cell` says how a count is written. A stale marker has no buckets:
//! as the first sample it has an empty layout, later its counts are written as unchanged (integers) or 0 (floats).

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::cell::{Cell, Kind};
use super::layout::{Layout, bucket_count};
use super::varbit;
use crate::base::bits::{BitReader, BitWriter};
use crate::base::xor_window::Window;
use crate::model::histogram::{Counts, Histogram, ResetHint};
use crate::model::sample::STALE_NAN_BITS;

/// The numbers of one histogram as words.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) sum: u64,
    pub(super) count: u64,
    pub(super) zero_count: u64,
    pub(super) positive: Vec<u64>,
    pub(super) negative: Vec<u64>,
}

impl Row {
    /// A stale marker keeps its sum only.
    pub(super) fn of(histogram: &Histogram) -> Self {
        let sum = histogram.sum.to_bits();
        let ints = |buckets: &[i64]| buckets.iter().map(|&bucket| bucket as u64).collect();
        let floats = |buckets: &[f64]| buckets.iter().map(|bucket| bucket.to_bits()).collect();
        match &histogram.counts {
            _ if histogram.is_stale() => Self {
                sum,
                ..Self::default()
            },
            Counts::Int {
                count,
                zero_count,
                positive,
                negative,
            } => Self {
                sum,
                count: *count,
                zero_count: *zero_count,
                positive: ints(positive),
                negative: ints(negative),
            },
            Counts::Float {
                count,
                zero_count,
                positive,
                negative,
            } => Self {
                sum,
                count: count.to_bits(),
                zero_count: zero_count.to_bits(),
                positive: floats(positive),
                negative: floats(negative),
            },
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.sum == STALE_NAN_BITS
    }
}

/// The last sample, and what the next is coded against.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) layout: Layout,
    pub(super) timestamp: i64,
    delta: i64,
    pub(super) sum: u64,
    window: Window,
    pub(super) count: Cell,
    pub(super) zero_count: Cell,
    pub(super) positive: Vec<Cell>,
    pub(super) negative: Vec<Cell>,
}

impl Track {
    /// Writes the layout and the first sample.
    pub(super) fn start(out: &mut BitWriter, kind: Kind, layout: Layout, timestamp: i64, row: &Row) -> Self {
        layout.write(out);
        varbit::write_i64(out, timestamp);
        let count = kind.write_first_count(out, row.count);
        let zero_count = kind.write_first_count(out, row.zero_count);
        out.bits(row.sum, 64);
        let mut buckets = |words: &[u64]| {
            words
                .iter()
                .map(|&word| kind.write_first_bucket(out, word))
                .collect()
        };
        Self {
            kind,
            layout,
            timestamp,
            delta: 0,
            sum: row.sum,
            window: Window::default(),
            count,
            zero_count,
            positive: buckets(&row.positive),
            negative: buckets(&row.negative),
        }
    }

    /// Writes a later sample, whose buckets are those of the layout.
    pub(super) fn write(&mut self, out: &mut BitWriter, timestamp: i64, row: &Row) {
        let delta = timestamp.wrapping_sub(self.timestamp);
        varbit::write_i64(out, delta.wrapping_sub(self.delta));
        self.delta = delta;
        self.timestamp = timestamp;
        if row.is_stale() && self.kind == Kind::Int {
            varbit::write_i64(out, 0);
            varbit::write_i64(out, 0);
        } else {
            self.kind.write_next(out, &mut self.count, row.count);
            self.kind.write_next(out, &mut self.zero_count, row.zero_count);
        }
        self.window.write(out, self.sum, row.sum);
        self.sum = row.sum;
        for (cell, &word) in self.positive.iter_mut().zip(&row.positive) {
            self.kind.write_next(out, cell, word);
        }
        for (cell, &word) in self.negative.iter_mut().zip(&row.negative) {
            self.kind.write_next(out, cell, word);
        }
    }

    /// Reads the layout and the first sample; `None` when the bits are not valid or end.
    pub(super) fn read_first(input: &mut BitReader<'_>, kind: Kind) -> Option<Self> {
        let layout = Layout::read(input)?;
        let timestamp = varbit::read_i64(input);
        let count = kind.read_first_count(input);
        let zero_count = kind.read_first_count(input);
        let sum = input.take(64);
        let mut buckets = |spans| {
            (0..bucket_count(spans))
                .map(|_| kind.read_first_bucket(input))
                .collect()
        };
        let track = Self {
            kind,
            timestamp,
            delta: 0,
            sum,
            window: Window::default(),
            count,
            zero_count,
            positive: buckets(&layout.positive_spans),
            negative: buckets(&layout.negative_spans),
            layout,
        };
        let has_buckets = !track.positive.is_empty() || !track.negative.is_empty();
        let valid = !track.is_stale() || !has_buckets;
        (valid && !input.overrun()).then_some(track)
    }

    /// Reads a later sample; `None` when the bits are not valid or end, or a stale marker is not at the end.
    pub(super) fn read(&mut self, input: &mut BitReader<'_>) -> Option<()> {
        let was_stale = self.is_stale();
        self.delta = self.delta.wrapping_add(varbit::read_i64(input));
        self.timestamp = self.timestamp.wrapping_add(self.delta);
        let kind = self.kind;
        let counts = (self.count, self.zero_count);
        kind.read_next(input, &mut self.count)?;
        kind.read_next(input, &mut self.zero_count)?;
        self.sum = self.window.read(input, self.sum)?;
        if self.is_stale() {
            if kind == Kind::Int {
                (self.count, self.zero_count) = counts;
            }
            return (!input.overrun()).then_some(());
        }
        for cell in self.positive.iter_mut().chain(&mut self.negative) {
            kind.read_next(input, cell)?;
        }
        (!input.overrun() && !was_stale).then_some(())
    }

    pub(super) fn is_stale(&self) -> bool {
        self.sum == STALE_NAN_BITS
    }

    /// The last sample as words.
    pub(super) fn row(&self) -> Row {
        Row {
            sum: self.sum,
            count: self.count.word,
            zero_count: self.zero_count.word,
            positive: self.positive.iter().map(|cell| cell.word).collect(),
            negative: self.negative.iter().map(|cell| cell.word).collect(),
        }
    }

    /// The last sample.
    pub(super) fn histogram(&self, reset_hint: ResetHint) -> Histogram {
        if self.is_stale() {
            return stale_marker(self.kind, self.sum, reset_hint);
        }
        Histogram {
            reset_hint,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            sum: f64::from_bits(self.sum),
            positive_spans: self.layout.positive_spans.clone(),
            negative_spans: self.layout.negative_spans.clone(),
            custom_values: self.layout.custom_values.clone(),
            counts: self.counts(),
        }
    }

    fn counts(&self) -> Counts {
        let ints = |cells: &[Cell]| cells.iter().map(|cell| cell.word as i64).collect();
        let floats = |cells: &[Cell]| cells.iter().map(|cell| f64::from_bits(cell.word)).collect();
        match self.kind {
            Kind::Int => Counts::Int {
                count: self.count.word,
                zero_count: self.zero_count.word,
                positive: ints(&self.positive),
                negative: ints(&self.negative),
            },
            Kind::Float => Counts::Float {
                count: f64::from_bits(self.count.word),
                zero_count: f64::from_bits(self.zero_count.word),
                positive: floats(&self.positive),
                negative: floats(&self.negative),
            },
        }
    }
}

fn stale_marker(kind: Kind, sum: u64, reset_hint: ResetHint) -> Histogram {
    let counts = match kind {
        Kind::Int => Counts::Int {
            count: 0,
            zero_count: 0,
            positive: Vec::new(),
            negative: Vec::new(),
        },
        Kind::Float => Counts::Float {
            count: 0.0,
            zero_count: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
        },
    };
    Histogram {
        reset_hint,
        schema: 0,
        zero_threshold: 0.0,
        sum: f64::from_bits(sum),
        positive_spans: Vec::new(),
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts,
    }
}
