//! What InfluxDB's clients ask: to write line protocol, and whether there is a database to write to.

use super::import::{Source, extra_labels, judged, store};
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::refusal::Refusal;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::doors::influx::{Influx, Precision};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// By these clients know whom they speak to; the version is one that has both ways to write.
const VERSION: (HeaderName, &str) = (HeaderName::from_static("x-influxdb-version"), "1.8.0");

/// `POST /write` and `/api/v2/write`.
pub(super) async fn write(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let written = async {
        let source = source(&Params::of_uri(request.uri()))?;
        judged(store(app, tenant, &caller, request, source).await?)
    };
    written.await.map_err(in_both_words)
}

fn source(params: &Params) -> Result<Source, Refusal> {
    let precision = match params.get("precision") {
        "" => None,
        name => Some(Precision::named(name).ok_or_else(|| {
            let message = format!("precision is not one of {}", Precision::NAMES);
            let hint = "without it, times are taken for what their size suggests";
            Refusal::field("bad_parameter", "precision", message, hint)
        })?),
    };
    let reader = Influx::new(precision, params.get("db"), extra_labels(params)?);
    Ok(Source {
        reader: Box::new(reader),
        time_ms: None,
    })
}

/// Clients of InfluxDB 1 read the field `error`, those of 2 `code` and `message`.
fn in_both_words(refusal: Refusal) -> Refusal {
    let ApiError { status, message, .. } = refusal.error();
    let code = match *status {
        StatusCode::PAYLOAD_TOO_LARGE => "request too large",
        StatusCode::TOO_MANY_REQUESTS => "too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_client_error() => "invalid",
        _ => "internal error",
    };
    let message = Value::from(message.as_ref());
    refusal.with("code", code.into()).with("message", message)
}

/// `GET /ping`.
pub(super) async fn ping() -> Response {
    (StatusCode::NO_CONTENT, [VERSION]).into_response()
}

/// `/query`: there is a database of every name, since a name is but a label; nothing else is answered.
pub(super) async fn query(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let params = Params::of(&app, request).await?;
    let query = params.get("q").trim_ascii().to_ascii_uppercase();
    let result = if query.starts_with("CREATE DATABASE") {
        json!({"statement_id": 0})
    } else if query.starts_with("SHOW DATABASES") {
        let series = json!({"name": "databases", "columns": ["name"], "values": [["narthex"]]});
        json!({"statement_id": 0, "series": [series]})
    } else {
        let message = "InfluxQL is not answered but for CREATE DATABASE and SHOW DATABASES".to_owned();
        let refusal = Refusal::field("bad_parameter", "q", message, "ask in PromQL at /api/v1/query");
        return Err(in_both_words(refusal));
    };
    let body = json::object(&[("results", json!([result]))]);
    let kind = (header::CONTENT_TYPE, json::CONTENT_TYPE);
    Ok(([VERSION, kind], body).into_response())
}
