//! Points come in: one, a list, or one per line in a stream without end. Each is judged on its own; the good ones are stored.

use super::body::Arriving;
use super::json_point::JsonPoint;
use super::point::{Point, bad_precision, no_json};
use super::refusal::Refusal;
use super::unit::TimeUnit;
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::api::writing::{self, Tally, Writer};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// A point takes no more.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Units of the times of a request.
#[derive(Debug, Clone, Copy, Default)]
struct Units {
    /// That which the request names.
    named: Option<TimeUnit>,
    /// That of the first point.
    first: Option<TimeUnit>,
}

impl Units {
    fn of(uri: &Uri) -> Result<Self, Refusal> {
        let named = match Params::of_uri(uri).get("precision") {
            "" => None,
            name => Some(TimeUnit::named(name).ok_or_else(bad_precision)?),
        };
        Ok(Self { named, first: None })
    }
}

/// Stores the good ones of some points.
fn store(
    writer: &Writer,
    points: impl Iterator<Item = Result<Point, Refusal>>,
    units: &mut Units,
    tally: &mut Tally,
) -> Result<(), ApiError> {
    let mut piece = writer.begin(tally)?;
    for point in points {
        piece.next();
        match point {
            Ok(point) => {
                units.first.get_or_insert(point.unit);
                piece.sample(point.labels.as_ref(), point.time_ms, point.value);
            }
            Err(refusal) => piece.refuse(|| refusal),
        }
    }
    piece.commit()
}

/// Stores what is written one per line in some text; returns how many bytes the complete lines have.
fn store_lines(
    writer: &Writer,
    text: &[u8],
    is_end: bool,
    units: &mut Units,
    tally: &mut Tally,
) -> Result<usize, ApiError> {
    let end = match is_end {
        true => text.len(),
        false => memchr::memrchr(b'\n', text).map_or(0, |at| at + 1),
    };
    let now_ms = writer.tenant.db()?.now_ms();
    let lines = text.get(..end).unwrap_or_default();
    let lines = lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty());
    let named = units.named;
    let points = lines.map(|line| Point::of_json(line, named, now_ms));
    store(writer, points, units, tally)?;
    Ok(end)
}

/// Stores a list.
fn store_list(writer: &Writer, text: &[u8], units: &mut Units, tally: &mut Tally) -> Result<(), Refusal> {
    let now_ms = writer.tenant.db()?.now_ms();
    let list: Vec<JsonPoint<'_>> = serde_json::from_slice(text).map_err(|fault| no_json(&fault))?;
    let named = units.named;
    let points = list.iter().map(|point| Point::of(point, named, now_ms));
    Ok(store(writer, points, units, tally)?)
}

fn answer(mut tally: Tally, units: Units) -> Response {
    let is_all_wrong = tally.failed > 0 && tally.stored == 0 && tally.dropped == 0;
    let data = json!({
        "points": tally.begun,
        "stored": tally.stored,
        "dropped": tally.dropped,
        "failed": tally.failed,
        "precision": units.first.unwrap_or(TimeUnit::Milliseconds).name(),
        "errors": tally.told("index", 0),
    });
    if !is_all_wrong {
        return json::success(data);
    }
    let message = format!("none of {} points was stored", tally.begun);
    Refusal::from(ApiError::bad_data(message))
        .hint("data.errors says of each what is wrong with it")
        .with("data", data)
        .into_response()
}

/// `POST /api/v1/datapoints`: one point.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let mut units = Units::of(&parts.uri)?;
    let writer = Writer::new(app.clone(), tenant, &caller, &parts.headers)?;
    let limits = writer.limits();
    let arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (text, held) = arriving.whole().await?;
    let point = Point::of_json(&text, units.named, writer.tenant.db()?.now_ms())?;
    drop(held);
    let mut answer = json!({
        "series_key": point.labels.metric_name(),
        "timestamp": time_in(point.unit, point.time_ms),
        "precision": point.unit.name(),
    });
    let work = move || {
        let mut tally = Tally::default();
        store(&writer, std::iter::once(Ok(point)), &mut units, &mut tally)?;
        Ok(tally)
    };
    let tally = app.work(work).await?;
    if let Some(reason) = tally.rejected {
        return Err(writing::refused(reason));
    }
    answer["stored"] = (tally.stored == 1).into();
    let mut response = json::success(answer);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
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
    let mut units = Units::of(&parts.uri)?;
    let writer = Arc::new(Writer::new(app.clone(), tenant, &caller, &parts.headers)?);
    let limits = writer.limits();
    let mut arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let (mut text, mut is_end) = (Vec::new(), false);
    let is_list = loop {
        match text.trim_ascii_start().first() {
            Some(first) => break *first == b'[',
            None if is_end => return Err(empty()),
            None => is_end = !arriving.more(&mut text).await?,
        }
    };
    if !is_list {
        let begun = (text, is_end);
        let stored = writer.store_stream(&mut arriving, begun, LINE_BYTES_MAX, units, store_lines);
        let (units, tally) = stored.await?;
        return Ok(answer(tally, units));
    }
    arriving.check(&text)?;
    while !is_end && arriving.more(&mut text).await? {
        arriving.check(&text)?;
    }
    let stored = app.work(move || {
        let mut tally = Tally::default();
        let stored = store_list(&writer, &text, &mut units, &mut tally);
        Ok(stored.map(|()| (tally, units)))
    });
    let (tally, units) = stored.await??;
    Ok(answer(tally, units))
}

fn empty() -> Refusal {
    let hint = "send a list of points, or one point per line";
    Refusal::field("bad_json", "", "the body is empty".to_owned(), hint)
}
