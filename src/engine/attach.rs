//! Attaching: what a backup shows becomes part of this database, as if all of it were written at one moment.
//!
//! LSNs of two databases are two countings, so the segments of a backup are not taken as they are. They are settled by
//! the rules of their own database, its deletions applied, and written again, one segment for each partition of time.
//! All of them end with one log record that is reserved for them: what was written before it comes first, what is
//! written after it comes later. One manifest makes them count.

use super::backup_list::{Link, Place, find_file, read_chain};
use super::compact::Why;
use super::error::Error;
use super::jobs::{JobKind, JobSums};
use super::manifest::SegmentEntry;
use super::masks::{self, Masks};
use super::view::View;
use super::{Engine, Maintenance, deletions, events};
use crate::head::limits::Limits;
use crate::head::recover::ReplayedDeletion;
use crate::io;
use crate::model::labels::LabelsRef;
use crate::segment::merge::{MergeInput, MergeSource};
use crate::segment::meta::SegmentMeta;
use crate::segment::names;
use crate::segment::reader::{CorruptFile, Segment};
use crate::segment::writer::{SeriesSource, WriteOptions, write_segment};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Segments that an attachment is written as, at most: a backup can have samples at any time.
const STRETCHES_MAX: usize = 512;

/// What an attachment brought.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachReport {
    /// The log record that everything attached stands at.
    pub lsn: u64,
    /// Segments that were written.
    pub segments: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Samples in these. Those that lose against what was there are among them.
    pub samples: u64,
}

/// A backup as a view of its own database.
#[derive(Debug)]
struct Foreign<'a> {
    dir: &'a Path,
    view: View,
    /// Newest timestamp.
    newest: Option<i64>,
}

type Written = Vec<(Arc<Segment>, SegmentEntry)>;

impl Engine {
    /// Attaches what the last backup of `chain` shows. Flushes, merges and retention wait meanwhile; readers and writers
    /// do not.
    pub(crate) fn attach(&self, chain: &[PathBuf]) -> Result<AttachReport, Error> {
        let sums = |report: &AttachReport| JobSums {
            segments: report.segments as u64,
            samples: Some(report.samples),
            bytes: Some(report.bytes),
        };
        self.as_job(JobKind::Attach, || self.attach_chain(chain), sums)
    }

    fn attach_chain(&self, chain: &[PathBuf]) -> Result<AttachReport, Error> {
        self.check_writable()?;
        self.check_on_disk("a backup attached to")?;
        let foreign = self.open_foreign(chain)?;
        let stretches = stretches(&foreign.view.segments, self.partition_span());
        let mut maintenance = self.lock_maintenance();
        let lsn = self.reserve_record(&mut maintenance, foreign.newest)?;
        let mut written = Written::new();
        for (number, stretch) in stretches.iter().enumerate() {
            // Segments without any time have metadata only.
            let is_last = number + 1 == stretches.len();
            let done = self.write_stretch(&foreign, *stretch, is_last, lsn, &mut written);
            done.inspect_err(|_| self.discard_all(&written))?;
        }
        let report = AttachReport {
            lsn,
            segments: written.len(),
            bytes: written.iter().map(|one| one.1.bytes).sum(),
            samples: written.iter().map(|one| one.1.samples).sum(),
        };
        if !written.is_empty() {
            self.replace_segments(
                self.dir(),
                &mut maintenance.compaction,
                Why::Attachment,
                &[],
                &written,
            )?;
            maintenance.compaction.look_again();
            self.head
                .relearn_metadata(events::metadata_in(&self.view.load().segments));
        }
        Ok(report)
    }

    /// Reads the chain and every byte of the segments it makes, and refuses what does not belong here.
    fn open_foreign<'a>(&self, chain: &'a [PathBuf]) -> Result<Foreign<'a>, Error> {
        let links = read_chain(chain, &self.options)?;
        let Some(last) = links.last() else {
            return Err(Error::InvalidOptions("an attachment of no backup".into()));
        };
        let refuse =
            |what: String| Error::InvalidOptions(format!("the backup {} {what}", last.dir.display()));
        let manifest = &last.list.manifest;
        if manifest.precision != self.precision {
            let (theirs, ours) = (manifest.precision, self.precision);
            return Err(refuse(format!("has {theirs:?}, and the database {ours:?}")));
        }
        let mut segments = Vec::with_capacity(manifest.segments.len());
        let is_rollup = |number: &usize| manifest.segments[*number].is_tile();
        for number in (0..manifest.segments.len()).filter(|number| !is_rollup(number)) {
            segments.push(Arc::new(self.open_held(&links, number)?));
        }
        for segment in &segments {
            check_labels(segment, &self.options.limits)
                .and_then(|reason| reason.map_or(Ok(()), |reason| Err(refuse(reason))))?;
        }
        let bounds = segments.iter().filter(|segment| has_time(segment));
        let newest = bounds.map(|segment| segment.meta.time_max).max();
        let future = self.options.future_limit.map(|limit| self.precision.units(limit));
        if let (Some(newest), Some(future)) = (newest, future.or(self.options.limits.future_max))
            && newest > self.now().saturating_add(future)
        {
            return Err(refuse(format!(
                "has samples up to {newest}, too far in the future"
            )));
        }
        let deletions = manifest.deletions.iter().map(|entry| ReplayedDeletion {
            lsn: entry.lsn,
            deletion: entry.deletion.clone(),
            ids: RoaringBitmap::new(),
            withdrawn: entry.withdrawn,
        });
        let deletions = deletions::restored(deletions.collect())?.into();
        Ok(Foreign {
            dir: last.dir,
            view: View {
                segments,
                deletions,
                ..View::default()
            },
            newest,
        })
    }

    /// Opens a segment of the last backup of the chain, once all of its bytes are what was backed up.
    fn open_held(&self, links: &[Link<'_>], number: usize) -> Result<Segment, Error> {
        let fs = &self.options.fs;
        let last = links.last().map(|link| &link.list);
        let named = last.and_then(|list| list.manifest.segments.get(number).zip(list.files.get(number)));
        let found = named.filter(|named| named.1.place != Place::Nowhere);
        let found = found.and_then(|(entry, held)| Some((entry, held, find_file(links, entry)?)));
        let Some((entry, held, path)) = found else {
            let what = format!("segment {number} of the backup is in none of its folders");
            return Err(Error::InvalidOptions(what));
        };
        let read = io::checksum_file(fs, &path)?;
        let damaged = |what| CorruptFile {
            file: path.clone(),
            offset: 0,
            what,
        };
        if read.checksum != held.checksum || read.bytes != entry.bytes {
            return Err(damaged("not the bytes that were backed up").into());
        }
        let segment = Segment::open(fs, &path, entry.sequence, self.options.mmap)?;
        if segment.meta.ulid != entry.ulid {
            return Err(damaged("another segment than the backup names").into());
        }
        Ok(segment)
    }

    /// Ends the live generation and takes the next log record for what is attached. Everything written before it is in
    /// segments then, and everything written later stands behind it.
    fn reserve_record(&self, maintenance: &mut Maintenance, newest: Option<i64>) -> Result<u64, Error> {
        self.flush_frozen(maintenance)?;
        self.sync()?;
        let lsn = {
            let mut writer = self.head.lock_writer();
            self.freeze_locked(maintenance, &mut writer)?;
            let lsn = writer.skip_record();
            writer.note_flushed(newest.unwrap_or(i64::MIN));
            lsn.map_err(|error| self.poisoning(error.into()))?
        };
        // What counts from the manifest on must not be numbered anew after a power loss.
        self.sync()?;
        self.flush_frozen(maintenance)?;
        Ok(lsn)
    }

    /// Writes what the backup shows within a stretch of time.
    fn write_stretch(
        &self,
        foreign: &Foreign<'_>,
        (from, to): (i64, i64),
        with_timeless: bool,
        lsn: u64,
        written: &mut Written,
    ) -> Result<(), Error> {
        let is_within = |segment: &&Arc<Segment>| {
            let meta = &segment.meta;
            (meta.time_min <= to && meta.time_max >= from && has_time(segment))
                || (with_timeless && !has_time(segment))
        };
        let mut inputs = Vec::new();
        for segment in foreign.view.segments.iter().filter(is_within) {
            inputs.push(foreign.input(segment, (from, to))?);
        }
        let source = MergeSource::new(inputs)?;
        if source.len() == 0 && source.metadata().is_empty() {
            return Ok(());
        }
        let series_max = self.options.limits.series_max;
        if source.len() as usize > series_max {
            let dir = foreign.dir.display();
            let what = format!("the backup {dir} has more than {series_max} series");
            return Err(Error::InvalidOptions(what));
        }
        let bounds = source.bounds();
        let bounds = (bounds.0.max(from), bounds.1.min(to));
        let sequence = self.next_sequence();
        let meta = SegmentMeta {
            lsn_first: lsn,
            lsn_last: lsn,
            ..self.new_meta(sequence)
        };
        let options = WriteOptions {
            metadata_compressor: self.options.metadata_compressor,
            data_compressor: self.options.data_compressor,
        };
        let (fs, path) = (&self.options.fs, names::segment(self.dir(), sequence));
        let new = write_segment(fs, &path, source, meta, bounds, &options)?;
        let segment = self
            .open_new(sequence, new)
            .inspect_err(|_| self.discard(&path))?;
        let entry = SegmentEntry::of(&segment);
        written.push((segment, entry));
        Ok(())
    }
}

impl Foreign<'_> {
    /// A segment with what its own database deleted; what lies outside the stretch counts as deleted.
    fn input(&self, segment: &Arc<Segment>, (from, to): (i64, i64)) -> Result<MergeInput, Error> {
        let masks = Masks::to_apply(&self.view, segment, |_| true)?;
        let (mut deleted, marks) = masks.into_ranges();
        let mut all = RoaringBitmap::new();
        all.insert_range(0..segment.rows());
        let all = Arc::new(all);
        if segment.meta.time_min < from {
            deleted.push((all.clone(), i64::MIN, from - 1));
        }
        if segment.meta.time_max > to {
            deleted.push((all, to + 1, i64::MAX));
        }
        Ok(MergeInput {
            dropped: masks::rows_without_samples(segment, &deleted)?,
            segment: segment.clone(),
            deleted,
            marks,
        })
    }
}

fn has_time(segment: &Segment) -> bool {
    segment.meta.time_min <= segment.meta.time_max
}

/// The first series of a segment that a batch could not make, and why.
fn check_labels(segment: &Segment, limits: &Limits) -> Result<Option<String>, Error> {
    let at = |corrupt| segment.index_error(corrupt);
    let (mut cursor, mut labels) = (segment.index()?.label_cursor(), Vec::new());
    for row in 0..segment.rows() {
        cursor.labels(row, &mut labels).map_err(at)?;
        let labels = LabelsRef::new(&labels);
        if let Some(reason) = limits.refusal(labels) {
            return Ok(Some(format!("has a series that is refused: {reason}")));
        }
    }
    Ok(None)
}

/// The partitions of time that the segments reach into, oldest first, each with both ends included; where there are far
/// too many, stretches of several.
fn stretches(segments: &[Arc<Segment>], span: i64) -> Vec<(i64, i64)> {
    let timed = || segments.iter().filter(|segment| has_time(segment));
    let mut span = i128::from(span.max(1));
    let numbers = loop {
        let mut numbers = BTreeSet::new();
        for segment in timed() {
            let of = |time: i64| i128::from(time).div_euclid(span);
            let all = of(segment.meta.time_min)..=of(segment.meta.time_max);
            numbers.extend(all.take(STRETCHES_MAX + 1));
        }
        if numbers.len() <= STRETCHES_MAX {
            break numbers;
        }
        span *= 2;
    };
    if numbers.is_empty() && !segments.is_empty() {
        return vec![(i64::MIN, i64::MAX)];
    }
    let clamp = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    let ends = numbers.into_iter().map(|number| number * span);
    ends.map(|from| (clamp(from), clamp(from + span - 1))).collect()
}
