//! `series`, `labels` and `label/{name}/values`.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::json;
use super::names::unescape_values;
use super::native;
use super::params::{Params, invalid, unescaped_bytes};
use super::pieces::answer;
use super::selection::Selection;
use super::state::App;
use super::tenant::Tenant;
use crate::engine::listing::Listed;
use crate::model::labels::LabelsRef;
use crate::promql::quote::quote_bytes;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use std::sync::Arc;

/// From the first time to the last one.
pub(super) const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

/// `/api/v1/series`; without `match[]` it is the listing of the native API.
pub(super) async fn series(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let is_get = request.method() == Method::GET;
    let params = Params::of(&app, request).await?;
    params.check_form()?;
    if !params.has_matchers() {
        if is_get {
            return Ok(native::list(&app, tenant, &params).await);
        }
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit("limit")?;
    let selection = Selection::of(&params, ALWAYS, |fault| invalid("match[]", &fault))?;
    let write = |buffer: &mut Vec<u8>, labels: &[u8]| envelope::labels(buffer, LabelsRef::new(labels));
    respond(&app, tenant, selection, limit, Asked::Series, write).await
}

/// `/api/v1/labels`.
pub(super) async fn labels(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let limit = params.limit("limit")?;
    let selection = Selection::of(&params, ALWAYS, ApiError::bad_data)?;
    respond(
        &app,
        tenant,
        selection,
        limit,
        Asked::Names,
        envelope::bytes_of_text,
    )
    .await
}

/// `/api/v1/label/{name}/values`.
pub(super) async fn label_values(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = label_name(request.uri().path())?;
    let params = Params::of(&app, request).await?;
    let limit = params.limit("limit")?;
    let selection = Selection::of(&params, ALWAYS, ApiError::bad_data)?;
    respond(
        &app,
        tenant,
        selection,
        limit,
        Asked::Values(name),
        envelope::bytes_of_text,
    )
    .await
}

/// The label of a path `.../label/{name}/values`.
fn label_name(path: &str) -> Result<String, ApiError> {
    let name = path.rsplit('/').nth(1).unwrap_or("");
    let refused = |bytes: &[u8]| ApiError::bad_data(format!("invalid label name: {}", quote_bytes(bytes)));
    let bytes = unescaped_bytes(name.as_bytes(), false).map_err(ApiError::bad_data)?;
    let name = String::from_utf8(bytes).map_err(|error| refused(error.as_bytes()))?;
    let name = unescape_values(&name).unwrap_or(name);
    match name.is_empty() {
        true => Err(refused(&[])),
        false => Ok(name),
    }
}

/// What a request asks for.
enum Asked {
    Series,
    Names,
    Values(String),
}

impl Asked {
    fn listed(&self) -> Listed<'_> {
        match self {
            Self::Series => Listed::Series,
            Self::Names => Listed::Names,
            Self::Values(name) => Listed::Values(name),
        }
    }
}

async fn respond(
    app: &App,
    tenant: Arc<Tenant>,
    selection: Selection,
    limit: usize,
    asked: Asked,
    write: fn(&mut Vec<u8>, &[u8]),
) -> Result<Response, ApiError> {
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let found = selection.list(tenant.db()?, limit, out, asked.listed())?;
        // Writing waits for the client, who shall keep nobody from working.
        drop(turn);
        let mut notes = Notes::of(&found.warnings);
        if found.is_truncated {
            notes.truncated();
        }
        envelope::success(out, &notes, |out| {
            envelope::long_list(out, found.texts.iter(), write)
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names_are_unescaped_twice() {
        for (name, wanted) in [
            ("job", Ok("job")),
            ("a%20b", Ok("a b")),
            ("a+b", Ok("a+b")),
            ("a%2Fb", Ok("a/b")),
            ("U__a_2e_b", Ok("a.b")),
            ("U__a__b", Ok("a_b")),
            ("U__a_zz_b", Ok("U__a_zz_b")),
            ("U__", Err("invalid label name: \"\"")),
            ("%ff", Err("invalid label name: \"\\xff\"")),
            ("%f", Err("invalid URL escape \"%f\"")),
        ] {
            let found = label_name(&format!("/api/v1/label/{name}/values"));
            let found = found.map_err(|error| error.message);
            assert_eq!(found.as_deref().map_err(|message| &**message), wanted, "{name}");
        }
    }
}
