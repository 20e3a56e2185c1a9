//! `/federate`: the newest samples of matching series, as a page that another Prometheus scrapes.

use super::error::ApiError;
use super::federate_page::{Format, PageWriter};
use super::params::Params;
use super::pieces::{Out, answer};
use super::state::App;
use super::tenant::Tenant;
use crate::db::Db;
use crate::engine::series::Series;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::sample::Value;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The newest float of a series.
struct Newest {
    labels: Labels,
    timestamp_ms: i64,
    value: f64,
}

/// `/federate`. What is wrong with a request is said as plain text, as Prometheus does here.
pub(super) async fn federate(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Response {
    match page(&app, tenant, request).await {
        Ok(response) => response,
        Err(error) if error.status == StatusCode::BAD_REQUEST => {
            let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (error.status, headers, format!("{}\n", error.message)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn page(app: &App, tenant: Arc<Tenant>, request: Request) -> Result<Response, ApiError> {
    let format = Format::of(request.headers());
    let params = Params::of(app, request).await?;
    params.check_form()?;
    let mut sets = params.matchers().map_err(ApiError::bad_data)?;
    // As upstream, a set without any condition selects nothing here.
    sets.retain(|set| !set.is_empty());
    let config = app.config.load_full();
    let lookback_ms = i64::try_from(config.query.lookback.as_millis()).unwrap_or(i64::MAX);
    let turn = app.admission.turn(&config.http).await?;
    answer(format.content_type(), move |out| {
        let db = tenant.db()?;
        let now_ms = db.now_ms();
        let range = db.range_of_ms(now_ms.saturating_sub(lookback_ms), now_ms);
        let samples = newest(db, &sets, &range, out)?;
        drop(turn);
        let mut page = PageWriter::new(format, &config.external_labels);
        for sample in &samples {
            page.sample(out.buffer(), &sample.labels, sample.value, sample.timestamp_ms);
            out.flow()?;
        }
        page.end(out.buffer());
        Ok(())
    })
    .await
}

/// The newest floats by metric, those of one metric in label order, without stale ones.
fn newest(
    db: &Db,
    sets: &[Vec<Matcher>],
    range: &RangeInclusive<i64>,
    out: &Out,
) -> Result<Vec<Newest>, ApiError> {
    let mut samples = Vec::new();
    let mut series = Series::default();
    for matchers in sets {
        let mut cursor = db.select(matchers, range.clone())?;
        while cursor.next_into(&mut series)? {
            if out.is_abandoned() {
                return Err(ApiError::canceled());
            }
            samples.extend(newest_of(db, &series));
        }
        for warning in cursor.warnings() {
            tracing::warn!(?warning, "a federation is not complete");
        }
    }
    let key = |sample: &Newest| sample.labels.metric_name().to_owned();
    samples.sort_by(|one, other| one.labels.cmp(&other.labels));
    samples.dedup_by(|later, earlier| later.labels == earlier.labels);
    // Upper-case names of labels stand before the metric's own.
    samples.sort_by_cached_key(key);
    Ok(samples)
}

/// `None` when the newest sample is a native histogram, which the formats have no words for, or says that the series has ended.
fn newest_of(db: &Db, series: &Series) -> Option<Newest> {
    let sample = series.samples().next_back()?;
    let is_named = !series.labels().metric_name().is_empty();
    match sample.value {
        Value::Float(value) if is_named && !sample.value.is_stale() => Some(Newest {
            labels: series.labels().clone(),
            timestamp_ms: db.to_ms(sample.timestamp),
            value,
        }),
        _ => None,
    }
}
