//! Aggregations of points over intervals, answered by PromQL: what its functions say of a window, they say of an interval.
//!
//! The interval that begins at `b` has the points from `b` up to, not including, `b + interval`, and stands at `b`. PromQL's windows
//! are open to the left and closed to the right, so it is the window that ends a millisecond before the next interval begins.

use super::fill::{Column, Fill, Filled};
use super::refusal::Refusal;
use super::select::Selected;
use super::text;
use crate::api::envelope::{self, Notes};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::{Params, parse_duration_s};
use crate::api::pieces::{Out, answer};
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::config::Config;
use crate::db::Db;
use crate::engine::series::Series;
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::query::QueryOptions;
use crate::promql::quote::quote;
use crate::promql::value::{QuerySeries, QueryValue};
use axum::response::Response;
use std::sync::Arc;

/// Intervals of one answer.
const INTERVALS_MAX: i128 = 11_000;

/// A function over intervals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregation {
    pub(super) function: Function,
    pub(super) interval_ms: i64,
    pub(super) fill: Fill,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Function {
    /// A function of PromQL over a window.
    Named(&'static str),
    Quantile(f64),
}

const FUNCTIONS: &[(&str, &str)] = &[
    ("avg", "avg_over_time"),
    ("mean", "avg_over_time"),
    ("sum", "sum_over_time"),
    ("min", "min_over_time"),
    ("max", "max_over_time"),
    ("count", "count_over_time"),
    ("first", "first_over_time"),
    ("last", "last_over_time"),
    ("stddev", "stddev_over_time"),
    ("rate", "rate"),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(percent) = name.strip_prefix('p') {
            let percent: f64 = percent.parse().ok()?;
            return (0.0..=100.0)
                .contains(&percent)
                .then_some(Self::Quantile(percent / 100.0));
        }
        let (_, function) = FUNCTIONS.iter().find(|function| function.0 == name)?;
        Some(Self::Named(function))
    }

    pub(super) fn bad(field: &str) -> Refusal {
        let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.0).collect();
        let message = format!("{field} is no aggregation");
        let hint = format!(
            "it is one of {}, or a percentile as p95 or p99.9",
            names.join(", ")
        );
        Refusal::field("bad_aggregation", field, message, hint)
    }

    /// The call of PromQL over a selector.
    pub(super) fn call(self, selector: &str, interval_ms: i64) -> String {
        match self {
            Self::Named(name) => format!("{name}({selector}[{interval_ms}ms])"),
            Self::Quantile(quantile) => {
                format!("quantile_over_time({quantile}, {selector}[{interval_ms}ms])")
            }
        }
    }
}

impl Aggregation {
    /// What the parameters ask for, if they ask for one.
    pub(super) fn of(params: &Params) -> Result<Option<Self>, Refusal> {
        let name = match params.get("agg") {
            "" => params.get("aggregation"),
            name => name,
        };
        if name.is_empty() {
            for field in ["interval", "fill"] {
                if !params.get(field).is_empty() {
                    let message = format!("{field} is there without agg");
                    return Err(Refusal::field(
                        "bad_parameter",
                        "agg",
                        message,
                        "as agg=avg&interval=1m",
                    ));
                }
            }
            return Ok(None);
        }
        let function = Function::named(name).ok_or_else(|| Function::bad("agg"))?;
        let fill = Fill::named(params.get("fill")).ok_or_else(|| Fill::bad("fill"))?;
        Ok(Some(Self {
            function,
            interval_ms: interval_ms(params.get("interval"))?,
            fill,
        }))
    }
}

/// An interval in seconds or in Prometheus' units, in milliseconds.
pub(in crate::api) fn interval_ms(text: &str) -> Result<i64, Refusal> {
    let seconds = parse_duration_s(text)
        .ok()
        .filter(|seconds| (0.001..=1e11).contains(seconds));
    seconds
        .map(|seconds| (seconds * 1000.0).round() as i64)
        .ok_or_else(|| {
            let message = match text.is_empty() {
                true => "interval is missing".to_owned(),
                false => format!("interval is no length of time: {text:?}"),
            };
            Refusal::field(
                "bad_interval",
                "interval",
                message,
                "send seconds as 60, or 15s, 5m, 1h, 1d",
            )
        })
}

/// The first and the last begin of the intervals of a time: the one in which it starts, and the last one that begins before its end.
pub(super) fn begins(start_ms: i64, end_ms: i64, interval_ms: i64) -> Result<(i64, i64), Refusal> {
    let first = i128::from(start_ms.div_euclid(interval_ms)) * i128::from(interval_ms);
    let before_end = end_ms.saturating_sub(1).max(start_ms);
    let last = i128::from(before_end.div_euclid(interval_ms)) * i128::from(interval_ms);
    let is_within = (last - first) / i128::from(interval_ms) < INTERVALS_MAX;
    match (i64::try_from(first), i64::try_from(last)) {
        (Ok(first), Ok(last)) if is_within => Ok((first, last)),
        _ => {
            let message =
                format!("there are more than {INTERVALS_MAX} intervals between start_time and end_time");
            let hint = "ask for a shorter time or for longer intervals";
            Err(Refusal::field("too_many_intervals", "interval", message, hint))
        }
    }
}

/// A selector of PromQL for series that meet conditions.
pub(in crate::api) fn selector(matchers: &[Matcher]) -> String {
    let condition = |matcher: &Matcher| {
        let op = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        format!("{}{op}{}", quote(&matcher.name), quote(&matcher.value))
    };
    let conditions: Vec<String> = matchers.iter().map(condition).collect();
    format!("{{{}}}", conditions.join(","))
}

/// How long a query may take, and what of memory.
pub(super) fn query_options(app: &App, config: &Config) -> QueryOptions {
    QueryOptions {
        samples_max: config.query.samples_max,
        timeout: Some(config.query.timeout),
        memory: app.queries.memory.clone(),
        experimental: true,
        ..QueryOptions::default()
    }
}

/// Series with a point for each interval that has any, which stands at the begin of its interval.
pub(super) fn evaluate(
    db: &Db,
    query: &str,
    (first_ms, last_ms): (i64, i64),
    interval_ms: i64,
    options: &QueryOptions,
) -> Result<(Vec<QuerySeries>, Notes), Refusal> {
    let shift_ms = interval_ms - 1;
    let range_ms = (
        first_ms.saturating_add(shift_ms),
        last_ms.saturating_add(shift_ms),
    );
    let answer = db.query_range_with(query, range_ms, interval_ms, options)?;
    let QueryValue::Matrix(mut series) = answer.value else {
        return Err(ApiError::internal("BUG: a range without series").into());
    };
    for one in &mut series {
        one.floats.iter_mut().for_each(|point| point.0 -= shift_ms);
        one.histograms.iter_mut().for_each(|point| point.0 -= shift_ms);
    }
    let notes = Notes {
        warnings: answer.warnings,
        infos: answer.infos,
    };
    Ok((series, notes))
}

/// The first and the last time at which matching series have points.
fn bounds_of(db: &Db, selected: &Selected) -> Result<Option<(i64, i64)>, ApiError> {
    let mut cursor = db.select(&selected.matchers(), selected.start_ms..=selected.end_ms)?;
    let mut series = Series::default();
    let mut bounds: Option<(i64, i64)> = None;
    while cursor.next_into(&mut series)? {
        let mut times = series.samples().map(|sample| sample.timestamp);
        let first = times.next();
        for time in first.into_iter().chain(times.next_back()) {
            let (first, last) = bounds.unwrap_or((time, time));
            bounds = Some((first.min(time), last.max(time)));
        }
    }
    Ok(bounds)
}

/// Aggregated points of series.
struct Found {
    selected: Selected,
    series: Vec<QuerySeries>,
    begins_ms: (i64, i64),
    notes: Notes,
}

fn find(
    db: &Db,
    mut selected: Selected,
    aggregation: &Aggregation,
    options: &QueryOptions,
) -> Result<Found, Refusal> {
    let is_bounded = selected.start_ms > i64::MIN && selected.end_ms < i64::MAX;
    if !is_bounded && let Some((first_ms, last_ms)) = bounds_of(db, &selected)? {
        selected.start_ms = selected.start_ms.max(first_ms);
        // The last point is in the last interval.
        selected.end_ms = selected.end_ms.min(last_ms.saturating_add(1));
    }
    let matchers = selected.matchers();
    let is_empty = selected.start_ms == i64::MIN || selected.end_ms == i64::MAX;
    let mut found = Found {
        selected,
        series: Vec::new(),
        begins_ms: (0, 0),
        notes: Notes::default(),
    };
    if !is_empty {
        let interval_ms = aggregation.interval_ms;
        found.begins_ms = begins(found.selected.start_ms, found.selected.end_ms, interval_ms)?;
        let query = aggregation.function.call(&selector(&matchers), interval_ms);
        (found.series, found.notes) = evaluate(db, &query, found.begins_ms, interval_ms, options)?;
    }
    if found.series.is_empty() && db.count_series(&matchers, ..)?.series == 0 {
        return Err(found.selected.not_found());
    }
    Ok(found)
}

/// Answers with aggregated points.
pub(super) async fn datapoints(
    app: &Arc<App>,
    tenant: Arc<Tenant>,
    selected: Selected,
    aggregation: Aggregation,
) -> Result<Response, Refusal> {
    let options = query_options(app, &app.config.load());
    let asked = aggregation.clone();
    let found = app.work(move || Ok(find(tenant.db()?, selected, &asked, &options)));
    let found = found.await??;
    let answered = answer(json::CONTENT_TYPE, move |out| {
        envelope::success(out, &found.notes, |out| show(out, &found, &aggregation))
    });
    Ok(answered.await?)
}

fn show(out: &mut Out, found: &Found, aggregation: &Aggregation) -> Result<(), ApiError> {
    let unit = found.selected.unit;
    let buffer = out.buffer();
    buffer.extend_from_slice(b"{\"series_key\":");
    envelope::string(buffer, &found.selected.series_key);
    text::text_field(buffer, "precision", unit.name());
    buffer.extend_from_slice(b",\"interval\":");
    text::number(buffer, aggregation.interval_ms as f64 / 1000.0);
    buffer.extend_from_slice(b",\"datapoints\":");
    let (first_ms, last_ms) = found.begins_ms;
    let mut columns: Vec<Column<'_>> = found.series.iter().map(Column::new).collect();
    let count = if found.series.is_empty() {
        0
    } else {
        (last_ms - first_ms) / aggregation.interval_ms + 1
    };
    let begins = (0..count).map(|number| first_ms + number * aggregation.interval_ms);
    let cells = begins.flat_map(|begin_ms| {
        let columns = columns.iter_mut().zip(&found.series);
        let cells = columns.map(|(column, series)| (begin_ms, column.at(begin_ms, aggregation.fill), series));
        cells.collect::<Vec<_>>()
    });
    let is_shown = |cell: &Filled| !matches!(cell, Filled::Nothing);
    envelope::long_list(
        out,
        cells.filter(|cell| is_shown(&cell.1)),
        |buffer, (begin_ms, cell, series)| {
            buffer.push(b'{');
            text::timestamp(buffer, unit, begin_ms);
            buffer.push(b',');
            match cell {
                Filled::Float(value) => text::value_of(buffer, value),
                Filled::Histogram(histogram) => text::histogram(buffer, &histogram),
                Filled::Null | Filled::Nothing => buffer.extend_from_slice(b"\"value\":null"),
            }
            buffer.extend_from_slice(b",\"tags\":");
            text::tags(buffer, &series.labels);
            buffer.push(b'}');
        },
    )?;
    out.buffer().extend_from_slice(b",\"next_cursor\":null}");
    Ok(())
}
