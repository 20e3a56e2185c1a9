//! Writes the index of a segment: symbols, series table and postings.
//!
//! Ranks of values are known only when the last row is there, so rows are kept as 4-byte numbers until then; the
//! postings are gathered for a few names at a time, which bounds what a flush needs beside the rows.

use super::pair_walk::PairWalk;
use super::pairs::{NameId, PairId, PairTable};
use super::posting_lists::{NameListsWriter, PostingsWriter};
pub(crate) use super::series_table::Compression;
use super::series_table::{ROWS_PER_FRAME, Row, SeriesTableWriter};
use super::symbols::SymbolsWriter;
use crate::model::labels::LabelsRef;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Rows in lists that are gathered at once, unless a single name has more.
const GATHERED_ROWS_MAX: usize = 4 << 20;

/// The three sections of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentIndexBytes {
    pub(crate) symbols: Vec<u8>,
    pub(crate) series: Vec<u8>,
    pub(crate) postings: Vec<u8>,
}

/// Takes the label sets of a segment in order and writes its index.
#[derive(Debug, Default)]
pub(crate) struct SegmentIndexWriter {
    pairs: PairTable<()>,
    schemas: HashMap<Vec<NameId>, u32, RandomState>,
    frames: Vec<Frame>,
    row_count: u32,
    walk: PairWalk,
    /// The pairs of the last row.
    row: Vec<PairId>,
}

/// Rows as schema numbers and, one row after the other, pairs.
#[derive(Debug, Default)]
struct Frame {
    schemas: Vec<u32>,
    pairs: Vec<PairId>,
}

impl SegmentIndexWriter {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn row_count(&self) -> u32 {
        self.row_count
    }

    /// Adds the next row. Its labels must be canonical and sort behind those of the row before.
    pub(crate) fn push(&mut self, labels: LabelsRef<'_>) {
        let same_names = self
            .walk
            .walk(&mut self.pairs, labels.as_bytes(), &mut self.row, |_, _| {});
        let schema = match self.frames.last().and_then(|frame| frame.schemas.last()) {
            Some(&before) if same_names => before,
            _ => self.schema_of_row(),
        };
        if self
            .frames
            .last()
            .is_none_or(|frame| frame.schemas.len() == ROWS_PER_FRAME)
        {
            if let Some(full) = self.frames.last_mut() {
                full.pairs.shrink_to_fit();
            }
            self.frames.push(Frame::default());
        }
        let frame = self.frames.last_mut().expect("BUG: a frame was just added");
        frame.schemas.push(schema);
        frame.pairs.extend_from_slice(&self.row);
        self.row_count = self.row_count.checked_add(1).expect("BUG: 4 G rows in a segment");
    }

    fn schema_of_row(&mut self) -> u32 {
        let name_of = |pair: &PairId| self.pairs.name_of(*pair).expect("BUG: a pair without a name");
        let names = self.row.iter().map(name_of).collect();
        let next = self.schemas.len() as u32;
        *self.schemas.entry(names).or_insert(next)
    }

    /// The index of the rows so far.
    pub(crate) fn finish(self, compression: Compression) -> SegmentIndexBytes {
        let ranking = Ranking::new(&self.pairs);
        let mut symbols = SymbolsWriter::default();
        for (name, pairs) in ranking.names.iter().zip(&ranking.pairs) {
            symbols.push_name(
                self.pairs.name(*name),
                pairs.iter().map(|&pair| self.pairs.value(pair)),
            );
        }
        let series = self.series(&ranking, compression);
        let postings = self.postings(&ranking);
        SegmentIndexBytes {
            symbols: symbols.finish(),
            series,
            postings,
        }
    }

    fn series(&self, ranking: &Ranking, compression: Compression) -> Vec<u8> {
        let mut schemas = vec![Vec::new(); self.schemas.len()];
        for (names, schema) in &self.schemas {
            schemas[*schema as usize] = names
                .iter()
                .map(|name| ranking.numbers[name.0 as usize])
                .collect();
        }
        let mut writer = SeriesTableWriter::new(compression);
        let mut row = Row::default();
        for frame in &self.frames {
            let mut pairs = frame.pairs.as_slice();
            for &schema in &frame.schemas {
                let names = &schemas[schema as usize];
                let (of_row, rest) = pairs.split_at(names.len());
                pairs = rest;
                row.schema = Some(schema);
                row.cells.clear();
                let ranks = of_row.iter().map(|pair| ranking.ranks[pair.0 as usize]);
                row.cells.extend(names.iter().copied().zip(ranks));
                writer.push(&row);
            }
        }
        writer.finish(&schemas)
    }

    /// By pair: how many rows have it.
    pub(crate) fn pair_counts(&self) -> Vec<u32> {
        let mut counts = vec![0u32; self.pairs.slots()];
        for pair in self.frames.iter().flat_map(|frame| &frame.pairs) {
            counts[pair.0 as usize] += 1;
        }
        counts
    }

    /// The label names by number.
    pub(crate) fn names(&self) -> Vec<&str> {
        (0..self.pairs.name_slots())
            .map(|name| self.pairs.name(NameId(name)))
            .collect()
    }

    /// Every pair by number: the number of its name, and its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..self.pairs.slots() as u32).map(PairId).map(|pair| {
            let name = self.pairs.name_of(pair).expect("BUG: a pair without a name");
            (name.0, self.pairs.value(pair))
        })
    }

    fn postings(&self, ranking: &Ranking) -> Vec<u8> {
        let counts = self.pair_counts();
        let rows_of = |pairs: &[PairId]| {
            pairs
                .iter()
                .map(|pair| counts[pair.0 as usize] as usize)
                .sum::<usize>()
        };
        let mut writer = PostingsWriter::default();
        let mut first = 0;
        while first < ranking.pairs.len() {
            let mut total = rows_of(&ranking.pairs[first]);
            let mut end = first + 1;
            while end < ranking.pairs.len() && total + rows_of(&ranking.pairs[end]) <= GATHERED_ROWS_MAX {
                total += rows_of(&ranking.pairs[end]);
                end += 1;
            }
            self.write_lists(&ranking.pairs[first..end], &counts, total, &mut writer);
            first = end;
        }
        writer.finish()
    }

    /// Gathers the rows of all pairs of some names in one walk over the rows.
    fn write_lists(&self, names: &[Vec<PairId>], counts: &[u32], total: usize, writer: &mut PostingsWriter) {
        const ELSEWHERE: usize = usize::MAX;
        let mut next = vec![ELSEWHERE; counts.len()];
        let mut start = 0;
        for pair in names.iter().flatten() {
            next[pair.0 as usize] = start;
            start += counts[pair.0 as usize] as usize;
        }
        let mut rows = vec![0u32; total];
        self.for_each_pair(|row, pair| {
            let place = &mut next[pair.0 as usize];
            if *place != ELSEWHERE {
                rows[*place] = row;
                *place += 1;
            }
        });
        let mut rest = rows.as_slice();
        for pairs in names {
            let mut lists = NameListsWriter::default();
            for pair in pairs {
                let (of_pair, after) = rest.split_at(counts[pair.0 as usize] as usize);
                lists.push_value(of_pair);
                rest = after;
            }
            writer.push_name(lists);
        }
    }

    fn for_each_pair(&self, mut each: impl FnMut(u32, PairId)) {
        let mut row = 0;
        self.for_each_row(|pairs| {
            pairs.iter().for_each(|&pair| each(row, pair));
            row += 1;
        });
    }

    /// Shows the pairs of every row.
    pub(crate) fn for_each_row(&self, mut each: impl FnMut(&[PairId])) {
        let mut columns = vec![0; self.schemas.len()];
        for (names, schema) in &self.schemas {
            columns[*schema as usize] = names.len();
        }
        for frame in &self.frames {
            let mut pairs = frame.pairs.as_slice();
            for &schema in &frame.schemas {
                let (of_row, rest) = pairs.split_at(columns[schema as usize]);
                each(of_row);
                pairs = rest;
            }
        }
    }
}

/// The names and their values in order.
struct Ranking {
    names: Vec<NameId>,
    /// For each name in order, its pairs in order of the value.
    pairs: Vec<Vec<PairId>>,
    /// By id: the place of a name among the names.
    numbers: Vec<u32>,
    /// By id: the place of a pair among those of its name.
    ranks: Vec<u32>,
}

impl Ranking {
    fn new(table: &PairTable<()>) -> Self {
        let mut names: Vec<NameId> = (0..table.name_slots()).map(NameId).collect();
        names.sort_unstable_by_key(|name| table.name(*name));
        let mut numbers = vec![0; names.len()];
        for (number, name) in names.iter().enumerate() {
            numbers[name.0 as usize] = number as u32;
        }
        let mut pairs = vec![Vec::new(); names.len()];
        for pair in (0..table.slots() as u32).map(PairId) {
            let name = table.name_of(pair).expect("BUG: a pair without a name");
            pairs[numbers[name.0 as usize] as usize].push(pair);
        }
        let mut ranks = vec![0; table.slots()];
        for of_name in &mut pairs {
            of_name.sort_unstable_by(|a, b| table.value(*a).cmp(table.value(*b)));
            for (rank, pair) in of_name.iter().enumerate() {
                ranks[pair.0 as usize] = rank as u32;
            }
        }
        Self {
            names,
            pairs,
            numbers,
            ranks,
        }
    }
}
