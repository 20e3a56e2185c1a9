//! The samples of one series as columns: floats and histograms apart, each in order of time.
//!
//! This is what a chunk or a segment decodes to and what merging works on. For one timestamp a series has one value;
//! where parts disagree, their classes settle it, and between ordinary samples the part that was written first wins.

use super::histogram::Histogram;
use super::sample::{Class, Sample, Value};
use super::starts::StartRuns;
use std::iter::Zip;
use std::slice;
use std::sync::Arc;

/// Samples of one series, ascending in time, no timestamp twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    pub(crate) timestamps: Vec<i64>,
    /// Bits of the floats, beside `timestamps`.
    pub(crate) bits: Vec<u64>,
    pub(crate) histograms: Vec<(i64, Arc<Histogram>)>,
    pub(crate) starts: StartRuns,
    /// Classes of the samples that are not ordinary, ascending in time.
    pub(crate) classes: Vec<(i64, Class)>,
}

impl Samples {
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        self.timestamps.clear();
        self.bits.clear();
        self.histograms.clear();
        self.starts = StartRuns::default();
        self.classes.clear();
    }

    /// First and last timestamp.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let floats = self
            .timestamps
            .first()
            .copied()
            .zip(self.timestamps.last().copied());
        let histograms = self
            .histograms
            .first()
            .zip(self.histograms.last())
            .map(|(a, b)| (a.0, b.0));
        match (floats, histograms) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, other) => one.or(other),
        }
    }

    /// All timestamps, those of histograms behind those of floats.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        let histograms = self.histograms.iter().map(|sample| sample.0);
        self.timestamps.iter().copied().chain(histograms)
    }

    /// Appends a sample that is newer than all.
    pub(crate) fn push(&mut self, timestamp: i64, value: Value, start_timestamp: i64) {
        self.starts.push(timestamp, start_timestamp);
        match value {
            Value::Float(value) => {
                self.timestamps.push(timestamp);
                self.bits.push(value.to_bits());
            }
            Value::Histogram(histogram) => self.histograms.push((timestamp, histogram)),
        }
    }

    /// The same of any class.
    pub(crate) fn push_classed(&mut self, timestamp: i64, value: Value, start_timestamp: i64, class: Class) {
        self.push(timestamp, value, start_timestamp);
        if class != Class::Ordinary {
            self.classes.push((timestamp, class));
        }
    }

    /// The class of the sample at `timestamp`.
    pub(crate) fn class_at(&self, timestamp: i64) -> Class {
        let found = self.classes.binary_search_by_key(&timestamp, |class| class.0);
        found
            .ok()
            .and_then(|index| self.classes.get(index))
            .map_or(Class::Ordinary, |class| class.1)
    }

    /// Drops what lies in `from..=to`.
    pub(crate) fn cut_out(&mut self, from: i64, to: i64) {
        let start = self.timestamps.partition_point(|timestamp| *timestamp < from);
        let end = self.timestamps.partition_point(|timestamp| *timestamp <= to);
        if start < end {
            self.timestamps.drain(start..end);
            self.bits.drain(start..end);
        }
        self.histograms.retain(|sample| !(from..=to).contains(&sample.0));
        self.classes.retain(|class| !(from..=to).contains(&class.0));
    }

    /// Keeps what lies in `from..=to`.
    pub(crate) fn trim(&mut self, from: i64, to: i64) {
        let end = self.timestamps.partition_point(|timestamp| *timestamp <= to);
        self.timestamps.truncate(end);
        self.bits.truncate(end);
        let start = self.timestamps.partition_point(|timestamp| *timestamp < from);
        if start > 0 {
            self.timestamps.drain(..start);
            self.bits.drain(..start);
        }
        self.histograms.retain(|sample| (from..=to).contains(&sample.0));
        self.classes.retain(|class| (from..=to).contains(&class.0));
        self.starts.trim(to);
    }

    pub(crate) fn iter(&self) -> SamplesIter<'_> {
        SamplesIter {
            is_plain: self.histograms.is_empty() && self.starts.is_unknown(),
            floats: self.timestamps.iter().zip(&self.bits),
            histograms: self.histograms.iter(),
            starts: &self.starts,
        }
    }

    /// Appends samples that are all newer; the first of them is at `first`.
    pub(crate) fn extend(&mut self, newer: &Self, first: i64) {
        if !(self.starts.is_unknown() && newer.starts.is_unknown()) {
            self.starts.append(&newer.starts, first);
        }
        self.timestamps.extend_from_slice(&newer.timestamps);
        self.bits.extend_from_slice(&newer.bits);
        self.histograms.extend_from_slice(&newer.histograms);
        self.classes.extend_from_slice(&newer.classes);
    }

    /// Joins parts in order of writing: appends where the times follow each other, else settles place by place.
    pub(crate) fn join(parts: Vec<Self>) -> Self {
        Self::join_counting(parts).0
    }

    /// The same, and how many ordinary samples lost against other bits that were written before them.
    pub(crate) fn join_counting(parts: Vec<Self>) -> (Self, u64) {
        let mut conflicts = 0;
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let Some(mut joined) = parts.next() else {
            return Default::default();
        };
        for part in parts {
            joined = joined.join_one(part, &mut conflicts);
        }
        (joined, conflicts)
    }

    fn join_one(mut self, later: Self, conflicts: &mut u64) -> Self {
        let (Some(own), Some(other)) = (self.bounds(), later.bounds()) else {
            return if self.is_empty() { later } else { self };
        };
        if other.0 > own.1 {
            self.extend(&later, other.0);
            return self;
        }
        if other.1 < own.0 {
            let mut joined = later;
            joined.extend(&self, own.0);
            return joined;
        }
        if self.is_plain() && later.is_plain() {
            return merge_plain(&self, &later, conflicts);
        }
        merge(&self, &later, conflicts)
    }

    /// Whether there is nothing but ordinary floats without start timestamps.
    fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_unknown() && self.classes.is_empty()
    }
}

/// As [`merge`], where both parts are plain: runs of the one and the other in turn, the first of two at one place.
fn merge_plain(below: &Samples, above: &Samples, conflicts: &mut u64) -> Samples {
    let mut merged = Samples::default();
    let most = below.timestamps.len() + above.timestamps.len();
    merged.timestamps.reserve_exact(most);
    merged.bits.reserve_exact(most);
    let mut done = 0;
    for (timestamp, bits) in above.timestamps.iter().zip(&above.bits) {
        let rest = below.timestamps.get(done..).unwrap_or(&[]);
        let run = run_before(rest, *timestamp);
        merged.timestamps.extend_from_slice(&rest[..run]);
        merged.bits.extend_from_slice(&below.bits[done..done + run]);
        done += run;
        if below.timestamps.get(done) == Some(timestamp) {
            *conflicts += u64::from(below.bits[done] != *bits);
        } else {
            merged.timestamps.push(*timestamp);
            merged.bits.push(*bits);
        }
    }
    merged.timestamps.extend_from_slice(&below.timestamps[done..]);
    merged.bits.extend_from_slice(&below.bits[done..]);
    merged
}

/// How many of `timestamps` are smaller than `end`: in steps that double, as runs may be short or long.
fn run_before(timestamps: &[i64], end: i64) -> usize {
    let mut step = 1;
    while timestamps.get(step - 1).is_some_and(|timestamp| *timestamp < end) {
        step *= 2;
    }
    let (from, to) = (step / 2, timestamps.len().min(step));
    from + timestamps[from..to].partition_point(|timestamp| *timestamp < end)
}

/// Merges overlapping parts, the second written after the first.
fn merge(below: &Samples, above: &Samples, conflicts: &mut u64) -> Samples {
    let mut merged = Samples::default();
    let mut one = below.iter().peekable();
    let mut two = above.iter().peekable();
    loop {
        let (sample, class) = match (one.peek(), two.peek()) {
            (None, None) => return merged,
            (Some(a), Some(b)) if a.timestamp == b.timestamp => {
                let classes = (below.class_at(a.timestamp), above.class_at(b.timestamp));
                let (is_above, class) = Class::settle((&a.value, classes.0), (&b.value, classes.1));
                *conflicts += u64::from(classes.1 == Class::Ordinary && a.value != b.value);
                let (below, above) = (one.next(), two.next());
                (if is_above { above } else { below }, class)
            }
            (Some(a), b) if b.is_none_or(|b| a.timestamp < b.timestamp) => {
                let class = below.class_at(a.timestamp);
                (one.next(), class)
            }
            (_, b) => {
                let class = b.map_or(Class::Ordinary, |b| above.class_at(b.timestamp));
                (two.next(), class)
            }
        };
        if let Some(sample) = sample {
            merged.push_classed(sample.timestamp, sample.value, sample.start_timestamp, class);
        }
    }
}

/// Samples of both kinds in order of time, from either end.
#[derive(Debug, Clone)]
pub(crate) struct SamplesIter<'a> {
    /// There are floats only, without start timestamps.
    is_plain: bool,
    floats: Zip<slice::Iter<'a, i64>, slice::Iter<'a, u64>>,
    histograms: slice::Iter<'a, (i64, Arc<Histogram>)>,
    starts: &'a StartRuns,
}

#[inline]
fn plain_float((timestamp, bits): (&i64, &u64)) -> Sample {
    let value = Value::Float(f64::from_bits(*bits));
    Sample {
        timestamp: *timestamp,
        value,
        start_timestamp: 0,
    }
}

impl<'a> SamplesIter<'a> {
    fn float(&self, float: (&i64, &u64)) -> Sample {
        Sample {
            start_timestamp: self.starts.at(*float.0),
            ..plain_float(float)
        }
    }

    fn histogram(&self, (timestamp, histogram): &'a (i64, Arc<Histogram>)) -> Sample {
        let value = Value::Histogram(histogram.clone());
        Sample {
            timestamp: *timestamp,
            value,
            start_timestamp: self.starts.at(*timestamp),
        }
    }

    fn next_mixed(&mut self) -> Option<Sample> {
        let float = self.floats.clone().next().map(|float| *float.0);
        let histogram = self.histograms.clone().next().map(|histogram| histogram.0);
        if histogram.is_some_and(|histogram| float.is_none_or(|float| histogram < float)) {
            return self.histograms.next().map(|histogram| self.histogram(histogram));
        }
        self.floats.next().map(|float| self.float(float))
    }

    fn next_back_mixed(&mut self) -> Option<Sample> {
        let float = self.floats.clone().next_back().map(|float| *float.0);
        let histogram = self.histograms.clone().next_back().map(|histogram| histogram.0);
        if histogram.is_some_and(|histogram| float.is_none_or(|float| histogram > float)) {
            return self
                .histograms
                .next_back()
                .map(|histogram| self.histogram(histogram));
        }
        self.floats.next_back().map(|float| self.float(float))
    }
}

impl Iterator for SamplesIter<'_> {
    type Item = Sample;

    #[inline]
    fn next(&mut self) -> Option<Sample> {
        if self.is_plain {
            self.floats.next().map(plain_float)
        } else {
            self.next_mixed()
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.floats.len() + self.histograms.len();
        (left, Some(left))
    }

    #[inline]
    fn fold<B, F: FnMut(B, Sample) -> B>(self, initial: B, mut each: F) -> B {
        if self.is_plain {
            return self
                .floats
                .fold(initial, |all, float| each(all, plain_float(float)));
        }
        let mut all = initial;
        let mut rest = self;
        while let Some(sample) = rest.next_mixed() {
            all = each(all, sample);
        }
        all
    }
}

impl DoubleEndedIterator for SamplesIter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Sample> {
        if self.is_plain {
            self.floats.next_back().map(plain_float)
        } else {
            self.next_back_mixed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(samples: &[(i64, f64)]) -> Samples {
        let mut out = Samples::default();
        for (timestamp, value) in samples {
            out.push(*timestamp, Value::Float(*value), 0);
        }
        out
    }

    fn times(samples: &Samples) -> Vec<(i64, f64)> {
        samples
            .iter()
            .map(|sample| (sample.timestamp, sample.value.as_float().unwrap_or(-1.0)))
            .collect()
    }

    #[test]
    fn the_first_part_wins_and_order_is_kept() {
        let joined = Samples::join(vec![
            floats(&[(10, 1.0), (20, 2.0), (30, 3.0)]),
            floats(&[(5, 0.5), (20, 9.0), (25, 2.5)]),
            floats(&[(40, 4.0)]),
            floats(&[(1, 0.1)]),
        ]);
        assert_eq!(
            times(&joined),
            [
                (1, 0.1),
                (5, 0.5),
                (10, 1.0),
                (20, 2.0),
                (25, 2.5),
                (30, 3.0),
                (40, 4.0)
            ]
        );
    }

    #[test]
    fn both_ends_meet() {
        let samples = floats(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        let mut iter = samples.iter();
        assert_eq!(iter.next_back().map(|sample| sample.timestamp), Some(3));
        assert_eq!(iter.next().map(|sample| sample.timestamp), Some(1));
        assert_eq!(iter.next_back().map(|sample| sample.timestamp), Some(2));
        assert_eq!(iter.next_back(), None);
        assert_eq!(iter.next(), None);
    }

    #[test]
    fn starts_follow_their_samples_through_a_merge() {
        let mut one = Samples::default();
        one.push(10, Value::Float(1.0), 7);
        one.push(30, Value::Float(3.0), 7);
        let mut two = Samples::default();
        two.push(20, Value::Float(2.0), 0);
        two.push(40, Value::Float(4.0), 35);
        let joined = Samples::join(vec![one, two]);
        let starts: Vec<i64> = joined.iter().map(|sample| sample.start_timestamp).collect();
        assert_eq!(starts, [7, 0, 7, 35]);
    }
}
