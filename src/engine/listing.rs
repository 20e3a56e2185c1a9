//! Label names, label values and series within a time range, as one sorted walk over head and segments.

use super::Engine;
use super::error::Error;
use super::masks::Masks;
use super::merge::{Join, SourceKind};
use super::select::{Series, SeriesCursor, Warning, bounds, in_words, matching_rows, warning};
use super::view::View;
use crate::base::bytes::Corrupt;
use crate::index::walk::{SortedTexts, WalkBounds, WalkEnd, merged_walk};
use crate::index::{LabelMatcher, LiveIndex, Within};
use crate::model::labels::Labels;
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
    /// The names of labels of matching series that have samples in `range`.
    pub(crate) fn label_names(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<String>, Error> {
        self.list(matchers, range, options, Listed::Names)
    }

    /// The values of label `name` of matching series that have samples in `range`.
    pub(crate) fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<String>, Error> {
        self.list(matchers, range, options, Listed::Values(name))
    }

    fn list(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
        listed: Listed<'_>,
    ) -> Result<Listing<String>, Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let mut listing = Listing::default();
        let Some((from, to)) = bounds(&range) else {
            return Ok(listing);
        };
        let (_pin, view) = self.pinned_view();
        let segments = self.listed_segments(&view, &matchers, from, to, &mut listing.warnings);
        let index = self.head.read_index();
        let found = index.select(&matchers);
        // Series are looked at until one tells that a text is to be listed, which is the first one mostly.
        let silent = RefCell::new(RoaringBitmap::new());
        let looks = view
            .deletions
            .is_empty()
            .then(|| self.head.looks(&view.generations, (from, to)));
        let is_in_head = |id: u32| {
            let is_within = || match &looks {
                Some(looks) => looks.is_within(id),
                None => self.is_in_head(&view, id, (from, to)),
            };
            let counts = !silent.borrow().contains(id) && is_within();
            if !counts {
                silent.borrow_mut().insert(id);
            }
            counts
        };
        let head = Within {
            set: &found,
            counts: Some(&is_in_head),
        };
        let mut sources = vec![listed.of_head(&index, head, options.prefix)];
        let mut names = vec![None];
        for one in &segments {
            match listed.of_segment(one, options.prefix) {
                Ok(source) => {
                    sources.push(source);
                    names.push(Some(&one.segment));
                }
                Err(error) => listing.warnings.push(warning(&one.segment, &error)),
            }
        }
        let never = || false;
        let walk = WalkBounds {
            prefix: options.prefix,
            limit: if options.limit == 0 {
                usize::MAX
            } else {
                options.limit
            },
            is_cancelled: options.is_cancelled.unwrap_or(&never),
        };
        let outcome = merged_walk(sources, &walk, &mut |text| listing.items.push(text.to_owned()));
        for (number, corrupt) in outcome.faults {
            if let Some(segment) = names.get(number).copied().flatten() {
                listing
                    .warnings
                    .push(warning(segment, &segment.index_error(corrupt)));
            }
        }
        listing.is_truncated = outcome.end == WalkEnd::Limit;
        if outcome.end == WalkEnd::Cancelled {
            Err(Error::Cancelled)
        } else {
            Ok(listing)
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

    /// The label sets of matching series that have samples in `range`, in label order.
    pub(crate) fn series(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<Labels>, Error> {
        let mut listing = Listing::default();
        let mut cursor = self.select(matchers, range)?;
        let mut series = Series::default();
        while cursor.next_listed(&mut series) {
            if options.is_cancelled.is_some_and(|is_cancelled| is_cancelled()) {
                return Err(Error::Cancelled);
            }
            if options.limit != 0 && listing.items.len() == options.limit {
                listing.is_truncated = true;
                break;
            }
            let has_prefix = || series.labels.metric_name().starts_with(options.prefix);
            if options.prefix.is_empty() || has_prefix() {
                listing.items.push(std::mem::take(&mut series.labels));
            }
        }
        listing.warnings = cursor.warnings;
        Ok(listing)
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
        sources.extend(self.head_source(&view, &matchers, from, to));
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
    /// The labels of the next series that [`Engine::series`] lists, without its samples. `false` at the end.
    pub(crate) fn next_listed(&mut self, series: &mut Series) -> bool {
        series.samples.clear();
        while self.advance() {
            let range = (self.from, self.to);
            let (view, join) = (&self.view, &mut self.join);
            if self.engine.is_listed(view, join, range, &mut self.warnings) {
                series.labels = Labels::from_canonical(self.join.labels());
                return true;
            }
        }
        false
    }
}

/// What a walk lists.
#[derive(Clone, Copy)]
enum Listed<'n> {
    Names,
    /// Values of this label.
    Values(&'n str),
}

impl Listed<'_> {
    fn of_head<'a>(
        self,
        index: &'a LiveIndex,
        series: Within<'a>,
        prefix: &str,
    ) -> Box<dyn SortedTexts + 'a> {
        match self {
            Self::Names => Box::new(index.label_names(Some(series)).into_iter()),
            Self::Values(name) => Box::new(index.label_values(name, prefix, Some(series))),
        }
    }

    fn of_segment<'a>(
        self,
        listed: &'a ListedSegment,
        prefix: &str,
    ) -> Result<Box<dyn SortedTexts + 'a>, SegmentError> {
        let at = |corrupt: Corrupt| listed.segment.index_error(corrupt);
        let (index, rows) = (listed.segment.index()?, listed.rows.as_ref());
        match self {
            Self::Names => {
                let names = index.label_names(rows).map_err(at)?;
                let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                Ok(Box::new(names.into_iter()))
            }
            Self::Values(name) => match index.label_values(name, prefix, rows).map_err(at)? {
                Some(values) => Ok(Box::new(values)),
                None => Ok(Box::new(Vec::<String>::new().into_iter())),
            },
        }
    }
}
