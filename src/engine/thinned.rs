//! Reading series as rollups tell them: windows of tiles where these hold, samples everywhere else.
//!
//! Each series is told from what it has in the parts of the plan. It may need samples in more places: something of it is still in
//! memory, was deleted, or is nothing a tile tells of.

use super::Engine;
use super::error::Error;
use super::masks::Masks;
use super::merge::{Join, Source, SourceKind};
use super::select::{SeriesCursor, Warning, matching_rows, note, warning};
use super::series::Series;
use super::tile_plan::{Exactness, Piece, TilePlan, Used};
use crate::base::spans::Spans;
use crate::index::LabelMatcher;
use crate::model::labels::{self, Labels, LabelsRef};
use crate::model::matcher::Matcher;
use crate::model::samples::Samples;
use crate::rollup::tell::{Asked, RowCursor, Teller, TileRow, Told};
use std::cmp::Ordering;
use std::sync::Arc;

/// The matching series in label order, as windows and samples tell them.
#[derive(Debug)]
pub(crate) struct ThinnedCursor {
    samples: SeriesCursor,
    has_samples: bool,
    tiles: Join,
    has_tiles: bool,
    plan: TilePlan,
    cuts: Vec<i64>,
    asked: Asked,
    is_in_head: bool,
    row: TileRow,
    part: Samples,
    /// Parts of tiles stood in for samples with histograms.
    has_stand_ins: bool,
}

/// A series as it was told.
#[derive(Debug, Default)]
pub(crate) struct ThinnedSeries {
    pub(crate) labels: Labels,
    pub(crate) told: Told,
    /// All samples instead, if there are histograms among them.
    pub(crate) whole: Option<Series>,
}

impl Engine {
    /// The series that match, told by the stretches between cuts; `None` if rollups have too little of that time.
    pub(crate) fn thinned(
        self: &Arc<Self>,
        matchers: &[Matcher],
        cuts: Vec<i64>,
        asked: Asked,
        exactness: Exactness,
    ) -> Result<Option<ThinnedCursor>, Error> {
        let seen = self.view.load_full();
        let Some(plan) = self.plan_tiles(&seen, &cuts, exactness) else {
            return Ok(None);
        };
        let (first, last) = (
            cuts.first().copied().unwrap_or(0),
            cuts.last().copied().unwrap_or(0),
        );
        let mut samples = self.select(matchers, first.saturating_add(1)..=last)?;
        let view = samples.view.clone();
        let replanned = match Arc::ptr_eq(&seen, &view) {
            true => Some(plan),
            false => self.plan_tiles(&view, &cuts, exactness),
        };
        let Some(mut plan) = replanned else {
            return Ok(None);
        };
        let matchers = self.patterns.compile_all(matchers)?;
        let sources = tile_sources(&mut plan.used, &matchers, &mut samples.warnings);
        let mut pieces = plan.pieces.iter();
        let mut cursor = ThinnedCursor {
            is_in_head: pieces.any(|piece| view.head_is_within(piece.from.saturating_add(1), piece.to)),
            samples,
            has_samples: false,
            tiles: Join::new(sources),
            has_tiles: false,
            plan,
            cuts,
            asked,
            row: TileRow::default(),
            part: Samples::default(),
            has_stand_ins: false,
        };
        cursor.has_samples = cursor.samples.advance();
        cursor.has_tiles = cursor.advance_tiles();
        Ok(Some(cursor))
    }
}

/// Rows of the tiles that match; each source stands at the number of its tile.
fn tile_sources(used: &mut [Used], matchers: &[LabelMatcher], warnings: &mut Vec<Warning>) -> Vec<Source> {
    let source = |used: &mut Used| {
        let segment = &used.tile.segment;
        let rows = matching_rows(segment, matchers, i64::MIN, i64::MAX);
        let rows = rows.unwrap_or_else(|error| {
            note(warnings, warning(segment, &error));
            used.is_lost = true;
            Vec::new()
        });
        Source::segment(segment.clone(), rows, Masks::default())
    };
    used.iter_mut().map(source).collect()
}

impl ThinnedCursor {
    /// What the answer lacks so far.
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.samples.warnings()
    }

    /// The widths of the windows that are read, in the database's unit.
    pub(crate) fn widths(&self) -> Vec<i64> {
        let mut widths: Vec<i64> = self.plan.used.iter().map(|used| used.grid.width()).collect();
        widths.sort_unstable();
        widths.dedup();
        widths
    }

    /// The widest windows that count where they end, though the query parts them; `None` if there are none.
    pub(crate) fn coarse_width(&self) -> Option<i64> {
        Some(self.plan.coarse).filter(|width| *width > 0)
    }

    /// How far apart samples are told, if that is so of all of the query's time.
    pub(crate) fn apart(&self) -> i64 {
        if self.plan.is_coarse_throughout {
            self.plan.coarse
        } else {
            0
        }
    }

    /// Whether parts of tiles stood in for samples with histograms so far.
    pub(crate) fn has_stand_ins(&self) -> bool {
        self.has_stand_ins
    }

    fn advance_tiles(&mut self) -> bool {
        let mut failed = Vec::new();
        let found = self.tiles.next(&self.samples.engine.head, &mut failed);
        self.samples
            .warnings
            .extend(failed.iter().map(super::select::in_words));
        found
    }

    /// Reads the next series in place of what `series` holds. `false` at the end.
    pub(crate) fn next_into(&mut self, series: &mut ThinnedSeries) -> bool {
        loop {
            let order = match (self.has_samples, self.has_tiles) {
                (false, false) => return false,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (true, true) => labels::compare(self.samples.join.labels(), self.tiles.labels()),
            };
            let of = match order {
                Ordering::Greater => self.tiles.labels(),
                _ => self.samples.join.labels(),
            };
            if series.labels.as_bytes() != of {
                series.labels = Labels::from_canonical(of);
            }
            self.tell((order.is_le(), order.is_ge()), series);
            if order.is_le() {
                self.has_samples = self.samples.advance();
            }
            if order.is_ge() {
                self.has_tiles = self.advance_tiles();
            }
            if !series.told.timestamps.is_empty() || series.whole.is_some() {
                return true;
            }
        }
    }

    /// Tells of the current series, which samples or tiles or both have.
    fn tell(&mut self, has: (bool, bool), series: &mut ThinnedSeries) {
        series.whole = None;
        let has_samples = has.0;
        let cuts = std::mem::take(&mut self.cuts);
        let mut has_histograms = false;
        {
            let mut teller = Teller::new(&cuts, self.asked, &mut series.told);
            let first = cuts.first().copied().unwrap_or(0);
            let last = cuts.last().copied().unwrap_or(0);
            let mut at = first;
            for number in 0..self.plan.pieces.len() {
                let (from, to) = (self.plan.pieces[number].from, self.plan.pieces[number].to);
                has_histograms |= self.tell_samples(has_samples, (at, from), &mut teller);
                has_histograms |= self.tell_piece(number, has, &series.labels, &mut teller);
                at = to;
            }
            has_histograms |= self.tell_samples(has_samples, (at, last), &mut teller);
            teller.finish();
            if has_histograms {
                let mut whole = Series::default();
                whole.labels.clone_from(&series.labels);
                whole.samples = self.whole(has, &series.labels, (first, last));
                series.told.clear();
                series.whole = Some(whole);
            }
        }
        self.cuts = cuts;
    }

    /// All samples of the current series. Where these may be gone, what tiles have of it instead.
    fn whole(&mut self, has: (bool, bool), labels: &Labels, (first, last): (i64, i64)) -> Samples {
        let mut whole = Samples::default();
        let mut at = first;
        for number in 0..self.plan.pieces.len() {
            if let Some((part, from, to)) = self.stand_in(number, has.1, labels) {
                self.add_samples(has.0, (at, from), &mut whole);
                if let Some((first, _)) = part.bounds() {
                    whole.extend(&part, first);
                    self.has_stand_ins = true;
                }
                at = to;
            }
        }
        self.add_samples(has.0, (at, last), &mut whole);
        whole
    }

    /// What a tile has in place of samples that may be gone, and of which span; `None` if it has nothing of that.
    fn stand_in(&mut self, number: usize, has_tiles: bool, labels: &Labels) -> Option<(Samples, i64, i64)> {
        let Piece { tile, from, to } = self.plan.pieces[number];
        let used = &self.plan.used[tile];
        let to = to.min(used.grid.end_of(self.samples.view.gone));
        let is_about = used.tile.about.covers(LabelsRef::new(labels.as_bytes()));
        if from >= to || !has_tiles || !is_about {
            return None;
        }
        let row = self.row_in(tile)?;
        self.row.clear();
        if !self.read_row(tile, row, (from, to)) {
            return None;
        }
        let mut part = self.row.stand_in(self.asked)?.clone();
        let used = &self.plan.used[tile];
        for (_, first, last) in used.deleted.iter().filter(|one| one.0.contains(row)) {
            let (first, last) = used.grid.outer(*first, *last);
            part.cut_out(first.saturating_add(1), last);
        }
        Some((part, from, to))
    }

    /// The row of the current series in a tile; the sources of a series stand in their order.
    fn row_in(&self, tile: usize) -> Option<u32> {
        let current = &self.tiles.current;
        let at = current.binary_search_by_key(&tile, |one| one.0).ok()?;
        current.get(at).map(|one| one.1)
    }

    fn add_samples(&mut self, has_samples: bool, (from, to): (i64, i64), out: &mut Samples) {
        if !has_samples || from >= to {
            return;
        }
        self.samples
            .read_within((from.saturating_add(1), to), &mut self.part);
        if let Some((first, _)) = self.part.bounds() {
            out.extend(&self.part, first);
        }
    }

    /// Tells the samples of a span. Returns whether there are histograms.
    fn tell_samples(&mut self, has_samples: bool, (from, to): (i64, i64), teller: &mut Teller<'_>) -> bool {
        if !has_samples || from >= to {
            return false;
        }
        self.samples
            .read_within((from.saturating_add(1), to), &mut self.part);
        for (time, bits) in self.part.timestamps.iter().zip(&self.part.bits) {
            teller.sample(*time, *bits);
        }
        !self.part.histograms.is_empty()
    }

    /// Tells the windows of a piece, and samples where these do not do.
    fn tell_piece(
        &mut self,
        number: usize,
        (has_samples, has_tiles): (bool, bool),
        labels: &Labels,
        teller: &mut Teller<'_>,
    ) -> bool {
        let Piece { tile, from, to } = self.plan.pieces[number];
        let grid = self.plan.used[tile].grid;
        let labels = LabelsRef::new(labels.as_bytes());
        if !self.plan.used[tile].tile.about.covers(labels) || self.plan.used[tile].is_lost {
            return self.tell_samples(has_samples, (from, to), teller);
        }
        let mut spans = Spans::default();
        if self.is_in_head && has_samples {
            // Where samples may be gone, one that comes late is not all there was.
            let from = from.max(grid.end_of(self.samples.view.gone).min(to));
            for time in self.samples.times_in_head((from.saturating_add(1), to)) {
                let end = grid.end_of(time);
                spans.insert(end - grid.width(), end);
            }
        }
        self.row.clear();
        let mut has_histograms = false;
        if let Some(row) = self.row_in(tile).filter(|_| has_tiles) {
            for (rows, first, last) in &self.plan.used[tile].deleted {
                if rows.contains(row) {
                    let (first, last) = grid.outer(*first, *last);
                    spans.insert(first.max(from), last.min(to));
                }
            }
            if self.read_row(tile, row, (from, to)) {
                let untold = self.row.untold(self.asked, grid);
                has_histograms = untold.has_histograms;
                // Where samples may be gone, the ends of a window are better than nothing.
                let untold = untold.spans.within(grid.end_of(self.samples.view.gone), i64::MAX);
                untold.iter().for_each(|(first, last)| spans.insert(first, last));
            } else {
                // What cannot be read is told by samples.
                self.row.clear();
                spans = Spans::of(from, to);
            }
        }
        let mut cursor = RowCursor::default();
        for (first, last) in spans.iter() {
            teller.windows(&self.row, &mut cursor, first);
            has_histograms |= self.tell_samples(has_samples, (first, last), teller);
            cursor.skip(&self.row, last);
        }
        teller.windows(&self.row, &mut cursor, to);
        has_histograms
    }

    /// Reads the columns that are asked for, of one row of a tile. `false` if they cannot be read.
    fn read_row(&mut self, tile: usize, row: u32, (from, to): (i64, i64)) -> bool {
        let Some(source) = self.tiles.sources.get_mut(tile) else {
            return false;
        };
        let SourceKind::Segment { segment, cache, .. } = &mut source.kind else {
            return false;
        };
        let range = (from.saturating_add(1), to);
        for column in self.asked.columns() {
            let out = self.row.column_mut(*column);
            if let Err(error) = segment.read_of_column(row, *column as u32, 0, range, cache, out) {
                note(&mut self.samples.warnings, warning(segment, &error));
                return false;
            }
        }
        true
    }
}
