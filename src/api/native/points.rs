//! The points of a series: a page of them in order of time, all of them one per line, or what an aggregation makes of them.

use super::aggregate::{self, Aggregation};
use super::page::{Order, Page, Place, Row, is_stale};
use super::refusal::Refusal;
use super::select::{Selected, number, path_part};
use super::text;
use crate::api::envelope::{self, Notes};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::Params;
use crate::api::pieces::{Out, answer};
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::engine::series::Series;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use std::sync::Arc;

/// Points of a page without `limit`, and at most.
const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 100_000;
pub(super) const LINES: &str = "application/x-ndjson";

/// The series key of a path `/api/v1/series/{series_key}/...`.
pub(super) fn series_key(path: &str) -> Result<String, Refusal> {
    let part = path.strip_prefix("/api/v1/series/").unwrap_or("");
    path_part(part.split('/').next().unwrap_or(""), "series_key")
}

/// Whether the client wants one point per line.
pub(super) fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|text| text.to_str().ok());
    accepted.is_some_and(|text| text.contains(LINES) || text.contains("application/jsonl"))
}

/// `GET /api/v1/series/{series_key}/datapoints`.
pub(super) async fn datapoints(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(request.uri());
    let selected = Selected::of(series_key(request.uri().path())?, &params)?;
    if let Some(aggregation) = Aggregation::of(&params)? {
        return aggregate::datapoints(&app, tenant, selected, aggregation).await;
    }
    if wants_lines(request.headers()) {
        let turn = app.reads.clone().acquire_owned().await;
        let answered = answer(LINES, move |out| {
            let _turn = turn;
            lines(out, &tenant, &selected)
        });
        return Ok(answered.await?);
    }
    let order = match params.get("order") {
        "" | "asc" => Order::OldestFirst,
        "desc" => Order::NewestFirst,
        _ => {
            let message = "order is neither asc nor desc".to_owned();
            return Err(Refusal::field(
                "bad_parameter",
                "order",
                message,
                "without it, it is asc",
            ));
        }
    };
    let limit = number(&params, "limit", LIMIT, LIMIT_MAX)?;
    let after = match params.get("cursor") {
        "" => None,
        text => Some(Place::of_text(text).ok_or_else(bad_cursor)?),
    };
    let page = Page::new(order, after, limit);
    let found = app
        .work(move || find(&tenant, selected, page, after, order))
        .await?;
    let (selected, rows, next, notes) = found?;
    let answered = answer(json::CONTENT_TYPE, move |out| {
        envelope::success(out, &notes, |out| show(out, &selected, &rows, next))
    });
    Ok(answered.await?)
}

pub(super) fn bad_cursor() -> Refusal {
    let message = "cursor is none that an answer had".to_owned();
    let hint = "next_cursor of an answer is the cursor of the next page";
    Refusal::field("bad_cursor", "cursor", message, hint)
}

type Found = (Selected, Vec<Row>, Option<Place>, Notes);

/// Reads the points of a page.
fn find(
    tenant: &Tenant,
    selected: Selected,
    mut page: Page,
    after: Option<Place>,
    order: Order,
) -> Result<Result<Found, Refusal>, ApiError> {
    let db = tenant.db()?;
    let (mut start_ms, mut end_ms) = (selected.start_ms, selected.end_ms);
    match (after, order) {
        (Some(after), Order::OldestFirst) => start_ms = start_ms.max(after.time_ms),
        (Some(after), Order::NewestFirst) => end_ms = end_ms.min(after.time_ms),
        (None, _) => {}
    }
    let matchers = selected.matchers();
    let mut cursor = db.select(&matchers, start_ms..=end_ms)?;
    let mut series = Series::default();
    let mut is_found = after.is_some();
    while cursor.next_into(&mut series)? {
        is_found = true;
        page.add(&series);
    }
    if !is_found && db.count_series(&matchers, ..)?.series == 0 {
        return Ok(Err(selected.not_found()));
    }
    let notes = Notes::of(cursor.warnings());
    let (rows, next) = page.finish();
    Ok(Ok((selected, rows, next, notes)))
}

fn show(out: &mut Out, selected: &Selected, rows: &[Row], next: Option<Place>) -> Result<(), ApiError> {
    let buffer = out.buffer();
    buffer.extend_from_slice(b"{\"series_key\":");
    envelope::string(buffer, &selected.series_key);
    text::text_field(buffer, "precision", selected.unit.name());
    buffer.extend_from_slice(b",\"datapoints\":");
    envelope::long_list(out, rows, |buffer, row| {
        buffer.push(b'{');
        text::timestamp(buffer, selected.unit, row.place.time_ms);
        buffer.push(b',');
        text::value(buffer, &row.value);
        buffer.extend_from_slice(b",\"tags\":");
        text::tags(buffer, &row.labels);
        buffer.push(b'}');
    })?;
    let buffer = out.buffer();
    match next {
        Some(next) => text::text_field(buffer, "next_cursor", &next.as_text()),
        None => buffer.extend_from_slice(b",\"next_cursor\":null"),
    }
    buffer.push(b'}');
    Ok(())
}

/// All points, one per line, as `datapoints/batch` takes them: series after series, each in order of time.
fn lines(out: &mut Out, tenant: &Tenant, selected: &Selected) -> Result<(), ApiError> {
    let db = tenant.db()?;
    let mut cursor = db.select(&selected.matchers(), selected.start_ms..=selected.end_ms)?;
    let mut series = Series::default();
    while cursor.next_into(&mut series)? {
        let mut tags = Vec::new();
        text::tags(&mut tags, series.labels());
        for sample in series.samples().filter(|sample| !is_stale(&sample.value)) {
            let buffer = out.buffer();
            buffer.extend_from_slice(b"{\"series_key\":");
            envelope::string(buffer, series.labels().metric_name());
            buffer.push(b',');
            text::timestamp(buffer, selected.unit, sample.timestamp);
            text::text_field(buffer, "precision", selected.unit.name());
            buffer.push(b',');
            text::value(buffer, &sample.value);
            buffer.extend_from_slice(b",\"tags\":");
            buffer.extend_from_slice(&tags);
            buffer.extend_from_slice(b"}\n");
            out.flow()?;
        }
        if out.is_abandoned() {
            return Err(ApiError::canceled());
        }
    }
    match cursor.warnings() {
        [] => Ok(()),
        [first, ..] => Err(ApiError::internal(format!(
            "a part could not be read: {}",
            first.reason
        ))),
    }
}
