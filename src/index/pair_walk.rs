//! From a canonical label set to the numbers of its pairs, helped by the label set before.
//!
//! Label sets come in the order of a scrape or sorted; either way most pairs are those of the neighbour. Its bytes
//! are kept: where the same bytes stand in the same column the number is known without a hash.

use super::pairs::{PairId, PairTable};
use crate::base::bytes::Cursor;

/// The label set before, by column.
#[derive(Debug, Default)]
pub(super) struct PairWalk {
    bytes: Vec<u8>,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    /// Where the pair ends in the bytes.
    end: usize,
    pair: PairId,
}

impl PairWalk {
    /// Forgets the label set before; a must when a pair is removed from the table.
    pub(super) fn forget(&mut self) {
        self.columns.clear();
    }

    /// Replaces `pairs` by those of the canonical label set `labels` and calls `is_new` with every pair that was not
    /// there. Says whether the names are those of the label set before.
    pub(super) fn walk<P: Default>(
        &mut self,
        table: &mut PairTable<P>,
        labels: &[u8],
        pairs: &mut Vec<PairId>,
        mut is_new: impl FnMut(&PairTable<P>, PairId),
    ) -> bool {
        pairs.clear();
        let mut rest = labels;
        let mut start = 0;
        let mut same_names = true;
        for column in &self.columns {
            let before = &self.bytes[start..column.end];
            start = column.end;
            if let Some(after) = rest.strip_prefix(before) {
                pairs.push(column.pair);
                rest = after;
                continue;
            }
            let mut cursor = Cursor::new(rest);
            let Some((name, value)) = next_pair(&mut cursor) else {
                break;
            };
            let known = table
                .name_of(column.pair)
                .filter(|known| table.name_bytes(*known) == name.as_bytes());
            same_names &= known.is_some();
            let (pair, new) = match known {
                Some(name) => table.intern_value(name, value),
                None => table.intern(name, value),
            };
            if new {
                is_new(table, pair);
            }
            pairs.push(pair);
            rest = cursor.rest();
        }
        same_names &= pairs.len() == self.columns.len() && rest.is_empty();
        let mut cursor = Cursor::new(rest);
        while let Some((name, value)) = next_pair(&mut cursor) {
            let (pair, new) = table.intern(name, value);
            if new {
                is_new(table, pair);
            }
            pairs.push(pair);
        }
        self.remember(labels, pairs);
        same_names
    }

    fn remember(&mut self, labels: &[u8], pairs: &[PairId]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(labels);
        self.columns.clear();
        let mut cursor = Cursor::new(labels);
        for &pair in pairs {
            let skipped = cursor
                .length_prefixed("name")
                .and_then(|_| cursor.length_prefixed("value"));
            debug_assert!(skipped.is_ok(), "a label set is not canonical");
            self.columns.push(Column {
                end: cursor.position(),
                pair,
            });
        }
    }
}

fn next_pair<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, &'a str)> {
    Some((cursor.text("label name").ok()?, cursor.text("label value").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn as_interning_each(sets in proptest::collection::vec(
            proptest::collection::btree_map("[abc]{1,2}", "[xy]{1,2}", 0..5),
            0..40,
        )) {
            let mut table = PairTable::<()>::default();
            let mut walk = PairWalk::default();
            let mut before: Option<Vec<String>> = None;
            let mut seen = BTreeMap::new();
            for set in sets {
                let labels = Labels::from_pairs(&set).unwrap();
                let mut pairs = Vec::new();
                let mut new = Vec::new();
                let same_names = walk.walk(&mut table, labels.as_bytes(), &mut pairs, |_, pair| new.push(pair));
                let names: Vec<String> = set.keys().cloned().collect();
                prop_assert_eq!(same_names, before.unwrap_or_default() == names);
                before = Some(names);
                prop_assert_eq!(pairs.len(), set.len());
                for (pair, (name, value)) in pairs.iter().zip(&set) {
                    prop_assert_eq!(table.name(table.name_of(*pair).unwrap()), name);
                    prop_assert_eq!(table.value(*pair), value);
                    let is_first = seen.insert((name.clone(), value.clone()), *pair).is_none();
                    prop_assert_eq!(new.contains(pair), is_first);
                }
            }
        }
    }
}
