//! Samples in memory as scripts load them, as a source of queries.

use super::nhcb::ClassicHistograms;
use super::script::Load;
use narthex::testing::promql::{
    FloatHistogram, Select, SequenceValue, SeriesSamples, SeriesSet, Source, SourceError,
};
use narthex::{Labels, MatchOp, Matcher, ResetHint};
use regex_automata::meta::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Value {
    /// The value as it is read from a chunk that it shares with the sample before, if it does: then there was no reset. At the
    /// start of a chunk nothing is known. A reset or another shape of histogram starts a chunk.
    fn hinted(&self, before: Option<&Self>) -> Self {
        let Self::Histogram(histogram) = self else {
            return self.clone();
        };
        if histogram.reset_hint == ResetHint::Gauge {
            return self.clone();
        }
        let mut open = FloatHistogram::clone(histogram);
        open.reset_hint = ResetHint::Unknown;
        let joins = match before {
            Some(Self::Histogram(before)) if before.reset_hint != ResetHint::Gauge => {
                let has_shape = open.schema == before.schema
                    && open.zero_threshold == before.zero_threshold
                    && open.custom_values == before.custom_values;
                let is_reset = histogram.reset_hint == ResetHint::Reset || open.is_reset_from(before);
                open.is_stale() || (!before.is_stale() && has_shape && !is_reset)
            }
            _ => false,
        };
        if joins {
            open.reset_hint = ResetHint::NotReset;
        }
        Self::Histogram(Arc::new(open))
    }
}

/// A sample, and when its counter started, 0 if that is not known.
#[derive(Debug, Clone)]
struct Sample {
    value: Value,
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
        for description in load.series.iter().filter(|series| series.are_starts) {
            self.set_starts(&description.labels, timed(load.step_ms, &description.values));
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, labels: &Labels, timestamp_ms: i64, value: Value) {
        let samples = self.series.entry(labels.clone()).or_default();
        samples.insert(timestamp_ms, Sample { value, start_ms: 0 });
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
        let mut before = None;
        for (timestamp_ms, sample) in samples.range(..=self.end_ms) {
            let hinted = sample.value.hinted(before.replace(&sample.value));
            if *timestamp_ms < self.start_ms {
                continue;
            }
            match hinted {
                Value::Float(value) => {
                    out.floats.timestamps_ms.push(*timestamp_ms);
                    out.floats.values.push(value);
                    out.floats.starts_ms.push(sample.start_ms);
                }
                Value::Histogram(histogram) => {
                    out.histograms.timestamps_ms.push(*timestamp_ms);
                    out.histograms.values.push(histogram);
                    out.histograms.starts_ms.push(sample.start_ms);
                }
            }
        }
        Ok(true)
    }
}
