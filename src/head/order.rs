//! Series in label order, by comparing the ranks of their pairs instead of text.

use crate::base::varint;
use crate::index::{LiveIndex, PairId};

/// Up to this many series are ordered by comparing text, more by ranking the pairs first.
const COMPARE_TEXT_MAX: usize = 64;

/// The pairs of some series, and the series' label order. Pair ids must stay valid as long as this is used.
#[derive(Debug)]
pub(crate) struct LabelOrder {
    /// Where the pairs of each series start in `pairs`; one more than there are series.
    starts: Vec<u32>,
    pairs: Vec<PairId>,
    /// By position in label order: number of the series in order of addition.
    order: Vec<u32>,
}

impl LabelOrder {
    pub(crate) fn with_capacity(series: usize) -> Self {
        let mut starts = Vec::with_capacity(series + 1);
        starts.push(0);
        Self {
            starts,
            pairs: Vec::new(),
            order: Vec::with_capacity(series),
        }
    }

    pub(crate) fn push(&mut self, pairs: &[PairId]) {
        self.pairs.extend_from_slice(pairs);
        self.order.push(self.starts.len() as u32 - 1);
        self.starts.push(self.pairs.len() as u32);
    }

    /// The number, in order of addition, of the series at `position` in label order.
    pub(crate) fn at(&self, position: usize) -> Option<usize> {
        self.order.get(position).map(|number| *number as usize)
    }

    /// Appends the canonical labels of the series at `position`.
    pub(crate) fn labels(&self, index: &LiveIndex, position: usize, out: &mut Vec<u8>) {
        if let Some(number) = self.order.get(position) {
            write_labels(index, self.pairs_of(*number), out);
        }
    }

    #[inline]
    fn pairs_of(&self, number: u32) -> &[PairId] {
        &self.pairs[self.range_of(number)]
    }

    #[inline]
    fn range_of(&self, number: u32) -> std::ops::Range<usize> {
        self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize
    }

    /// Puts the series in label order.
    pub(crate) fn sort(&mut self, index: &LiveIndex) {
        let mut order = std::mem::take(&mut self.order);
        if order.len() <= COMPARE_TEXT_MAX {
            let key = |number: u32| self.pairs_of(number).iter().map(|pair| index.pair(*pair));
            order.sort_by(|a, b| key(*a).cmp(key(*b)));
        } else {
            let ranks = Ranks::new(index, &self.pairs);
            // The first ranks, packed, settle nearly every comparison within the array that is sorted.
            let key = |number: u32| (ranks.packed(self.pairs_of(number)), number);
            let mut keyed: Vec<(u128, u32)> = order.iter().map(|number| key(*number)).collect();
            keyed.sort_by(|a, b| {
                let rest = || ranks.of(self.pairs_of(a.1)).cmp(ranks.of(self.pairs_of(b.1)));
                a.0.cmp(&b.0).then_with(rest)
            });
            order.clear();
            order.extend(keyed.iter().map(|key| key.1));
        }
        self.order = order;
    }
}

/// The pairs in use, ranked in the order of (name, value): comparing ranks is comparing labels.
struct Ranks {
    /// By pair id, from 1 on; 0 where the pair is not in use.
    rank_of: Vec<u32>,
    bits: u32,
}

impl Ranks {
    fn new(index: &LiveIndex, pairs: &[PairId]) -> Self {
        let highest = pairs.iter().map(|pair| pair.0).max().unwrap_or(0);
        let mut rank_of = vec![0u32; highest as usize + 1];
        for pair in pairs {
            rank_of[pair.0 as usize] = 1;
        }
        let used = rank_of.iter().enumerate().filter(|rank| *rank.1 != 0);
        let mut distinct: Vec<PairId> = used.map(|(id, _)| PairId(id as u32)).collect();
        distinct.sort_by(|a, b| index.pair(*a).cmp(&index.pair(*b)));
        for (rank, pair) in distinct.iter().enumerate() {
            rank_of[pair.0 as usize] = rank as u32 + 1;
        }
        let bits = u32::BITS - (distinct.len() as u32).leading_zeros();
        Self {
            rank_of,
            bits: bits.max(1),
        }
    }

    fn of<'a>(&'a self, pairs: &'a [PairId]) -> impl Iterator<Item = u32> + 'a {
        pairs.iter().map(|pair| self.rank_of[pair.0 as usize])
    }

    /// As many of the first ranks as fit. An absent one is below all others, as a shorter label set is.
    fn packed(&self, pairs: &[PairId]) -> u128 {
        let mut ranks = self.of(pairs);
        let fits = u128::BITS / self.bits;
        (0..fits).fold(0, |packed, _| {
            packed << self.bits | u128::from(ranks.next().unwrap_or(0))
        })
    }
}

/// Appends canonical label bytes; the pairs of a series are kept in order of name.
fn write_labels(index: &LiveIndex, pairs: &[PairId], out: &mut Vec<u8>) {
    for pair in pairs {
        let (name, value) = index.pair(*pair);
        varint::write_bytes(out, name.as_bytes());
        varint::write_bytes(out, value.as_bytes());
    }
}
