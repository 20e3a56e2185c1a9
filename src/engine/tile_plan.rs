//! Which tile answers which part of a query's time.
//!
//! The widest windows come first. What no tile has, what a cut of the query parts and what does not hold any more is left to the
//! samples. Where these may be gone, or where the query asks for no better, a window that a cut parts counts where it ends.

use super::Engine;
use super::tiles::Tile;
use super::view::View;
use crate::base::spans::Spans;
use crate::rollup::Grid;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Tiles must have at least one part in so many of the time, or samples are read as ever.
const WORTH_PART: i128 = 2;

/// Pieces that are not too many.
const PIECES_USUAL: usize = 64;
const PIECES_PER_TILE: usize = 8;

/// How exact an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exactness {
    /// As from samples, as long as there are any.
    Exact,
    /// Windows up to this width may stand for what is in them.
    Coarse(i64),
    /// Of whole windows and samples only, however few windows there are.
    Whole,
}

/// A part of a query's time that windows of a tile answer.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) tile: usize,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// A tile that a query uses.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) tile: Arc<Tile>,
    pub(super) grid: Grid,
    /// Rows of which something was deleted since, and what.
    pub(super) deleted: Vec<(Arc<RoaringBitmap>, i64, i64)>,
    /// Its rows cannot be found.
    pub(super) is_lost: bool,
}

/// How tiles answer a query.
#[derive(Debug, Default)]
pub(super) struct TilePlan {
    pub(super) used: Vec<Used>,
    /// In order of time.
    pub(super) pieces: Vec<Piece>,
    /// The widest windows that may count where they end; 0 if none do.
    pub(super) coarse: i64,
    /// There is no time in which samples answer.
    pub(super) is_coarse_throughout: bool,
    left: Spans,
}

/// What windows a turn may use.
struct Turn<'a> {
    width: i64,
    cuts: &'a [i64],
    /// Windows that end up to this time may be parted by cuts.
    parted_until: i64,
}

impl Engine {
    /// The width of the narrowest windows there are; `None` if there are none.
    pub(crate) fn narrowest_rollup(&self) -> Option<i64> {
        let view = self.view.load();
        view.tiles.iter().map(|tile| tile.width).min()
    }

    /// Whether there are windows of a time whose samples may be gone, at `time` or later.
    pub(crate) fn has_windows_alone(&self, time: i64) -> bool {
        let view = self.view.load();
        let mut tiles = view.tiles.iter();
        time < view.gone && tiles.any(|tile| tile.to > time && tile.from < view.gone)
    }

    /// How tiles answer for the stretches between cuts; `None` if they have too little of that time.
    pub(super) fn plan_tiles(&self, view: &View, cuts: &[i64], exactness: Exactness) -> Option<TilePlan> {
        let (first, last) = (*cuts.first()?, *cuts.last()?);
        let is_sure = exactness == Exactness::Whole;
        if first >= last || !(is_sure || view.tiles.iter().any(|tile| tile.overlaps(first, last))) {
            return None;
        }
        let mut plan = TilePlan {
            left: Spans::of(first, last),
            ..TilePlan::default()
        };
        let mut widths: Vec<i64> = view.tiles.iter().map(|tile| tile.width).collect();
        widths.sort_unstable_by(|a, b| b.cmp(a));
        widths.dedup();
        let gone = view.gone;
        let turn = |width, parted_until| Turn {
            width,
            cuts,
            parted_until,
        };
        match exactness {
            Exactness::Exact | Exactness::Whole => {
                for width in &widths {
                    self.take_turn(view, &mut plan, &turn(*width, i64::MIN));
                }
                for width in widths.iter().rev().filter(|_| first < gone && !is_sure) {
                    let until = self.precision.grid(*width).end_of(gone);
                    self.take_turn(view, &mut plan, &turn(*width, until));
                }
            }
            Exactness::Coarse(most) => {
                for width in widths.iter().filter(|width| **width <= most) {
                    self.take_turn(view, &mut plan, &turn(*width, i64::MAX));
                }
            }
        }
        let whole = i128::from(last) - i128::from(first);
        let is_worth = (whole - plan.left.length()) * WORTH_PART >= whole;
        let is_all_there_is = plan.pieces.iter().any(|piece| piece.from < gone);
        // Many small pieces take longer to put together than samples take to read.
        let is_worth = is_worth && plan.pieces.len() <= PIECES_USUAL + PIECES_PER_TILE * plan.used.len();
        plan.is_coarse_throughout = last <= gone || matches!(exactness, Exactness::Coarse(_));
        plan.pieces.sort_by_key(|piece| piece.from);
        (is_worth || is_all_there_is || is_sure).then_some(plan)
    }

    /// Takes what tiles of one width have of what is left.
    fn take_turn(&self, view: &View, plan: &mut TilePlan, turn: &Turn<'_>) {
        let grid = self.precision.grid(turn.width);
        let parted = grid.parted(turn.cuts);
        let first = turn.cuts.first().copied().unwrap_or(0);
        // Those that no window may be parted by.
        let kept = parted.within(grid.last_end(turn.parted_until), i64::MAX);
        let parted = parted.subtract(&kept);
        for tile in view.tiles.iter().filter(|tile| tile.width == turn.width) {
            let mut holds = Spans::default();
            for (from, to) in plan.left.within(tile.from, tile.to).iter() {
                let (inner, to) = grid.inner(from, to);
                // Of the first window the part before the query is not asked for.
                let is_open = from == first && from < turn.parted_until;
                holds.insert(if is_open { from } else { inner }, to);
            }
            let holds = holds.subtract(&kept).subtract(&tile.invalid_windows(view, grid));
            if holds.is_empty() {
                continue;
            }
            // A tile whose index cannot be read is none.
            let Ok(deleted) = tile.deleted(view) else { continue };
            if holds.subtract(&parted) != holds {
                plan.coarse = plan.coarse.max(turn.width);
            }
            plan.left = plan.left.subtract(&holds);
            plan.pieces.extend(holds.iter().map(|(from, to)| Piece {
                tile: plan.used.len(),
                from,
                to,
            }));
            plan.used.push(Used {
                deleted,
                is_lost: false,
                tile: tile.clone(),
                grid,
            });
        }
    }
}
