//! `query_exemplars`: the exemplars of all series that an expression selects.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::listing::ALWAYS;
use super::params::Params;
use super::pieces::answer;
use super::state::App;
use super::tenant::Tenant;
use super::{json, query_json};
use crate::db::Db;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::promql::ParseOptions;
use crate::promql::parse::parse;
use crate::promql::selectors::selectors;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// `/api/v1/query_exemplars`.
pub(super) async fn query_exemplars(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let start_ms = params.time_ms("start", ALWAYS.0)?;
    let end_ms = params.time_ms("end", ALWAYS.1)?;
    if end_ms < start_ms {
        let message = "end timestamp must not be before start timestamp";
        return Err(ApiError::bad_data(message));
    }
    let expr = parse(params.get("query"), ParseOptions::default());
    let expr = expr.map_err(|error| ApiError::bad_data(error.to_string()))?;
    let sets: Vec<Vec<Matcher>> = selectors(&expr).into_iter().map(<[Matcher]>::to_vec).collect();
    drop(expr);
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let db = tenant.db()?;
        let mut all = Vec::new();
        for matchers in &sets {
            if out.is_abandoned() {
                return Err(ApiError::canceled());
            }
            all.extend(db.exemplars(matchers, db.range_of_ms(start_ms, end_ms))?);
        }
        // What several selectors found is the same in each.
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all.dedup_by(|later, earlier| later.0 == earlier.0);
        drop(turn);
        envelope::success(out, &Notes::default(), |out| {
            envelope::long_list(out, &all, |buffer, series| write(buffer, db, series))
        })
    })
    .await
}

fn write(buffer: &mut Vec<u8>, db: &Db, (labels, exemplars): &(Labels, Vec<Exemplar>)) {
    buffer.extend_from_slice(b"{\"seriesLabels\":");
    envelope::labels(buffer, labels.as_ref());
    buffer.extend_from_slice(b",\"exemplars\":");
    envelope::list(buffer, exemplars, |buffer, exemplar| {
        buffer.extend_from_slice(b"{\"labels\":");
        envelope::labels(buffer, exemplar.labels.as_ref());
        buffer.extend_from_slice(b",\"value\":");
        query_json::number(buffer, exemplar.value);
        buffer.extend_from_slice(b",\"timestamp\":");
        query_json::time(buffer, db.to_ms(exemplar.timestamp));
        buffer.push(b'}');
    });
    buffer.push(b'}');
}
