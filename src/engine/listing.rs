//! Label names, label values and series within a time range, as one sorted walk over head and segments.

use super::Engine;
use super::error::Error;
use super::masks::Masks;
use super::merge::{Join, SourceKind};
use super::select::{SeriesCursor, Warning, bounds, in_words, matching_rows, warning};
use super::view::View;
use crate::base::bytes::Corrupt;
use crate::base::mask::mask_of;
use crate::index::walk::{SortedTexts, WalkBounds, WalkEnd, merged_walk};
use crate::index::{LabelMatcher, LiveIndex, Within};
use crate::model::labels::LabelsRef;
use crate::model::matcher::Matcher;
use crate::segment::read::ReadCache;
use crate::segment::reader::{Segment, SegmentError};
use roaring::RoaringBitmap;
use std::cell::RefCell;
use std::ops::RangeBounds;
use std::sync::Arc;

/// How a listing is cut.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct ListOptions<'a> {
    /// Only what begins so.
    pub prefix: &'a str,
    /// At most so many; 0 = no limit.
    pub limit: usize,
    /// Asked now and then; `true` ends the walk with [`Error::Cancelled`].
    pub is_cancelled: Option<&'a dyn Fn() -> bool>,
}

impl std::fmt::Debug for ListOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListOptions")
            .field("prefix", &self.prefix)
            .field("limit", &self.limit)
            .finish()
    }
}

impl<'a> ListOptions<'a> {
    /// At most `limit` entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    fn most(&self) -> usize {
        match self.limit {
            0 => usize::MAX,
            limit => limit,
        }
    }

    /// Only entries that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: &'a str) -> Self {
        self.prefix = prefix;
        self
    }
}

/// A sorted listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The entries, sorted.
    pub items: Vec<T>,
    /// Whether the limit cut it short.
    pub is_truncated: bool,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

/// How a listing ended.
#[derive(Debug, Default)]
pub(crate) struct ListEnd {
    /// Whether the limit cut it short.
    pub(crate) is_truncated: bool,
    /// What could not be read.
    pub(crate) warnings: Vec<Warning>,
}

impl ListEnd {
    /// With what was listed.
    pub(crate) fn listing<T>(self, items: Vec<T>) -> Listing<T> {
        Listing {
            items,
            is_truncated: self.is_truncated,
            warnings: self.warnings,
        }
    }
}

/// How many series match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesCount {
    /// The number of series.
    pub series: u64,
    /// What could not be read, and was not counted.
    pub warnings: Vec<Warning>,
}

/// A segment and its rows that count, `None` for all of them.
struct ListedSegment {
    segment: Arc<Segment>,
    rows: Option<RoaringBitmap>,
}

impl Engine {
    /// Calls `each` with what is listed of matching series that have samples in `range`, in order, each once.
    pub(crate) fn list(
        self: &Arc<Self>,
        listed: Listed<'_>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<ListEnd, Error> {
        let text = |text: &str| each(text.as_bytes());
        match listed {
            Listed::Series => self.each_series(matchers, range, options, |labels| each(labels.as_bytes())),
            Listed::Names => self.each_text(None, matchers, range, options, text),
            Listed::Values(name) => self.each_text(Some(name), matchers, range, options, text),
        }
    }

    /// The label names, or the values of one.
    fn each_text(
        &self,
        values_of: Option<&str>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
        mut each: impl FnMut(&str),
    ) -> Result<ListEnd, Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let mut end = ListEnd::default();
        let Some((from, to)) = bounds(&range) else {
            return Ok(end);
        };
        let (_pin, view) = self.pinned_view();
        let segments = self.listed_segments(&view, &matchers, from, to, &mut end.warnings);
        let index = self.head.read_index();
        let found = index.select(&matchers);
        // Series are looked at until one tells that a text is to be listed, which is the first one mostly.
        let silent = RefCell::new(RoaringBitmap::new());
        let looks = view
            .deletions
            .is_empty()
            .then(|| self.head.looks(&view.generations, (from, to)));
        let are_in_head = |ids: &[u32]| {
            if let [only] = ids
                && silent.borrow().contains(*only)
            {
                return 0;
            }
            let counted = match &looks {
                Some(looks) => looks.within(ids),
                None => mask_of(ids.iter().map(|id| self.is_in_head(&view, *id, (from, to)))),
            };
            let silent_ids = (0..).zip(ids).filter(|(place, _)| counted >> place & 1 == 0);
            silent.borrow_mut().extend(silent_ids.map(|(_, id)| id));
            counted
        };
        let head = Within {
            set: &found,
            counts: Some(&are_in_head),
        };
        let mut sources = vec![texts_of_head(&index, values_of, head, options.prefix)];
        let mut names = vec![None];
        for one in &segments {
            match texts_of_segment(one, values_of, options.prefix) {
                Ok(source) => {
                    sources.push(source);
                    names.push(Some(&one.segment));
                }
                Err(error) => end.warnings.push(warning(&one.segment, &error)),
            }
        }
        let never = || false;
        let walk = WalkBounds {
            prefix: options.prefix,
            limit: options.most(),
            is_cancelled: options.is_cancelled.unwrap_or(&never),
        };
        let outcome = merged_walk(sources, &walk, &mut each);
        for (number, corrupt) in outcome.faults {
            if let Some(segment) = names.get(number).copied().flatten() {
                end.warnings.push(warning(segment, &segment.index_error(corrupt)));
            }
        }
        end.is_truncated = outcome.end == WalkEnd::Limit;
        match outcome.end {
            WalkEnd::Cancelled => Err(Error::Cancelled),
            WalkEnd::Complete | WalkEnd::Limit => Ok(end),
        }
    }

    fn listed_segments(
        &self,
        view: &View,
        matchers: &[LabelMatcher],
        from: i64,
        to: i64,
        warnings: &mut Vec<Warning>,
    ) -> Vec<ListedSegment> {
        warnings.extend(self.lost_at_opening(from, to));
        let mut listed = Vec::new();
        for segment in view.segments_within(from, to) {
            match self.listed_rows(view, segment, matchers, (from, to)) {
                Ok(rows) => listed.push(ListedSegment {
                    segment: segment.clone(),
                    rows,
                }),
                Err(error) => warnings.push(warning(segment, &error)),
            }
        }
        listed
    }

    /// `None` when every row counts.
    fn listed_rows(
        &self,
        view: &View,
        segment: &Arc<Segment>,
        matchers: &[LabelMatcher],
        (from, to): (i64, i64),
    ) -> Result<Option<RoaringBitmap>, SegmentError> {
        let is_whole = from <= segment.meta.time_min && segment.meta.time_max <= to;
        if matchers.is_empty() && is_whole && view.deletions.is_empty() {
            return Ok(None);
        }
        let mut rows: RoaringBitmap = matching_rows(segment, matchers, from, to)?.into_iter().collect();
        let masks = Masks::over_segment(view, segment, from, to)?;
        let mut cache = ReadCache::default();
        for row in &rows & masks.rows() {
            if masks.hide_all(segment, row, (from, to), &mut cache)? {
                rows.remove(row);
            }
        }
        Ok(Some(rows))
    }

    /// Whether the current series of a join has something to show; what cannot be read counts as shown.
    fn is_listed(
        &self,
        view: &View,
        join: &mut Join,
        range: (i64, i64),
        warnings: &mut Vec<Warning>,
    ) -> bool {
        let Join { sources, current, .. } = join;
        current
            .iter()
            .any(|(source, id)| match &mut sources[*source].kind {
                // Rows of segments were chosen by their bounds; series of the head may have nothing in the range.
                SourceKind::Head(_) => self.is_in_head(view, *id, range),
                SourceKind::Segment {
                    segment,
                    masks,
                    cache,
                    ..
                } => match masks.hide_all(segment, *id, range, cache) {
                    Ok(is_hidden) => !is_hidden,
                    Err(error) => {
                        warnings.push(warning(segment, &error));
                        true
                    }
                },
            })
    }

    fn each_series(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
        mut each: impl FnMut(LabelsRef<'_>),
    ) -> Result<ListEnd, Error> {
        let mut cursor = self.cursor(matchers, range, false)?;
        let (mut is_truncated, mut count) = (false, 0);
        while let Some(labels) = cursor.next_listed() {
            if options.is_cancelled.is_some_and(|is_cancelled| is_cancelled()) {
                return Err(Error::Cancelled);
            }
            if count == options.most() {
                is_truncated = true;
                break;
            }
            if options.prefix.is_empty() || labels.metric_name().starts_with(options.prefix) {
                each(labels);
                count += 1;
            }
        }
        let warnings = cursor.warnings;
        Ok(ListEnd {
            is_truncated,
            warnings,
        })
    }

    /// How many series match and have samples in `range`. What one place alone answers is counted there; only what is
    /// in several is joined by labels, in which a series is one wherever it is.
    pub(crate) fn count_series(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<SeriesCount, Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let mut counted = SeriesCount::default();
        let Some((from, to)) = bounds(&range) else {
            return Ok(counted);
        };
        let (_pin, view) = self.pinned_view();
        let mut sources = self.segment_sources(&view, &matchers, from, to, &mut counted.warnings);
        let in_head = if view.head_is_within(from, to) {
            self.head.find(&matchers)
        } else {
            Vec::new()
        };
        if sources.is_empty() {
            let is_shown = |id: &&u32| self.is_in_head(&view, **id, (from, to));
            let shown = match view.deletions.is_empty() {
                true => self.head.count_within(&view.generations, &in_head, (from, to)),
                false => in_head.iter().filter(is_shown).count(),
            };
            counted.series = shown as u64;
            return Ok(counted);
        }
        if let [only] = &*sources
            && in_head.is_empty()
            && view.deletions.is_empty()
        {
            counted.series = only.len() as u64;
            return Ok(counted);
        }
        sources.extend(self.head_source(&view, &matchers, (from, to), false));
        let (mut join, mut failed) = (Join::new(sources), Vec::new());
        while join.next(&self.head, &mut failed) {
            let is_listed = self.is_listed(&view, &mut join, (from, to), &mut counted.warnings);
            counted.series += u64::from(is_listed);
        }
        counted.warnings.extend(failed.iter().map(in_words));
        Ok(counted)
    }
}

impl SeriesCursor {
    /// The labels of the next series that [`Engine::each_series`] lists.
    pub(crate) fn next_listed(&mut self) -> Option<LabelsRef<'_>> {
        while self.advance() {
            let range = (self.from, self.to);
            let (view, join) = (&self.view, &mut self.join);
            if self.engine.is_listed(view, join, range, &mut self.warnings) {
                return Some(LabelsRef::new(self.join.labels()));
            }
        }
        None
    }
}

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listed<'n> {
    /// Label sets, in their canonical form.
    Series,
    /// Label names.
    Names,
    /// The values of this label.
    Values(&'n str),
}

/// The names of labels in the head, or the values of one.
fn texts_of_head<'a>(
    index: &'a LiveIndex,
    values_of: Option<&str>,
    series: Within<'a>,
    prefix: &str,
) -> Box<dyn SortedTexts + 'a> {
    match values_of {
        None => Box::new(index.label_names(Some(series)).into_iter()),
        Some(name) => Box::new(index.label_values(name, prefix, Some(series))),
    }
}

/// The same in a segment.
fn texts_of_segment<'a>(
    listed: &'a ListedSegment,
    values_of: Option<&str>,
    prefix: &str,
) -> Result<Box<dyn SortedTexts + 'a>, SegmentError> {
    let at = |corrupt: Corrupt| listed.segment.index_error(corrupt);
    let (index, rows) = (listed.segment.index()?, listed.rows.as_ref());
    let Some(name) = values_of else {
        let names = index.label_names(rows).map_err(at)?;
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        return Ok(Box::new(names.into_iter()));
    };
    match index.label_values(name, prefix, rows).map_err(at)? {
        Some(values) => Ok(Box::new(values)),
        None => Ok(Box::new(Vec::<String>::new().into_iter())),
    }
}
