//! Samples in memory as scripts load them, as a source of queries.

use super::compare::filled;
use super::nhcb::ClassicHistograms;
use super::script::Load;
use narthex::testing::promql::{Select, SequenceValue, SeriesSamples, SeriesSet, Source};
use narthex::{Buckets, FloatHistogram, Labels, MatchOp, Matcher, ResetHint, SourceError};
use regex_automata::meta::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// A sample, the reset hint that was written for it, and when its counter started, 0 if that is not known.
#[derive(Debug, Clone)]
struct Sample {
    value: Value,
    written_hint: ResetHint,
    start_ms: i64,
}

/// Series with their samples by time.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    series: BTreeMap<Labels, BTreeMap<i64, Sample>>,
}

impl Storage {
    pub(super) fn load(&mut self, load: &Load) -> Result<(), String> {
        let mut classic = ClassicHistograms::default();
        for description in load.series.iter().filter(|series| !series.are_starts) {
            for (timestamp_ms, value) in timed(load.step_ms, &description.values) {
                let value = match value {
                    SequenceValue::Omitted => continue,
                    SequenceValue::Float(value) => {
                        classic.add(&description.labels, timestamp_ms, *value);
                        Value::Float(*value)
                    }
                    SequenceValue::Histogram { histogram, .. } => {
                        Value::Histogram(Arc::new(histogram.clone()))
                    }
                };
                self.push(&description.labels, timestamp_ms, value);
            }
        }
        if load.with_nhcb {
            for (labels, timestamp_ms, histogram) in classic.convert()? {
                self.push(&labels, timestamp_ms, Value::Histogram(Arc::new(histogram)));
            }
        }
        self.series.values_mut().for_each(set_hints);
        for description in load.series.iter().filter(|series| series.are_starts) {
            self.set_starts(&description.labels, timed(load.step_ms, &description.values));
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, labels: &Labels, timestamp_ms: i64, value: Value) {
        let samples = self.series.entry(labels.clone()).or_default();
        let written_hint = match &value {
            Value::Float(_) => ResetHint::Unknown,
            Value::Histogram(histogram) => histogram.reset_hint,
        };
        let sample = Sample {
            value,
            written_hint,
            start_ms: 0,
        };
        samples.insert(timestamp_ms, sample);
    }

    /// Start timestamps are given in seconds from their samples.
    fn set_starts<'a>(&mut self, labels: &Labels, starts: impl Iterator<Item = (i64, &'a SequenceValue)>) {
        let Some(samples) = self.series.get_mut(labels) else {
            return;
        };
        for (timestamp_ms, start) in starts {
            let sample = samples.get_mut(&timestamp_ms);
            if let (SequenceValue::Float(seconds), Some(sample)) = (start, sample) {
                sample.start_ms = timestamp_ms + (seconds * 1e3).round() as i64;
            }
        }
    }
}

fn timed(step_ms: i64, values: &[SequenceValue]) -> impl Iterator<Item = (i64, &SequenceValue)> {
    (0..).map(move |step| step * step_ms).zip(values)
}

/// Gives histograms the reset hints that Prometheus' storage answers with. In a chunk there is no reset; at its start
/// nothing is known, even if a reset is what started it.
fn set_hints(samples: &mut BTreeMap<i64, Sample>) {
    let mut before: Option<Arc<FloatHistogram>> = None;
    for sample in samples.values_mut() {
        let Value::Histogram(histogram) = &mut sample.value else {
            before = None;
            continue;
        };
        let joins = before.is_some_and(|before| joins_chunk(&before, histogram, sample.written_hint));
        Arc::make_mut(histogram).reset_hint = match sample.written_hint {
            ResetHint::Gauge => ResetHint::Gauge,
            _ if joins => ResetHint::NotReset,
            _ => ResetHint::Unknown,
        };
        before = Some(Arc::clone(histogram));
    }
}

/// Whether a histogram of a counter goes into the chunk of the one before.
fn joins_chunk(before: &FloatHistogram, histogram: &FloatHistogram, hint: ResetHint) -> bool {
    if before.reset_hint == ResetHint::Gauge || hint == ResetHint::Reset {
        return false;
    }
    if histogram.is_stale() || before.is_stale() {
        return histogram.is_stale();
    }
    before.schema == histogram.schema
        && before.zero_threshold == histogram.zero_threshold
        && before.custom_values == histogram.custom_values
        && before.count <= histogram.count
        && before.zero_count <= histogram.zero_count
        && !falls(&before.positive, &histogram.positive)
        && !falls(&before.negative, &histogram.negative)
}

/// Whether a bucket has less than before.
fn falls(before: &Buckets, after: &Buckets) -> bool {
    let after: BTreeMap<i64, f64> = filled(after).collect();
    filled(before).any(|(index, count)| after.get(&index).is_none_or(|now| *now < count))
}

/// A condition that is ready to be asked.
struct Condition {
    matcher: Matcher,
    pattern: Option<Regex>,
}

impl Condition {
    fn new(matcher: &Matcher) -> Result<Self, SourceError> {
        let pattern = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(
                Regex::new(&format!("^(?s:{})$", matcher.value))
                    .map_err(|error| SourceError(error.to_string()))?,
            ),
        };
        Ok(Self {
            matcher: matcher.clone(),
            pattern,
        })
    }

    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.matcher.name).unwrap_or_default();
        let is_equal = match &self.pattern {
            Some(pattern) => pattern.is_match(value),
            None => self.matcher.value == value,
        };
        is_equal == matches!(self.matcher.op, MatchOp::Equal | MatchOp::Regex)
    }
}

impl Source for Storage {
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError> {
        let conditions: Vec<Condition> = select
            .matchers
            .iter()
            .map(Condition::new)
            .collect::<Result<_, _>>()?;
        let (start_ms, end_ms) = (select.start_ms, select.end_ms);
        let found = self.series.iter().filter(move |(labels, samples)| {
            let is_within = start_ms <= end_ms && samples.range(start_ms..=end_ms).next().is_some();
            is_within && conditions.iter().all(|condition| condition.matches(labels))
        });
        Ok(Box::new(Found {
            series: Box::new(found),
            start_ms,
            end_ms,
        }))
    }
}

struct Found<'a> {
    series: Box<dyn Iterator<Item = (&'a Labels, &'a BTreeMap<i64, Sample>)> + 'a>,
    start_ms: i64,
    end_ms: i64,
}

impl SeriesSet for Found<'_> {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        let Some((labels, samples)) = self.series.next() else {
            return Ok(false);
        };
        out.clear();
        out.labels = labels.clone();
        for (timestamp_ms, sample) in samples.range(self.start_ms..=self.end_ms) {
            match &sample.value {
                Value::Float(value) => {
                    out.floats.timestamps_ms.push(*timestamp_ms);
                    out.floats.values.push(*value);
                    out.floats.starts_ms.push(sample.start_ms);
                }
                Value::Histogram(histogram) => {
                    out.histograms.timestamps_ms.push(*timestamp_ms);
                    out.histograms.values.push(Arc::clone(histogram));
                    out.histograms.starts_ms.push(sample.start_ms);
                }
            }
        }
        Ok(true)
    }
}
