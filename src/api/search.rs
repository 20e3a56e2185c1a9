//! `search/metric_names`, `search/label_names` and `search/label_values`: names that resemble what was typed, in lines of JSON.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::params::Params;
use super::pieces::{Out, answer};
use super::search_params::{SearchParams, Sorting};
use super::state::App;
use super::tenant::Tenant;
use crate::db::Db;
use crate::engine::listing::Listed;
use crate::engine::select::Warning;
use crate::model::labels::METRIC_NAME;
use crate::model::metadata::Metadata;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

const CONTENT_TYPE: &str = "application/x-ndjson; charset=utf-8";
/// Names that are scored between two looks whether somebody waits for the answer.
const SCORED_AT_ONCE: usize = 1024;

type AllMetadata = BTreeMap<String, Vec<(i64, Metadata)>>;

/// `/api/v1/search/metric_names`.
pub(super) async fn metric_names(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let search = SearchParams::of(&params, tenant.db()?.now_ms(), "metric_names")?;
    let searched = Searched::Values(METRIC_NAME.to_owned());
    run(&app, tenant, search, searched).await
}

/// `/api/v1/search/label_names`.
pub(super) async fn label_names(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let search = SearchParams::of(&params, tenant.db()?.now_ms(), "label_names")?;
    run(&app, tenant, search, Searched::Names).await
}

/// `/api/v1/search/label_values`.
pub(super) async fn label_values(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let search = SearchParams::of(&params, tenant.db()?.now_ms(), "label_values")?;
    let label = params.get("label").to_owned();
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    run(&app, tenant, search, Searched::Values(label)).await
}

/// What is searched.
enum Searched {
    Names,
    /// Those of this label.
    Values(String),
}

/// A name that was found, and how well it fits.
#[derive(Debug)]
struct Found {
    name: String,
    score: f64,
}

async fn run(
    app: &App,
    tenant: Arc<Tenant>,
    search: SearchParams,
    searched: Searched,
) -> Result<Response, ApiError> {
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(CONTENT_TYPE, move |out| {
        let db = tenant.db()?;
        let (mut found, warnings) = find(db, &search, &searched, out)?;
        let metadata = search.has_metadata.then(|| db.metadata(None));
        drop(turn);
        let has_more = found.len() > search.limit;
        found.truncate(search.limit);
        write(out, &search, &found, &Notes::of(&warnings), metadata.as_ref())?;
        let trailer = format!("{{\"status\":\"success\",\"has_more\":{has_more}}}\n");
        out.buffer().extend_from_slice(trailer.as_bytes());
        Ok(())
    })
    .await
}

/// The best of what fits in the order asked for, one more than asked for if there are more.
fn find(
    db: &Db,
    search: &SearchParams,
    searched: &Searched,
    out: &Out,
) -> Result<(Vec<Found>, Vec<Warning>), ApiError> {
    let wanted = search.limit.saturating_add(1);
    let is_plain = search.terms.is_empty() && search.sorting == Sorting::Alphabetic;
    let limit = if is_plain { wanted } else { 0 };
    let listed = match searched {
        Searched::Names => Listed::Names,
        Searched::Values(label) => Listed::Values(label),
    };
    let all = search.selection.list(db, limit, out, listed)?;
    let mut found = Vec::new();
    for (place, name) in all.texts.iter().enumerate() {
        let name = String::from_utf8_lossy(name);
        if place % SCORED_AT_ONCE == 0 && out.is_abandoned() {
            return Err(ApiError::canceled());
        }
        if let Some(score) = search.score(&name) {
            found.push(Found {
                name: name.into_owned(),
                score,
            });
        }
        if search.sorting == Sorting::Alphabetic && found.len() == wanted {
            break;
        }
    }
    match search.sorting {
        Sorting::Alphabetic => {}
        Sorting::Backwards => found.reverse(),
        // Those that fit as well stay in their order.
        Sorting::BestFirst => found.sort_by(|one, other| other.score.total_cmp(&one.score)),
    }
    found.truncate(wanted);
    Ok((found, all.warnings))
}

/// The lines with results; the first one has the warnings, and is there in any case.
fn write(
    out: &mut Out,
    search: &SearchParams,
    found: &[Found],
    notes: &Notes,
    metadata: Option<&AllMetadata>,
) -> Result<(), ApiError> {
    let nothing: &[Found] = &[];
    let batches = found
        .chunks(search.batch)
        .chain(found.is_empty().then_some(nothing));
    for (place, batch) in batches.enumerate() {
        let buffer = out.buffer();
        buffer.extend_from_slice(b"{\"results\":");
        envelope::list(buffer, batch, |buffer, found| {
            result(buffer, found, search.has_score, metadata);
        });
        if place == 0 && !notes.warnings.is_empty() {
            buffer.extend_from_slice(b",\"warnings\":");
            envelope::list(buffer, &notes.warnings, |buffer, warning| {
                envelope::string(buffer, warning);
            });
        }
        buffer.extend_from_slice(b"}\n");
        out.flow()?;
    }
    Ok(())
}

fn result(buffer: &mut Vec<u8>, found: &Found, has_score: bool, metadata: Option<&AllMetadata>) {
    buffer.extend_from_slice(b"{\"name\":");
    envelope::string(buffer, &found.name);
    if has_score {
        // A vector takes whatever is written to it.
        let _ = write!(buffer, ",\"score\":{}", found.score);
    }
    let known = metadata.and_then(|metadata| metadata.get(&found.name)?.last());
    if let Some((_, metadata)) = known {
        let fields = [
            (",\"type\":", metadata.metric_type.as_str()),
            (",\"help\":", &metadata.help),
            (",\"unit\":", &metadata.unit),
        ];
        for (name, value) in fields.iter().filter(|field| !field.1.is_empty()) {
            buffer.extend_from_slice(name.as_bytes());
            envelope::string(buffer, value);
        }
    }
    buffer.push(b'}');
}
