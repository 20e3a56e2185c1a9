//! Reading series as rollups tell them: windows of tiles where these hold, samples everywhere else.
//!
//! First the time of a query is parted among the tiles, the widest windows first; what no tile has, what a cut of the query
//! parts and what does not hold any more is left to the samples. Then each series is told from what it has in these parts,
//! where it may need samples in more places: something of it is still in memory, was deleted, or is nothing a tile tells of.

use super::Engine;
use super::error::Error;
use super::masks::Masks;
use super::merge::{Join, Source, SourceKind};
use super::select::{SeriesCursor, Warning, matching_rows, note, warning};
use super::series::Series;
use super::tiles::Tile;
use super::view::View;
use crate::base::spans::Spans;
use crate::index::LabelMatcher;
use crate::model::labels::{self, Labels, LabelsRef};
use crate::model::matcher::Matcher;
use crate::model::samples::Samples;
use crate::rollup::Grid;
use crate::rollup::tell::{Asked, RowCursor, Teller, TileRow, Told};
use roaring::RoaringBitmap;
use std::cmp::Ordering;
use std::sync::Arc;

/// Tiles must have at least this part of the time, or samples are read as ever.
const WORTH_PART: i128 = 2;

/// A stretch of a query's time that windows of a tile answer.
#[derive(Debug)]
struct Piece {
    tile: usize,
    from: i64,
    to: i64,
}

/// A tile that a query uses.
#[derive(Debug)]
struct Used {
    tile: Arc<Tile>,
    grid: Grid,
    deleted: Vec<(Arc<RoaringBitmap>, i64, i64)>,
}

/// The matching series in label order, as windows and samples tell them.
#[derive(Debug)]
pub(crate) struct ThinnedCursor {
    samples: SeriesCursor,
    has_samples: bool,
    tiles: Join,
    has_tiles: bool,
    used: Vec<Used>,
    /// In order of time.
    pieces: Vec<Piece>,
    cuts: Vec<i64>,
    asked: Asked,
    is_in_head: bool,
    row: TileRow,
    part: Samples,
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
    /// The width of the narrowest windows there are; `None` if there are none.
    pub(crate) fn narrowest_rollup(&self) -> Option<i64> {
        let view = self.view.load();
        view.tiles.iter().map(|tile| tile.width).min()
    }

    /// The series that match, told by the stretches between cuts; `None` if rollups have too little of that time.
    pub(crate) fn thinned(
        self: &Arc<Self>,
        matchers: &[Matcher],
        cuts: Vec<i64>,
        asked: Asked,
    ) -> Result<Option<ThinnedCursor>, Error> {
        let (Some(first), Some(last)) = (cuts.first().copied(), cuts.last().copied()) else {
            return Ok(None);
        };
        if first >= last || self.view.load().tiles.is_empty() {
            return Ok(None);
        }
        let samples = self.select(matchers, first.saturating_add(1)..=last)?;
        let view = samples.view.clone();
        let (mut used, mut pieces) = (Vec::new(), Vec::new());
        let mut left = Spans::of(first, last);
        let mut widths: Vec<i64> = view.tiles.iter().map(|tile| tile.width).collect();
        widths.sort_unstable_by(|a, b| b.cmp(a));
        widths.dedup();
        for width in widths {
            self.part_among_tiles(&view, width, &cuts, &mut left, (&mut used, &mut pieces))?;
        }
        let covered = (i128::from(last) - i128::from(first)) - left.length();
        if covered * WORTH_PART < i128::from(last) - i128::from(first) {
            return Ok(None);
        }
        pieces.sort_by_key(|piece: &Piece| piece.from);
        let mut warnings = Vec::new();
        let matchers = self.patterns.compile_all(matchers)?;
        let sources = tile_sources(&used, &matchers, &mut warnings);
        let mut cursor = ThinnedCursor {
            is_in_head: pieces
                .iter()
                .any(|piece| view.head_is_within(piece.from.saturating_add(1), piece.to)),
            samples,
            has_samples: false,
            tiles: Join::new(sources),
            has_tiles: false,
            used,
            pieces,
            cuts,
            asked,
            row: TileRow::default(),
            part: Samples::default(),
        };
        cursor.samples.warnings.extend(warnings);
        cursor.has_samples = cursor.samples.advance();
        cursor.has_tiles = cursor.advance_tiles();
        Ok(Some(cursor))
    }

    /// Takes out of `left` what tiles of one width have.
    fn part_among_tiles(
        &self,
        view: &View,
        width: i64,
        cuts: &[i64],
        left: &mut Spans,
        (used, pieces): (&mut Vec<Used>, &mut Vec<Piece>),
    ) -> Result<(), Error> {
        let grid = self.precision.grid(width);
        let parted = grid.parted(cuts);
        let floor = self.raw_floor();
        for tile in view.tiles.iter().filter(|tile| tile.width == width) {
            let mut holds = Spans::default();
            for (from, to) in left.within(tile.from, tile.to).iter() {
                let (from, to) = grid.inner(from, to);
                holds.insert(from, to);
            }
            // Where samples may be gone, what was rolled up is all there is.
            let invalid = tile.invalid(view).within(floor, i64::MAX);
            let holds = holds.subtract(&parted).subtract(&grid.outer_of(&invalid));
            if holds.is_empty() {
                continue;
            }
            *left = left.subtract(&holds);
            pieces.extend(holds.iter().map(|(from, to)| Piece {
                tile: used.len(),
                from,
                to,
            }));
            used.push(Used {
                deleted: tile.deleted(view)?,
                tile: tile.clone(),
                grid,
            });
        }
        Ok(())
    }
}

/// Rows of the tiles that match; each source stands at the number of its tile.
fn tile_sources(used: &[Used], matchers: &[LabelMatcher], warnings: &mut Vec<Warning>) -> Vec<Source> {
    let source = |used: &Used| {
        let segment = &used.tile.segment;
        let rows = matching_rows(segment, matchers, i64::MIN, i64::MAX);
        let rows = rows.unwrap_or_else(|error| {
            note(warnings, warning(segment, &error));
            Vec::new()
        });
        Source::segment(segment.clone(), rows, Masks::default())
    };
    used.iter().map(source).collect()
}

impl ThinnedCursor {
    /// What the answer lacks so far.
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.samples.warnings()
    }

    /// The widths of the windows that are read, in the database's unit.
    pub(crate) fn widths(&self) -> Vec<i64> {
        let mut widths: Vec<i64> = self.used.iter().map(|used| used.grid.width()).collect();
        widths.sort_unstable();
        widths.dedup();
        widths
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
            for number in 0..self.pieces.len() {
                let (from, to) = (self.pieces[number].from, self.pieces[number].to);
                has_histograms |= self.tell_samples(has_samples, (at, from), &mut teller);
                has_histograms |= self.tell_piece(number, has, &series.labels, &mut teller);
                at = to;
            }
            has_histograms |= self.tell_samples(has_samples, (at, last), &mut teller);
            teller.finish();
            if has_histograms && has_samples {
                let mut whole = Series::default();
                whole.labels.clone_from(&series.labels);
                self.samples
                    .read_within((first.saturating_add(1), last), &mut whole.samples);
                series.told.clear();
                series.whole = Some(whole);
            }
        }
        self.cuts = cuts;
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
        let Piece { tile, from, to } = self.pieces[number];
        let grid = self.used[tile].grid;
        let labels = LabelsRef::new(labels.as_bytes());
        if !self.used[tile].tile.about.covers(labels) {
            return self.tell_samples(has_samples, (from, to), teller);
        }
        let mut spans = Spans::default();
        if self.is_in_head && has_samples {
            for time in self.samples.times_in_head((from.saturating_add(1), to)) {
                let end = grid.end_of(time);
                spans.insert(end - grid.width(), end);
            }
        }
        self.row.clear();
        let mut has_histograms = false;
        let mut rows = self.tiles.current.iter().filter(|one| has_tiles && one.0 == tile);
        if let Some((_, row)) = rows.next().copied() {
            for (rows, first, last) in &self.used[tile].deleted {
                if rows.contains(row) {
                    let (first, last) = grid.outer(*first, *last);
                    spans.insert(first.max(from), last.min(to));
                }
            }
            if self.read_row(tile, row, (from, to)) {
                let untold = self.row.untold(self.asked, grid);
                has_histograms = untold.has_histograms;
                untold
                    .spans
                    .iter()
                    .for_each(|(first, last)| spans.insert(first, last));
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
