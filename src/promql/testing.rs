//! A table in memory as the source of tests, and queries on it in one line.

use super::ParseOptions;
use super::annotations::Annotations;
use super::durations::QueryTimes;
use super::eval::error::EvalError;
use super::eval::{EvalOptions, Outcome, evaluate};
use super::parse::{parse, parse_metric};
use super::preprocess::preprocess;
use super::query::Resolution;
use super::source::{Select, SeriesSamples, SeriesSet, Source, SourceError};
use super::value::{QueryPoint, QueryValue, Steps};
use crate::index::LabelMatcher;
use crate::model::labels::Labels;
use crate::model::sample::stale_nan;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Series by their labels.
#[derive(Debug, Default)]
pub(crate) struct Table {
    series: BTreeMap<Labels, SeriesSamples>,
    /// How often something was selected.
    pub(crate) selects: Cell<usize>,
}

impl Table {
    /// Adds floats, `step_s` seconds apart from zero on; `None` is a gap, NaN a stale marker.
    pub(crate) fn load(mut self, metric: &str, step_s: i64, values: &[Option<f64>]) -> Self {
        let labels = Labels::from_pairs(parse_metric(metric).unwrap()).unwrap();
        let series = self.series.entry(labels.clone()).or_default();
        series.labels = labels;
        for (index, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            series.floats.timestamps_ms.push(index as i64 * step_s * 1000);
            series
                .floats
                .values
                .push(if value.is_nan() { stale_nan() } else { *value });
        }
        self
    }

    /// Adds a series with these samples, which ascend in time.
    pub(crate) fn add(mut self, series: SeriesSamples) -> Self {
        self.series.insert(series.labels.clone(), series);
        self
    }

    /// All series, with something done to their floats.
    pub(crate) fn mapped(&self, map: impl Fn(f64) -> f64) -> Self {
        let mut series = self.series.clone();
        for one in series.values_mut() {
            one.floats
                .values
                .iter_mut()
                .for_each(|value| *value = map(*value));
        }
        Self {
            series,
            selects: Cell::default(),
        }
    }

    /// The same for floats without gaps.
    pub(crate) fn floats(self, metric: &str, step_s: i64, values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<Option<f64>> = values.into_iter().map(Some).collect();
        self.load(metric, step_s, &values)
    }
}

impl Table {
    /// What a select finds.
    pub(crate) fn find(&self, select: &Select) -> Result<Vec<SeriesSamples>, SourceError> {
        let matchers = LabelMatcher::compile_all(&select.matchers);
        let matchers = matchers.map_err(|error| SourceError(error.to_string()))?;
        let matches = |labels: &Labels| {
            matchers
                .iter()
                .all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
        };
        let reach = |times: &[i64]| {
            let from = times.partition_point(|at| *at < select.start_ms);
            from..times.partition_point(|at| *at <= select.end_ms)
        };
        let within = |series: &SeriesSamples| {
            let mut cut = SeriesSamples {
                labels: series.labels.clone(),
                ..SeriesSamples::default()
            };
            let (floats, histograms) = (&series.floats, &series.histograms);
            let reached = reach(&floats.timestamps_ms);
            cut.floats.timestamps_ms = floats.timestamps_ms[reached.clone()].to_vec();
            cut.floats.values = floats.values[reached].to_vec();
            let reached = reach(&histograms.timestamps_ms);
            cut.histograms.timestamps_ms = histograms.timestamps_ms[reached.clone()].to_vec();
            cut.histograms.values = histograms.values[reached].to_vec();
            cut
        };
        let found = self
            .series
            .values()
            .filter(|series| matches(&series.labels))
            .map(within);
        Ok(found.filter(|series| !series.is_empty()).collect())
    }
}

struct Found {
    series: std::vec::IntoIter<SeriesSamples>,
}

impl Source for Table {
    fn select<'a>(&'a self, select: &Select) -> Result<Box<dyn SeriesSet + 'a>, SourceError> {
        self.selects.set(self.selects.get() + 1);
        let found = self.find(select)?;
        Ok(Box::new(Found {
            series: found.into_iter(),
        }))
    }
}

impl SeriesSet for Found {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        match self.series.next() {
            Some(series) => *out = series,
            None => return Ok(false),
        }
        Ok(true)
    }
}

pub(crate) fn options() -> EvalOptions {
    EvalOptions {
        lookback_ms: 300_000,
        subquery_step_ms: 60_000,
        delayed_name_removal: false,
        start_timestamps: false,
        type_and_unit_labels: false,
        resolution: Resolution::Exact,
        samples_by_step: false,
        samples_max: 1_000_000,
        timeout: None,
        cancel: super::eval::budget::CancelFlag::default(),
        memory: super::eval::budget::QueryMemory::default(),
    }
}

/// Evaluates a query over `count` steps; with one it is an instant query.
pub(crate) fn run(table: &Table, query: &str, start_s: i64, step_s: i64, count: usize) -> Outcome {
    run_with(
        table,
        &options(),
        query,
        Steps {
            start_ms: start_s * 1000,
            step_ms: step_s * 1000,
            count,
        },
    )
}

pub(crate) fn run_with(source: &dyn Source, options: &EvalOptions, query: &str, steps: Steps) -> Outcome {
    let mut expr = parse(query, ParseOptions::default()).unwrap();
    let (start_ms, end_ms) = (steps.start_ms, steps.end_ms());
    let step_ms = if start_ms == end_ms { 0 } else { steps.step_ms };
    preprocess(
        &mut expr,
        &QueryTimes {
            start_ms,
            end_ms,
            step_ms,
        },
    )
    .unwrap();
    evaluate(source, options, &expr, steps, steps.count > 1)
}

/// The result of an instant query, a line for each series.
pub(crate) fn instant(table: &Table, query: &str, time_s: i64) -> Result<Vec<String>, EvalError> {
    let point = |point: &QueryPoint| match point {
        QueryPoint::Float(value) => value.to_string(),
        QueryPoint::Histogram(histogram) => histogram.to_string(),
    };
    Ok(match run(table, query, time_s, 1, 1).value? {
        QueryValue::Scalar { value, .. } => vec![value.to_string()],
        QueryValue::String { value, .. } => vec![value],
        QueryValue::Vector(samples) => {
            let line =
                |sample: &super::value::QuerySample| format!("{} {}", sample.labels, point(&sample.value));
            samples.iter().map(line).collect()
        }
        QueryValue::Matrix(series) => {
            let line = |one: &super::value::QuerySeries| format!("{} {:?}", one.labels, one.floats);
            series.iter().map(line).collect()
        }
    })
}

/// The floats of a range query, a line for each series, `_` where there is none.
pub(crate) fn range(
    table: &Table,
    query: &str,
    start_s: i64,
    step_s: i64,
    count: usize,
) -> Result<Vec<String>, EvalError> {
    let QueryValue::Matrix(series) = run(table, query, start_s, step_s, count).value? else {
        return Ok(Vec::new());
    };
    let line = |one: &super::value::QuerySeries| {
        let at = |step: usize| {
            let timestamp_ms = (start_s + step as i64 * step_s) * 1000;
            let found = one.floats.iter().find(|point| point.0 == timestamp_ms);
            found.map_or("_".to_owned(), |point| point.1.to_string())
        };
        let values: Vec<String> = (0..count).map(at).collect();
        format!("{} {}", one.labels, values.join(" "))
    };
    Ok(series.iter().map(line).collect())
}

/// Warnings and infos as they are shown.
pub(crate) fn notes(annotations: &Annotations, query: &str) -> Vec<String> {
    let shown = annotations.texts(query, 10);
    shown.warnings.into_iter().chain(shown.infos).collect()
}
