//! Sets of times as spans that are open at their beginning and closed at their end, ascending and apart.

/// A set of spans `(from, to]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<(i64, i64)>);

impl Spans {
    /// One span; nothing if it is empty.
    pub(crate) fn of(from: i64, to: i64) -> Self {
        Self(if from < to { vec![(from, to)] } else { Vec::new() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }

    /// How long the spans are together.
    pub(crate) fn length(&self) -> i128 {
        let lengths = self
            .0
            .iter()
            .map(|(from, to)| i128::from(*to) - i128::from(*from));
        lengths.sum()
    }

    /// Adds a span, which becomes one with those that it touches.
    pub(crate) fn insert(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|span| span.1 < from);
        let end = self.0.partition_point(|span| span.0 <= to);
        let touched = self.0.get(first..end).unwrap_or_default();
        let from = touched.first().map_or(from, |span| span.0.min(from));
        let to = touched.last().map_or(to, |span| span.1.max(to));
        self.0.splice(first..end.max(first), [(from, to)]);
    }

    /// Takes out what another set has.
    pub(crate) fn subtract(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut at = 0;
        for (mut from, to) in self.iter() {
            while other.0.get(at).is_some_and(|span| span.1 <= from) {
                at += 1;
            }
            for (out_from, out_to) in other.0.iter().skip(at).take_while(|span| span.0 < to) {
                if *out_from > from {
                    left.push((from, *out_from));
                }
                from = from.max(*out_to);
            }
            if from < to {
                left.push((from, to));
            }
        }
        Self(left)
    }

    /// What lies within a span.
    pub(crate) fn within(&self, from: i64, to: i64) -> Self {
        let first = self.0.partition_point(|span| span.1 <= from);
        let end = self.0.partition_point(|span| span.0 < to);
        let within = self.0.get(first..end.max(first)).unwrap_or_default();
        Self(
            within
                .iter()
                .map(|span| (span.0.max(from), span.1.min(to)))
                .collect(),
        )
    }

    /// Keeps the number of spans down by closing the narrowest gaps.
    pub(crate) fn coarsen(&mut self, most: usize) {
        while self.0.len() > most.max(1) {
            let gaps = self
                .0
                .windows(2)
                .map(|pair| i128::from(pair[1].0) - i128::from(pair[0].1));
            let Some(limit) = median(gaps.collect()) else {
                return;
            };
            let mut closed: Vec<(i64, i64)> = Vec::with_capacity(self.0.len() / 2 + 1);
            for (from, to) in self.iter() {
                match closed.last_mut() {
                    Some(last) if i128::from(from) - i128::from(last.1) <= limit => last.1 = to,
                    _ => closed.push((from, to)),
                }
            }
            self.0 = closed;
        }
    }
}

fn median(mut gaps: Vec<i128>) -> Option<i128> {
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(spans: &Spans) -> Vec<bool> {
        let has = |point: &i64| spans.iter().any(|(from, to)| from < *point && *point <= to);
        (0..=60).map(|point| has(&point)).collect()
    }

    fn some() -> impl Strategy<Value = Spans> {
        proptest::collection::vec((0i64..50, 0i64..10), 0..12).prop_map(|all| {
            let mut spans = Spans::default();
            all.into_iter()
                .for_each(|(from, length)| spans.insert(from, from + length));
            spans
        })
    }

    proptest! {
        #[test]
        fn sets_are_as_their_points(a in some(), b in some(), from in 0i64..60, length in 0i64..30) {
            let apart = a.0.windows(2).all(|pair| pair[0].1 < pair[1].0);
            prop_assert!(apart && a.iter().all(|(from, to)| from < to));
            let (in_a, in_b) = (points(&a), points(&b));
            let wanted: Vec<bool> = in_a.iter().zip(&in_b).map(|(a, b)| *a && !*b).collect();
            prop_assert_eq!(points(&a.subtract(&b)), wanted);
            let is_within = |point: i64| from < point && point <= from + length;
            let wanted: Vec<bool> = (0..=60).map(|point| in_a[point as usize] && is_within(point)).collect();
            prop_assert_eq!(points(&a.within(from, from + length)), wanted);
            let mut coarse = a.clone();
            coarse.coarsen(3);
            prop_assert!(coarse.0.len() <= 3);
            prop_assert!(a.subtract(&coarse).is_empty());
        }
    }
}
