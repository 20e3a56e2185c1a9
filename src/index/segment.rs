//! Reads the index of a segment from immutable bytes, which may be mapped and may be wrong.
//!
//! Opening reads the directories of names, not what they point to. What a search decodes is bounded by the bytes that
//! are there; anything that does not fit is a [`Corrupt`] error. The bytes are those of `index/symbols.rs`,
//! `index/series_table.rs` and `index/posting_lists.rs`.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::arena::ValueArena;
use super::pattern::Pattern;
use super::posting_lists::{self, List, ListCursor, Lists, NamePostings};
use super::regex::LabelMatcher;
use super::rows::RowUnion;
pub(crate) use super::segment_labels::LabelCursor;
pub(crate) use super::segment_values::SegmentValues;
use super::segment_values::Wanted;
use super::select::{self, IndexSource};
use super::series_table::{self, RowCursor, SeriesLayout};
use super::symbols::{self, NameSymbols, Values};
use crate::base::bytes::Corrupt;
use roaring::RoaringBitmap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Searches look at rows one by one rather than at all values only up to so many rows.
const FILTERED_ROWS_MAX: u64 = 4_096;
/// Values of a matcher whose lists are looked at before they are read.
const FEW_VALUES: usize = 4;
/// Rows of the series table that are read one after the other.
const ROWS_PER_BLOCK: u32 = series_table::ROWS_PER_BLOCK as u32;

/// What is known of an index after opening it; kept by who keeps the segment open.
#[derive(Debug)]
pub(crate) struct IndexLayout {
    names: Vec<NameLayout>,
    series: SeriesLayout,
}

#[derive(Debug)]
struct NameLayout {
    symbols: NameSymbols,
    postings: NamePostings,
    /// All values in memory, once a search needed them.
    arena: Mutex<Option<Arc<ValueArena>>>,
}

impl NameLayout {
    fn arena(&self) -> MutexGuard<'_, Option<Arc<ValueArena>>> {
        self.arena.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexLayout {
    /// Bytes of values that searches keep in memory.
    pub(crate) fn cached_bytes(&self) -> usize {
        let bytes = |name: &NameLayout| name.arena().as_ref().map_or(0, |arena| arena.heap_bytes());
        self.names.iter().map(bytes).sum()
    }

    /// Gives up the values kept in memory.
    pub(crate) fn drop_caches(&self) {
        self.names.iter().for_each(|name| *name.arena() = None);
    }
}

/// The index of a segment.
#[derive(Debug, Clone)]
pub(crate) struct SegmentIndex<'a> {
    layout: Arc<IndexLayout>,
    symbols: &'a [u8],
    series: &'a [u8],
    postings: &'a [u8],
}

impl<'a> SegmentIndex<'a> {
    pub(crate) fn open(symbols: &'a [u8], series: &'a [u8], postings: &'a [u8]) -> Result<Self, Corrupt> {
        let names = symbols::read_names(symbols)?;
        let lists = posting_lists::read_directory(postings, names.len())?;
        let series_layout = SeriesLayout::read(series)?;
        let names = names
            .into_iter()
            .zip(lists)
            .map(|(symbols, postings)| NameLayout {
                symbols,
                postings,
                arena: Mutex::new(None),
            });
        let layout = Arc::new(IndexLayout {
            names: names.collect(),
            series: series_layout,
        });
        Ok(Self {
            layout,
            symbols,
            series,
            postings,
        })
    }

    /// The index without its postings: it has the labels of rows and finds nothing.
    pub(crate) fn without_postings(symbols: &'a [u8], series: &'a [u8]) -> Result<Self, Corrupt> {
        let names = symbols::read_names(symbols)?.len();
        // A directory of so many names without lists.
        let none = vec![0; names.saturating_mul(2)];
        let layout = SegmentIndex::open(symbols, series, &none)?.layout();
        Ok(Self::with_layout(layout, symbols, series, &[]))
    }

    /// What [`SegmentIndex::with_layout`] takes to open the same sections again for nothing.
    pub(crate) fn layout(&self) -> Arc<IndexLayout> {
        Arc::clone(&self.layout)
    }

    pub(crate) fn with_layout(
        layout: Arc<IndexLayout>,
        symbols: &'a [u8],
        series: &'a [u8],
        postings: &'a [u8],
    ) -> Self {
        Self {
            layout,
            symbols,
            series,
            postings,
        }
    }

    pub(crate) fn row_count(&self) -> u32 {
        self.layout.series.row_count
    }

    /// How many label names there are.
    pub(crate) fn name_count(&self) -> usize {
        self.layout.names.len()
    }

    fn number_of(&self, name: &str) -> Option<usize> {
        self.layout
            .names
            .binary_search_by(|entry| (*entry.symbols.name).cmp(name))
            .ok()
    }

    fn name_at(&self, number: usize) -> Result<&NameLayout, Corrupt> {
        self.layout
            .names
            .get(number)
            .ok_or_else(|| Corrupt::new("a label name beyond the last", 0))
    }

    pub(super) fn name_text(&self, number: usize) -> Result<&str, Corrupt> {
        Ok(&self.name_at(number)?.symbols.name)
    }

    pub(super) fn values_at(&self, number: usize) -> Result<Values<'a>, Corrupt> {
        Values::new(self.symbols, &self.name_at(number)?.symbols)
    }

    fn lists_at(&self, number: usize) -> Result<Lists<'a>, Corrupt> {
        let name = self.name_at(number)?;
        Lists::new(
            self.postings,
            &name.postings,
            name.symbols.value_count,
            self.row_count(),
        )
    }

    pub(super) fn row_cursor(&self) -> RowCursor<'a> {
        RowCursor::new(self.series, self.name_count() as u32)
    }

    pub(super) fn series_layout(&self) -> &SeriesLayout {
        &self.layout.series
    }

    /// The rows that satisfy every matcher.
    pub(crate) fn select(&self, matchers: &[LabelMatcher]) -> Result<RoaringBitmap, Corrupt> {
        select::select(self, matchers)
    }

    /// The rows with this label pair.
    #[cfg(test)]
    pub(crate) fn rows_of(&self, name: &str, value: &str) -> Result<RoaringBitmap, Corrupt> {
        let mut union = RowUnion::default();
        if let Some(number) = self.number_of(name) {
            self.add_value(number, value, &mut union)?;
        }
        Ok(union.finish())
    }

    /// The list of a pair, with the cursor that found it.
    fn list_of(&self, number: usize, value: &str) -> Result<Option<(ListCursor<'a>, List<'a>)>, Corrupt> {
        let Some(rank) = self.values_at(number)?.rank_of(value)? else {
            return Ok(None);
        };
        let mut cursor = self.lists_at(number)?.cursor_at(rank)?;
        let list = cursor.next()?;
        Ok(Some((cursor, list)))
    }

    /// The ranks of values that a segment has; looking at more than a few would take as long as their lists.
    fn ranks_of(&self, number: usize, set: &[Box<str>]) -> Result<Option<Vec<u32>>, Corrupt> {
        if set.len() > FEW_VALUES {
            return Ok(None);
        }
        let values = self.values_at(number)?;
        let ranks = set.iter().filter_map(|value| values.rank_of(value).transpose());
        ranks.collect::<Result<_, _>>().map(Some)
    }

    /// Bytes to read for those rows of lists that lie between the first and the last of `rows`.
    fn bytes_of_lists(&self, number: usize, ranks: &[u32], rows: &RoaringBitmap) -> Result<u64, Corrupt> {
        let lists = self.lists_at(number)?;
        let range = rows.min().unwrap_or(0)..=rows.max().unwrap_or(0);
        let mut bytes = 0;
        for rank in ranks {
            bytes += lists.cursor_at(*rank)?.next()?.bytes_within(&range);
        }
        Ok(bytes)
    }

    fn add_value(&self, number: usize, value: &str, union: &mut RowUnion) -> Result<(), Corrupt> {
        match self.list_of(number, value)? {
            Some((cursor, list)) => cursor.add(&list, union),
            None => Ok(()),
        }
    }

    /// Adds the rows of sorted values; in memory they are found sooner, if a search before left them there.
    fn add_set(&self, number: usize, set: &[Box<str>], union: &mut RowUnion) -> Result<(), Corrupt> {
        let mut values = set.iter().filter(|value| !value.is_empty());
        let Some(arena) = self.cached_arena(number).filter(|_| set.len() > 1) else {
            return values.try_for_each(|value| self.add_value(number, value, union));
        };
        let mut lists = self.lists_at(number)?.cursor_at(0)?;
        for rank in values.filter_map(|value| arena.find(value)) {
            let list = lists.seek(rank as u32)?;
            lists.add(&list, union)?;
        }
        Ok(())
    }

    /// The rows of `rows` that have the value.
    fn rows_with(&self, number: usize, value: &str, rows: &RoaringBitmap) -> Result<RoaringBitmap, Corrupt> {
        let mut union = RowUnion::default();
        if let (Some((cursor, list)), Some(first), Some(last)) =
            (self.list_of(number, value)?, rows.min(), rows.max())
        {
            cursor.add_within(&list, first..=last, &mut union)?;
        }
        Ok(rows & union.finish())
    }

    /// Replaces `out` by the canonical labels of a row.
    #[cfg(test)]
    pub(crate) fn labels(&self, row: u32, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        self.label_cursor().labels(row, out)
    }

    /// Reads the labels of many rows; ascending rows share the work.
    pub(crate) fn label_cursor(&self) -> LabelCursor<'a> {
        LabelCursor::new(self.clone())
    }

    /// The label names, sorted; only those that a row of `within` has, if given.
    pub(crate) fn label_names(&self, within: Option<&RoaringBitmap>) -> Result<Vec<&str>, Corrupt> {
        let mut names = Vec::new();
        for (number, name) in self.layout.names.iter().enumerate() {
            let seen = match within {
                Some(set) => !self.presence(number)?.is_disjoint(set),
                None => true,
            };
            if seen {
                names.push(&*name.symbols.name);
            }
        }
        Ok(names)
    }

    /// Each label name with how many values it has and how many rows have it.
    pub(crate) fn name_stats(&self) -> Result<Vec<(&str, u32, u64)>, Corrupt> {
        let stats = self.layout.names.iter().enumerate().map(|(number, name)| {
            let rows = self.lists_at(number)?.presence_len();
            Ok((&*name.symbols.name, name.symbols.value_count, rows))
        });
        stats.collect()
    }

    fn presence(&self, number: usize) -> Result<RoaringBitmap, Corrupt> {
        let mut union = RowUnion::default();
        self.lists_at(number)?.add_presence(&mut union)?;
        Ok(union.finish())
    }

    /// The values of a label in order, from `from` on; only those that a row of `within` has, if given.
    pub(crate) fn label_values(
        &self,
        name: &str,
        from: &str,
        within: Option<&'a RoaringBitmap>,
    ) -> Result<Option<SegmentValues<'a>>, Corrupt> {
        let Some(number) = self.number_of(name) else {
            return Ok(None);
        };
        let values = self.values_at(number)?;
        let cursor = values.lower_bound(from)?;
        let wanted = match within {
            None => Wanted::All,
            Some(rows) if rows.len() <= u64::from(values.count()) => {
                Wanted::Ranks(self.ranks_within(number, rows)?)
            }
            Some(rows) => Wanted::Rows(rows),
        };
        let lists = self
            .lists_at(number)?
            .cursor_at(cursor.rank().min(values.count().saturating_sub(1)))?;
        SegmentValues::new(cursor, lists, wanted).map(Some)
    }

    fn ranks_within(&self, number: usize, rows: &RoaringBitmap) -> Result<RoaringBitmap, Corrupt> {
        let mut cursor = self.row_cursor();
        let mut ranks = RowUnion::default();
        for row in rows.iter().take_while(|row| *row < self.row_count()) {
            if let Some(rank) = rank_of_name(cursor.seek(self.series_layout(), row)?, number) {
                ranks.push(rank);
            }
        }
        Ok(ranks.finish())
    }

    /// All values of a label in memory; kept in the layout for the next search.
    #[cfg(test)]
    pub(crate) fn value_arena(&self, name: &str) -> Result<Option<Arc<ValueArena>>, Corrupt> {
        self.number_of(name)
            .map(|number| self.arena_at(number))
            .transpose()
    }

    fn arena_at(&self, number: usize) -> Result<Arc<ValueArena>, Corrupt> {
        let mut cached = self.name_at(number)?.arena();
        if let Some(arena) = &*cached {
            return Ok(Arc::clone(arena));
        }
        let arena = Arc::new(self.values_at(number)?.arena()?);
        *cached = Some(Arc::clone(&arena));
        Ok(arena)
    }

    pub(super) fn cached_arena(&self, number: usize) -> Option<Arc<ValueArena>> {
        self.layout.names.get(number)?.arena().clone()
    }

    /// Adds the rows of all values that begin with one of the pattern's prefixes and match it.
    fn add_by_prefix(
        &self,
        number: usize,
        pattern: &Pattern,
        prefixes: &[&str],
        union: &mut RowUnion,
    ) -> Result<(), Corrupt> {
        let values = self.values_at(number)?;
        let mut lists = self.lists_at(number)?.cursor_at(0)?;
        for prefix in prefixes {
            let mut cursor = values.lower_bound(prefix)?;
            while !cursor.is_done() && cursor.bytes().starts_with(prefix.as_bytes()) {
                if pattern.matches(cursor.text()?) {
                    let list = lists.seek(cursor.rank())?;
                    lists.add(&list, union)?;
                }
                cursor.advance()?;
            }
        }
        Ok(())
    }

    fn add_by_arena(&self, number: usize, pattern: &Pattern, union: &mut RowUnion) -> Result<(), Corrupt> {
        let arena = self.arena_at(number)?;
        let mut lists = self.lists_at(number)?.cursor_at(0)?;
        let mut outcome = Ok(());
        arena.matching(pattern, &mut |index| {
            if outcome.is_ok() {
                outcome = lists.seek(index as u32).and_then(|list| lists.add(&list, union));
            }
        });
        outcome
    }
}

/// How many blocks of the series table hold the rows.
fn blocks_of(rows: &RoaringBitmap) -> u64 {
    let mut last = None;
    let begins = |row: &u32| last.replace(row / ROWS_PER_BLOCK) != Some(row / ROWS_PER_BLOCK);
    rows.iter().filter(begins).count() as u64
}

fn rank_of_name(cells: &[(u32, u32)], number: usize) -> Option<u32> {
    let at = cells.binary_search_by_key(&(number as u32), |cell| cell.0).ok()?;
    cells.get(at).map(|cell| cell.1)
}

impl IndexSource for SegmentIndex<'_> {
    type Error = Corrupt;

    fn all(&self) -> Result<RoaringBitmap, Corrupt> {
        let mut rows = RoaringBitmap::new();
        rows.insert_range(0..self.row_count());
        Ok(rows)
    }

    fn present(&self, name: &str) -> Result<RoaringBitmap, Corrupt> {
        self.number_of(name)
            .map_or_else(|| Ok(RoaringBitmap::new()), |number| self.presence(number))
    }

    fn matched(&self, name: &str, pattern: &Pattern) -> Result<RoaringBitmap, Corrupt> {
        let mut union = RowUnion::default();
        let Some(number) = self.number_of(name) else {
            return Ok(union.finish());
        };
        if let Some(set) = pattern.as_set() {
            self.add_set(number, set, &mut union)?;
        } else if let Some(prefixes) = pattern.prefixes().filter(|_| self.cached_arena(number).is_none()) {
            self.add_by_prefix(number, pattern, &prefixes, &mut union)?;
        } else {
            self.add_by_arena(number, pattern, &mut union)?;
        }
        Ok(union.finish())
    }

    fn estimate(&self, name: &str, pattern: &Pattern) -> Result<u64, Corrupt> {
        match (self.number_of(name), pattern.as_set()) {
            // For more than a few values the count would cost as much as the lists.
            (Some(number), Some(set)) if set.len() <= FEW_VALUES => {
                let mut rows = 0u64;
                for value in set {
                    rows = rows.saturating_add(self.list_of(number, value)?.map_or(0, |list| list.1.count));
                }
                Ok(rows)
            }
            (Some(number), _) => Ok(self.lists_at(number)?.presence_len()),
            (None, _) => Ok(0),
        }
    }

    /// A few rows against a long list or a label of many values: reads the rows' own values.
    fn filter(&self, rows: &RoaringBitmap, matcher: &LabelMatcher) -> Result<Option<RoaringBitmap>, Corrupt> {
        let pattern = matcher.pattern();
        let Some(number) = self.number_of(matcher.name()) else {
            return Ok(None);
        };
        if rows.len() > FILTERED_ROWS_MAX || pattern.is_every_value() {
            return Ok(None);
        }
        let values = self.values_at(number)?;
        let ranks = match pattern.as_set() {
            Some(set) => self.ranks_of(number, set)?,
            None => None,
        };
        // In nanoseconds, roughly: a byte of a list 4, a value to find 500, a value to match 30 and each row that has
        // one 1, a block of rows 500 and each of its rows 30 or, with its text, 150.
        let by_lists = match (&ranks, pattern.as_set()) {
            (Some(ranks), _) => self.bytes_of_lists(number, ranks, rows)?.saturating_mul(4),
            (None, Some(set)) => set.len() as u64 * 500,
            (None, None) => u64::from(values.count()) * 30 + self.lists_at(number)?.presence_len(),
        };
        let by_rows = rows.len() * if ranks.is_some() { 30 } else { 150 };
        if by_rows > by_lists || by_rows + blocks_of(rows) * 500 > by_lists {
            return match matcher.only_value() {
                Some(value) => self.rows_with(number, value, rows).map(Some),
                None => Ok(None),
            };
        }
        let mut cursor = self.row_cursor();
        let mut kept = RoaringBitmap::new();
        for row in rows {
            let rank = rank_of_name(cursor.seek(self.series_layout(), row)?, number);
            let matches = match rank {
                Some(rank) => match &ranks {
                    Some(ranks) => ranks.contains(&rank) != matcher.is_negated(),
                    None => matcher.matches(values.cursor_at(rank)?.text()?),
                },
                None => matcher.matches_empty(),
            };
            if matches {
                kept.insert(row);
            }
        }
        Ok(Some(kept))
    }
}
