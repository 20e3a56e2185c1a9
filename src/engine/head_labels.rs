//! Which labels of the series in memory there are most of: the index of the head, walked in strides, so that no commit waits
//! long for its lock.

use super::Engine;
use crate::model::labels::METRIC_NAME;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Values that are looked at before the index is given free for a moment.
const STRIDE: usize = 4_096;

/// What the series in memory are made of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct HeadLabels {
    /// Distinct pairs of label name and value.
    pub(crate) pairs: u64,
    /// Chunks in memory.
    pub(crate) chunks: u64,
    /// Metrics by their series.
    pub(crate) metrics: Vec<(String, u64)>,
    /// Label names by their values.
    pub(crate) names: Vec<(String, u64)>,
    /// Label names by the bytes of their pairs in all series.
    pub(crate) value_bytes: Vec<(String, u64)>,
    /// Pairs, as `name=value`, by their series.
    pub(crate) pair_series: Vec<(String, u64)>,
}

/// The largest of many counts, each list at most so long; of equal ones the first by name.
#[derive(Debug)]
struct Top {
    most: usize,
    kept: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Top {
    fn new(most: usize) -> Self {
        Self {
            most,
            kept: BinaryHeap::new(),
        }
    }

    fn add(&mut self, count: u64, name: impl FnOnce() -> String) {
        if self.kept.len() >= self.most && self.kept.peek().is_some_and(|least| count < least.0.0) {
            return;
        }
        self.kept.push(Reverse((count, Reverse(name()))));
        if self.kept.len() > self.most {
            self.kept.pop();
        }
    }

    fn into_list(self) -> Vec<(String, u64)> {
        let kept = self.kept.into_sorted_vec().into_iter();
        kept.map(|Reverse((count, Reverse(name)))| (name, count))
            .collect()
    }
}

/// What a pair takes in a label set of Prometheus: both texts with their lengths.
fn pair_bytes(name: &str, value: &str) -> u64 {
    let text = |text: &str| text.len() + if text.len() < 255 { 1 } else { 4 };
    (text(name) + text(value)) as u64
}

impl Engine {
    /// The labels that the series in memory have most of, at most `most` in each list.
    pub(crate) fn head_labels(&self, most: usize) -> HeadLabels {
        let mut names = self.head.read_index().name_stats();
        names.sort_by(|one, other| one.name.cmp(&other.name));
        let top = || Top::new(most);
        let (mut metrics, mut by_values, mut by_bytes, mut pairs) = (top(), top(), top(), top());
        let mut all = 0;
        for name in names {
            let (mut count, mut bytes) = (0, 0);
            self.each_value(&name.name, |value, series| {
                count += 1;
                bytes += series * pair_bytes(&name.name, value);
                pairs.add(series, || format!("{}={value}", name.name));
                if name.name == METRIC_NAME {
                    metrics.add(series, || value.to_owned());
                }
            });
            all += count;
            by_values.add(count, || name.name.clone());
            by_bytes.add(bytes, || name.name.clone());
        }
        HeadLabels {
            pairs: all,
            chunks: self.head.chunk_count(),
            metrics: metrics.into_list(),
            names: by_values.into_list(),
            value_bytes: by_bytes.into_list(),
            pair_series: pairs.into_list(),
        }
    }

    /// Calls `each` with every value of a label and how many series have it, in order.
    fn each_value(&self, name: &str, mut each: impl FnMut(&str, u64)) {
        let mut from = String::new();
        loop {
            let index = self.head.read_index();
            let mut values = index.label_values(name, &from, None);
            for _ in 0..STRIDE {
                let Some((value, series)) = values.current() else {
                    return;
                };
                each(value, series);
                values.advance();
            }
            match values.current() {
                Some((value, _)) => value.clone_into(&mut from),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_listed_first() {
        let mut top = Top::new(3);
        for (count, name) in [(2, "b"), (9, "z"), (2, "a"), (1, "x"), (2, "c"), (0, "y")] {
            top.add(count, || name.to_owned());
        }
        let listed = [("z", 9), ("a", 2), ("b", 2)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(top.into_list(), listed);
        assert_eq!(Top::new(3).into_list(), []);
    }
}
