//! Runs scripts: each query as it is, and in other forms that must have the same answer.

use super::compare::{Verdict, check_sorted, compare, compare_notes};
use super::script::{Command, Eval, Expected};
use super::storage::Storage;
use narthex::testing::promql::{pinned, query, query_range};
use narthex::{QueryAnswer, QueryError, QueryOptions, QueryPoint, QuerySample, QuerySeries, QueryValue};

const MINUTE_MS: i64 = 60_000;

/// What a script came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) evals: usize,
    pub(super) failures: Vec<String>,
}

/// Runs all commands.
pub(super) fn run(commands: &[Command]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut storage = Storage::default();
    for command in commands {
        match command {
            Command::Clear => storage = Storage::default(),
            Command::Load(load) => {
                if let Err(error) = storage.load(load) {
                    outcome.failures.push(format!("load: {error}"));
                }
            }
            Command::Eval(eval) => {
                outcome.evals += 1;
                if let Err(error) = judge(&storage, eval) {
                    let failure = format!("line {}: {}: {error}", eval.line, eval.query);
                    outcome.failures.push(failure);
                }
            }
        }
    }
    outcome
}

/// The options of upstream's runner.
fn options() -> QueryOptions {
    let mut options = QueryOptions::default();
    options.samples_max = 10_000;
    options.experimental = true;
    options.delayed_name_removal = true;
    options.start_timestamps = true;
    options
}

/// Evaluates a query in all its forms.
pub(super) fn judge(storage: &Storage, eval: &Eval) -> Verdict {
    if eval.is_range {
        let times = (eval.start_ms, eval.end_ms);
        let answer = query_range(storage, &eval.query, times, eval.step_ms, &options());
        return judge_answer(eval, answer).map(drop);
    }
    judge_instant(storage, eval, &eval.query, eval.time_ms)?;
    let Some(everywhere) = pinned(&eval.query, eval.time_ms).map_err(|error| error.to_string())? else {
        return Ok(());
    };
    let time_ms = eval.time_ms;
    let other_times = if time_ms == 0 {
        vec![-1_000, 0, 1_000]
    } else {
        vec![-10 * time_ms, 0, time_ms / 5, time_ms, 10 * time_ms]
    };
    for other_ms in other_times {
        judge_instant(storage, eval, &everywhere, other_ms)
            .map_err(|error| format!("as {everywhere} at {other_ms}: {error}"))?;
    }
    Ok(())
}

/// An error, or `None` if the query failed as expected.
fn judge_answer(eval: &Eval, answer: Result<QueryAnswer, QueryError>) -> Result<Option<QueryAnswer>, String> {
    let answer = match (answer, &eval.fail) {
        (Err(error), Some(text)) if text.matches(&error.to_string()) => return Ok(None),
        (Err(error), Some(text)) => return Err(format!("expected the failure {text:?}, found {error}")),
        (Err(error), None) => return Err(format!("failed: {error}")),
        (Ok(_), Some(_)) => return Err("expected a failure, found none".to_owned()),
        (Ok(answer), None) => answer,
    };
    compare_notes("warn", &eval.warnings, &answer.warnings)?;
    compare_notes("info", &eval.infos, &answer.infos)?;
    compare(eval, &answer.value)?;
    Ok(Some(answer))
}

/// An instant query, and a range query whose middle step must have the same result.
fn judge_instant(storage: &Storage, eval: &Eval, text: &str, time_ms: i64) -> Verdict {
    let Some(answer) = judge_answer(eval, query(storage, text, time_ms, &options()))? else {
        return Ok(());
    };
    let lower = text.to_ascii_lowercase();
    let asks_times = ["start()", "end()", "range()", "step()"]
        .iter()
        .any(|call| lower.contains(call));
    if asks_times || eval.ordered || matches!(eval.expected, Expected::String(_) | Expected::RangeVector(_)) {
        return Ok(());
    }
    let times = (time_ms - MINUTE_MS, time_ms + MINUTE_MS);
    let ranged = query_range(storage, text, times, MINUTE_MS, &options())
        .map_err(|error| format!("as a range query: {error}"))?;
    let QueryValue::Matrix(series) = &ranged.value else {
        return Err(format!("as a range query: found {:?}", ranged.value));
    };
    let middle = middle_step(series, time_ms)?;
    let is_scalar = matches!(answer.value, QueryValue::Scalar { .. });
    let value = match (is_scalar, middle.first()) {
        (
            true,
            Some(QuerySample {
                value: QueryPoint::Float(value),
                ..
            }),
        ) => QueryValue::Scalar {
            timestamp_ms: time_ms,
            value: *value,
        },
        _ => QueryValue::Vector(middle),
    };
    compare(eval, &value).map_err(|error| format!("as a range query: {error}"))
}

fn middle_step(series: &[QuerySeries], time_ms: i64) -> Result<Vec<QuerySample>, String> {
    check_sorted(series)?;
    let mut samples = Vec::new();
    for one in series {
        let floats = one
            .floats
            .iter()
            .map(|(at_ms, value)| (*at_ms, QueryPoint::Float(*value)));
        let histograms = one
            .histograms
            .iter()
            .map(|(at_ms, value)| (*at_ms, QueryPoint::Histogram(value.clone())));
        let at_time = floats.chain(histograms).filter(|(at_ms, _)| *at_ms == time_ms);
        samples.extend(at_time.map(|(timestamp_ms, value)| QuerySample {
            labels: one.labels.clone(),
            timestamp_ms,
            value,
        }));
    }
    Ok(samples)
}
