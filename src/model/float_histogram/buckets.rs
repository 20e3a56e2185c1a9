//! The buckets of one sign: which indexes there are, as spans, and what each of them holds.

use super::bounds::coarser_index;
use crate::model::histogram::Span;

/// Buckets in ascending order of index. `N` is a count, or a count with what rounding took from it.
///
/// The spans are canonical: none is empty, none touches the one before; and they have as many buckets as there are counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets<N = f64> {
    spans: Vec<Span>,
    counts: Vec<N>,
}

impl<N> Default for Buckets<N> {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            counts: Vec::new(),
        }
    }
}

impl<N: Copy> Buckets<N> {
    /// Buckets from spans and counts; what has no counterpart is left out.
    pub fn new(spans: &[Span], counts: impl IntoIterator<Item = N>) -> Self {
        let buckets = indexes(spans).zip(counts);
        buckets.collect()
    }

    /// Where the buckets are.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What the buckets hold.
    pub fn counts(&self) -> &[N] {
        &self.counts
    }

    /// Whether there is no bucket, not even an empty one.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub(super) fn counts_mut(&mut self) -> &mut [N] {
        &mut self.counts
    }

    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.counts.clear();
    }

    /// Index and count of each bucket, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, N)> {
        indexes(&self.spans).zip(self.counts.iter().copied())
    }

    /// Index and count of each bucket, descending.
    pub(super) fn iter_reverse(&self) -> impl Iterator<Item = (i64, N)> {
        let mut end: i64 = self
            .spans
            .iter()
            .map(|span| i64::from(span.offset) + i64::from(span.length))
            .sum();
        let indexes = self.spans.iter().rev().flat_map(move |span| {
            let start = end - i64::from(span.length);
            let indexes = (start..end).rev();
            end = start - i64::from(span.offset);
            indexes
        });
        indexes.zip(self.counts.iter().rev().copied())
    }

    /// The same buckets without those that are empty.
    pub(super) fn without(&self, is_empty: impl Fn(N) -> bool) -> Self {
        self.iter().filter(|bucket| !is_empty(bucket.1)).collect()
    }

    /// The buckets at a resolution that is `shift` steps coarser.
    pub(super) fn coarser(&self, shift: u32, add: impl Fn(&mut N, N)) -> Self {
        let mut coarse = Builder::default();
        for (index, count) in self.iter() {
            let index = coarser_index(index, shift);
            match coarse.last(index) {
                Some(last) => add(last, count),
                None => coarse.push(index, count),
            }
        }
        coarse.buckets
    }

    /// The buckets of both: `add` where both have one, `insert` where only the other has one.
    pub(super) fn merge<M: Copy>(
        &mut self,
        other: impl Iterator<Item = (i64, M)>,
        add: impl Fn(&mut N, M),
        insert: impl Fn(M) -> N,
    ) {
        let mut merged = Builder::default();
        let mut mine = self.iter().peekable();
        for (index, count) in other {
            while let Some(before) = mine.next_if(|bucket| bucket.0 < index) {
                merged.push(before.0, before.1);
            }
            let count = match mine.next_if(|bucket| bucket.0 == index) {
                Some((_, mut sum)) => {
                    add(&mut sum, count);
                    sum
                }
                None => insert(count),
            };
            merged.push(index, count);
        }
        for (index, count) in mine {
            merged.push(index, count);
        }
        let merged = merged.buckets;
        *self = merged;
    }
}

/// The indexes that spans cover.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let start = end.saturating_add(i64::from(span.offset));
        end = start.saturating_add(i64::from(span.length));
        start..end
    })
}

/// Buckets in the making, by ascending index.
struct Builder<N> {
    buckets: Buckets<N>,
    /// One past the last index.
    end: i64,
}

impl<N> Default for Builder<N> {
    fn default() -> Self {
        Self {
            buckets: Buckets::default(),
            end: 0,
        }
    }
}

impl<N> Builder<N> {
    fn push(&mut self, index: i64, count: N) {
        let offset = index - self.end;
        match self.buckets.spans.last_mut() {
            Some(last) if offset == 0 => last.length += 1,
            _ => self.buckets.spans.push(Span {
                offset: offset as i32,
                length: 1,
            }),
        }
        self.buckets.counts.push(count);
        self.end = index + 1;
    }

    /// The last bucket, when it has this index.
    fn last(&mut self, index: i64) -> Option<&mut N> {
        (self.end == index + 1)
            .then(|| self.buckets.counts.last_mut())
            .flatten()
    }
}

impl<N> FromIterator<(i64, N)> for Buckets<N> {
    fn from_iter<I: IntoIterator<Item = (i64, N)>>(buckets: I) -> Self {
        let mut builder = Builder::default();
        for (index, count) in buckets {
            builder.push(index, count);
        }
        builder.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn of(buckets: &[(i64, f64)]) -> Buckets {
        buckets.iter().copied().collect()
    }

    #[test]
    fn spans_become_canonical_and_fit_the_counts() {
        let span = |offset, length| Span { offset, length };
        let buckets = Buckets::new(
            &[span(-3, 0), span(1, 2), span(0, 1), span(2, 5)],
            [1.0, 2.0, 3.0, 4.0],
        );
        assert_eq!(buckets.spans(), [span(-2, 3), span(2, 1)]);
        assert_eq!(buckets.counts(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            buckets.iter().map(|bucket| bucket.0).collect::<Vec<_>>(),
            [-2, -1, 0, 3]
        );
    }

    #[test]
    fn coarser_buckets_add_up() {
        let fine = of(&[(-3, 1.0), (-2, 2.0), (0, 4.0), (1, 8.0), (2, 16.0), (7, 32.0)]);
        let coarse = fine.coarser(1, |sum, count| *sum += count);
        assert_eq!(coarse, of(&[(-1, 3.0), (0, 4.0), (1, 24.0), (4, 32.0)]));
    }

    proptest! {
        #[test]
        fn merging_is_addition_of_maps(a: BTreeMap<i8, u16>, b: BTreeMap<i8, u16>) {
            let buckets = |map: &BTreeMap<i8, u16>| -> Buckets {
                map.iter().map(|(index, count)| (i64::from(*index), f64::from(*count))).collect()
            };
            let mut sum = buckets(&a);
            sum.merge(buckets(&b).iter(), |sum, count| *sum += count, |count| count);
            let mut expected: BTreeMap<i64, f64> = buckets(&a).iter().collect();
            for (index, count) in buckets(&b).iter() {
                *expected.entry(index).or_default() += count;
            }
            let mut descending: Vec<_> = sum.iter_reverse().collect();
            descending.reverse();
            prop_assert_eq!(&descending, &sum.iter().collect::<Vec<_>>());
            prop_assert_eq!(descending, expected.into_iter().collect::<Vec<_>>());
            let filled = sum.without(|count| count == 0.0);
            prop_assert!(filled.counts().iter().all(|count| *count != 0.0));
        }
    }
}
