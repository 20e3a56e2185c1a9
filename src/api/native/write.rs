//! Points come in: one, a list, or one per line in a stream without end. Each is judged on its own; the good ones are stored.
//!
//! Points take the way of every sample: relabelling, the journal of refusals and quotas hold for them too.

use super::body::Arriving;
use super::json_point::JsonPoint;
use super::point::{Point, bad_precision, no_json};
use super::refusal::Refusal;
use super::unit::TimeUnit;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::Params;
use crate::api::remote_write::asked_durability;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::config::Config;
use crate::head::report::{CommitReport, Durability, Reject};
use crate::model::labels::Labels;
use crate::remote::intake::Verdict;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Lines are stored as soon as they are so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// A point takes no more.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Refusals that are told one by one.
const ERRORS_SHOWN: usize = 100;

/// Who writes, and how.
struct Writer {
    app: Arc<App>,
    tenant: Arc<Tenant>,
    config: Arc<Config>,
    sender: String,
    /// The unit of times, if the request names one.
    unit: Option<TimeUnit>,
    durability: Option<Durability>,
}

/// What became of the points so far.
#[derive(Default)]
struct Tally {
    points: u64,
    stored: u64,
    /// Left out by a rule of relabelling.
    dropped: u64,
    failed: u64,
    /// The first ones.
    errors: Vec<Value>,
    /// Of the first point.
    unit: Option<TimeUnit>,
}

impl Writer {
    fn new(
        app: Arc<App>,
        tenant: Arc<Tenant>,
        caller: &Caller,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, Refusal> {
        let params = Params::of_uri(uri);
        let unit = match params.get("precision") {
            "" => None,
            name => Some(TimeUnit::named(name).ok_or_else(bad_precision)?),
        };
        let config = app.config.load_full();
        let sender = caller.sender().to_owned();
        tenant.check_quota(&config, &sender, tenant.db()?.now_ms())?;
        Ok(Self {
            durability: asked_durability(headers)?,
            app,
            tenant,
            config,
            sender,
            unit,
        })
    }

    /// Stores the good ones of some points.
    fn store(
        &self,
        points: impl Iterator<Item = Result<Point, Refusal>>,
        tally: &mut Tally,
    ) -> Result<(), ApiError> {
        let db = self.tenant.db()?;
        let now_ms = db.now_ms();
        let intake = self.tenant.intake.load();
        let mut batch = db.batch();
        if let Some(durability) = self.durability {
            batch.durability(durability);
        }
        // Of each entry of the batch, the number of its point.
        let mut numbers = Vec::new();
        let dropped_before = tally.dropped;
        for point in points {
            let number = tally.points;
            tally.points += 1;
            let point = match point {
                Ok(point) => point,
                Err(refusal) => {
                    tally.fail(number, &refusal);
                    continue;
                }
            };
            tally.unit.get_or_insert(point.unit);
            let verdict = if intake.is_empty() {
                Verdict::AsSent
            } else {
                intake.judge(point.labels.hash().0, now_ms, |out| {
                    out.extend_from_slice(point.labels.as_bytes());
                    Ok(())
                })
            };
            let before = batch.len();
            match verdict {
                Verdict::AsSent => batch.push(&point.labels, point.time_ms, point.value),
                Verdict::Changed(labels) => {
                    batch.push(&Labels::from_canonical(&*labels), point.time_ms, point.value);
                }
                Verdict::Dropped => {
                    tally.dropped += 1;
                    continue;
                }
            }
            match batch.len() > before {
                true => numbers.push(number),
                // Its labels are too long for any batch.
                false => tally.fail(number, &refused(Reject::InvalidLabels)),
            }
        }
        let report = batch.commit()?;
        let left_out = &self.app.metrics.left_out;
        left_out.fetch_add(tally.dropped - dropped_before, Relaxed);
        self.note(&report, tally, &numbers, now_ms);
        Ok(())
    }

    fn note(&self, report: &CommitReport, tally: &mut Tally, numbers: &[u64], now_ms: i64) {
        tally.stored += report.accepted as u64;
        for (entry, reason) in &report.refused {
            let number = numbers.get(*entry as usize).copied().unwrap_or(u64::MAX);
            tally.fail(number, &refused(*reason));
        }
        self.tenant.journal.note(&self.sender, &report.rejected, now_ms);
        self.tenant
            .charge(&self.config, &self.sender, report.accepted, now_ms);
    }

    /// Stores what is written one per line in some text, which ends with the end of a line.
    fn store_lines(&self, text: &[u8], tally: &mut Tally) -> Result<(), ApiError> {
        let now_ms = self.tenant.db()?.now_ms();
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty());
        self.store(lines.map(|line| Point::of_json(line, self.unit, now_ms)), tally)
    }

    /// Stores a list.
    fn store_list(&self, text: &[u8], tally: &mut Tally) -> Result<(), Refusal> {
        let now_ms = self.tenant.db()?.now_ms();
        let list: Vec<JsonPoint<'_>> = serde_json::from_slice(text).map_err(|fault| no_json(&fault))?;
        let points = list.iter().map(|point| Point::of(point, self.unit, now_ms));
        Ok(self.store(points, tally)?)
    }
}

impl Tally {
    fn fail(&mut self, number: u64, refusal: &Refusal) {
        self.failed += 1;
        if self.errors.len() < ERRORS_SHOWN {
            self.errors.push(refusal.as_item(number));
        }
    }

    fn answer(mut self) -> Response {
        self.errors.sort_by_key(|item| item["index"].as_u64());
        let is_all_wrong = self.failed > 0 && self.stored == 0 && self.dropped == 0;
        let data = json!({
            "points": self.points,
            "stored": self.stored,
            "dropped": self.dropped,
            "failed": self.failed,
            "precision": self.unit.unwrap_or(TimeUnit::Milliseconds).name(),
            "errors": self.errors,
        });
        if !is_all_wrong {
            return json::success(data);
        }
        let message = format!("none of {} points was stored", self.points);
        Refusal::from(ApiError::bad_data(message))
            .hint("data.errors says of each what is wrong with it")
            .with("data", data)
            .into_response()
    }
}

/// Why a point that is one is not stored.
fn refused(reason: Reject) -> Refusal {
    let (status, message, field, hint) = match reason {
        Reject::Conflict => (
            StatusCode::CONFLICT,
            "another value is stored at this time",
            "timestamp",
            "PUT /api/v1/series/{series_key}/datapoints/{timestamp} replaces it",
        ),
        Reject::TooFarInFuture => (
            StatusCode::BAD_REQUEST,
            "the time is too far in the future",
            "timestamp",
            "the setting future_limit says how far it may be; is the precision right?",
        ),
        Reject::LabelNameTooLong | Reject::LabelValueTooLong | Reject::TooManyLabels => (
            StatusCode::BAD_REQUEST,
            "there are too many tags, or one of them is too long",
            "tags",
            "the settings below limits say how long they may be",
        ),
        Reject::SeriesLimit => (
            StatusCode::BAD_REQUEST,
            "there are as many series as there may be",
            "tags",
            "the setting limits.series says how many; are there tags of which each point has another one?",
        ),
        _ => (
            StatusCode::BAD_REQUEST,
            "the series cannot be stored",
            "series_key",
            "see docs/http_api.md",
        ),
    };
    let error = ApiError::new(status, "bad_data", message);
    Refusal::detailed(error, reason.as_str(), field, hint)
}

/// `POST /api/v1/datapoints`: one point.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let writer = Writer::new(app.clone(), tenant, &caller, &parts.headers, &parts.uri)?;
    let config = writer.config.clone();
    let limits = config.http_of(&writer.tenant.name);
    let arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (text, held) = arriving.whole().await?;
    let point = Point::of_json(&text, writer.unit, writer.tenant.db()?.now_ms())?;
    drop(held);
    let answer = json!({
        "series_key": point.labels.metric_name(),
        "timestamp": time_in(point.unit, point.time_ms),
        "precision": point.unit.name(),
    });
    let tally = app
        .work(move || {
            let mut tally = Tally::default();
            let mut reason = None;
            writer.store(std::iter::once(Ok(point)), &mut tally)?;
            if let Some(item) = tally.errors.first() {
                reason = Reject::ALL.into_iter().find(|one| item["reason"] == one.as_str());
            }
            Ok((tally, reason))
        })
        .await?;
    match tally {
        (_, Some(reason)) => Err(refused(reason)),
        (tally, None) => {
            let mut answer = answer;
            answer["stored"] = (tally.stored == 1).into();
            let mut response = json::success(answer);
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
    }
}

/// A time as a number of JSON.
pub(in crate::api) fn time_in(unit: TimeUnit, time_ms: i64) -> Value {
    let mut text = Vec::new();
    unit.write(&mut text, time_ms);
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}

/// `POST /api/v1/datapoints/batch`: a list of points, or one per line.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let writer = Arc::new(Writer::new(
        app.clone(),
        tenant,
        &caller,
        &parts.headers,
        &parts.uri,
    )?);
    let limits = writer.config.http_of(&writer.tenant.name);
    let mut arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (mut tally, mut text) = (Tally::default(), Vec::new());
    let mut is_list = None;
    loop {
        let is_end = !arriving.more(&mut text).await?;
        if is_list.is_none() {
            is_list = text.trim_ascii_start().first().map(|first| *first == b'[');
        }
        if is_list == Some(true) {
            arriving.check(&text)?;
        }
        match (is_list, is_end) {
            (None, false) | (Some(true), false) => {}
            (None, true) => return Err(empty()),
            (Some(true), true) => {
                let stored = app.work(move || {
                    let stored = writer.store_list(&text, &mut tally);
                    Ok(stored.map(|()| tally))
                });
                return Ok(stored.await??.answer());
            }
            (Some(false), is_end) if is_end || text.len() >= PIECE_BYTES => {
                let rest = if is_end {
                    Vec::new()
                } else {
                    after_last_line(&mut text)?
                };
                let (piece, worker) = (std::mem::replace(&mut text, rest), writer.clone());
                let before = tally.stored;
                let stored = app.work(move || {
                    worker.store_lines(&piece, &mut tally)?;
                    Ok(tally)
                });
                let in_part = |error| Refusal::from(error).with("stored", before.into());
                tally = stored.await.map_err(in_part)?;
                if is_end {
                    return Ok(tally.answer());
                }
            }
            (Some(false), _) => {}
        }
    }
}

fn empty() -> Refusal {
    let hint = "send a list of points, or one point per line";
    Refusal::field("bad_json", "", "the body is empty".to_owned(), hint)
}

/// Cuts off what comes after the last end of a line, and gives it back.
fn after_last_line(text: &mut Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let end = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    let rest = text.split_off(end);
    if rest.len() <= LINE_BYTES_MAX {
        return Ok(rest);
    }
    let message = format!("a line has more than {LINE_BYTES_MAX} bytes");
    Err(Refusal::field(
        "bad_json",
        "",
        message,
        "send each point on a line of its own",
    ))
}
