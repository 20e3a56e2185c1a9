//! The head's index: label pairs as numbers, and the series of each pair.
//!
//! The series' own lists of pairs are kept by the head; what is here answers "which series" and "which values".
//! Adding a series with known pairs is a hash look-up and an append per pair. Searching takes `&self`: what a search
//! builds for the next one hides behind a lock per label name.

use super::live_values::NameValues;
use super::live_walk::{LiveValues, Within};
use super::pair_walk::PairWalk;
pub(crate) use super::pairs::PairId;
use super::pairs::{NameId, PairTable};
use super::pattern::Pattern;
use super::posting::Postings;
use super::regex::LabelMatcher;
use super::rows::RowUnion;
use super::select::{self, IndexSource};
use crate::model::labels::LabelsRef;
use roaring::RoaringBitmap;
use std::convert::Infallible;
use std::sync::Arc;

/// Series that are looked for in the list of each value rather than the lists joined.
const FEW_SERIES: u64 = 64;
/// Series of one value that are looked for one by one in the lists of the others.
const NARROW_SERIES: u64 = 4_096;

/// Index over series that come and go.
#[derive(Debug, Default)]
pub(crate) struct LiveIndex {
    pairs: PairTable<Postings>,
    /// By number of the name; those of names not in use are empty.
    names: Vec<Name>,
    all: Postings,
    walk: PairWalk,
}

#[derive(Debug, Default)]
struct Name {
    /// Series that have the label.
    series: Postings,
    values: NameValues,
}

/// What the index takes in memory, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LiveIndexBytes {
    /// Texts of names and values.
    pub(crate) text: usize,
    /// One entry per pair.
    pub(crate) pairs: usize,
    /// The hash tables.
    pub(crate) tables: usize,
    /// Lists of series beyond what an entry holds itself.
    pub(crate) postings: usize,
    /// Names and their lists of pairs.
    pub(crate) names: usize,
    /// Sorted copies of values, built by searches.
    pub(crate) sorted_values: usize,
}

impl LiveIndexBytes {}

/// One label name in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameStats {
    pub(crate) name: String,
    /// Distinct values.
    pub(crate) values: u32,
    /// Series that have the label.
    pub(crate) series: u64,
}

impl LiveIndex {
    /// The number of a pair and whether it is new. A new pair stays until a series that had it is removed, or
    /// [`LiveIndex::release`].
    #[inline]
    pub(crate) fn intern(&mut self, name: &str, value: &str) -> (PairId, bool) {
        let (pair, is_new) = self.pairs.intern(name, value);
        if is_new {
            add_value(&mut self.names, &self.pairs, pair);
        }
        (pair, is_new)
    }

    /// Replaces `pairs` by the numbers of a canonical label set and calls `is_new` with each that is new. Fastest
    /// when label sets come in an order in which neighbours share pairs.
    pub(crate) fn intern_labels(
        &mut self,
        labels: LabelsRef<'_>,
        pairs: &mut Vec<PairId>,
        mut is_new: impl FnMut(PairId),
    ) {
        let names = &mut self.names;
        self.walk
            .walk(&mut self.pairs, labels.as_bytes(), pairs, |table, pair| {
                add_value(names, table, pair);
                is_new(pair);
            });
    }

    /// The number of a pair in use.
    pub(crate) fn find(&self, name: &str, value: &str) -> Option<PairId> {
        self.pairs.find(self.pairs.find_name(name)?, value)
    }

    /// Name and value of a pair in use.
    pub(crate) fn pair(&self, pair: PairId) -> (&str, &str) {
        let name = self.pairs.name_of(pair).map_or("", |name| self.pairs.name(name));
        (name, self.pairs.value(pair))
    }

    /// As [`Self::pair`], as bytes.
    pub(crate) fn pair_bytes(&self, pair: PairId) -> (&[u8], &[u8]) {
        let name = self.pairs.name_of(pair);
        let name = name.map_or(&[][..], |name| self.pairs.name_bytes(name));
        (name, self.pairs.value_bytes(pair))
    }

    /// Adds a series. Ascending ids are the fast case.
    #[inline]
    pub(crate) fn insert(&mut self, series: u32, pairs: &[PairId]) {
        for &pair in pairs {
            let (name, postings) = self.pairs.payload_mut(pair);
            postings.insert(series);
            self.names[name.0 as usize].series.insert(series);
        }
        self.all.insert(series);
    }

    /// Removes a series and every pair that no series has any more; their numbers may be given out again.
    pub(crate) fn remove(&mut self, series: u32, pairs: &[PairId]) {
        for &pair in pairs {
            let (name, postings) = self.pairs.payload_mut(pair);
            postings.remove(series);
            if let Some(name) = self.names.get_mut(name.0 as usize) {
                name.series.remove(series);
            }
        }
        self.all.remove(series);
        self.release(pairs);
    }

    /// Gives up those of the pairs that no series has.
    pub(crate) fn release(&mut self, pairs: &[PairId]) {
        for &pair in pairs {
            let Some(name_id) = self
                .pairs
                .name_of(pair)
                .filter(|_| self.pairs.payload(pair).is_empty())
            else {
                continue;
            };
            self.walk.forget();
            self.pairs.remove(pair);
            let name = &mut self.names[name_id.0 as usize];
            name.values.remove();
            if name.values.count == 0 {
                *name = Name::default();
                self.pairs.remove_name(name_id);
            }
        }
    }

    /// The series that satisfy every matcher.
    pub(crate) fn select(&self, matchers: &[LabelMatcher]) -> RoaringBitmap {
        let Ok(series) = select::select(self, matchers);
        series
    }

    /// As [`LiveIndex::select`], ascending.
    pub(crate) fn select_ids(&self, matchers: &[LabelMatcher]) -> Vec<u32> {
        self.select_narrow(matchers)
            .unwrap_or_else(|| self.select(matchers).iter().collect())
    }

    /// The usual question, without a bitmap: every matcher names a value, and one of these values has a few runs of
    /// series, as that of a target has. `None` where it is another.
    fn select_narrow(&self, matchers: &[LabelMatcher]) -> Option<Vec<u32>> {
        if let [matcher] = matchers {
            let Some(pair) = self.find(matcher.name(), matcher.only_value()?) else {
                return Some(Vec::new());
            };
            let list = self.pairs.payload(pair);
            let is_narrow = list.is_runs() && list.len() <= NARROW_SERIES;
            return is_narrow.then(|| list.common_ids(list));
        }
        let mut lists = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            let Some(pair) = self.find(matcher.name(), matcher.only_value()?) else {
                return Some(Vec::new());
            };
            lists.push(self.pairs.payload(pair));
        }
        let narrow = lists.iter().enumerate().filter(|list| list.1.is_runs());
        let (place, _) = narrow.min_by_key(|list| list.1.len())?;
        let narrowest = lists.swap_remove(place);
        if narrowest.len() > NARROW_SERIES {
            return None;
        }
        let (first, rest) = lists.split_first().unwrap_or((&narrowest, &[]));
        let mut ids = narrowest.common_ids(first);
        for list in rest {
            ids.retain(|id| list.contains(*id));
        }
        Some(ids)
    }

    /// All series.
    pub(crate) fn series_count(&self) -> u64 {
        self.all.len()
    }

    /// Pairs in use.
    #[cfg(test)]
    pub(crate) fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    fn name_ids(&self) -> impl Iterator<Item = (NameId, &Name)> {
        let slots = (0..self.pairs.name_slots()).map(NameId).zip(&self.names);
        slots.filter(|(_, name)| name.values.count > 0)
    }

    /// The label names, sorted; only those that a series of `within` has, if given.
    pub(crate) fn label_names(&self, within: Option<Within<'_>>) -> Vec<&str> {
        let seen = |name: &Name| match within {
            Some(within) => within.has_any(&name.series),
            None => !name.series.is_empty(),
        };
        let mut names: Vec<&str> = self
            .name_ids()
            .filter(|(_, name)| seen(name))
            .map(|(id, _)| self.pairs.name(id))
            .collect();
        names.sort_unstable();
        names
    }

    /// The values of a label in order, from `from` on; only those that a series of `within` has, if given.
    pub(crate) fn label_values<'a>(
        &'a self,
        name: &str,
        from: &str,
        within: Option<Within<'a>>,
    ) -> LiveValues<'a> {
        let sorted = match self.pairs.find_name(name) {
            Some(id) => self.names[id.0 as usize].values.sorted(id, &self.pairs),
            None => Arc::default(),
        };
        LiveValues::from(&self.pairs, sorted, from, within)
    }

    /// Every label name with its counts, in no particular order.
    pub(crate) fn name_stats(&self) -> Vec<NameStats> {
        let stats = self.name_ids().map(|(id, name)| NameStats {
            name: self.pairs.name(id).to_owned(),
            values: name.values.count,
            series: name.series.len(),
        });
        stats.collect()
    }

    /// Gives up the sorted copies of values that searches built.
    pub(crate) fn drop_caches(&mut self) {
        self.names.iter_mut().for_each(|name| name.values.drop_cache());
    }

    /// What is allocated. Walks over all pairs.
    pub(crate) fn approximate_bytes(&self) -> LiveIndexBytes {
        let mut bytes = LiveIndexBytes {
            text: self.pairs.text_bytes(),
            pairs: self.pairs.entry_bytes(),
            tables: self.pairs.table_bytes(),
            postings: self.pairs.payloads().map(Postings::heap_bytes).sum::<usize>() + self.all.heap_bytes(),
            names: self.names.capacity() * size_of::<Name>(),
            sorted_values: 0,
        };
        for name in &self.names {
            let (list, sorted) = name.values.heap_bytes();
            bytes.postings += name.series.heap_bytes();
            bytes.names += list;
            bytes.sorted_values += sorted;
        }
        bytes
    }
}

fn add_value(names: &mut Vec<Name>, pairs: &PairTable<Postings>, pair: PairId) {
    let name = pairs.name_of(pair).expect("BUG: a pair without a name");
    let index = name.0 as usize;
    if index >= names.len() {
        names.resize_with(index + 1, Name::default);
    }
    names[index].values.add(name, pair, pairs);
}

impl IndexSource for LiveIndex {
    type Error = Infallible;

    fn all(&self) -> Result<RoaringBitmap, Infallible> {
        Ok(self.all.to_bitmap())
    }

    fn present(&self, name: &str) -> Result<RoaringBitmap, Infallible> {
        let name = self.pairs.find_name(name).map(|id| &self.names[id.0 as usize]);
        Ok(name.map_or_else(RoaringBitmap::new, |name| name.series.to_bitmap()))
    }

    fn matched(&self, name: &str, pattern: &Pattern) -> Result<RoaringBitmap, Infallible> {
        let Some(name) = self.pairs.find_name(name) else {
            return Ok(RoaringBitmap::new());
        };
        if let Some([only]) = pattern.as_set() {
            let pair = self.pairs.find(name, only);
            return Ok(pair.map_or_else(RoaringBitmap::new, |pair| self.pairs.payload(pair).to_bitmap()));
        }
        let mut union = RowUnion::default();
        self.each_pair(name, pattern, |pair| self.pairs.payload(pair).add_to(&mut union));
        Ok(union.finish())
    }

    fn estimate(&self, name: &str, pattern: &Pattern) -> Result<u64, Infallible> {
        let pairs = pattern
            .as_set()
            .unwrap_or(&[])
            .iter()
            .filter_map(|value| self.find(name, value));
        Ok(pairs.map(|pair| self.pairs.payload(pair).len()).sum())
    }

    /// Against one list of series: copies no more of it than what is in both.
    fn filter(
        &self,
        series: &RoaringBitmap,
        matcher: &LabelMatcher,
    ) -> Result<Option<RoaringBitmap>, Infallible> {
        let pattern = matcher.pattern();
        let listed = match pattern.as_set() {
            Some([value]) if !value.is_empty() => self
                .find(matcher.name(), value)
                .map(|pair| self.pairs.payload(pair)),
            None if pattern.is_every_value() && !pattern.matches("") => self
                .pairs
                .find_name(matcher.name())
                .map(|name| &self.names[name.0 as usize].series),
            _ if series.len() <= FEW_SERIES && !pattern.matches("") => {
                let common = self.common(series, matcher);
                return Ok(Some(if matcher.is_negated() {
                    series - common
                } else {
                    common
                }));
            }
            _ => return Ok(None),
        };
        let common = listed.map_or_else(RoaringBitmap::new, |listed| listed.intersection(series));
        Ok(Some(if matcher.is_negated() {
            series - common
        } else {
            common
        }))
    }
}

impl LiveIndex {
    /// The pairs of a name whose values are among the pattern's.
    fn each_pair(&self, name: NameId, pattern: &Pattern, mut each: impl FnMut(PairId)) {
        match pattern.as_set() {
            Some(set) => {
                let found = set.iter().filter_map(|value| self.pairs.find(name, value));
                found.for_each(each);
            }
            None => {
                let values = &self.names[name.0 as usize].values;
                values.matching(name, &self.pairs, pattern, &mut each);
            }
        }
    }

    /// Those of a few series that have one of many values: looks for them in each list instead of joining the lists.
    fn common(&self, series: &RoaringBitmap, matcher: &LabelMatcher) -> RoaringBitmap {
        let mut common = RoaringBitmap::new();
        let Some(name) = self.pairs.find_name(matcher.name()) else {
            return common;
        };
        self.each_pair(name, matcher.pattern(), |pair| {
            let listed = self.pairs.payload(pair);
            if listed.intersects(series) {
                common |= listed.intersection(series);
            }
        });
        common
    }
}
