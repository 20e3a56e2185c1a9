//! Joins the matching series of segments and head in label order.

use super::error::Error;
use super::masks::Masks;
use crate::base::texts::Texts;
use crate::head::Head;
use crate::head::read::HeadSelection;
use crate::model::labels;
use crate::segment::read::ReadCache;
use crate::segment::reader::{Segment, SegmentError};
use std::cmp::Ordering;
use std::sync::Arc;

/// Rows whose labels are decoded together.
const LABELS_PER_BATCH: usize = 512;
/// Bytes of labels that most series do not exceed.
const LABEL_BYTES_USUAL: usize = 256;

/// Matching series of one segment or of the head, in label order.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    /// Labels of the next series, some ahead of time.
    labels: Texts,
    /// The first series of the batch, and the current one in it.
    batch_start: usize,
    at: usize,
    length: usize,
}

#[derive(Debug)]
pub(super) enum SourceKind {
    Segment {
        segment: Arc<Segment>,
        rows: Vec<u32>,
        cache: Box<ReadCache>,
        masks: Masks,
    },
    Head(HeadSelection),
}

impl Source {
    pub(super) fn segment(segment: Arc<Segment>, rows: Vec<u32>, masks: Masks) -> Self {
        let length = rows.len();
        Self::new(
            SourceKind::Segment {
                segment,
                rows,
                cache: Box::default(),
                masks,
            },
            length,
        )
    }

    pub(super) fn head(selection: HeadSelection) -> Self {
        let length = selection.len();
        Self::new(SourceKind::Head(selection), length)
    }

    fn new(kind: SourceKind, length: usize) -> Self {
        Self {
            kind,
            labels: Texts::default(),
            batch_start: 0,
            at: 0,
            length,
        }
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn position(&self) -> usize {
        self.batch_start + self.at
    }

    /// The row or id of the current series.
    pub(super) fn id(&self) -> Option<u32> {
        match &self.kind {
            SourceKind::Segment { rows, .. } => rows.get(self.position()).copied(),
            SourceKind::Head(selection) => selection.id(self.position()),
        }
    }

    fn is_done(&self) -> bool {
        self.position() >= self.length
    }

    /// Canonical labels of the series at `at` in the batch; needs [`Source::fill`] before.
    fn labels_at(&self, at: usize) -> &[u8] {
        self.labels.at(at)
    }

    /// Canonical labels of the current series.
    fn labels(&self) -> &[u8] {
        self.labels_at(self.at)
    }

    /// Decodes the labels of the next series if none are left.
    fn fill(&mut self, head: &Head) -> Result<(), SegmentError> {
        if self.at < self.labels.len() || self.is_done() {
            return Ok(());
        }
        self.batch_start += self.labels.len();
        self.at = 0;
        let end = self.length.min(self.batch_start + LABELS_PER_BATCH);
        let series = end - self.batch_start;
        match &mut self.kind {
            SourceKind::Head(selection) => {
                selection.labels(head, self.batch_start..end, &mut self.labels);
            }
            SourceKind::Segment { segment, rows, .. } => {
                let mut cursor = segment.index()?.label_cursor();
                self.labels.clear();
                self.labels.reserve(series, series * LABEL_BYTES_USUAL);
                let (bytes, ends) = self.labels.parts_mut();
                for row in rows.get(self.batch_start..end).unwrap_or(&[]) {
                    cursor
                        .push_labels(*row, bytes)
                        .map_err(|corrupt| segment.index_error(corrupt))?;
                    ends.push(bytes.len());
                }
            }
        }
        Ok(())
    }

    fn advance(&mut self) {
        self.at += 1;
    }
}

/// Walks sources side by side.
#[derive(Debug)]
pub(super) struct Join {
    /// In order of writing: segments by LSN, then the head.
    pub(super) sources: Vec<Source>,
    /// Sources that have the current series, with the row or id in each.
    pub(super) current: Vec<(usize, u32)>,
}

impl Join {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            current: Vec::new(),
        }
    }

    /// Canonical labels of the current series, which the sources that have it stand behind.
    pub(super) fn labels(&self) -> &[u8] {
        let source = self.current.first().and_then(|one| self.sources.get(one.0));
        source.map_or(&[], |source| source.labels_at(source.at.saturating_sub(1)))
    }

    /// Goes to the next series; `false` at the end. A source that fails drops out and its error is given back once.
    pub(super) fn next(&mut self, head: &Head, failed: &mut Vec<Error>) -> bool {
        self.current.clear();
        let mut least: Option<usize> = None;
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            if let Err(error) = source.fill(head) {
                failed.push(error.into());
                source.length = 0;
                source.labels.clear();
            }
            if self.sources[index].is_done() {
                continue;
            }
            let order = match least {
                None => Ordering::Less,
                Some(least) => compare(self.sources[index].labels(), self.sources[least].labels()),
            };
            if order == Ordering::Less {
                least = Some(index);
                self.current.clear();
            }
            if order != Ordering::Greater
                && let Some(id) = self.sources[index].id()
            {
                self.current.push((index, id));
            }
        }
        for (index, _) in &self.current {
            self.sources[*index].advance();
        }
        least.is_some()
    }
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        Ordering::Equal
    } else {
        labels::compare(a, b)
    }
}
