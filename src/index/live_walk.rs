//! The walk over the values of one label in memory that some series have, a block of values at a time.

use super::live_values::SortedValues;
use super::pairs::PairTable;
use super::posting::Postings;
use crate::base::mask::mask_of;
use roaring::RoaringBitmap;
use std::sync::Arc;

/// Values that are looked at together at most.
const VALUES_AT_ONCE: usize = u64::BITS as usize;

/// Says which of some series count, [`VALUES_AT_ONCE`] at most, with a bit for each, the first the lowest.
type Counts<'a> = dyn Fn(&[u32]) -> u64 + 'a;

/// Series that a listing is about.
#[derive(Clone, Copy)]
pub(crate) struct Within<'a> {
    pub(crate) set: &'a RoaringBitmap,
    /// Which of the set count; all of them if it is not given. Asked for as few series as it takes.
    pub(crate) counts: Option<&'a Counts<'a>>,
}

impl std::fmt::Debug for Within<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within")
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}

/// Walks over sorted values that series have. Looks at some ahead: what is to be known of each lies in three or four places of
/// memory, which come to the cache for many values at once.
#[derive(Debug)]
pub(crate) struct LiveValues<'a> {
    pairs: &'a PairTable<Postings>,
    sorted: Arc<SortedValues>,
    next: usize,
    within: Option<Within<'a>>,
    /// A bit for each value that was looked at, from `next` on: whether it is wanted.
    wanted: u64,
    looked_at: u32,
}

impl Within<'_> {
    pub(super) fn has_any(&self, postings: &Postings) -> bool {
        match self.counts {
            Some(counts) => postings.has_any(self.set, &|id| counts(&[id]) != 0),
            None => postings.intersects(self.set),
        }
    }

    /// Which of some lists have a series that counts. The first series of each is looked at first, all together, and mostly tells.
    fn which(&self, lists: &[&Postings]) -> u64 {
        let mut which = 0;
        if let Some(counts) = self.counts {
            let mut firsts = [0; VALUES_AT_ONCE];
            let mut asked = [0; VALUES_AT_ONCE];
            let mut count = 0;
            for (place, list) in lists.iter().enumerate() {
                if let Some(first) = list.first().filter(|first| self.set.contains(*first)) {
                    (firsts[count], asked[count]) = (first, place);
                    count += 1;
                }
            }
            let counted = counts(&firsts[..count]);
            for (bit, place) in asked[..count].iter().enumerate() {
                which |= (counted >> bit & 1) << place;
            }
        }
        for (place, list) in lists.iter().enumerate() {
            if which >> place & 1 == 0 && self.has_any(list) {
                which |= 1 << place;
            }
        }
        which
    }
}

impl<'a> LiveValues<'a> {
    /// The values from `from` on; only those that a series of `within` has, if given.
    pub(super) fn from(
        pairs: &'a PairTable<Postings>,
        sorted: Arc<SortedValues>,
        from: &str,
        within: Option<Within<'a>>,
    ) -> Self {
        let next = sorted.arena.lower_bound(from);
        let mut values = Self {
            pairs,
            sorted,
            next,
            within,
            wanted: 0,
            looked_at: 0,
        };
        values.settle();
        values
    }

    /// Steps to the first value from here on that is wanted.
    fn settle(&mut self) {
        loop {
            if self.looked_at == 0 {
                self.look_ahead();
            }
            let unwanted = self.wanted.trailing_zeros().min(self.looked_at);
            self.skip(unwanted);
            if self.looked_at > 0 || self.next >= self.sorted.pairs.len() {
                return;
            }
        }
    }

    fn skip(&mut self, values: u32) {
        self.next += values as usize;
        self.looked_at -= values;
        self.wanted = self.wanted.checked_shr(values).unwrap_or(0);
    }

    fn look_ahead(&mut self) {
        let pairs = self.sorted.pairs.get(self.next..).unwrap_or_default();
        let pairs = &pairs[..pairs.len().min(VALUES_AT_ONCE)];
        let mut lists = [&Postings::Empty; VALUES_AT_ONCE];
        for (list, pair) in lists.iter_mut().zip(pairs) {
            *list = self.pairs.payload(*pair);
        }
        let lists = &lists[..pairs.len()];
        self.looked_at = lists.len() as u32;
        self.wanted = match self.within {
            Some(within) => within.which(lists),
            None => mask_of(lists.iter().map(|list| !list.is_empty())),
        };
    }

    /// The value at which the walk stands and how many series have it, `None` behind the last.
    pub(crate) fn current(&self) -> Option<(&str, u64)> {
        let pair = *self.sorted.pairs.get(self.next)?;
        Some((self.sorted.arena.get(self.next), self.pairs.payload(pair).len()))
    }

    /// The value alone.
    pub(crate) fn text(&self) -> Option<&str> {
        (self.next < self.sorted.pairs.len()).then(|| self.sorted.arena.get(self.next))
    }

    /// Goes to the next value.
    pub(crate) fn advance(&mut self) {
        if self.looked_at > 0 {
            self.skip(1);
            self.settle();
        }
    }
}
