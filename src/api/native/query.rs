//! `POST /api/v1/query/native`: a query as JSON, answered by the evaluator of PromQL.
//!
//! Without an aggregation it is the points of the series that match; with one it is a value for each interval, by series or, with
//! `group_by`, by group. The answer says which query of PromQL it was.

use super::aggregate::{Function, begins, evaluate, interval_ms, query_options, selector};
use super::body::Arriving;
use super::fill::{Column, Fill, Filled};
use super::page::is_stale;
use super::point::{bad_precision, bad_time};
use super::refusal::Refusal;
use super::text;
use super::unit::{GivenTime, TimeUnit};
use crate::api::envelope::{self, Notes};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::pieces::{Out, answer};
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::engine::series::Series;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::query::QueryOptions;
use crate::promql::quote::quote;
use crate::promql::value::QuerySeries;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Points of a series without `limit`, and at most.
const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 100_000;
const FIELDS: &[&str] = &[
    "series_key",
    "tags",
    "matchers",
    "start_time",
    "end_time",
    "precision",
    "aggregation",
    "group_by",
    "group_function",
    "limit",
];

/// What is asked.
#[derive(Debug)]
struct Asked {
    matchers: Vec<Matcher>,
    start_ms: i64,
    end_ms: i64,
    unit: TimeUnit,
    aggregation: Option<(Function, i64, Fill)>,
    /// The labels that a group has in common, and the aggregation over its series.
    group: Option<(Vec<String>, String)>,
    limit: usize,
}

pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let config = app.config.load_full();
    let limits = config.http_of(&tenant.name);
    let (text, held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let asked = Asked::of_json(&text, tenant.db()?.now_ms())?;
    drop(held);
    let options = query_options(&app, &config);
    let found = app.work(move || {
        let db = tenant.db()?;
        Ok(match asked.aggregation {
            Some(aggregation) => asked
                .aggregated(db, aggregation, &options)
                .map(|found| (asked, found)),
            None => asked.raw(db).map_err(Refusal::from).map(|found| (asked, found)),
        })
    });
    let (asked, found) = found.await??;
    let answered = answer(json::CONTENT_TYPE, move |out| {
        envelope::success(out, &found.notes, |out| found.show(out, &asked))
    });
    Ok(answered.await?)
}

/// The answer before it is written.
struct Found {
    series: Vec<QuerySeries>,
    /// First and last begin of the intervals.
    begins_ms: (i64, i64),
    query: String,
    /// The limit cut a series off.
    is_cut: bool,
    notes: Notes,
}

fn bad(field: &str, message: &str, hint: &str) -> Refusal {
    Refusal::field("bad_query", field, format!("{field} {message}"), hint)
}

impl Asked {
    fn of_json(text: &[u8], now_ms: i64) -> Result<Self, Refusal> {
        let hint = r#"send {"series_key": "cpu.usage", "start_time": 1700000000, "aggregation": {"function": "avg", "interval": "1m"}}"#;
        let json: Value = serde_json::from_slice(text)
            .map_err(|fault| Refusal::field("bad_json", "", format!("the body is no JSON: {fault}"), hint))?;
        let fields = json
            .as_object()
            .ok_or_else(|| Refusal::field("bad_json", "", "the body is no object".to_owned(), hint))?;
        if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            let message = format!("a query has no field {unknown:?}");
            let hint = format!("the fields are {}", FIELDS.join(", "));
            return Err(Refusal::field("unknown_field", unknown.clone(), message, hint));
        }
        let unit = match fields.get("precision").and_then(Value::as_str) {
            Some(name) => Some(TimeUnit::named(name).ok_or_else(bad_precision)?),
            None if fields.contains_key("precision") => return Err(bad_precision()),
            None => None,
        };
        let start = time(fields, "start_time", unit)?;
        let end = time(fields, "end_time", unit)?;
        let aggregation = fields.get("aggregation").map(aggregation).transpose()?;
        let group = group(fields)?;
        if group.is_some() && aggregation.is_none() {
            return Err(bad("group_by", "is there without aggregation", hint));
        }
        if aggregation.is_some() && start.is_none() {
            return Err(bad(
                "start_time",
                "is missing",
                "an aggregation needs to know where it begins",
            ));
        }
        let (start_ms, end_ms) = (
            start.map_or(i64::MIN, |start| start.0),
            end.map_or(if aggregation.is_some() { now_ms } else { i64::MAX }, |end| end.0),
        );
        if end_ms < start_ms {
            return Err(bad(
                "end_time",
                "is before start_time",
                "are both in the same unit?",
            ));
        }
        let limit = match fields.get("limit") {
            None => LIMIT,
            Some(limit) => limit
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| {
                    bad(
                        "limit",
                        "is not a number from 1 to 100000",
                        "it counts points of a series",
                    )
                })?,
        };
        Ok(Self {
            matchers: matchers(fields)?,
            start_ms,
            end_ms,
            unit: unit
                .or(start.or(end).map(|time| time.1))
                .unwrap_or(TimeUnit::Milliseconds),
            aggregation,
            group,
            limit,
        })
    }

    /// The query of PromQL.
    fn text(&self, function: Function, interval_ms: i64) -> String {
        let call = function.call(&selector(&self.matchers), interval_ms);
        let Some((labels, over)) = &self.group else {
            return call;
        };
        let labels: Vec<String> = labels.iter().map(|label| quote(label)).collect();
        match over.strip_prefix("quantile ") {
            Some(quantile) => format!("quantile by ({}) ({quantile}, {call})", labels.join(", ")),
            None => format!("{over} by ({}) ({call})", labels.join(", ")),
        }
    }

    fn aggregated(
        &self,
        db: &Db,
        (function, interval_ms, _): (Function, i64, Fill),
        options: &QueryOptions,
    ) -> Result<Found, Refusal> {
        let begins_ms = begins(self.start_ms, self.end_ms, interval_ms)?;
        let query = self.text(function, interval_ms);
        let (series, notes) = evaluate(db, &query, begins_ms, interval_ms, options)?;
        Ok(Found {
            series,
            begins_ms,
            query,
            is_cut: false,
            notes,
        })
    }

    /// The points of each series, no more than the limit.
    fn raw(&self, db: &Db) -> Result<Found, ApiError> {
        let mut cursor = db.select(&self.matchers, self.start_ms..=self.end_ms)?;
        let mut found = Found {
            series: Vec::new(),
            begins_ms: (0, 0),
            query: selector(&self.matchers),
            is_cut: false,
            notes: Notes::default(),
        };
        let mut series = Series::default();
        while cursor.next_into(&mut series)? {
            let floats = series.samples().filter(|sample| !is_stale(&sample.value));
            let floats = floats.filter_map(|sample| Some((sample.timestamp, sample.value.as_float()?)));
            let mut floats: Vec<(i64, f64)> = floats.take(self.limit + 1).collect();
            found.is_cut |= floats.len() > self.limit;
            floats.truncate(self.limit);
            found.series.push(QuerySeries {
                labels: series.labels().clone(),
                floats,
                histograms: Vec::new(),
            });
        }
        found.notes = Notes::of(cursor.warnings());
        Ok(found)
    }
}

impl Found {
    fn show(&self, out: &mut Out, asked: &Asked) -> Result<(), ApiError> {
        let buffer = out.buffer();
        buffer.extend_from_slice(b"{\"precision\":");
        envelope::string(buffer, asked.unit.name());
        text::text_field(buffer, "query", &self.query);
        buffer.extend_from_slice(if self.is_cut {
            b",\"cut\":true"
        } else {
            b",\"cut\":false"
        });
        buffer.extend_from_slice(b",\"series\":");
        envelope::long_list(out, &self.series, |buffer, series| {
            buffer.extend_from_slice(b"{\"series_key\":");
            envelope::string(buffer, series.labels.metric_name());
            buffer.extend_from_slice(b",\"tags\":");
            text::tags(buffer, &series.labels);
            buffer.extend_from_slice(b",\"datapoints\":");
            match asked.aggregation {
                None => envelope::list(buffer, &series.floats, |buffer, (time_ms, value)| {
                    point(buffer, asked.unit, *time_ms, &Filled::Float(*value));
                }),
                Some((_, interval_ms, fill)) => {
                    let mut column = Column::new(series);
                    let (first_ms, last_ms) = self.begins_ms;
                    let count = (last_ms - first_ms) / interval_ms + 1;
                    let begins = (0..count).map(|number| first_ms + number * interval_ms);
                    let cells = begins.map(|begin_ms| (begin_ms, column.at(begin_ms, fill)));
                    let shown = cells.filter(|cell| cell.1 != Filled::Nothing);
                    envelope::list(buffer, shown, |buffer, (begin_ms, cell)| {
                        point(buffer, asked.unit, begin_ms, &cell);
                    });
                }
            }
            buffer.push(b'}');
        })?;
        out.buffer().push(b'}');
        Ok(())
    }
}

fn point(buffer: &mut Vec<u8>, unit: TimeUnit, time_ms: i64, cell: &Filled) {
    buffer.push(b'{');
    text::timestamp(buffer, unit, time_ms);
    buffer.push(b',');
    match cell {
        Filled::Float(value) => text::value_of(buffer, *value),
        Filled::Histogram(histogram) => text::histogram(buffer, histogram),
        Filled::Null | Filled::Nothing => buffer.extend_from_slice(b"\"value\":null"),
    }
    buffer.push(b'}');
}

fn time(
    fields: &Map<String, Value>,
    name: &str,
    unit: Option<TimeUnit>,
) -> Result<Option<(i64, TimeUnit)>, Refusal> {
    let given = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => Some(GivenTime::of_text(&number.to_string())),
        Some(Value::String(text)) => Some(GivenTime::of_text(text)),
        Some(_) => None,
    };
    let read = given.and_then(|given| given.read(unit));
    read.map(Some).ok_or_else(|| bad_time(name))
}

/// The conditions: a name, tags and matchers, together.
fn matchers(fields: &Map<String, Value>) -> Result<Vec<Matcher>, Refusal> {
    let mut all = Vec::new();
    match fields.get("series_key") {
        None => {}
        Some(Value::String(name)) if !name.is_empty() => all.push(Matcher::eq(METRIC_NAME, name.clone())),
        Some(_) => return Err(bad("series_key", "is no text", "it names what is measured")),
    }
    match fields.get("tags") {
        None => {}
        Some(Value::Object(tags)) => {
            for (name, value) in tags {
                let Value::String(value) = value else {
                    return Err(bad("tags", "has a value that is no text", r#"as {"host": "a"}"#));
                };
                all.push(Matcher::eq(name.clone(), value.clone()));
            }
        }
        Some(_) => return Err(bad("tags", "is no object", r#"as {"host": "a"}"#)),
    }
    let hint = r#"as [{"name": "host", "op": "=~", "value": "a|b"}], op being one of =, !=, =~ and !~"#;
    match fields.get("matchers") {
        None => {}
        Some(Value::Array(list)) => {
            for one in list {
                let text = |name: &str| one.get(name).and_then(Value::as_str);
                let op = match text("op").unwrap_or("=") {
                    "=" => MatchOp::Equal,
                    "!=" => MatchOp::NotEqual,
                    "=~" => MatchOp::Regex,
                    "!~" => MatchOp::NotRegex,
                    _ => return Err(bad("matchers", "has an unknown op", hint)),
                };
                let (Some(name), Some(value)) = (text("name"), text("value")) else {
                    return Err(bad("matchers", "has one without name or value", hint));
                };
                all.push(Matcher::new(name, op, value));
            }
        }
        Some(_) => return Err(bad("matchers", "is no list", hint)),
    }
    let is_narrow = crate::api::selection::check_narrow(std::slice::from_ref(&all)).is_ok();
    match is_narrow && !all.is_empty() {
        true => Ok(all),
        false => Err(bad(
            "series_key",
            "is missing, and no other condition takes its place",
            hint,
        )),
    }
}

fn aggregation(given: &Value) -> Result<(Function, i64, Fill), Refusal> {
    let hint = r#"as {"function": "avg", "interval": "1m", "fill": "none"}"#;
    let fields = given
        .as_object()
        .ok_or_else(|| bad("aggregation", "is no object", hint))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let function = text("function").and_then(Function::named);
    let function = function.ok_or_else(|| Function::bad("aggregation.function"))?;
    let interval = match fields.get("interval") {
        Some(Value::Number(seconds)) => seconds.to_string(),
        other => other.and_then(Value::as_str).unwrap_or("").to_owned(),
    };
    let fill = Fill::named(text("fill").unwrap_or("")).ok_or_else(|| Fill::bad("aggregation.fill"))?;
    Ok((function, interval_ms(&interval)?, fill))
}

/// The labels of groups, and the aggregation of PromQL over the series of one.
fn group(fields: &Map<String, Value>) -> Result<Option<(Vec<String>, String)>, Refusal> {
    let hint = r#"as "group_by": ["host"], "group_function": "sum""#;
    let over = match fields.get("group_function") {
        None => None,
        Some(Value::String(name)) => Some(over(name).ok_or_else(|| {
            let hint = "it is one of avg, sum, min, max, count, stddev and percentiles as p95";
            bad("group_function", "is no aggregation", hint)
        })?),
        Some(_) => return Err(bad("group_function", "is no text", hint)),
    };
    match (fields.get("group_by"), over) {
        (None, None) => Ok(None),
        (None, Some(over)) => Ok(Some((Vec::new(), over))),
        (Some(Value::Array(labels)), over) => {
            let labels: Option<Vec<String>> = labels
                .iter()
                .map(|label| Some(label.as_str()?.to_owned()))
                .collect();
            let labels = labels.ok_or_else(|| bad("group_by", "has what is no text", hint))?;
            Ok(Some((labels, over.unwrap_or_else(|| "sum".to_owned()))))
        }
        (Some(_), _) => Err(bad("group_by", "is no list", hint)),
    }
}

fn over(name: &str) -> Option<String> {
    match (name, Function::named(name)) {
        ("avg" | "sum" | "min" | "max" | "count" | "stddev", _) => Some(name.to_owned()),
        (_, Some(Function::Quantile(quantile))) => Some(format!("quantile {quantile}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Asked, Value> {
        Asked::of_json(text.as_bytes(), 1_700_000_060_000).map_err(|refusal| refusal.as_item("index", 0))
    }

    #[test]
    fn queries_are_those_of_promql() {
        for (text, wanted) in [
            (
                r#"{"series_key":"cpu","start_time":1700000000,"aggregation":{"function":"avg","interval":60}}"#,
                r#"avg_over_time({"__name__"="cpu"}[60000ms])"#,
            ),
            (
                r#"{"series_key":"cpu","tags":{"a b":"\""},"matchers":[{"name":"h","op":"!~","value":"x|y"}],
                    "start_time":1700000000,"aggregation":{"function":"p99.9","interval":"5m"},"group_by":["h"]}"#,
                r#"sum by ("h") (quantile_over_time(0.9990000000000001, {"__name__"="cpu","a b"="\"","h"!~"x|y"}[300000ms]))"#,
            ),
            (
                r#"{"series_key":"c","start_time":1,"aggregation":{"function":"rate","interval":"1m"},"group_function":"p50"}"#,
                r#"quantile by () (0.5, rate({"__name__"="c"}[60000ms]))"#,
            ),
        ] {
            let asked = read(text).expect(text);
            let (function, interval_ms, _) = asked.aggregation.expect("one");
            let query = asked.text(function, interval_ms);
            assert_eq!(
                query,
                wanted.replace("0.9990000000000001", &(99.9 / 100.0).to_string())
            );
            crate::promql::query::check_query(&query).expect("PromQL");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, field) in [
            ("{", None),
            ("[]", None),
            ("{}", Some("series_key")),
            (r#"{"series_key":"x","where":1}"#, Some("where")),
            (
                r#"{"matchers":[{"name":"a","op":"=~","value":".*"}]}"#,
                Some("series_key"),
            ),
            (
                r#"{"matchers":[{"name":"a","op":"~","value":"b"}]}"#,
                Some("matchers"),
            ),
            (
                r#"{"series_key":"x","aggregation":{"function":"avg","interval":"1m"}}"#,
                Some("start_time"),
            ),
            (
                r#"{"series_key":"x","start_time":1,"aggregation":{"function":"avg"}}"#,
                Some("interval"),
            ),
            (
                r#"{"series_key":"x","start_time":1,"aggregation":{"function":"mode","interval":1}}"#,
                Some("aggregation.function"),
            ),
            (r#"{"series_key":"x","group_by":["a"]}"#, Some("group_by")),
            (r#"{"series_key":"x","limit":0}"#, Some("limit")),
            (
                r#"{"series_key":"x","start_time":5,"end_time":4}"#,
                Some("end_time"),
            ),
            (r#"{"series_key":"x","precision":5}"#, Some("precision")),
        ] {
            assert_eq!(read(text).expect_err(text)["field"].as_str(), field, "{text}");
        }
    }
}
