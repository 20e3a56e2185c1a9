//! What a query asks of each stretch of time, told from windows and samples that come in, in order of time.
//!
//! No window may be parted by a cut between two stretches: who asks reads samples there.

use super::columns::Extreme;
use super::{Column, Grid};
use crate::base::kahan::Compensated;
use crate::base::spans::Spans;
use crate::model::sample::STALE_NAN_BITS;
use crate::model::samples::Samples;

/// What is asked of each stretch. But for the newest sample, stale markers count for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Newest,
    First,
    Last,
    Count,
    Min,
    Max,
    /// Sums that are finite, with their counts.
    Sum,
    /// The same, for a mean.
    Mean,
    /// First, last and both sides of each fall, with the number of samples from each to the next.
    Change,
}

impl Asked {
    fn is_sum(self) -> bool {
        matches!(self, Self::Sum | Self::Mean)
    }

    /// The columns that it takes. What windows have histograms is always minded.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Newest | Self::First | Self::Last | Self::Change => &[Column::Counts, Column::Kept],
            Self::Count => &[Column::Counts],
            Self::Min => &[Column::Counts, Column::Kept, Column::Mins],
            Self::Max => &[Column::Counts, Column::Kept, Column::Maxs],
            Self::Sum | Self::Mean => &[Column::Counts, Column::Sums],
        }
    }
}

/// Some of the columns of a row of a tile, within a span.
#[derive(Debug, Default)]
pub(crate) struct TileRow {
    columns: [Samples; super::COLUMNS],
}

/// Windows of a row that cannot be told from the tile.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(crate) spans: Spans,
    /// There are windows with histograms, of which a tile tells nothing.
    pub(crate) has_histograms: bool,
}

/// How far a row has been told.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct RowCursor {
    at: [usize; super::COLUMNS],
}

impl TileRow {
    pub(crate) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Samples::clear);
    }

    pub(crate) fn column_mut(&mut self, column: Column) -> &mut Samples {
        &mut self.columns[column as usize]
    }

    fn column(&self, column: Column) -> &Samples {
        &self.columns[column as usize]
    }

    /// What stands in for samples with histograms where these are gone: those that are kept, or the sums at the ends of their
    /// windows. Counts and means cannot be told so.
    pub(crate) fn stand_in(&self, asked: Asked) -> Option<&Samples> {
        match asked {
            Asked::Sum => Some(self.column(Column::Sums)),
            Asked::Newest | Asked::First | Asked::Last | Asked::Change => Some(self.column(Column::Kept)),
            Asked::Count | Asked::Min | Asked::Max | Asked::Mean => None,
        }
    }

    /// The windows of which what is asked is not in the tile.
    pub(crate) fn untold(&self, asked: Asked, grid: Grid) -> Untold {
        let mut untold = Untold::default();
        let windows = |column| floats(self.column(column));
        for (end, count) in windows(Column::Counts) {
            untold.has_histograms |= count.is_nan();
            if count.is_nan() || (asked == Asked::Change && count < 0.0) {
                untold.spans.insert(end - grid.width(), end);
            }
        }
        if asked.is_sum() {
            for (end, _) in windows(Column::Sums).filter(|(_, sum)| !sum.is_finite()) {
                untold.spans.insert(end - grid.width(), end);
            }
        }
        untold
    }
}

impl RowCursor {
    /// Goes on to what is behind a time, without telling of it.
    pub(crate) fn skip(&mut self, row: &TileRow, to: i64) {
        for (at, column) in self.at.iter_mut().zip(&row.columns) {
            *at = column.timestamps.partition_point(|time| *time <= to).max(*at);
        }
    }

    /// The next value of a column if it is not behind a time.
    fn next(&mut self, row: &TileRow, column: Column, to: i64) -> Option<(i64, u64)> {
        let (at, column) = (&mut self.at[column as usize], row.column(column));
        let time = *column.timestamps.get(*at)?;
        let bits = *column.bits.get(*at)?;
        (time <= to).then(|| {
            *at += 1;
            (time, bits)
        })
    }
}

fn floats(column: &Samples) -> impl Iterator<Item = (i64, f64)> {
    let values = column.bits.iter().map(|bits| f64::from_bits(*bits));
    column.timestamps.iter().copied().zip(values)
}

/// What is told of a series.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) bits: Vec<u64>,
    /// For sums and changes: how many samples each stands for.
    pub(crate) counts: Vec<u32>,
}

impl Told {
    pub(crate) fn clear(&mut self) {
        self.timestamps.clear();
        self.bits.clear();
        self.counts.clear();
    }

    fn push(&mut self, time: i64, bits: u64) {
        self.timestamps.push(time);
        self.bits.push(bits);
    }

    fn push_counted(&mut self, time: i64, bits: u64, count: u64) {
        self.push(time, bits);
        self.counts.push(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// Tells of one series.
#[derive(Debug)]
pub(crate) struct Teller<'a> {
    cuts: &'a [i64],
    asked: Asked,
    out: &'a mut Told,
    /// The cut that ends the stretch at hand.
    end: usize,
    /// What came of it so far.
    held: Option<(i64, u64)>,
    best: Option<f64>,
    sum: Compensated,
    count: u64,
    /// When the last part of the sum is from.
    newest: i64,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(cuts: &'a [i64], asked: Asked, out: &'a mut Told) -> Self {
        out.clear();
        Self {
            cuts,
            asked,
            out,
            end: 1,
            held: None,
            best: None,
            sum: Compensated::default(),
            count: 0,
            newest: 0,
        }
    }

    /// A sample.
    pub(crate) fn sample(&mut self, time: i64, bits: u64) {
        self.enter(time);
        let value = f64::from_bits(bits);
        match self.asked {
            Asked::Newest => self.held = Some((time, bits)),
            _ if bits == STALE_NAN_BITS => {}
            Asked::Last => self.held = Some((time, bits)),
            Asked::First => {
                if self.held.replace((time, bits)).is_none() {
                    self.out.push(time, bits);
                }
            }
            Asked::Count => self.count += 1,
            Asked::Min => self.best = Some(Extreme::Min.best(self.best, value)),
            Asked::Max => self.best = Some(Extreme::Max.best(self.best, value)),
            Asked::Sum | Asked::Mean => self.add(time, value, 1),
            Asked::Change => self.out.push_counted(time, bits, 1),
        }
    }

    /// The windows of a row of a tile up to a time.
    pub(crate) fn windows(&mut self, row: &TileRow, cursor: &mut RowCursor, to: i64) {
        match self.asked {
            Asked::Newest | Asked::First | Asked::Last => {
                while let Some((time, bits)) = cursor.next(row, Column::Kept, to) {
                    self.sample(time, bits);
                }
            }
            _ => {
                while let Some((end, bits)) = cursor.next(row, Column::Counts, to) {
                    self.window(row, cursor, end, f64::from_bits(bits).abs() as u64);
                }
            }
        }
        cursor.skip(row, to);
    }

    fn window(&mut self, row: &TileRow, cursor: &mut RowCursor, end: i64, count: u64) {
        self.enter(end);
        match self.asked {
            Asked::Count => self.count = self.count.saturating_add(count),
            Asked::Sum | Asked::Mean => {
                // Without counts of samples there are no sums.
                while let Some((of, bits)) = cursor.next(row, Column::Sums, end) {
                    if of == end {
                        self.add(end, f64::from_bits(bits), count);
                    }
                }
            }
            Asked::Min => self.extreme(row, cursor, end, (Extreme::Min, Column::Mins)),
            Asked::Max => self.extreme(row, cursor, end, (Extreme::Max, Column::Maxs)),
            Asked::Change => self.change(row, cursor, end, count),
            Asked::Newest | Asked::First | Asked::Last => {}
        }
    }

    fn extreme(&mut self, row: &TileRow, cursor: &mut RowCursor, end: i64, of: (Extreme, Column)) {
        let (extreme, column) = of;
        let mut best = None;
        while let Some((_, bits)) = cursor.next(row, Column::Kept, end) {
            if bits != STALE_NAN_BITS {
                best = Some(extreme.best(best, f64::from_bits(bits)));
            }
        }
        while let Some((of, bits)) = cursor.next(row, column, end) {
            if of == end {
                best = Some(f64::from_bits(bits));
            }
        }
        if let Some(best) = best {
            self.best = Some(extreme.best(self.best, best));
        }
    }

    /// What is kept; those left out count for the first.
    fn change(&mut self, row: &TileRow, cursor: &mut RowCursor, end: i64, count: u64) {
        let first = self.out.counts.len();
        while let Some((time, bits)) = cursor.next(row, Column::Kept, end) {
            if bits != STALE_NAN_BITS {
                self.out.push_counted(time, bits, 1);
            }
        }
        let kept = (self.out.counts.len() - first) as u64;
        if let Some(of_first) = self.out.counts.get_mut(first) {
            let left_out = count.saturating_sub(kept);
            *of_first = u32::try_from(left_out + 1).unwrap_or(u32::MAX);
        }
    }

    /// Goes on to the stretch that a time is in.
    fn enter(&mut self, time: i64) {
        while self.cuts.get(self.end).is_some_and(|cut| *cut < time) {
            self.flush();
            self.end += 1;
        }
    }

    /// Adds to the sum; what would make it infinite or no number is told by itself.
    fn add(&mut self, time: i64, value: f64, count: u64) {
        let mut sum = self.sum;
        sum.add(value);
        if sum.total().is_finite() && sum.value.is_finite() {
            (self.sum, self.newest) = (sum, time);
            self.count = self.count.saturating_add(count);
        } else {
            self.flush_sum(self.newest);
            self.out.push_counted(time, value.to_bits(), count);
        }
    }

    fn flush_sum(&mut self, time: i64) {
        let (sum, count) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.count));
        if count > 0 {
            self.out.push_counted(time, sum.total().to_bits(), count);
        }
    }

    /// Tells what the stretch at hand comes to.
    fn flush(&mut self) {
        let Some(end) = self.cuts.get(self.end).copied() else {
            return;
        };
        match self.asked {
            Asked::Newest | Asked::Last => {
                if let Some((time, bits)) = self.held.take() {
                    self.out.push(time, bits);
                }
            }
            Asked::First => self.held = None,
            Asked::Count => {
                let count = std::mem::take(&mut self.count);
                if count > 0 {
                    self.out.push(end, (count as f64).to_bits());
                }
            }
            Asked::Min | Asked::Max => {
                if let Some(best) = self.best.take() {
                    self.out.push(end, best.to_bits());
                }
            }
            Asked::Sum | Asked::Mean => self.flush_sum(end),
            Asked::Change => {}
        }
    }

    /// Tells what is left.
    pub(crate) fn finish(mut self) {
        self.flush();
    }
}
