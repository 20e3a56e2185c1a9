//! What grew between two sketches, and which label is to blame: the one whose values grew most where series did.

use super::hll::Hll;
use super::tally::Tally;
use super::{Kept, MetricSketch, PART_BITS, Sketch};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How a number of distinct series or values changed. What both have in common counts in neither `added` nor `gone`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
    /// How many of them were not there before.
    pub added: u64,
    /// How many there were that are not there any more.
    pub gone: u64,
}

/// A metric that got series.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricGrowth {
    /// The metric.
    pub metric: String,
    /// Its series.
    pub series: Change,
    /// Values of its labels that got any, most first: the first label is to blame. Empty where nothing is known of
    /// the values.
    pub labels: Vec<(String, Change)>,
}

/// A label name that got series or values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelGrowth {
    /// The label name.
    pub name: String,
    /// Series that were added to metrics of which this label got most values.
    pub blamed: u64,
    /// Series that have the label.
    pub series: Change,
    /// Its values.
    pub values: Change,
}

/// The change of registers alone. Errors of sets that have much in common are much the same, so a difference is better
/// than the estimates it is made of, and nothing changed is exactly none.
fn change_of(before: &Hll, after: &Hll) -> Change {
    let mut both = before.clone();
    both.merge(after);
    let (before, after, both) = (before.estimate(), after.estimate(), both.estimate());
    Change {
        before,
        after,
        added: both.saturating_sub(before),
        gone: both.saturating_sub(after),
    }
}

/// The same within what is certain.
fn change(before: &Tally, after: &Tally) -> Change {
    let change = change_of(&before.hll, &after.hll);
    let within = |number: u64, of: &Tally, other: &Tally| {
        number.clamp(of.at_least.saturating_sub(other.at_most), of.at_most)
    };
    Change {
        before: before.distinct().estimate,
        after: after.distinct().estimate,
        added: within(change.added, after, before),
        gone: within(change.gone, before, after),
    }
}

/// The same where one may be missing: cut off at a size, it counts as having had that size and all of the other's.
fn change_of_cut(before: Option<&Tally>, after: Option<&Tally>, cuts: (u64, u64)) -> Change {
    let none = Tally::none(PART_BITS);
    let mut found = change(before.unwrap_or(&none), after.unwrap_or(&none));
    if before.is_none() {
        found.before = cuts.0.min(found.after);
        found.added -= found.before.min(found.added);
    }
    if after.is_none() {
        found.after = cuts.1.min(found.before);
        found.gone -= found.after.min(found.gone);
    }
    found
}

/// All names of either, with what each has.
fn join<'a, T>(
    before: &'a Kept<T>,
    after: &'a Kept<T>,
) -> impl Iterator<Item = (&'a String, Option<&'a T>, Option<&'a T>)> {
    let gone = before.entries.iter();
    let gone = gone.filter(|(name, _)| !after.entries.contains_key(*name));
    let there = after.entries.iter();
    let there = there.map(|(name, entry)| (name, before.entries.get(name), Some(entry)));
    there.chain(gone.map(|(name, entry)| (name, Some(entry), None)))
}

impl Sketch {
    pub(crate) fn change_of_series(&self, after: &Self) -> Change {
        change(&self.series, &after.series)
    }

    /// Metrics that got series since this one, most first.
    pub(crate) fn metrics_grown(&self, after: &Self) -> Vec<MetricGrowth> {
        let cuts = (self.metrics.cut, after.metrics.cut);
        let mut grown = Vec::new();
        for (metric, before, now) in join(&self.metrics, &after.metrics) {
            let series = change_of_cut(before.map(|one| &one.series), now.map(|one| &one.series), cuts);
            if series.added > 0 {
                grown.push(MetricGrowth {
                    metric: metric.clone(),
                    series,
                    labels: now.map_or_else(Vec::new, |now| now.labels_grown(before)),
                });
            }
        }
        grown.sort_by_key(|one| Reverse(one.series.added));
        grown
    }

    /// Label names that got series or values since this one: first those to blame for most series of `metrics`.
    pub(crate) fn labels_grown(&self, after: &Self, metrics: &[MetricGrowth]) -> Vec<LabelGrowth> {
        let mut blamed: BTreeMap<&str, u64> = BTreeMap::new();
        for metric in metrics {
            if let Some((name, _)) = metric.labels.first() {
                let blamed = blamed.entry(name).or_default();
                *blamed = blamed.saturating_add(metric.series.added);
            }
        }
        let cuts = (self.names.cut, after.names.cut);
        let mut grown = Vec::new();
        for (name, before, now) in join(&self.names, &after.names) {
            let found = LabelGrowth {
                name: name.clone(),
                blamed: blamed.get(name.as_str()).copied().unwrap_or(0),
                series: change_of_cut(before.map(|one| &one.series), now.map(|one| &one.series), (0, 0)),
                values: change_of_cut(before.map(|one| &one.values), now.map(|one| &one.values), cuts),
            };
            if found.series.added > 0 || found.values.added > 0 {
                grown.push(found);
            }
        }
        grown.sort_by_key(|one| Reverse((one.blamed, one.values.added, one.series.added)));
        grown
    }
}

impl MetricSketch {
    /// Labels that got values, most first; none when the values were not known before.
    fn labels_grown(&self, before: Option<&Self>) -> Vec<(String, Change)> {
        if before.is_some_and(|before| before.labels.is_empty()) {
            return Vec::new();
        }
        let mut grown = Vec::new();
        for (name, values) in &self.labels {
            let found = before.and_then(|before| before.labels.get(name));
            let found = match found {
                Some(found) => change_of(found, values),
                None => change_of(&values.emptied(), values),
            };
            if found.added > 0 {
                grown.push((name.clone(), found));
            }
        }
        grown.sort_by_key(|(_, found)| Reverse(found.added));
        grown
    }
}
