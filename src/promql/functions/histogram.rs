//! Functions of histograms, native ones and classic ones made of series with the label `le`.

use super::classic::{self, ClassicBucket};
use super::native::{self, Judged};
use super::{Call, Implementation};
use crate::base::go_text::float_open_metrics;
use crate::base::math::NAN;
use crate::model::float_histogram::FloatHistogram;
use crate::model::labels::Labels;
use crate::promql::annotations::Annotation;

use crate::promql::eval::Map;
use crate::promql::eval::error::EvalError;
use crate::promql::eval::labels::{kept, with};
use crate::promql::value::{Cell, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label with the upper bound of a classic bucket.
const BUCKET_LABEL: &str = "le";

macro_rules! histogram_function {
    ($function:expr) => {
        Implementation::Cell(|_, _, _, cell| on_histogram(cell, $function))
    };
}

pub(super) fn implementation(name: &str) -> Option<Implementation> {
    Some(match name {
        "histogram_avg" => histogram_function!(|histogram| histogram.sum / histogram.count),
        "histogram_count" => histogram_function!(|histogram| histogram.count),
        "histogram_fraction" => Implementation::Rows(histogram_fraction),
        "histogram_quantile" => Implementation::Rows(histogram_quantile),
        "histogram_quantiles" => Implementation::Rows(histogram_quantiles),
        "histogram_stddev" => histogram_function!(|histogram| native::variance(histogram).sqrt()),
        "histogram_stdvar" => histogram_function!(native::variance),
        "histogram_sum" => histogram_function!(|histogram| histogram.sum),
        _ => return None,
    })
}

fn on_histogram(cell: &Cell, function: impl FnOnce(&FloatHistogram) -> f64) -> Cell {
    cell.as_histogram()
        .map_or(Cell::Empty, |histogram| Cell::Float(function(histogram)))
}

fn histogram_fraction(call: &Call<'_>, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let groups = groups(call, &rows);
    let limits = |step| [0, 1].map(|argument| call.scalar(argument, step).unwrap_or(NAN));
    let answer = |group: &Group<'_>| {
        group.answers(call, |step, value| {
            let [lower, upper] = limits(step);
            match value {
                Histogram::Native(histogram) => {
                    note(call, &group.labels, native::fraction(lower, upper, histogram))
                }
                Histogram::Classic(buckets) => classic::fraction(lower, upper, buckets),
            }
        })
    };
    Ok(groups.iter().map(answer).collect())
}

fn histogram_quantile(call: &Call<'_>, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let groups = groups(call, &rows);
    let quantile = Quantile { argument: 0 };
    quantile.check(call);
    Ok(groups
        .iter()
        .map(|group| quantile.of_group(call, group))
        .collect())
}

fn histogram_quantiles(call: &Call<'_>, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let label = call.string(1);
    if label.is_empty() {
        return Err(EvalError::execution(
            "invalid label name in histogram_quantiles(): ",
        ));
    }
    let groups = groups(call, &rows);
    let mut answers = Vec::new();
    for argument in 2..call.arguments.len() {
        let quantile = Quantile { argument };
        quantile.check(call);
        for group in &groups {
            push_by_quantile(
                call,
                label,
                argument,
                quantile.of_group(call, group),
                &mut answers,
            );
        }
    }
    Ok(answers)
}

/// The row once for each value that the quantile has: usually it is the same at all steps.
fn push_by_quantile(call: &Call<'_>, label: &str, argument: usize, row: Row, answers: &mut Vec<Row>) {
    let mut by_text: BTreeMap<String, Row> = BTreeMap::new();
    let steps = row.cells.len();
    for (step, cell) in row.cells.into_iter().enumerate() {
        if cell.is_empty() {
            continue;
        }
        let text = float_open_metrics(call.scalar(argument, step).unwrap_or(NAN));
        let of_quantile = by_text.entry(text).or_insert_with_key(|text| Row {
            labels: with(&row.labels, &[(label, text)]),
            drop_name: row.drop_name,
            cells: vec![Cell::Empty; steps],
        });
        if let Some(slot) = of_quantile.cells.get_mut(step) {
            *slot = cell;
        }
    }
    answers.extend(by_text.into_values());
}

/// A quantile that is asked for.
struct Quantile {
    argument: usize,
}

impl Quantile {
    fn at(&self, call: &Call<'_>, step: usize) -> f64 {
        call.scalar(self.argument, step).unwrap_or(NAN)
    }

    fn check(&self, call: &Call<'_>) {
        for quantile in (0..call.steps.count).map(|step| self.at(call, step)) {
            if !(0.0..=1.0).contains(&quantile) {
                call.annotate(Annotation::InvalidQuantile { quantile }, call.span(self.argument));
            }
        }
    }

    fn of_group(&self, call: &Call<'_>, group: &Group<'_>) -> Row {
        group.answers(call, |step, value| match value {
            Histogram::Native(histogram) => {
                let judged = native::quantile(self.at(call, step), histogram);
                note(call, &group.labels, judged)
            }
            Histogram::Classic(buckets) => {
                let time_ms = call.steps.at(step);
                let (answer, forced) = classic::quantile(self.at(call, step), time_ms, buckets);
                if let Some(extent) = forced {
                    let metric = call.name_for_annotation(&group.labels).to_owned();
                    call.annotate(
                        Annotation::ForcedMonotonicity { metric, extent },
                        call.window_span(),
                    );
                }
                answer
            }
        })
    }
}

/// The answer; its doubt goes to the annotations.
fn note(call: &Call<'_>, labels: &Labels, (answer, doubt): Judged) -> f64 {
    if let Some(doubt) = doubt {
        call.annotate(
            doubt(call.name_for_annotation(labels).to_owned()),
            call.window_span(),
        );
    }
    answer
}

/// The histograms of one label set: a native one, or the buckets of a classic one, which may change from step to step.
struct Group<'r> {
    /// Without the bound of the bucket.
    labels: Labels,
    drop_name: bool,
    native: Option<&'r Row>,
    classic: Vec<(f64, &'r Row)>,
}

/// What a group is at a step.
enum Histogram<'a> {
    Native(&'a Arc<FloatHistogram>),
    Classic(&'a mut Vec<ClassicBucket>),
}

impl Group<'_> {
    /// A float for each step at which the group has a histogram. Where it has two, it is said that it should not.
    fn answers(&self, call: &Call<'_>, mut answer: impl FnMut(usize, Histogram<'_>) -> f64) -> Row {
        let mut buckets = Vec::with_capacity(self.classic.len());
        let of_step = |step: usize| {
            buckets.clear();
            let filled = self.classic.iter().filter_map(|(upper, row)| {
                let count = row.cells.get(step)?.as_float()?;
                Some(ClassicBucket { upper: *upper, count })
            });
            buckets.extend(filled);
            let native = self.native.and_then(|row| row.cells.get(step)?.as_histogram());
            match (native, buckets.is_empty()) {
                (Some(native), true) => Cell::Float(answer(step, Histogram::Native(native))),
                (None, false) => Cell::Float(answer(step, Histogram::Classic(&mut buckets))),
                (None, true) => Cell::Empty,
                (Some(_), false) => {
                    let metric = self.labels.metric_name().to_owned();
                    call.annotate(Annotation::MixedClassicNative { metric }, call.window_span());
                    Cell::Empty
                }
            }
        };
        Row {
            labels: self.labels.clone(),
            drop_name: self.drop_name,
            cells: (0..call.steps.count).map(of_step).collect(),
        }
    }
}

/// The rows by what they belong to. Floats without a bound belong to nothing, which is said.
fn groups<'r>(call: &Call<'_>, rows: &'r [Row]) -> Vec<Group<'r>> {
    let mut groups = Groups::default();
    for row in rows {
        if row.cells.iter().any(|cell| cell.as_histogram().is_some()) {
            groups.group(row.labels.clone(), row).native = Some(row);
        }
        if row.cells.iter().all(|cell| cell.as_float().is_none()) {
            continue;
        }
        let label = row.labels.get(BUCKET_LABEL).unwrap_or("");
        match parse_bound(label) {
            Some(upper) => {
                let labels = kept(&row.labels, |name| name != BUCKET_LABEL);
                groups.group(labels, row).classic.push((upper, row));
            }
            None => {
                let (metric, label) = (row.labels.metric_name().to_owned(), label.to_owned());
                call.annotate(Annotation::BadBucketLabel { metric, label }, call.window_span());
            }
        }
    }
    groups.groups
}

#[derive(Default)]
struct Groups<'r> {
    groups: Vec<Group<'r>>,
    positions: Map<Labels, usize>,
}

impl<'r> Groups<'r> {
    fn group(&mut self, labels: Labels, row: &Row) -> &mut Group<'r> {
        let next = self.groups.len();
        let position = *self.positions.entry(labels.clone()).or_insert(next);
        if position == next {
            let drop_name = row.drop_name;
            self.groups.push(Group {
                labels,
                drop_name,
                native: None,
                classic: Vec::new(),
            });
        }
        &mut self.groups[position]
    }
}

/// A bound as it stands in a label. A number too large for a float is none.
fn parse_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    let is_spelled_out = || text.bytes().all(|byte| !byte.is_ascii_digit());
    (bound.is_finite() || is_spelled_out()).then_some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(
            ["1", "+Inf", "-2.5e3", "inf"].map(parse_bound),
            [Some(1.0), Some(f64::INFINITY), Some(-2500.0), Some(f64::INFINITY)]
        );
        assert_eq!(["", "one", "1e999", " 1"].map(parse_bound), [None; 4]);
    }
}
