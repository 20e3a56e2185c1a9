//! Writing a database as blocks of Prometheus: one for each stretch of time that has samples.
//!
//! The name of a block is made of what is asked for. A second run finds the blocks of the first one, which have their names
//! only since they are whole, and goes on behind them.

use super::BlockProgress;
use super::verify::{self, Compared};
use crate::base::hash;
use crate::blocks::{self, Block, BlockMeta, BlockWriter, ChunkBytes, Ulid};
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::options::Precision;
use crate::io::Fs;
use crate::model::matcher::Matcher;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Series between two reports of progress.
const SERIES_PER_REPORT: u64 = 1_000;

/// How blocks are written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockExportOptions {
    span: Duration,
    verify: bool,
}

impl Default for BlockExportOptions {
    fn default() -> Self {
        Self {
            span: Duration::from_secs(24 * 3600),
            verify: true,
        }
    }
}

impl BlockExportOptions {
    /// The time of a block at most, at whose multiples blocks are cut. Default 24 hours.
    #[must_use]
    pub fn span(mut self, span: Duration) -> Self {
        self.span = span;
        self
    }

    /// Whether each block is read back and compared with the database before it gets its name. Default yes.
    #[must_use]
    pub fn verify(mut self, is_wanted: bool) -> Self {
        self.verify = is_wanted;
        self
    }
}

/// What an export wrote.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockExport {
    /// Folders of blocks that were written, in order of time.
    pub blocks: Vec<PathBuf>,
    /// Blocks that were there from an earlier run.
    pub blocks_known: usize,
    /// Series of the blocks that were written; one that is in several counts in each.
    pub series: u64,
    /// Samples that were written.
    pub samples: u64,
    /// Blocks that were left out, since a part of their samples cannot be read or since they were not as the database when
    /// they were read back, and what is wrong.
    pub faults: Vec<String>,
}

/// What is asked for.
struct Export<'a> {
    db: &'a Db,
    fs: Arc<dyn Fs>,
    out: &'a Path,
    matchers: &'a [Matcher],
    /// First and last millisecond.
    wanted: (i64, i64),
    span_ms: i64,
    verify: bool,
    report: BlockExport,
    progress: &'a mut dyn FnMut(&BlockProgress),
}

impl Db {
    /// Writes the matching series' samples in `range` to the folder `out` as blocks of Prometheus' own database. Blocks are
    /// durable and compared when they have their names; one that an earlier export of the same database, matchers and times
    /// has written is kept.
    ///
    /// What is changed or deleted meanwhile may make a block differ; it is then left out and named. Start timestamps, exemplars and metadata are no part of blocks. Timestamps must be milliseconds.
    pub fn export_blocks(
        &self,
        out: impl AsRef<Path>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: &BlockExportOptions,
        progress: &mut dyn FnMut(&BlockProgress),
    ) -> Result<BlockExport, Error> {
        check_precision(self)?;
        let span_ms = i64::try_from(options.span.as_millis()).unwrap_or(i64::MAX);
        if span_ms < 60_000 {
            return Err(Error::InvalidOptions("a block is of a minute at least".into()));
        }
        let fs = self.fs_of_others();
        fs.create_dir_all(out.as_ref())?;
        let mut export = Export {
            db: self,
            fs,
            out: out.as_ref(),
            matchers,
            wanted: bounds(&range),
            span_ms,
            verify: options.verify,
            report: BlockExport::default(),
            progress,
        };
        export.run()?;
        Ok(export.report)
    }
}

/// Refuses timestamps that blocks do not have.
pub(super) fn check_precision(db: &Db) -> Result<(), Error> {
    match db.precision() {
        Precision::Milliseconds => Ok(()),
        other => Err(Error::InvalidOptions(format!(
            "blocks of Prometheus have timestamps in milliseconds, and this database has them in {}",
            other.as_str()
        ))),
    }
}

/// First and last of a range; of an empty one the first is behind the last.
fn bounds(range: &impl RangeBounds<i64>) -> (i64, i64) {
    const EMPTY: (i64, i64) = (1, 0);
    let first = match range.start_bound() {
        Bound::Included(first) => Some(*first),
        Bound::Excluded(before) => before.checked_add(1),
        Bound::Unbounded => Some(i64::MIN),
    };
    let last = match range.end_bound() {
        Bound::Included(last) => Some(*last),
        Bound::Excluded(end) => end.checked_sub(1),
        Bound::Unbounded => Some(i64::MAX),
    };
    first.zip(last).unwrap_or(EMPTY)
}

impl Export<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let held = self.held()?;
        let first = held.iter().map(|held| held.0).min().unwrap_or(i64::MAX);
        let newest = held.iter().map(|held| held.1).max().unwrap_or(i64::MIN);
        let whole = (first.max(self.wanted.0), newest.min(self.wanted.1));
        let mut next = Some(whole.0);
        while let Some(from) = next
            && let Some(time) = next_held(&held, from)
            && time <= whole.1
        {
            let start = time.div_euclid(self.span_ms).saturating_mul(self.span_ms);
            let last = start.saturating_add(self.span_ms - 1);
            let done = part(whole, time);
            self.block(start.max(whole.0), last.min(whole.1), done)?;
            self.tell(0, part(whole, last));
            next = last.checked_add(1);
        }
        Ok(())
    }

    /// Stretches of time outside of which there are no samples.
    fn held(&self) -> Result<Vec<(i64, i64)>, Error> {
        let segments = self.db.segments().into_iter();
        let mut held: Vec<(i64, i64)> = segments
            .map(|segment| (segment.meta.time_min, segment.meta.time_max))
            .filter(|bounds| bounds.0 <= bounds.1)
            .collect();
        held.extend(self.db.stats()?.head_bounds);
        Ok(held)
    }

    /// Writes the block from `first` to `last`, unless it is there or has no samples.
    fn block(&mut self, first: i64, last: i64, part_done: f64) -> Result<(), Error> {
        let ulid = self.name(first, last);
        if blocks::is_whole(&*self.fs, self.out, ulid)? {
            self.report.blocks_known += 1;
            return Ok(());
        }
        blocks::remove_unfinished(&*self.fs, self.out, ulid)?;
        let mut writer: Option<BlockWriter> = None;
        let mut cursor = self.db.select_chunks(self.matchers, first..=last)?;
        let mut series_count = 0;
        for series in cursor.by_ref() {
            let series = series?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(BlockWriter::create(
                    &self.fs,
                    self.out,
                    ulid,
                    (first, last.saturating_add(1)),
                )?),
            };
            let chunks = series.chunks.iter().map(|chunk| ChunkBytes {
                time_min: chunk.min_time,
                time_max: chunk.max_time,
                encoding: chunk.encoding,
                bytes: &chunk.bytes,
            });
            writer.add(series.labels.as_ref(), chunks)?;
            series_count += 1;
            if series_count % SERIES_PER_REPORT == 0 {
                let samples = writer.samples();
                self.tell(samples, part_done);
            }
        }
        let lost = cursor.warnings().iter().map(|warning| match &warning.file {
            Some(file) => format!("{}: {}", file.display(), warning.reason),
            None => warning.reason.clone(),
        });
        let lost: Vec<String> = lost.collect();
        drop(cursor);
        match writer {
            Some(writer) if lost.is_empty() => self.finish(writer, (first, last)),
            _ => {
                self.report.faults.extend(lost);
                Ok(())
            }
        }
    }

    /// Gives a block its name, if it is read back as it should be.
    fn finish(&mut self, mut writer: BlockWriter, bounds: (i64, i64)) -> Result<(), Error> {
        let dir = writer.complete()?;
        if self.verify {
            let with = Compared {
                db: self.db,
                matchers: self.matchers,
                bounds,
                to_the_end: true,
            };
            let verified = verify::compare(with, &mut Block::open(&*self.fs, &dir)?)?;
            let samples = writer.samples();
            if verified.same != samples || verified.held != samples {
                let held = verified.held;
                let example = verified
                    .example
                    .unwrap_or_else(|| format!("{held} are in the database"));
                let fault = format!("{}: of {samples} samples, {example}", dir.display());
                self.report.faults.push(fault);
                return Ok(());
            }
        }
        self.count(&writer.finish()?);
        Ok(())
    }

    fn count(&mut self, meta: &BlockMeta) {
        self.report.blocks.push(self.out.join(meta.ulid.to_string()));
        self.report.series += meta.series;
        self.report.samples += meta.samples;
    }

    /// The name of a block: the same for the same question.
    fn name(&self, first: i64, last: i64) -> Ulid {
        let engine = self.db.engine();
        let database = match &engine.options.dir {
            Some(_) => engine.database_id().to_string(),
            // It is known to nobody but this process, and to that only while it is there.
            None => format!("{:p} {}", Arc::as_ptr(engine), std::process::id()),
        };
        let asked = format!("{database} {first} {last} {:?}", self.matchers);
        Ulid::new(last, hash::hash_128(asked.as_bytes()))
    }

    fn tell(&mut self, samples: u64, part_done: f64) {
        (self.progress)(&BlockProgress {
            blocks: self.report.blocks.len() + self.report.blocks_known,
            blocks_total: None,
            samples: self.report.samples + samples,
            part_done,
        });
    }
}

/// The first time from `from` on at which there may be a sample.
fn next_held(held: &[(i64, i64)], from: i64) -> Option<i64> {
    let within = held.iter().filter(|bounds| bounds.1 >= from);
    within.map(|bounds| bounds.0.max(from)).min()
}

/// How far `time` is between two others.
fn part(whole: (i64, i64), time: i64) -> f64 {
    let of = |time: i64| time as f64 - whole.0 as f64;
    if whole.1 > whole.0 {
        (of(time) / of(whole.1)).clamp(0.0, 1.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_jumped_over() {
        let held = [(100, 200), (1_000, 2_000), (1_500, 3_000)];
        let cases = [
            (0, Some(100)),
            (150, Some(150)),
            (201, Some(1_000)),
            (2_500, Some(2_500)),
            (3_001, None),
        ];
        for (from, wanted) in cases {
            assert_eq!(next_held(&held, from), wanted, "{from}");
        }
    }

    #[test]
    fn bounds_of_ranges() {
        assert_eq!(bounds(&(3..5)), (3, 4));
        assert_eq!(bounds(&(..)), (i64::MIN, i64::MAX));
        let (first, last) = bounds(&(i64::MIN..i64::MIN));
        assert!(first > last);
    }
}
