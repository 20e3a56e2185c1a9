//! Taking blocks of Prometheus in, oldest first, and then its log.
//!
//! A block is looked through before anything of it is written. What is written of it is durable, and compared, before the
//! journal names it. A run that ends early leaves nothing wrong: what it wrote is found to be there by the next one.

use super::BlockProgress;
use super::export::check_precision;
use super::journal::Journal;
use super::verify::{self, Compared};
use crate::blocks::{Block, BlockSeries, DataFolder, find};
use crate::db::{Batch, Db};
use crate::engine::error::Error;
use crate::head::report::{CommitReport, Durability};
use crate::io::Fs;
use crate::model::labels::Labels;
use crate::segment::reader::{CorruptFile, SegmentError};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples of a batch.
const BATCH_SAMPLES: usize = 100_000;
/// Bytes of a log that weigh as much as a sample of a block.
const LOG_BYTES_PER_SAMPLE: u64 = 8;

/// How blocks are taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockImportOptions {
    pub(super) verify: bool,
    pub(super) skip_damaged: bool,
}

impl Default for BlockImportOptions {
    fn default() -> Self {
        Self {
            verify: true,
            skip_damaged: false,
        }
    }
}

impl BlockImportOptions {
    /// Whether each block is compared with what the database then answers. Default yes.
    #[must_use]
    pub fn verify(mut self, is_wanted: bool) -> Self {
        self.verify = is_wanted;
        self
    }

    /// Whether damaged blocks, and the rest of damaged files of the log, are passed over. Default no: they end the import.
    #[must_use]
    pub fn skip_damaged(mut self, is_wanted: bool) -> Self {
        self.skip_damaged = is_wanted;
        self
    }
}

/// Samples that the database did not take for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedSamples {
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// The first of them, in words.
    pub example: String,
}

/// What an import did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockImport {
    /// Blocks that were taken in.
    pub blocks: usize,
    /// Blocks that an earlier import has taken in.
    pub blocks_known: usize,
    /// Samples that were read, of blocks and logs, without those that are deleted.
    pub samples: u64,
    /// Those of them that come from a log.
    pub log_samples: u64,
    /// Samples that the database had already.
    pub duplicates: u64,
    /// Samples that are deleted in Prometheus and were left out.
    pub deleted: u64,
    /// Samples of a log that Prometheus would not show either: older than its blocks, out of order, or of series that
    /// the log does not name.
    pub dropped: u64,
    /// Exemplars of a log.
    pub exemplars: u64,
    /// Samples of blocks that were read back, and are the same to the bit.
    pub verified: u64,
    /// Samples of blocks that were read back and are missing or others.
    pub different: u64,
    /// The first of these, in words.
    pub difference: Option<String>,
    /// What the database refused.
    pub refused: Vec<RefusedSamples>,
    /// Damage that was passed over: file, offset, what.
    pub faults: Vec<String>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
}

impl BlockImport {
    /// Whether all that was to be read is in the database.
    pub fn is_whole(&self) -> bool {
        self.different == 0 && self.refused.is_empty() && self.faults.is_empty()
    }
}

/// An import under way.
pub(super) struct Import<'a> {
    pub(super) db: &'a Db,
    pub(super) fs: Arc<dyn Fs>,
    pub(super) options: &'a BlockImportOptions,
    pub(super) report: BlockImport,
    refused: BTreeMap<&'static str, (u64, String)>,
    pub(super) batch: Batch,
    progress: &'a mut dyn FnMut(&BlockProgress),
    blocks_total: usize,
    /// In samples.
    work_done: u64,
    work_total: u64,
}

impl Db {
    /// Takes in what Prometheus has stored: each of `sources` is a block, or a data folder with its blocks and the log of
    /// what is in no block yet. All samples come bit for bit, and what is there already stays. No Prometheus may be writing
    /// to the folders. Timestamps of the database must be milliseconds.
    pub fn import_blocks(
        &self,
        sources: &[impl AsRef<Path>],
        options: &BlockImportOptions,
        progress: &mut dyn FnMut(&BlockProgress),
    ) -> Result<BlockImport, Error> {
        check_precision(self)?;
        let fs = self.fs_of_others();
        let dirs: Vec<PathBuf> = sources.iter().map(|dir| dir.as_ref().to_owned()).collect();
        let folder = find(&*fs, &dirs)?.map_err(|dir| {
            let dir = dir.display();
            Error::InvalidOptions(format!(
                "{dir} is no block, and has neither blocks nor a log of Prometheus"
            ))
        })?;
        let blocks = folder.blocks.iter().map(|block| block.1.samples.max(1));
        let logs = folder.logs.iter().map(|logs| logs.log.bytes + logs.late.bytes);
        let mut import = Import {
            db: self,
            fs,
            options,
            report: BlockImport::default(),
            refused: BTreeMap::new(),
            batch: new_batch(self),
            progress,
            blocks_total: folder.blocks.len(),
            work_done: 0,
            work_total: blocks.chain(logs.map(|bytes| bytes / LOG_BYTES_PER_SAMPLE)).sum(),
        };
        import.folder(folder)?;
        Ok(import.finish())
    }
}

/// Batches are made durable together, at the end of a block.
fn new_batch(db: &Db) -> Batch {
    let mut batch = db.batch();
    batch.durability(Durability::Never);
    batch
}

impl Import<'_> {
    fn folder(&mut self, mut folder: DataFolder) -> Result<(), Error> {
        for fault in std::mem::take(&mut folder.faults) {
            self.pass_over(fault)?;
        }
        let mut journal = Journal::open(self.db)?;
        let mut sound = Vec::with_capacity(folder.blocks.len());
        let mut waiting = VecDeque::from(std::mem::take(&mut folder.blocks));
        while let Some((dir, meta)) = waiting.pop_front() {
            let samples = meta.samples.max(1);
            let before = self.work_done;
            if journal.has(&meta) {
                self.report.blocks_known += 1;
            } else if !self.block(&dir, &mut journal)? {
                waiting.extend(folder.parents_of(&meta));
                continue;
            }
            self.work_done = before + samples;
            self.tell();
            sound.push((dir, meta));
        }
        folder.blocks = sound;
        for logs in &folder.logs {
            self.logs(&logs.log, &logs.late, folder.log_floor(logs))?;
        }
        self.commit()?;
        self.db.sync()
    }

    /// Takes a block in; `false` when it is damaged and passed over.
    fn block(&mut self, dir: &Path, journal: &mut Journal) -> Result<bool, Error> {
        let opened = Block::open(&*self.fs, dir).and_then(|mut block| {
            block.check()?;
            Ok(block)
        });
        let mut block = match opened {
            Ok(block) => block,
            Err(SegmentError::Corrupt(fault)) => {
                self.pass_over(fault)?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let refused_before = self.refused_count();
        let different_before = self.report.different;
        let bounds = self.write(&mut block)?;
        self.db.sync()?;
        if let Some(bounds) = bounds
            && self.options.verify
        {
            let with = Compared {
                db: self.db,
                matchers: &[],
                bounds,
                to_the_end: false,
            };
            let verified = verify::compare(with, &mut block)?;
            self.report.verified += verified.same;
            self.report.different += verified.different;
            let example = verified
                .example
                .map(|example| format!("{}: {example}", dir.display()));
            self.report.difference = self.report.difference.take().or(example);
        }
        self.report.blocks += 1;
        if self.refused_count() == refused_before && self.report.different == different_before {
            journal.add(&block.meta)?;
        }
        Ok(true)
    }

    /// Writes a block's samples, and returns the times of the first and the last one.
    fn write(&mut self, block: &mut Block) -> Result<Option<(i64, i64)>, Error> {
        let mut bounds: Option<(i64, i64)> = None;
        let mut series = BlockSeries::default();
        while block.next_into(&mut series)? {
            self.report.deleted += series.deleted;
            self.report.samples += series.len() as u64;
            self.work_done += series.len() as u64;
            let labels = match &series.labels {
                Ok(labels) => labels,
                Err(error) => {
                    let example = || format!("{error}, in {}", block.dir.display());
                    self.refuse("invalid_labels", series.len() as u64, example);
                    continue;
                }
            };
            let times = series.timestamps.iter();
            for time in times.chain(series.histograms.iter().map(|histogram| &histogram.0)) {
                let (first, last) = bounds.unwrap_or((*time, *time));
                bounds = Some((first.min(*time), last.max(*time)));
            }
            self.push(labels, &series)?;
        }
        self.commit()?;
        Ok(bounds)
    }

    fn push(&mut self, labels: &Labels, series: &BlockSeries) -> Result<(), Error> {
        for (time, bits) in series.timestamps.iter().zip(&series.bits) {
            self.batch.push(labels, *time, f64::from_bits(*bits));
        }
        for (time, histogram) in &series.histograms {
            self.batch.push_histogram(labels, *time, histogram);
        }
        self.commit_if_full()
    }

    pub(super) fn commit_if_full(&mut self) -> Result<(), Error> {
        if self.batch.len() < BATCH_SAMPLES {
            return Ok(());
        }
        self.commit()?;
        self.tell();
        Ok(())
    }

    /// Writes what is in the batch.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let full = std::mem::replace(&mut self.batch, new_batch(self.db));
        let report = full.commit()?;
        self.count(&report);
        Ok(())
    }

    fn count(&mut self, report: &CommitReport) {
        self.report.duplicates += report.duplicates as u64;
        self.report.exemplars += (report.exemplars + report.duplicate_exemplars) as u64;
        for rejection in &report.rejected {
            let example = || rejection.example.clone();
            self.refuse(rejection.reason.as_str(), rejection.count as u64, example);
        }
    }

    pub(super) fn refuse(&mut self, reason: &'static str, count: u64, example: impl FnOnce() -> String) {
        let refused = self.refused.entry(reason).or_insert_with(|| (0, example()));
        refused.0 += count;
    }

    fn refused_count(&self) -> u64 {
        self.refused.values().map(|refused| refused.0).sum()
    }

    /// Notes damage, or ends the import with it.
    pub(super) fn pass_over(&mut self, fault: CorruptFile) -> Result<(), Error> {
        if !self.options.skip_damaged {
            return Err(fault.into());
        }
        self.report.faults.push(fault.to_string());
        Ok(())
    }

    /// Counts bytes of a log as done.
    pub(super) fn log_done(&mut self, bytes: u64) {
        self.work_done += bytes / LOG_BYTES_PER_SAMPLE;
    }

    pub(super) fn tell(&mut self) {
        (self.progress)(&BlockProgress {
            blocks: self.report.blocks + self.report.blocks_known,
            blocks_total: Some(self.blocks_total),
            samples: self.report.samples,
            part_done: (self.work_done as f64 / self.work_total.max(1) as f64).min(1.0),
        });
    }

    fn finish(self) -> BlockImport {
        let refused = self.refused.into_iter();
        BlockImport {
            refused: refused
                .map(|(reason, (count, example))| RefusedSamples {
                    reason,
                    count,
                    example,
                })
                .collect(),
            ..self.report
        }
    }
}
