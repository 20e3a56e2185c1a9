//! Reading: the matching series in label order, each with its samples, from one view.

use super::Engine;
use super::error::Error;
use super::masks::{self, Masks};
use super::merge::{Join, Source, SourceKind};
use super::series::Series;
use super::view::View;
use crate::base::bytes::Corrupt;
use crate::head::slab::Generation;
use crate::index::LabelMatcher;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::parts::{self, Part};
use crate::model::samples::Samples;
use crate::segment::read::ReadCache;
use crate::segment::reader::{Segment, SegmentError};
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::Arc;

/// A part of the answer that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The file that could not be read.
    pub file: Option<PathBuf>,
    /// What is wrong with it, and where.
    pub reason: String,
}

/// The matching series in label order. Holds one view: what is flushed, merged or dropped meanwhile does not show.
#[derive(Debug)]
pub struct SeriesCursor {
    pub(super) engine: Arc<Engine>,
    pub(super) view: Arc<View>,
    pub(super) join: Join,
    pub(super) from: i64,
    pub(super) to: i64,
    part: Samples,
    /// A deletion has to be minded.
    minds_deletions: bool,
    pub(super) warnings: Vec<Warning>,
}

/// Inclusive bounds of a range; `None` when it is empty.
pub(crate) fn bounds(range: &impl RangeBounds<i64>) -> Option<(i64, i64)> {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(from) => from.checked_add(1)?,
        Bound::Unbounded => i64::MIN,
    };
    let to = match range.end_bound() {
        Bound::Included(to) => *to,
        Bound::Excluded(to) => to.checked_sub(1)?,
        Bound::Unbounded => i64::MAX,
    };
    (from <= to).then_some((from, to))
}

impl Engine {
    /// The series that match and have samples in `range`.
    pub(crate) fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<SeriesCursor, Error> {
        self.cursor(matchers, range, true)
    }

    /// The same; `is_read` says whether the samples will be read.
    pub(super) fn cursor(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        is_read: bool,
    ) -> Result<SeriesCursor, Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let (_pin, view) = self.pinned_view();
        let (from, to) = bounds(&range).unwrap_or((0, -1));
        let mut warnings = Vec::new();
        let sources = if from <= to {
            self.sources(&view, &matchers, (from, to), is_read, &mut warnings)
        } else {
            Vec::new()
        };
        let join = Join::new(sources);
        Ok(SeriesCursor {
            minds_deletions: view.deletions_concern_samples(),
            engine: self.clone(),
            view,
            join,
            from,
            to,
            part: Samples::default(),
            warnings,
        })
    }

    /// Segments with samples in `from..=to` that did not open.
    pub(super) fn lost_at_opening(&self, from: i64, to: i64) -> impl Iterator<Item = Warning> {
        let lost = self.recovery.quarantined.iter();
        let within = lost.filter(move |lost| lost.time_min <= to && lost.time_max >= from);
        within.map(|lost| Warning {
            file: Some(lost.file.clone()),
            reason: lost.reason.clone(),
        })
    }

    /// What may hold matching series in `from..=to`: segments by LSN, then the head.
    pub(super) fn sources(
        &self,
        view: &View,
        matchers: &[LabelMatcher],
        (from, to): (i64, i64),
        is_read: bool,
        warnings: &mut Vec<Warning>,
    ) -> Vec<Source> {
        let mut sources = self.segment_sources(view, matchers, from, to, warnings);
        sources.extend(self.head_source(view, matchers, (from, to), is_read));
        sources
    }

    /// The head, if it may hold matching series in `from..=to`.
    pub(super) fn head_source(
        &self,
        view: &View,
        matchers: &[LabelMatcher],
        (from, to): (i64, i64),
        is_read: bool,
    ) -> Option<Source> {
        let selection = view
            .head_is_within(from, to)
            .then(|| self.head.select(matchers, is_read))?;
        (selection.len() > 0).then(|| Source::head(selection))
    }

    /// Segments that may hold matching series in `from..=to`, by LSN.
    pub(super) fn segment_sources(
        &self,
        view: &View,
        matchers: &[LabelMatcher],
        from: i64,
        to: i64,
        warnings: &mut Vec<Warning>,
    ) -> Vec<Source> {
        warnings.extend(self.lost_at_opening(from, to));
        let mut sources = Vec::new();
        for segment in view.segments_within(from, to) {
            match matching_rows(segment, matchers, from, to) {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => match Masks::over_segment(view, segment, from, to) {
                    Ok(masks) => sources.push(Source::segment(segment.clone(), rows, masks)),
                    Err(error) => warnings.push(warning(segment, &error)),
                },
                Err(error) => warnings.push(warning(segment, &error)),
            }
        }
        sources
    }
}

pub(super) fn warning(segment: &Segment, error: &SegmentError) -> Warning {
    Warning {
        file: Some(segment.path().to_owned()),
        reason: error.to_string(),
    }
}

/// Rows that match and whose time bounds overlap the range.
pub(super) fn matching_rows(
    segment: &Segment,
    matchers: &[LabelMatcher],
    from: i64,
    to: i64,
) -> Result<Vec<u32>, SegmentError> {
    let rows = segment
        .index()?
        .select(matchers)
        .map_err(|corrupt| segment.index_error(corrupt))?;
    if from <= segment.meta.time_min && segment.meta.time_max <= to {
        return Ok(rows.iter().collect());
    }
    let mut within = Vec::new();
    for row in rows {
        let (first, last) = segment.time_bounds(row)?;
        if first <= to && last >= from {
            within.push(row);
        }
    }
    Ok(within)
}

impl SeriesCursor {
    /// What the answer lacks so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads the next series in place of what `series` holds, reusing its memory. `false` at the end.
    pub fn next_into(&mut self, series: &mut Series) -> Result<bool, Error> {
        while self.advance() {
            self.read_current(&mut series.samples);
            if !series.samples.is_empty() {
                let labels = self.join.labels();
                // Who asks for one series again and again has its labels already.
                if series.labels.as_bytes() != labels {
                    series.labels = Labels::from_canonical(labels);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the next series, which may have no samples to show. `false` at the end.
    pub(super) fn advance(&mut self) -> bool {
        let mut failed = Vec::new();
        let found = self.join.next(&self.engine.head, &mut failed);
        self.warnings.extend(failed.iter().map(in_words));
        found
    }

    /// The samples of the current series within a part of the range.
    pub(super) fn read_within(&mut self, range: (i64, i64), out: &mut Samples) {
        let whole = (self.from, self.to);
        (self.from, self.to) = (range.0.max(whole.0), range.1.min(whole.1));
        if self.from <= self.to {
            self.read_current(out);
        } else {
            out.clear();
        }
        (self.from, self.to) = whole;
    }

    /// The times within a range at which the head has something of the current series, hidden or not.
    pub(super) fn times_in_head(&mut self, range: (i64, i64)) -> Vec<i64> {
        let current = self.join.current.iter();
        let in_head = current.filter_map(|(source, id)| {
            matches!(self.join.sources.get(*source)?.kind, SourceKind::Head(_)).then_some(*id)
        });
        let mut times = Vec::new();
        for id in in_head {
            for generation in self
                .view
                .generations
                .iter()
                .filter(|one| one.is_within(range.0, range.1))
            {
                match self.engine.head_parts(&self.view, generation, id, range) {
                    Ok(parts) => times.extend(parts.iter().flat_map(|part| part.samples.times())),
                    Err(error) => note(&mut self.warnings, head_warning(error)),
                }
            }
        }
        times
    }

    /// The samples of the current series: its parts in order of writing, settled place by place.
    fn read_current(&mut self, out: &mut Samples) {
        // A deletion that came after this view hides nothing of it, but has moved samples of the live generation.
        if self.minds_deletions || self.read_plain(out) {
            *out = parts::join(self.read_parts());
        }
    }

    /// The same where no deletion has to be minded, with the memory of `out` used again. Returns whether one has to be
    /// all the same.
    fn read_plain(&mut self, out: &mut Samples) -> bool {
        out.clear();
        let (mut parts, mut hidden) = (Vec::new(), Vec::new());
        let range = (self.from, self.to);
        for index in 0..self.join.current.len() {
            let (source, id) = self.join.current[index];
            let (part, warnings) = (&mut self.part, &mut self.warnings);
            match &mut self.join.sources[source].kind {
                SourceKind::Segment { segment, cache, .. } => {
                    read_row(segment, id, range, cache, part, out, &mut parts, warnings);
                }
                SourceKind::Head(_) => {
                    for generation in &self.view.generations {
                        let head = &self.engine.head;
                        let read =
                            |samples: &mut Samples| head.read(generation, id, range, samples, &mut hidden);
                        if let Err(error) = receive(part, out, &mut parts, read) {
                            note(warnings, head_warning(error));
                        }
                    }
                }
            }
        }
        if !parts.is_empty() {
            parts.insert(0, std::mem::take(out));
            *out = Samples::join(parts);
        }
        !hidden.is_empty()
    }

    /// What each source shows of the current series.
    fn read_parts(&mut self) -> Vec<Part> {
        let mut all = Vec::new();
        let range = (self.from, self.to);
        for index in 0..self.join.current.len() {
            let (source, id) = self.join.current[index];
            match &mut self.join.sources[source].kind {
                SourceKind::Segment {
                    segment,
                    cache,
                    masks,
                    ..
                } => {
                    let (mut out, mut more) = (Samples::default(), Vec::new());
                    let (part, warnings) = (&mut self.part, &mut self.warnings);
                    read_row(segment, id, range, cache, part, &mut out, &mut more, warnings);
                    more.insert(0, out);
                    let mut part = Part {
                        lsn: segment.meta.lsn_last,
                        samples: Samples::join(more),
                        marks: Vec::new(),
                    };
                    masks.apply(id, &mut part);
                    all.push(part);
                }
                SourceKind::Head(_) => {
                    for generation in &self.view.generations {
                        match self.engine.head_parts(&self.view, generation, id, range) {
                            Ok(parts) => all.extend(parts),
                            Err(error) => note(&mut self.warnings, head_warning(error)),
                        }
                    }
                }
            }
        }
        all
    }
}

impl Engine {
    /// What a generation shows of a series: what deletions hid, and everything else.
    pub(super) fn head_parts(
        &self,
        view: &View,
        generation: &Generation,
        id: u32,
        range: (i64, i64),
    ) -> Result<Vec<Part>, Corrupt> {
        let (mut samples, mut hidden) = (Samples::default(), Vec::new());
        let lsn = generation.last_lsn();
        self.head.read(generation, id, range, &mut samples, &mut hidden)?;
        let hidden = hidden
            .into_iter()
            .map(|(deletion, samples)| (deletion - 1, samples));
        let parts = hidden.chain([(lsn, samples)]).map(|(lsn, samples)| {
            let mut part = Part {
                lsn,
                samples,
                marks: Vec::new(),
            };
            masks::apply_to_head(view, id, &mut part);
            part
        });
        Ok(parts.collect())
    }

    /// Whether a series of the head shows samples within a time range.
    pub(super) fn is_in_head(&self, view: &View, id: u32, (from, to): (i64, i64)) -> bool {
        if view.deletions.is_empty() {
            return self.head.is_within(&view.generations, id, from, to);
        }
        let mut generations = view.generations.iter();
        generations.any(|generation| {
            // Whoever reads what does not decode is told so.
            let is_shown = || match self.head_parts(view, generation, id, (from, to)) {
                Ok(parts) => parts.iter().any(|part| !part.samples.is_empty()),
                Err(_) => true,
            };
            generation.is_within(from, to) && is_shown()
        })
    }
}

/// What failed for no segment in particular.
pub(super) fn in_words(error: &Error) -> Warning {
    Warning {
        file: None,
        reason: error.to_string(),
    }
}

/// Reads a row of a segment slice by slice; what cannot be read becomes a warning.
#[expect(
    clippy::too_many_arguments,
    reason = "borrows parts of the cursor that are apart"
)]
fn read_row(
    segment: &Segment,
    row: u32,
    (from, to): (i64, i64),
    cache: &mut ReadCache,
    part: &mut Samples,
    out: &mut Samples,
    parts: &mut Vec<Samples>,
    warnings: &mut Vec<Warning>,
) {
    let slices = match segment.slices_within(from, to) {
        Ok(slices) => slices,
        Err(error) => return note(warnings, warning(segment, &error)),
    };
    for slice in slices {
        let read = |samples: &mut Samples| segment.read(row, slice, (from, to), cache, samples);
        if let Err(error) = receive(part, out, parts, read) {
            note(warnings, warning(segment, &error));
        }
    }
}

fn head_warning(error: Corrupt) -> Warning {
    Warning {
        file: None,
        reason: format!("samples in memory cannot be read: {error}"),
    }
}

pub(super) fn note(warnings: &mut Vec<Warning>, warning: Warning) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

/// Reads one more part: into `out` while it follows on what is there, else into `parts`, to be merged. What cannot be read
/// leaves both as they are.
fn receive<E>(
    part: &mut Samples,
    out: &mut Samples,
    parts: &mut Vec<Samples>,
    read: impl FnOnce(&mut Samples) -> Result<(), E>,
) -> Result<(), E> {
    if out.is_empty() && parts.is_empty() {
        return read(out).inspect_err(|_| out.clear());
    }
    read(part)?;
    if let Some((first, _)) = part.bounds() {
        if parts.is_empty() && out.bounds().is_none_or(|bounds| bounds.1 < first) {
            out.extend(part, first);
        } else {
            parts.push(std::mem::take(part));
        }
    }
    Ok(())
}

impl Iterator for SeriesCursor {
    type Item = Result<Series, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut series = Series::default();
        match self.next_into(&mut series) {
            Ok(true) => Some(Ok(series)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
