//! Whether a database answers what a block holds: series by series, bit by bit, in one pass over both.

use crate::blocks::{Block, BlockSeries};
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::series::Series;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// Samples that are as in the block.
    pub(super) same: u64,
    /// Samples that are missing or others.
    pub(super) different: u64,
    /// The first of these, in words.
    pub(super) example: Option<String>,
    /// Samples that the database has, of series up to the last one of the block, or of all.
    pub(super) held: u64,
}

/// What a block is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared<'a> {
    pub(super) db: &'a Db,
    pub(super) matchers: &'a [Matcher],
    /// First and last timestamp.
    pub(super) bounds: (i64, i64),
    /// Whether series behind the last one of the block are read as well.
    pub(super) to_the_end: bool,
}

/// Reads the block again, and what the database has in its place.
pub(super) fn compare(with: Compared<'_>, block: &mut Block) -> Result<Verified, Error> {
    let mut verified = Verified::default();
    let mut cursor = with.db.select(with.matchers, with.bounds.0..=with.bounds.1)?;
    let mut found = Series::default();
    let mut next = |found: &mut Series, held: &mut u64| -> Result<bool, Error> {
        let is_there = cursor.next_into(found)?;
        *held += if is_there { found.len() as u64 } else { 0 };
        Ok(is_there)
    };
    let mut is_there = next(&mut found, &mut verified.held)?;
    let mut series = BlockSeries::default();
    block.rewind();
    while block.next_into(&mut series)? {
        let Ok(labels) = &series.labels else { continue };
        while is_there && found.labels() < labels {
            is_there = next(&mut found, &mut verified.held)?;
        }
        if is_there && found.labels() == labels {
            verified.compare_series(labels, &series, &found);
        } else {
            verified.compare_series(labels, &series, &Series::default());
        }
    }
    while with.to_the_end && is_there {
        is_there = next(&mut found, &mut verified.held)?;
    }
    Ok(verified)
}

impl Verified {
    fn compare_series(&mut self, labels: &Labels, series: &BlockSeries, found: &Series) {
        let mut places = Places::default();
        for (time, bits) in series.timestamps.iter().zip(&series.bits) {
            let place = places.find(found.float_timestamps(), *time);
            let is_same = place.is_some_and(|place| found.float_bits().get(place) == Some(bits));
            self.note(labels, *time, is_same);
        }
        let times: Vec<i64> = found.histograms().iter().map(|histogram| histogram.0).collect();
        let mut places = Places::default();
        for (time, histogram) in &series.histograms {
            let place = places.find(&times, *time);
            let other = place.and_then(|place| found.histograms().get(place));
            let is_same = other.is_some_and(|other| other.1.is_same(histogram));
            self.note(labels, *time, is_same);
        }
    }

    fn note(&mut self, labels: &Labels, time: i64, is_same: bool) {
        if is_same {
            self.same += 1;
            return;
        }
        self.different += 1;
        self.example
            .get_or_insert_with(|| format!("{labels} at {time} is not what the block has"));
    }
}

/// A walk along timestamps for others that mostly ascend as well.
#[derive(Debug, Default)]
struct Places(usize);

impl Places {
    fn find(&mut self, times: &[i64], time: i64) -> Option<usize> {
        let is_before = |place: usize| times.get(place).is_some_and(|other| *other < time);
        if self.0 > 0 && !is_before(self.0 - 1) {
            self.0 = times.partition_point(|other| *other < time);
        }
        while is_before(self.0) {
            self.0 += 1;
        }
        (times.get(self.0) == Some(&time)).then_some(self.0)
    }
}
