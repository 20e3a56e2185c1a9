//! `query` and `query_range`: a request waits for its turn, is evaluated on a blocking thread and written while it is sent.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::params::{Params, invalid, parse_duration_s};
use super::pieces::{Out, answer};
use super::queries::{About, Outcome, Turn};
use super::state::App;
use super::tenant::Tenant;
use super::{json, query_json};
use crate::promql::eval::budget::CancelFlag;
use crate::promql::query::{QueryAnswer, QueryOptions, Resolution};
use crate::promql::value::QueryValue;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The most points that a series of an answer may have.
const POINTS_MAX: i128 = 11_000;

/// What is asked.
#[derive(Debug)]
struct Asked {
    query: String,
    /// Start, end and step of a range.
    when: When,
    /// Series of the answer, 0 = all.
    limit: usize,
    /// Whether the answer shows figures about the query.
    has_stats: bool,
    options: QueryOptions,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(i64),
    Over(i64, i64, i64),
}

/// `/api/v1/query`.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let now_ms = tenant.db()?.now_ms();
    let limit = params.limit("limit")?;
    let time_ms = params.time_ms("time", now_ms)?;
    let asked = Asked::new(&app, &params, limit, When::At(time_ms))?;
    run(&app, tenant, asked).await
}

/// `/api/v1/query_range`.
pub(super) async fn query_range(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let limit = params.limit("limit")?;
    let start_ms = params.needed_time_ms("start")?;
    let end_ms = params.needed_time_ms("end")?;
    if end_ms < start_ms {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step_s = params.duration_s("step")?;
    if step_s <= 0.0 || step_s.is_nan() {
        let what = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", what));
    }
    let length_ns = (i128::from(end_ms) - i128::from(start_ms)) * 1_000_000;
    let step_ns = ((step_s * 1e9) as i128).max(1);
    if length_ns / step_ns > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let step_ms = ((step_ns / 1_000_000) as i64).max(1);
    let asked = Asked::new(&app, &params, limit, When::Over(start_ms, end_ms, step_ms))?;
    run(&app, tenant, asked).await
}

/// From the parameter: `raw`, `auto`, or a duration; exact without one.
fn resolution(text: &str) -> Result<Resolution, ApiError> {
    match text {
        "" => Ok(Resolution::Exact),
        "raw" => Ok(Resolution::Samples),
        "auto" => Ok(Resolution::Auto),
        width => {
            let seconds = parse_duration_s(width).ok().filter(|seconds| *seconds > 0.0);
            let width = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            width.map(Resolution::UpTo).ok_or_else(|| {
                ApiError::bad_data(format!(
                    "invalid parameter \"resolution\": {text:?} is not raw, auto, or a duration as 5m"
                ))
            })
        }
    }
}

impl Asked {
    fn new(app: &App, params: &Params, limit: usize, when: When) -> Result<Self, ApiError> {
        let config = app.config.load();
        let of = &config.query;
        let mut longest = of.timeout;
        if !params.get("timeout").is_empty() {
            let asked = params.duration_s("timeout")?.max(0.0);
            longest = longest.min(Duration::try_from_secs_f64(asked).unwrap_or(longest));
        }
        let mut lookback = of.lookback;
        let text = params.get("lookback_delta");
        if !text.is_empty() {
            let seconds = parse_duration_s(text).map_err(|fault| {
                ApiError::bad_data(format!("error parsing lookback delta duration: {fault}"))
            })?;
            // Without a length it is the usual one.
            if seconds > 0.0 {
                lookback = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            }
        }
        let options = QueryOptions {
            lookback,
            resolution: resolution(params.get("resolution"))?,
            samples_max: of.samples_max,
            memory: app.queries.memory.clone(),
            experimental: true,
            delayed_name_removal: of.features.delayed_name_removal,
            start_timestamps: of.features.start_timestamps,
            type_and_unit_labels: of.features.type_and_unit_labels,
            samples_by_step: of.features.per_step_stats && params.get("stats") == "all",
            ..QueryOptions::default()
        };
        Ok(Self {
            query: params.get("query").to_owned(),
            when,
            limit,
            has_stats: !params.get("stats").is_empty(),
            options,
            timeout: longest,
        })
    }

    fn about(&self, tenant: &Tenant) -> About {
        let (start_ms, end_ms, step_ms) = match self.when {
            When::At(time_ms) => (time_ms, time_ms, 0),
            When::Over(start_ms, end_ms, step_ms) => (start_ms, end_ms, step_ms),
        };
        About {
            tenant: tenant.name.as_str().to_owned(),
            query: self.query.clone(),
            start_ms,
            end_ms,
            step_ms,
        }
    }
}

/// Ends the query when the client is gone.
struct EndsQuery(Option<CancelFlag>);

impl Drop for EndsQuery {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// Waits for a turn, evaluates and answers.
async fn run(app: &Arc<App>, tenant: Arc<Tenant>, mut asked: Asked) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let cancel = CancelFlag::default();
    asked.options.cancel = cancel.clone();
    let patience = app.queries.patience();
    let turn = app.queries.turn(asked.about(&tenant), cancel.clone());
    let Ok(mut turn) = timeout(asked.timeout, turn).await else {
        patience.exhausted();
        let message = "query timed out in query queue: too many queries at once (query.concurrency)";
        return Err(ApiError::timeout(message));
    };
    patience.rewarded();
    let queued = begun.elapsed();
    asked.options.timeout = Some(asked.timeout.saturating_sub(queued));
    let slow = app.config.load().query.slow;
    let mut ends_query = EndsQuery(Some(cancel));
    let answered = answer(json::CONTENT_TYPE, move |out| {
        let done = evaluate(&tenant, &asked, &mut turn, queued, out);
        turn.outcome = Outcome::of(&done);
        let took = begun.elapsed();
        if took >= slow {
            tracing::info!(
                query = asked.query,
                took_ms = took.as_millis() as u64,
                samples = turn.samples_read,
                "slow query"
            );
        }
        done
    })
    .await;
    // What follows the first piece ends by itself when nobody takes it.
    ends_query.0 = None;
    answered
}

fn evaluate(
    tenant: &Tenant,
    asked: &Asked,
    turn: &mut Turn,
    queued: Duration,
    out: &mut Out,
) -> Result<(), ApiError> {
    let db = tenant.db()?;
    let begun = Instant::now();
    let answer = match asked.when {
        When::At(time_ms) => db.query_with(&asked.query, time_ms, &asked.options),
        When::Over(start_ms, end_ms, step_ms) => {
            db.query_range_with(&asked.query, (start_ms, end_ms), step_ms, &asked.options)
        }
    };
    let mut answer = answer?;
    let evaluated = begun.elapsed();
    turn.samples_read = answer.samples_read;
    let mut notes = Notes {
        warnings: std::mem::take(&mut answer.warnings),
        infos: std::mem::take(&mut answer.infos),
    };
    if asked.limit > 0 && truncate(&mut answer.value, asked.limit) {
        notes.truncated();
    }
    envelope::success(out, &notes, |out| {
        out.buffer().push(b'{');
        query_json::result(out, &answer.value)?;
        if asked.has_stats {
            out.buffer().extend_from_slice(b",\"stats\":");
            stats(out.buffer(), &answer, queued, evaluated);
        }
        out.buffer().push(b'}');
        Ok(())
    })
}

/// Cuts an answer to so many series; whether there were more.
fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    let series = match value {
        QueryValue::Vector(samples) => samples.len(),
        QueryValue::Matrix(series) => series.len(),
        QueryValue::Scalar { .. } | QueryValue::String { .. } => 0,
    };
    match value {
        QueryValue::Vector(samples) => samples.truncate(limit),
        QueryValue::Matrix(series) => series.truncate(limit),
        QueryValue::Scalar { .. } | QueryValue::String { .. } => {}
    }
    series > limit
}

/// Prometheus' figures about a query. What it tells apart and narthex does not do apart takes no time.
fn stats(buffer: &mut Vec<u8>, answer: &QueryAnswer, queued: Duration, evaluated: Duration) {
    let (queued, evaluated) = (queued.as_secs_f64(), evaluated.as_secs_f64());
    // A vector takes whatever is written to it.
    let _ = write!(
        buffer,
        "{{\"timings\":{{\"evalTotalTime\":{evaluated},\"resultSortTime\":0,\"queryPreparationTime\":0,\
         \"innerEvalTime\":{evaluated},\"execQueueTime\":{queued},\"execTotalTime\":{}}},\"samples\":{{",
        queued + evaluated
    );
    if !answer.samples_by_step.is_empty() {
        buffer.extend_from_slice(b"\"totalQueryableSamplesPerStep\":");
        envelope::list(
            buffer,
            &answer.samples_by_step,
            |buffer, (timestamp_ms, samples)| {
                buffer.push(b'[');
                query_json::number_of_seconds(buffer, *timestamp_ms);
                let _ = write!(buffer, ",{samples}]");
            },
        );
        buffer.push(b',');
    }
    let _ = write!(
        buffer,
        "\"totalQueryableSamples\":{},\"peakSamples\":{}}}}}",
        answer.samples_counted, answer.samples_peak
    );
}
